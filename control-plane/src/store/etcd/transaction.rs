//! Our transactions as etcd's, and its answers as ours. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use etcd_client::{Compare, CompareOp, TxnOp, TxnOpResponse, TxnResponse};
use seawall_config::Revision;

use super::{TXN_OPS_MAX, entry};
use crate::store::{Commit, Guard, StoreError, Txn, Write};

/// A transaction that does it all or, where a guard does not hold, reads what the guarded keys hold.
pub(super) fn request(txn: &Txn) -> Result<etcd_client::Txn, StoreError> {
    // etcd refuses two writes of one key: the last counts.
    let mut last: BTreeMap<&str, Option<&Bytes>> = BTreeMap::new();
    for write in &txn.writes {
        match write {
            Write::Put(key, value) => last.insert(key, Some(value)),
            Write::Delete(key) => last.insert(key, None),
        };
    }
    let operations = last.len().max(txn.guards.len());
    if operations > TXN_OPS_MAX {
        return Err(StoreError::TooMany {
            operations,
            max: TXN_OPS_MAX,
        });
    }
    let writes: Vec<_> = last
        .into_iter()
        .map(|(key, value)| match value {
            Some(value) => TxnOp::put(key, value.to_vec(), None),
            None => TxnOp::delete(key, None),
        })
        .collect();
    let guarded: BTreeSet<&str> = txn.guards.iter().map(key_of).collect();
    let reads: Vec<_> = guarded
        .into_iter()
        .map(|key| TxnOp::get(key, None))
        .collect();
    let compares: Vec<_> = txn.guards.iter().map(compare).collect();
    Ok(etcd_client::Txn::new()
        .when(compares)
        .and_then(writes)
        .or_else(reads))
}

pub(super) fn answer(answer: &TxnResponse, revision: Revision) -> Commit {
    if answer.succeeded() {
        return Commit::Done(revision);
    }
    let mut found = Vec::new();
    for response in answer.op_responses() {
        if let TxnOpResponse::Get(read) = response {
            found.extend(read.kvs().iter().filter_map(entry));
        }
    }
    Commit::Refused { revision, found }
}

fn key_of(guard: &Guard) -> &str {
    match guard {
        Guard::Absent(key) | Guard::ChangedAt(key, _) => key,
    }
}

fn compare(guard: &Guard) -> Compare {
    match guard {
        Guard::Absent(key) => Compare::create_revision(key.as_str(), CompareOp::Equal, 0),
        // To etcd a key that is not there was changed at 0; nothing was ever changed at 0.
        Guard::ChangedAt(key, Revision(0)) => Compare::version(key.as_str(), CompareOp::Less, 0),
        Guard::ChangedAt(key, revision) => {
            let revision = i64::try_from(revision.0).unwrap_or(i64::MAX);
            Compare::mod_revision(key.as_str(), CompareOp::Equal, revision)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn more_than_etcd_takes_is_refused_before_it_is_sent() {
        let writes = |count: usize| {
            let writes = (0..count).map(|n| Write::Delete(format!("/{n}")));
            Txn {
                writes: writes.collect(),
                ..Txn::default()
            }
        };
        assert!(request(&writes(TXN_OPS_MAX)).is_ok());
        let refused = StoreError::TooMany {
            operations: TXN_OPS_MAX + 1,
            max: TXN_OPS_MAX,
        };
        assert_eq!(request(&writes(TXN_OPS_MAX + 1)).err(), Some(refused));
        // Many writes of one key are one.
        let one = (0..1_000).map(|_| Write::Delete("/a".into())).collect();
        let one = Txn {
            writes: one,
            ..Txn::default()
        };
        assert!(request(&one).is_ok());
    }
}
