//! What an import changes: the sites of a file against those that are there. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use crate::command::site::Listed;

/// Words of one site that are told.
const WORDS_TOLD_MAX: usize = 20;
/// Characters of a value that are told.
const VALUE_CHARS_MAX: usize = 60;
/// Names in one line.
const NAMES_TOLD_MAX: usize = 20;

/// Every site is in one of these.
#[derive(Debug, Default)]
pub(super) struct Diff<'a> {
    creates: Vec<(String, Value)>,
    changes: Vec<Changed<'a>>,
    /// Those that are to go.
    pub(super) deletes: Vec<&'a str>,
    /// Those that would change, and belong to somebody else.
    pub(super) foreign: Vec<&'a str>,
    same: Vec<&'a str>,
    /// Not in the file, and not to go.
    kept: Vec<&'a str>,
}

#[derive(Debug)]
struct Changed<'a> {
    name: String,
    was: &'a Value,
    document: Value,
}

impl<'a> Diff<'a> {
    /// `replace`: what is not in the file goes, but for what is not ours.
    pub(super) fn new(wanted: Vec<(String, Value)>, there: &'a [Listed], replace: bool) -> Self {
        let mut diff = Self::default();
        let by_name: BTreeMap<&str, &Listed> = there
            .iter()
            .map(|site| (site.name.as_str(), site))
            .collect();
        let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
        for (name, document) in wanted {
            match by_name.get(name.as_str()) {
                None => diff.creates.push((name, document)),
                Some(site) if site.site == document => diff.same.push(&site.name),
                Some(site) if !site.is_ours() => diff.foreign.push(&site.name),
                Some(site) => diff.changes.push(Changed {
                    name,
                    was: &site.site,
                    document,
                }),
            }
        }
        for site in there.iter().filter(|site| !names.contains(&site.name)) {
            match replace && site.is_ours() {
                true => diff.deletes.push(&site.name),
                false => diff.kept.push(&site.name),
            }
        }
        diff
    }

    /// There is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.creates.is_empty() && self.changes.is_empty() && self.deletes.is_empty()
    }

    /// Changed sites first: a host may move from one of them to a new one.
    pub(super) fn puts(&self) -> impl Iterator<Item = (&str, &Value)> {
        let changes = self.changes.iter();
        let changes = changes.map(|changed| (changed.name.as_str(), &changed.document));
        let creates = self.creates.iter();
        changes.chain(creates.map(|(name, document)| (name.as_str(), document)))
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, _) in &self.creates {
            let _ = writeln!(text, "+ {name}");
        }
        for changed in &self.changes {
            let _ = writeln!(text, "~ {}", changed.name);
            text.push_str(&words(changed.was, &changed.document));
        }
        for name in &self.deletes {
            let _ = writeln!(text, "- {name}");
        }
        let sums = [
            (
                &self.same,
                "as it is there already",
                "as they are there already",
            ),
            (
                &self.foreign,
                "belongs to another file",
                "belong to another file",
            ),
            (
                &self.kept,
                "not in the file, and stays",
                "not in the file, and stay",
            ),
        ];
        for (names, one, many) in sums.into_iter().filter(|(names, ..)| !names.is_empty()) {
            let (count, names) = (names.len(), told(names));
            let what = if count == 1 { one } else { many };
            let _ = writeln!(text, "{count} {what}: {names}");
        }
        text
    }
}

fn told(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMES_TOLD_MAX);
    let told = names.iter().take(NAMES_TOLD_MAX).copied();
    let told = told.collect::<Vec<_>>().join(", ");
    match more {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Each word that differs, what it says and what it will say.
fn words(was: &Value, will_be: &Value) -> String {
    let (was, will_be) = (flat(was), flat(will_be));
    let paths: BTreeSet<_> = was.keys().chain(will_be.keys()).collect();
    let mut lines = paths.into_iter().filter_map(|path| {
        let says = match (was.get(path), will_be.get(path)) {
            (was, will_be) if was == will_be => return None,
            (Some(was), Some(will_be)) => format!("{} -> {}", short(was), short(will_be)),
            (Some(was), None) => format!("- {}", short(was)),
            (None, Some(will_be)) => format!("+ {}", short(will_be)),
            (None, None) => return None,
        };
        Some(format!("    {path}: {says}\n"))
    });
    let told: String = lines.by_ref().take(WORDS_TOLD_MAX).collect();
    match lines.count() {
        0 => told,
        more => format!("{told}    and {more} more\n"),
    }
}

/// Every word with its path.
fn flat(value: &Value) -> BTreeMap<String, &Value> {
    let mut words = BTreeMap::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(object) if !object.is_empty() => {
                let dot = if path.is_empty() { "" } else { "." };
                let inner = object.iter();
                open.extend(inner.map(|(name, value)| (format!("{path}{dot}{name}"), value)));
            }
            Value::Array(list) if !list.is_empty() => {
                let inner = list.iter().enumerate();
                open.extend(inner.map(|(i, value)| (format!("{path}[{i}]"), value)));
            }
            value => drop(words.insert(path, value)),
        }
    }
    words
}

fn short(value: &Value) -> String {
    let text = value.to_string().replace(char::is_control, "\u{fffd}");
    match text.chars().count() > VALUE_CHARS_MAX {
        false => text,
        true => {
            let begins: String = text.chars().take(VALUE_CHARS_MAX).collect();
            format!("{begins}… ({} bytes)", text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::*;

    fn listed(name: &str, owner: &str, site: &Value) -> Listed {
        let listed = json!({"name": name, "owner": owner, "revision": 1, "site": site});
        serde_json::from_value(listed).unwrap()
    }

    fn site(origin: &str) -> Value {
        json!({"hosts": ["h"], "origin": origin})
    }

    #[test]
    fn every_site_is_told_once_with_what_becomes_of_it() {
        let there = [
            listed("changed", "api", &site("http://old")),
            listed("file", "file", &site("http://f")),
            listed("foreign", "file", &site("http://old")),
            listed("gone", "api", &site("http://g")),
            listed("same", "file", &site("http://s")),
        ];
        let wanted = || {
            let one = |name: &str, origin: &str| (name.to_owned(), site(origin));
            vec![
                one("changed", "http://new"),
                one("foreign", "http://new"),
                one("new", "http://n"),
                one("same", "http://s"),
            ]
        };
        let check = |replace: bool, expect: &str| {
            let diff = Diff::new(wanted(), &there, replace);
            assert_eq!(diff.text(), expect);
            let puts: Vec<_> = diff.puts().map(|(name, _)| name).collect();
            assert_eq!(puts, ["changed", "new"]);
            assert!(!diff.is_empty());
        };
        check(
            false,
            "\
+ new
~ changed
    origin: \"http://old\" -> \"http://new\"
1 as it is there already: same
1 belongs to another file: foreign
2 not in the file, and stay: file, gone
",
        );
        check(
            true,
            "\
+ new
~ changed
    origin: \"http://old\" -> \"http://new\"
- gone
1 as it is there already: same
1 belongs to another file: foreign
1 not in the file, and stays: file
",
        );
        let same = vec![("same".to_owned(), site("http://s"))];
        assert!(Diff::new(same, &there, false).is_empty());
    }

    #[test]
    fn each_word_that_differs_is_told_with_its_path() {
        let check = |was: Value, will_be: Value, expect: &str| {
            assert_eq!(words(&was, &will_be), expect);
        };
        check(json!({"a": 1}), json!({"a": 1}), "");
        check(
            json!({"cache": {"ttl": "1s"}, "hosts": ["a"], "rule": []}),
            json!({"cache": {"ttl": "2s"}, "hosts": ["a", "b"]}),
            "    cache.ttl: \"1s\" -> \"2s\"\n    hosts[1]: + \"b\"\n    rule: - []\n",
        );
        check(
            json!({"a": "\u{9b}1m", "b": 1}),
            json!({"b": 1}),
            "    a: - \"\u{fffd}1m\"\n",
        );
        let many: BTreeMap<_, _> = (0..30).map(|n| (format!("w{n:02}"), 1)).collect();
        let told = words(&json!({"w00": 1}), &json!(many));
        assert!(told.ends_with("    w20: + 1\n    and 9 more\n"), "{told}");
        // Certificates begin alike.
        let pem = |end: &str| json!({"ca": format!("{}{end}", "-".repeat(100))});
        assert_eq!(words(&pem("a"), &pem("b")).lines().count(), 1);
    }
}
