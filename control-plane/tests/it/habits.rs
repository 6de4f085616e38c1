//! What a plug-in that was written for Cloudflare asks: which zone is its domain's, and that it be purged. The official one
//! for WordPress says how: <https://github.com/cloudflare/Cloudflare-WordPress>, `src/WordPress/WordPressClientAPI.php`.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use seawall_config::tokens::{TokenEntry, TokenScope};
use seawall_control_plane::api::{self, Access, Tokens};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::Bench;

/// A deployment whose sites name hosts in each way.
async fn sites() -> Bench {
    let bench = Bench::new().await;
    bench.site("shop", "shop.example", "serve").await;
    bench.site("blog", "www.blog.example", "serve").await;
    bench.site("below", "*.many.example", "serve").await;
    bench.site("deeper", "*.deep.many.example", "serve").await;
    bench
}

/// The ids of the zones that were found, each under the name that was asked for.
async fn found(bench: &Bench, query: &str) -> Vec<String> {
    let answer = bench.get(&format!("/client/v4/zones/?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let said = [
        &answer.json["success"],
        &answer.json["errors"],
        &answer.json["messages"],
    ];
    assert_eq!(said, [&json!(true), &json!([]), &json!([])], "{query}");
    let zones = answer.json["result"].as_array().unwrap();
    let info = &answer.json["result_info"];
    assert_eq!(
        (&info["count"], &info["page"]),
        (&json!(zones.len()), &json!(1)),
        "{query}"
    );
    let ids = zones.iter().map(|zone| {
        assert_eq!(zone["status"], "active", "{query}");
        let name = zone["name"].as_str().unwrap();
        assert!(query.contains(&format!("name={name}")), "{query}: {name}");
        zone["id"].as_str().unwrap().to_owned()
    });
    ids.collect()
}

/// `getZoneTag`, and `formatDomain` of `src/WordPress/WordPressAPI.php`, which takes a leading `www.` off. The parameters:
/// <https://developers.cloudflare.com/api/resources/zones/methods/list/>.
#[tokio::test]
async fn a_zone_is_found_by_a_host_of_the_site() {
    let bench = sites().await;
    let check = async |query: &str, expect: &[&str]| {
        assert_eq!(found(&bench, query).await, expect, "{query}");
    };
    check("name=shop.example", &["shop"]).await;
    check("name=shop.example&status=active", &["shop"]).await;
    check("name=shop.example&status=pending", &[]).await;
    check(
        "name=shop.example&page=1&per_page=50&order=status&match=all",
        &["shop"],
    )
    .await;
    check("name=shop.example&page=2", &[]).await;
    check("name=SHOP.example", &["shop"]).await;
    check("name=blog.example", &["blog"]).await;
    check("name=www.blog.example", &["blog"]).await;
    check("name=www.shop.example", &[]).await;
    check("name=a.many.example", &["below"]).await;
    check("name=many.example", &["below"]).await;
    check("name=a.deep.many.example", &["deeper"]).await;
    check("name=nobody.example", &[]).await;
    check("name=contains:shop", &[]).await;
    check(&format!("name={}", "a".repeat(4_000)), &[]).await;
    // A host that is named goes before all the others.
    bench.site("rest", "*", "serve").await;
    check("name=blog.example", &["blog"]).await;
    check("name=nobody.example", &["rest"]).await;
    check("name=a%20b", &[]).await;
}

#[tokio::test]
async fn a_zone_is_looked_up_with_and_without_the_slash_and_by_its_name_only() {
    let bench = sites().await;
    for path in ["/zones", "/zones/", "/client/v4/zones", "/client/v4/zones/"] {
        let answer = bench.get(&format!("{path}?name=shop.example")).await;
        assert_eq!(answer.json["result"][0]["id"], "shop", "{path}: {answer:?}");
        // The plug-in then asks again by name: `returnWordPressDomain` of `src/WordPress/ClientActions.php`.
        for query in ["", "?name=", "?status=active"] {
            let nameless = bench.get(&format!("{path}{query}")).await;
            let found = (nameless.status.as_u16(), &nameless.json["success"]);
            assert_eq!(found, (400, &json!(false)), "{path}{query}");
            let message = nameless.json["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("name"), "{message}");
        }
    }
}

fn token(name: &str, scopes: &[TokenScope], sites: &[&str]) -> TokenEntry {
    TokenEntry {
        name: name.into(),
        sha256: api::hash_of(name),
        scopes: scopes.to_vec(),
        sites: sites.iter().map(ToString::to_string).collect(),
        edges: Vec::new(),
    }
}

fn guarded(bench: &Bench) -> Router {
    use TokenScope::{Edge, Purge, Read, Write};
    let tokens = Tokens::new(vec![
        token("reader", &[Read], &[]),
        token("purger", &[Purge], &[]),
        token("writer", &[Write], &[]),
        token("edges", &[Edge], &[]),
        token("shop-purger", &[Purge], &["shop"]),
        token("shop-cms", &[Read, Purge], &["shop"]),
        token("blog-writer", &[Write], &["blog"]),
    ]);
    api::router(bench.plane.clone(), &Access::Guarded(tokens))
}

/// The status, and the id in the answer.
async fn ask(router: &Router, line: &str, token: &str, body: Value) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json: Value = serde_json::from_slice(&body).unwrap();
    (head.status.as_u16(), json["result"][0]["id"].clone())
}

#[tokio::test]
async fn a_zone_is_shown_to_whoever_may_see_the_site() {
    let bench = sites().await;
    let router = guarded(&bench);
    let shop = "GET /client/v4/zones/?name=shop.example&status=active";
    let rows = [
        ("", 401, None),
        ("wrong", 401, None),
        ("purger", 403, None),
        ("edges", 403, None),
        ("shop-purger", 403, None),
        ("reader", 200, Some("shop")),
        ("writer", 200, Some("shop")),
        ("shop-cms", 200, Some("shop")),
        ("blog-writer", 200, None),
    ];
    for (token, status, id) in rows {
        let found = ask(&router, shop, token, Value::Null).await;
        assert_eq!(found, (status, json!(id)), "{token}");
    }
}

/// `zonePurgeCache` and `zonePurgeFiles`: DELETE, with a body.
#[tokio::test]
async fn delete_purges_for_whoever_may_post_the_same() {
    let bench = sites().await;
    let router = guarded(&bench);
    let tokens = [
        "",
        "wrong",
        "reader",
        "writer",
        "edges",
        "purger",
        "shop-purger",
        "shop-cms",
    ];
    for token in tokens {
        for zone in ["shop", "blog", "nobody"] {
            let everything = json!({"purge_everything": true});
            let files = json!({"files": ["https://shop.example/a"]});
            for body in [everything, files, json!({"files": 7}), json!({})] {
                let line = |method| format!("{method} /client/v4/zones/{zone}/purge_cache");
                let posted = ask(&router, &line("POST"), token, body.clone()).await;
                let deleted = ask(&router, &line("DELETE"), token, body.clone()).await;
                assert_eq!(deleted, posted, "{token} {zone} {body}");
            }
        }
    }
    let purge = "DELETE /zones/shop/purge_cache";
    let body = json!({"purge_everything": true});
    assert_eq!(ask(&router, purge, "shop-cms", body.clone()).await.0, 200);
    assert_eq!(ask(&router, purge, "reader", body).await.0, 403);
}
