//! Conditional requests: lists of entity tags, and what a 304 changes.

use http::StatusCode;
use http::header::{
    self, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};

use super::input::{Input, field, joined, value};
use crate::rules::storing::Storing;
use crate::rules::{freshening, validation};

const WORDS: [&str; 14] = [
    "\"a\"",
    "\"a\"",
    "W/\"a\"",
    "\"b,c\"",
    "\"",
    "\"",
    "W/",
    ",",
    ",",
    ", ",
    "*",
    " ",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "0",
];

/// A tag as RFC 9110 §8.8.3 spells it.
fn entity_tag(input: &mut Input<'_>) -> HeaderValue {
    let weak = if input.flag() { "W/" } else { "" };
    let opaque = input.text(&["a", "b", ",", "\\"]);
    let opaque = opaque.replace(['"', ' '], "");
    value(&format!("{weak}\"{opaque}\""))
}

pub fn conditions(input: &mut Input<'_>) {
    let (tags, since) = (input.lines(&WORDS), input.lines(&WORDS));
    let etag = entity_tag(input);
    let mut stored = field(ETAG, std::slice::from_ref(&etag));
    stored.extend(field(LAST_MODIFIED, &input.lines(&WORDS)));
    let received = input.clock();
    let request = |tags: &[HeaderValue]| {
        let mut request = field(IF_NONE_MATCH, tags);
        request.extend(field(IF_MODIFIED_SINCE, &since));
        request
    };
    let found = validation::not_modified(&request(&tags), &stored, received);
    let quotes = |line: &HeaderValue| line.as_bytes().iter().filter(|b| **b == b'"').count();
    if tags.iter().all(|line| quotes(line) % 2 == 0) {
        let at_once = validation::not_modified(&request(&joined(&tags)), &stored, received);
        assert_eq!(at_once, found, "{tags:?}");
    }
    // Whatever else a client names: who names the tag has the thing.
    for list in [
        vec![etag.clone()],
        vec![value("\"x\", "), etag.clone()],
        joined(&[value("W/\"x,y\""), etag.clone(), value("\"z\"")]),
    ] {
        let found = validation::not_modified(&request(&list), &stored, received);
        assert!(found, "{list:?} names {etag:?}");
    }
    let other = field(ETAG, &[entity_tag(input)]);
    let mut asked = HeaderMap::new();
    assert!(validation::add_tags(
        [&stored, &other].into_iter(),
        &mut asked
    ));
    for head in [&stored, &other] {
        assert!(
            validation::not_modified(&asked, head, received),
            "{asked:?}"
        );
    }
}

pub fn updates(input: &mut Input<'_>) {
    let head = |input: &mut Input<'_>| {
        let names = [
            ETAG,
            LAST_MODIFIED,
            header::AGE,
            header::DATE,
            header::CACHE_CONTROL,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-a"),
        ];
        let mut head = HeaderMap::new();
        for _ in 0..input.byte() % 8 {
            head.append(input.one_of(&names), input.line(&WORDS));
        }
        head
    };
    let (stored, other, told) = (head(input), head(input), head(input));
    let updated = freshening::update(&stored, &told);
    assert_eq!(
        freshening::update(&updated, &told),
        updated,
        "twice is once"
    );
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        let all = |head: &HeaderMap| head.get_all(&name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(all(&updated), all(&stored), "{name} is of the stored bytes");
    }
    for name in [header::AGE, header::DATE, header::CACHE_CONTROL] {
        let all = |head: &HeaderMap| head.get_all(&name).iter().cloned().collect::<Vec<_>>();
        let kept = !told.contains_key(&name) && name == header::CACHE_CONTROL;
        let expect = if kept { &stored } else { &told };
        assert_eq!(
            all(&updated),
            all(expect),
            "{name} is of the newest message"
        );
    }
    let both = [stored, other];
    if let Some(at) = freshening::selected(both.iter(), &told) {
        let (selected, said) = (both[at].get(ETAG), told.get(ETAG));
        if let Some(said) = said.filter(|said| validation::is_strong(said)) {
            assert_eq!(selected, Some(said), "§4.3.4: the same strong validator");
        }
    }
    let bytes = input.number();
    let same = freshening::freshened((StatusCode::OK, &both[0], bytes), &both[0], Storing::Keep);
    let length = both[0].get(header::CONTENT_LENGTH).is_none();
    assert!(
        !length || same == freshening::Freshened::Same,
        "{:?} is like itself",
        both[0]
    );
}
