//! What an origin says to one request, and when.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::sleep;
use std::time::Duration;

use super::message::{self, Fields};
use super::origin::Request;

/// 200 with this body and its Content-Length.
pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        says: Says::Http {
            status: 200,
            fields: Fields::new(),
            body: Arc::new(body.into()),
        },
        interims: Vec::new(),
        chunked: false,
        validates: false,
        ranged: false,
        head_gate: None,
        body_gate: None,
        cut_after: None,
        end: End::Close,
        pause: None,
    }
}

#[derive(Clone)]
pub struct Answer {
    says: Says,
    /// Heads it says before anything else, also before a gate.
    interims: Vec<String>,
    chunked: bool,
    /// Answers 304 to its own ETag or Last-Modified.
    validates: bool,
    /// Answers one range with that part.
    ranged: bool,
    head_gate: Option<Gate>,
    /// After how many bytes of the body it holds back the rest.
    body_gate: Option<(usize, Gate)>,
    /// After how many bytes of the body it ends the connection.
    cut_after: Option<usize>,
    /// How, where it says raw bytes or cuts the body.
    end: End,
    /// Between any two bytes of the body.
    pause: Option<Duration>,
}

/// What an origin does with its connection where the answer does not leave it as it is.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Reset,
    /// It stays open, and is used again by whoever dares.
    Stay,
}

#[derive(Clone)]
enum Says {
    Http {
        status: u16,
        fields: Fields,
        body: Arc<Vec<u8>>,
    },
    /// Exactly these bytes, then the end of the connection.
    Raw(Arc<Vec<u8>>),
}

/// Holds something back until it is opened; then it stays open.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Answer {
    /// Exactly these bytes, then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            says: Says::Raw(Arc::new(bytes.into())),
            ..ok("")
        }
    }

    /// Where the connection would be closed, it stays open.
    pub fn stays(mut self) -> Self {
        self.end = End::Stay;
        self
    }

    /// Where the connection would be closed, it is reset.
    pub fn resets(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// The body comes byte by byte, with this pause between any two.
    pub fn drips(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// The request is read, and nothing ever follows.
    pub fn never() -> Self {
        ok("").gate().0
    }

    pub fn status(mut self, code: u16) -> Self {
        if let Says::Http { status, .. } = &mut self.says {
            *status = code;
        }
        self
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        if let Says::Http { fields, .. } = &mut self.says {
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }

    pub fn max_age(self, seconds: u64) -> Self {
        self.field("cache-control", &format!("max-age={seconds}"))
    }

    /// `tag` without its quotes.
    pub fn etag(self, tag: &str) -> Self {
        self.field("etag", &format!("\"{tag}\""))
    }

    /// 304 to a request whose If-None-Match has its ETag, or else whose If-Modified-Since is its Last-Modified.
    pub fn if_match_304(mut self) -> Self {
        self.validates = true;
        self
    }

    /// 206 to a request for one range `first-last` or `first-`, unless its If-Range names another ETag.
    pub fn ranged(mut self) -> Self {
        self.ranged = true;
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Says this 1xx head first, whatever gate is before the answer.
    pub fn interim(mut self, status: u16, fields: &[(&str, &str)]) -> Self {
        let lines = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let lines: String = lines.collect();
        self.interims
            .push(format!("HTTP/1.1 {status} Interim\r\n{lines}\r\n"));
        self
    }

    /// Not a byte before the gate is open, but for interim answers.
    pub fn gate(self) -> (Self, Gate) {
        let gate = Gate::default();
        (self.behind(&gate), gate)
    }

    /// Not a byte before this gate is open, which may hold others, too.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// The head and `after` bytes of the body, the rest when the gate is open.
    pub fn gate_body(mut self, after: usize) -> (Self, Gate) {
        let gate = Gate::default();
        self.body_gate = Some((after, gate.clone()));
        (self, gate)
    }

    /// The connection ends after so many bytes of the body, whatever was promised.
    pub fn cut_body(mut self, after: usize) -> Self {
        self.cut_after = Some(after);
        self
    }

    /// Says it; whether the connection can be used again.
    pub(super) fn write(&self, request: &Request, stream: &mut TcpStream) -> io::Result<bool> {
        stream.write_all(self.interims.concat().as_bytes())?;
        if let Some(gate) = &self.head_gate {
            gate.wait();
        }
        let (status, fields, body) = match &self.says {
            Says::Http {
                status,
                fields,
                body,
            } => (*status, fields, body),
            Says::Raw(bytes) => return self.drip(bytes, stream).and_then(|()| self.end(stream)),
        };
        let etag = message::field(fields, "etag").unwrap_or("-");
        let holds = match request.field("if-none-match") {
            Some(known) => known.contains(etag),
            None => request.field("if-modified-since").is_some_and(|known| {
                // Many origins know only the very date they sent.
                message::field(fields, "last-modified") == Some(known)
            }),
        };
        // RFC 9110 §13.2.1, §14.2: conditions and ranges count where the answer would be a success.
        let (validates, ranged) = (
            self.validates && (200..300).contains(&status),
            self.ranged && status == 200,
        );
        let status = if validates && holds { 304 } else { status };
        let same = request.field("if-range").is_none_or(|known| known == etag);
        if let Some((first, end)) =
            range(request, body.len()).filter(|_| ranged && same && status == 200)
        {
            let mut part = ok(&body[first..end]).status(206);
            for (name, value) in fields {
                part = part.field(name, value);
            }
            let range = format!("bytes {first}-{}/{}", end - 1, body.len());
            return part.field("content-range", &range).write(request, stream);
        }
        let bodiless = matches!(status, 204 | 304);
        let mut head = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match (bodiless, self.chunked) {
            (true, _) => {}
            (false, true) => head.push_str("transfer-encoding: chunked\r\n"),
            (false, false) => head.push_str(&format!("content-length: {}\r\n", body.len())),
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if bodiless || request.method == "HEAD" {
            return Ok(true);
        }
        let end = self.cut_after.unwrap_or(body.len());
        if let Some((after, gate)) = &self.body_gate {
            self.piece(&body[..*after], stream)?;
            gate.wait();
            self.piece(&body[*after..end], stream)?;
        } else {
            self.piece(&body[..end], stream)?;
        }
        if self.chunked && self.cut_after.is_none() {
            stream.write_all(b"0\r\n\r\n")?;
        }
        match self.cut_after {
            Some(_) => self.end(stream),
            None => Ok(true),
        }
    }

    /// Whether the end of the connection is a reset.
    pub(super) fn resets_connection(&self) -> bool {
        self.end == End::Reset
    }

    /// Whether the connection can be used again.
    fn end(&self, stream: &TcpStream) -> io::Result<bool> {
        if self.end == End::Reset {
            reset_when_closed(stream)?;
        }
        Ok(self.end == End::Stay)
    }

    /// Writes the bytes, one by one where it drips.
    fn drip(&self, bytes: &[u8], stream: &mut TcpStream) -> io::Result<()> {
        let Some(pause) = self.pause else {
            return stream.write_all(bytes);
        };
        bytes.iter().try_for_each(|byte| {
            sleep(pause);
            stream.write_all(&[*byte])
        })
    }

    fn piece(&self, piece: &[u8], stream: &mut TcpStream) -> io::Result<()> {
        if !self.chunked {
            return self.drip(piece, stream);
        }
        // A chunk of nothing would be the last.
        if piece.is_empty() {
            return Ok(());
        }
        let size = format!("{:x}\r\n", piece.len());
        stream.write_all(&[size.as_bytes(), piece, b"\r\n"].concat())
    }
}

/// What is closed with zero linger is reset (tcp(7)).
fn reset_when_closed(stream: &TcpStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stream = stream.try_clone()?;
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)?.set_zero_linger()
    })?;
    stream.set_nonblocking(false)
}

/// The one range a request asks for: its first byte, and the one after its last.
fn range(request: &Request, total: usize) -> Option<(usize, usize)> {
    let range = request.field("range")?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let end = match last {
        "" => total,
        last => total.min(last.parse::<usize>().ok()? + 1),
    };
    let first = first.parse().ok()?;
    (first < end).then_some((first, end))
}

impl Gate {
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().unwrap() = true;
        changed.notify_all();
    }

    fn wait(&self) {
        let (open, changed) = &*self.0;
        drop(
            changed
                .wait_while(open.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }
}
