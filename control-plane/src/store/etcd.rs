//! The store of many control planes: an etcd cluster, version 3.4 or newer.
//!
//! A transaction here is one of etcd's, its revision is etcd's. What etcd's client leaves to others is done here:
//! another member is asked when one fails ([`members`]), a watch that ended, fell silent or was overtaken by
//! compaction is noticed and continued without a gap ([`follower`]), and a history that is not the one this plane
//! knows, because a backup was restored, is refused ([`trust`], by the rules of [`history`]).

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::GetOptions;
use prometheus_client::registry::Registry;
use seawall_config::{Epoch, Revision};

use super::{Commit, Entry, Follow, Store, StoreError, TXN_BYTES_MAX, Txn, View, Write};
use crate::clock::Clock;
use crate::keys;
use members::Members;
use metrics::Metrics;
use trust::Trust;

mod failure;
mod follower;
mod history;
mod members;
mod metrics;
mod steps;
mod transaction;
mod trust;
mod versions;

use failure::Failure;

/// Guards, and writes, of one transaction: etcd's own default limit.
pub const TXN_OPS_MAX: usize = 128;
/// Keys of one page of a read.
const READ_PAGE_KEYS: usize = 64;
/// Bytes of one whole read. Ours are far smaller; a foreign writer's need not fit into memory.
const READ_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How often a read begins again because what it reads was compacted meanwhile.
const READS_TRIED_MAX: usize = 3;
/// Older history is not asked for, also where etcd still has it: it would be read by whoever starts.
const HISTORY_REVISIONS_MAX: u64 = 100_000;

/// Where etcd is, and how to be let in.
pub struct Options {
    /// `http://127.0.0.1:2379`; at least one.
    pub endpoints: Vec<String>,
    pub tls: Option<Tls>,
    /// Name and password.
    pub user: Option<(String, String)>,
    /// A folder, to remember across restarts which history was seen.
    pub state: PathBuf,
}

/// PEM, all of them.
pub struct Tls {
    /// Who signs the members' certificates.
    pub ca: Vec<u8>,
    /// A certificate of one's own and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// The store on etcd.
pub struct EtcdStore {
    cluster: Arc<Cluster>,
}

/// What the store and its followers share.
struct Cluster {
    members: Members,
    trust: Trust,
    metrics: Metrics,
}

impl EtcdStore {
    /// Connects to nobody yet: whoever asks first does. Its metrics go into `registry`.
    pub fn new(options: &Options, registry: &mut Registry) -> Self {
        let cluster = Cluster {
            members: Members::new(options),
            trust: Trust::new(&options.state, Clock::system()),
            metrics: Metrics::register(registry),
        };
        Self {
            cluster: Arc::new(cluster),
        }
    }

    /// The versions of the members, and what is known against each; members that do not answer are left out.
    pub async fn version_warnings(&self) -> Vec<String> {
        versions::warnings(&self.cluster.members).await
    }

    /// For an operator who has restored a backup, or knows better: what etcd holds now is the history from now on.
    /// Edges and planes that know another one take it as newer.
    pub async fn raise_epoch(&self) -> Result<Epoch, StoreError> {
        self.cluster.trust.raise_epoch(&self.cluster.members).await
    }
}

#[async_trait]
impl Store for EtcdStore {
    fn epoch(&self) -> Epoch {
        self.cluster.trust.epoch()
    }

    async fn read(&self, prefix: &str) -> Result<View, StoreError> {
        let floor = self.cluster.before().await?;
        for _ in 0..READS_TRIED_MAX {
            match self.cluster.pages(prefix, floor).await? {
                Some(view) => return Ok(view),
                None => tracing::debug!(prefix, "compacted while it was read: read again"),
            }
        }
        Err(Failure::Compacted.of_read())
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let bytes = txn.bytes();
        if bytes > TXN_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes });
        }
        let request = transaction::request(&txn)?;
        let changes = txn
            .writes
            .iter()
            .any(|write| matches!(write, Write::Put(..)));
        let floor = self.cluster.before().await?;
        let answer = self.cluster.members.txn(request).await;
        let answer = answer.map_err(Failure::of_write)?;
        // Whatever was written then went into another history: nobody knows what that means.
        let trust = &self.cluster.trust;
        let revision = match answer.succeeded() && changes {
            true => trust.after_change(floor, answer.header()),
            false => trust.after(floor, answer.header()),
        };
        let revision = revision.map_err(|error| StoreError::OutcomeUnknown(error.to_string()))?;
        Ok(transaction::answer(&answer, revision))
    }

    async fn follow(&self, prefix: &str, after: Revision) -> Result<Follow, StoreError> {
        let head = self.head().await?;
        if head.0.saturating_sub(after.0) > HISTORY_REVISIONS_MAX {
            let oldest = Revision(head.0 - HISTORY_REVISIONS_MAX + 1);
            return Err(StoreError::Compacted { oldest });
        }
        Ok(follower::start(&self.cluster, prefix, after))
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        let floor = self.cluster.before().await?;
        let key_alone = GetOptions::new();
        let answer = self.cluster.members.get(keys::HISTORY, key_alone).await;
        let answer = answer.map_err(Failure::of_read)?;
        self.cluster.trust.after(floor, answer.header())
    }
}

impl Cluster {
    /// The revision that every linearizable answer must have reached, if the store is to be trusted at all.
    async fn before(&self) -> Result<Revision, StoreError> {
        self.trust.before(&self.members).await
    }

    /// All pages at the revision of the first. None: that was compacted meanwhile.
    async fn pages(&self, prefix: &str, floor: Revision) -> Result<Option<View>, StoreError> {
        let (mut from, end) = range(prefix);
        let mut view: Option<View> = None;
        let mut bytes = 0;
        loop {
            let at = view.as_ref().map(|view| view.revision);
            let mut options = GetOptions::new()
                .with_range(end.clone())
                .with_limit(READ_PAGE_KEYS as i64);
            if let Some(at) = at {
                options = options.with_revision(i64::try_from(at.0).unwrap_or(i64::MAX));
            }
            let page = match self.members.get(from, options).await {
                Err(Failure::Compacted) => return Ok(None),
                page => page.map_err(Failure::of_read)?,
            };
            let revision = self.trust.after(floor, page.header())?;
            let view = view.get_or_insert(View {
                revision,
                entries: Vec::new(),
            });
            for kv in page.kvs() {
                bytes += kv.key().len() + kv.value().len();
                view.entries.extend(entry(kv));
            }
            if bytes > READ_BYTES_MAX {
                let why = format!("more than {READ_BYTES_MAX} bytes below {prefix}");
                return Err(StoreError::Unavailable(why));
            }
            match page.kvs().last() {
                // Behind the last one: nothing sorts between a key and itself with a zero byte.
                Some(last) if page.more() => from = [last.key(), &[0]].concat(),
                _ => return Ok(Some(view.clone())),
            }
        }
    }
}

/// The first key of a prefix, and the first behind it.
fn range(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    // etcd: a lone zero byte as the first key is the smallest there is, as the end it is "no end".
    let from = match prefix {
        "" => vec![0],
        prefix => prefix.as_bytes().to_vec(),
    };
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return (from, end);
        }
    }
    (from, vec![0])
}

/// None where the key is no text, and so not ours.
fn entry(kv: &etcd_client::KeyValue) -> Option<Entry> {
    Some(Entry {
        key: steps::key(kv)?,
        value: kv.value().to_vec().into(),
        created: steps::revision(kv.create_revision()),
        changed: steps::revision(kv.mod_revision()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        let check = |prefix: &str, from: &[u8], end: &[u8]| {
            assert_eq!(range(prefix), (from.to_vec(), end.to_vec()), "{prefix}");
        };
        check("/a", b"/a", b"/b");
        check("/a/", b"/a/", b"/a0");
        check("", &[0], &[0]);
        check("\u{7f}", &[0x7f], &[0x80]);
        check("/é", "/é".as_bytes(), "/ê".as_bytes());
    }
}
