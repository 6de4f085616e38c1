//! The store: one ordered log of changes, with compare-and-swap. The one trait of the product.
//!
//! Keys are texts, values are bytes. A transaction that commits is one [`Revision`]; revisions count up
//! by one or more and never repeat within an epoch. Keys below [`crate::keys::WATCHED`] are the log that
//! edges follow; the others (who is there, what they acknowledged) only share its order.
//! Two implementations, one conformance suite (`tests/it/store.rs`).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_config::{Epoch, Revision};

pub mod embedded;
pub mod etcd;

/// Bytes of all keys and values of one transaction, guarded keys included.
pub const TXN_BYTES_MAX: usize = 1024 * 1024;

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Which history this is. It changes only when an operator has raised it; whoever follows is then told to begin
    /// anew.
    fn epoch(&self) -> Epoch;

    /// Everything below `prefix`, in key order, at one revision. Linearizable.
    async fn read(&self, prefix: &str) -> Result<View, StoreError>;

    /// Writes all or nothing, if every guard holds; acknowledged means durable. Who stops waiting for it
    /// does not know the outcome.
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError>;

    /// Every revision after `after` that touched a key below `prefix`, in order, none skipped, each whole.
    /// The history begins where the store has been compacted: [`StoreError::Compacted`] before it.
    async fn follow(&self, prefix: &str, after: Revision) -> Result<Follow, StoreError>;

    /// The newest revision. Linearizable: nothing acknowledged before the call is newer.
    async fn head(&self) -> Result<Revision, StoreError>;
}

/// What a store held at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub revision: Revision,
    pub entries: Vec<Entry>,
}

/// One key, and the revisions that created and last changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Bytes,
    pub created: Revision,
    pub changed: Revision,
}

/// A transaction: if every guard holds, every write is done. Of several writes to one key only the last is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    pub guards: Vec<Guard>,
    pub writes: Vec<Write>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    Absent(String),
    /// The key was last changed by exactly this revision.
    ChangedAt(String, Revision),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put(String, Bytes),
    /// Deleting what is not there is no error and no change.
    Delete(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The revision that this is; where nothing had to change, which makes none, the newest before it.
    Done(Revision),
    /// A guard did not hold, nothing was written. What the guarded keys hold now, and the revision read at.
    Refused {
        revision: Revision,
        found: Vec<Entry>,
    },
}

impl Txn {
    /// What counts against [`TXN_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        let guards = self.guards.iter().map(|guard| match guard {
            Guard::Absent(key) | Guard::ChangedAt(key, _) => key.len(),
        });
        let writes = self.writes.iter().map(|write| match write {
            Write::Put(key, value) => key.len() + value.len(),
            Write::Delete(key) => key.len(),
        });
        guards.chain(writes).sum()
    }
}

/// One whole revision, as far as it touched the followed keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub revision: Revision,
    /// In key order; None is a deletion. `created` is the revision that created the key.
    pub changes: Vec<Changed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub key: String,
    pub value: Option<Bytes>,
    pub created: Revision,
}

/// A stream of [`Step`]s. A follower that falls too far behind gets [`StoreError::Compacted`] and reads anew.
pub struct Follow {
    steps: tokio::sync::mpsc::Receiver<Result<Arc<Step>, StoreError>>,
}

impl Follow {
    /// What comes out of `steps`.
    pub fn new(steps: tokio::sync::mpsc::Receiver<Result<Arc<Step>, StoreError>>) -> Self {
        Self { steps }
    }

    /// The next step; None when the store has closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Arc<Step>, StoreError>> {
        self.steps.recv().await
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; nothing can be for now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It may have been written or not: read to find out.
    #[error("the outcome of a write to the store is unknown: {0}")]
    OutcomeUnknown(String),
    #[error("the store's history begins at revision {oldest}")]
    Compacted { oldest: Revision },
    #[error("a transaction of {bytes} bytes; at most {TXN_BYTES_MAX} are allowed")]
    TooLarge { bytes: usize },
    #[error("a transaction with {operations} guards or writes; this store takes at most {max}")]
    TooMany { operations: usize, max: usize },
}
