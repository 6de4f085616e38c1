//! HTTP/1 on one connection: reads a head, answers GET and HEAD, and hands what only passes through to Pingora. Request
//! after request, in order; nothing that could be read in two ways goes further than here.

use std::future::{pending, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::header;
use http::{Method, StatusCode, Version};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use seawall_config::scope::Scheme;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::Shared;
use super::closing::Closing;
use super::dated::Dated;
use super::handed::{AHEAD_BYTES_MAX, Handed};
use super::head::{self, BLOCK_BYTES_MAX, Head, Malformed};
use super::hit::Asker;
use super::wire::Wire;
use crate::answer::Answer;
use crate::clock;
use crate::door::{Outcome, Visit};
use crate::rules::cache_status::Told;

mod answering;

/// When the front is drained, who has just had an answer may be about to ask again: so long after it he is answered.
const LAST_CALL: Duration = Duration::from_secs(1);
/// From the first byte of a head to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// After the last answer: so long is read, and thrown away, what would else make the kernel take the answer back.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;
const READ_BYTES: usize = 4 * 1024;
const PROTOCOL: &str = "HTTP/1";

/// One client, between two requests.
pub(super) struct Connection {
    wire: Wire,
    /// What was read and not answered yet.
    read: BytesMut,
    client: SocketAddr,
    requests_left: u32,
    /// Until when the client may say nothing. One for all requests: to put it off costs less than to make another.
    timer: Pin<Box<Sleep>>,
    closing: Closing,
}

/// What comes next on a connection.
enum Next {
    Head(Box<Head>),
    Malformed(Malformed),
    /// A head that did not end in time.
    Late,
    /// Nothing: the client left, or has been quiet for too long.
    Nothing,
}

/// Answers until the connection ends.
pub(super) async fn serve(shared: &Shared, wire: Wire, client: SocketAddr) {
    let mut connection = Connection {
        wire,
        read: BytesMut::new(),
        client,
        requests_left: shared.limits.requests_per_connection_max,
        timer: Box::pin(sleep(shared.limits.idle_timeout)),
        closing: Closing::of(&shared.stop),
    };
    loop {
        let next = match connection.next(shared.limits.idle_timeout).await {
            Next::Head(head) if shared.answers(&head) => connection.answer(shared, head).await,
            Next::Head(head) => connection.hand_over(shared, &head).await,
            Next::Malformed(why) => {
                return connection.refuse(shared, why.status(), why.detail()).await;
            }
            Next::Late => {
                let late = "the head did not come in time";
                let status = StatusCode::REQUEST_TIMEOUT;
                return connection.refuse(shared, status, late).await;
            }
            Next::Nothing => return,
        };
        match next {
            Some(next) => connection = next,
            None => return,
        }
    }
}

impl Connection {
    /// Waits for a head. When the front is drained an idle connection ends.
    async fn next(&mut self, idle: Duration) -> Next {
        let (mut seen, mut last_call) = (0, false);
        // RFC 9112 §2.2: "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
        if self.read.starts_with(b"\r\n") {
            self.read.advance(2);
        }
        let patience = |begun: bool| if begun { HEAD_TIMEOUT } else { idle };
        let mut is_set = false;
        loop {
            if let Some(end) = head::end(&self.read, seen) {
                let block = match end == self.read.len() {
                    true => std::mem::take(&mut self.read),
                    false => self.read.split_to(end),
                };
                return match Head::parse(block.freeze()) {
                    Ok(head) => Next::Head(Box::new(head)),
                    Err(why) => Next::Malformed(why),
                };
            }
            if self.read.len() > BLOCK_BYTES_MAX {
                return Next::Malformed(Malformed::TooLarge);
            }
            seen = self.read.len();
            if !is_set {
                let until = clock::instant() + patience(seen > 0);
                self.timer.as_mut().reset(until.into());
                is_set = true;
            }
            let Self {
                wire,
                read,
                timer,
                closing,
                ..
            } = self;
            tokio::select! {
                biased;
                read = read_more(wire, read) => match read {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Next::Nothing,
                },
                () = timer.as_mut() => return if seen == 0 { Next::Nothing } else { Next::Late },
                () = poll_fn(|cx| closing.poll(cx)), if seen == 0 && !last_call => {
                    let now = clock::instant();
                    let left = timer.deadline().into_std().saturating_duration_since(now);
                    let waited = idle.saturating_sub(left);
                    timer.as_mut().reset((now + LAST_CALL.saturating_sub(waited)).into());
                    last_call = true;
                    continue;
                }
            }
            if seen == 0 {
                if self.read.starts_with(b"\r\n") {
                    self.read.advance(2);
                }
                is_set = false;
            }
        }
    }

    /// Resolves when the client has gone. What it sends meanwhile is its next request. Cancel-safe.
    async fn gone(&mut self) {
        while self.read.len() < AHEAD_BYTES_MAX {
            if !matches!(read_more(&mut self.wire, &mut self.read).await, Ok(1..)) {
                return;
            }
        }
        pending().await
    }

    /// Says why nothing more is understood of this client, and ends.
    async fn refuse(mut self, shared: &Shared, status: StatusCode, detail: &'static str) {
        let mut visit = Visit::begin();
        let told = Told::generated(detail);
        let answer = Answer::text(status, told, detail);
        let asker = Asker {
            method: Method::GET,
            version: Version::HTTP_11,
            persists: false,
        };
        let (bytes, written) = self.write(shared, &mut visit, answer, &asker).await;
        shared.door.tell(
            &visit,
            &Outcome {
                method: &Method::default(),
                target: "",
                fields: &http::HeaderMap::new(),
                client: Some(self.client),
                scheme: self.scheme(),
                protocol: PROTOCOL,
                status: status.as_u16(),
                bytes,
            },
        );
        if written.is_ok() {
            self.end().await;
        }
    }

    /// Pingora passes this request on; then the connection is ours again, unless it has ended or become something else.
    async fn hand_over(self, shared: &Shared, head: &Head) -> Option<Self> {
        let (client, requests_left) = (self.client, self.requests_left.saturating_sub(1));
        let handed = Handed::request(self.wire, client, head, self.read);
        let mut session = ServerSession::new_http1(Box::new(Dated::new(Box::new(handed))));
        let stop = shared.stop.subscribe();
        let persists = requests_left > 0 && !self.closing.has_begun();
        session.set_keepalive(persists.then_some(shared.limits.idle_timeout.as_secs()));
        let reused = shared.proxy.process_new_http(session, &stop).await?;
        let (stream, _) = reused.consume();
        let dated = stream.into_any().downcast::<Dated>().ok()?;
        let (wire, read) = dated.into_inner::<Handed>()?.take_back()?;
        (requests_left > 0).then_some(Self {
            wire,
            read,
            client,
            requests_left,
            timer: self.timer,
            closing: self.closing,
        })
    }

    /// Ends a connection whose client has its last answer. If bytes of the client were left unread the kernel would
    /// reset the connection, and the answer might never be seen (RFC 9112 §9.6).
    async fn end(mut self) {
        let _ = timeout(LINGER, async {
            self.wire.shutdown().await?;
            let mut left = LINGER_BYTES_MAX;
            while left > 0 {
                self.read.clear();
                match read_more(&mut self.wire, &mut self.read).await? {
                    0 => break,
                    bytes => left = left.saturating_sub(bytes),
                }
            }
            io::Result::Ok(())
        })
        .await;
    }

    fn scheme(&self) -> Scheme {
        match self.wire.is_secure() {
            true => Scheme::Https,
            false => Scheme::Http,
        }
    }
}

/// Reads what is there. An idle connection holds no buffer. Cancel-safe.
async fn read_more(wire: &mut Wire, into: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|cx| {
        // Most of what comes is small, and read at once: it gets a buffer of its own size.
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *wire).poll_read(cx, &mut room))?;
        into.extend_from_slice(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    })
    .await
}

impl Shared {
    /// Whether a request is answered here. Who wishes for a web socket gets what the origin says.
    fn answers(&self, head: &Head) -> bool {
        let ours = matches!(head.method, Method::GET | Method::HEAD) && !head.has_body();
        self.answers && ours && !head.fields.contains_key(header::UPGRADE)
    }
}
