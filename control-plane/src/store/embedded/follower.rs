//! A follower reads the log at its own pace, and waits where it ends. The writer knows nothing of it: one that
//! is slow holds up nobody, and learns that the log was compacted when it has fallen that far behind.

use std::sync::{Arc, Weak};

use seawall_config::Revision;
use tokio::sync::{mpsc, watch};

use super::file::DatabaseFile;
use super::tables::{self, Page};
use crate::store::{Follow, Step, StoreError};

/// Steps that wait for a follower to take them.
const STEPS_MAX: usize = 64;

struct Follower {
    /// It does not keep the store open.
    file: Weak<DatabaseFile>,
    heads: watch::Receiver<Revision>,
    prefix: Arc<str>,
    position: Revision,
    steps: mpsc::Sender<Result<Arc<Step>, StoreError>>,
}

/// Everything below `prefix` after `position`, until the store closes or nobody listens.
pub(super) fn start(file: &Arc<DatabaseFile>, prefix: &str, position: Revision) -> Follow {
    let (steps, following) = mpsc::channel(STEPS_MAX);
    let (heads, prefix, file) = (file.heads(), prefix.into(), Arc::downgrade(file));
    let follower = Follower {
        file,
        heads,
        prefix,
        position,
        steps,
    };
    tokio::spawn(follower.run());
    Follow::new(following)
}

impl Follower {
    async fn run(mut self) {
        while self.newer().await {
            let page = match self.page().await {
                None => return,
                Some(Ok(Page::Steps { steps, until })) => {
                    self.position = until;
                    steps
                }
                Some(Ok(Page::Compacted { oldest })) => {
                    let _ = self.steps.send(Err(StoreError::Compacted { oldest })).await;
                    return;
                }
                Some(Err(error)) => {
                    let _ = self.steps.send(Err(error)).await;
                    return;
                }
            };
            for step in page {
                if self.steps.send(Ok(Arc::new(step))).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Waits for a revision after its position; false when none will be wanted.
    async fn newer(&mut self) -> bool {
        let position = self.position;
        tokio::select! {
            newer = self.heads.wait_for(|head| *head > position) => newer.is_ok(),
            () = self.steps.closed() => false,
        }
    }

    /// The next of the log; None when the store has closed.
    async fn page(&self) -> Option<Result<Page, StoreError>> {
        let (file, prefix, after) = (self.file.upgrade()?, self.prefix.clone(), self.position);
        let read = move || file.read(|transaction| tables::page(transaction, &prefix, after));
        tokio::task::spawn_blocking(read).await.ok()
    }
}
