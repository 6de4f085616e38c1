//! What is said of a wrong configuration: all of it, where, and what to write instead.

use seawall_config::Site;
use seawall_config::file::SiteFile;
use seawall_config::site::{HOSTS_MAX, RULES_MAX, SERVERS_MAX};
use serde_json::{Value, json};

use crate::{lines, site_with};

#[test]
fn a_broken_file_is_told_all_at_once_with_line_and_caret() {
    let text = "\
[[site]]
name = \"Shop\"
hosts = [\"shop.example\", \"https://www.shop.example/a\"]
origin = \"127.0.0.1:9000\"
[site.cache]
\tdefault_tll = \"60s\"
stale_if_error = 60
[[site.rule]]
cache = \"of\"
[[site]]
name = \"日本\"
hosts = [\"SHOP.example\"]
origin = \"http://127.0.0.1\"
";
    let expect = r#"9 problems:
  site[0].name: "Shop" is not a site name: 1 to 63 of a-z 0-9 - _ . beginning with a letter or digit
    |
  2 | name = "Shop"
    |        ^^^^^^
  site[0].hosts[1]: "https://www.shop.example/a" has a scheme; write the host alone: "www.shop.example"
    |
  3 | hosts = ["shop.example", "https://www.shop.example/a"]
    |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  site[0].origin: "127.0.0.1:9000" has no scheme; write "http://127.0.0.1:9000"
    |
  4 | origin = "127.0.0.1:9000"
    |          ^^^^^^^^^^^^^^^^
  site[0].cache.default_tll: [site.cache] does not know this word; did you mean "default_ttl"?
    |
  6 |  default_tll = "60s"
    |  ^^^^^^^^^^^
  site[0].cache.stale_if_error: 60 of what? Write the unit, such as "60s" for seconds (ms, s, m, h, d)
    |
  7 | stale_if_error = 60
    |                  ^^
  site[0].rule[0].path: is missing; expected a text
    |
  8 | [[site.rule]]
    | ^^^^^^^^^^^^^
  site[0].rule[0].cache: "of" is not one of "on", "off"
    |
  9 | cache = "of"
    |         ^^^^
  site[1].name: "日本" is not a site name: 1 to 63 of a-z 0-9 - _ . beginning with a letter or digit
     |
  11 | name = "日本"
     |        ^^^^^^
  site[1].hosts[0]: the host "shop.example" is taken at site[0].hosts[0] already
     |
  12 | hosts = ["SHOP.example"]
     |          ^^^^^^^^^^^^^^
"#;
    assert_eq!(SiteFile::parse(text).unwrap_err().to_string(), expect);
}

#[test]
fn what_is_not_toml_is_shown_where_it_stops_being() {
    let text = SiteFile::parse("[[site]]\nname = \"a\nhosts = []\n")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("not TOML") && text.contains("  2 | name = \"a\n") && text.contains('^'),
        "{text}"
    );
    let text = SiteFile::parse("[[site]]\nname = 1\nname = 2\n")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("duplicate key") && text.contains("  3 | name = 2\n"),
        "{text}"
    );
    let text = SiteFile::parse(
        "[[site]]\nname = 1979-05-27\nhosts = [nan]\norigin = 99999999999999999999\n",
    );
    let text = text.unwrap_err().to_string();
    assert!(
        text.contains("a date; if it is a text, put it in quotes") && text.contains("^^^^^^^^^^\n"),
        "{text}"
    );
    assert_eq!(
        text.matches("no word takes a number like this").count(),
        2,
        "{text}"
    );
    // Nested deeper than the parser goes, and never deeper than the stack.
    assert!(SiteFile::parse(&format!("a = {}", "[".repeat(1_000_000))).is_err());
}

#[test]
fn a_shape_that_does_not_fit_is_named() {
    let check = |word: &str, value: Value, expect: &str| {
        assert_eq!(
            lines(Site::from_document(&site_with(word, value))),
            [expect]
        );
    };
    check("name", json!(1), "name: expected a text, not a number");
    check("name", json!(null), "name: expected a text, not null");
    check("name", json!(""), "name: is empty");
    check(
        "hosts",
        json!([]),
        "hosts: is empty; at least one is needed",
    );
    check(
        "hosts",
        json!("a"),
        "hosts: expected a list of 1 to 1000 texts, not a text",
    );
    check(
        "hosts",
        json!(["a", 2]),
        "hosts[1]: expected a text, not a number",
    );
    check(
        "hosts",
        json!(["a", "b", "A"]),
        "hosts[2]: the host \"a\" is taken at hosts[0] already",
    );
    check(
        "hosts",
        json!(vec!["a"; HOSTS_MAX + 1]),
        "hosts: has 1001 entries; at most 1000 are allowed",
    );
    check(
        "cache",
        json!("on"),
        "cache: expected the table [site.cache], not a text",
    );
    check(
        "cache",
        json!({"surrogate_control": "yes"}),
        "cache.surrogate_control: expected true or false (without quotes), not a text",
    );
    check(
        "cache",
        json!({"compress": "gzip"}),
        "cache.compress: expected a list of any of \"zstd\", \"br\", \"gzip\", not a text",
    );
    check(
        "cache",
        json!({"compress": ["gzip", "deflate"]}),
        "cache.compress[1]: \"deflate\" is not one of \"zstd\", \"br\", \"gzip\"",
    );
    check(
        "cache",
        json!({"compress": ["br", "gzip", "br"]}),
        "cache.compress[2]: is in the list already",
    );
    check(
        "origin",
        json!(["http://a"]),
        "origin: expected a text or the table [site.origin], not a list",
    );
    check(
        "origin",
        json!({}),
        "origin.server: is missing; expected 1 to 256 tables [[site.origin.server]]",
    );
    check(
        "origin",
        json!({"server": []}),
        "origin.server: is empty; at least one is needed",
    );
    let servers = json!({"server": vec![json!({"url": "http://a"}); SERVERS_MAX + 1]});
    check(
        "origin",
        servers,
        "origin.server: has 257 entries; at most 256 are allowed",
    );
    check(
        "rule",
        json!(vec![json!({"path": "*"}); RULES_MAX + 1]),
        "rule: has 1001 entries; at most 1000 are allowed",
    );
    check(
        "cache",
        json!({"negative_ttl": "11s"}),
        "cache.negative_ttl: 11s is not from 0ns to 10s",
    );
    check(
        "origin",
        json!({"server": [{"url": "http://a"}], "fetch_timeout": "25h"}),
        "origin.fetch_timeout: 90000s is not from 1s to 86400s",
    );
    check(
        "error_page",
        json!({"body": "x".repeat(16 * 1024 + 1)}),
        "error_page.body: has 16385 bytes; at most 16384 are allowed",
    );
    check(
        "error_page",
        json!({"body": "<p>sorry</p>", "content_type": "html"}),
        "error_page.content_type: \"html\" is no media type such as \"text/html\"",
    );
    check(
        "rule",
        json!([7]),
        "rule[0]: expected a table of words, not a number",
    );
    for weight in [json!(0), json!(1001), json!(-1), json!(1.5), json!(1e300)] {
        let origin = json!({"server": [{"url": "http://a", "weight": weight}]});
        let expect =
            format!("origin.server[0].weight: {weight} is not a whole number from 1 to 1000");
        check("origin", origin, &expect);
    }
    check(
        "hots",
        json!([]),
        "hots: [[site]] does not know this word; did you mean \"hosts\"?",
    );
    check(
        "default_ttl",
        json!("1s"),
        "default_ttl: is a word of [site.cache], not of [[site]]",
    );
    check(
        "ssl",
        json!(1),
        "ssl: [[site]] does not know this word; it knows name, hosts, origin, on_partition, refetch_rate, cache, error_page, client_ca, websocket, debug_from, purge_from, rule",
    );
    assert_eq!(
        lines(Site::from_document(&json!(null))),
        [": expected a table of words, not null"]
    );
    assert_eq!(Site::from_document(&json!({})).unwrap_err().0.len(), 3);
    let rules = json!(vec![json!({"path": format!("/{}", "a".repeat(900))}); 300]);
    let found = lines(Site::from_document(&site_with("rule", rules)));
    assert!(
        found.len() == 1 && found[0].ends_with("bytes; at most 262144 are allowed"),
        "{found:?}"
    );
}

#[test]
fn no_control_character_gets_in_anywhere() {
    for bad in ["a\r\nb", "a\nb", "a\0", "a\u{7f}", "\u{1b}[2J", "a\u{85}"] {
        let server = |word: &str| json!({"server": [{"url": "http://a"}], word: bad});
        let tls = |word: &str| json!({"server": [{"url": "http://a"}], "tls": {word: format!("-----BEGIN CERTIFICATE-----{bad}\0")}});
        for site in [
            site_with("name", json!(bad)),
            site_with("hosts", json!([bad])),
            site_with("origin", json!(bad)),
            site_with("origin", json!(format!("http://a{bad}"))),
            site_with("origin", server("host")),
            site_with("origin", tls("server_name")),
            site_with("origin", tls("ca")),
            site_with("on_partition", json!(bad)),
            site_with("cache", json!({"default_ttl": bad})),
            site_with("rule", json!([{"path": format!("/{bad}")}])),
            site_with(bad, json!(1)),
        ] {
            let problems = Site::from_document(&site).expect_err(&site.to_string());
            let shown = problems.to_string();
            assert!(
                !shown.chars().any(|c| c.is_control() && c != '\n'),
                "{shown:?}"
            );
        }
    }
}
