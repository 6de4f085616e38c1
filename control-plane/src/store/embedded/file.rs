//! The database file: made, opened, locked against a second process, and opened anew when a disk failed.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::{Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase};
use seawall_config::{Epoch, Revision};
use tokio::sync::watch;

use super::OpenError;
use super::tables::{self, Meta};
use crate::store::StoreError;

/// Bytes of the file that are kept in memory.
const CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) struct DatabaseFile {
    path: PathBuf,
    epoch: Epoch,
    /// The newest revision that is known to be on the disk.
    head: watch::Sender<Revision>,
    /// None when it was closed, or could not be opened anew.
    database: RwLock<Option<Database>>,
    /// An operation failed: redb refuses all others, reads too, until its file is opened anew.
    failed: AtomicBool,
    /// Held by us also while the database is being made or opened anew, when redb's own lock is not.
    lock: File,
}

impl DatabaseFile {
    /// Opens the store in `folder`, or makes one of `new_epoch`.
    pub(super) fn open(folder: &Path, new_epoch: Epoch) -> Result<Self, OpenError> {
        let path = folder.join("store.redb");
        let io = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let lock = lock(&folder.join("store.lock"), &path)?;
        if !path.try_exists().map_err(io)? {
            create(folder, &path, new_epoch)?;
        }
        let database = open(&path)?;
        let meta = meta(&database).map_err(|error| not_opened(&path, error))?;
        if meta.format != tables::FORMAT {
            let format = meta.format;
            return Err(OpenError::Format { path, format });
        }
        Ok(Self {
            path,
            epoch: meta.epoch,
            head: watch::Sender::new(meta.head),
            database: RwLock::new(Some(database)),
            failed: AtomicBool::new(false),
            lock,
        })
    }

    /// For good; whoever comes later is told that the store is closed.
    pub(super) fn close(&self) {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = database.take().map(Database::close) {
            // Nothing acknowledged is in danger: the next opening repairs what closing left undone.
            tracing::warn!(path = %self.path.display(), %error, "the store was not closed well");
        }
        self.failed.store(false, Ordering::Release);
        // An error would leave it locked until the process ends, as if it were still open.
        let _ = self.lock.unlock();
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest durable revision; closed when the file is.
    pub(super) fn heads(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// Makes a durable revision known.
    pub(super) fn publish(&self, head: Revision) {
        self.head.send_if_modified(|newest| {
            let newer = head > *newest;
            *newest = head.max(*newest);
            newer
        });
    }

    /// Reads at one revision.
    pub(super) fn read<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let once = || self.with(|database| read(&database.begin_read()?));
        // It may have met what a failed write left; the second look is at a file that was opened anew.
        once().or_else(|_| once())
    }

    /// Does one thing with the database.
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.mend()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else {
            return Err(StoreError::Unavailable("the store is closed".into()));
        };
        act(database).map_err(|error| {
            // Said while it cannot be replaced, so that this blames no database but its own.
            self.failed.store(true, Ordering::Release);
            self.unavailable(&error)
        })
    }

    /// Opens the file anew if it has failed.
    fn mend(&self) -> Result<(), StoreError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if !self.failed.load(Ordering::Acquire) {
            return Ok(()); // someone else has, or it was closed
        }
        if let Some(failed) = database.take() {
            // What could not be written cannot be closed well either; opening it repairs.
            let _ = failed.close();
        }
        // Never makes a new one: a file that is gone is an error, not an empty store.
        let anew = open(&self.path).map_err(|error| self.unavailable(&error))?;
        let meta = meta(&anew).map_err(|error| self.unavailable(&error))?;
        if meta.epoch != self.epoch || meta.head < *self.head.borrow() {
            return Err(self.unavailable(&"it is not the file that was open before"));
        }
        *database = Some(anew);
        self.failed.store(false, Ordering::Release);
        // A write that failed may have reached the disk after all.
        self.publish(meta.head);
        tracing::info!(path = %self.path.display(), head = %meta.head, "the store was opened anew");
        Ok(())
    }

    fn unavailable(&self, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Unavailable(format!("{}: {error}", self.path.display()))
    }
}

/// The lock goes with the process, however it ends.
fn lock(lock: &Path, path: &Path) -> Result<File, OpenError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock);
    let locked = file.map_err(TryLockError::Error).and_then(|file| {
        file.try_lock()?;
        Ok(file)
    });
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
        TryLockError::Error(source) => OpenError::Io {
            path: lock.to_owned(),
            source,
        },
    })
}

/// Makes it under another name, so that a file with the right one is whole, whenever the process was killed.
fn create(folder: &Path, path: &Path, epoch: Epoch) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let unfinished = folder.join("store.new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let made = || -> Result<(), redb::Error> {
        let database = builder().create(&unfinished)?;
        tables::create(&database, epoch)?;
        Ok(database.close()?)
    };
    made().map_err(|error| not_opened(path, error))?;
    std::fs::rename(&unfinished, path).map_err(io)?;
    sync_folder(folder).map_err(io)?;
    // The folder may be new as well.
    folder.parent().map_or(Ok(()), sync_folder).map_err(io)
}

/// A name is on the disk when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

fn open(path: &Path) -> Result<Database, OpenError> {
    builder().open(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        error => not_opened(path, error.into()),
    })
}

fn meta(database: &Database) -> Result<Meta, redb::Error> {
    tables::meta(&database.begin_read()?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES_MAX);
    // Checked at each opening: a file that something else wrote into is an error, not a panic later on.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Whether the disk failed, or what is on it is no store.
fn not_opened(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::Io(source)
            if !matches!(
                source.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            OpenError::Io { path, source }
        }
        error => OpenError::NotAStore {
            path,
            why: error.to_string(),
        },
    }
}
