//! One value against the form of its word.

use serde_json::{Map, Value};

use super::unit::{duration, size};
use super::{Fields, PEM_BYTES_MAX, Read, TEXT_BYTES_MAX, child, echo, item};
use crate::problem::Problems;
use crate::schema::{Default, Form, Word, quoted};

/// The value of `word` in the table at `path`. One that does not fit is a problem and counts as absent.
pub(super) fn read_word<'a>(
    word: &'static Word,
    given: &'a Map<String, Value>,
    path: &str,
    problems: &mut Problems,
) -> Option<Read<'a>> {
    let at = child(path, word.name);
    match (given.get(word.name), &word.default) {
        (None, Default::Required) => {
            problems.add(at, format!("is missing; expected {}", word.form.words()))
        }
        (None, _) => {}
        (Some(_), Default::NotYet) => problems.add(at, "is not built yet; leave it out"),
        (Some(value), _) => return read_value(&word.form, value, &at, problems),
    }
    None
}

fn read_value<'a>(
    form: &Form,
    value: &'a Value,
    at: &str,
    problems: &mut Problems,
) -> Option<Read<'a>> {
    let read = match (form, value) {
        (Form::Table(table) | Form::TextOrTable(table), Value::Object(_)) => {
            return Fields::read(table, value, at, problems).map(Read::Table);
        }
        (Form::Tables { table, min, max }, Value::Array(list)) => {
            let list = counted(list, *min, *max, at, problems)?;
            let read = |(i, value)| Fields::read(table, value, &item(at, i), problems);
            return Some(Read::Tables(
                list.iter().enumerate().filter_map(read).collect(),
            ));
        }
        (Form::Texts { max }, Value::Array(list)) => {
            let list = counted(list, 1, *max, at, problems)?;
            return read_texts(&Form::Text, list, at, problems).map(Read::Texts);
        }
        (Form::SomeOf(choices), Value::Array(list)) => {
            let list = counted(list, 0, choices.len(), at, problems)?;
            let texts = read_texts(&Form::OneOf(choices), list, at, problems)?;
            let known = |at| {
                texts
                    .iter()
                    .take(at)
                    .any(|before| texts.get(at) == Some(before))
            };
            if let Some(twice) = (0..texts.len()).find(|at| known(*at)) {
                problems.add(item(at, twice), "is in the list already");
                return None;
            }
            return Some(Read::Texts(texts));
        }
        (Form::Text | Form::TextOrTable(_), Value::String(text)) => {
            line(text).map(|()| Read::Text(text))
        }
        (Form::Pem, Value::String(text)) => {
            pem(text, "certificate", "CERTIFICATE-----").map(|()| Read::Text(text))
        }
        (Form::PemKey, Value::String(text)) => {
            pem(text, "private key", "PRIVATE KEY-----").map(|()| Read::Text(text))
        }
        (Form::Lines { bytes_max }, Value::String(text)) => {
            lines(text, *bytes_max).map(|()| Read::Text(text))
        }
        (Form::Duration, Value::String(text)) => duration(text).map(Read::Duration),
        // A bare 60 is the same mistake as "60", and gets the same answer: which unit?
        (Form::Duration, Value::Number(number)) => {
            duration(&number.to_string()).map(Read::Duration)
        }
        (Form::Size, Value::String(text)) => size(text).map(Read::Number),
        (Form::Size, Value::Number(number)) => size(&number.to_string()).map(Read::Number),
        (Form::Switch, Value::Bool(on)) => Ok(Read::Switch(*on)),
        (Form::Number { min, max }, Value::Number(number)) => match number.as_u64() {
            Some(number) if (*min..=*max).contains(&number) => Ok(Read::Number(number)),
            _ => Err(format!("{number} is not {}", form.words())),
        },
        (Form::OneOf(choices), Value::String(text)) => {
            one_of(choices, text).map(|()| Read::Text(text))
        }
        _ => Err(format!("expected {}, not {}", form.words(), kind(value))),
    };
    read.map_err(|message| problems.add(at, message)).ok()
}

/// Texts, each of the form `each`.
fn read_texts<'a>(
    each: &Form,
    list: &'a [Value],
    at: &str,
    problems: &mut Problems,
) -> Option<Vec<&'a str>> {
    let mut texts = Vec::with_capacity(list.len());
    for (i, value) in list.iter().enumerate() {
        match read_value(each, value, &item(at, i), problems) {
            Some(Read::Text(text)) => texts.push(text),
            _ => return None,
        }
    }
    Some(texts)
}

fn counted<'a>(
    list: &'a [Value],
    min: usize,
    max: usize,
    at: &str,
    problems: &mut Problems,
) -> Option<&'a [Value]> {
    match list.len() {
        count if count < min => problems.add(at, "is empty; at least one is needed"),
        count if count > max => problems.add(
            at,
            format!("has {count} entries; at most {max} are allowed"),
        ),
        _ => return Some(list),
    }
    None
}

fn line(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control()) {
        _ if text.is_empty() => Err("is empty".into()),
        _ if text.len() > TEXT_BYTES_MAX => Err(format!(
            "has {} bytes; at most {TEXT_BYTES_MAX} are allowed",
            text.len()
        )),
        Some(bad) => Err(format!(
            "{bad:?} is a control character; none may stand in a text"
        )),
        None => Ok(()),
    }
}

fn lines(text: &str, bytes_max: usize) -> Result<(), String> {
    match text
        .chars()
        .find(|c| c.is_control() && !['\n', '\r', '\t'].contains(c))
    {
        _ if text.is_empty() => Err("is empty".into()),
        _ if text.len() > bytes_max => Err(format!(
            "has {} bytes; at most {bytes_max} are allowed",
            text.len()
        )),
        Some(bad) => Err(format!(
            "{bad:?} is a control character; only those that end lines, and tabs, may stand in a text of several"
        )),
        None => Ok(()),
    }
}

/// `label`: how its first line ends.
fn pem(text: &str, what: &str, label: &str) -> Result<(), String> {
    let begins = |line: &str| line.starts_with("-----BEGIN ") && line.ends_with(label);
    match text
        .chars()
        .find(|c| c.is_control() && !['\n', '\r', '\t'].contains(c))
    {
        _ if text.len() > PEM_BYTES_MAX => Err(format!(
            "has {} bytes; at most {PEM_BYTES_MAX} are allowed",
            text.len()
        )),
        Some(bad) => Err(format!(
            "{bad:?} is a control character; none may stand in PEM"
        )),
        None if text.lines().any(|line| begins(line.trim())) => Ok(()),
        None => Err(format!(
            "holds no {what}; paste the PEM itself, from -----BEGIN {label} on"
        )),
    }
}

fn one_of(choices: &[&str], text: &str) -> Result<(), String> {
    match choices.contains(&text) {
        true => Ok(()),
        false => Err(format!("{} is not one of {}", echo(text), quoted(choices))),
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
