//! The store of a single control plane: one file, one writer thread, nothing acknowledged is ever lost.
//!
//! Callers queue transactions; the writer takes all that wait, applies each as a revision of its own in one
//! database transaction, and syncs once for them all. Only then are they answered and shown to followers.
//! [`tables`] knows the file, [`writer`] the thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use redb::{Database, DatabaseError, ReadTransaction, StorageError};
use seawall_config::{Epoch, Revision};
use tokio::sync::{mpsc, oneshot};

use super::{Commit, Follow, Store, StoreError, TXN_BYTES_MAX, Txn, View, Write};
use crate::clock::Clock;

mod tables;
mod writer;

use writer::Job;

/// Transactions that may wait for the writer; more are refused.
const QUEUE_MAX: usize = 4_096;
/// Steps a follower may be behind; one that is further behind reads anew.
const FOLLOWER_STEPS_MAX: usize = 8_192;
/// Revisions of history read at a time.
const HISTORY_PAGE: usize = 256;

pub struct EmbeddedStore {
    epoch: Epoch,
    file: Arc<DatabaseFile>,
    jobs: mpsc::Sender<Job>,
}

/// The open database; the writer reopens it after a disk failed.
struct DatabaseFile {
    path: PathBuf,
    database: RwLock<Option<Database>>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0} is in use by another seawall process")]
    InUse(PathBuf),
    #[error("{path} cannot be read as a store ({why}); move it away to begin with an empty one, or restore a backup")]
    NotAStore { path: PathBuf, why: String },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} was written by another version of seawall (format {format})")]
    Format { path: PathBuf, format: u64 },
}

impl EmbeddedStore {
    /// Opens or creates the store in `folder`.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("store.redb");
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Io { path: folder.to_owned(), source })?;
        let database = open(&path)?;
        // A new store is another history than any before it: later in time is higher.
        let meta = tables::prepare(&database, Clock::system().wall_ms() / 1000).map_err(|error| not_a_store(&path, &error))?;
        if meta.format != tables::FORMAT {
            return Err(OpenError::Format { path, format: meta.format });
        }
        let file = Arc::new(DatabaseFile { path: path.clone(), database: RwLock::new(Some(database)) });
        let jobs = writer::start(file.clone(), meta.head).map_err(|source| OpenError::Io { path, source })?;
        Ok(Self { epoch: meta.epoch, file, jobs })
    }

    /// Runs a read away from the threads that serve.
    async fn reading<T: Send + 'static>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static) -> Result<T, StoreError> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || read(&file.begin_read()?));
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    async fn read(&self, prefix: &str) -> Result<View, StoreError> {
        let prefix = prefix.to_owned();
        self.reading(move |transaction| tables::view(transaction, &prefix)).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let bytes = txn.bytes();
        if bytes > TXN_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes });
        }
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(Job::Commit { txn, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(StoreError::Unavailable(format!("{QUEUE_MAX} writes are waiting for the disk")));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(closed()),
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("the writer has stopped".into())))
    }

    async fn follow(&self, prefix: &str, after: Revision) -> Result<Follow, StoreError> {
        let (live, mut arriving) = mpsc::channel(FOLLOWER_STEPS_MAX);
        let (answer, answered) = oneshot::channel();
        let prefix: Arc<str> = prefix.into();
        let job = Job::Follow { prefix: prefix.clone(), live, answer };
        self.jobs.send(job).await.map_err(|_| closed())?;
        // From here on nothing is missed: what is newer than `head` arrives live.
        let head = answered.await.map_err(|_| closed())?;
        let oldest = self.reading(tables::oldest).await?;
        if after.next() < oldest {
            return Err(StoreError::Compacted { oldest });
        }
        let (steps, following) = mpsc::channel(HISTORY_PAGE);
        let file = self.file.clone();
        tokio::spawn(async move {
            let mut position = after;
            while position < head {
                let (file, prefix) = (file.clone(), prefix.clone());
                let page = tokio::task::spawn_blocking(move || tables::history(&file.begin_read()?, &prefix, position, head, HISTORY_PAGE));
                let (page, seen) = match page.await {
                    Ok(Ok(page)) => page,
                    Ok(Err(error)) => return drop(steps.send(Err(StoreError::Unavailable(error.to_string()))).await),
                    Err(_) => return,
                };
                for step in page {
                    if steps.send(Ok(Arc::new(step))).await.is_err() {
                        return;
                    }
                }
                position = seen;
            }
            while let Some(step) = arriving.recv().await {
                position = step.as_ref().map_or(position, |step| step.revision);
                if steps.send(step).await.is_err() {
                    return;
                }
            }
            // It was too far behind to be waited for, or the store has closed: it reads anew.
            let _ = steps.send(Err(StoreError::Compacted { oldest: position.next() })).await;
        });
        Ok(Follow { steps: following })
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        self.reading(tables::head).await
    }
}

impl Txn {
    /// What counts against [`TXN_BYTES_MAX`].
    fn bytes(&self) -> usize {
        let write = |write: &Write| match write {
            Write::Put(key, value) => key.len() + value.len(),
            Write::Delete(key) => key.len(),
        };
        self.writes.iter().map(write).sum()
    }
}

impl DatabaseFile {
    fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        use redb::ReadableDatabase;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(StorageError::DatabaseClosed)?;
        Ok(database.begin_read()?)
    }

    fn write<T>(&self, write: impl FnOnce(&Database) -> T) -> Option<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().map(write)
    }

    /// After an IO error redb refuses everything until its file is opened anew.
    fn reopen(&self) -> Result<(), OpenError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = database.take() {
            // What could not be written cannot be closed well either: opening it repairs.
            let _ = failed.close();
        }
        *database = Some(open(&self.path)?);
        Ok(())
    }
}

fn open(path: &Path) -> Result<Database, OpenError> {
    // Checked at each opening: a file that something else wrote into is an error, not a panic.
    let opened = Database::builder().set_check_integrity_on_open(true).create(path);
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path: path.to_owned(), source }
        }
        error => not_a_store(path, &error),
    })
}

fn not_a_store(path: &Path, error: &dyn std::fmt::Display) -> OpenError {
    OpenError::NotAStore { path: path.to_owned(), why: error.to_string() }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}
