//! Whether this plane may believe what etcd says: the shell around [`history`](super::history).
//!
//! Every linearizable answer must come from the known cluster and be no older than what was known when it was asked
//! for. When one is not, or the epoch was raised, nothing is believed until the history has been judged anew.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, ResponseHeader, Txn, TxnOp};
use ring::digest::{SHA256, digest};
use seawall_config::{Epoch, Revision};

use super::failure::Failure;
use super::history::{Differs, Mark, Memory, Record, Said, Seen, Verdict, judge, next_epoch};
use super::members::Members;
use super::steps;
use crate::clock::Clock;
use crate::keys;
use crate::store::StoreError;

/// What was seen is remembered on disk this often; what comes after is found out by the next answer.
const REMEMBER_MS: u64 = 5_000;

pub(super) struct Trust {
    // std's: nothing awaits while it is held.
    known: Mutex<Known>,
    memory: Arc<Memory>,
    clock: Clock,
}

#[derive(Debug)]
struct Known {
    standing: Standing,
    epoch: Epoch,
    /// The cluster's id.
    cluster: u64,
    /// Nothing linearizable may be older.
    newest: Revision,
    mark: Option<Mark>,
    remembered_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// To be judged before anything else is asked.
    Doubted,
    Trusted,
}

impl Trust {
    pub(super) fn new(state: &Path, clock: Clock) -> Self {
        let known = Known {
            standing: Standing::Doubted,
            epoch: Epoch::default(),
            cluster: 0,
            newest: Revision::default(),
            mark: None,
            remembered_ms: 0,
        };
        Self {
            known: Mutex::new(known),
            memory: Arc::new(Memory::new(state)),
            clock,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.known().epoch
    }

    /// What is asked now must answer at this revision or a later one.
    pub(super) async fn before(&self, members: &Members) -> Result<Revision, StoreError> {
        if let Known {
            standing: Standing::Trusted,
            newest,
            ..
        } = *self.known()
        {
            return Ok(newest);
        }
        let mut left = members.count();
        loop {
            match self.judge(members).await? {
                Verdict::Trusted(_) => return Ok(self.known().newest),
                // It is begun by now, by this plane or by another: look again.
                Verdict::New => {}
                // A member that lost writes which the others have, or one of another cluster, is not the cluster.
                Verdict::Differs(differs) => {
                    left = left.saturating_sub(1);
                    if left == 0 {
                        return Err(refused(&differs));
                    }
                    members.leave_current();
                }
            }
        }
    }

    /// The revision that a linearizable answer shows, if it shows the known history. `floor`: what
    /// [`Trust::before`] said when it was asked for.
    pub(super) fn after(
        &self,
        floor: Revision,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, StoreError> {
        self.not_before(floor, header)
    }

    /// The same of a write that changed something: its revision is its own, and later than all that was known.
    pub(super) fn after_change(
        &self,
        floor: Revision,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, StoreError> {
        self.not_before(floor.next(), header)
    }

    fn not_before(
        &self,
        least: Revision,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, StoreError> {
        let missing = || StoreError::Unavailable("etcd's answer has no header".into());
        let header = header.ok_or_else(missing)?;
        let revision = steps::revision(header.revision());
        let mut known = self.known();
        if header.cluster_id() != known.cluster || revision < least {
            known.standing = Standing::Doubted;
            let why = format!(
                "etcd answered from revision {revision} where {least} or later was to come, or from another cluster"
            );
            return Err(StoreError::Unavailable(why));
        }
        known.newest = known.newest.max(revision);
        Ok(revision)
    }

    /// Something is not as it was: judge the history before anything else.
    pub(super) fn doubt(&self) {
        self.known().standing = Standing::Doubted;
    }

    /// A follower was given this revision; `mark`: what it put, if it put anything.
    pub(super) fn delivered(&self, revision: Revision, mark: Option<Mark>) {
        let now_ms = self.clock.now_ms();
        let seen = {
            let mut known = self.known();
            known.newest = known.newest.max(revision);
            let Some(mark) = mark else { return };
            known.mark = Some(mark.clone());
            if now_ms < known.remembered_ms + REMEMBER_MS {
                return;
            }
            known.remembered_ms = now_ms;
            Seen {
                epoch: known.epoch,
                revision: mark.revision,
                mark: Some(mark),
            }
        };
        self.remember(seen);
    }

    /// Declares what etcd holds now the history from now on.
    pub(super) async fn raise_epoch(&self, members: &Members) -> Result<Epoch, StoreError> {
        let answer = read_record(members).await?;
        let (cluster, _) = place(&answer)?;
        let there = answer.kvs().first();
        let last = there.and_then(|kv| serde_json::from_slice::<Record>(kv.value()).ok());
        let last = last.map(|record| record.epoch);
        let remembered = self.read_memory()?.map(|seen| seen.epoch);
        let epoch = next_epoch(last.max(remembered), self.clock.wall_ms());
        let changed = there.map_or(0, etcd_client::KeyValue::mod_revision);
        if !write_record(members, epoch, cluster, changed).await? {
            let why =
                "somebody else raised the epoch meanwhile: look, and raise it again if needed";
            return Err(StoreError::Unavailable(why.into()));
        }
        Ok(epoch)
    }

    /// What the member that is asked now says, compared with what was seen. A history that nobody has begun is.
    async fn judge(&self, members: &Members) -> Result<Verdict, StoreError> {
        // First: what is delivered while etcd is asked is newer than its answer, and no step back.
        let seen = self.seen()?;
        let answer = read_record(members).await?;
        let (cluster, head) = place(&answer)?;
        let record = match answer
            .kvs()
            .first()
            .map(|kv| serde_json::from_slice(kv.value()))
        {
            None => None,
            Some(Ok(record)) => Some(record),
            Some(Err(error)) => {
                let why = format!("{} in etcd cannot be read: {error}", keys::HISTORY);
                return Err(StoreError::Unavailable(why));
            }
        };
        let mark = match &seen {
            Some(Seen {
                mark: Some(mark), ..
            }) if mark.revision <= head => what_was_put(members, mark).await?,
            _ => None,
        };
        let said = Said {
            record,
            cluster: name_of(cluster),
            head,
            mark,
        };
        let verdict = judge(&said, seen.as_ref());
        match verdict {
            Verdict::Trusted(epoch) => self.believe(epoch, cluster, head),
            Verdict::New => {
                // Of several planes one begins it, and all find it when they look again.
                let epoch = next_epoch(None, self.clock.wall_ms());
                write_record(members, epoch, cluster, 0).await?;
            }
            Verdict::Differs(_) => {}
        }
        Ok(verdict)
    }

    fn believe(&self, epoch: Epoch, cluster: u64, head: Revision) {
        let mut known = self.known();
        let goes_on = known.epoch == epoch;
        let (newest, mark) = match goes_on {
            true => (known.newest.max(head), known.mark.take()),
            false => (head, None),
        };
        *known = Known {
            standing: Standing::Trusted,
            epoch,
            cluster,
            newest,
            mark,
            remembered_ms: known.remembered_ms,
        };
        drop(known);
        if !goes_on {
            self.remember(Seen {
                epoch,
                revision: head,
                mark: None,
            });
        }
    }

    /// What this process knows, or a former one remembered.
    fn seen(&self) -> Result<Option<Seen>, StoreError> {
        let known = self.known();
        if known.epoch == Epoch::default() {
            drop(known);
            return self.read_memory();
        }
        Ok(Some(Seen {
            epoch: known.epoch,
            revision: known.newest,
            mark: known.mark.clone(),
        }))
    }

    fn read_memory(&self) -> Result<Option<Seen>, StoreError> {
        self.memory.read().map_err(|error| {
            let path = self.memory.path().display();
            StoreError::Unavailable(format!(
                "{path}, which says what history this plane has seen, cannot be read ({error}); \
                 delete it if you know that no backup was restored"
            ))
        })
    }

    /// Away from the threads that serve. A failure costs only what a restart would know.
    fn remember(&self, seen: Seen) {
        let memory = self.memory.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = memory.write(&seen) {
                let path = memory.path().display();
                tracing::warn!(%path, %error, "what history was seen cannot be remembered");
            }
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(differs: &Differs) -> StoreError {
    StoreError::Unavailable(differs.to_string())
}

/// As etcd prints it.
fn name_of(cluster: u64) -> String {
    format!("{cluster:x}")
}

async fn read_record(members: &Members) -> Result<GetResponse, StoreError> {
    let answer = members.get(keys::HISTORY, GetOptions::new()).await;
    answer.map_err(Failure::of_read)
}

/// Cluster and revision of an answer.
fn place(answer: &GetResponse) -> Result<(u64, Revision), StoreError> {
    let missing = || StoreError::Unavailable("etcd's answer has no header".into());
    let header = answer.header().ok_or_else(missing)?;
    Ok((header.cluster_id(), steps::revision(header.revision())))
}

/// Whether it was written: not, if it has changed since `changed`, which is 0 where it was not there.
async fn write_record(
    members: &Members,
    epoch: Epoch,
    cluster: u64,
    changed: i64,
) -> Result<bool, StoreError> {
    let record = Record {
        epoch,
        cluster: name_of(cluster),
    };
    let value = serde_json::to_vec(&record).unwrap_or_default();
    let txn = Txn::new()
        .when([Compare::mod_revision(
            keys::HISTORY,
            CompareOp::Equal,
            changed,
        )])
        .and_then([TxnOp::put(keys::HISTORY, value, None)]);
    let answer = members.txn(txn).await.map_err(Failure::of_write)?;
    Ok(answer.succeeded())
}

/// The fingerprint of what the revision of `mark` put under its key, if it did; None where that was compacted.
async fn what_was_put(
    members: &Members,
    mark: &Mark,
) -> Result<Option<Option<String>>, StoreError> {
    let revision = i64::try_from(mark.revision.0).unwrap_or(i64::MAX);
    let at = GetOptions::new().with_revision(revision);
    match members.get(mark.key.as_str(), at).await {
        Ok(answer) => {
            let found = answer.kvs().first();
            let found = found.filter(|kv| kv.mod_revision() == revision);
            Ok(Some(found.map(|kv| print_of(kv.value()))))
        }
        Err(Failure::Compacted | Failure::Future) => Ok(None),
        Err(failure) => Err(failure.of_read()),
    }
}

/// A fingerprint: SHA-256, in hexadecimal.
pub(super) fn print_of(value: &[u8]) -> String {
    let print = digest(&SHA256, value);
    let digits = print.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}
