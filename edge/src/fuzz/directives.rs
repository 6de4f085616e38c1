//! Reading what caches are told: Cache-Control, the fields that replace it, groups and tags.

use std::collections::HashSet;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, PRAGMA};

use super::input::{Input, field, joined, said};
use crate::rules::directives::{Named, Request, Response, split};
use crate::rules::{fields, targeted};

pub const WORDS: [&str; 39] = [
    "no-store",
    "no-cache",
    "private",
    "public",
    "max-age",
    "s-maxage",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "stale-while-revalidate",
    "stale-if-error",
    "only-if-cached",
    "min-fresh",
    "max-stale",
    "Max-Age=60",
    "max-age=5",
    "private=\"set-cookie\"",
    "set-cookie",
    "seawall",
    "=",
    "=",
    "=\"",
    "\"",
    "\"",
    "\\",
    ",",
    ",",
    ", ",
    ", ",
    " ",
    "\t",
    ";",
    "+",
    "0",
    "60",
    "99999999999999999999",
    "?0",
    "(",
    ")",
];

/// The greatest delta-seconds that is read (RFC 9111 §1.2.2).
const DELTA_MAX: Duration = Duration::from_secs(1 << 31);

/// Whether it leaves no quote open: what is appended is read for itself.
fn is_closed(line: &HeaderValue) -> bool {
    let probe = format!("{}, z=\"y\"", said(line));
    split(&probe).last() == Some(("z".into(), Some("y".into())))
}

/// A line with `directive` before it, and behind it.
fn with(line: &HeaderValue, directive: &str) -> [HeaderMap; 2] {
    let line = line.as_bytes();
    let directive = directive.as_bytes();
    let both = [
        [directive, line].join(&b", "[..]),
        [line, directive].join(&b", "[..]),
    ];
    both.map(|line| field(CACHE_CONTROL, &[HeaderValue::from_bytes(&line).unwrap()]))
}

pub fn of_responses(input: &mut Input<'_>) {
    let lines = input.lines(&WORDS);
    let found = Response::read(&field(CACHE_CONTROL, &lines));
    for line in &lines {
        for head in with(line, "no-store") {
            assert!(Response::read(&head).no_store, "hidden by {line:?}");
        }
        for head in with(line, "private") {
            let private = Response::read(&head).private;
            assert_eq!(private, Named::Whole, "hidden by {line:?}");
        }
    }
    if lines.iter().all(is_closed) {
        let at_once = Response::read(&field(CACHE_CONTROL, &joined(&lines)));
        assert_eq!(at_once, found, "{lines:?}");
    }
    for time in times(&found).into_iter().flatten() {
        assert!(time <= DELTA_MAX, "{lines:?}");
    }
    let spelled = HeaderValue::from_str(&spelled(&found)).unwrap();
    let again = Response::read(&field(CACHE_CONTROL, std::slice::from_ref(&spelled)));
    assert_eq!(again, found, "{lines:?} is {spelled:?}");
}

fn times(found: &Response) -> [Option<Duration>; 4] {
    [
        found.max_age,
        found.s_maxage,
        found.stale_while_revalidate,
        found.stale_if_error,
    ]
}

/// As an origin would say it.
fn spelled(found: &Response) -> String {
    let mut said = Vec::new();
    for (is_said, name) in [
        (found.no_store, "no-store"),
        (found.public, "public"),
        (found.must_revalidate, "must-revalidate"),
        (found.proxy_revalidate, "proxy-revalidate"),
        (found.must_understand, "must-understand"),
    ] {
        said.extend(is_said.then(|| name.to_owned()));
    }
    for (named, name) in [(&found.no_cache, "no-cache"), (&found.private, "private")] {
        match named {
            Named::Absent => {}
            Named::Whole => said.push(name.to_owned()),
            Named::Fields(fields) => {
                let fields: Vec<_> = fields.iter().map(HeaderName::as_str).collect();
                said.push(format!("{name}=\"{}\"", fields.join(",")));
            }
        }
    }
    let names = [
        "max-age",
        "s-maxage",
        "stale-while-revalidate",
        "stale-if-error",
    ];
    for (time, name) in times(found).into_iter().zip(names) {
        said.extend(time.map(|time| format!("{name}={}", time.as_secs())));
    }
    said.join(", ")
}

pub fn of_requests(input: &mut Input<'_>) {
    let (lines, pragma) = (input.lines(&WORDS), input.lines(&WORDS));
    let read = |lines: &[HeaderValue]| {
        let mut head = field(CACHE_CONTROL, lines);
        head.extend(field(PRAGMA, &pragma));
        Request::read(&head)
    };
    let found = read(&lines);
    for line in &lines {
        for head in with(line, "only-if-cached") {
            assert!(Request::read(&head).only_if_cached, "hidden by {line:?}");
        }
    }
    if lines.iter().all(is_closed) {
        assert_eq!(read(&joined(&lines)), found, "{lines:?} {pragma:?}");
    }
    if !lines.is_empty() {
        assert_eq!(
            found,
            Request::read(&field(CACHE_CONTROL, &lines)),
            "Pragma counts alone"
        );
    }
    assert!(found.max_age.is_none_or(|time| time <= DELTA_MAX));
    assert!(found.min_fresh.is_none_or(|time| time <= DELTA_MAX));
}

pub fn structured_fields(input: &mut Input<'_>) {
    let (cdn, surrogate) = (input.lines(&WORDS), input.lines(&WORDS));
    let head = |cdn: &[HeaderValue], surrogate: &[HeaderValue]| {
        let mut head = field(HeaderName::from_static("cdn-cache-control"), cdn);
        head.extend(field(
            HeaderName::from_static("surrogate-control"),
            surrogate,
        ));
        head
    };
    let alone = targeted::read(&head(&cdn, &surrogate), false);
    assert_eq!(
        targeted::read(&head(&joined(&cdn), &[]), false),
        alone,
        "{cdn:?}"
    );
    let both = targeted::read(&head(&cdn, &surrogate), true);
    // "the first (in target list order) field with a valid, non-empty value"
    let expect = alone.or_else(|| targeted::read(&head(&[], &surrogate), true));
    assert_eq!(both, expect, "{cdn:?} {surrogate:?}");
    if surrogate.iter().all(is_closed) {
        let at_once = targeted::read(&head(&cdn, &joined(&surrogate)), true);
        assert_eq!(at_once, both, "{surrogate:?}");
    }
    let name = HeaderName::from_static("cache-groups");
    let (groups, many) = fields::groups(&field(name.clone(), &cdn), "cache-groups");
    assert_eq!(many, groups.len() > fields::TAGS_MAX);
    let at_once = fields::groups(&field(name, &joined(&cdn)), "cache-groups");
    assert_eq!(at_once, (groups, many), "{cdn:?}");
}

pub fn tags(input: &mut Input<'_>) {
    let words = ["a", "b", "news", ",", " ", ", ", "\t"];
    let name = HeaderName::from_static(input.one_of(&fields::TAG_FIELDS));
    let lines = input.lines(&words);
    let (tags, cut) = fields::tags(&field(name.clone(), &lines));
    let apart: HashSet<_> = tags.iter().collect();
    assert_eq!(apart.len(), tags.len(), "{lines:?}");
    for tag in &tags {
        assert!(
            !tag.is_empty() && !tag.contains([' ', ',', '\t']),
            "{lines:?}"
        );
    }
    assert!(!cut, "so few are never too many: {lines:?}");
    assert_eq!(
        fields::tags(&field(name, &joined(&lines))),
        (tags, cut),
        "{lines:?}"
    );
}
