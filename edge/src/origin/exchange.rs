//! One request to an origin and the head of its answer: deadlines, interim answers, what is no HTTP.

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use pingora_core::protocols::http::client::HttpSession;
use pingora_error::{Error, ErrorType as E};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::timeout;

use super::{Failure, HEAD_BYTES_MAX, HEADER_TIMEOUT, INTERIM_MAX, STALL_TIMEOUT};

/// One request and the final head of its answer, within the header deadline; `interim` sees those before it, as they
/// come.
pub async fn exchange(
    mut session: HttpSession<()>,
    request: Box<RequestHeader>,
    mut interim: impl FnMut(&ResponseHeader),
) -> Result<(HttpSession<()>, ResponseHeader), Failure> {
    // Pingora's connector sets neither.
    session.set_read_timeout(Some(STALL_TIMEOUT));
    session.set_write_timeout(Some(STALL_TIMEOUT));
    let heads = async {
        session
            .write_request_header(request)
            .await
            .map_err(|_| Failure::NoAnswer)?;
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
                return Ok(head.clone());
            }
            // 101 was not asked for: nothing may pass raw.
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Failure::BrokenAnswer);
            }
            interim(head);
        }
        Err(Failure::BrokenAnswer)
    };
    let head = timeout(HEADER_TIMEOUT, heads)
        .await
        .map_err(|_| Failure::HeaderTimeout)??;
    Ok((session, head))
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
