//! Whether an answer may be encoded on its way to a client, in what, and what its head says then.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use seawall_config::site::{ContentCoding, Policy};

use super::accept_encoding::Accepted;
use super::directives::split;
use super::fields::texts;
use super::validation::etags;

/// A shorter body is not worth the work: with its head it fits into one packet anyway.
pub const ENCODED_BYTES_MIN: u64 = 1024;

/// A response, and who asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub policy: &'a Policy,
    pub request: &'a HeaderMap,
    pub status: StatusCode,
    /// As the origin sent it, or as it is stored.
    pub head: &'a HeaderMap,
}

/// What the body is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As the origin sent it.
    Identity(Why),
    Encode(ContentCoding),
}

/// Why a body is sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    NotConfigured,
    /// It has no content, or a part of it.
    Status,
    /// The origin encoded it.
    HasCoding,
    NoTransform,
    Type,
    Small,
    // From here on it is this client's doing: another may get it encoded.
    ClientSaysNothing,
    /// It takes none of the site's codings, or likes the plain bytes better.
    ClientLikesNone,
    ClientWantsRange,
    ClientNoTransform,
}

pub fn coding(question: Question<'_>) -> Coding {
    let Question {
        policy,
        request,
        status,
        head,
    } = question;
    may_be_encoded(policy, status, head)
        .and_then(|()| preferred(policy, request))
        .map_or_else(Coding::Identity, Coding::Encode)
}

/// Whether a response is encoded for anybody who likes it so.
pub fn may_be_encoded(policy: &Policy, status: StatusCode, head: &HeaderMap) -> Result<(), Why> {
    if policy.compress.is_empty() {
        return Err(Why::NotConfigured);
    }
    // RFC 9110 §14.4: Content-Range tells where a part is in the selected representation, which is this one.
    let bodiless = status.is_informational() || matches!(status.as_u16(), 204 | 205 | 304);
    let part = status == StatusCode::PARTIAL_CONTENT || head.contains_key(header::CONTENT_RANGE);
    if bodiless || part {
        return Err(Why::Status);
    }
    if head.contains_key(header::CONTENT_ENCODING) {
        return Err(Why::HasCoding);
    }
    // RFC 9111 §5.2.2.6: "an intermediary … MUST NOT transform the content".
    if says_no_transform(head) {
        return Err(Why::NoTransform);
    }
    if !is_compressible(head) {
        return Err(Why::Type);
    }
    let length = head.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length < ENCODED_BYTES_MIN) {
        return Err(Why::Small);
    }
    Ok(())
}

fn preferred(policy: &Policy, request: &HeaderMap) -> Result<ContentCoding, Why> {
    // RFC 9110 §14.2: ranges are of the selected representation. Who asks for one gets the bytes as they came, with
    // their strong ETag, also where the range does not count: so that it can ask again (§13.1.5).
    if request.contains_key(header::RANGE) {
        return Err(Why::ClientWantsRange);
    }
    // RFC 9111 §5.2.1.6: "the client is asking for intermediaries to avoid transforming the content".
    if says_no_transform(request) {
        return Err(Why::ClientNoTransform);
    }
    let accepted = Accepted::read(request).ok_or(Why::ClientSaysNothing)?;
    accepted.best(&policy.compress).ok_or(Why::ClientLikesNone)
}

/// Whether a client takes the codings that a response came in. One that says nothing of codings may not know them.
pub fn is_taken(request: &HeaderMap, head: &HeaderMap) -> bool {
    let accepted = Accepted::read(request).unwrap_or_default();
    let lines = texts(head, header::CONTENT_ENCODING);
    let mut codings = lines.iter().flat_map(|line| line.split(','));
    codings.all(|coding| accepted.takes(coding.trim()))
}

impl Coding {
    /// Whether Accept-Encoding has a say. RFC 9110 §12.5.5: Vary "describes what parts of a request message … might have
    /// influenced the origin server's process for selecting the content of this response", also where it came out plain.
    pub fn varies(self) -> bool {
        match self {
            Self::Encode(_) => true,
            Self::Identity(why) => matches!(
                why,
                Why::ClientSaysNothing
                    | Why::ClientLikesNone
                    | Why::ClientWantsRange
                    | Why::ClientNoTransform
            ),
        }
    }
}

/// Makes the head of a body that of the same body encoded. `length`: None where it is known only at its end.
pub fn describe(head: &mut HeaderMap, coding: ContentCoding, length: Option<u64>) {
    let name = HeaderValue::from_static(coding.as_str());
    head.insert(header::CONTENT_ENCODING, name);
    match length {
        Some(length) => drop(head.insert(header::CONTENT_LENGTH, length.into())),
        None => drop(head.remove(header::CONTENT_LENGTH)),
    }
    weaken(head);
    // Ranges of these bytes are not to be had; and digests are of the bytes as they came, not of these (RFC 9530 §2,
    // §3: both of the coded content).
    for name in [
        header::ACCEPT_RANGES,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("repr-digest"),
    ] {
        head.remove(name);
    }
}

/// RFC 9110 §8.8.1: "if the origin server sends the same validator for a representation with a gzip content coding
/// applied as it does for a representation with no content coding, then that validator is weak." If-None-Match compares
/// weakly (§13.1.2), so a client's copy is still found good.
pub fn weaken(head: &mut HeaderMap) {
    let strong = head
        .get(header::ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = strong.map(|tag| [b"W/", tag.as_bytes()].concat());
    if let Some(weak) = weak.and_then(|weak| HeaderValue::from_bytes(&weak).ok()) {
        head.insert(header::ETAG, weak);
    }
}

/// Says that the answer depends on Accept-Encoding, where it does not say so already.
pub fn vary(head: &mut HeaderMap) {
    let lines = texts(head, header::VARY);
    let mut names = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
    if !names.any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding")) {
        head.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// A 304 that the origin made for this client's own condition: RFC 9110 §15.4.5 wants the ETag that a 200 would have
/// had. Its head does not say which that is; but who names the weak tag was sent the encoded one.
pub fn echo(policy: &Policy, request: &HeaderMap, not_modified: &mut HeaderMap) {
    let Some(tag) = not_modified.get(header::ETAG) else {
        return;
    };
    let weak = [b"W/", tag.as_bytes()].concat();
    let mut lines = request.get_all(header::IF_NONE_MATCH).iter();
    let names_weak = lines.any(|line| etags(line.as_bytes()).contains(&weak.as_slice()));
    if names_weak && !policy.compress.is_empty() {
        weaken(not_modified);
        vary(not_modified);
    }
}

fn says_no_transform(head: &HeaderMap) -> bool {
    let lines = ["cache-control", "cdn-cache-control"].map(|name| texts(head, name));
    let mut directives = lines.iter().flatten().flat_map(|line| split(line));
    directives.any(|(name, _)| name == "no-transform")
}

/// Types that are text of a kind, or as loosely packed. What is compressed within itself (most images, video, archives)
/// only costs time.
fn is_compressible(head: &HeaderMap) -> bool {
    let mut lines = head.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let kind = line.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let text = kind.starts_with("text/") && kind.len() > "text/".len();
    // RFC 6839, RFC 9512: what stands behind the plus says how it is written down.
    let suffix = kind.rsplit_once('+').map(|(_, suffix)| suffix);
    text || matches!(suffix, Some("json" | "xml" | "yaml")) || COMPRESSIBLE.contains(&kind.as_str())
}

const COMPRESSIBLE: [&str; 25] = [
    "application/ecmascript",
    "application/javascript",
    "application/json",
    "application/json-seq",
    "application/graphql",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-opentype",
    "application/x-font-otf",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
