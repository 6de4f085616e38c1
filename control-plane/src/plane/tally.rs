//! What each edge said of each of the newest purges: when it had applied it, and what that matched. Pure.

use std::collections::{BTreeMap, BTreeSet};

use seawall_config::Revision;
use seawall_config::feed::Counted;

use super::fleet::Moved;
use super::records::{CountedRecord, Matched};

/// Purges whose counts are kept; receipts of older ones say no more than who has applied them.
const TALLIED_MAX: usize = 1_000;
/// Beside them: whoever asked what a purge would match waits for nothing else.
const DRY_RUNS_MAX: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    purges: BTreeMap<Revision, Purge>,
    /// Those of them that only count.
    dry_runs: BTreeSet<Revision>,
    /// The `counted/…` keys the store holds.
    stored: BTreeSet<(Revision, String)>,
    /// Purges with counts that were heard here and are not stored yet.
    unstored: BTreeSet<Revision>,
}

#[derive(Debug, Default)]
struct Purge {
    /// When this plane saw it accepted; None when that was before this plane started.
    seen_ms: Option<u64>,
    edges: BTreeMap<String, Said>,
}

/// What one edge said of one purge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// From its acceptance until this plane heard that it was applied.
    pub(crate) ms: Option<u64>,
    pub(crate) matched: Option<Matched>,
}

impl Tally {
    pub(crate) fn open(&mut self, purge: Revision, seen_ms: Option<u64>, dry_run: bool) {
        self.purges.entry(purge).or_default().seen_ms = seen_ms;
        if dry_run {
            self.dry_runs.insert(purge);
        }
        if self.dry_runs.len() > DRY_RUNS_MAX
            && let Some(oldest) = self.dry_runs.pop_first()
        {
            self.purges.remove(&oldest);
        }
        if self.purges.len() - self.dry_runs.len() > TALLIED_MAX {
            let mut purges = self.purges.keys();
            let oldest = purges.find(|purge| !self.dry_runs.contains(purge)).copied();
            oldest.and_then(|oldest| self.purges.remove(&oldest));
        }
    }

    /// An edge has applied every purge up to a revision. How long that took is known only if it is known
    /// from where it came.
    pub(crate) fn moved(&mut self, moved: &Moved, now_ms: u64) {
        let Some(from) = moved.from.filter(|from| *from < moved.to) else {
            return;
        };
        for purge in self
            .purges
            .range_mut(from.next()..=moved.to)
            .map(|(_, purge)| purge)
        {
            let ms = purge.seen_ms.map(|seen_ms| now_ms.saturating_sub(seen_ms));
            purge.edges.entry(moved.id.clone()).or_default().ms = ms;
        }
    }

    /// An edge counted, and said so here.
    pub(crate) fn heard(&mut self, edge: &str, counted: &Counted) {
        if self.count(counted.revision, edge, (*counted).into()) {
            self.unstored.insert(counted.revision);
        }
    }

    /// What a plane stored of a purge.
    pub(crate) fn stored(&mut self, purge: Revision, plane: &str, record: CountedRecord) {
        self.stored.insert((purge, plane.to_owned()));
        for (edge, matched) in record.0 {
            self.count(purge, &edge, matched);
        }
    }

    pub(crate) fn unstored(&self) -> impl Iterator<Item = (Revision, CountedRecord)> {
        self.unstored.iter().filter_map(|purge| {
            let edges = &self.purges.get(purge)?.edges;
            let counts = edges
                .iter()
                .filter_map(|(edge, said)| Some((edge.clone(), said.matched?)));
            Some((*purge, CountedRecord(counts.collect())))
        })
    }

    /// These counts have been stored.
    pub(crate) fn stored_ours(&mut self, purges: &[Revision]) {
        purges.iter().for_each(|purge| {
            self.unstored.remove(purge);
        });
    }

    pub(crate) fn deleted(&mut self, purge: Revision, plane: &str) {
        self.stored.remove(&(purge, plane.to_owned()));
    }

    /// Stored counts that no receipt shows any more.
    pub(crate) fn outlived(&self) -> impl Iterator<Item = &(Revision, String)> {
        let is_shown = |purge: &Revision| self.purges.contains_key(purge);
        self.stored
            .iter()
            .filter(move |(purge, _)| !is_shown(purge))
    }

    /// The record of a purge is forgotten.
    pub(crate) fn close(&mut self, purge: Revision) {
        self.purges.remove(&purge);
        self.dry_runs.remove(&purge);
        self.unstored.remove(&purge);
    }

    pub(crate) fn said(&self, purge: Revision, edge: &str) -> Said {
        let said = self
            .purges
            .get(&purge)
            .and_then(|purge| purge.edges.get(edge));
        said.copied().unwrap_or_default()
    }

    fn count(&mut self, purge: Revision, edge: &str, matched: Matched) -> bool {
        let Some(purge) = self.purges.get_mut(&purge) else {
            return false;
        };
        purge.edges.entry(edge.to_owned()).or_default().matched = Some(matched);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: Option<u64>, to: u64) -> Moved {
        Moved {
            id: "e".into(),
            from: from.map(Revision),
            to: Revision(to),
        }
    }

    #[test]
    fn an_edge_is_timed_for_every_purge_it_passed() {
        let mut tally = Tally::default();
        tally.open(Revision(5), Some(1_000), false);
        tally.open(Revision(7), None, false);
        tally.open(Revision(9), Some(1_500), false);
        tally.moved(&moved(None, 4), 1_600);
        tally.moved(&moved(Some(4), 9), 1_700);
        let ms = |purge| tally.said(Revision(purge), "e").ms;
        assert_eq!((ms(5), ms(7), ms(9)), (Some(700), None, Some(200)));
    }

    #[test]
    fn counts_are_kept_for_the_newest_purges_only() {
        let mut tally = Tally::default();
        let counted = |revision| Counted {
            revision: Revision(revision),
            objects: 1,
            bytes: 2,
        };
        for revision in 1..=TALLIED_MAX as u64 + 1 {
            tally.open(Revision(revision), None, false);
        }
        tally.heard("e", &counted(1));
        tally.heard("e", &counted(2));
        tally.stored(Revision(1), "p", CountedRecord::default());
        tally.stored(Revision(2), "p", CountedRecord::default());
        assert_eq!(tally.said(Revision(1), "e").matched, None);
        assert_eq!(
            tally.said(Revision(2), "e").matched,
            Some(Matched {
                objects: 1,
                bytes: 2
            })
        );
        let unstored: Vec<_> = tally.unstored().map(|(purge, _)| purge).collect();
        assert_eq!(unstored, [Revision(2)]);
        let outlived: Vec<_> = tally.outlived().map(|(purge, _)| *purge).collect();
        assert_eq!(outlived, [Revision(1)]);
    }

    #[test]
    fn a_dry_run_is_counted_amid_a_storm_of_purges() {
        let mut tally = Tally::default();
        let counted = |revision| Counted {
            revision: Revision(revision),
            objects: 1,
            bytes: 2,
        };
        let is_counted = |tally: &mut Tally, revision| {
            tally.heard("e", &counted(revision));
            tally.said(Revision(revision), "e").matched.is_some()
        };
        tally.open(Revision(1), None, true);
        for revision in 2..3_000 {
            tally.open(Revision(revision), None, false);
        }
        assert!(is_counted(&mut tally, 1));
        assert_eq!(tally.purges.len(), TALLIED_MAX + 1);
        for revision in 3_000..=3_000 + DRY_RUNS_MAX as u64 {
            tally.open(Revision(revision), None, true);
        }
        assert!(!is_counted(&mut tally, 1), "these are bounded, too");
        tally.close(Revision(3_050));
        tally.open(Revision(4_000), None, true);
        assert!(is_counted(&mut tally, 3_001));
        assert_eq!(tally.purges.len(), TALLIED_MAX + DRY_RUNS_MAX);
    }
}
