//! The last-known-good snapshot on disk: what an edge boots from when no control plane answers.
//!
//! Two generations, each with a header line (format, length, checksum) above its JSON. Killed at any point,
//! one whole generation is left: a new one is complete and synced under its temporary name before any other
//! is touched, and what lies under the temporary name is read, too, if it is whole. What is not whole, and what
//! the edge died of twice, is set aside, so that the next save does not push it over a good one. What changes later is
//! appended to the newest generation: see [`log`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use seawall_config::Revision;
use seawall_config::feed::SNAPSHOT_BYTES_MAX;

use crate::feed::{Document, Followed, Unsound};

mod attempt;
mod json;
mod log;

use attempt::Attempt;

const NEWEST: &str = "snapshot.json";
const OLDER: &str = "snapshot.1.json";
const TEMPORARY: &str = "snapshot.json.tmp";
/// The last that could not be used, for whoever wants to know why.
const ASIDE: &str = "snapshot.bad.json";
/// The first word of the header; the number is the version of the format.
const FORMAT: &str = "seawall-snapshot-1";
/// Bytes that may be appended to a generation.
pub const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of the header line, its end included.
const HEADER_BYTES_MAX: usize = 64;
/// A site may hold secrets of its origin: nobody else reads it.
const MODE: u32 = 0o600;

/// What an edge boots from.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    pub followed: Arc<Followed>,
    /// Of the sites whose newest documents are refused.
    pub kept: Vec<Kept>,
}

/// The last good version of a site, and the last revision at which it was the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub document: Arc<Document>,
    pub until: Revision,
}

/// What was found on disk.
#[derive(Debug, Default)]
pub struct Loaded {
    pub generation: Option<Generation>,
    /// What was wrong with each that was passed over.
    pub notes: Vec<String>,
    attempt: Option<Attempt>,
}

/// Why a file does not hold a snapshot.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it does not begin as a snapshot of this version does")]
    Header,
    #[error("it has {found} bytes of {expected}")]
    Length { expected: usize, found: usize },
    #[error("its checksum does not match")]
    Checksum,
    #[error("it does not read as a snapshot: {0}")]
    Document(#[from] serde_json::Error),
    #[error("it does not hold together: {0}")]
    Unsound(#[from] Unsound),
    #[error("this edge died {0} times while it booted from it")]
    Deadly(u32),
}

/// Keeps `generation` as the newest generation in `folder`, and the newest before it as the older one. Durable
/// when it returns: how many bytes it has. After an error the generations are as they were, or the new one is the newest.
pub fn save(folder: &Path, generation: &Generation) -> io::Result<u64> {
    let body = json::write(generation)?;
    if body.len() > SNAPSHOT_BYTES_MAX {
        let message = format!(
            "a snapshot of {} bytes; at most {SNAPSHOT_BYTES_MAX} can be kept",
            body.len()
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let (temporary, newest) = (folder.join(TEMPORARY), folder.join(NEWEST));
    let length = match write(&temporary, &body) {
        Ok(length) => length,
        Err(error) => {
            // On a full disk half a snapshot only takes up room. If it will not go, nobody takes it for whole.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
    };
    match fs::rename(&newest, folder.join(OLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&temporary, &newest)?;
    // The names are durable only with the folder.
    File::open(folder)?.sync_all()?;
    Ok(length)
}

/// Appends frames, as JSON each, and what is kept after them to the newest generation, which has `length` bytes since
/// it was saved or last appended to. Durable when it returns: how many bytes there are now. After an error what was
/// there is as it was, and the whole is to be saved.
pub fn append(folder: &Path, length: u64, frames: &[String], kept: &[Kept]) -> io::Result<u64> {
    let line = log::line(frames, kept)?;
    let mut newest = OpenOptions::new().append(true).open(folder.join(NEWEST))?;
    if newest.metadata()?.len() != length {
        return Err(io::Error::other(
            "the snapshot on disk is not the one that was saved",
        ));
    }
    newest.write_all(&line)?;
    newest.sync_data()?;
    Ok(length + line.len() as u64)
}

/// The newest whole generation in `folder`. Nothing there, or nothing whole, is no error: the notes say it. Whoever
/// has taken what was loaded into use says so: [`Loaded::survived`].
pub fn load(folder: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    // A whole file under the temporary name was about to become the newest when the edge was killed.
    for name in [NEWEST, TEMPORARY, OLDER] {
        let path = folder.join(name);
        match read(folder, &path) {
            Ok((generation, end, attempt)) => {
                if end == log::End::Damaged {
                    let path = path.display();
                    loaded.notes.push(format!(
                        "{path} is damaged at its end, which is passed over"
                    ));
                }
                loaded.generation = Some(generation);
                loaded.attempt = Some(attempt);
                break;
            }
            Err(Damage::Read(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(damage) => {
                // Where nothing can be written, nothing pushes it over another either.
                let _ = fs::rename(&path, folder.join(ASIDE));
                let path = path.display();
                loaded
                    .notes
                    .push(format!("{path} is passed over: {damage}"));
            }
        }
    }
    loaded
}

impl Loaded {
    /// The edge serves from it: it did not die of it.
    pub fn survived(self) {
        if let Some(attempt) = self.attempt {
            attempt.survived();
        }
    }
}

fn write(path: &Path, body: &[u8]) -> io::Result<u64> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(path)?;
    let header = header(body);
    file.write_all(header.as_bytes())?;
    file.write_all(body)?;
    file.sync_all()?;
    Ok((header.len() + body.len()) as u64)
}

fn header(body: &[u8]) -> String {
    format!("{FORMAT} {} {:08x}\n", body.len(), crc32fast::hash(body))
}

fn read(folder: &Path, path: &Path) -> Result<(Generation, log::End, Attempt), Damage> {
    let mut bytes = Vec::new();
    let bytes_max = (HEADER_BYTES_MAX + SNAPSHOT_BYTES_MAX) as u64 + LOG_BYTES_MAX;
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    let head_end = bytes
        .iter()
        .take(HEADER_BYTES_MAX)
        .position(|byte| *byte == b'\n')
        .ok_or(Damage::Header)?;
    let (head, rest) = bytes.split_at(head_end + 1);
    let words: Vec<_> = std::str::from_utf8(head)
        .map_err(|_| Damage::Header)?
        .split_ascii_whitespace()
        .collect();
    let [FORMAT, length, _] = words.as_slice() else {
        return Err(Damage::Header);
    };
    let expected = length.parse().map_err(|_| Damage::Header)?;
    let Some((body, lines)) = rest.split_at_checked(expected) else {
        let found = rest.len();
        return Err(Damage::Length { expected, found });
    };
    // The whole line is compared, so that no byte of it can be another.
    if header(body).as_bytes() != head {
        return Err(Damage::Checksum);
    }
    // With more appended it is another one.
    let which = [bytes.len().to_string().as_bytes(), b" ", head].concat();
    let attempt = Attempt::begin(folder, &which).map_err(Damage::Deadly)?;
    let (generation, end) = log::replay(json::read(body)?, lines);
    Ok((generation, end, attempt))
}

#[cfg(test)]
#[path = "disk/tests.rs"]
mod tests;
