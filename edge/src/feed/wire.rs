//! Speaking HTTP/2 with a control plane, in clear or over TLS: a feed line by line, a snapshot, a heartbeat. Every
//! answer is bounded in bytes and in time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use seawall_config::feed::{FRAME_BYTES_MAX, Frame, SNAPSHOT_BYTES_MAX, Snapshot};
use serde::Deserialize;

use super::credentials::Credentials;
use super::{Ask, Gone, Input};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that does not answer a ping for so long is dead; pings go out as often, also when it is idle.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// From asking to the head of the answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// From asking for a snapshot to its last byte.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer that is neither feed nor snapshot.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks control planes. Each has one connection, made with the certificates that were there when the client was.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    credentials: Credentials,
}

/// Why there was no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0} is not the address of a control plane: {1}")]
    Address(String, http::Error),
    #[error("it cannot be reached: {0}")]
    Connect(String),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer broke off: {0}")]
    Broken(String),
    #[error("it ended the feed")]
    Ended,
}

impl Client {
    pub fn new(credentials: &Credentials) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(credentials.tls())
            .https_or_http()
            .enable_http2()
            .wrap_connector(connector);
        let http = HttpClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(PING_TIMEOUT)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .build(connector);
        Self {
            http,
            credentials: credentials.clone(),
        }
    }

    /// One that connects anew, with the certificates that are there now.
    pub fn anew(&self) -> Self {
        Self::new(&self.credentials)
    }

    /// Posts a JSON document; the answer's status and body.
    pub async fn post(
        &self,
        plane: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let (status, body) = self.send(Method::POST, plane, path, body).await?;
        Ok((status, read(body, ANSWER_BYTES_MAX).await?))
    }

    pub fn begin(&self, plane: &str, ask: Ask) -> Conversation {
        let (client, plane) = (self.clone(), plane.to_owned());
        Conversation {
            stage: Stage::Asking(Box::pin(async move { client.ask(&plane, &ask).await })),
        }
    }

    async fn ask(&self, plane: &str, ask: &Ask) -> Result<Stage, Failure> {
        let path = path(ask);
        let (status, body) = within(
            HEAD_TIMEOUT,
            self.send(Method::GET, plane, &path, Vec::new()),
        )
        .await?;
        match (ask, status) {
            (Ask::Feed { .. }, StatusCode::OK) => Ok(Stage::Opened(Lines::default(), body)),
            (Ask::Feed { .. }, StatusCode::GONE) => {
                let problem = within(HEAD_TIMEOUT, read(body, ANSWER_BYTES_MAX)).await?;
                Ok(Stage::Say(Input::Gone(gone(&problem))))
            }
            (Ask::Snapshot, StatusCode::OK) => {
                let document = within(SNAPSHOT_TIMEOUT, read(body, SNAPSHOT_BYTES_MAX)).await?;
                // Megabytes of JSON: not on the threads that serve.
                let parsed = tokio::task::spawn_blocking(move || {
                    serde_json::from_slice::<Snapshot>(&document)
                })
                .await;
                let parsed = parsed.map_err(|error| Failure::Broken(error.to_string()))?;
                Ok(Stage::Say(match parsed {
                    Ok(snapshot) => Input::Snapshot(snapshot),
                    Err(error) => Input::Unreadable(format!("the snapshot: {error}")),
                }))
            }
            _ => Err(Failure::Status(status)),
        }
    }

    async fn send(
        &self,
        method: Method,
        plane: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Incoming), Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{plane}{path}"))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = self.credentials.token() {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .body(Full::from(body))
            .map_err(|error| Failure::Address(plane.to_owned(), error))?;
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| Failure::Connect(causes(&error)))?;
        Ok((response.status(), response.into_body()))
    }
}

/// RFC 9457: why a control plane does not do what it was asked to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    #[serde(rename = "type")]
    pub kind: String,
    pub detail: String,
}

impl Refusal {
    /// What does not read as one says nothing.
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// One question and all that is answered to it.
pub struct Conversation {
    stage: Stage,
}

enum Stage {
    Asking(BoxFuture<'static, Result<Self, Failure>>),
    Opened(Lines, Incoming),
    Reading(Lines, Incoming),
    Say(Input),
    Over,
}

impl Conversation {
    /// The next thing that is said. Cancel-safe: what has arrived stays here.
    pub async fn next(&mut self) -> Result<Input, Failure> {
        loop {
            match &mut self.stage {
                Stage::Asking(answer) => match answer.await {
                    Ok(stage) => self.stage = stage,
                    Err(failure) => return self.over(failure),
                },
                Stage::Reading(lines, body) => match lines.next() {
                    Ok(Some(line)) => return Ok(frame(&line)),
                    Ok(None) => match body.frame().await {
                        Some(Ok(frame)) => lines.push(frame.data_ref().map_or(&[], |data| data)),
                        Some(Err(error)) => return self.over(Failure::Broken(causes(&error))),
                        None => return self.over(Failure::Ended),
                    },
                    Err(too_long) => return Ok(Input::Unreadable(too_long.to_string())),
                },
                Stage::Opened(..) | Stage::Say(_) | Stage::Over => {
                    return match std::mem::replace(&mut self.stage, Stage::Over) {
                        Stage::Opened(lines, body) => {
                            self.stage = Stage::Reading(lines, body);
                            Ok(Input::Opened)
                        }
                        Stage::Say(input) => Ok(input),
                        _ => Err(Failure::Ended),
                    };
                }
            }
        }
    }

    fn over(&mut self, failure: Failure) -> Result<Input, Failure> {
        self.stage = Stage::Over;
        Err(failure)
    }
}

/// Whole lines out of pieces that end anywhere.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// So much of the buffer is known to have no end of a line.
    searched: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("a line has more than {FRAME_BYTES_MAX} bytes")]
struct TooLong;

impl Lines {
    fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line that is not empty, without its end.
    fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        while let Some(found) = self
            .buffer
            .iter()
            .skip(self.searched)
            .position(|byte| *byte == b'\n')
        {
            let length = self.searched + found;
            self.searched = 0;
            let line = self.buffer.split_to(length + 1).freeze().slice(..length);
            match line.len() {
                0 => {}
                1..=FRAME_BYTES_MAX => return Ok(Some(line)),
                _ => return Err(TooLong),
            }
        }
        self.searched = self.buffer.len();
        if self.searched > FRAME_BYTES_MAX {
            Err(TooLong)
        } else {
            Ok(None)
        }
    }
}

fn frame(line: &[u8]) -> Input {
    match serde_json::from_slice::<Frame>(line) {
        Ok(frame) => Input::Frame(frame),
        Err(error) => Input::Unreadable(format!("a line: {error}")),
    }
}

fn path(ask: &Ask) -> String {
    match ask {
        Ask::Snapshot => "/v1/snapshot".into(),
        Ask::Feed {
            after,
            beacon: None,
        } => format!("/v1/feed?after={after}"),
        Ask::Feed {
            after,
            beacon: Some((revision, id)),
        } => format!("/v1/feed?after={after}&beacon={revision}-{id}"),
    }
}

/// What a `410` means. Without a word that we know, the milder of the two: a snapshot is judged anyway.
fn gone(problem: &[u8]) -> Gone {
    match Refusal::read(problem).kind.as_str() {
        "history-differs" => Gone::Differs,
        _ => Gone::History,
    }
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Failure> {
    let whole = Limited::new(body, bytes_max).collect().await;
    whole
        .map(|whole| whole.to_bytes())
        .map_err(|error| Failure::Broken(causes(&*error)))
}

async fn within<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or(Err(Failure::Timeout))
}

/// An error and what caused it; hyper's own texts say only "client error".
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seawall_config::{Epoch, Revision, Token};

    #[test]
    fn lines_come_whole_wherever_the_pieces_end() {
        let text = b"one\n\ntwo\nthree\nfou";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next().unwrap() {
                    seen.push(line);
                }
            }
            assert_eq!(seen, ["one", "two", "three"], "pieces of {size}");
        }
    }

    #[test]
    fn a_line_is_bounded_also_while_it_has_no_end() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; FRAME_BYTES_MAX]);
        assert!(matches!(lines.next(), Ok(None)));
        lines.push(b"\n");
        assert_eq!(
            lines.next().unwrap().map(|line| line.len()),
            Some(FRAME_BYTES_MAX)
        );
        lines.push(&vec![b'x'; FRAME_BYTES_MAX + 1]);
        assert!(lines.next().is_err());
        lines.push(b"\n");
        assert!(lines.next().is_err());
    }

    #[test]
    fn a_question_is_spelt_as_the_control_plane_reads_it() {
        let after = Token {
            epoch: Epoch(3),
            revision: Revision(18),
        };
        assert_eq!(path(&Ask::Snapshot), "/v1/snapshot");
        assert_eq!(
            path(&Ask::Feed {
                after,
                beacon: None
            }),
            "/v1/feed?after=3-18"
        );
        let beacon = Some((Revision(17), "0af".into()));
        assert_eq!(
            path(&Ask::Feed { after, beacon }),
            "/v1/feed?after=3-18&beacon=17-0af"
        );
    }

    #[test]
    fn a_410_says_which_of_two_things_it_means() {
        let check =
            |problem: &str, expect: Gone| assert_eq!(gone(problem.as_bytes()), expect, "{problem}");
        check(r#"{"type":"history-differs","status":410}"#, Gone::Differs);
        check(r#"{"type":"history-gone","detail":"x"}"#, Gone::History);
        check("<html>", Gone::History);
    }
}
