//! What a request is called: two that share a key are one to the origin, and what an origin sees is the key.

use std::sync::{Arc, LazyLock};

use http::Method;
use http::header::{
    CONNECTION, CONTENT_LOCATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use seawall_config::scope::Scheme;
use seawall_config::{Epoch, Revision};
use sfv::{List, ListEntry, Parser};

use super::input::{Input, field, joined};
use crate::admit::{Admitted, Asked, admit};
use crate::answer::Journey;
use crate::fill::fetch::Stored;
use crate::key::Key;
use crate::ledger::Birth;
use crate::origin::request::{Pseudonym, fetch};
use crate::rules::cache_status::{Debugger, Fwd, Told};
use crate::rules::{fields, invalidation, validation};
use crate::snapshot::Snapshot;

const HOSTS: [&str; 18] = [
    "a", "A", "a.test", "A.Test", "b", "1", ":80", ":443", ":8080", ":080", ":", ".", "[::1]", "[",
    "]", "-", "http", "@",
];

const TARGETS: [&str; 20] = [
    "/", "/", "a", "A", "?", "&", "=", "..", "/../", "%2f", "%2F", "%00", "%0a", "\\", "//", "#",
    ":", "http://", " ", "1:",
];

/// Fields by which a client might speak to the origin past the key.
const SPOOFS: [&str; 12] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-host",
    "range",
    "if-none-match",
    "connection",
    "transfer-encoding",
];

/// What a client calls the thing it asks for.
struct Name {
    site: Revision,
    scheme: Scheme,
    authority: String,
    target: String,
}

fn name(input: &mut Input<'_>) -> Name {
    Name {
        site: Revision(u64::from(input.byte() % 3)),
        scheme: input.one_of(&[Scheme::Http, Scheme::Https]),
        authority: input.text(&HOSTS),
        target: format!("/{}", input.text(&TARGETS)),
    }
}

/// Two that are often alike.
fn two_names(input: &mut Input<'_>) -> (Name, Name) {
    let (a, mut b) = (name(input), name(input));
    if input.flag() {
        b.target.clone_from(&a.target);
    }
    if input.flag() {
        b.authority = a.authority.to_ascii_uppercase();
    }
    (a, b)
}

impl Name {
    fn key(&self) -> Option<Key> {
        Key::new(self.site, self.scheme, &self.authority, &self.target).ok()
    }
}

pub fn key(input: &mut Input<'_>) {
    let (a, b) = two_names(input);
    let (Some(one), Some(other)) = (a.key(), b.key()) else {
        return;
    };
    for (name, key) in [(&a, &one), (&b, &other)] {
        assert_eq!(
            (key.scheme(), key.target()),
            (name.scheme, name.target.as_str())
        );
        let again = Key::new(name.site, name.scheme, key.host(), key.target());
        assert!(again.as_ref() == Ok(key), "{key:?} is called so itself");
    }
    let same_bytes =
        (one.scheme(), one.host(), one.target()) == (other.scheme(), other.host(), other.target());
    assert_eq!(
        one == other,
        same_bytes && a.site == b.site,
        "{one:?} {other:?}"
    );
    let sibling = one.sibling(other.target());
    let expect = Key::new(a.site, a.scheme, one.host(), other.target()).ok();
    assert!(sibling == expect, "{one:?} {other:?}");
    what_it_invalidates_is_of_its_origin(input, &one);
    is_told_as_it_is(&one);
}

fn what_it_invalidates_is_of_its_origin(input: &mut Input<'_>, key: &Key) {
    let words = [
        "http://", "//", "a", ":80", "/", "..", ".", "?", "#", "%0a", "é", "A",
    ];
    let mut response = field(LOCATION, &input.lines(&words));
    response.extend(field(CONTENT_LOCATION, &input.lines(&words)));
    for invalidated in invalidation::invalidated(key, &response) {
        let of = |key: &Key| (key.scheme(), key.host().to_owned());
        assert_eq!(of(&invalidated), of(key), "{response:?}");
        assert!(
            key.sibling(invalidated.target()) == Some(invalidated),
            "{response:?}"
        );
    }
}

/// RFC 9211: whatever the key is, the field is a list of one.
fn is_told_as_it_is(key: &Key) {
    let shown = format!("{key:?}");
    let debug = Some(Debugger { key: Some(&shown) });
    let member = Told::forwarded(Fwd::UriMiss).member("edge-1", debug);
    let list: List = Parser::new(&member).parse().expect("a structured field");
    let [ListEntry::Item(item)] = &list[..] else {
        panic!("{member}");
    };
    let told = item.params.get("key").and_then(|key| key.as_string());
    assert_eq!(told.map(|told| told.as_str()), Some(shown.as_str()));
}

/// One site for every host.
static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let site = serde_json::json!({"name": "a", "hosts": ["*"], "origin": "http://127.0.0.1:9"});
    Arc::new(Snapshot::of_one(Epoch(1), &site))
});

/// What the origin is sent of what only the key may say.
#[derive(Debug, PartialEq)]
struct Sent {
    target: Vec<u8>,
    fields: Vec<(HeaderName, Vec<u8>)>,
}

pub fn origin(input: &mut Input<'_>) {
    let (a, b) = two_names(input);
    let (a, b) = (admitted(input, &a), admitted(input, &b));
    let (Some(a), Some(b)) = (a, b) else {
        return;
    };
    let (sent, other) = (sent(&a), sent(&b));
    assert_eq!(a.key == b.key, sent == other, "{:?} {:?}", a.key, b.key);
}

fn admitted(input: &mut Input<'_>, asks: &Name) -> Option<Journey> {
    let mut head = field(HOST, &[asks.authority.parse().ok()?]);
    for _ in 0..input.byte() % 4 {
        let name = HeaderName::from_static(input.one_of(&SPOOFS));
        head.append(
            name,
            input.line(&["evil", "host", "x-a", "POST", "bytes=0-", "/", ","]),
        );
    }
    let asked = Asked {
        method: &Method::GET,
        scheme: asks.scheme,
        authority: None,
        target: Some(&asks.target),
        fields: &Arc::new(head),
        client: None,
    };
    let by = Pseudonym::new("edge-1");
    match admit(asked, &SNAPSHOT, &by, |_| Birth::default()) {
        Ok(Admitted::Ours(journey) | Admitted::Purges(journey) | Admitted::Passes(journey)) => {
            Some(journey)
        }
        Err(_) => None,
    }
}

fn sent(journey: &Journey) -> Sent {
    let by = Pseudonym::new("edge-1");
    let request = fetch(journey, true, &Stored::Nothing, &by);
    let request = request.unwrap_or_else(|| panic!("nothing to send for {:?}", journey.key));
    let key = &journey.key;
    let target = request.raw_path().to_vec();
    assert_eq!(target, key.target().as_bytes());
    let proto = key.scheme().as_str();
    for (name, expect) in [
        ("host", key.host()),
        ("x-forwarded-host", key.host()),
        ("x-forwarded-proto", proto),
    ] {
        let lines: Vec<_> = request.headers.get_all(name).iter().collect();
        assert_eq!(lines, [expect], "{name} is the key's");
    }
    for name in validation::CONDITIONAL {
        assert!(
            !request.headers.contains_key(&name),
            "{name} is one client's own"
        );
    }
    let names = SPOOFS
        .iter()
        .chain(&["host"])
        .map(|name| HeaderName::from_static(name));
    let all = names.flat_map(|name| {
        let lines = request.headers.get_all(&name).iter();
        let lines: Vec<_> = lines
            .map(|line| (name.clone(), line.as_bytes().to_vec()))
            .collect();
        lines
    });
    Sent {
        target,
        fields: all.collect(),
    }
}

pub fn hop(input: &mut Input<'_>) {
    let words = [
        "close",
        "x-a",
        "Cookie",
        "host",
        "te",
        "keep-alive",
        ",",
        ",",
        ", ",
        " ",
    ];
    let lines = input.lines(&words);
    let head = |lines: &[HeaderValue]| {
        let mut head = field(CONNECTION, lines);
        for name in [
            "x-a",
            "x-b",
            "te",
            "keep-alive",
            "cookie",
            "proxy-authorization",
        ] {
            head.insert(HeaderName::from_static(name), "1".parse().unwrap());
        }
        head
    };
    let strip = |mut head: HeaderMap| {
        fields::strip_hop(&mut head);
        head
    };
    let stripped = strip(head(&lines));
    assert_eq!(strip(head(&joined(&lines))), stripped, "{lines:?}");
    assert_eq!(strip(stripped.clone()), stripped, "{lines:?}");
    assert!(stripped.contains_key("x-b"), "nobody names it: {lines:?}");
    for name in ["connection", "te", "keep-alive", "proxy-authorization"] {
        assert!(
            !stripped.contains_key(name),
            "{name} is the hop's: {lines:?}"
        );
    }
    let protected = fields::nominates_protected(&head(&lines));
    assert_eq!(
        protected,
        fields::nominates_protected(&head(&joined(&lines))),
        "{lines:?}"
    );
    assert!(protected || stripped.contains_key("cookie"), "{lines:?}");
}
