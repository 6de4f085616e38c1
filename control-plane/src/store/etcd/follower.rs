//! A follower of etcd's log: one watch, and another from where it stopped whenever it ends.
//!
//! It goes on from what was delivered, never from what a header says. A watch may fall silent without an error; so
//! when nothing comes, the newest beacon is read, and one that should have come by now tells.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Error, GetOptions, WatchOptions, WatchResponse, WatchStream};
use seawall_config::{Epoch, Revision};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::history::{Mark, Record};
use super::members::Wire;
use super::trust::print_of;
use super::{Cluster, range, steps};
use crate::keys;
use crate::store::{Follow, Step, StoreError};

/// Steps that wait to be taken.
const STEPS_MAX: usize = 64;
/// A beacon comes each second; after so long without anything the follower looks whether one should have come.
const LOOK_AFTER: Duration = Duration::from_millis(1_500);
/// Looks that find something owed before the watch is taken for silent.
const OWED_MAX: u32 = 2;
/// For the answer that a watch has begun.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Between attempts: nothing to this,
const BACKOFF_FIRST_MS: u64 = 50;
/// or twice as long with each that fails, up to this.
const BACKOFF_MS_MAX: u64 = 5_000;

struct Follower {
    cluster: Arc<Cluster>,
    prefix: String,
    epoch: Epoch,
    /// Everything up to here has been handed over.
    delivered: Revision,
    steps: mpsc::Sender<Result<Arc<Step>, StoreError>>,
}

/// Why a watch is no more.
enum End {
    /// Another goes on from what was delivered.
    Lost(String),
    /// None can: the reader has to begin anew.
    Over(StoreError),
    /// Nobody reads any more.
    Unread,
}

/// Everything below `prefix` after `after`, until nobody listens or it cannot be continued.
pub(super) fn start(cluster: &Arc<Cluster>, prefix: &str, after: Revision) -> Follow {
    let (steps, following) = mpsc::channel(STEPS_MAX);
    let follower = Follower {
        cluster: cluster.clone(),
        prefix: prefix.to_owned(),
        epoch: cluster.trust.epoch(),
        delivered: after,
        steps,
    };
    tokio::spawn(follower.run());
    Follow::new(following)
}

impl Follower {
    async fn run(mut self) {
        let listener = self.steps.clone();
        let mut failures = 0;
        loop {
            let before = self.delivered;
            let end = tokio::select! {
                end = self.watch() => end,
                () = listener.closed() => return,
            };
            let why = match end {
                End::Unread => return,
                End::Over(error) => return drop(self.steps.send(Err(error)).await),
                End::Lost(why) => why,
            };
            // What ended may have been another life of the cluster: what was delivered last must still be there.
            self.cluster.trust.doubt();
            failures = if self.delivered > before {
                0
            } else {
                failures + 1
            };
            tracing::warn!(prefix = self.prefix, after = %self.delivered, why, "a watch of etcd ended");
            self.cluster.metrics.reconnects.inc();
            tokio::select! {
                () = tokio::time::sleep(backoff(failures)) => {}
                () = listener.closed() => return,
            }
        }
    }

    /// One watch, until it ends.
    async fn watch(&mut self) -> End {
        let cluster = self.cluster.clone();
        if let Err(end) = self.may_go_on().await {
            return end;
        }
        let (member, wire) = match cluster.members.wire().await {
            Ok(found) => found,
            Err(failure) => return End::Lost(failure.of_read().to_string()),
        };
        let watched = async {
            let mut stream = self.begin(wire).await?;
            let mut owed = 0;
            loop {
                match tokio::time::timeout(LOOK_AFTER, stream.message()).await {
                    Ok(message) => {
                        owed = 0;
                        self.take(message).await?;
                    }
                    Err(_) if self.is_owed().await => {
                        owed += 1;
                        if owed >= OWED_MAX {
                            cluster.metrics.silent.inc();
                            return Err(End::Lost("it fell silent".into()));
                        }
                    }
                    Err(_) => owed = 0,
                }
            }
        };
        let ended: Result<std::convert::Infallible, End> = watched.await;
        match ended {
            Ok(never) => match never {},
            Err(end) => {
                if matches!(end, End::Lost(_)) {
                    cluster.members.leave(member);
                }
                end
            }
        }
    }

    /// The history is still the one that was followed, and what comes next is still there, whole: a watch at the
    /// very revision of a compaction misses what that revision deleted.
    async fn may_go_on(&self) -> Result<(), End> {
        let cluster = &self.cluster;
        let lost = |error: StoreError| End::Lost(error.to_string());
        cluster.before().await.map_err(lost)?;
        if cluster.trust.epoch() != self.epoch {
            return Err(new_epoch());
        }
        if self.delivered == Revision::default() {
            return Ok(());
        }
        let at = i64::try_from(self.delivered.0).unwrap_or(i64::MAX);
        let at = GetOptions::new().with_revision(at).with_keys_only();
        match cluster.members.get(keys::HISTORY, at).await {
            Ok(_) => Ok(()),
            Err(Failure::Compacted) => Err(End::Over(StoreError::Compacted {
                oldest: self.delivered.next().next(),
            })),
            // A reader may ask for what is to come; who was there before would have been found out above.
            Err(Failure::Future) => Ok(()),
            Err(failure) => Err(lost(failure.of_read())),
        }
    }

    async fn begin(&self, mut wire: Wire) -> Result<WatchStream, End> {
        let (from, end) = range(&self.prefix);
        let next = i64::try_from(self.delivered.next().0).unwrap_or(i64::MAX);
        let options = WatchOptions::new()
            .with_range(end)
            .with_start_revision(next)
            // A deletion says when the key was created.
            .with_prev_key();
        let begun = tokio::time::timeout(BEGIN_TIMEOUT, wire.watch.watch(from, Some(options)));
        match begun.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(End::Lost(Failure::of(&error).of_read().to_string())),
            Err(_) => Err(End::Lost("no answer to a watch".into())),
        }
    }

    async fn take(&mut self, message: Result<Option<WatchResponse>, Error>) -> Result<(), End> {
        let response = match message {
            Ok(Some(response)) => response,
            Ok(None) => return Err(End::Lost("the member ended it".into())),
            // More than fits came at once: nothing else will ever come. What it says now is read instead.
            Err(Error::GRpcStatus(status))
                if status.message().contains("message length too large") =>
            {
                let oldest = self.delivered.next().next();
                return Err(End::Over(StoreError::Compacted { oldest }));
            }
            Err(error) => return Err(End::Lost(Failure::of(&error).of_read().to_string())),
        };
        if response.canceled() {
            return Err(match response.compact_revision() {
                // At the revision of the compaction deletions may be missing: begin behind it.
                compacted @ 1.. => End::Over(StoreError::Compacted {
                    oldest: steps::revision(compacted).next(),
                }),
                _ => End::Lost(format!("the member ended it: {}", response.cancel_reason())),
            });
        }
        let happened = response.events().iter().filter_map(steps::happened);
        let steps = steps::steps(happened, self.delivered)
            .map_err(|error| End::Over(StoreError::Unavailable(error.to_string())))?;
        for step in steps {
            self.hand_over(step).await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self, step: Arc<Step>) -> Result<(), End> {
        let revision = step.revision;
        let changed = |key: &str| step.changes.iter().find(|changed| changed.key == key);
        if let Some(changed) = changed(keys::HISTORY) {
            let value = changed.value.as_deref().unwrap_or_default();
            let record = serde_json::from_slice::<Record>(value);
            if record.map_or(true, |record| record.epoch != self.epoch) {
                self.cluster.trust.doubt();
                return Err(new_epoch());
            }
        }
        let put = step
            .changes
            .iter()
            .find_map(|changed| Some((changed, changed.value.as_ref()?)));
        let mark = put.map(|(changed, value)| Mark {
            revision,
            key: changed.key.clone(),
            print: print_of(value),
        });
        self.steps.send(Ok(step)).await.map_err(|_| End::Unread)?;
        self.delivered = revision;
        self.cluster.trust.delivered(revision, mark);
        Ok(())
    }

    /// Whether a beacon was written that should have come.
    async fn is_owed(&self) -> bool {
        if !keys::BEACON.starts_with(&self.prefix) {
            return false;
        }
        let newest = GetOptions::new().with_keys_only();
        match self.cluster.members.get(keys::BEACON, newest).await {
            Ok(answer) => (answer.kvs().first())
                .is_some_and(|kv| steps::revision(kv.mod_revision()) > self.delivered),
            // Nobody answers: then nobody could be asked instead.
            Err(_) => false,
        }
    }
}

fn new_epoch() -> End {
    End::Over(StoreError::Unavailable(
        "the epoch was raised, or its record was changed".into(),
    ))
}

/// Full jitter: those who lost it together do not come back together.
fn backoff(failures: u32) -> Duration {
    let most = BACKOFF_FIRST_MS
        .saturating_mul(1 << failures.min(16))
        .min(BACKOFF_MS_MAX);
    Duration::from_millis(fastrand::u64(..=most))
}
