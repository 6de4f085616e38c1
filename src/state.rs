//! The state folder of a process: made, found writable, and locked, so that no two processes share it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};

/// Holds the folder for as long as it lives; the system lets go of the lock however the process ends.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    /// None where the folder cannot be written: then nobody can be disturbed there.
    _lock: Option<File>,
}

impl State {
    /// Makes `folder` if it is not there. `flag` is what a person would change to use another one.
    pub(crate) fn open(folder: &Path, flag: &str) -> Result<Self, Failure> {
        let (state, written) = Self::lock(folder).map_err(|why| why.told(folder, flag))?;
        match written {
            Ok(()) => Ok(state),
            Err(error) => Err(Unusable::Failed(error).told(folder, flag)),
        }
    }

    /// The same for a process that does its work without a disk, too: a folder that cannot be written is a warning,
    /// and only one that is taken is an error.
    pub(crate) fn open_if_possible(folder: &Path, flag: &str) -> Result<Self, Failure> {
        let (state, written) = match Self::lock(folder) {
            Ok(locked) => locked,
            Err(Unusable::Failed(error)) => {
                let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
                let state = Self {
                    folder,
                    _lock: None,
                };
                (state, Err(error))
            }
            Err(taken) => return Err(taken.told(folder, flag)),
        };
        if let Err(error) = written {
            tracing::warn!("{}; goes on without it", cannot(folder, flag, &error));
        }
        Ok(state)
    }

    /// And whether anything can be written.
    fn lock(folder: &Path) -> Result<(Self, io::Result<()>), Unusable> {
        fs::create_dir_all(folder)?;
        // Absolute: what is printed and written for others holds wherever they stand.
        let folder = folder.canonicalize()?;
        let path = folder.join("seawall.lock");
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Unusable::Taken(lock)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let written = sign(&mut lock);
        let state = Self {
            folder,
            _lock: Some(lock),
        };
        Ok((state, written))
    }

    /// Absolute.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Why a folder cannot be used.
enum Unusable {
    /// By the owner of this lock.
    Taken(File),
    Failed(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Unusable {
    fn told(self, folder: &Path, flag: &str) -> Failure {
        match self {
            Self::Taken(mut lock) => in_use(folder, &mut lock, flag),
            Self::Failed(error) => Exit::Failed.because(cannot(folder, flag, &error)),
        }
    }
}

/// Finds out, too, whether the disk takes anything at all.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(format!("{}\n", std::process::id()).as_bytes())?;
    lock.sync_all()
}

fn cannot(folder: &Path, flag: &str, error: &io::Error) -> String {
    let folder = folder.display();
    format!("the state folder {folder} cannot be used ({flag}): {error}")
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
        let without = State::open_if_possible(Path::new("/dev/null/state"), "state");
        assert_eq!(
            without.expect("a warning").folder(),
            Path::new("/dev/null/state")
        );
    }
}
