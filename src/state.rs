//! The state folder of a process: made, found writable, and locked, so that no two processes share it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};

/// Holds the folder for as long as it lives; the system lets go of the lock however the process ends.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Makes `folder` if it is not there. `flag` is what a person would change to use another one.
    pub(crate) fn open(folder: &Path, flag: &str) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            let folder = folder.display();
            Exit::Failed.because(format!(
                "the state folder {folder} cannot be used ({flag}): {error}"
            ))
        };
        fs::create_dir_all(folder).map_err(cannot)?;
        // Absolute: what is printed and written for others holds wherever they stand.
        let folder = folder.canonicalize().map_err(cannot)?;
        let path = folder.join("seawall.lock");
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&folder, &mut lock, flag)),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        lock.set_len(0).map_err(cannot)?;
        // Also finds out whether the disk takes anything at all.
        lock.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(cannot)?;
        lock.sync_all().map_err(cannot)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Absolute.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn in_use(folder: &Path, lock: &mut File, flag: &str) -> Failure {
    let mut pid = String::new();
    let read = lock.take(32).read_to_string(&mut pid);
    let who = match (read, pid.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("another seawall (process {pid})"),
        _ => "another seawall".to_owned(),
    };
    let folder = folder.display();
    Exit::Failed.because(format!("the state folder {folder} is in use by {who}: stop it, or choose another folder with {flag}"))
}

/// Writes whole or not at all: a reader sees the old file or the new one, also after a power cut.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_state_folder_has_one_owner_and_the_second_is_told_who() {
        let folder = std::env::temp_dir().join(format!("seawall-state-{}", std::process::id()));
        let first = State::open(&folder, "--state").expect("free");
        let second = State::open(&folder, "--state").expect_err("taken");
        assert_eq!(second.exit, Exit::Failed);
        assert!(
            second
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{second}"
        );
        assert!(second.to_string().contains("--state"), "{second}");
        drop(first);
        State::open(&folder, "--state").expect("free again");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_clear_error() {
        let error = State::open(Path::new("/dev/null/state"), "--state").expect_err("not a folder");
        assert!(
            error
                .to_string()
                .contains("/dev/null/state cannot be used (--state)"),
            "{error}"
        );
    }
}
