//! Fields, numbers and clocks out of bytes. Any bytes are an input, and most inputs are nearly right.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Lines of one field.
const LINES_MAX: usize = 3;
/// Words and bytes of one line.
const PIECES_MAX: usize = 24;

/// Bytes that are read from the front; zeros when they are at an end.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()].clone()
    }

    /// Of any magnitude: there are as many below a thousand as around a trillion.
    pub fn number(&mut self) -> u64 {
        let magnitude = self.byte() % 64;
        let bytes = std::array::from_fn(|_| self.byte());
        u64::from_be_bytes(bytes) >> magnitude
    }

    pub fn seconds(&mut self) -> Duration {
        Duration::from_secs(self.number())
    }

    /// Any time a clock may show, before 1970 and in the far future, too.
    pub fn clock(&mut self) -> SystemTime {
        let since = Duration::new(self.number(), u32::from(self.byte()) * 1_000_000);
        let at = match self.flag() {
            true => SystemTime::UNIX_EPOCH.checked_sub(since),
            false => SystemTime::UNIX_EPOCH.checked_add(since),
        };
        at.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// A line of a field: words of its language, among bytes that have no place there.
    pub fn line(&mut self, words: &[&str]) -> HeaderValue {
        let mut line = Vec::new();
        for _ in 0..usize::from(self.byte()) % PIECES_MAX {
            match self.byte() {
                word @ 0x80.. => {
                    let word = usize::from(word & 0x7f) % words.len();
                    line.extend_from_slice(words[word].as_bytes());
                }
                visible @ b' '..=b'~' => line.push(visible),
                // No control character can be in a field; bytes that are no text can.
                control => line.push(control | 0x80),
            }
        }
        HeaderValue::from_bytes(&line).unwrap()
    }

    pub fn lines(&mut self, words: &[&str]) -> Vec<HeaderValue> {
        let count = usize::from(self.byte()) % (LINES_MAX + 1);
        (0..count).map(|_| self.line(words)).collect()
    }

    /// A text of ASCII.
    pub fn text(&mut self, words: &[&str]) -> String {
        let line = self.line(words);
        let ascii = line.as_bytes().iter().filter(|byte| byte.is_ascii());
        ascii.map(|byte| char::from(*byte)).collect()
    }
}

/// A head of one field.
pub fn field(name: impl Into<HeaderName>, lines: &[HeaderValue]) -> HeaderMap {
    let name = name.into();
    let lines = lines.iter().map(|line| (name.clone(), line.clone()));
    lines.collect()
}

/// RFC 9110 §5.3: the lines of a list "can be combined … without changing the semantics … by appending each
/// subsequent field line value to the initial field line value in order, separated by a comma".
pub fn joined(lines: &[HeaderValue]) -> Vec<HeaderValue> {
    let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    match lines[..] {
        [] => Vec::new(),
        _ => vec![HeaderValue::from_bytes(&lines.join(&b", "[..])).unwrap()],
    }
}

pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

/// What a line says, as text.
pub fn said(line: &HeaderValue) -> String {
    String::from_utf8_lossy(line.as_bytes()).into_owned()
}
