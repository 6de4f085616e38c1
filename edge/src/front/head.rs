//! A request's head, out of bytes. Strict, and pure: what two readers could understand in two ways is refused, because
//! a request that the origin frames differently smuggles another one past us (RFC 9112 §11.2).

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

use crate::admit::{FIELDS_MAX, HEAD_BYTES_MAX};
use crate::key::TARGET_BYTES_MAX;

/// A method, two spaces and the version around the longest target.
const LINE_BYTES_MAX: usize = TARGET_BYTES_MAX + METHOD_BYTES_MAX + 12;
const METHOD_BYTES_MAX: usize = 32;
/// A request line and its fields: past it nothing more is read.
pub const BLOCK_BYTES_MAX: usize = LINE_BYTES_MAX + HEAD_BYTES_MAX;
/// More digits of a length might not fit into 64 bits.
const LENGTH_DIGITS_MAX: usize = 19;

/// A request line and its fields.
#[derive(Clone, Debug)]
pub struct Head {
    /// As they came.
    pub bytes: Bytes,
    pub method: Method,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    authority: Option<Range<usize>>,
    target: Range<usize>,
    pub fields: Arc<HeaderMap>,
    pub body: Framing,
    /// Whether the client would send another request.
    pub persists: bool,
}

/// Where a request's body ends (RFC 9112 §6.3). It is never the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// Why a head is refused; the connection ends with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    BareLineEnd,
    RequestLine,
    Method,
    Target,
    Version,
    Field,
    Folded,
    LineTooLong,
    TooLarge,
    TooManyFields,
    /// More than one, or no plain number.
    Length,
    /// Other than `chunked` alone, or where there may be none.
    Coding,
    LengthAndCoding,
    Expectation,
}

/// How many bytes of `bytes` are a head; None while more must come. Nothing before `from` is looked at again, less the
/// two bytes before it.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(2);
    let ends = |rest: &[u8]| match rest {
        [b'\n', b'\n', ..] => Some(2),
        [b'\n', b'\r', b'\n', ..] => Some(3),
        _ => None,
    };
    let mut at = start;
    while let Some(rest) = bytes.get(at..) {
        at += rest.iter().position(|byte| *byte == b'\n')?;
        if let Some(length) = ends(bytes.get(at..)?) {
            return Some(at + length);
        }
        at += 1;
    }
    None
}

impl Head {
    /// `bytes` end where the head does.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let mut lines = Lines {
            bytes: &bytes,
            at: 0,
        };
        let line = lines.next()?;
        if line.len() > LINE_BYTES_MAX {
            return Err(Malformed::LineTooLong);
        }
        if bytes.len() - line.len() > HEAD_BYTES_MAX {
            return Err(Malformed::TooLarge);
        }
        let (method, target, version) = request_line(&bytes, &line)?;
        let (authority, target) = parts(&bytes, target)?;
        let mut fields = HeaderMap::with_capacity(8);
        loop {
            let line = lines.next()?;
            if line.is_empty() {
                break;
            }
            if fields.len() == FIELDS_MAX {
                return Err(Malformed::TooManyFields);
            }
            let (name, value) = field(&bytes, line)?;
            fields.append(name, value);
        }
        let body = framing(&fields, version)?;
        expectation(&fields)?;
        let persists = persists(&fields, version);
        Ok(Self {
            bytes,
            method,
            version,
            authority,
            target,
            fields: Arc::new(fields),
            body,
            persists,
        })
    }

    /// Where the target is in absolute-form.
    pub fn authority(&self) -> Option<&str> {
        self.text(self.authority.as_ref()?)
    }

    /// Path and query.
    pub fn target(&self) -> Option<&str> {
        self.text(&self.target)
    }

    /// As it is handed on, to who reads no absolute-form. Where Host says otherwise it stays as it came: that is refused
    /// there.
    pub fn in_origin_form(&self) -> BytesMut {
        let mut hosts = self.fields.get_all(header::HOST).iter();
        let agrees = match (self.authority(), hosts.next(), hosts.next()) {
            (Some(named), Some(host), None) => {
                host.as_bytes().eq_ignore_ascii_case(named.as_bytes())
            }
            _ => false,
        };
        let space = self.bytes.iter().position(|byte| *byte == b' ');
        let line = space.and_then(|at| self.bytes.get(..=at));
        let rest = self.bytes.get(self.target.start..);
        match line.zip(rest).filter(|_| agrees) {
            Some((line, rest)) => [line, rest].into_iter().flatten().collect(),
            None => BytesMut::from(&self.bytes[..]),
        }
    }

    pub fn has_body(&self) -> bool {
        self.body != Framing::Length(0)
    }

    /// Whether the client wishes to speak something else on this connection (RFC 9110 §7.8). An HTTP/1.0 client
    /// cannot.
    pub fn wishes_upgrade(&self) -> bool {
        self.version == Version::HTTP_11 && self.fields.contains_key(header::UPGRADE)
    }

    fn text(&self, range: &Range<usize>) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(range.clone())?).ok()
    }
}

/// Line after line, each ended by CRLF.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    /// RFC 9112 §2.2: "a recipient MAY recognize a single LF as a line terminator": another in front of us may not.
    /// And "a bare CR … such elements [are] invalid".
    fn next(&mut self) -> Result<Range<usize>, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let end = self.at + end.ok_or(Malformed::BareLineEnd)?;
        if self.bytes.get(end..end + 2) != Some(b"\r\n") {
            return Err(Malformed::BareLineEnd);
        }
        let line = self.at..end;
        self.at = end + 2;
        Ok(line)
    }
}

/// RFC 9112 §3: `method SP request-target SP HTTP-version`, and nothing looser.
fn request_line(
    bytes: &[u8],
    line: &Range<usize>,
) -> Result<(Method, Range<usize>, Version), Malformed> {
    let text = bytes.get(line.clone()).unwrap_or_default();
    let space = |byte: &u8| *byte == b' ';
    let first = text.iter().position(space).ok_or(Malformed::RequestLine)?;
    let last = text.iter().rposition(space).ok_or(Malformed::RequestLine)?;
    let target = text.get(first + 1..last).ok_or(Malformed::RequestLine)?;
    let method = text.get(..first).unwrap_or_default();
    // Methods are case-sensitive (RFC 9110 §9.1): who writes `get` means something that an origin may guess.
    let named = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.iter().all(named) {
        return Err(Malformed::Method);
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Malformed::Target);
    }
    let version = match text.get(last + 1..) {
        Some(b"HTTP/1.1") => Version::HTTP_11,
        Some(b"HTTP/1.0") => Version::HTTP_10,
        Some(other) if other.starts_with(b"HTTP/") => return Err(Malformed::Version),
        _ => return Err(Malformed::RequestLine),
    };
    let method = Method::from_bytes(method).map_err(|_| Malformed::Method)?;
    Ok((method, line.start + first + 1..line.start + last, version))
}

/// Authority, and path with query, of a target (RFC 9112 §3.2).
fn parts(
    bytes: &[u8],
    target: Range<usize>,
) -> Result<(Option<Range<usize>>, Range<usize>), Malformed> {
    let text = bytes.get(target.clone()).unwrap_or_default();
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        let begins = text.get(..scheme.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else {
        return Ok((None, target));
    };
    let start = target.start + scheme.len();
    let rest = bytes.get(start..target.end).unwrap_or_default();
    // §3.2.2: without a path it would not be known what is asked for; an empty one is `/` for some, nothing for others.
    let path = rest.iter().position(|byte| *byte == b'/');
    let path = start + path.ok_or(Malformed::Target)?;
    Ok((Some(start..path), path..target.end))
}

/// RFC 9112 §5: `field-name ":" OWS field-value OWS`.
fn field(bytes: &Bytes, line: Range<usize>) -> Result<(HeaderName, HeaderValue), Malformed> {
    let text = bytes.get(line.clone()).unwrap_or_default();
    // §5.2: "A server that receives an obs-fold in a request message … MUST either reject the message …".
    if text
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
    {
        return Err(Malformed::Folded);
    }
    let colon = text.iter().position(|byte| *byte == b':');
    let colon = colon.ok_or(Malformed::Field)?;
    // §5.1: "No whitespace is allowed between the field name and colon": no token has any.
    let name = text.get(..colon).unwrap_or_default();
    let name = HeaderName::from_bytes(name).map_err(|_| Malformed::Field)?;
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = text.get(colon + 1..).unwrap_or_default();
    let lead = value.iter().take_while(|byte| space(byte)).count();
    let tail = value.iter().rev().take_while(|byte| space(byte)).count();
    let start = line.start + colon + 1 + lead;
    let end = (line.end - tail).max(start);
    let value = HeaderValue::from_maybe_shared(bytes.slice(start..end));
    Ok((name, value.map_err(|_| Malformed::Field)?))
}

/// RFC 9112 §6.3, without the choices it leaves.
fn framing(fields: &HeaderMap, version: Version) -> Result<Framing, Malformed> {
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => Err(Malformed::LengthAndCoding),
        (Some(length), None) => {
            let digits = length.as_bytes();
            let plain = !digits.is_empty()
                && digits.len() <= LENGTH_DIGITS_MAX
                && digits.iter().all(u8::is_ascii_digit)
                && lengths.next().is_none();
            let length = length.to_str().ok().filter(|_| plain);
            let length = length.and_then(|length| length.parse().ok());
            length.map(Framing::Length).ok_or(Malformed::Length)
        }
        (None, Some(coding)) => {
            let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            match chunked && codings.next().is_none() && version == Version::HTTP_11 {
                true => Ok(Framing::Chunked),
                false => Err(Malformed::Coding),
            }
        }
    }
}

/// RFC 9110 §10.1.1: there is one expectation; of any other nobody knows what it does to the framing.
fn expectation(fields: &HeaderMap) -> Result<(), Malformed> {
    let known = |line: &HeaderValue| line.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let mut lines = fields.get_all(header::EXPECT).iter();
    match (lines.next().is_none_or(known), lines.next()) {
        (true, None) => Ok(()),
        _ => Err(Malformed::Expectation),
    }
}

/// RFC 9112 §9.3.
fn persists(fields: &HeaderMap, version: Version) -> bool {
    let says = |word: &str| {
        let mut members = fields
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        members.any(|member| member.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

impl Malformed {
    pub fn status(self) -> StatusCode {
        match self {
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub fn detail(self) -> &'static str {
        match self {
            Self::BareLineEnd => "a line does not end in CRLF",
            Self::RequestLine => "the request line is not METHOD TARGET HTTP/1.1",
            Self::Method => "the method is not a word in upper case of at most 32 letters",
            Self::Target => "the request target is not a path or an http URL with one",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::Field => "a field is not NAME: VALUE",
            Self::Folded => "a field goes on in the next line",
            Self::LineTooLong => "the request line is longer than 16 KiB",
            Self::TooLarge | Self::TooManyFields => {
                "the header block is larger than 32 KiB or has more than 100 fields"
            }
            Self::Length => "Content-Length is not one plain number",
            Self::Coding => "Transfer-Encoding is not chunked alone",
            Self::LengthAndCoding => "the body has a length and a coding",
            Self::Expectation => "nothing but 100-continue can be expected",
        }
    }
}

#[cfg(test)]
mod tests;
