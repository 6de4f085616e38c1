//! Keeps an edge from dying of one file at every start: what it boots from is noted before and crossed out after.

use std::fs;
use std::path::{Path, PathBuf};

const TRYING: &str = "snapshot.trying";
/// Starts from one generation that were not survived; then it is passed over.
const DEATHS_MAX: u32 = 2;

/// One start from one generation.
#[derive(Debug)]
pub(super) struct Attempt(PathBuf);

impl Attempt {
    /// `which` is what tells the generation from any other. Err: it was died of so often.
    pub(super) fn begin(folder: &Path, which: &[u8]) -> Result<Self, u32> {
        let path = folder.join(TRYING);
        let note = fs::read(&path).unwrap_or_default();
        let deaths = deaths(&note, which);
        if deaths >= DEATHS_MAX {
            // What comes next has a note of its own.
            let _ = fs::remove_file(&path);
            return Err(deaths);
        }
        // Not synced: it is to outlive this process, not the machine. Where nothing can be written nothing is counted.
        let note = [format!("{} ", deaths + 1).as_bytes(), which].concat();
        let _ = fs::write(&path, note);
        Ok(Self(path))
    }

    pub(super) fn survived(self) {
        let _ = fs::remove_file(self.0);
    }
}

/// How many starts from this generation are noted.
fn deaths(note: &[u8], which: &[u8]) -> u32 {
    let mut parts = note.splitn(2, |byte| *byte == b' ');
    match (parts.next().map(std::str::from_utf8), parts.next()) {
        (Some(Ok(count)), Some(of)) if of == which => count.parse().unwrap_or(0),
        _ => 0,
    }
}
