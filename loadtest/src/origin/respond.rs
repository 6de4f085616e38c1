//! From a representation to a response: conditional requests and ranges, by RFC 9110. Pure.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::OriginBody;
use super::content::{Content, Version};

/// The answer to GET, or to HEAD with `head`.
pub(super) fn respond(head: bool, asked: &HeaderMap, content: Content) -> Response<OriginBody> {
    let (status, range) = match &content.version {
        Some(version) if unchanged(asked, version) => (StatusCode::NOT_MODIFIED, None),
        // RFC 9110 §14.2: "A server MUST ignore a Range header field received with a request method
        // that is unrecognized or for which range handling is not defined."
        Some(version) if !head => match asked_range(asked, version, content.body.len()) {
            Asked::Whole => (StatusCode::OK, None),
            Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
            Asked::Unsatisfiable => return unsatisfiable(content.body.len()),
        },
        _ => (StatusCode::OK, None),
    };
    let mut response = Response::new(OriginBody::Text(Bytes::new()));
    *response.status_mut() = status;
    describe(&content, response.headers_mut());
    if status == StatusCode::NOT_MODIFIED {
        return response;
    }
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, content.content_type);
    let length = content.body.len();
    let body = match range {
        Some(range) => {
            let last = range.end - 1;
            set(
                headers,
                header::CONTENT_RANGE,
                &format!("bytes {}-{last}/{length}", range.start),
            );
            content.body.part(range)
        }
        None => content.body,
    };
    set(headers, header::CONTENT_LENGTH, &body.len().to_string());
    if !head {
        *response.body_mut() = body;
    }
    response
}

/// A short text that no cache keeps.
pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<OriginBody> {
    let mut response = Response::new(OriginBody::Text(text.into()));
    *response.status_mut() = status;
    set(
        response.headers_mut(),
        header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    );
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    response
}

fn unsatisfiable(length: u64) -> Response<OriginBody> {
    let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "no such range\n");
    set(
        response.headers_mut(),
        header::CONTENT_RANGE,
        &format!("bytes */{length}"),
    );
    response
}

/// What a 304 carries too (RFC 9110 §15.4.5).
fn describe(content: &Content, headers: &mut HeaderMap) {
    set(headers, header::CACHE_CONTROL, &content.cache_control);
    if !content.tags.is_empty() {
        set(
            headers,
            HeaderName::from_static("surrogate-key"),
            &content.tags,
        );
        set(
            headers,
            HeaderName::from_static("cache-tag"),
            &content.tags.replace(' ', ","),
        );
    }
    if let Some(version) = &content.version {
        set(headers, header::ETAG, &version.etag);
        set(
            headers,
            header::LAST_MODIFIED,
            &httpdate::fmt_http_date(version.modified),
        );
        set(headers, header::ACCEPT_RANGES, "bytes");
    }
    if let Some(cookie) = content.set_cookie {
        set(headers, header::SET_COOKIE, cookie);
    }
}

/// RFC 9110 §13.2.2: If-None-Match decides when it is there, else If-Modified-Since.
fn unchanged(asked: &HeaderMap, version: &Version) -> bool {
    let mut tags = asked.get_all(header::IF_NONE_MATCH).into_iter().peekable();
    if tags.peek().is_some() {
        // §13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags for
        // If-None-Match". Our tags hold no comma, so a list may be cut at each.
        return tags
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .any(|tag| {
                let tag = tag.trim();
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == version.etag
            });
    }
    date(asked, header::IF_MODIFIED_SINCE).is_some_and(|since| seconds(version.modified) <= since)
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

fn asked_range(asked: &HeaderMap, version: &Version, length: u64) -> Asked {
    // §13.1.5: "A recipient of an If-Range header field MUST ignore the Range header field if the
    // If-Range condition evaluates as false": unless the tag matches strongly, or the date exactly.
    if let Some(condition) = asked.get(header::IF_RANGE) {
        let same_date = date(asked, header::IF_RANGE) == Some(seconds(version.modified));
        if condition.as_bytes() != version.etag.as_bytes() && !same_date {
            return Asked::Whole;
        }
    }
    let range = asked
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    range.map_or(Asked::Whole, |range| parse_range(range, length))
}

/// One range of bytes. What is malformed, or more than one, is answered whole, as §14.2 allows.
fn parse_range(text: &str, length: u64) -> Asked {
    let Some((unit, set)) = text.split_once('=') else {
        return Asked::Whole;
    };
    let Some((first, last)) = set.trim().split_once('-') else {
        return Asked::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More than 64 bits is past every end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let range = match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        (Some(first), None) if last.is_empty() => first..length,
        // §14.1.1: "An int-range is invalid if the last-pos value is present and less than first-pos."
        (Some(first), Some(last)) if first <= last => first..length.min(last.saturating_add(1)),
        _ => return Asked::Whole,
    };
    if range.start < range.end {
        Asked::Part(range)
    } else {
        Asked::Unsatisfiable
    }
}

/// A date field as whole seconds since 1970, which is all that HTTP can say.
fn date(asked: &HeaderMap, name: HeaderName) -> Option<u64> {
    let text = asked.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok().map(seconds)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Every value here is ours and visible ASCII; one that were not would be left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_answered_and_anything_else_is_whole() {
        let check =
            |text: &str, expect: Asked| assert_eq!(parse_range(text, 100), expect, "{text}");
        check("bytes=0-0", Asked::Part(0..1));
        check("bytes=10-19", Asked::Part(10..20));
        check("Bytes=90-", Asked::Part(90..100));
        check("bytes=90-1000", Asked::Part(90..100));
        check("bytes=-1", Asked::Part(99..100));
        check("bytes=-1000", Asked::Part(0..100));
        check("bytes=0-99999999999999999999999", Asked::Part(0..100));
        check("bytes=100-", Asked::Unsatisfiable);
        check("bytes=99999999999999999999999-", Asked::Unsatisfiable);
        check("bytes=-0", Asked::Unsatisfiable);
        for whole in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            check(whole, Asked::Whole);
        }
        check("bytes=0-1,5-6", Asked::Whole);
        check("lines=0-1", Asked::Whole);
    }
}
