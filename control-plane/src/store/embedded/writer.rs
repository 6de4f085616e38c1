//! The one thread that writes. Everything that waits goes to the disk together, with one sync.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, Durability};
use seawall_config::Revision;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::file::DatabaseFile;
use super::tables::{self, Batch};
use crate::store::{Commit, StoreError, TXN_BYTES_MAX, Txn};

/// Transactions that may wait for the disk; more are refused.
const QUEUE_MAX: usize = 4_096;
/// Bytes of the transactions that may wait for the disk.
const QUEUE_BYTES_MAX: usize = 32 * TXN_BYTES_MAX;
/// Transactions of one sync.
const BATCH_MAX: usize = 512;
/// A batch that has reached this many bytes takes no more.
const BATCH_BYTES_MAX: usize = 4 * TXN_BYTES_MAX;

/// The queue in front of the thread. Dropping it waits for the thread, which closes the file.
pub(super) struct Writer {
    /// None while it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    txn: Txn,
    bytes: usize,
    answer: oneshot::Sender<Result<Commit, StoreError>>,
    /// Its share of [`QUEUE_BYTES_MAX`], until it is answered.
    _room: OwnedSemaphorePermit,
}

impl Writer {
    pub(super) fn start(file: Arc<DatabaseFile>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let run = move || {
            write_all(&file, queue);
            file.close();
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(run)?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Ok(Self {
            jobs: Some(jobs),
            room,
            thread: Some(thread),
        })
    }

    /// Durable when it returns. A caller that stops waiting may have its transaction written or not.
    pub(super) async fn commit(&self, txn: Txn, bytes: usize) -> Result<Commit, StoreError> {
        let full = || StoreError::Unavailable("too many writes are waiting for the disk".into());
        let closed = || StoreError::Unavailable("the store's writer has stopped".into());
        let share = u32::try_from(bytes).map_err(|_| full())?;
        let room = self
            .room
            .clone()
            .try_acquire_many_owned(share)
            .map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        let job = Job {
            txn,
            bytes,
            answer,
            _room: room,
        };
        self.jobs
            .as_ref()
            .ok_or_else(closed)?
            .try_send(job)
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => full(),
                mpsc::error::TrySendError::Closed(_) => closed(),
            })?;
        let lost = |_| {
            Err(StoreError::OutcomeUnknown(
                "the store's writer has stopped".into(),
            ))
        };
        answered.await.unwrap_or_else(lost)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // With the last sender gone the thread ends. Nobody can be waiting for what is queued, so it is short.
        self.jobs = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the store's writer had panicked");
        }
    }
}

fn write_all(file: &DatabaseFile, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let (mut bytes, mut batch) = (first.bytes, vec![first]);
        while batch.len() < BATCH_MAX
            && bytes < BATCH_BYTES_MAX
            && let Ok(job) = queue.try_recv()
        {
            bytes += job.bytes;
            batch.push(job);
        }
        // Whoever no longer waits takes it as unknown; not writing it is the better half of that.
        batch.retain(|job| !job.answer.is_closed());
        let txns: Vec<&Txn> = batch.iter().map(|job| &job.txn).collect();
        // Whoever asked may have gone meanwhile, so that sending fails.
        match commit(file, &txns) {
            Ok(commits) => {
                for (job, commit) in batch.into_iter().zip(commits) {
                    let _ = job.answer.send(Ok(commit));
                }
            }
            Err(error) => {
                tracing::error!(%error, transactions = txns.len(), "the store was not written");
                for job in batch {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// All or nothing of a batch; durable and published when it returns.
fn commit(file: &DatabaseFile, txns: &[&Txn]) -> Result<Vec<Commit>, StoreError> {
    let before = *file.heads().borrow();
    let mut begun = false;
    match file.with(|database| write(database, txns, &mut begun)) {
        Ok((commits, head)) => {
            file.publish(head);
            Ok(commits)
        }
        Err(StoreError::Unavailable(why)) if begun => Err(settle(file, before, why)),
        Err(error) => Err(error),
    }
}

/// `begun` is set where a failure no longer means that nothing was written.
fn write(
    database: &Database,
    txns: &[&Txn],
    begun: &mut bool,
) -> Result<(Vec<Commit>, Revision), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut batch = Batch::open(&transaction)?;
    let before = batch.head();
    let commits = txns
        .iter()
        .map(|txn| batch.apply(txn))
        .collect::<Result<_, _>>()?;
    let head = batch.head();
    if head == before {
        // Only refusals, and deletions of what is not there: nothing to sync for.
        drop(batch);
        transaction.abort()?;
    } else {
        batch.finish(tables::LOG_REVISIONS_MAX, tables::LOG_BYTES_MAX)?;
        *begun = true;
        transaction.commit()?;
    }
    Ok((commits, head))
}

/// A sync failed. Opened anew, the file says whether the batch is in it: if not, it never will be.
fn settle(file: &DatabaseFile, before: Revision, why: String) -> StoreError {
    match file.read(tables::meta) {
        Ok(meta) if meta.head == before => StoreError::Unavailable(why),
        _ => StoreError::OutcomeUnknown(why),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn more_than_may_wait_for_the_disk_is_refused() {
        let check = |bytes: usize, expect: usize| {
            // A thread that never takes anything.
            let (jobs, _queue) = mpsc::channel(QUEUE_MAX);
            let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
            let writer = Writer {
                jobs: Some(jobs),
                room,
                thread: None,
            };
            let waits = |_: &usize| {
                writer
                    .commit(Txn::default(), bytes)
                    .now_or_never()
                    .is_none()
            };
            assert_eq!(
                (0..=expect).take_while(waits).count(),
                expect,
                "of {bytes} bytes"
            );
            let refused = writer.commit(Txn::default(), bytes).now_or_never().unwrap();
            assert!(
                matches!(refused, Err(StoreError::Unavailable(_))),
                "{refused:?}"
            );
        };
        check(TXN_BYTES_MAX, QUEUE_BYTES_MAX / TXN_BYTES_MAX);
        check(0, QUEUE_MAX);
    }
}
