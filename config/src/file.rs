//! TOML files: the same words as JSON, with the line and a caret under each problem.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::problem::{At, Problem, Problems};
use crate::reader::{Fields, child, item};
use crate::schema::{self, Table};
use crate::site::{Site, Taken};

mod write;

pub use write::to_toml;

/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Sites of one file.
pub const SITES_MAX: usize = 10_000;

/// The `[[site]]` tables of a file, in its order, each with its document as the API would take it.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteFile {
    pub sites: Vec<(Site, Value)>,
}

impl SiteFile {
    /// A file for `seawall run --config`. No two of its sites share a name or a host.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        read(text, &schema::SITES_FILE, |mut file, problems| {
            let mut taken = Taken::default();
            let mut sites = Vec::new();
            for fields in file.tables("site") {
                let document = fields.value();
                let site = Site::from_fields(fields, &mut taken, problems);
                sites.extend(site.map(|site| (site, document.clone())));
            }
            file.done();
            Some(Self { sites })
        })
    }
}

/// Reads `text` as one kind of file and lets `build` make of it what it is for. Every problem says where it is.
pub(crate) fn read<T>(
    text: &str,
    table: &'static Table,
    build: impl FnOnce(Fields<'_>, &mut Problems) -> Option<T>,
) -> Result<T, Problems> {
    let mut problems = Problems::default();
    if text.len() > FILE_BYTES_MAX {
        problems.add(
            "",
            format!(
                "the file has {} bytes; at most {FILE_BYTES_MAX} are allowed",
                text.len()
            ),
        );
        return Err(problems);
    }
    let lines = Lines::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut json = ToJson::default();
    let document = json.table(root.get_ref(), "");
    let not_toml = errors
        .iter()
        .map(|error| (error.span(), format!("not TOML: {}", error.message())));
    let not_json = json
        .odd
        .into_iter()
        .map(|(span, message)| (Some(span), message.to_owned()));
    for (span, message) in not_toml.chain(not_json) {
        let at = span.map(|span| lines.at(text, &span));
        problems.push(Problem {
            path: String::new(),
            message,
            at,
        });
    }
    // Half a document would only make for misleading problems further on.
    problems.or(())?;

    let mut problems = Problems::default();
    let built = Fields::read(table, &document, "", &mut problems)
        .and_then(|fields| build(fields, &mut problems));
    if let Some(built) = built
        && problems.is_empty()
    {
        return Ok(built);
    }
    for problem in &mut problems.0 {
        problem.at = locate(&problem.path, &json.places).map(|range| lines.at(text, &range));
    }
    problems.0.sort_by_key(|problem| {
        problem
            .at
            .as_ref()
            .map_or((usize::MAX, 0), |at| (at.line, at.column))
    });
    Err(problems)
}

/// Where a path's word and its value stand, in bytes of the file.
struct Place {
    word: Range<usize>,
    value: Range<usize>,
}

/// The bytes to underline for a problem at `path`: the value; the word itself, if there is no such word; for
/// what is missing, the table it is missing from.
fn locate(path: &str, places: &HashMap<String, Place>) -> Option<Range<usize>> {
    if let Some(place) = places.get(path) {
        let known = schema::knows(path);
        return Some(if known {
            place.value.clone()
        } else {
            place.word.clone()
        });
    }
    let mut path = path;
    while let Some(cut) = path.rfind(['.', '[']) {
        path = path.get(..cut).unwrap_or_default();
        if let Some(place) = places.get(path) {
            return Some(place.value.clone());
        }
    }
    None
}

/// Makes JSON of TOML and notes where everything stands.
#[derive(Default)]
struct ToJson {
    places: HashMap<String, Place>,
    /// What JSON cannot hold, and why. It becomes null.
    odd: Vec<(Range<usize>, &'static str)>,
}

impl ToJson {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Value {
        let mut object = Map::new();
        for (name, value) in table {
            let at = child(path, name.get_ref());
            object.insert(name.get_ref().to_string(), self.value(value, &at));
            self.places.insert(
                at,
                Place {
                    word: name.span(),
                    value: value.span(),
                },
            );
        }
        Value::Object(object)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: &str) -> Value {
        let json = match value.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(on) => Some(Value::from(*on)),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(Value::from),
            DeValue::Float(number) => {
                let number = number.as_str().parse::<f64>().ok();
                number.filter(|number| number.is_finite()).map(Value::from)
            }
            DeValue::Datetime(_) => None,
            DeValue::Array(list) => Some(self.list(list, at)),
            DeValue::Table(table) => Some(self.table(table, at)),
        };
        json.unwrap_or_else(|| {
            let why = match value.get_ref() {
                DeValue::Datetime(_) => "no word takes a date; if it is a text, put it in quotes",
                _ => "no word takes a number like this",
            };
            self.odd.push((value.span(), why));
            Value::Null
        })
    }

    fn list(&mut self, list: &DeArray<'_>, path: &str) -> Value {
        let mut values = Vec::with_capacity(list.len());
        for (i, value) in list.iter().enumerate() {
            let at = item(path, i);
            values.push(self.value(value, &at));
            self.places.insert(
                at,
                Place {
                    word: value.span(),
                    value: value.span(),
                },
            );
        }
        Value::Array(values)
    }
}

/// Where each line of a text begins, in bytes.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// The place of some bytes of `text`: the first line of them.
    fn at(&self, text: &str, range: &Range<usize>) -> At {
        let line = self.0.partition_point(|start| *start <= range.start);
        let start = line
            .checked_sub(1)
            .and_then(|i| self.0.get(i))
            .copied()
            .unwrap_or_default();
        let source = text
            .get(start..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        let chars = |to: usize| {
            source
                .char_indices()
                .take_while(|(i, _)| start + i < to)
                .count()
        };
        let (from, to) = (chars(range.start), chars(range.end));
        At::new(line, from + 1, to.saturating_sub(from), source)
    }
}
