//! Walks a document against the tables of [`crate::schema`] and collects all that does not fit.
//!
//! The one place that knows shapes: what comes out has only known words, each of the right form, and no
//! control characters. What a text *means* (a host, a URL) is for whoever asked for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::problem::Problems;
use crate::schema::Table;

mod unit;
mod unknown;
mod value;

pub use unit::{DURATION_MAX, duration, size, socket_address};

/// Bytes of one text.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Bytes of one PEM text.
pub const PEM_BYTES_MAX: usize = 128 * 1024;
/// Characters of a stranger's text that a message repeats.
const ECHO_CHARS_MAX: usize = 80;

/// The words of one table that were given and fit.
pub struct Fields<'a> {
    table: &'static Table,
    /// What the table was read from, and its path in the document.
    value: &'a Value,
    path: String,
    /// An entry for every word of the table; whoever asks takes it out.
    values: BTreeMap<&'static str, Option<Read<'a>>>,
}

/// A value that fits its form.
enum Read<'a> {
    Text(&'a str),
    Texts(Vec<&'a str>),
    Number(u64),
    Switch(bool),
    Duration(Duration),
    Table(Fields<'a>),
    Tables(Vec<Fields<'a>>),
}

/// A text, or a table in its place.
pub enum TextOrTable<'a> {
    Text(&'a str),
    Table(Fields<'a>),
}

impl<'a> Fields<'a> {
    /// Reads `value`, which stands at `path`, as `table`. What does not fit is a problem and counts as absent.
    pub fn read(
        table: &'static Table,
        value: &'a Value,
        path: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Value::Object(given) = value else {
            problems.add(
                path,
                format!("expected a table of words, not {}", value::kind(value)),
            );
            return None;
        };
        for name in given.keys().filter(|name| table.word(name).is_none()) {
            problems.add(child(path, name), unknown::explain(table, name));
        }
        let mut values = BTreeMap::new();
        for word in table.words {
            values.insert(word.name, value::read_word(word, given, path, problems));
        }
        Some(Self {
            table,
            value,
            path: path.to_owned(),
            values,
        })
    }

    /// What the table was read from.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The path of the table itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of one of its words.
    pub fn at(&self, name: &str) -> String {
        child(&self.path, name)
    }

    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        match self.take(name) {
            Some(Read::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list.
    pub fn texts(&mut self, name: &str) -> Option<Vec<&'a str>> {
        match self.take(name) {
            Some(Read::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// The text as `parse` understands it; its refusal is a problem.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(self.text(name)?)
            .map_err(|message| problems.add(self.at(name), message))
            .ok()
    }

    /// Each text of a list as `parse` understands it, with its path; each refusal is a problem.
    pub fn each_parsed<T>(
        &mut self,
        name: &str,
        problems: &mut Problems,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(String, T)> {
        let Some(Read::Texts(texts)) = self.take(name) else {
            return Vec::new();
        };
        let mut all = Vec::with_capacity(texts.len());
        for (i, text) in texts.into_iter().enumerate() {
            let at = item(&self.at(name), i);
            match parse(text) {
                Ok(one) => all.push((at, one)),
                Err(message) => problems.add(at, message),
            }
        }
        all
    }

    pub fn number(&mut self, name: &str) -> Option<u64> {
        match self.take(name) {
            Some(Read::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub fn switch(&mut self, name: &str) -> Option<bool> {
        match self.take(name) {
            Some(Read::Switch(on)) => Some(on),
            _ => None,
        }
    }

    pub fn duration(&mut self, name: &str) -> Option<Duration> {
        match self.take(name) {
            Some(Read::Duration(duration)) => Some(duration),
            _ => None,
        }
    }

    pub fn table(&mut self, name: &str) -> Option<Self> {
        match self.take(name) {
            Some(Read::Table(fields)) => Some(fields),
            _ => None,
        }
    }

    pub fn text_or_table(&mut self, name: &str) -> Option<TextOrTable<'a>> {
        match self.take(name) {
            Some(Read::Text(text)) => Some(TextOrTable::Text(text)),
            Some(Read::Table(fields)) => Some(TextOrTable::Table(fields)),
            _ => None,
        }
    }

    pub fn tables(&mut self, name: &str) -> Vec<Self> {
        match self.take(name) {
            Some(Read::Tables(all)) => all,
            _ => Vec::new(),
        }
    }

    /// A word that is not built yet: whoever wrote it has been told so.
    pub fn not_yet(&mut self, name: &str) {
        let _ = self.take(name);
    }

    /// Call it when all words have been asked for: a word of the table that nobody reads is a bug of ours, and
    /// the tests, which read every table, fail of it.
    pub fn done(self) {
        debug_assert!(
            self.values.is_empty(),
            "{} has words that nobody asks for: {:?}",
            self.table.header(),
            self.values.keys()
        );
    }

    fn take(&mut self, name: &str) -> Option<Read<'a>> {
        let entry = self.values.remove(name);
        debug_assert!(
            entry.is_some(),
            "{} has no word {name:?}, or it was asked for twice",
            self.table.header()
        );
        entry.flatten()
    }
}

/// The path of `name` below `path`. A name no word could have is quoted, and cut where it is long.
pub fn child(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name.len() <= 40
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if plain { name.to_owned() } else { echo(name) };
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

/// The path of the `i`th (from 0) of the list at `path`.
pub fn item(path: &str, i: usize) -> String {
    format!("{path}[{i}]")
}

/// A stranger's text as a message may repeat it: quoted, escaped, cut where it is long.
pub fn echo(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}…", text.get(..cut).unwrap_or_default()),
    }
}
