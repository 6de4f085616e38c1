//! The store of a single control plane: one file, one thread that writes, nothing acknowledged is ever lost.
//!
//! Callers queue transactions; the [`writer`] takes all that wait, applies each as a revision of its own in one
//! database transaction, and syncs once for them all. Only then are they answered, and the [`follower`]s told,
//! who read them from the log. [`file`] opens the database, and again after a disk failed; [`tables`] knows
//! what is in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use redb::ReadTransaction;
use seawall_config::{Epoch, Revision};

use super::{Commit, Follow, Store, StoreError, TXN_BYTES_MAX, Txn, View};
use crate::clock::Clock;
use file::DatabaseFile;
use writer::Writer;

mod file;
mod follower;
mod tables;
mod writer;

/// A store in a folder of its own. Dropping it waits for the write in hand and closes the file.
pub struct EmbeddedStore {
    file: Arc<DatabaseFile>,
    writer: Writer,
}

/// Why a store cannot be opened. What is there is neither deleted nor replaced.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0} is in use by another seawall process")]
    InUse(PathBuf),
    #[error(
        "{path} cannot be read as a store ({why}); move it away to begin with an empty one, or restore a backup"
    )]
    NotAStore { path: PathBuf, why: String },
    #[error(
        "{path} was written by another version of seawall (format {format}, this one reads {})",
        tables::FORMAT
    )]
    Format { path: PathBuf, format: u64 },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl EmbeddedStore {
    /// Opens the store in `folder`, or makes both. Blocks while the whole file is checked.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        // A new store is another history than any before it: later in time is higher. Milliseconds, since the epoch
        // also names the deployment on the way to an origin, and two may be chained.
        let new_epoch = Epoch(Clock::system().wall_ms());
        let file = Arc::new(DatabaseFile::open(folder, new_epoch)?);
        let writer = Writer::start(file.clone()).map_err(|source| OpenError::Io {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self { file, writer })
    }

    /// Reads away from the threads that serve.
    async fn read_aside<T: Send + 'static>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || file.read(read)).await;
        read.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn epoch(&self) -> Epoch {
        self.file.epoch()
    }

    async fn read(&self, prefix: &str) -> Result<View, StoreError> {
        let prefix = prefix.to_owned();
        self.read_aside(move |transaction| tables::view(transaction, &prefix))
            .await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let bytes = txn.bytes();
        if bytes > TXN_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes });
        }
        self.writer.commit(txn, bytes).await
    }

    async fn follow(&self, prefix: &str, after: Revision) -> Result<Follow, StoreError> {
        let oldest = self.read_aside(tables::oldest).await?;
        if after.next() < oldest {
            return Err(StoreError::Compacted { oldest });
        }
        Ok(follower::start(&self.file, prefix, after))
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        // Published before anyone is answered, so nothing acknowledged is newer.
        Ok(*self.file.heads().borrow())
    }
}
