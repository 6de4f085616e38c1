//! A request's body, out of bytes. Pure: it is taken apart here and put together anew, so that whoever reads on sees a
//! framing of ours, and never the end of a body that was not framed right.

use bytes::{Buf, BytesMut};

use super::head::Framing;

/// A line with a chunk's size and its extensions.
const SIZE_LINE_BYTES_MAX: usize = 256;
/// More hexadecimal digits might not fit into 64 bits.
const SIZE_DIGITS_MAX: usize = 15;
/// All trailers together.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes are to come.
    Rest(u64),
    /// A chunk's size is next.
    Size,
    /// So many bytes of a chunk are to come.
    Chunk(u64),
    /// The end of a chunk.
    ChunkEnd,
    /// After the last chunk; so many bytes of them have come.
    Trailers(usize),
    Done,
}

/// Bytes that frame no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

impl Body {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Done,
            Framing::Length(bytes) => Self::Rest(bytes),
            Framing::Chunked => Self::Size,
        }
    }

    /// Takes what can be understood from `input`, and writes it to `out`. Chunks lose their extensions; trailers are
    /// read, and not passed on (RFC 9112 §7.1.1, §7.1.2).
    pub fn take(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<(), BadChunk> {
        loop {
            *self = match *self {
                Self::Rest(left) => {
                    let left = left - pass(left, input, out);
                    if left > 0 {
                        *self = Self::Rest(left);
                        return Ok(());
                    }
                    Self::Done
                }
                Self::Size => match line(input, SIZE_LINE_BYTES_MAX)? {
                    None => return Ok(()),
                    Some(line) => match size(&line)? {
                        0 => Self::Trailers(0),
                        size => {
                            out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                            Self::Chunk(size)
                        }
                    },
                },
                Self::Chunk(left) => {
                    let left = left - pass(left, input, out);
                    if left > 0 {
                        *self = Self::Chunk(left);
                        return Ok(());
                    }
                    Self::ChunkEnd
                }
                Self::ChunkEnd => match line(input, 0)? {
                    None => return Ok(()),
                    Some(_) => {
                        out.extend_from_slice(b"\r\n");
                        Self::Size
                    }
                },
                Self::Trailers(came) => match line(input, TRAILER_BYTES_MAX - came)? {
                    None => return Ok(()),
                    Some(line) if line.is_empty() => {
                        out.extend_from_slice(b"0\r\n\r\n");
                        Self::Done
                    }
                    Some(line) => {
                        is_field(&line)?;
                        Self::Trailers((came + line.len()).min(TRAILER_BYTES_MAX))
                    }
                },
                Self::Done => return Ok(()),
            }
        }
    }

    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// Moves at most `most` bytes; how many.
fn pass(most: u64, input: &mut BytesMut, out: &mut BytesMut) -> u64 {
    let here = input.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    out.extend_from_slice(&input.split_to(here));
    here as u64
}

/// A line of at most `most` bytes, without its CRLF; None while more must come.
fn line(input: &mut BytesMut, most: usize) -> Result<Option<BytesMut>, BadChunk> {
    let end = input.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let Some(end) = end.filter(|end| *end <= most) else {
        return match input.len() > most {
            true => Err(BadChunk),
            false => Ok(None),
        };
    };
    match input.get(end..) {
        Some([b'\r', b'\n', ..]) => {
            let line = input.split_to(end);
            input.advance(2);
            Ok(Some(line))
        }
        Some([b'\r']) => Ok(None),
        _ => Err(BadChunk),
    }
}

/// RFC 9112 §7.1: `chunk-size [ chunk-ext ]`: hexadecimal digits and nothing else before a semicolon.
fn size(line: &[u8]) -> Result<u64, BadChunk> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let plain = !digits.is_empty()
        && digits.len() <= SIZE_DIGITS_MAX
        && digits.iter().all(u8::is_ascii_hexdigit);
    let clean = line
        .iter()
        .all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    let digits = std::str::from_utf8(digits).ok().filter(|_| plain && clean);
    let size = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.ok_or(BadChunk)
}

fn is_field(line: &[u8]) -> Result<(), BadChunk> {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let named = name.len() < line.len() && http::HeaderName::from_bytes(name).is_ok();
    let clean = line
        .iter()
        .all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    (named && clean).then_some(()).ok_or(BadChunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of `text`, byte by byte or in one piece, and what is left; or that it is bad.
    fn read(framing: Framing, text: &[u8], at_once: usize) -> String {
        let (mut body, mut input, mut out) = (Body::new(framing), BytesMut::new(), BytesMut::new());
        for piece in text.chunks(at_once) {
            input.extend_from_slice(piece);
            if body.take(&mut input, &mut out).is_err() {
                return "bad".into();
            }
        }
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let state = if body.is_done() { "done" } else { "more" };
        format!("{state} {}|{}", show(&out), show(&input))
    }

    #[test]
    fn a_body_ends_where_it_says_and_nowhere_else() {
        let check = |framing, text: &str, expect: &str| {
            assert_eq!(
                read(framing, text.as_bytes(), 64 * 1024),
                expect,
                "{text:?}"
            );
            let slowly = read(framing, text.as_bytes(), 1);
            let same = slowly == expect || expect.starts_with("more");
            // Chunk data that comes in pieces is the same chunk.
            assert!(same, "{text:?} byte by byte: {slowly}");
        };
        check(Framing::Length(0), "GET", "done |GET");
        check(Framing::Length(3), "abcGET", "done abc|GET");
        check(Framing::Length(3), "ab", "more ab|");
        let chunked = |text: &str, expect: &str| check(Framing::Chunked, text, expect);
        chunked("0\r\n\r\nGET", "done 0\r\n\r\n|GET");
        chunked("3\r\nabc\r\n0\r\n\r\n", "done 3\r\nabc\r\n0\r\n\r\n|");
        chunked(
            "03;x=y\r\nabc\r\n0;z\r\n\r\n",
            "done 3\r\nabc\r\n0\r\n\r\n|",
        );
        chunked(
            "A\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
            "done a\r\n0123456789\r\n0\r\n\r\n|",
        );
        chunked("3\r\nab", "more 3\r\nab|");
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\ra",
            "1;a\nb\r\n",
            "1\r\nab",
            "1\r\na\n0\r\n\r\n",
            "1\r\na\rx",
            "1\r\na\r\nx\r\n",
            "0\r\nA\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n b\r\n\r\n",
            ";\r\n",
            "fffffffffffffffff\r\n",
        ] {
            chunked(bad, "bad");
        }
        chunked(&"1".repeat(SIZE_LINE_BYTES_MAX + 1), "bad");
        chunked(
            &format!("0\r\n{}", "A: b\r\n".repeat(TRAILER_BYTES_MAX)),
            "bad",
        );
    }
}
