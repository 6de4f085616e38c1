//! HTTP/1.1 as a client needs it: bytes of a response in, what they say out. Pure.
//!
//! Ours because it is on the path of every request of a run: nothing is kept but what is counted.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::class::Class;

/// Of a response.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 128;
/// A chunk's length line, extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 1_024;

/// Bytes that are not HTTP, or not within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What the head of a response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Of the head itself.
    pub(crate) bytes: usize,
    pub(crate) status: u16,
    pub(crate) class: Class,
    pub(crate) body: Body,
    /// The connection can be used again.
    pub(crate) keeps: bool,
    pub(crate) etag: Option<String>,
}

/// How the body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunked,
    ToTheEnd,
}

/// Remembers how the last response was classed: the next one mostly says the same.
#[derive(Default)]
pub(crate) struct Classifier {
    said: Vec<u8>,
    class: Option<Class>,
    next: Vec<u8>,
}

/// None: there is more to come. Interim responses (1xx) are told like any other, without a body.
pub(crate) fn head(bytes: &[u8], classifier: &mut Classifier) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        _ => return Err(Malformed),
    };
    let status = response.code.ok_or(Malformed)?;
    let mut keeps = response.version == Some(1);
    let (mut body, mut chunked, mut etag) = (None, false, None);
    for field in response.headers.iter() {
        // Told apart by their length first: most fields are none of these.
        match field.name.len() {
            4 if is(field, "etag") => {
                etag = std::str::from_utf8(field.value).ok().map(str::to_owned);
            }
            10 if is(field, "connection") => {
                keeps = match field.value {
                    value if value.eq_ignore_ascii_case(b"close") => false,
                    value if value.eq_ignore_ascii_case(b"keep-alive") => true,
                    _ => keeps,
                };
            }
            14 if is(field, "content-length") => {
                let length = std::str::from_utf8(field.value).map_err(|_| Malformed)?;
                let length = length.trim().parse().map_err(|_| Malformed)?;
                if body.replace(length).is_some_and(|before| before != length) {
                    return Err(Malformed);
                }
            }
            17 if is(field, "transfer-encoding") => {
                chunked = field.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if !chunked {
                    return Err(Malformed);
                }
            }
            _ => {}
        }
    }
    let body = match (status, chunked, body) {
        (100..=199 | 204 | 304, _, _) => Body::Length(0),
        (_, true, _) => Body::Chunked,
        (_, false, Some(length)) => Body::Length(length),
        (_, false, None) => Body::ToTheEnd,
    };
    Ok(Some(Head {
        bytes: length,
        status,
        class: classifier.class(status, response.headers),
        body,
        keeps: keeps && body != Body::ToTheEnd,
        etag,
    }))
}

fn is(field: &httparse::Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

impl Classifier {
    fn class(&mut self, status: u16, fields: &[httparse::Header<'_>]) -> Class {
        let telling = || {
            fields.iter().filter(|field| match field.name.len() {
                3 => is(field, "age"),
                7 => is(field, "x-cache"),
                12 => is(field, "cache-status"),
                _ => false,
            })
        };
        self.next.clear();
        self.next.extend_from_slice(&status.to_be_bytes());
        for field in telling() {
            self.next.extend_from_slice(field.name.as_bytes());
            self.next.push(b':');
            self.next.extend_from_slice(field.value);
            self.next.push(b'\n');
        }
        if let Some(class) = self.class
            && self.said == self.next
        {
            return class;
        }
        let mut headers = HeaderMap::new();
        for field in telling() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
                headers.append(name, value);
            }
        }
        let class = Class::of(status, &headers);
        std::mem::swap(&mut self.said, &mut self.next);
        self.class = Some(class);
        class
    }
}

/// Takes the chunks of a body apart (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// A chunk's length comes next.
    Line,
    /// So many bytes of data and the line end behind them.
    Data(u64),
    End(u64),
    /// Trailers, to an empty line.
    Trailers,
    Done,
}

impl Chunks {
    /// Hands the data in `bytes` to `data`, and says how many bytes are done with.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match *self {
                Self::Line => match httparse::parse_chunk_size(rest).map_err(|_| Malformed)? {
                    httparse::Status::Complete((line, 0)) => {
                        at += line;
                        *self = Self::Trailers;
                    }
                    httparse::Status::Complete((line, length)) => {
                        at += line;
                        *self = Self::Data(length);
                    }
                    httparse::Status::Partial if rest.len() < CHUNK_LINE_BYTES_MAX => break,
                    httparse::Status::Partial => return Err(Malformed),
                },
                Self::Data(left) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    data(rest.get(..length).unwrap_or_default());
                    at += length;
                    *self = match left - length as u64 {
                        0 => Self::End(2),
                        left => Self::Data(left),
                    };
                }
                Self::End(left) => {
                    let expect = if left == 2 { b'\r' } else { b'\n' };
                    if rest.first() != Some(&expect) {
                        return Err(Malformed);
                    }
                    at += 1;
                    *self = if left == 2 { Self::End(1) } else { Self::Line };
                }
                Self::Trailers => match rest.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        at += end + 1;
                        if matches!(rest.get(..=end), Some(b"\r\n" | b"\n")) {
                            *self = Self::Done;
                            break;
                        }
                    }
                    None if rest.len() < HEAD_BYTES_MAX => break,
                    None => return Err(Malformed),
                },
                Self::Done => break,
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_head_says_how_the_body_ends() {
        let check = |text: &str, expect: Result<Option<(u16, Body, bool)>, Malformed>| {
            let found = head(text.as_bytes(), &mut Classifier::default());
            let found = found.map(|head| head.map(|head| (head.status, head.body, head.keeps)));
            assert_eq!(found, expect, "{text:?}");
        };
        let said = |status, body, keeps| Ok(Some((status, body, keeps)));
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            said(200, Body::Length(5), true),
        );
        check("HTTP/1.1 200 OK\r\nContent-Le", Ok(None));
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: Close\r\n\r\n",
            said(200, Body::Length(5), false),
        );
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            said(200, Body::Length(5), false),
        );
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            said(200, Body::Chunked, true),
        );
        check("HTTP/1.1 200 OK\r\n\r\n", said(200, Body::ToTheEnd, false));
        check(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            said(304, Body::Length(0), true),
        );
        check(
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            said(103, Body::Length(0), true),
        );
        let two = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
        check(two, Err(Malformed));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            Err(Malformed),
        );
        check("HELLO\r\n\r\n", Err(Malformed));
    }

    #[test]
    fn the_class_follows_what_each_response_says() {
        let mut classifier = Classifier::default();
        let mut class = |said: &str| {
            let text = format!("HTTP/1.1 200 OK\r\n{said}\r\nContent-Length: 0\r\n\r\n");
            head(text.as_bytes(), &mut classifier)
                .unwrap()
                .unwrap()
                .class
        };
        assert_eq!(class("X-Cache: HIT"), Class::Hit);
        assert_eq!(class("X-Cache: HIT"), Class::Hit);
        assert_eq!(class("X-Cache: MISS"), Class::Miss);
        assert_eq!(class("Cache-Status: a; hit; ttl=-1"), Class::Stale);
        assert_eq!(class("Age: 3"), Class::Hit);
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let whole = b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: x\r\n\r\n";
        for cut in 0..=whole.len() {
            let (mut chunks, mut text) = (Chunks::Line, Vec::new());
            let mut data = |bytes: &[u8]| text.extend_from_slice(bytes);
            let first = chunks.read(&whole[..cut], &mut data).unwrap();
            let second = chunks.read(&whole[first..], &mut data).unwrap();
            assert_eq!(
                (first + second, chunks),
                (whole.len(), Chunks::Done),
                "{cut}"
            );
            assert_eq!(text, b"hello world", "{cut}");
        }
        for broken in ["x\r\n", "1\r\nab\r\n"] {
            let read = Chunks::Line.read(broken.as_bytes(), |_| ());
            assert_eq!(read, Err(Malformed), "{broken:?}");
        }
    }
}
