//! One request to an origin and the head of its answer: deadlines, interim answers, what is no HTTP.

use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{Method, StatusCode, Uri, Version};
use pingora_core::protocols::http::client::HttpSession;
use pingora_error::{Error, ErrorType as E};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::timeout;

use super::{Failure, HEAD_BYTES_MAX, HEADER_TIMEOUT, INTERIM_MAX, STALL_TIMEOUT};

/// The head of an answer that no other follows: none of 1xx (RFC 9110 §15.2).
#[derive(Debug)]
pub struct FinalHead {
    pub status: StatusCode,
    pub fields: HeaderMap,
}

/// One request and the final head of its answer, within the header deadline and `left`; `interim` sees those before it,
/// as they come.
pub async fn exchange(
    session: &mut HttpSession<()>,
    mut request: Box<RequestHeader>,
    left: Duration,
    mut interim: impl FnMut(&ResponseHeader),
) -> Result<FinalHead, Failure> {
    if session.as_http2().is_some() {
        name_authority(&mut request);
    }
    let heads = async {
        session
            .write_request_header(request)
            .await
            .map_err(|_| Failure::NoAnswer)?;
        // Over HTTP/1 a request without a body has ended with its head; over HTTP/2 that has to be said.
        if session.as_http2().is_some() {
            let ended = session.finish_request_body().await;
            ended.map_err(|_| Failure::NoAnswer)?;
        }
        let mut bytes = 0;
        for _ in 0..=INTERIM_MAX {
            session
                .read_response_header()
                .await
                .map_err(|e| failure(&e))?;
            let head = session.response_header().ok_or(Failure::NoAnswer)?;
            bytes += size(&head.headers);
            if bytes > HEAD_BYTES_MAX {
                return Err(Failure::HeadTooLarge);
            }
            if !head.status.is_informational() {
                return match is_framed_twice(session, &head.headers) {
                    true => Err(Failure::BrokenAnswer),
                    false => Ok(FinalHead {
                        status: head.status,
                        fields: head.headers.clone(),
                    }),
                };
            }
            // 101 was not asked for: nothing may pass raw.
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Failure::BrokenAnswer);
            }
            interim(head);
        }
        Err(Failure::BrokenAnswer)
    };
    let head = timeout(HEADER_TIMEOUT.min(left), heads)
        .await
        .map_err(|_| Failure::HeaderTimeout)??;
    // Pingora's connector sets none. The head had its deadline already.
    session.set_read_timeout(Some(STALL_TIMEOUT));
    Ok(head)
}

/// RFC 9112 §6.3: a message with both Transfer-Encoding and Content-Length "might indicate an attempt to perform request
/// smuggling or response splitting and ought to be handled as an error". Pingora has taken the length away already; what
/// came is still there.
fn is_framed_twice(session: &HttpSession<()>, head: &HeaderMap) -> bool {
    match session {
        HttpSession::H1(session) if head.contains_key(header::TRANSFER_ENCODING) => {
            names_length(&session.get_headers_raw_bytes())
        }
        _ => false,
    }
}

fn names_length(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    })
}

/// Whether bytes came behind the end of an answer that was read whole: its length is not what its origin meant
/// (RFC 9112 §6.3). Of one after which the connection ends that cannot be told, and does no harm.
pub fn has_excess(session: &mut HttpSession<()>) -> bool {
    let HttpSession::H1(session) = session else {
        return false;
    };
    let goes_on = session.resp_header().is_some_and(|head| {
        let fields = &head.headers;
        let framed = fields.contains_key(header::CONTENT_LENGTH)
            || fields.contains_key(header::TRANSFER_ENCODING)
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        framed && head.version == Version::HTTP_11 && !fields.contains_key(header::CONNECTION)
    });
    // Pingora keeps to itself what came too much, but that it keeps the connection no more.
    session.respect_keepalive();
    goes_on && !session.will_keepalive()
}

/// RFC 9113 §8.3.1: "Clients that generate HTTP/2 requests directly MUST use the ":authority" pseudo-header field to
/// convey authority information"; and a Host beside it is one too many for some servers.
fn name_authority(request: &mut RequestHeader) {
    let uri = Uri::builder().scheme("https");
    let uri = match (
        request.headers.get(header::HOST),
        request.uri.path_and_query(),
    ) {
        (Some(host), Some(target)) => uri
            .authority(host.as_bytes())
            .path_and_query(target.clone()),
        _ => return,
    };
    if let Ok(uri) = uri.build() {
        request.set_uri(uri);
        request.remove_header(&header::HOST);
    }
}

/// What a head takes on the wire, in bytes.
pub fn size(head: &HeaderMap) -> usize {
    head.iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

/// The length of the body that follows a head (RFC 9112 §6.3); None: until it ends.
pub fn length(
    status: StatusCode,
    method: &Method,
    head: &HeaderMap,
) -> Result<Option<u64>, Failure> {
    // §6.1: a transfer coding we do not know leaves no way to tell where the message ends.
    let mut codings = head.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            return Ok(None);
        }
        _ => return Err(Failure::BrokenAnswer),
    }
    if *method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
    {
        return Ok(Some(0));
    }
    let mut lengths = head.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    let digits = first.as_bytes().iter().all(u8::is_ascii_digit);
    let number = first
        .to_str()
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok());
    match number {
        Some(number) if lengths.all(|other| other == first) => Ok(Some(number)),
        _ => Err(Failure::BrokenAnswer),
    }
}

/// What one of Pingora's errors on the way to an origin means.
pub fn failure(error: &Error) -> Failure {
    match error.etype() {
        E::ConnectTimedout | E::TLSHandshakeTimedout => Failure::ConnectTimeout,
        E::ConnectRefused | E::ConnectNoRoute | E::ConnectError | E::SocketError | E::BindError => {
            Failure::ConnectFailed
        }
        E::TLSHandshakeFailure | E::TLSWantX509Lookup | E::InvalidCert | E::HandshakeError => {
            Failure::TlsFailed
        }
        E::ReadTimedout | E::WriteTimedout => Failure::HeaderTimeout,
        E::ConnectionClosed | E::ReadError | E::WriteError => Failure::NoAnswer,
        _ => Failure::BrokenAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_found_however_it_is_spelled() {
        let check =
            |head: &str, expect| assert_eq!(names_length(head.as_bytes()), expect, "{head}");
        let coding = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
        check(&format!("{coding}\r\n"), false);
        check(&format!("{coding}x-content-length: 5\r\n\r\n"), false);
        check(&format!("{coding}x: content-length: 5\r\n\r\n"), false);
        check(&format!("{coding}Content-Length: 5\r\n\r\n"), true);
        check(&format!("{coding}content-length :5\n\n"), true);
    }
}
