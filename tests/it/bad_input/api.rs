//! The API: every refusal is an RFC 9457 problem that names what is wrong.

use serde_json::{Value, json};

use crate::support::{Connection, Origin, Response, Seawall, ok};

/// More than a site, or a list of purges, may have.
const TOO_MANY_BYTES: usize = 2 * 1024 * 1024;

#[test]
fn a_bad_request_to_the_api_is_a_problem_and_changes_nothing() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let site = json!({"hosts": ["a.test"], "origin": origin.url()});
    assert_eq!(seawall.api("PUT", "/v1/sites/a", Some(site.clone())).0, 201);
    let changed = json!({"hosts": ["other.test"], "origin": origin.url()});
    let before = seawall.api("GET", "/v1/sites", None).1;

    let json = ("content-type", "application/json");
    let check = |request: &str, field: (&str, &str), body: &str, status: u16, says: &[&str]| {
        let (method, path) = request.split_once(' ').unwrap();
        let fields: Vec<_> = [field, json]
            .into_iter()
            .take(if field.0 == "content-type" { 1 } else { 2 })
            .collect();
        let answer =
            Connection::open(seawall.admin()).request(method, path, &fields, body.as_bytes());
        is_problem(&answer, status, says);
    };
    let put = "PUT /v1/sites/b";
    let none = ("accept", "*/*");
    check(put, none, "{\"hosts\":", 400, &["EOF"]);
    check(put, none, "[]", 400, &[]);
    check(put, none, "{}", 400, &["hosts", "origin", "is missing"]);
    check(
        put,
        none,
        r#"{"hosts":["b.test"],"orign":"http://127.0.0.1:1"}"#,
        400,
        &["orign", "did you mean", "origin"],
    );
    check(
        put,
        none,
        r#"{"hosts":["b.test"],"origin":"127.0.0.1:1"}"#,
        400,
        &["origin", "has no scheme"],
    );
    check(
        put,
        none,
        r#"{"name":"c","hosts":["b.test"],"origin":"http://127.0.0.1:1"}"#,
        400,
        &["name"],
    );
    check(
        put,
        none,
        r#"{"hosts":["a.test"],"origin":"http://127.0.0.1:1"}"#,
        409,
        &["a.test"],
    );
    check("PUT /v1/sites/B", none, &site.to_string(), 400, &["name"]);
    check(
        put,
        none,
        &" ".repeat(TOO_MANY_BYTES),
        413,
        &["at most", "bytes"],
    );
    check(
        put,
        ("content-type", "text/plain"),
        &site.to_string(),
        415,
        &["application/json"],
    );
    check(
        put,
        ("content-type", "application/x-www-form-urlencoded"),
        "a=b",
        415,
        &["application/json"],
    );
    check(
        "PUT /v1/sites/a",
        ("if-match", "\"1\""),
        &changed.to_string(),
        412,
        &["condition-failed"],
    );
    check(
        "DELETE /v1/sites/a",
        ("if-match", "\"1\""),
        "",
        412,
        &["condition-failed"],
    );
    check(
        "PUT /v1/sites/default",
        none,
        &site.to_string(),
        409,
        &["owned-by-file", "default"],
    );
    check(
        "DELETE /v1/sites/default",
        none,
        "",
        409,
        &["owned-by-file"],
    );
    check("DELETE /v1/sites/none", none, "", 404, &["none"]);

    let purge = "POST /v1/purges";
    check(purge, none, "{}", 400, &["nothing"]);
    check(purge, none, r#"{"urls":[],"all":false}"#, 400, &["nothing"]);
    check(purge, none, r#"{"pages":["/a"]}"#, 400, &["pages"]);
    check(purge, none, r#"{"urls":["/a"]}"#, 400, &["urls[0]"]);
    check(purge, none, r#"{"urls":"http://a.test/"}"#, 400, &["urls"]);
    check(purge, none, r#"{"tags":["two words"]}"#, 400, &["tags[0]"]);
    check(
        purge,
        none,
        r#"{"sites":["nobody"]}"#,
        400,
        &["sites[0]", "nobody"],
    );
    check(
        purge,
        none,
        r#"{"all":true,"mode":"gentle"}"#,
        400,
        &["mode"],
    );
    check(purge, none, "not json", 400, &[]);
    check(
        purge,
        none,
        &format!("{{\"all\":true}}{}", " ".repeat(TOO_MANY_BYTES)),
        413,
        &["at most"],
    );
    check(
        purge,
        ("content-type", "text/plain"),
        r#"{"all":true}"#,
        415,
        &["application/json"],
    );
    check(
        "POST /v1/purges?wait=forever",
        none,
        r#"{"all":true}"#,
        400,
        &["wait", "forever"],
    );
    check(
        "POST /v1/purges?wait=complete&timeout=5",
        none,
        r#"{"all":true}"#,
        400,
        &["timeout", "5s"],
    );
    check(
        "POST /v1/purges?wiat=complete",
        none,
        r#"{"all":true}"#,
        400,
        &["wiat"],
    );
    check(
        "POST /v1/sites?wait=complete",
        none,
        "{}",
        400,
        &["wait", "only a purge", "/v1/edges"],
    );
    check("GET /v1/purges/one", none, "", 400, &[]);
    check("GET /v1/purges/99999999", none, "", 404, &["99999999"]);
    check(
        "GET /v1/nowhere",
        none,
        "",
        404,
        &["/v1/nowhere", "/openapi.json"],
    );
    check("PATCH /v1/sites/a", none, "{}", 405, &["Allow"]);
    for request in [
        "GET /v1/sites",
        "POST /v1/purges",
        "DELETE /v1/sites/a",
        "GET /metrics",
        "GET /readyz",
    ] {
        check(
            request,
            ("host", "evil.example"),
            r#"{"all":true}"#,
            403,
            &["localhost"],
        );
    }
    assert_eq!(
        seawall.api("GET", "/v1/sites", None).1,
        before,
        "something changed"
    );
    origin.says("/a", ok("a").max_age(60));
    assert_eq!(seawall.get_with("/a", &[("host", "a.test")]).text(), "a");
}

#[test]
fn a_purge_that_was_refused_purged_nothing() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(60));
    seawall.get("/a").is("MISS", "a");
    let (status, problem, _) = seawall.api(
        "POST",
        "/v1/purges",
        Some(json!({"all": true, "urls": ["/nowhere"]})),
    );
    assert_eq!(status, 400, "{problem}");
    // What comes later in the order has arrived: so would it have.
    seawall.purge(json!({"tags": ["other"]}));
    seawall.get("/a").is("HIT", "a");
}

#[test]
fn a_site_changes_only_for_who_knows_what_it_is_now() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let site = |ttl: &str| json!({"name": "a", "hosts": ["a.test"], "origin": origin.url(), "cache": {"default_ttl": ttl}});
    let (_, _, fields) = seawall.api("PUT", "/v1/sites/a", Some(site("1s")));
    let etag = fields
        .into_iter()
        .find(|(name, _)| name == "etag")
        .unwrap()
        .1;
    let put = |etag: &str, ttl: &str| {
        seawall.api_with("PUT", "/v1/sites/a", &[("if-match", etag)], Some(site(ttl)))
    };
    assert_eq!(put(&etag, "2s").0, 200);
    let (status, problem, _) = put(&etag, "3s");
    assert_eq!(status, 412, "{problem}");
    assert_ne!(
        problem["etag"],
        Value::Null,
        "it says what is there: {problem}"
    );
    assert_eq!(seawall.api("GET", "/v1/sites/a", None).1, site("2s"));
    let output = seawall.command(&["site", "delete", "a", "--if-match", &etag]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// RFC 9457, with this status, and all of `says` in it.
#[track_caller]
fn is_problem(answer: &Response, status: u16, says: &[&str]) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(
        answer.field("content-type"),
        Some("application/problem+json"),
        "{text}"
    );
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], status, "{text}");
    for word in ["type", "title", "detail"] {
        assert!(problem[word].is_string(), "{word} is missing: {text}");
    }
    for part in says {
        assert!(text.contains(part), "nothing of {part:?}: {text}");
    }
}
