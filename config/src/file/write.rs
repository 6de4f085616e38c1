//! Sites as a TOML file, as a person would write it.

use serde_json::{Map, Value};

use crate::schema::{self, Form, Table};

/// A file of `[[site]]` tables. [`super::SiteFile::parse`] of it gives the documents back.
pub fn to_toml(documents: &[Value]) -> String {
    let mut out = String::new();
    for document in documents {
        if let Value::Object(words) = document {
            write_table(&schema::SITE, words, &mut out);
        }
    }
    out
}

/// The header, the table's words in the order of the reference, then its tables.
fn write_table(table: &Table, given: &Map<String, Value>, out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("{}\n", table.header()));
    let known = table.words.iter().map(|word| word.name);
    // What a newer Seawall knows and we do not is kept.
    let unknown = given
        .keys()
        .map(String::as_str)
        .filter(|name| table.word(name).is_none());
    let mut tables = Vec::new();
    for name in known.chain(unknown) {
        let form = table.word(name).map(|word| &word.form);
        match (form, given.get(name)) {
            (_, None | Some(Value::Null)) => {}
            (Some(Form::Table(table) | Form::TextOrTable(table)), Some(Value::Object(words))) => {
                tables.push((table, words))
            }
            (Some(Form::Tables { table, .. }), Some(Value::Array(list)))
                if !list.is_empty() && list.iter().all(Value::is_object) =>
            {
                tables.extend(
                    list.iter()
                        .filter_map(Value::as_object)
                        .map(|words| (table, words)),
                );
            }
            (_, Some(value)) => out.push_str(&format!("{} = {}\n", key(name), inline(value))),
        }
    }
    for (table, words) in tables {
        write_table(table, words, out);
    }
}

/// A value on one line (a text of several lines keeps them). TOML has no null: it is left out.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        Value::Array(list) => {
            let items: Vec<_> = list
                .iter()
                .filter(|value| !value.is_null())
                .map(inline)
                .collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(words) => {
            let given = words.iter().filter(|(_, value)| !value.is_null());
            let items: Vec<_> = given
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    // JSON's escapes are TOML's; DEL alone has none in JSON and must have one in TOML.
    if bare {
        name.to_owned()
    } else {
        Value::from(name).to_string().replace('\u{7f}', "\\u007f")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::file::SiteFile;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let documents = [
            json!({"name": "a", "hosts": ["a.example", "*.a.example"], "origin": "http://127.0.0.1:9000"}),
            json!({
                "name": "b", "hosts": ["b.example"], "on_partition": "refuse", "rule": [],
                "origin": {"host": "h", "server": [{"url": "https://o.example", "weight": 3}, {"url": "http://[::1]"}],
                    "tls": {"verify": false, "ca": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}},
                "cache": {"default_ttl": "60s", "surrogate_control": true},
            }),
            json!({"name": "c", "hosts": ["*"], "origin": "http://c", "cache": {},
                "rule": [{"path": "/\"'\\é%C3*".replace('é', "")}, {"path": "*.jpg", "cache": "off"}]}),
        ];
        let text = to_toml(&documents);
        let file = SiteFile::parse(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        let back: Vec<_> = file
            .sites
            .into_iter()
            .map(|(_, document)| document)
            .collect();
        assert_eq!(back, documents, "{text}");
    }

    /// What the file says of its sites, whatever it is worth.
    fn read_back(text: &str) -> Value {
        let (root, errors) = toml::de::DeTable::parse_recoverable(text);
        assert!(errors.is_empty(), "{errors:?} in\n{text}");
        let mut json = crate::file::ToJson::default();
        let mut back = json.table(root.get_ref(), "");
        assert!(json.odd.is_empty(), "{text}");
        back["site"].take()
    }

    /// A document in which every word of the table says something, each time with other texts.
    fn full(table: &Table, texts: &mut impl Iterator<Item = &'static str>) -> Value {
        let mut words = Map::new();
        for word in table.words {
            let value = match &word.form {
                Form::Texts { .. } | Form::SomeOf(_) => {
                    json!([texts.next().unwrap(), texts.next().unwrap()])
                }
                Form::Number { max, .. } => json!(max),
                Form::Switch => json!(true),
                Form::Table(table) | Form::TextOrTable(table) => full(table, texts),
                Form::Tables { table, .. } => json!([full(table, texts), full(table, texts)]),
                Form::Text
                | Form::Pem
                | Form::Lines { .. }
                | Form::PemKey
                | Form::Duration
                | Form::Size
                | Form::OneOf(_) => {
                    json!(texts.next().unwrap())
                }
            };
            words.insert(word.name.to_owned(), value);
        }
        Value::Object(words)
    }

    #[test]
    fn every_word_reads_back_the_same_whatever_it_says() {
        const TEXTS: [&str; 21] = [
            "",
            "a",
            "60s",
            "\"",
            "\\",
            "'",
            "\"\"\"",
            "'''",
            "a'b\"c\\",
            "\\\"\"\\",
            "\n",
            "\na\n",
            "\r\n",
            "a\r",
            "a\r\nb\n",
            "\t",
            "\u{0}\u{1b}\u{7f}",
            "\u{85}\u{2028}",
            "é😀",
            "# no comment",
            "[[site]]\nname = \"x\"",
        ];
        // Each word gets to say each of them.
        for first in 0..TEXTS.len() {
            let mut texts = TEXTS.into_iter().cycle().skip(first);
            let documents = [full(&schema::SITE, &mut texts), json!({"name": "next"})];
            let text = to_toml(&documents);
            assert_eq!(read_back(&text), json!(documents), "{text}");
        }
    }

    #[test]
    fn words_we_do_not_know_are_kept() {
        let text = to_toml(&[
            json!({"name": "a", "né w\u{7f}": {"x": [1, null, 2.5], "y": null}, "gone": null}),
        ]);
        assert_eq!(
            text,
            "[[site]]\nname = \"a\"\n\"né w\\u007f\" = { x = [1, 2.5] }\n"
        );
        text.parse::<toml::Table>().unwrap();
    }
}
