//! Conditional requests both ways: what we ask an origin, what we answer a client, what a 304 changes.

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::freshness::{date, http_date};

/// Fields by which a client makes a request conditional or partial. They are ours to answer: none of them
/// reaches the origin of a fetch that others may share.
pub const CONDITIONAL: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// RFC 9111 §3.2: an update replaces every stored field but Content-Length and those "that the cache's stored
/// response depends upon": they say how the stored bytes are coded, and what their digest is. Content-Type is none
/// of them: the bytes stay the same whatever they are called.
const KEPT: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// Makes a request for what is stored conditional (§4.3.1); false where the stored head holds no validator.
pub fn add_conditions(stored: &HeaderMap, request: &mut HeaderMap) -> bool {
    let etag = stored.get(header::ETAG);
    let modified = stored.get(header::LAST_MODIFIED);
    if let Some(etag) = etag {
        request.insert(header::IF_NONE_MATCH, etag.clone());
    }
    if let Some(modified) = modified {
        request.insert(header::IF_MODIFIED_SINCE, modified.clone());
    }
    etag.is_some() || modified.is_some()
}

/// Whether a 304 speaks of what is stored (§4.3.4): its validators, where it has them, are the stored ones.
pub fn selects(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    match (not_modified.get(header::ETAG), stored.get(header::ETAG)) {
        (Some(new), Some(old)) => weakly_equal(new.as_bytes(), old.as_bytes()),
        (Some(new), None) => new.as_bytes().starts_with(b"W/"),
        (None, Some(_)) => true,
        (None, None) => match not_modified.get(header::LAST_MODIFIED) {
            Some(new) => stored.get(header::LAST_MODIFIED) == Some(new),
            None => true,
        },
    }
}

/// The stored head with the fields of a 304 over it (§3.2).
pub fn update(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut updated = stored.clone();
    // They told of the message they came in; without new ones the time of arrival counts (§4.2.3).
    updated.remove(header::AGE);
    updated.remove(header::DATE);
    for name in not_modified.keys().filter(|name| !KEPT.contains(name)) {
        updated.remove(name);
        for value in not_modified.get_all(name) {
            updated.append(name, copied(value));
        }
    }
    updated
}

/// Whether a client's own copy is still good (RFC 9110 §13.2.2): it gets a 304.
pub fn not_modified(request: &HeaderMap, stored: &HeaderMap, received: SystemTime) -> bool {
    // §13.1.3: "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match".
    if request.contains_key(header::IF_NONE_MATCH) {
        let lines = request.get_all(header::IF_NONE_MATCH).iter();
        return lines.flat_map(|line| etags(line.as_bytes())).any(|tag| {
            tag == b"*"
                || stored
                    .get(header::ETAG)
                    .is_some_and(|etag| weakly_equal(tag, etag.as_bytes()))
        });
    }
    let mut since = request.get_all(header::IF_MODIFIED_SINCE).iter();
    let (Some(line), None) = (since.next(), since.next()) else {
        return false;
    };
    let Some(since) = line.to_str().ok().and_then(http_date) else {
        return false;
    };
    // RFC 9111 §4.3.2: without Last-Modified, Date stands for it.
    let modified = stored
        .get(header::LAST_MODIFIED)
        .and_then(|line| line.to_str().ok());
    match modified {
        Some(modified) => http_date(modified).is_some_and(|modified| modified <= since),
        None => date(stored, received) <= since,
    }
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5): no description of a body it lacks.
pub fn not_modified_head(stored: &HeaderMap) -> HeaderMap {
    let mut head = stored.clone();
    for name in [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
    ] {
        head.remove(name);
    }
    head
}

/// RFC 9110 §8.8.3.2: weak comparison.
pub fn weakly_equal(a: &[u8], b: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_owned();
    opaque(a) == opaque(b)
}

/// Strong comparison: equal, and neither weak.
pub fn strongly_equal(a: &[u8], b: &[u8]) -> bool {
    a == b && a.starts_with(b"\"")
}

/// A value that does not keep the buffer it was read into alive.
pub fn copied(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The members of a list of entity tags; a comma inside quotes parts nothing.
fn etags(line: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut start, mut tags) = (false, 0, Vec::new());
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                tags.extend(line.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    tags.extend(line.get(start..));
    tags.into_iter().map(<[u8]>::trim_ascii).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(text: &str) -> HeaderMap {
        let lines = text.split('|').filter_map(|line| line.split_once(": "));
        lines
            .map(|(n, v)| {
                (
                    n.trim().parse::<HeaderName>().unwrap(),
                    v.trim().parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_client_with_a_good_copy_gets_a_304() {
        let check = |section: &str, request: &str, stored: &str, expect: bool| {
            let found = not_modified(&head(request), &head(stored), SystemTime::UNIX_EPOCH);
            assert_eq!(found, expect, "{section}: {request} / {stored}");
        };
        let (old, new) = (
            "Thu, 01 Jan 2026 00:00:00 GMT",
            "Fri, 02 Jan 2026 00:00:00 GMT",
        );
        check("13.1.2", "if-none-match: \"a\"", "etag: \"a\"", true);
        check(
            "13.1.2",
            "if-none-match: \"b\", W/\"a\"",
            "etag: \"a\"",
            true,
        );
        check("13.1.2", "if-none-match: \"b,\\\"a\"", "etag: \"a\"", false);
        check("13.1.2", "if-none-match: *", "", true);
        check("13.1.2", "if-none-match: \"b\"", "etag: \"a\"", false);
        check("13.1.2", "if-none-match: \"a\"", "", false);
        check(
            "13.1.3",
            &format!("if-none-match: \"b\"|if-modified-since: {new}"),
            &format!("etag: \"a\"|last-modified: {old}"),
            false,
        );
        check(
            "13.1.3",
            &format!("if-modified-since: {new}"),
            &format!("last-modified: {old}"),
            true,
        );
        check(
            "13.1.3",
            &format!("if-modified-since: {old}"),
            &format!("last-modified: {old}"),
            true,
        );
        check(
            "13.1.3",
            &format!("if-modified-since: {old}"),
            &format!("last-modified: {new}"),
            false,
        );
        check(
            "13.1.3",
            "if-modified-since: yesterday",
            &format!("last-modified: {old}"),
            false,
        );
        check(
            "4.3.2",
            &format!("if-modified-since: {new}"),
            &format!("date: {old}"),
            true,
        );
    }

    #[test]
    fn a_304_updates_all_but_what_describes_the_body() {
        let stored = head("etag: \"a\"|x: 1|x: 2|content-length: 5|content-type: text/plain|y: 1");
        let fresh = head(
            "etag: \"a\"|x: 3|content-length: 0|content-type: image/png|cache-control: max-age=1",
        );
        let expect = head(
            "etag: \"a\"|content-length: 5|content-type: image/png|y: 1|x: 3|cache-control: max-age=1",
        );
        assert_eq!(update(&stored, &fresh), expect);
        let told = head("age: 10|date: x|etag: \"a\"");
        assert_eq!(
            update(&told, &HeaderMap::new()),
            head("etag: \"a\""),
            "they told of another message"
        );
    }

    #[test]
    fn a_304_for_something_else_selects_nothing() {
        let check = |stored: &str, fresh: &str, expect| {
            assert_eq!(
                selects(&head(stored), &head(fresh)),
                expect,
                "{stored} {fresh}"
            )
        };
        check("etag: \"a\"", "etag: \"a\"", true);
        check("etag: \"a\"", "etag: W/\"a\"", true);
        check("etag: \"a\"", "etag: \"b\"", false);
        check("etag: \"a\"", "", true);
        check("last-modified: x", "etag: \"b\"", false);
        check("last-modified: x", "last-modified: x", true);
        check("last-modified: x", "last-modified: y", false);
    }
}
