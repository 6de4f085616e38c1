//! The one thread that writes. Everything that waits goes to the disk together, with one sync.

use std::io;
use std::sync::Arc;

use redb::Durability;
use seawall_config::Revision;
use tokio::sync::{mpsc, oneshot};

use super::tables::Batch;
use super::{DatabaseFile, QUEUE_MAX};
use crate::store::{Changed, Commit, Step, StoreError, Txn};

/// Transactions of one sync.
const BATCH_MAX: usize = 512;

pub(super) enum Job {
    Commit { txn: Txn, answer: oneshot::Sender<Result<Commit, StoreError>> },
    /// Answered with the head at which `live` begins.
    Follow { prefix: Arc<str>, live: mpsc::Sender<Result<Arc<Step>, StoreError>>, answer: oneshot::Sender<Revision> },
}

struct Writer {
    file: Arc<DatabaseFile>,
    head: Revision,
    followers: Vec<Follower>,
    /// The file has to be opened anew before it is written again.
    failed: bool,
}

struct Follower {
    prefix: Arc<str>,
    live: mpsc::Sender<Result<Arc<Step>, StoreError>>,
}

type Waiting = (Txn, oneshot::Sender<Result<Commit, StoreError>>);

/// Ends when the last sender is gone, after what is queued.
pub(super) fn start(file: Arc<DatabaseFile>, head: Revision) -> io::Result<mpsc::Sender<Job>> {
    let (jobs, mut queue) = mpsc::channel(QUEUE_MAX);
    let mut writer = Writer { file, head, followers: Vec::new(), failed: false };
    let run = move || {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Commit { txn, answer } => batch.push((txn, answer)),
                    // Followers begin between two batches: what waits in this one is live for them.
                    Job::Follow { prefix, live, answer } => writer.admit(Follower { prefix, live }, answer),
                }
                if batch.len() < BATCH_MAX {
                    next = queue.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                writer.write(batch);
            }
        }
    };
    std::thread::Builder::new().name("store-writer".into()).spawn(run)?;
    Ok(jobs)
}

impl Writer {
    fn admit(&mut self, follower: Follower, answer: oneshot::Sender<Revision>) {
        self.followers.retain(|follower| !follower.live.is_closed());
        if answer.send(self.head).is_ok() {
            self.followers.push(follower);
        }
    }

    fn write(&mut self, batch: Vec<Waiting>) {
        let txns: Vec<&Txn> = batch.iter().map(|(txn, _)| txn).collect();
        match self.commit(&txns) {
            Ok((commits, steps)) => {
                for step in steps {
                    self.head = step.revision;
                    self.show(&step);
                }
                for ((_, answer), commit) in batch.into_iter().zip(commits) {
                    // Whoever asked may have gone.
                    let _ = answer.send(Ok(commit));
                }
            }
            Err(error) => {
                tracing::error!("the store cannot be written: {error}");
                self.failed = true;
                for (_, answer) in batch {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// All or nothing of a batch; durable when it returns.
    fn commit(&mut self, txns: &[&Txn]) -> Result<(Vec<Commit>, Vec<Step>), StoreError> {
        let unavailable = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
        if self.failed {
            self.file.reopen().map_err(|error| unavailable(&error))?;
            self.failed = false;
            self.catch_up()?;
        }
        let mut head = self.head;
        let written = self.file.write(|database| {
            let mut transaction = database.begin_write().map_err(|error| unavailable(&error))?;
            transaction.set_durability(Durability::Immediate).map_err(|error| unavailable(&error))?;
            let (mut commits, mut steps) = (Vec::with_capacity(txns.len()), Vec::new());
            {
                let mut batch = Batch::open(&transaction).map_err(|error| unavailable(&error))?;
                for txn in txns {
                    let (commit, step) = batch.apply(txn, head).map_err(|error| unavailable(&error))?;
                    head = step.as_ref().map_or(head, |step| step.revision);
                    commits.push(commit);
                    steps.extend(step);
                }
                batch.finish(head).map_err(|error| unavailable(&error))?;
            }
            // Past this point it may be on the disk although it failed.
            transaction.commit().map_err(|error| StoreError::OutcomeUnknown(error.to_string()))?;
            Ok((commits, steps))
        });
        written.unwrap_or_else(|| Err(StoreError::Unavailable("the file is closed".into())))
    }

    /// A commit that failed may have reached the disk: its revisions are shown now, so that none is skipped.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        let missed = || {
            let transaction = self.file.begin_read()?;
            let head = super::tables::head(&transaction)?;
            super::tables::history(&transaction, "", self.head, head, usize::MAX)
        };
        let (steps, _) = missed().map_err(|error: redb::Error| StoreError::Unavailable(error.to_string()))?;
        for step in steps {
            self.head = step.revision;
            self.show(&step);
        }
        Ok(())
    }

    fn show(&mut self, step: &Step) {
        self.followers.retain(|follower| {
            let ours = |changed: &&Changed| changed.key.starts_with(&*follower.prefix);
            let changes: Vec<Changed> = step.changes.iter().filter(ours).cloned().collect();
            let step = Arc::new(Step { revision: step.revision, changes });
            // Whoever is too far behind reads anew; the writer waits for nobody.
            step.changes.is_empty() || follower.live.try_send(Ok(step)).is_ok()
        });
    }
}
