//! How a purge may be ordered: counted first, once however often it is sent, with a change of sites, with a moment to
//! settle, and with its receipt as a stream of events.

use serde_json::{Value, json};

use crate::support::{Origin, Seawall, eventually, ok};

fn edge_alone(origin: &Origin) -> Seawall {
    let seawall = Seawall::run(origin);
    for target in ["/a", "/b", "/c"] {
        origin.says(target, ok(target).max_age(3_600));
        seawall.get(target).is("MISS", target);
    }
    seawall
}

#[test]
fn a_dry_run_counts_and_purges_nothing() {
    let origin = Origin::start();
    let seawall = edge_alone(&origin);
    let purge = json!({"urls": [seawall.url("/a"), seawall.url("/b")], "dry_run": true});
    let receipt = seawall.purge(purge.clone());
    assert_eq!(receipt["dry_run"], true);
    assert_eq!(receipt["matched"]["objects"], 2, "{receipt}");
    assert_eq!(receipt["edges"][0]["matched"]["objects"], 2);
    seawall.get("/a").is("HIT", "/a");
    let again = seawall.purge(purge);
    assert_eq!(again["matched"], receipt["matched"]);

    let said = seawall.command(&["purge", "--url", &seawall.url("/a"), "--dry-run"]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.starts_with("nothing was purged"), "{text}");
    assert!(text.contains("would match 1 object"), "{text}");
    seawall.get("/a").is("HIT", "/a");
}

#[test]
fn a_purge_that_is_sent_again_with_its_key_is_one_purge() {
    let origin = Origin::start();
    let seawall = edge_alone(&origin);
    let send = |body: &Value, key: &str| {
        let fields = [("idempotency-key", key)];
        let path = "/v1/purges?wait=complete";
        let (status, answer, _) = seawall.api_with("POST", path, &fields, Some(body.clone()));
        (status, answer)
    };
    let (a, b) = (
        json!({"urls": [seawall.url("/a")]}),
        json!({"urls": [seawall.url("/b")]}),
    );
    let (status, first) = send(&a, "\"deploy-42\"");
    assert_eq!(status, 200, "{first}");
    seawall.get("/a").is("MISS", "/a");
    let (status, again) = send(&a, "deploy-42");
    assert_eq!((status, &again["revision"]), (200, &first["revision"]));
    seawall.get("/a").is("HIT", "/a");
    let (status, refused) = send(&b, "deploy-42");
    assert_eq!((status, &refused["type"]), (422, &json!("key-reused")));
    seawall.get("/b").is("HIT", "/b");
    let (_, other) = send(&a, "deploy-43");
    assert_ne!(other["revision"], first["revision"]);
    assert_eq!(send(&a, "").0, 400);

    let url = seawall.url("/a");
    let order = ["purge", "--url", &url, "--idempotency-key", "k", "--json"];
    let revision = || -> Value {
        let said = seawall.command(&order);
        serde_json::from_slice::<Value>(&said.stdout).unwrap()["revision"].clone()
    };
    assert_eq!(revision(), revision());
}

#[test]
fn a_change_and_a_purge_are_one_step() {
    let (old, new) = (Origin::start(), Origin::start());
    let seawall = Seawall::run(&old);
    for (origin, text) in [(&old, "old"), (&new, "new")] {
        origin.says("/a", ok(text).max_age(3_600));
    }
    let site =
        |origin: &Origin| json!({"name": "www", "hosts": ["www.test"], "origin": origin.url()});
    let get = || seawall.get_with("/a", &[("host", "www.test")]);
    let put = |origin: &Origin| {
        let body = json!({"put": [site(origin)]});
        let (status, answer, _) = seawall.api("POST", "/v1/sites", Some(body));
        assert_eq!(status, 200, "{answer}");
        eventually("the edge has it", || {
            let (_, edges, _) = seawall.api("GET", "/v1/edges", None);
            edges["edges"][0]["applied"].as_u64() >= answer["revision"].as_u64()
        });
    };
    let change = |body: Value| seawall.api("POST", "/v1/sites?wait=complete", Some(body));
    put(&old);
    get().is("MISS", "old");
    // Without a purge what is stored goes on.
    put(&new);
    get().is("HIT", "old");
    put(&old);

    let body = json!({"put": [site(&new)], "purge": {"sites": ["www"]}});
    let (status, answer, _) = change(body.clone());
    assert_eq!(
        (status, &answer["purge"]["state"]),
        (200, &json!("complete"))
    );
    assert_eq!(answer["revision"], answer["purge"]["revision"]);
    get().is("MISS", "new");
    let (_, stored, fields) = seawall.api("GET", "/v1/sites/www", None);
    let etag = fields.iter().find(|(name, _)| name == "etag").unwrap();
    assert_eq!(etag.1, format!("\"{}\"", answer["revision"]), "{stored}");

    // It is so already: only the purge is news.
    let (_, again, _) = change(body);
    assert!(again["revision"].as_u64() > answer["revision"].as_u64());
    get().is("MISS", "new");
    // One that is wrong changes nothing.
    let wrong = json!({"put": [site(&old)], "purge": {"sites": ["nobody"]}});
    let (status, problem, _) = change(wrong);
    assert_eq!(
        (status, &problem["problems"][0]["path"]),
        (400, &json!("sites[0]"))
    );
    get().is("HIT", "new");

    let origin = old.url();
    let file = format!("[[site]]\nname = \"www\"\nhosts = [\"www.test\"]\norigin = \"{origin}\"\n");
    let file = seawall.folder().write("www.toml", file);
    let said = seawall.command(&["site", "put", &file, "--purge"]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(
        text.contains("written and purged") && text.contains("complete"),
        "{text}"
    );
    get().is("MISS", "old");
}

#[test]
fn what_is_fetched_while_a_purge_settles_is_used_until_it_has() {
    let origin = Origin::start();
    let seawall = edge_alone(&origin);
    origin.says("/a", ok("of a replica that lags").max_age(3_600));
    seawall.purge(json!({"urls": [seawall.url("/a")], "settle": "2s"}));
    let lagging = seawall.get("/a");
    lagging.is("MISS", "of a replica that lags");
    seawall.get("/a").is("HIT", "of a replica that lags");
    origin.says("/a", ok("new").max_age(3_600));
    eventually("it has settled", || seawall.get("/a").text() == "new");
    seawall.get("/a").is("HIT", "new");
    seawall.get("/b").is("HIT", "/b");
}

#[test]
fn a_receipt_can_be_followed() {
    let origin = Origin::start();
    let seawall = edge_alone(&origin);
    let path = "/v1/purges?wait=accepted";
    let (_, receipt, _) = seawall.api("POST", path, Some(json!({"all": true})));
    let path = format!("/v1/purges/{}", receipt["revision"]);
    let fields = [("accept", "text/event-stream")];
    let mut connection = crate::support::Connection::open(seawall.admin());
    let answer = connection.request("GET", &path, &fields, b"");
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    let text = answer.text();
    let last = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back();
    let last: Value = serde_json::from_str(last.unwrap()).unwrap();
    assert_eq!(
        (&last["state"], &last["counted"]),
        (&json!("complete"), &json!(true))
    );
    assert_eq!(last["matched"]["objects"], 3, "{text}");
    assert!(text.starts_with("event: receipt\n"), "{text}");
}
