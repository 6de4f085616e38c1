//! Ranges and parts: no byte outside of what is there, and what an origin is asked for is what is missing.

use http::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};

use super::input::{Input, field, said, value};
use crate::rules::ranges::{self, Part, RANGES_MAX};
use crate::rules::validation;

const WORDS: [&str; 18] = [
    "bytes=",
    "bytes=0-",
    "bytes",
    "=",
    "-",
    "-",
    "-",
    ",",
    ", ",
    "0",
    "1",
    "9",
    "10",
    "99",
    " ",
    "lines=",
    "18446744073709551615",
    "18446744073709551616",
];

pub fn ranges(input: &mut Input<'_>) {
    let range = match input.flag() {
        true => vec![value(&format!(
            "bytes={}-{}",
            input.number(),
            input.number()
        ))],
        false => input.lines(&WORDS),
    };
    let if_range = input.lines(&["\"a\"", "W/\"a\"", "x"]);
    let mut stored = field(ETAG, &[value(input.one_of(&["\"a\"", "W/\"a\"", "\"b\""]))]);
    stored.insert(LAST_MODIFIED, value("x"));
    let mut request = field(RANGE, &range);
    request.extend(field(IF_RANGE, &if_range));
    let total = input.number();
    let part = ranges::part(&request, &stored, total);
    match &part {
        Part::Whole => {}
        Part::Bytes { first, last } => assert!(first <= last && *last < total, "{range:?}"),
        Part::Several(parts) => are_apart(parts, total),
        Part::Unsatisfiable => assert!(!range.is_empty(), "nothing was asked for"),
    }
    let exactly =
        |line| stored.get(ETAG) == Some(line) && said(line) != "W/\"a\"" || said(line) == "x";
    let may_count = if_range.iter().all(exactly) && if_range.len() <= 1;
    assert!(may_count || part == Part::Whole, "{if_range:?}");
    what_is_missing_is_asked_for(input, &stored, total);
}

fn are_apart(parts: &[(u64, u64)], total: u64) {
    assert!((2..=RANGES_MAX).contains(&parts.len()), "{parts:?}");
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    for (first, last) in &sorted {
        assert!(first <= last && *last < total, "{parts:?}");
    }
    for two in sorted.windows(2) {
        assert!(two[0].1 < two[1].0, "{parts:?} overlap");
    }
}

fn what_is_missing_is_asked_for(input: &mut Input<'_>, stored: &HeaderMap, total: u64) {
    let (a, b) = (input.number(), input.number());
    let (first, end) = (a.min(b), a.max(b).min(total));
    if first >= end {
        return;
    }
    let mut request = HeaderMap::new();
    validation::add_range(stored, (first, end), total, &mut request);
    let last = end - 1;
    let part = ranges::part(&request, stored, total);
    assert_eq!(part, Part::Bytes { first, last }, "{request:?}");
}

pub fn content_range(input: &mut Input<'_>) {
    let words = [
        "bytes ",
        "bytes 0-4/10",
        "bytes",
        "/",
        "-",
        "0",
        "4",
        "5",
        "9",
        "10",
        " ",
        "*",
        "lines",
        "18446744073709551615",
        "18446744073709551616",
    ];
    let (first, last, total) = (input.number(), input.number(), input.number());
    let lines = match input.flag() {
        true => vec![value(&format!("bytes {first}-{last}/{total}"))],
        false => input.lines(&words),
    };
    let head = field(CONTENT_RANGE, &lines);
    let Some(range) = ranges::content_range(&head) else {
        return;
    };
    assert!(
        range.first <= range.last && range.last < range.total,
        "{head:?}"
    );
    assert!(range.len() <= range.total, "{head:?}");
    let spelled = format!("bytes {}-{}/{}", range.first, range.last, range.total);
    let again = ranges::content_range(&field(CONTENT_RANGE, &[value(&spelled)]));
    assert_eq!(again, Some(range));
    let mut whole = field(ETAG, &[value("\"a\"")]);
    whole.insert(CONTENT_RANGE, value(&spelled));
    let stored = field(ETAG, &[value("\"a\"")]);
    let missing = (range.first, range.last + 1);
    assert!(ranges::is_rest((&stored, range.total), missing, &whole));
    let other = (first, total) != (range.first, range.total);
    let is_rest = ranges::is_rest((&stored, total), (first, missing.1), &whole);
    assert!(
        !(other && is_rest),
        "{head:?} is no rest from {first} of {total}"
    );
}
