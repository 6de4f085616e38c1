//! Vary: a request selects what was stored for it, however it is spelled, and nothing that was stored for another.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue, VARY,
};

use super::input::{Input, field, joined};
use crate::rules::variants::Selection;

const NAMES: [&str; 12] = [
    "accept-language",
    "Accept-Encoding",
    "x-a",
    "x-a",
    ",",
    ",",
    ",",
    ", ",
    "*",
    " ",
    "\t",
    "x-b",
];

const WORDS: [&str; 16] = [
    "gzip", "br", "GZip", "en", "EN-gb", "*", "q=", "0.5", "1", ";", ",", ",", ", ", " ", "\t",
    "identity",
];

/// Fields of a request: those whose white space, case and order may mean nothing, a list, and one of which nothing is
/// known.
fn fields() -> [HeaderName; 4] {
    [
        ACCEPT_LANGUAGE,
        ACCEPT_ENCODING,
        ACCEPT,
        HeaderName::from_static("x-a"),
    ]
}

pub fn vary(input: &mut Input<'_>) {
    let vary = input.lines(&NAMES);
    let a = input.lines(&WORDS);
    let b = match input.flag() {
        true => respelled(input, &a),
        false => input.lines(&WORDS),
    };
    let response = field(VARY, &vary);
    let request = |lines: &[HeaderValue]| {
        let mut head = HeaderMap::new();
        for name in fields() {
            for line in lines {
                head.append(&name, line.clone());
            }
        }
        head
    };
    let selection = Selection::new(&response, &request(&a));
    assert!(selection.selects(&request(&a)), "{vary:?} {a:?}");
    assert!(selection.selects(&request(&joined(&a))), "{vary:?} {a:?}");
    let at_once = Selection::new(&field(VARY, &joined(&vary)), &request(&a));
    assert_eq!(at_once, selection, "{vary:?}");
    let other = Selection::new(&response, &request(&b));
    let same = selection.selects(&request(&b));
    assert_eq!(same, other.selects(&request(&a)), "{vary:?} {a:?} {b:?}");
    assert_eq!(same, selection == other, "{vary:?} {a:?} {b:?}");
    for name in fields() {
        normalised(&name, &a, &b);
    }
}

/// The same list, with other letters, white space, lines or order.
fn respelled(input: &mut Input<'_>, lines: &[HeaderValue]) -> Vec<HeaderValue> {
    let mut members = members(lines);
    if input.flag() {
        members.reverse();
    }
    if input.flag() {
        members
            .iter_mut()
            .for_each(|member| member.make_ascii_uppercase());
    }
    let comma = input.one_of(&[",", " ,", ",\t, "]).as_bytes();
    let line = HeaderValue::from_bytes(&members.join(comma)).unwrap();
    vec![line]
}

/// What may be told apart, and what may not.
fn normalised(name: &HeaderName, a: &[HeaderValue], b: &[HeaderValue]) {
    let vary = field(VARY, &[HeaderValue::from_str(name.as_str()).unwrap()]);
    let selection = Selection::new(&vary, &field(name.clone(), a));
    let selects = |lines: &[HeaderValue]| selection.selects(&field(name.clone(), lines));
    let numbers = |lines: &[HeaderValue]| {
        let said = lines.iter().flat_map(|line| line.as_bytes());
        let mut said = said.filter(|byte| !b" \t,".contains(byte)).peekable();
        said.peek().is_some() && said.all(u8::is_ascii_digit)
    };
    let same = match name {
        &ACCEPT_LANGUAGE | &ACCEPT_ENCODING => preferences(a) == preferences(b),
        // Within quotes a comma separates nothing: rows tell of that.
        &ACCEPT
            if [a, b]
                .concat()
                .iter()
                .any(|line| line.as_bytes().contains(&b'"')) =>
        {
            return;
        }
        &ACCEPT => members(a) == members(b),
        _ if numbers(a) && numbers(b) => members(a) == members(b),
        // It says the same only where every byte of it is the same.
        _ => joined(a) == joined(b),
    };
    let same = same && a.is_empty() == b.is_empty();
    assert_eq!(selects(b), same, "{name}: {a:?} {b:?}");
}

/// The members of a list, without the white space around them.
fn members(lines: &[HeaderValue]) -> Vec<Vec<u8>> {
    let members = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b','));
    members.map(|member| member.trim_ascii().to_vec()).collect()
}

/// Without white space and empty members, in lower case; in no order where none has a weight.
fn preferences(lines: &[HeaderValue]) -> Vec<Vec<u8>> {
    let mut members = members(lines);
    for member in &mut members {
        member.retain(|b| !b" \t".contains(b));
        member.make_ascii_lowercase();
    }
    members.retain(|member| !member.is_empty());
    if !members.concat().contains(&b';') {
        members.sort();
        members.dedup();
    }
    members
}
