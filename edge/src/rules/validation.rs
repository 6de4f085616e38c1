//! Conditional requests both ways: what we ask an origin, what we answer a client.

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::dates::http_date;
use super::fields;
use super::freshness::date;

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

/// Bytes of the entity tags that one request asks about.
const TAGS_BYTES_MAX: usize = 4 * 1024;

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

/// Makes a request conditional on several stored responses, none of which it selects (§4.3.1): "One or more entity
/// tags, indicating one or more stored responses, can be used in an If-None-Match header field for response
/// validation". The newest first, as many as fit.
pub fn add_tags<'a>(
    stored: impl DoubleEndedIterator<Item = &'a HeaderMap>,
    request: &mut HeaderMap,
) -> bool {
    let mut line: Vec<u8> = Vec::new();
    let mut asked: Vec<&HeaderValue> = Vec::new();
    for tag in stored.rev().filter_map(|head| head.get(header::ETAG)) {
        if line.len() + tag.len() + 2 > TAGS_BYTES_MAX {
            break;
        }
        if asked.contains(&tag) {
            continue;
        }
        asked.push(tag);
        line.extend_from_slice(if line.is_empty() { b"" } else { b", " });
        line.extend_from_slice(tag.as_bytes());
    }
    match HeaderValue::from_bytes(&line) {
        Ok(value) if !line.is_empty() => request.insert(header::IF_NONE_MATCH, value),
        _ => return false,
    };
    true
}

/// Makes a request ask only for what is missing of a stored response (§3.3): from `first` up to, not including,
/// `end`. Where it has a strong validator the whole comes instead, if that is another by now.
pub fn add_range(stored: &HeaderMap, missing: (u64, u64), total: u64, request: &mut HeaderMap) {
    let (first, end) = missing;
    let range = match end == total {
        true => format!("bytes={first}-"),
        false => format!("bytes={first}-{}", end.saturating_sub(1)),
    };
    if let Ok(range) = HeaderValue::from_str(&range) {
        request.insert(header::RANGE, range);
    }
    if let Some(etag) = strong_tag(stored) {
        request.insert(header::IF_RANGE, etag.clone());
    }
}

/// Whether two responses carry the same strong validator (RFC 9110 §8.8.1): only an entity tag surely is one.
pub fn share_strong_validator(a: &HeaderMap, b: &HeaderMap) -> bool {
    match (strong_tag(a), b.get(header::ETAG)) {
        (Some(a), Some(b)) => strongly_equal(a.as_bytes(), b.as_bytes()),
        _ => false,
    }
}

/// The entity tag of a response, where it is a strong one.
pub fn strong_tag(head: &HeaderMap) -> Option<&HeaderValue> {
    head.get(header::ETAG).filter(|tag| is_strong(tag))
}

pub fn is_strong(tag: &HeaderValue) -> bool {
    tag.as_bytes().starts_with(b"\"")
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
    let read = |text: &str| http_date(text, received);
    let Some(since) = line.to_str().ok().and_then(read) else {
        return false;
    };
    // RFC 9111 §4.3.2: without Last-Modified, Date stands for it.
    let modified = stored
        .get(header::LAST_MODIFIED)
        .and_then(|line| line.to_str().ok());
    match modified {
        Some(modified) => read(modified).is_some_and(|modified| modified <= since),
        None => date(stored, received) <= since,
    }
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5): no description of a body it lacks.
pub fn not_modified_head(stored: &HeaderMap) -> HeaderMap {
    let mut head = stored.clone();
    fields::strip(&mut head, describes_body);
    head
}

pub fn describes_body(name: &HeaderName) -> bool {
    const DESCRIBING: [HeaderName; 4] = [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
    ];
    DESCRIBING.contains(name)
}

/// RFC 9110 §8.8.3.2: weak comparison.
pub fn weakly_equal(a: &[u8], b: &[u8]) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
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
pub(super) fn etags(line: &[u8]) -> Vec<&[u8]> {
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
    use crate::rules::testing::head;

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
        check("9110 13.1.2", "if-none-match: \"a\"", "etag: \"a\"", true);
        check(
            "9110 13.1.2",
            "if-none-match: \"b\", W/\"a\"",
            "etag: \"a\"",
            true,
        );
        check(
            "9110 13.1.2",
            "if-none-match: \"b,\\\"a\"",
            "etag: \"a\"",
            false,
        );
        check("9110 13.1.2", "if-none-match: *", "", true);
        check("9110 13.1.2", "if-none-match: \"b\"", "etag: \"a\"", false);
        check("9110 13.1.2", "if-none-match: \"a\"", "", false);
        check(
            "9110 13.1.3",
            &format!("if-none-match: \"b\"|if-modified-since: {new}"),
            &format!("etag: \"a\"|last-modified: {old}"),
            false,
        );
        check(
            "9110 13.1.3",
            &format!("if-modified-since: {new}"),
            &format!("last-modified: {old}"),
            true,
        );
        check(
            "9110 13.1.3",
            &format!("if-modified-since: {old}"),
            &format!("last-modified: {old}"),
            true,
        );
        check(
            "9110 13.1.3",
            &format!("if-modified-since: {old}"),
            &format!("last-modified: {new}"),
            false,
        );
        check(
            "9110 13.1.3",
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
    fn what_is_stored_is_asked_about() {
        let check = |section: &str, stored: &str, expect: &str| {
            let mut request = HeaderMap::new();
            let conditional = add_conditions(&head(stored), &mut request);
            assert_eq!(request, head(expect), "{section}: {stored}");
            assert_eq!(conditional, !expect.is_empty(), "{section}: {stored}");
        };
        check("4.3.1", "etag: W/\"a\"", "if-none-match: W/\"a\"");
        check("4.3.1", "last-modified: x", "if-modified-since: x");
        check(
            "4.3.1",
            "etag: \"a\"|last-modified: x",
            "if-none-match: \"a\"|if-modified-since: x",
        );
        check("4.3.1", "date: x", "");
        let check = |section: &str, stored: &[&str], expect: &str| {
            let heads: Vec<_> = stored.iter().map(|stored| head(stored)).collect();
            let mut request = HeaderMap::new();
            let conditional = add_tags(heads.iter(), &mut request);
            assert_eq!(request, head(expect), "{section}: {stored:?}");
            assert_eq!(conditional, !expect.is_empty(), "{section}: {stored:?}");
        };
        check(
            "4.3.1",
            &["etag: \"a\"", "x: 1", "etag: W/\"b\""],
            "if-none-match: W/\"b\", \"a\"",
        );
        check(
            "4.3.1",
            &["etag: \"a\"", "etag: \"b\"", "etag: \"a\""],
            "if-none-match: \"a\", \"b\"",
        );
        check("4.3.1", &["last-modified: x"], "");
        let long = format!("etag: \"{}\"", "a".repeat(TAGS_BYTES_MAX));
        check("4.3.1", &[&long], "");
        let check = |section: &str, stored: &str, missing, expect: &str| {
            let mut request = HeaderMap::new();
            add_range(&head(stored), missing, 10, &mut request);
            assert_eq!(request, head(expect), "{section}: {stored}");
        };
        check("3.3", "", (5, 10), "range: bytes=5-");
        check(
            "3.3",
            "etag: \"a\"",
            (5, 7),
            "range: bytes=5-6|if-range: \"a\"",
        );
        check("9110 13.1.5", "etag: W/\"a\"", (0, 5), "range: bytes=0-4");
    }
}
