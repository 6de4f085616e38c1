//! Requests out of bytes, at the door: what is let through is read alike by the reader behind it, Pingora's.

use bytes::{Bytes, BytesMut};
use http::Version;

use super::input::Input;
use crate::front::body::Body;
use crate::front::head::{self, Framing, Head};

const FIELDS_MAX: usize = 128;
const PIECES_MAX: usize = 64;
const WORDS: [&[u8]; 32] = [
    b"GET ",
    b"POST ",
    b"/a",
    b"http://",
    b"h.test",
    b"*",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"Host: h.test",
    b"A",
    b": ",
    b":",
    b" ",
    b"\t",
    b"\0",
    b"Content-Length: ",
    b"Transfer-Encoding: ",
    b"chunked",
    b"Connection: ",
    b"close",
    b"5",
    b"0",
    b", ",
    b"+",
    b";",
    b"a;b=\"c\"",
    b"\x80",
];

/// What is accepted has one meaning, for httparse, too; and nothing that frames lines is in it.
pub fn heads(input: &mut Input<'_>) {
    let mut bytes = b"GET /a HTTP/1.1\r\nHost: h.test\r\n".to_vec();
    if input.flag() {
        bytes.clear();
    }
    bytes.extend(pieces(input));
    let Some(end) = head::end(&bytes, 0) else {
        return;
    };
    assert_eq!(head::end(&bytes, end / 2), Some(end));
    let Ok(head) = Head::parse(Bytes::copy_from_slice(&bytes[..end])) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut theirs = httparse::Request::new(&mut fields);
    let read = theirs.parse(&bytes).expect("what we accept others do");
    assert_eq!(read, httparse::Status::Complete(end));
    assert_eq!(theirs.method, Some(head.method.as_str()));
    let minor = u8::from(head.version == Version::HTTP_11);
    assert_eq!(theirs.version, Some(minor));
    let target = theirs.path.unwrap();
    assert!(target.ends_with(head.target().unwrap()), "{target}");
    assert_eq!(theirs.headers.len(), head.fields.len());
    for field in theirs.headers.iter() {
        let mut lines = head.fields.get_all(field.name).iter();
        let value = field.value.trim_ascii();
        assert!(lines.any(|line| line.as_bytes() == value), "{field:?}");
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
    }
    let says = |name: &str| head.fields.get_all(name).iter().count();
    match head.body {
        Framing::Chunked => assert_eq!((says("content-length"), says("transfer-encoding")), (0, 1)),
        Framing::Length(_) => {
            assert!(says("content-length") <= 1 && says("transfer-encoding") == 0)
        }
    }
    assert_eq!(Some(head.body), framing(theirs.headers), "{theirs:?}");
}

/// RFC 9112 §6.3, of a request that says it in one way only; None for any other.
fn framing(fields: &[httparse::Header<'_>]) -> Option<Framing> {
    let lines = |name: &str| -> Vec<&[u8]> {
        let named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        let values = fields.iter().filter(named);
        values.map(|field| field.value.trim_ascii()).collect()
    };
    match (
        &lines("content-length")[..],
        &lines("transfer-encoding")[..],
    ) {
        ([], []) => Some(Framing::Length(0)),
        ([length], []) if length.iter().all(u8::is_ascii_digit) => {
            let length = std::str::from_utf8(length).unwrap().parse();
            length.ok().map(Framing::Length)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Some(Framing::Chunked),
        _ => None,
    }
}

/// A body says the same however it is cut into pieces; what comes out is framed right, and ends where the input does.
pub fn bodies(input: &mut Input<'_>) {
    let framing = match input.flag() {
        true => Framing::Chunked,
        false => Framing::Length(u64::from(input.byte())),
    };
    let at_once = usize::from(input.byte()) + 1;
    let mut bytes = b"3\r\nabc\r\n".to_vec();
    bytes.extend(pieces(input));
    let whole = read(framing, &bytes, bytes.len());
    let cut = read(framing, &bytes, at_once);
    match (whole, cut) {
        (Some((body, content, rest)), Some((again, same, left))) => {
            assert_eq!(
                (body.is_done(), &content, &rest),
                (again.is_done(), &same, &left)
            );
            if framing == Framing::Chunked && body.is_done() {
                let read = bytes.len() - rest.len();
                let (data, end) = chunks(&bytes).expect("what we accept others do");
                assert_eq!(end, read);
                assert_eq!(chunks(&content), Some((data, content.len())));
            }
        }
        (None, None) => {}
        // Whoever has more of the line may see sooner that it is wrong.
        (whole, cut) => panic!("{:?} {:?}", whole.is_some(), cut.is_some()),
    }
}

/// What chunks hold, and where they end, as httparse reads their sizes.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&bytes[at..])
        else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        at += line;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        at += bytes[at..].starts_with(b"\r\n").then_some(2)?;
    }
    loop {
        let trailer = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        at += trailer + 2;
        if trailer == 0 {
            return Some((data, at));
        }
    }
}

fn read(framing: Framing, bytes: &[u8], at_once: usize) -> Option<(Body, Vec<u8>, BytesMut)> {
    let mut body = Body::new(framing);
    let (mut rest, mut out) = (BytesMut::new(), BytesMut::new());
    for piece in bytes.chunks(at_once.max(1)) {
        rest.extend_from_slice(piece);
        body.take(&mut rest, &mut out).ok()?;
    }
    Some((body, out.to_vec(), rest))
}

fn pieces(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..usize::from(input.byte()) % PIECES_MAX {
        match input.byte() {
            word @ 0x80.. => bytes.extend_from_slice(WORDS[usize::from(word) % WORDS.len()]),
            byte => bytes.push(byte),
        }
    }
    bytes
}
