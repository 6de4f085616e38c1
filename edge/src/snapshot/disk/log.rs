//! What came after a generation was written, appended to it: a change costs a line, not the whole file.
//!
//! A line is a checksum and one save: the frames since the one before, and what is kept after them. Only whole lines
//! count, so that frames and what is kept of them never part.

use std::sync::Arc;

use seawall_config::feed::Frame;
use serde::Deserialize;

use super::{Generation, Kept, json};
use crate::feed::Followed;

#[derive(Deserialize)]
struct Line {
    frames: Vec<Frame>,
    kept: Vec<json::KeptDocument>,
}

/// How an appended part ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its last line.
    Whole,
    /// In a line that was being written.
    Torn,
    /// Before a line that is not what was written.
    Damaged,
}

/// `frames`: as JSON, each.
pub(super) fn line(frames: &[String], kept: &[Kept]) -> serde_json::Result<Vec<u8>> {
    let mut text = format!("{{\"frames\":[{}],\"kept\":[", frames.join(","));
    json::push_kept(&mut text, kept)?;
    text.push_str("]}");
    Ok(format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())).into_bytes())
}

/// The generation as of the last whole line of `lines`.
pub(super) fn replay(mut generation: Generation, lines: &[u8]) -> (Generation, End) {
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            return (generation, End::Torn);
        };
        match read(line).and_then(|line| take(&generation.followed, line)) {
            Some(next) => generation = next,
            None => return (generation, End::Damaged),
        }
    }
    (generation, End::Whole)
}

fn read(line: &[u8]) -> Option<Line> {
    let (checksum, text) = line.split_at_checked(9)?;
    let expect = format!("{:08x} ", crc32fast::hash(text));
    (checksum == expect.as_bytes()).then(|| serde_json::from_slice(text).ok())?
}

fn take(followed: &Followed, line: Line) -> Option<Generation> {
    let mut followed = followed.clone();
    for frame in &line.frames {
        let follows = frame.epoch == followed.epoch && frame.revision > followed.revision;
        followed.check(frame).ok().filter(|()| follows)?;
        followed.advance(frame);
    }
    Some(Generation {
        followed: Arc::new(followed),
        kept: line.kept.into_iter().map(Kept::from).collect(),
    })
}
