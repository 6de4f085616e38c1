//! `REFERENCE.md` is written from the tables of words; this says so, and writes it with `UPDATE=1`.

use seawall_config::Site;
use seawall_config::file::SiteFile;
use seawall_config::roles::{ControlPlaneConfig, EdgeConfig};
use seawall_config::schema::{Default, TABLES};

const HEAD: &str = "\
# Configuration reference

Every word of Seawall's configuration. This page is written from `config/src/schema/`: change it there, then
run `UPDATE=1 cargo test -p seawall-config`. Complete files to start from are in `config/examples/`.

A file is TOML: `[[site]]` tables for `seawall run --config`, one `[edge]` for `seawall edge --config`, one
`[control_plane]` for `seawall control-plane --config`, `[[token]]` tables for its `tokens_file`. The API takes one site as a JSON document with the
same words, without the `[[site]]` around them. All problems of a file are told at once, each with its line.

A *duration* is a text with its unit: `\"500ms\"`, `\"60s\"`, `\"5m\"`, `\"1h\"`, `\"7d\"`; at most ten years. A *size* is
a text with its unit: `\"64KiB\"`, `\"512MiB\"`, `\"4GiB\"`, or decimal `\"64MB\"`. A *text* is one line of at most 4096
bytes without control characters. One site is at most 256 KiB as JSON, one file 16 MiB and 10,000 sites.
";

fn reference() -> String {
    let mut page = HEAD.to_owned();
    for table in TABLES {
        page.push_str(&format!("\n## `{}`\n\n{}\n\n", table.header(), table.about));
        page.push_str("| word | takes | when left out | what it means |\n|---|---|---|---|\n");
        for word in table.words {
            let default = match word.default {
                Default::Required => "*required*".to_owned(),
                Default::Value(value) => format!("`{value}`"),
                Default::None(meaning) => meaning.to_owned(),
                Default::NotYet => "*not built yet: naming it is a problem*".to_owned(),
            };
            page.push_str(&format!(
                "| `{}` | {} | {default} | {} |\n",
                word.name,
                word.form.words(),
                word.about
            ));
        }
    }
    page
}

#[test]
fn the_reference_says_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/REFERENCE.md");
    let expect = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &expect).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expect,
        "REFERENCE.md is not what the tables say: run UPDATE=1 cargo test -p seawall-config"
    );
}

/// The lines that say every default of one table.
fn defaults(path: &str) -> String {
    let table = TABLES.iter().find(|table| table.path == path).unwrap();
    let line = |word: &seawall_config::schema::Word| match word.default {
        Default::Value(value) => Some(format!("{} = {value}\n", word.name)),
        _ => None,
    };
    let lines: String = table.words.iter().filter_map(line).collect();
    assert!(!lines.is_empty(), "{path} has no defaults to compare");
    lines
}

/// A default lives twice: in the tables for people, in the types for the code.
#[test]
fn a_default_written_out_changes_nothing() {
    let site = |written: bool| {
        let lines = |path: &str| {
            if written {
                defaults(path)
            } else {
                String::new()
            }
        };
        let text = format!(
            "[[site]]\nname = \"a\"\nhosts = [\"a\"]\n{}[site.cache]\n{}[[site.rule]]\npath = \"*\"\n{}\
             [site.origin]\n{}[[site.origin.server]]\nurl = \"https://a\"\n{}[site.origin.tls]\n{}\
             [site.origin.ejection]\n{}[site.origin.health]\n{}[site.origin.breaker]\n{}",
            lines("site"),
            lines("site.cache"),
            lines("site.rule"),
            lines("site.origin"),
            lines("site.origin.server"),
            lines("site.origin.tls"),
            lines("site.origin.ejection"),
            lines("site.origin.health"),
            lines("site.origin.breaker"),
        );
        SiteFile::parse(&text)
            .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
            .sites
            .remove(0)
            .0
    };
    assert_eq!(site(true), site(false));

    let edge = "[edge]\nid = \"a\"\nplace = \"a\"\nstate = \"a\"\ncontrol_planes = [\"http://localhost:9080\"]\n";
    let written = format!("{edge}{}", defaults("edge"));
    assert_eq!(
        EdgeConfig::parse(edge).unwrap(),
        EdgeConfig::parse(&written).unwrap()
    );

    let plane = "[control_plane]\nstate = \"a\"\n";
    let written = format!("{plane}{}", defaults("control_plane"));
    assert_eq!(
        ControlPlaneConfig::parse(plane).unwrap(),
        ControlPlaneConfig::parse(&written).unwrap()
    );
}

#[test]
fn the_same_words_make_the_same_site_in_toml_and_in_json() {
    for (site, document) in SiteFile::parse(crate::examples::SITES).unwrap().sites {
        assert_eq!(Site::from_document(&document).unwrap(), site);
    }
}
