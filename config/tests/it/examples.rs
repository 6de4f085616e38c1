//! Every example loads, and shows every word.

use std::time::Duration;

use seawall_config::file::{SiteFile, to_toml};
use seawall_config::roles::{ControlPlaneConfig, EdgeConfig};
use seawall_config::schema::{Default, TABLES};
use seawall_config::site::{
    ClientDirectives, ContentCoding, HostPattern, OnPartition, Policy, SetCookie,
};

pub(crate) const SITE: &str = include_str!("../../examples/site.toml");
pub(crate) const SITES: &str = include_str!("../../examples/sites.toml");
pub(crate) const EDGE: &str = include_str!("../../examples/edge.toml");
pub(crate) const CONTROL_PLANE: &str = include_str!("../../examples/control-plane.toml");
pub(crate) const TOKENS: &str = include_str!("../../examples/tokens.toml");
pub(crate) const CONFORMANCE: &str = include_str!("../../examples/conformance.toml");

fn sites(text: &str) -> SiteFile {
    SiteFile::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_rules_of_one_site_override_its_words_one_by_one() {
    let file = sites(SITE);
    let site = &file.sites[0].0;
    let whole = Policy {
        default_ttl: Some(Duration::from_secs(60)),
        negative_ttl: Some(Duration::from_secs(5)),
        stale_while_revalidate: Some(Duration::from_secs(30)),
        stale_if_error: Some(Duration::from_secs(3600)),
        compress: vec![
            ContentCoding::Zstd,
            ContentCoding::Brotli,
            ContentCoding::Gzip,
        ],
        ..Policy::default()
    };
    let check = |path: &str, expect: Policy| assert_eq!(site.policy(path), &expect, "{path}");
    check("/", whole.clone());
    check(
        "/account/orders.pdf",
        Policy {
            cache: false,
            compress: Vec::new(),
            ..whole
        },
    );
    let week = Duration::from_secs(7 * 24 * 3600);
    check(
        "/static/a.png",
        Policy {
            default_ttl: Some(week),
            set_cookie: SetCookie::Strip,
            ..whole.clone()
        },
    );
    let hour = Some(Duration::from_secs(3600));
    check(
        "/prices.pdf",
        Policy {
            default_ttl: hour,
            on_partition: OnPartition::Revalidate,
            ..whole
        },
    );
}

#[test]
fn several_sites_stand_in_one_file_with_pools_and_wildcards() {
    let file = sites(SITES);
    let [news, shops, rest] = [0, 2, 3].map(|i| &file.sites[i].0);
    let servers: Vec<_> = news
        .origin
        .servers
        .iter()
        .map(|s| (s.tls, s.host.as_str(), s.port, s.weight))
        .collect();
    assert_eq!(
        servers,
        [
            (true, "192.0.2.10", 443, 3),
            (true, "2001:db8::10", 8443, 1)
        ]
    );
    assert_eq!(news.origin.host.as_deref(), Some("news.example.com"));
    assert_eq!(
        news.origin.tls.server_name.as_deref(),
        Some("origin.news.example.com")
    );
    assert!(news.origin.tls.verify && news.origin.tls.ca.is_some());
    assert_eq!(
        (news.policy.set_cookie, news.policy.surrogate_control),
        (SetCookie::Store, true)
    );
    assert_eq!(
        shops.hosts,
        [HostPattern::Below("shops.example.com".into())]
    );
    assert_eq!(shops.policy.on_partition, OnPartition::Refuse);
    assert_eq!(shops.policy.client_directives, ClientDirectives::Honour);
    assert_eq!(
        shops.policy("/api/x").client_directives,
        ClientDirectives::Ignore
    );
    assert_eq!(shops.policy("/api/x").on_partition, OnPartition::Refuse);
    assert_eq!(
        shops.policy("/api/x").default_ttl,
        Some(Duration::from_millis(500))
    );
    assert_eq!(rest.hosts, [HostPattern::Any]);
}

#[test]
fn the_conformance_site_differs_from_the_defaults_in_two_words() {
    let file = sites(CONFORMANCE);
    let (site, document) = &file.sites[0];
    let expect = Policy {
        client_directives: ClientDirectives::Honour,
        surrogate_control: true,
        ..Policy::default()
    };
    assert_eq!(site.policy, expect);
    assert_eq!(
        (site.name.as_str(), &site.hosts[..]),
        ("default", &[HostPattern::Any][..])
    );
    assert_eq!(document["origin"], "http://127.0.0.1:8000");
}

#[test]
fn the_roles_load() {
    let edge = EdgeConfig::parse(EDGE).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((edge.id.as_str(), edge.place.as_str()), ("fra1-a", "fra1"));
    assert_eq!(
        edge.control_planes,
        ["http://127.0.0.1:9080", "http://127.0.0.1:9180"]
    );
    assert_eq!(edge.cache_bytes, Some(4 << 30));
    assert_eq!(edge.listen_tls, Some("0.0.0.0:8443".parse().unwrap()));
    let plane =
        ControlPlaneConfig::parse(CONTROL_PLANE).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(plane.listen, "127.0.0.1:9080".parse().unwrap());
    let tokens = seawall_config::tokens::parse(TOKENS).unwrap_or_else(|it| panic!("{it}"));
    let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names, ["operators", "shop-cms", "edges"]);
    assert_eq!(tokens[1].sites, ["shop"]);
}

#[test]
fn a_file_written_from_an_examples_documents_reads_back_the_same() {
    for text in [SITE, SITES, CONFORMANCE] {
        let file = sites(text);
        let documents: Vec<_> = file
            .sites
            .iter()
            .map(|(_, document)| document.clone())
            .collect();
        assert_eq!(sites(&to_toml(&documents)), file);
    }
}

#[test]
fn every_word_stands_in_an_example_and_what_is_not_built_in_a_comment() {
    // Headers are made plain, so that `[[site.rule]]` and `path = …` become `site.rule.path`.
    let mut live = std::collections::BTreeSet::new();
    let mut comments = String::new();
    for text in [SITE, SITES, CONFORMANCE, EDGE, CONTROL_PLANE, TOKENS] {
        let mut header = String::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                comments.push_str(&format!("{header}.{}\n", comment.trim()));
            } else if line.starts_with('[') {
                header = line.trim_matches(['[', ']']).to_owned();
                live.insert(header.clone());
            } else if let Some((word, _)) = line.split_once(" = ") {
                live.insert(format!("{header}.{word}"));
            }
        }
    }
    for table in TABLES {
        for word in table.words {
            let path = format!("{}.{}", table.path, word.name);
            let commented = comments.lines().any(|line| line.starts_with(&path));
            match word.default {
                Default::NotYet => assert!(
                    commented && !live.contains(&path),
                    "{path} is not built yet"
                ),
                _ => assert!(
                    live.contains(&path) || commented,
                    "{path} stands in no example"
                ),
            }
        }
    }
}
