//! Writing an answer to a client.

use bytes::Bytes;
use http::{StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use pingora_error::{Error, ErrorType};
use pingora_http::ResponseHeader;

use super::wait::client_leaves;
use super::{Ctx, Proxy};
use crate::answer::{Answer, Content};
use crate::clock;
use crate::door::{Visit, X_CACHE};
use crate::front::dated::Dated;
use crate::front::handed::Handed;
use crate::rules::cache_status::Told;
use crate::rules::freshness::age_with_new_date;

/// Written at once: a client has the whole of [`super::WRITE_STALL`] for each piece.
const PIECE_BYTES_MAX: usize = 256 * 1024;
/// Room for the fields of most answers.
const FIELDS_USUAL: usize = 16;

impl Proxy {
    /// Answers a body that never ended: the origin saw no whole request.
    pub(super) async fn refuse_broken(&self, session: &mut ServerSession, ctx: &mut Ctx) -> u16 {
        let connection = session.stream().and_then(Dated::under);
        let framed = connection.and_then(|connection| connection.inner::<Handed>()?.broken());
        let Some(broken) = ctx.broken.or(framed) else {
            return 0;
        };
        let told = Told::generated(broken.detail());
        session.set_keepalive(None);
        let answer = Answer::text(broken.status(), told, broken.detail());
        match self.write(session, &mut ctx.visit, answer).await {
            Ok(()) => broken.status().as_u16(),
            Err(_) => 0,
        }
    }

    /// Writes an answer. An error means that the client did not get it whole: the connection is dropped, so
    /// that it can tell.
    pub(super) async fn write(
        &self,
        session: &mut ServerSession,
        visit: &mut Visit,
        answer: Answer,
    ) -> pingora_error::Result<()> {
        let Answer {
            status,
            head,
            told,
            body,
            ..
        } = answer;
        let signature = self.0.signature(visit, told);
        let mut response = ResponseHeader::build_no_case(status, Some(FIELDS_USUAL))?;
        for (name, value) in head.fields().filter(|(name, _)| *name != X_CACHE) {
            response.append_header(name, value)?;
        }
        for (name, value) in signature {
            response.append_header(name, value)?;
        }
        keep_date(session, &mut response)?;
        let empty = matches!(body, Content::Nothing);
        // Without a length HTTP/1.1 needs chunks, or the end of the body would be the end of the connection.
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let measured = response.headers.contains_key(header::CONTENT_LENGTH) || empty || bodiless;
        if !measured && session.req_header().version == http::Version::HTTP_11 {
            response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        let is_all = write_head(session, Box::new(response), empty).await?;
        visit.first_byte = Some(clock::instant());
        match is_all {
            true => Ok(()),
            false => write_body(session, body).await,
        }
    }
}

/// Over HTTP/2 a head that nothing follows says so: that spares a frame. Whether it has said so.
async fn write_head(
    session: &mut ServerSession,
    head: Box<ResponseHeader>,
    is_empty: bool,
) -> pingora_error::Result<bool> {
    if let ServerSession::H2(stream) = session {
        return stream
            .write_response_header(head, is_empty)
            .map(|()| is_empty);
    }
    session.write_response_header(head).await.map(|()| false)
}

async fn write_body(session: &mut ServerSession, body: Content) -> pingora_error::Result<()> {
    match body {
        Content::Text(text) if session.req_header().method != http::Method::HEAD => {
            write_pieces(session, [text.into()].into_iter()).await
        }
        Content::Nothing | Content::Text(_) => {
            session.write_response_body(Bytes::new(), true).await
        }
        Content::Stored { body, first, end } => write_pieces(session, body.slice(first, end)).await,
        Content::Several(body, several) => write_pieces(session, several.pieces(&body)).await,
        Content::Encoded(mut bytes) => {
            let piece = || {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES_MAX));
                (!piece.is_empty()).then_some(piece)
            };
            write_pieces(session, std::iter::from_fn(piece)).await
        }
        body @ (Content::Arriving(_) | Content::Encoding(_)) => write_arriving(session, body).await,
    }
}

/// All of a body that is here. Its last piece says that it is: over HTTP/2 that spares a frame.
async fn write_pieces(
    session: &mut ServerSession,
    pieces: impl Iterator<Item = Bytes>,
) -> pingora_error::Result<()> {
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        session.write_response_body(piece, is_last).await?;
        if is_last {
            return Ok(());
        }
    }
    session.write_response_body(Bytes::new(), true).await
}

async fn write_arriving(
    session: &mut ServerSession,
    mut body: Content,
) -> pingora_error::Result<()> {
    let done = session.is_body_done();
    loop {
        let piece = tokio::select! {
            biased;
            piece = body.next() => piece,
            gone = client_leaves(session, done) => return Err(gone),
        };
        match piece {
            Ok(Some(piece)) => session.write_response_body(piece, false).await?,
            Ok(None) => return session.write_response_body(Bytes::new(), true).await,
            Err(failure) => {
                return Err(Error::explain(ErrorType::ReadError, failure.detail()).into_up());
            }
        }
    }
}

/// Sees to it that the Date of a final answer reaches the client. Pingora writes its own on HTTP/2: there Age says
/// what the lost one told.
pub(super) fn keep_date(
    session: &ServerSession,
    response: &mut ResponseHeader,
) -> pingora_error::Result<()> {
    match session.stream().and_then(Dated::under) {
        Some(connection) => connection.date_next(response.headers.get(header::DATE)),
        None => {
            if let Some(age) = age_with_new_date(&response.headers, clock::now()) {
                response.insert_header(header::AGE, age)?;
            }
        }
    }
    Ok(())
}
