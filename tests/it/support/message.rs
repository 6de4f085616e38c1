//! Reading HTTP/1.1 off a socket, byte for byte: what arrived, and whether it arrived whole.

use std::io::{self, BufRead, ErrorKind, Read};

/// Field lines in the order they came, their names in lower case.
pub type Fields = Vec<(String, String)>;

/// How the end of a body is told (RFC 9112 §6.3).
#[derive(Clone, Copy)]
pub enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    UntilClose,
}

/// The first line with this name.
pub fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let found = fields.iter().find(|(other, _)| *other == name);
    found.map(|(_, value)| value.as_str())
}

/// The start line and the fields; None when the connection ended before they did.
pub fn read_head(reader: &mut impl BufRead) -> Option<(String, Fields)> {
    let start = read_line(reader)?;
    let mut fields = Fields::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Some((start, fields));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The body, and whether it is all there.
pub fn read_body(reader: &mut impl BufRead, framing: Framing) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let whole = match framing {
        Framing::Nothing => true,
        Framing::Length(length) => append(reader, length, &mut body),
        Framing::Chunked => read_chunks(reader, &mut body).is_some(),
        Framing::UntilClose => arrived(reader.read_to_end(&mut body)).is_some(),
    };
    (body, whole)
}

/// None when it ended before the last chunk.
fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let size = read_line(reader)?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            // Trailers, of which nobody here wants to know.
            while !read_line(reader)?.is_empty() {}
            return Some(());
        }
        if !append(reader, size, body) || !read_line(reader)?.is_empty() {
            return None;
        }
    }
}

/// Whether so many bytes came.
fn append(reader: &mut impl BufRead, bytes: usize, body: &mut Vec<u8>) -> bool {
    let mut reader = reader.take(bytes as u64);
    arrived(reader.read_to_end(body)).is_some() && reader.limit() == 0
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    arrived(reader.read_until(b'\n', &mut line))?;
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some(String::from_utf8_lossy(line).into_owned())
}

/// A reset is an end like any other. Silence is not: a test must not take it for one.
fn arrived<T>(read: io::Result<T>) -> Option<T> {
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("not a byte came for too long: {error}")
        }
        read => read.ok(),
    }
}
