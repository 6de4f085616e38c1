//! Several ranges of a stored body in one answer (RFC 9110 §14.6).

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use crate::object::Body;

/// What goes between the parts. How many there are is bounded where ranges are read.
#[derive(Debug)]
pub struct Several {
    boundary: String,
    /// What is written before each part, and the part: first and last byte.
    parts: Vec<(Bytes, u64, u64)>,
    tail: Bytes,
}

impl Several {
    /// `stored` is the head of the whole, of `total` bytes.
    pub fn new(parts: &[(u64, u64)], total: u64, stored: &HeaderMap) -> Self {
        // Drawn anew each time, so that nobody can write it into a body beforehand (RFC 2046 §5.1.1).
        let boundary = format!("{:016x}{:016x}", random(), random());
        let kind = stored.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let parts = parts.iter().map(|&(first, last)| {
            let mut lead = format!("\r\n--{boundary}\r\n").into_bytes();
            // §15.3.7.2: each part says what the answer would have said of a single one.
            if let Some(kind) = kind {
                lead.extend_from_slice(b"Content-Type: ");
                lead.extend_from_slice(kind);
                lead.extend_from_slice(b"\r\n");
            }
            let range = format!("Content-Range: bytes {first}-{last}/{total}\r\n\r\n");
            lead.extend_from_slice(range.as_bytes());
            (Bytes::from(lead), first, last)
        });
        Self {
            parts: parts.collect(),
            tail: format!("\r\n--{boundary}--\r\n").into(),
            boundary,
        }
    }

    /// Makes the head of the whole that of this answer.
    pub fn describe(&self, head: &mut HeaderMap) {
        let kind = format!("multipart/byteranges; boundary={}", self.boundary);
        if let Ok(kind) = HeaderValue::from_str(&kind) {
            head.insert(header::CONTENT_TYPE, kind);
        }
        // §15.3.7.2: "A server … MUST NOT generate a Content-Range header field in the header section".
        head.remove(header::CONTENT_RANGE);
        let parts = self.parts.iter();
        let bytes = parts.map(|(lead, first, last)| lead.len() as u64 + last - first + 1);
        let bytes = bytes.sum::<u64>() + self.tail.len() as u64;
        head.insert(header::CONTENT_LENGTH, bytes.into());
    }

    pub fn pieces(self, body: &Body) -> impl Iterator<Item = Bytes> {
        let parts = self.parts.into_iter().flat_map(|(lead, first, last)| {
            std::iter::once(lead).chain(body.slice(first, last + 1))
        });
        parts.chain(std::iter::once(self.tail))
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_part_says_where_it_belongs() {
        let body = Body::new(["0123456789".into()]);
        let mut head: HeaderMap = [(header::CONTENT_TYPE, "text/plain".parse().unwrap())]
            .into_iter()
            .collect();
        let several = Several::new(&[(8, 9), (0, 1)], 10, &head);
        several.describe(&mut head);
        let boundary = several.boundary.clone();
        let written: Vec<u8> = several.pieces(&body).flatten().collect();
        let part = |range: &str, bytes: &str| {
            format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/10\r\n\r\n{bytes}"
            )
        };
        let expect = part("8-9", "89") + &part("0-1", "01") + &format!("\r\n--{boundary}--\r\n");
        assert_eq!(String::from_utf8(written).unwrap(), expect);
        assert_eq!(head[header::CONTENT_LENGTH], expect.len().to_string());
        let kind = head[header::CONTENT_TYPE].to_str().unwrap();
        assert_eq!(kind, format!("multipart/byteranges; boundary={boundary}"));
    }
}
