//! Sites, as a client of the API and a followed file see them.

use seawall_config::Site;
use serde_json::{Value, json};

use crate::support::Bench;

fn document(host: &str) -> Value {
    json!({"hosts": [host], "origin": "http://127.0.0.1:9000"})
}

#[tokio::test]
async fn a_site_is_created_read_changed_listed_and_deleted() {
    let bench = Bench::new().await;
    let created = bench.put("/v1/sites/shop", document("shop.example")).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.headers["location"], "/v1/sites/shop");
    assert_eq!(created.json["name"], "shop");
    let etag = created.headers["etag"].clone();

    let read = bench.get("/v1/sites/shop").await;
    assert_eq!((read.status.as_u16(), &read.headers["etag"]), (200, &etag));
    assert_eq!(read.json, created.json);
    let etag = etag.to_str().unwrap();
    let known = bench
        .ask(
            "GET /v1/sites/shop",
            &[("if-none-match", etag)],
            Value::Null,
        )
        .await;
    assert_eq!(known.status, 304);

    let same = bench.put("/v1/sites/shop", document("shop.example")).await;
    assert_eq!(
        (same.status.as_u16(), same.headers["etag"].to_str().unwrap()),
        (200, etag)
    );
    let changed = bench
        .put("/v1/sites/shop", document("www.shop.example"))
        .await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.headers["etag"], etag);

    bench.put("/v1/sites/blog", document("blog.example")).await;
    let listed = bench.get("/v1/sites").await;
    let sites = listed.json["sites"].as_array().unwrap();
    let names: Vec<_> = sites
        .iter()
        .map(|site| site["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["blog", "shop"]);
    assert_eq!(sites[1]["owner"], "api");
    assert_eq!(
        format!("\"{}\"", sites[1]["created"]),
        etag,
        "the site's incarnation outlives a change"
    );

    assert_eq!(bench.delete("/v1/sites/shop").await.status, 204);
    for answer in [
        bench.get("/v1/sites/shop").await,
        bench.delete("/v1/sites/shop").await,
    ] {
        assert_eq!(
            (answer.status.as_u16(), &answer.json["type"]),
            (404, &json!("no-such-site"))
        );
    }
}

#[tokio::test]
async fn a_change_that_expected_something_else_is_not_made() {
    let bench = Bench::new().await;
    let first = bench.put("/v1/sites/a", document("one")).await;
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    let put = async |header: (&str, &str), host: &str| {
        let answer = bench
            .ask("PUT /v1/sites/a", &[header], document(host))
            .await;
        answer.status.as_u16()
    };
    assert_eq!(put(("if-none-match", "*"), "two").await, 412);
    assert_eq!(put(("if-match", "\"999\""), "two").await, 412);
    assert_eq!(put(("if-none-match", "\"1\""), "two").await, 400);
    assert_eq!(put(("if-match", &etag), "two").await, 200);
    assert_eq!(
        put(("if-match", &etag), "three").await,
        412,
        "that was the tag before"
    );
    assert_eq!(
        put(("if-match", &etag), "two").await,
        200,
        "a retried change finds itself made"
    );
    assert_eq!(put(("if-match", "*"), "three").await, 200);
    let delete = bench
        .ask("DELETE /v1/sites/a", &[("if-match", &etag)], Value::Null)
        .await;
    assert_eq!(
        (delete.status.as_u16(), &delete.json["type"]),
        (412, &json!("condition-failed"))
    );
    let now = bench.get("/v1/sites/a").await;
    assert_eq!(delete.json["etag"], now.headers["etag"].to_str().unwrap());
    let absent = bench
        .ask("PUT /v1/sites/b", &[("if-match", "*")], document("four"))
        .await;
    assert_eq!(absent.status, 412);
}

#[tokio::test]
async fn a_host_belongs_to_one_site() {
    let bench = Bench::new().await;
    bench.put("/v1/sites/a", document("shop.example")).await;
    let taken = bench.put("/v1/sites/b", document("shop.example")).await;
    assert_eq!(
        (taken.status.as_u16(), &taken.json["type"]),
        (409, &json!("host-taken"))
    );
    let detail = taken.json["detail"].as_str().unwrap();
    assert!(
        detail.contains("\"shop.example\"") && detail.contains("\"a\""),
        "{detail}"
    );
    assert_eq!(
        bench
            .put("/v1/sites/a", document("www.shop.example"))
            .await
            .status,
        200
    );
    assert_eq!(
        bench
            .put("/v1/sites/b", document("shop.example"))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn several_sites_change_as_one_or_not_at_all() {
    let bench = Bench::new().await;
    let named = |name: &str, host: &str| {
        let mut document = document(host);
        document["name"] = name.into();
        document
    };
    let before = bench.get("/v1/sites").await.headers["etag"].clone();
    let etag = before.to_str().unwrap();
    let change = async |if_match: Option<&str>, body: &Value| {
        let headers: Vec<_> = if_match
            .map(|etag| ("if-match", etag))
            .into_iter()
            .collect();
        bench.ask("POST /v1/sites", &headers, body.clone()).await
    };
    let names = async || {
        let listed = bench.get("/v1/sites").await.json;
        let sites = listed["sites"].as_array().unwrap().clone();
        let told = sites.iter().map(|site| {
            let host = site["site"]["hosts"][0].as_str().unwrap();
            format!(
                "{} {host} {}",
                site["name"].as_str().unwrap(),
                site["revision"]
            )
        });
        told.collect::<Vec<_>>()
    };
    let both = json!({"put": [named("a", "a.example"), named("b", "b.example")]});
    let made = change(Some(etag), &both).await;
    let first = made.json["revision"].as_u64().unwrap();
    assert_eq!(made.headers["etag"], format!("\"{first}\""));
    let row = |name: &str, host: &str, revision: u64| format!("{name} {host}.example {revision}");
    assert_eq!(names().await, [row("a", "a", first), row("b", "b", first)]);
    let again = change(Some(etag), &both).await;
    assert_eq!(
        (again.status.as_u16(), &again.json["revision"]),
        (200, &json!(first)),
        "what is so already is done"
    );

    let refuse = async |if_match: Option<&str>, body: Value, status: u16, part: &str| {
        let refused = change(if_match, &body).await;
        assert_eq!(refused.status.as_u16(), status, "{refused:?}");
        let told = refused.json.to_string();
        assert!(told.contains(part), "{part}: {told}");
        assert_eq!(names().await.len(), 2, "{part}: nothing has changed");
    };
    let c = || named("c", "c.example");
    refuse(
        Some(etag),
        json!({"put": [c()]}),
        412,
        &format!("\\\"{first}\\\""),
    )
    .await;
    refuse(Some("*"), json!({"put": [c()]}), 400, "entity tag").await;
    let wrong =
        json!({"put": [c(), {"name": "d", "hosts": ["d"], "origin": "ftp://d"}], "delete": ["c"]});
    refuse(None, wrong.clone(), 400, "put[1].origin").await;
    refuse(None, wrong, 400, "is put, and deleted").await;
    refuse(None, json!({"put": [c(), c()]}), 400, "is put twice").await;
    refuse(None, json!({"put": [c()], "delte": []}), 400, "delte").await;
    refuse(
        None,
        json!({"put": [c(), named("d", "a.example")]}),
        409,
        "host-taken",
    )
    .await;
    let many: Vec<_> = (0..101).map(|n| format!("s{n}")).collect();
    refuse(None, json!({"delete": many}), 400, "at most 100").await;

    // Hosts change hands, and one site goes, in one revision.
    let swap =
        json!({"put": [named("b", "a.example"), named("c", "b.example")], "delete": ["a", "none"]});
    let made = change(Some(&format!("\"{first}\"")), &swap).await;
    let second = made.json["revision"].as_u64().unwrap();
    assert_eq!(
        names().await,
        [row("b", "a", second), row("c", "b", second)]
    );
    assert_eq!(change(None, &json!({})).await.json["revision"], second);
    let file = named("f", "f.example");
    let file = [(Site::from_document(&file).unwrap(), file)];
    bench.plane.adopt_file(&file).await.unwrap();
    let refused = change(None, &json!({"put": [c()], "delete": ["f"]})).await;
    assert_eq!(refused.json["type"], "owned-by-file");
}

#[tokio::test]
async fn planes_that_put_one_host_at_once_do_not_both_win() {
    let (one, other) = {
        let one = Bench::new().await;
        let other = one.second().await;
        (one, other)
    };
    for round in 0..20 {
        let host = format!("h{round}.example");
        let (path_a, path_b) = (format!("/v1/sites/a{round}"), format!("/v1/sites/b{round}"));
        let (a, b) = tokio::join!(
            one.put(&path_a, document(&host)),
            other.put(&path_b, document(&host))
        );
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
    }
}

/// As many as a deployment may have, and two of them change hosts.
#[tokio::test]
async fn a_file_of_ten_thousand_sites_is_adopted_in_steps() {
    let bench = Bench::new().await;
    let site = |n: usize, host: usize| {
        let mut document = document(&format!("s{host}.example"));
        document["name"] = format!("s{n}").into();
        (Site::from_document(&document).unwrap(), document)
    };
    let mut file: Vec<_> = (0..10_000).map(|n| site(n, n)).collect();
    let adopted = bench.plane.adopt_file(&file).await.unwrap();
    let sites = bench.plane.list_sites();
    assert_eq!(sites.len(), 10_000);
    let last = sites.iter().map(|site| site.document.revision).max();
    assert_eq!(adopted, last);
    assert!(
        sites[0].document.revision < last.unwrap(),
        "one step took all"
    );
    assert_eq!(bench.plane.adopt_file(&file).await.unwrap(), None);

    // Every document is another, and the first and the last have each other's host.
    for (n, (site, document)) in file.iter_mut().enumerate() {
        document["on_partition"] = "refuse".into();
        let host = [9_999, n, 0][1 + usize::from(n == 9_999) - usize::from(n == 0)];
        document["hosts"] = json!([format!("s{host}.example")]);
        *site = Site::from_document(document).unwrap();
    }
    bench.plane.adopt_file(&file).await.unwrap();
    let sites = bench.plane.list_sites();
    let revision = |name: &str| {
        let found = sites.iter().find(|site| site.document.name == name);
        found.unwrap().document.revision
    };
    assert_eq!(
        revision("s0"),
        revision("s9999"),
        "a host is never two sites'"
    );
    assert!(revision("s9000") > revision("s0"));
}

#[tokio::test]
async fn the_sites_of_a_file_belong_to_the_file() {
    let bench = Bench::new().await;
    let site = |name: &str, host: &str| {
        let mut document = document(host);
        document["name"] = name.into();
        (Site::from_document(&document).unwrap(), document)
    };
    bench.put("/v1/sites/a", document("a.example")).await;
    bench.put("/v1/sites/mine", document("mine.example")).await;
    let first = [site("a", "a.example"), site("b", "b.example")];
    let adopted = bench.plane.adopt_file(&first).await.unwrap();
    assert!(adopted.is_some());
    assert_eq!(
        bench.plane.adopt_file(&first).await.unwrap(),
        None,
        "identical content writes nothing"
    );
    let owners = |bench: &Bench| -> Vec<_> {
        let sites = bench.plane.list_sites().into_iter();
        sites
            .map(|site| (site.document.name, format!("{:?}", site.owner)))
            .collect()
    };
    let row = |name: &str, owner: &str| (name.to_owned(), owner.to_owned());
    assert_eq!(
        owners(&bench),
        [row("a", "File"), row("b", "File"), row("mine", "Api")]
    );
    let revisions = bench.plane.list_sites();
    assert_eq!(
        revisions[0].document.revision, revisions[1].document.revision,
        "one revision"
    );

    let put = bench.put("/v1/sites/a", document("a.example")).await;
    assert_eq!(
        (put.status.as_u16(), &put.json["type"]),
        (409, &json!("owned-by-file"))
    );
    assert_eq!(bench.delete("/v1/sites/a").await.status, 409);
    bench
        .plane
        .adopt_file(&[site("b", "a.example")])
        .await
        .unwrap();
    assert_eq!(
        owners(&bench),
        [row("b", "File"), row("mine", "Api")],
        "what went is gone"
    );
    let taken = bench
        .plane
        .adopt_file(&[site("b", "mine.example")])
        .await
        .unwrap_err();
    assert!(taken.to_string().contains("\"mine\""), "{taken}");
}
