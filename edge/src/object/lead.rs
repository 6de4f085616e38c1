//! What every answer from a stored response begins with over HTTP/1: its status line, the fields as they are stored,
//! and the length of its body. Written once, when it is stored, and not for every client.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::rules::fields;

/// Said anew in each answer, or kept from clients.
const NOT_SENT: [HeaderName; 3] = [
    header::AGE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("x-cache"),
];

#[derive(Clone, Debug)]
pub struct Lead {
    bytes: Bytes,
    /// Those behind belong to fields that are not sent.
    sent: usize,
    /// Whether there is a Date in it.
    pub is_dated: bool,
}

impl Lead {
    /// And the same fields, their values parts of the same bytes: so they are in memory once.
    pub fn new(status: StatusCode, head: &HeaderMap, total: u64) -> (Self, HeaderMap) {
        let mut bytes = BytesMut::with_capacity(room(head));
        status_line(&mut bytes, status);
        let mut places: Vec<Range<usize>> = Vec::with_capacity(head.len());
        for (name, value) in head {
            let end = match is_sent(name) {
                true => {
                    line(&mut bytes, name.as_str(), value.as_bytes());
                    bytes.len() - LINE_END.len()
                }
                // Its place is found below.
                false => value.len(),
            };
            places.push(end - value.len()..end);
        }
        if carries_length(status) {
            line(&mut bytes, "content-length", total.to_string().as_bytes());
        }
        let sent = bytes.len();
        for ((name, value), place) in head.iter().zip(&mut places) {
            if !is_sent(name) {
                *place = bytes.len()..bytes.len() + value.len();
                bytes.extend_from_slice(value.as_bytes());
            }
        }
        let bytes = bytes.freeze();
        let same = |((name, value), place): ((&HeaderName, &HeaderValue), Range<usize>)| {
            let shared = HeaderValue::from_maybe_shared(bytes.slice(place));
            (name.clone(), shared.unwrap_or_else(|_| value.clone()))
        };
        let fields = head.iter().zip(places).map(same).collect();
        let is_dated = head.contains_key(header::DATE);
        let lead = Self {
            bytes,
            sent,
            is_dated,
        };
        (lead, fields)
    }

    /// The bytes to send; the answer's own fields follow, and the empty line.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.sent).unwrap_or_default()
    }

    /// In memory, the values of all fields included.
    pub fn weight(&self) -> usize {
        self.bytes.len()
    }
}

/// RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx
/// (Informational) or 204 (No Content)."
pub fn carries_length(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT && !status.is_informational()
}

/// Whether clients are told it, as it is stored.
pub fn is_sent(name: &HeaderName) -> bool {
    !NOT_SENT.contains(name) && !fields::is_for_caches(name)
}

/// Room for all of it.
fn room(head: &HeaderMap) -> usize {
    let lines = head
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.sum::<usize>() + 64
}

const LINE_END: &[u8] = b"\r\n";

pub fn status_line(bytes: &mut BytesMut, status: StatusCode) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    let reason = status.canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(reason.as_bytes());
    bytes.extend_from_slice(LINE_END);
}

/// Names are written as people write them: `Content-Type`.
pub fn line(bytes: &mut BytesMut, name: &str, value: &[u8]) {
    let from = bytes.len();
    bytes.extend_from_slice(name.as_bytes());
    let mut first = true;
    for byte in bytes.iter_mut().skip(from) {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(LINE_END);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_stands_in_front_and_every_field_is_kept() {
        let head: HeaderMap = [
            ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
            ("surrogate-key", "a b"),
            ("x-a", ""),
            ("age", "7"),
            ("link", "</a>"),
            ("link", "</b>"),
            ("content-length", "3"),
        ]
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_static(value))
        })
        .collect();
        let (lead, fields) = Lead::new(StatusCode::NOT_FOUND, &head, 3);
        let expect = "HTTP/1.1 404 Not Found\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nX-A: \r\nLink: </a>\r\n\
                      Link: </b>\r\nContent-Length: 3\r\n";
        assert_eq!(std::str::from_utf8(lead.bytes()).unwrap(), expect);
        assert!(lead.is_dated);
        assert_eq!(fields, head);
        let (lead, _) = Lead::new(StatusCode::NO_CONTENT, &HeaderMap::new(), 0);
        assert_eq!(lead.bytes(), b"HTTP/1.1 204 No Content\r\n");
        assert!(!lead.is_dated);
    }
}
