#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use serde_json::json;

use super::*;

const RIGHTS: [Right; 9] = [
    Right::See,
    Right::SeeAll,
    Right::SeeSite,
    Right::FindSite,
    Right::Purge,
    Right::WriteSite,
    Right::WriteAll,
    Right::Follow,
    Right::BeEdge,
];

fn token(name: &str, scopes: &[TokenScope], sites: &[&str]) -> TokenEntry {
    TokenEntry {
        name: name.into(),
        sha256: hash_of(name),
        scopes: scopes.to_vec(),
        sites: sites.iter().map(ToString::to_string).collect(),
        edges: Vec::new(),
    }
}

#[test]
fn a_token_may_what_its_scopes_say_and_no_more() {
    use TokenScope::*;
    let check = |scopes: &[TokenScope], sites: &[&str], named: &str, expect: &[Right]| {
        let who = Who::Token(token("t", scopes, sites));
        let may: Vec<_> = RIGHTS
            .into_iter()
            .filter(|right| who.may(*right, Some(named)).is_ok())
            .collect();
        assert_eq!(may, expect, "{scopes:?} {sites:?} {named}");
    };
    let read = [
        Right::See,
        Right::SeeAll,
        Right::SeeSite,
        Right::FindSite,
        Right::Follow,
    ];
    check(&[Read], &[], "shop", &read);
    check(&[Purge], &[], "shop", &[Right::See, Right::Purge]);
    check(
        &[Write],
        &[],
        "shop",
        &[
            Right::See,
            Right::SeeSite,
            Right::FindSite,
            Right::WriteSite,
            Right::WriteAll,
        ],
    );
    check(
        &[Edge],
        &[],
        "e1",
        &[Right::See, Right::Follow, Right::BeEdge],
    );
    check(&[Read, Purge, Write, Edge], &[], "x", &RIGHTS);
    let own = [Right::See, Right::SeeSite, Right::FindSite];
    check(&[Read], &["shop"], "shop", &own);
    check(&[Read], &["shop"], "other", &[Right::See, Right::FindSite]);
    check(
        &[Write],
        &["shop"],
        "shop",
        &[
            Right::See,
            Right::SeeSite,
            Right::FindSite,
            Right::WriteSite,
        ],
    );
    check(&[Write], &["shop"], "other", &[Right::See, Right::FindSite]);
    check(&[Purge], &["shop"], "other", &[Right::See, Right::Purge]);
}

#[test]
fn a_token_may_be_limited_to_some_edges() {
    let mut entry = token("t", &[TokenScope::Edge], &[]);
    entry.edges = vec!["e1".into()];
    let who = Who::Token(entry);
    for (edge, expect) in [(Some("e1"), true), (Some("e2"), false), (None, false)] {
        assert_eq!(who.may(Right::BeEdge, edge).is_ok(), expect, "{edge:?}");
    }
    assert!(who.may(Right::Follow, None).is_ok());
}

#[test]
fn a_limited_token_claims_no_host() {
    let site = |hosts: &[&str]| {
        let document = json!({"name": "shop", "hosts": hosts, "origin": "http://127.0.0.1:1"});
        Site::from_document(&document).unwrap()
    };
    let there = site(&["a.example", "*.b.example"]);
    let check = |there: Option<&Site>, hosts: &[&str], expect: bool| {
        assert_eq!(may_put(there, &site(hosts)).is_ok(), expect, "{hosts:?}");
    };
    check(Some(&there), &["a.example", "*.b.example"], true);
    check(Some(&there), &["A.example"], true);
    check(Some(&there), &["a.example", "other.example"], false);
    check(Some(&there), &["*.b.example", "www.b.example"], false);
    check(Some(&there), &["*"], false);
    check(None, &["a.example"], false);
}

#[test]
fn a_certificate_is_one_edge_and_nobody_else() {
    let who = Who::Edge("fra1-a".into());
    for right in RIGHTS {
        let expect = matches!(right, Right::See | Right::Follow | Right::BeEdge);
        assert_eq!(who.may(right, Some("fra1-a")).is_ok(), expect, "{right:?}");
    }
    assert!(who.may(Right::BeEdge, Some("fra1-b")).is_err());
    assert!(who.may(Right::BeEdge, None).is_err());
}

#[test]
fn whoever_shows_nothing_that_is_known_is_nobody() {
    let tokens = Tokens::new(vec![
        token("secret", &[TokenScope::Read], &[]),
        token("other", &[TokenScope::Purge], &[]),
    ]);
    let access = Access::Guarded(tokens.clone());
    let check =
        |access: &Access, edge: Option<&str>, values: &[&str], expect: Result<&str, Denied>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            let caller = Caller {
                edge: edge.map(str::to_owned),
                ..Caller::unknown()
            };
            let found = identify(access, &caller, &headers);
            assert_eq!(
                found.as_ref().map(Who::name).map_err(Clone::clone),
                expect,
                "{edge:?} {values:?}"
            );
        };
    check(&access, None, &["Bearer secret"], Ok("secret"));
    check(&access, None, &["bearer  other"], Ok("other"));
    check(&access, None, &[], Err(Denied::Unknown));
    check(&access, None, &["Bearer wrong"], Err(Denied::Unknown));
    check(&access, None, &["Basic secret"], Err(Denied::Unknown));
    check(&access, None, &["secret"], Err(Denied::Unknown));
    check(
        &access,
        None,
        &["Bearer secret", "Bearer secret"],
        Err(Denied::Unknown),
    );
    check(
        &access,
        None,
        &[&format!("Bearer {}", "x".repeat(300))],
        Err(Denied::Unknown),
    );
    check(&access, Some("e1"), &[], Ok("e1"));
    // A wrong token is not made up for by a certificate.
    check(&access, Some("e1"), &["Bearer wrong"], Err(Denied::Unknown));
    check(&Access::Open, None, &[], Ok("anyone on this machine"));
    tokens.replace(vec![token("new", &[TokenScope::Read], &[])]);
    check(&access, None, &["Bearer secret"], Err(Denied::Unknown));
    check(&access, None, &["Bearer new"], Ok("new"));
}

#[test]
fn a_limited_token_purges_what_is_its_own() {
    let site = |name: &str, hosts: &[&str]| {
        let document = json!({"name": name, "hosts": hosts, "origin": "http://127.0.0.1:1"});
        Site::from_document(&document).unwrap()
    };
    let sites = [site("shop", &["shop.example.com", "*.shop.example.com"])];
    let check = |request: serde_json::Value, expect: bool| {
        let request: seawall_config::scope::PurgeRequest = serde_json::from_value(request).unwrap();
        let scopes = request.check().unwrap().scopes;
        assert_eq!(may_purge(&scopes, &sites).is_ok(), expect, "{scopes:?}");
    };
    check(json!({"sites": ["shop"]}), true);
    check(json!({"sites": ["shop", "other"]}), false);
    check(
        json!({"urls": ["https://shop.example.com/a", "http://shop.example.com:8080/a"]}),
        true,
    );
    check(json!({"prefixes": ["shop.example.com/a"]}), true);
    check(json!({"hosts": ["shop.example.com"]}), true);
    // Another site may name exactly what this one names by a pattern.
    check(json!({"hosts": ["www.shop.example.com"]}), false);
    check(json!({"urls": ["https://other.example.com/a"]}), false);
    check(json!({"tags": ["a"]}), false);
    check(json!({"all": true}), false);
    check(json!({"sites": ["shop"], "all": true}), false);
}
