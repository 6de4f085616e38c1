//! The live purge records, and when one may be forgotten. Pure.
//!
//! A record stays for an hour and until every vouching edge has applied it: an hour since the plane that forgets it has
//! seen it, by a clock that never steps. When it was accepted is by another's wall clock, and one of two may be an hour off;
//! so after a restart it stays longer. Beyond [`RECORDS_MAX`] records, or
//! their bytes, those go that a newer one covers ([`folding`](super::folding)), and then the oldest, but not before every
//! vouching edge has applied them either; unless an edge lags so far that there are twice as many. The revision of the
//! newest forgotten one is the floor: an edge that takes a snapshot treats everything born before it as purged. So
//! forgetting costs an edge that has been away a refill, and never lets an old copy through; one that follows the feed is
//! past what is forgotten and loses nothing.

use std::collections::{BTreeMap, HashMap};

use seawall_config::Revision;

use super::fleet::Moved;
use super::records::PurgeRecord;

/// Live purge records of one deployment.
pub(super) const RECORDS_MAX: usize = 100_000;
/// Bytes of all of them: a snapshot carries them.
const RECORDS_BYTES_MAX: usize = 64 * 1024 * 1024;
pub(crate) const RETAINED_MS: u64 = 60 * 60 * 1_000;
/// Records that one transaction deletes; etcd allows 128 operations in one.
pub(crate) const FORGOTTEN_AT_ONCE_MAX: usize = 100;

/// The live purge records, by their revisions.
#[derive(Debug, Default)]
pub(crate) struct Purges {
    records: BTreeMap<Revision, Purge>,
    by_id: HashMap<String, Revision>,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Purge {
    /// As its key spells it.
    pub(crate) id: String,
    pub(crate) record: PurgeRecord,
    /// Of its value in the store.
    pub(crate) bytes: usize,
    /// When this plane saw it, by its own CLOCK_BOOTTIME.
    pub(crate) seen_ms: u64,
}

impl Purges {
    /// One record a revision, one a key: that is how they are written here. What another hand wrote in another way
    /// becomes one purge of everything.
    pub(crate) fn insert(&mut self, revision: Revision, mut purge: Purge) {
        self.remove(&purge.id);
        if let Some(other) = self.records.remove(&revision) {
            self.bytes -= other.bytes;
            self.by_id.remove(&other.id);
            purge.record = PurgeRecord::unreadable();
        }
        self.bytes += purge.bytes;
        self.by_id.insert(purge.id.clone(), revision);
        self.records.insert(revision, purge);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Revision> {
        let revision = self.by_id.remove(id)?;
        let purge = self.records.remove(&revision)?;
        self.bytes -= purge.bytes;
        Some(revision)
    }

    pub(crate) fn get(&self, revision: Revision) -> Option<&Purge> {
        self.records.get(&revision)
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Revision, &Purge)> {
        self.records.iter()
    }

    /// Whether someone waits for a purge that an edge has just applied.
    pub(crate) fn is_awaited(&self, moved: &Moved) -> bool {
        let Some(from) = moved.from.filter(|from| *from < moved.to) else {
            return false;
        };
        self.records
            .range(from.next()..=moved.to)
            .any(|(_, purge)| purge.record.awaited)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.len() > RECORDS_MAX || self.bytes > RECORDS_BYTES_MAX
    }
}

/// The revisions of the records that go now, oldest first. `vouched_from`: the oldest revision that an edge
/// which may still vouch has applied; None when no edge may. `retained_ms`: for so long they stay.
pub(crate) fn forgettable(
    purges: &Purges,
    vouched_from: Option<Revision>,
    now_ms: u64,
    retained_ms: u64,
) -> Vec<Revision> {
    let (mut count, mut bytes) = (purges.len(), purges.bytes());
    let goes = |(revision, purge): &(&Revision, &Purge)| {
        let over = count > RECORDS_MAX || bytes > RECORDS_BYTES_MAX;
        let far_over = count > 2 * RECORDS_MAX || bytes > 2 * RECORDS_BYTES_MAX;
        let old = now_ms.saturating_sub(purge.seen_ms) >= retained_ms;
        let passed = vouched_from.is_none_or(|from| from >= **revision);
        count -= 1;
        bytes = bytes.saturating_sub(purge.bytes);
        far_over || (passed && (over || old))
    };
    let gone = purges.iter().take_while(goes).take(FORGOTTEN_AT_ONCE_MAX);
    gone.map(|(revision, _)| *revision).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_config::Scope;

    /// Revisions, and when each was seen.
    fn purges(seen: &[(u64, u64)], bytes: usize) -> Purges {
        let mut purges = Purges::default();
        for (revision, seen_ms) in seen {
            let record = PurgeRecord {
                scopes: Vec::new(),
                ..PurgeRecord::unreadable()
            };
            let purge = Purge {
                id: revision.to_string(),
                record,
                bytes,
                seen_ms: *seen_ms,
            };
            purges.insert(Revision(*revision), purge);
        }
        purges
    }

    #[test]
    fn what_another_hand_wrote_is_one_purge_of_everything_and_leaves_nothing_behind() {
        let mut purges = purges(&[(1, 0), (2, 0)], 10);
        let written = |id: &str| Purge {
            id: id.to_owned(),
            record: PurgeRecord {
                scopes: Vec::new(),
                ..PurgeRecord::unreadable()
            },
            bytes: 7,
            seen_ms: 0,
        };
        // Two keys at once.
        purges.insert(Revision(2), written("b"));
        assert_eq!((purges.len(), purges.bytes()), (2, 17));
        let there = purges.get(Revision(2));
        let scopes = there.map(|purge| &purge.record.scopes[..]);
        assert_eq!(scopes, Some(&[Scope::Everything][..]));
        assert_eq!(purges.remove("2"), None);
        // One key again.
        purges.insert(Revision(3), written("1"));
        assert_eq!((purges.len(), purges.bytes()), (2, 14));
        assert!(purges.get(Revision(1)).is_none());
        assert_eq!(purges.remove("1"), Some(Revision(3)));
        assert_eq!(purges.remove("b"), Some(Revision(2)));
        assert_eq!((purges.len(), purges.bytes()), (0, 0));
    }

    #[test]
    fn a_record_stays_an_hour_and_until_every_vouching_edge_has_applied_it() {
        let purges = purges(&[(1, 0), (2, 1_000), (3, 2_000)], 10);
        let check = |vouched_from: Option<u64>, now_ms: u64, expect: &[u64]| {
            let from = vouched_from.map(Revision);
            let gone = forgettable(&purges, from, now_ms, RETAINED_MS);
            let expect: Vec<_> = expect.iter().copied().map(Revision).collect();
            assert_eq!(gone, expect, "{vouched_from:?} at {now_ms}");
        };
        check(None, RETAINED_MS - 1, &[]);
        check(None, RETAINED_MS, &[1]);
        check(None, RETAINED_MS + 2_000, &[1, 2, 3]);
        check(Some(2), RETAINED_MS + 2_000, &[1, 2]);
        check(Some(0), RETAINED_MS + 2_000, &[]);
    }

    #[test]
    fn too_many_go_earlier_oldest_first() {
        let check = |count: usize, bytes: usize, vouched_from: Option<u64>, expect: &[u64]| {
            let young: Vec<_> = (1..=count as u64).map(|revision| (revision, 0)).collect();
            let from = vouched_from.map(Revision);
            let gone = forgettable(&purges(&young, bytes), from, 0, RETAINED_MS);
            let expect: Vec<_> = expect.iter().copied().map(Revision).collect();
            assert_eq!(gone, expect, "{count} of {bytes}, {vouched_from:?}");
        };
        check(RECORDS_MAX, 1, None, &[]);
        check(RECORDS_MAX + 2, 1, None, &[1, 2]);
        check(RECORDS_MAX + 2, 1, Some(9), &[1, 2]);
        // What an edge has yet to apply that vouches is not taken from under it, unless it lags too far.
        check(RECORDS_MAX + 2, 1, Some(1), &[1]);
        check(RECORDS_MAX + 2, 1, Some(0), &[]);
        check(2 * RECORDS_MAX + 2, 1, Some(0), &[1, 2]);
        check(3, RECORDS_BYTES_MAX / 2, Some(9), &[1]);
        check(3, RECORDS_BYTES_MAX / 2, Some(0), &[]);
        check(5, RECORDS_BYTES_MAX / 2, Some(0), &[1]);
    }
}
