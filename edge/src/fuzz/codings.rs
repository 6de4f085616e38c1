//! Compression: nobody gets a coding that was not asked for, or that the origin forbade.

use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, RANGE, VARY,
};
use seawall_config::site::{ContentCoding, Policy};

use super::input::{Input, field, joined, value};
use crate::rules::accept_encoding::Accepted;
use crate::rules::coding::{self, Coding, Question};
use crate::rules::validation;

const WORDS: [&str; 24] = [
    "gzip", "br", "zstd", "x-gzip", "GZip", "identity", "*", "deflate", ";q=", "; Q = ", ";", "=",
    "q", "0", "1", "0.5", "1.000", "0.0001", ".", ",", ",", ", ", " ", "\t",
];

pub fn codings(input: &mut Input<'_>) {
    let lines = input.lines(&WORDS);
    let read = |lines: &[HeaderValue]| Accepted::read(&field(ACCEPT_ENCODING, lines));
    let found = read(&lines);
    assert_eq!(found, read(&joined(&lines)), "{lines:?}");
    assert_eq!(found.is_none(), lines.is_empty());
    for refused in ContentCoding::ALL {
        let no = value(&format!("{};q=0", refused.as_str()));
        let best = read(&[lines.clone(), vec![no]].concat()).unwrap();
        assert_ne!(best.best(&ContentCoding::ALL), Some(refused), "{lines:?}");
    }
    encoded(input, &lines);
}

fn encoded(input: &mut Input<'_>, lines: &[HeaderValue]) {
    let offered = &ContentCoding::ALL[usize::from(input.byte() % 3)..];
    let policy = Policy {
        compress: offered.to_vec(),
        ..Policy::default()
    };
    let mut request = field(ACCEPT_ENCODING, lines);
    let mut head = field(CONTENT_TYPE, &[value("text/html")]);
    let (ranged, forbidden, coded) = (input.flag(), input.flag(), input.flag());
    if ranged {
        request.insert(RANGE, input.line(&["bytes=0-1"]));
    }
    if forbidden {
        let control = [input.line(&["a", "=", "\"", ","]), value("no-transform")];
        head.extend(field(CACHE_CONTROL, &control));
    }
    if coded {
        head.insert(CONTENT_ENCODING, input.line(&["gzip"]));
    }
    head.extend(field(ETAG, &input.lines(&["\"", "W/", "a"])));
    head.extend(field(
        VARY,
        &input.lines(&["*", ",", "accept-encoding", "x"]),
    ));
    let question = Question {
        policy: &policy,
        request: &request,
        status: StatusCode::OK,
        head: &head,
    };
    let Coding::Encode(coding) = coding::coding(question) else {
        return;
    };
    assert!(
        offered.contains(&coding) && !ranged && !forbidden && !coded,
        "{question:?}"
    );
    coding::describe(&mut head, coding, None);
    let once = head.clone();
    coding::weaken(&mut head);
    assert_eq!(head, once, "weaker than weak");
    assert!(validation::strong_tag(&head).is_none(), "{head:?}");
    coding::vary(&mut head);
    let once = head.clone();
    coding::vary(&mut head);
    assert_eq!(head, once, "said twice");
}
