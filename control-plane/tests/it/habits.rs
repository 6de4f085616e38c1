//! What a plug-in that was written for Cloudflare asks: which zone is its domain's, and that it be purged. The official one
//! for WordPress says how: <https://github.com/cloudflare/Cloudflare-WordPress>, `src/WordPress/WordPressClientAPI.php`.

use seawall_config::tokens::TokenScope;
use serde_json::{Value, json};

use crate::support::{Bench, token};

/// A deployment whose sites name hosts in each way.
async fn sites() -> Bench {
    let bench = Bench::new().await;
    bench.site("shop", "shop.example", "serve").await;
    bench.site("blog", "www.blog.example", "serve").await;
    bench.site("below", "*.many.example", "serve").await;
    bench.site("deeper", "*.deep.many.example", "serve").await;
    bench
}

/// What is answered who looks for this name: the zone with this id, or none.
async fn check(bench: &Bench, name: &str, more: &str, id: Option<&str>) {
    let path = format!("/client/v4/zones/?name={name}{more}");
    let answer = bench.get(&path).await;
    let zone = id.map(|id| json!({"id": id, "name": name, "status": "active"}));
    let (count, zones) = (u8::from(id.is_some()), Vec::from_iter(zone));
    let expect = json!({
        "success": true, "errors": [], "messages": [], "result": zones,
        "result_info": {
            "page": 1, "per_page": 1, "count": count, "total_count": count, "total_pages": count,
        },
    });
    assert_eq!(
        (answer.status.as_u16(), answer.json),
        (200, expect),
        "{path}"
    );
}

/// `getZoneTag`, and `formatDomain` of `src/WordPress/WordPressAPI.php`, which takes a leading `www.` off. The parameters:
/// <https://developers.cloudflare.com/api/resources/zones/methods/list/>.
#[tokio::test]
async fn a_zone_is_found_by_a_host_of_the_site() {
    let bench = sites().await;
    for (name, more, id) in [
        ("shop.example", "", Some("shop")),
        ("shop.example", "&status=active", Some("shop")),
        ("shop.example", "&status=pending", None),
        (
            "shop.example",
            "&page=1&per_page=50&order=status&match=all",
            Some("shop"),
        ),
        ("shop.example", "&page=2", None),
        ("SHOP.example", "", Some("shop")),
        ("blog.example", "", Some("blog")),
        ("www.blog.example", "", Some("blog")),
        ("www.shop.example", "", None),
        ("a.many.example", "", Some("below")),
        ("many.example", "", Some("below")),
        ("a.deep.many.example", "", Some("deeper")),
        ("nobody.example", "", None),
        ("contains:shop", "", None),
    ] {
        check(&bench, name, more, id).await;
    }
    check(&bench, &"a".repeat(4_000), "", None).await;
    // A host that is named goes before all the others.
    bench.site("rest", "*", "serve").await;
    check(&bench, "blog.example", "", Some("blog")).await;
    check(&bench, "nobody.example", "", Some("rest")).await;
    check(&bench, "a%20b", "", None).await;
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
            let message = nameless.json["errors"][0]["message"].as_str();
            assert!(message.is_some_and(|it| it.contains("name")), "{message:?}");
        }
    }
}

async fn guarded() -> Bench {
    use TokenScope::{Edge, Purge, Read, Write};
    sites().await.guarded(vec![
        token("reader", &[Read], &[]),
        token("purger", &[Purge], &[]),
        token("writer", &[Write], &[]),
        token("edges", &[Edge], &[]),
        token("shop-purger", &[Purge], &["shop"]),
        token("shop-cms", &[Read, Purge], &["shop"]),
        token("blog-writer", &[Write], &["blog"]),
    ])
}

/// The status, and the id in the answer.
async fn ask(bench: &Bench, line: &str, token: &str, body: Value) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let fields: &[_] = match token {
        "" => &[],
        _ => &[("authorization", &*bearer)],
    };
    let answer = bench.ask(line, fields, body).await;
    (
        answer.status.as_u16(),
        answer.json["result"][0]["id"].clone(),
    )
}

#[tokio::test]
async fn a_zone_is_shown_to_whoever_may_see_the_site() {
    let bench = guarded().await;
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
        let found = ask(&bench, shop, token, Value::Null).await;
        assert_eq!(found, (status, json!(id)), "{token}");
    }
}

/// `zonePurgeCache` and `zonePurgeFiles`: DELETE, with a body.
#[tokio::test]
async fn delete_purges_for_whoever_may_post_the_same() {
    let bench = guarded().await;
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
                let posted = ask(&bench, &line("POST"), token, body.clone()).await;
                let deleted = ask(&bench, &line("DELETE"), token, body.clone()).await;
                assert_eq!(deleted, posted, "{token} {zone} {body}");
            }
        }
    }
    let purge = "DELETE /zones/shop/purge_cache";
    let body = json!({"purge_everything": true});
    assert_eq!(ask(&bench, purge, "shop-cms", body.clone()).await.0, 200);
    assert_eq!(ask(&bench, purge, "reader", body).await.0, 403);
}
