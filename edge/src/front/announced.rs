//! Whose connection a load balancer passes on, by the PROXY protocol: versions 1 and 2 of haproxy's
//! `proxy-protocol.txt`, strict. Pure but for the reading; no byte behind the header is read.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// §2.1: "a 108-byte buffer is always enough", with a NUL at its end.
const LINE_BYTES_MAX: usize = 107;
/// The shortest there are are `PROXY UNKNOWN` with its line end, and one of version 2.
const BYTES_MIN: usize = 15;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const HEAD_BYTES: usize = 16;
/// What may follow that: addresses, and what else a balancer has to tell.
const REST_BYTES_MAX: usize = 4096;

/// Whom the other end speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    Client(SocketAddr),
    /// Nobody: it looks whether we are here.
    Itself,
}

/// What a header says, or how many more bytes of it there are at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Whole(Announced),
    More(usize),
}

/// The bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoHeader;

/// Reads the header with which a connection begins.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Announced> {
    let mut header = Vec::new();
    loop {
        match parse(&header) {
            Ok(Read::Whole(announced)) => return Ok(announced),
            Ok(Read::More(bytes)) => {
                let known = header.len();
                header.resize(known + bytes, 0);
                let more = header.get_mut(known..).unwrap_or_default();
                stream.read_exact(more).await?;
            }
            Err(NoHeader) => {
                let why = "the connection does not begin with the PROXY protocol";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}

fn parse(header: &[u8]) -> Result<Read, NoHeader> {
    match header.len() {
        known @ 0..BYTES_MIN => Ok(Read::More(BYTES_MIN - known)),
        _ if header.starts_with(SIGNATURE) => binary(header),
        _ if header.starts_with(b"PROXY ") => line(header),
        _ => Err(NoHeader),
    }
}

/// §2.1: `PROXY TCP4 192.0.2.1 192.0.2.9 56324 443`, one space each, CRLF.
fn line(header: &[u8]) -> Result<Read, NoHeader> {
    let Some(line) = header.strip_suffix(b"\r\n") else {
        let goes_on = header.len() < LINE_BYTES_MAX && !header.contains(&b'\n');
        return goes_on.then_some(Read::More(1)).ok_or(NoHeader);
    };
    let line = std::str::from_utf8(line).map_err(|_| NoHeader)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Read::Whole(Announced::Itself));
    }
    let mut address = || {
        let address = words.next()?.parse::<IpAddr>().ok()?;
        let fits = family == Some(if address.is_ipv4() { "TCP4" } else { "TCP6" });
        fits.then_some(address)
    };
    let (from, _) = (address().ok_or(NoHeader)?, address().ok_or(NoHeader)?);
    let mut port = || words.next().and_then(port).ok_or(NoHeader);
    let (port, _) = (port()?, port()?);
    match words.next() {
        None => Ok(Read::Whole(Announced::Client(SocketAddr::new(from, port)))),
        Some(_) => Err(NoHeader),
    }
}

/// Digits alone, without a zero before others.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = plain && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// §2.2.
fn binary(header: &[u8]) -> Result<Read, NoHeader> {
    let Some((head, rest)) = header.split_at_checked(HEAD_BYTES) else {
        return Ok(Read::More(HEAD_BYTES - header.len()));
    };
    let [.., command, family, high, low] = head else {
        return Err(NoHeader);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > REST_BYTES_MAX {
        return Err(NoHeader);
    }
    if rest.len() < length {
        return Ok(Read::More(length - rest.len()));
    }
    let announced = match (command, family) {
        // LOCAL; and a client whose family the balancer does not know.
        (0x20, _) | (0x21, 0x00) => Announced::Itself,
        // TCP over IPv4: two addresses, two ports.
        (0x21, 0x11) => match rest {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => Announced::Client(SocketAddr::from((
                [*a, *b, *c, *d],
                u16::from_be_bytes([*high, *low]),
            ))),
            _ => return Err(NoHeader),
        },
        // TCP over IPv6.
        (0x21, 0x21) => {
            let from = rest.first_chunk::<16>().ok_or(NoHeader)?;
            let ports = rest.get(32..36).ok_or(NoHeader)?;
            let [high, low, ..] = ports else {
                return Err(NoHeader);
            };
            Announced::Client(SocketAddr::from((*from, u16::from_be_bytes([*high, *low]))))
        }
        // Version 1 of the binary form never was; datagrams and files are no clients of ours.
        _ => return Err(NoHeader),
    };
    Ok(Read::Whole(announced))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What is said, and how much is left; `cut` where more was to come.
    async fn told(bytes: &[u8]) -> String {
        let mut stream = bytes;
        match read(&mut stream).await {
            Ok(Announced::Client(client)) => format!("{client}, {} left", stream.len()),
            Ok(Announced::Itself) => format!("itself, {} left", stream.len()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => "cut".into(),
            Err(_) => "no header".into(),
        }
    }

    #[tokio::test]
    async fn a_line_says_whose_connection_it_is() {
        let check = async |text: &str, expect: &str| {
            assert_eq!(told(text.as_bytes()).await, expect, "{text:?}");
        };
        check(
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\nGET",
            "192.0.2.1:4711, 3 left",
        )
        .await;
        check(
            "PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
            "[2001:db8::1]:1, 0 left",
        )
        .await;
        check("PROXY UNKNOWN\r\nGET", "itself, 3 left").await;
        check("PROXY UNKNOWN ffff::1 anything\r\n", "itself, 0 left").await;
        check("PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r", "cut").await;
        check("PROXY", "cut").await;
        for none in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\n",
            "PROXY TCP4 192.0.2.1  10.0.0.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 443 1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 04711 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +471 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 2001:db8::1 ::1 4711 443\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 4711 443\r\n",
            "PROXY TCP5 192.0.2.1 10.0.0.1 4711 443\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 4711 443\r\n",
            "proxy TCP4 192.0.2.1 10.0.0.1 4711 443\r\n",
        ] {
            check(none, "no header").await;
        }
        check(&format!("PROXY UNKNOWN {}", "a".repeat(200)), "no header").await;
    }

    #[tokio::test]
    async fn bytes_say_whose_connection_it_is() {
        let check = async |command: u8, family: u8, rest: &[u8], behind: &str, expect: &str| {
            let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
            let head = [&SIGNATURE[..], &[command, family], &length].concat();
            let all = [&head[..], rest, behind.as_bytes()].concat();
            assert_eq!(told(&all).await, expect, "{command:x} {family:x} {rest:?}");
        };
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
        check(0x21, 0x11, &v4, "GET", "192.0.2.1:4711, 3 left").await;
        // What else it has to tell is passed over.
        let more = [&v4[..], &[4, 0, 1, 0]].concat();
        check(0x21, 0x11, &more, "GET", "192.0.2.1:4711, 3 left").await;
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 1, 80);
        check(0x21, 0x21, &v6, "", "[2001::1]:80, 0 left").await;
        check(0x20, 0x00, &[], "GET", "itself, 3 left").await;
        check(0x20, 0x11, &v4, "GET", "itself, 3 left").await;
        check(0x21, 0x00, &[], "", "itself, 0 left").await;
        check(0x21, 0x11, &v4[..11], "", "no header").await;
        check(0x21, 0x21, &v6[..35], "", "no header").await;
        check(0x21, 0x12, &v4, "", "no header").await;
        check(0x21, 0x31, &[0; 216], "", "no header").await;
        check(0x22, 0x11, &v4, "", "no header").await;
        check(0x11, 0x11, &v4, "", "no header").await;
        check(0x21, 0x00, &[0; REST_BYTES_MAX + 1], "", "no header").await;
        let cut = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0]].concat();
        assert_eq!(told(&cut).await, "cut");
    }
}
