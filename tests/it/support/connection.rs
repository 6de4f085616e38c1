//! One HTTP/1.1 connection of a client, with the hand on every byte.

use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use tokio::net::TcpSocket;

use super::message::{self, Fields, Framing};
use super::response::Response;
use super::wait::WAIT_MAX;

/// Dropping it is the client leaving.
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).unwrap(), address)
    }

    /// None where nobody listens.
    pub fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        Some(Self::on(stream, address))
    }

    /// From this address of the machine's own.
    pub fn open_from(from: Ipv4Addr, address: SocketAddr) -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let stream = runtime.enable_all().build().unwrap().block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind((from, 0).into()).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::on(stream, address)
    }

    /// For who reads it byte by byte; nothing was read ahead.
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }

    fn on(stream: TcpStream, address: SocketAddr) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.set_write_timeout(Some(WAIT_MAX)).unwrap();
        Self {
            stream: BufReader::new(stream),
            address,
        }
    }

    /// Sends a request and reads its answer.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(method, target, fields, body);
        self.answer(method)
    }

    /// Host is the address, unless `fields` name one; Content-Length is there where a body is.
    pub fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) {
        let names = |name: &str| {
            fields
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !names("host") {
            write!(head, "Host: {}\r\n", self.address).unwrap();
        }
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() && !names("content-length") && !names("transfer-encoding") {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        head.push_str("\r\n");
        self.write([head.as_bytes(), body].concat());
    }

    /// Exactly these bytes. A server that has already answered and closed takes no more: its answer tells.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// The final answer to a request with this method.
    pub fn answer(&mut self, method: &str) -> Response {
        let Some((status, fields)) = self.head() else {
            return Response {
                status: 0,
                fields: Fields::new(),
                body: Vec::new(),
                complete: false,
            };
        };
        let framing = framing(method, status, &fields);
        let (body, complete) = message::read_body(&mut self.stream, framing);
        Response {
            status,
            fields,
            body,
            complete,
        }
    }

    /// The head of the final answer; the body is still to be read. None: the connection ended.
    pub fn head(&mut self) -> Option<(u16, Fields)> {
        loop {
            let (status, fields) = self.next_head()?;
            // After 101 the connection speaks something else.
            if status == 101 || !(100..200).contains(&status) {
                return Some((status, fields));
            }
        }
    }

    /// The next head, interim or final. None: the connection ended.
    pub fn next_head(&mut self) -> Option<(u16, Fields)> {
        let (line, fields) = message::read_head(&mut self.stream)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {line}"));
        Some((status, fields))
    }

    /// So many bytes, as they are on the wire.
    pub fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        self.stream.read_exact(&mut taken).unwrap();
        taken
    }

    /// Whether the server has closed it.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}

fn framing(method: &str, status: u16, fields: &Fields) -> Framing {
    let length = || message::field(fields, "content-length")?.parse().ok();
    let chunked = message::field(fields, "transfer-encoding") == Some("chunked");
    match (method, status) {
        ("HEAD", _) | (_, 204 | 304) => Framing::Nothing,
        _ if chunked => Framing::Chunked,
        _ => length().map_or(Framing::UntilClose, Framing::Length),
    }
}
