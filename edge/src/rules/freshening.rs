//! What an answer without a body changes: a 304 to our question, or an answer to HEAD, freshens what is stored.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::storing::{Storing, Why};
use super::validation::{copied, is_strong, strongly_equal, weakly_equal};

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

/// Which of the stored responses it was asked about a 304 speaks of (§4.3.4), by its place.
pub fn selected<'a>(
    stored: impl DoubleEndedIterator<Item = &'a HeaderMap> + ExactSizeIterator,
    not_modified: &HeaderMap,
) -> Option<usize> {
    let alone = stored.len() == 1;
    let modified = not_modified.get(header::LAST_MODIFIED);
    let speaks_of =
        |head: &HeaderMap| match (not_modified.get(header::ETAG), head.get(header::ETAG)) {
            // "All the stored responses with one of those same strong validators … If none … MUST NOT use"
            (Some(new), Some(old)) if is_strong(new) => {
                strongly_equal(new.as_bytes(), old.as_bytes())
            }
            (Some(new), _) if is_strong(new) => false,
            // "the most recent of those matching stored responses"
            (Some(new), Some(old)) => weakly_equal(new.as_bytes(), old.as_bytes()),
            (Some(_), None) => modified.is_none() || head.get(header::LAST_MODIFIED) == modified,
            // A 304 without a tag answers the one tag that was sent; of several it could be any.
            (None, _) => {
                alone && (modified.is_none() || head.get(header::LAST_MODIFIED) == modified)
            }
        };
    stored
        .enumerate()
        .rev()
        .find(|(_, head)| speaks_of(head))
        .map(|(at, _)| at)
}

/// What an answer to HEAD says of the stored answer to GET (§4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshened {
    /// It is the same: its fields are updated.
    Same,
    /// "otherwise, the cache SHOULD consider the stored response to be stale".
    Changed,
    /// Nothing: it was made for this client alone.
    Silent,
}

/// §4.3.5: "if the stored response and HEAD response have matching values for any received validator fields (ETag and
/// Last-Modified) and, if the HEAD response has a Content-Length header field, the value of Content-Length matches
/// that of the stored response, the cache SHOULD update the stored response".
///
/// `stored`: status, head, and bytes of the body. `head`: of a 200; what is stored with another status is not the same.
/// `storing`: whether what is stored would be kept with the fields of the answer.
pub fn freshened(
    stored: (StatusCode, &HeaderMap, u64),
    head: &HeaderMap,
    storing: Storing,
) -> Freshened {
    let (status, stored, stored_bytes) = stored;
    // §3.5: what answers one client's Authorization says nothing to others.
    if matches!(storing, Storing::Refuse(why) if why.is_of_client()) {
        return Freshened::Silent;
    }
    let length = |head: &HeaderMap| {
        let line = head.get(header::CONTENT_LENGTH)?;
        line.to_str().ok()?.parse::<u64>().ok()
    };
    let same = |name: HeaderName| match (head.get(&name), stored.get(&name)) {
        (Some(new), Some(old)) if name == header::ETAG => {
            weakly_equal(new.as_bytes(), old.as_bytes())
        }
        (Some(new), old) => Some(new) == old,
        (None, _) => true,
    };
    let same_length = length(head).is_none_or(|length| length == stored_bytes);
    let unchanged = status == StatusCode::OK
        && same(header::ETAG)
        && same(header::LAST_MODIFIED)
        && same_length;
    match storing {
        Storing::Keep if unchanged => Freshened::Same,
        // A cookie for one client beside a page that is the same.
        Storing::Refuse(Why::SetCookie) if unchanged => Freshened::Silent,
        _ => Freshened::Changed,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::testing::head;

    #[test]
    fn a_304_updates_all_but_what_describes_the_body() {
        let check = |section: &str, stored: &str, fresh: &str, expect: &str| {
            let found = update(&head(stored), &head(fresh));
            assert_eq!(found, head(expect), "{section}: {stored} / {fresh}");
        };
        check("3.2", "x: 1|x: 2|y: 1", "x: 3", "y: 1|x: 3");
        check("3.2", "x: 1", "x: 2|x: 3", "x: 2|x: 3");
        check(
            "3.2",
            "x: 1",
            "cache-control: no-store",
            "x: 1|cache-control: no-store",
        );
        check(
            "3.2",
            "content-type: text/plain",
            "content-type: image/png",
            "content-type: image/png",
        );
        check(
            "3.2",
            "content-length: 5",
            "content-length: 0",
            "content-length: 5",
        );
        check(
            "3.2",
            "content-encoding: br",
            "content-encoding: gzip",
            "content-encoding: br",
        );
        check("3.2", "", "content-range: bytes 0-4/10", "");
        // They told of another message.
        check("4.2.3", "age: 10|date: x|y: 1", "", "y: 1");
        check("4.2.3", "age: 10|date: x", "date: y", "date: y");
    }

    #[test]
    fn a_304_for_something_else_selects_nothing() {
        let check = |section: &str, stored: &[&str], fresh: &str, expect: Option<usize>| {
            let heads: Vec<_> = stored.iter().map(|stored| head(stored)).collect();
            assert_eq!(
                selected(heads.iter(), &head(fresh)),
                expect,
                "{section}: {stored:?} {fresh}"
            );
        };
        let (a, b, weak) = ("etag: \"a\"", "etag: \"b\"", "etag: W/\"a\"");
        check("4.3.4", &[a], a, Some(0));
        check("4.3.4", &[a], weak, Some(0));
        check("4.3.4", &[weak], weak, Some(0));
        check("4.3.4", &[weak], a, None);
        check("4.3.4", &[a], b, None);
        check("4.3.4", &[a], "", Some(0));
        let (dated, other) = ("etag: \"a\"|last-modified: x", "last-modified: y");
        check("4.3.4", &[dated], "last-modified: x", Some(0));
        check("4.3.4", &[dated], other, None);
        check("4.3.4", &["last-modified: x"], b, None);
        check("4.3.4", &["last-modified: x"], "last-modified: x", Some(0));
        check("4.3.4", &["last-modified: x"], "last-modified: y", None);
        check("4.3.4", &[a, b], a, Some(0));
        check("4.3.4", &[a, b], b, Some(1));
        check("4.3.4", &[a, b], "etag: \"c\"", None);
        check("4.3.4", &[a, b], "", None);
        check("4.3.4", &[a, a], weak, Some(1));
        check("4.3.4", &[], a, None);
    }

    #[test]
    fn an_answer_to_head_says_whether_the_stored_one_is_the_same() {
        let check = |section: &str, stored: &str, fresh: &str, expect| {
            assert_eq!(
                freshened(
                    (StatusCode::OK, &head(stored), 5),
                    &head(fresh),
                    Storing::Keep
                ),
                expect,
                "{section}: {stored} {fresh}"
            );
        };
        check("4.3.5", "", "", Freshened::Same);
        check(
            "4.3.5",
            "etag: \"a\"",
            "etag: \"a\"|content-length: 5",
            Freshened::Same,
        );
        check("4.3.5", "etag: \"a\"", "etag: \"b\"", Freshened::Changed);
        check("4.3.5", "", "etag: \"b\"", Freshened::Changed);
        check(
            "4.3.5",
            "last-modified: x",
            "last-modified: y",
            Freshened::Changed,
        );
        check("4.3.5", "last-modified: x", "", Freshened::Same);
        check("4.3.5", "", "content-length: 6", Freshened::Changed);
        let error = (StatusCode::NOT_FOUND, &head("etag: \"a\""), 5);
        let same = head("etag: \"a\"|content-length: 5");
        let found = freshened(error, &same, Storing::Keep);
        assert_eq!(found, Freshened::Changed, "4.3.5");
    }

    #[test]
    fn an_answer_to_head_that_would_not_be_kept_updates_nothing() {
        let check = |section: &str, why: Why, fresh: &str, expect: Freshened| {
            let stored = (StatusCode::OK, &head("etag: \"a\""), 5);
            let found = freshened(stored, &head(fresh), Storing::Refuse(why));
            assert_eq!(found, expect, "{section}: {why:?} {fresh}");
        };
        let (same, other) = ("etag: \"a\"", "etag: \"b\"");
        check("4.3.5", Why::NoStore, same, Freshened::Changed);
        check("4.3.5", Why::Private, same, Freshened::Changed);
        check("3.5", Why::Authorization, same, Freshened::Silent);
        check("3.5", Why::Authorization, other, Freshened::Silent);
        check("5.2.1.5", Why::ClientNoStore, other, Freshened::Silent);
        check("7.3", Why::SetCookie, same, Freshened::Silent);
        check("7.3", Why::SetCookie, other, Freshened::Changed);
    }
}
