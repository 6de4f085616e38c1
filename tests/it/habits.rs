//! Purges in the shapes of other CDNs, as their own documentation shows them.

use serde_json::{Value, json};

use crate::support::{Connection, Origin, Seawall, ok};

/// A site with three pages, two of them tagged.
fn site(origin: &Origin) -> Seawall {
    let url = origin.url();
    let seawall = Seawall::run_config(&format!(
        "[[site]]\nname = \"www\"\nhosts = [\"www.test\"]\norigin = \"{url}\"\n"
    ));
    for (target, tags) in [("/a", "red"), ("/b", "red blue"), ("/c", "")] {
        let page = ok(target).max_age(3_600).etag("1").if_match_304();
        origin.says(target, page.field("surrogate-key", tags));
    }
    seawall
}

/// What each page gets.
fn pages(seawall: &Seawall) -> [String; 3] {
    ["/a", "/b", "/c"].map(|target| {
        let answer = seawall.get_with(target, &[("host", "www.test")]);
        answer.x_cache().to_owned()
    })
}

/// What a client of another CDN sends, and is answered.
fn send(seawall: &Seawall, path: &str, fields: &[(&str, &str)], body: &str) -> (u16, Value) {
    send_as(seawall, "POST", path, fields, body)
}

fn send_as(
    seawall: &Seawall,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> (u16, Value) {
    let mut connection = Connection::open(seawall.admin());
    let answer = connection.request(method, path, fields, body.as_bytes());
    let json = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, json)
}

/// <https://www.fastly.com/documentation/reference/api/purging/>: its paths, `Surrogate-Key`, `surrogate_keys`,
/// `Fastly-Soft-Purge` and its answers.
#[test]
fn fastlys_purges_are_understood() {
    let origin = Origin::start();
    let seawall = site(&origin);
    let check = |path: &str, fields: &[(&str, &str)], body: &str, expect: [&str; 3]| {
        let (_, _) = (pages(&seawall), pages(&seawall));
        assert_eq!(pages(&seawall), ["HIT", "HIT", "HIT"], "before {path}");
        let fields = [
            &[("fastly-key", "any"), ("accept", "application/json")],
            fields,
        ]
        .concat();
        let (status, answer) = send(&seawall, &format!("{path}?wait=complete"), &fields, body);
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(pages(&seawall), expect, "after {path}: {answer}");
        answer
    };
    let key = "/service/www/purge/blue";
    let answer = check(key, &[], "", ["HIT", "MISS", "HIT"]);
    assert_eq!(answer["status"], "ok");
    assert!(answer["id"].is_string());
    let soft = [("fastly-soft-purge", "1")];
    check(key, &soft, "", ["HIT", "REVALIDATED", "HIT"]);
    let keys = [("surrogate-key", "red blue")];
    let answer = check("/service/www/purge", &keys, "", ["MISS", "MISS", "HIT"]);
    assert!(
        answer["red"].is_string() && answer["blue"].is_string(),
        "{answer}"
    );
    let json_type = [("content-type", "application/json")];
    let body = r#"{"surrogate_keys": ["blue"]}"#;
    check(
        "/service/www/purge",
        &json_type,
        body,
        ["HIT", "MISS", "HIT"],
    );
    let answer = check("/service/www/purge_all", &[], "", ["MISS", "MISS", "MISS"]);
    assert_eq!(answer, json!({"status": "ok"}));
    let fields = [("fastly-key", "any")];
    let (status, _) = send(&seawall, "/purge/www.test/c", &fields, "");
    assert_eq!(status, 200);
    let again = (
        "POST",
        "/v1/purges?wait=complete",
        Some(json!({"tags": ["none"]})),
    );
    seawall.api(again.0, again.1, again.2);
    assert_eq!(pages(&seawall), ["HIT", "HIT", "MISS"]);

    assert_eq!(
        send(&seawall, "/service/nobody/purge_all", &fields, "").0,
        404
    );
    // What any web page could send is not let through.
    assert_eq!(send(&seawall, "/service/www/purge_all", &[], "").0, 415);
}

/// <https://developers.cloudflare.com/api/resources/cache/methods/purge/>: its path, its bodies and its answers.
#[test]
fn cloudflares_purges_are_understood() {
    let origin = Origin::start();
    let seawall = site(&origin);
    let zone = "/client/v4/zones/www/purge_cache";
    let fields = [("content-type", "application/json")];
    let check = |body: Value, expect: [&str; 3]| {
        let _ = pages(&seawall);
        assert_eq!(pages(&seawall), ["HIT", "HIT", "HIT"], "before {body}");
        let path = format!("{zone}?wait=complete");
        let (status, answer) = send(&seawall, &path, &fields, &body.to_string());
        let said = (status, &answer["success"], &answer["errors"]);
        assert_eq!(said, (200, &json!(true), &json!([])), "{body}: {answer}");
        assert!(answer["result"]["id"].is_string());
        assert_eq!(pages(&seawall), expect, "after {body}");
    };
    check(
        json!({"files": ["http://www.test/a", {"url": "http://www.test/c", "headers": {"Origin": "https://x"}}]}),
        ["MISS", "HIT", "MISS"],
    );
    check(json!({"tags": ["blue"]}), ["HIT", "MISS", "HIT"]);
    check(json!({"hosts": ["www.test"]}), ["MISS", "MISS", "MISS"]);
    check(json!({"prefixes": ["www.test/b"]}), ["HIT", "MISS", "HIT"]);
    check(json!({"purge_everything": true}), ["MISS", "MISS", "MISS"]);

    let refused = |path: &str, body: &str, code: u16| {
        let (status, answer) = send(&seawall, path, &fields, body);
        assert_eq!(
            (status, &answer["success"]),
            (code, &json!(false)),
            "{body}"
        );
        assert_eq!(answer["errors"][0]["code"], code);
        assert!(
            answer["errors"][0]["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    };
    refused(zone, "{}", 400);
    refused(zone, r#"{"files": ["/a"]}"#, 400);
    refused(zone, r#"{"hosts": ["other.test"]}"#, 400);
    refused(
        "/zones/nobody/purge_cache",
        r#"{"purge_everything": true}"#,
        404,
    );
}

/// Cloudflare's own plug-in for WordPress, <https://github.com/cloudflare/Cloudflare-WordPress>: `getZoneTag`,
/// `zonePurgeFiles` and `zonePurgeCache` of `src/WordPress/WordPressClientAPI.php`. Of `www.test` it asks for the zone
/// `test` (`formatDomain` of `src/WordPress/WordPressAPI.php`), and takes the first zone of that very name.
#[test]
fn the_wordpress_plug_in_for_cloudflare_works_with_another_base_url() {
    let origin = Origin::start();
    let seawall = site(&origin);
    let base = "/client/v4/";
    let fields = [
        ("content-type", "application/json"),
        ("authorization", "Bearer any"),
    ];
    let call = |method: &str, path: &str, body: &str| {
        let (status, answer) = send_as(&seawall, method, &format!("{base}{path}"), &fields, body);
        assert_eq!(
            (status, &answer["success"]),
            (200, &json!(true)),
            "{answer}"
        );
        answer
    };
    let zones = call("GET", "zones/?name=test&status=active", "");
    assert!(zones["result_info"]["total_pages"].as_u64() < Some(2));
    let zone = &zones["result"][0];
    assert_eq!(zone["name"], "test", "{zones}");
    let id = zone["id"].as_str().unwrap();
    assert_eq!(
        call("GET", "zones/?name=none.test.x", "")["result"],
        json!([])
    );

    let purge = format!("zones/{id}/purge_cache");
    let check = |body: Value, expect: [&str; 3]| {
        let _ = pages(&seawall);
        assert_eq!(pages(&seawall), ["HIT", "HIT", "HIT"], "before {body}");
        call(
            "DELETE",
            &format!("{purge}?wait=complete"),
            &body.to_string(),
        );
        assert_eq!(pages(&seawall), expect, "after {body}");
    };
    let files = ["http://www.test/a", "http://www.test/b"];
    check(json!({"files": files}), ["MISS", "MISS", "HIT"]);
    check(json!({"purge_everything": true}), ["MISS", "MISS", "MISS"]);
    let order = r#"{"files": ["http://other.test/a"]}"#;
    let (status, answer) = send_as(
        &seawall,
        "DELETE",
        &format!("{base}{purge}"),
        &fields,
        order,
    );
    assert_eq!((status, &answer["success"]), (400, &json!(false)));
}

/// A site whose URLs these clients may purge where they are served, and its origin.
fn site_with(origin: &Origin, purge_from: &str) -> Seawall {
    let url = origin.url();
    let page = ok("a").max_age(3_600).etag("1").if_match_304();
    origin.says("/a", page);
    origin.says("/b", ok("b").max_age(3_600));
    Seawall::run_config(&format!(
        "[[site]]\nname = \"www\"\nhosts = [\"www.test\", \"127.0.0.1\"]\norigin = \"{url}\"\n{purge_from}\n"
    ))
}

/// The method, as Varnish's users' guide has it, <https://varnish-cache.org/docs/trunk/users-guide/purging.html>, and
/// Fastly, soft as well: <https://www.fastly.com/documentation/reference/api/purging/>.
#[test]
fn a_url_is_purged_where_it_is_served() {
    let origin = Origin::start();
    let seawall = site_with(&origin, "purge_from = [\"127.0.0.0/8\"]");
    let www = ("host", "www.test");
    let get = |target: &str| seawall.get_with(target, &[www]);
    for target in ["/a", "/b"] {
        get(target);
        get(target).is("HIT", &target[1..]);
    }
    let mut connection = seawall.connect();
    let answer = connection.request("PURGE", "/a", &[www], b"");
    let receipt: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &receipt["state"]),
        (200, &json!("complete"))
    );
    get("/a").is("MISS", "a");
    get("/b").is("HIT", "b");
    let soft = [www, ("fastly-soft-purge", "1")];
    let answer = connection.request("PURGE", "/a", &soft, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    get("/a").is("REVALIDATED", "a");

    let secure = || seawall.curl("/b", &[]).response;
    secure();
    secure().is("HIT", "b");
    let purged = seawall.curl("/b", &["--request", "PURGE"]);
    assert_eq!(
        (purged.version.as_str(), purged.response.status),
        ("2", 200)
    );
    secure().is("MISS", "b");
}

/// As the access list of <https://varnish-cache.org/docs/trunk/users-guide/purging.html>.
#[test]
fn nobody_else_purges_and_by_default_the_origin_is_asked() {
    let origin = Origin::start();
    for (purge_from, status, asked) in [("purge_from = [\"10.0.0.0/8\"]", 403, 0), ("", 200, 1)] {
        let seawall = site_with(&origin, purge_from);
        let www = [("host", "www.test")];
        seawall.get_with("/b", &www);
        let before = origin.requests("/b");
        let answer = seawall.request("PURGE", "/b", &www, b"");
        assert_eq!(answer.status, status, "{purge_from}: {}", answer.text());
        assert_eq!(origin.requests("/b") - before, asked, "{purge_from}");
    }
}

/// No vendor's shape: what our edges make of a `PURGE`.
#[test]
fn an_edge_purges_only_what_a_site_lets_it() {
    let origin = Origin::start();
    let seawall = site_with(&origin, "purge_from = [\"127.0.0.1\"]");
    let order = |site: &str, url: &str| {
        let order = json!({"site": site, "url": url, "mode": "hard", "from": "127.0.0.1"});
        let (status, answer, _) = seawall.api("POST", "/v1/edges/edge-1/purges", Some(order));
        (
            status,
            answer["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(order("www", "www.test/a").0, 202);
    assert_eq!(order("www", "www.test:8080/a").0, 202);
    let (status, why) = order("www", "elsewhere.test/a");
    assert_eq!(status, 403, "{why}");
    assert!(why.contains("purge_from"), "{why}");
    assert_eq!(order("none", "www.test/a").0, 404);
    let closed = site_with(&origin, "");
    let order = json!({"site": "www", "url": "www.test/a", "mode": "hard", "from": "127.0.0.1"});
    let (status, ..) = closed.api("POST", "/v1/edges/edge-1/purges", Some(order));
    assert_eq!(status, 403);
}
