//! Duplicate ids: which boots were refused because another holds their id. A plane writes down what it refused, so that
//! every plane can show it. Pure: refusals, records of the store and time in.

use std::collections::BTreeMap;

use super::records::RefusalRecord;
use crate::renewal::FENCED_AFTER_MS;

/// A boot that is refused asks each second; written is only this often that it goes on.
const WRITTEN_EVERY_MS: u64 = 5_000;

/// The newest refusal, by id.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<String, Refusal>);

#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Who was refused.
    pub(crate) record: RefusalRecord,
    /// When this plane heard of it.
    at_ms: u64,
    /// When the store's record of it was seen.
    written_ms: Option<u64>,
}

impl Refusals {
    /// This plane refused a heartbeat. `id` is one that is registered, so these are not more than edges.
    pub(crate) fn refused(&mut self, id: &str, record: RefusalRecord, now_ms: u64) {
        // What the store never heard of, because it was away, is over some day, too.
        self.0
            .retain(|_, refusal| refusal.written_ms.is_some() || refusal.is_current(now_ms));
        let written_ms = self.0.get(id).and_then(|before| before.written_ms);
        let refusal = Refusal {
            record,
            at_ms: now_ms,
            written_ms,
        };
        self.0.insert(id.to_owned(), refusal);
    }

    /// A plane wrote one down, seen at `now_ms`.
    pub(crate) fn written(&mut self, id: &str, record: RefusalRecord, now_ms: u64) {
        let refusal = Refusal {
            record,
            at_ms: now_ms,
            written_ms: Some(now_ms),
        };
        self.0.insert(id.to_owned(), refusal);
    }

    /// The record is gone.
    pub(crate) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// What this plane refused since it was written last, if that was long enough ago.
    pub(crate) fn due(&self, now_ms: u64) -> impl Iterator<Item = (&str, &RefusalRecord)> {
        let is_due = move |refusal: &Refusal| {
            refusal.written_ms.is_none_or(|written_ms| {
                refusal.at_ms > written_ms && now_ms >= written_ms.saturating_add(WRITTEN_EVERY_MS)
            })
        };
        let due = self.0.iter().filter(move |(_, refusal)| is_due(refusal));
        due.map(|(id, refusal)| (id.as_str(), &refusal.record))
    }

    /// The newest refusal, as long as a boot that was refused for it may still try.
    pub(crate) fn current(&self, id: &str, now_ms: u64) -> Option<&Refusal> {
        let refusal = self.0.get(id)?;
        refusal.is_current(now_ms).then_some(refusal)
    }

    /// Whose records nobody shows any more.
    pub(crate) fn outlived(&self, now_ms: u64) -> impl Iterator<Item = &str> {
        let old = self
            .0
            .iter()
            .filter(move |(_, refusal)| !refusal.is_current(now_ms));
        old.filter(|(_, refusal)| refusal.written_ms.is_some())
            .map(|(id, _)| id.as_str())
    }
}

impl Refusal {
    fn is_current(&self, now_ms: u64) -> bool {
        now_ms < self.at_ms.saturating_add(FENCED_AFTER_MS)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(boot: &str) -> RefusalRecord {
        RefusalRecord {
            boot: boot.into(),
            place: "p".into(),
        }
    }

    #[test]
    fn a_refusal_is_shown_while_it_goes_on_and_forgotten_after() {
        let mut refusals = Refusals::default();
        let check = |refusals: &Refusals, now_ms: u64, boot: Option<&str>, outlived: usize| {
            let current = refusals.current("e", now_ms);
            let found = current.map(|refusal| refusal.record.boot.as_str());
            assert_eq!(found, boot, "at {now_ms}");
            assert_eq!(refusals.outlived(now_ms).count(), outlived, "at {now_ms}");
        };
        check(&refusals, 0, None, 0);
        refusals.refused("e", record("b"), 100);
        check(&refusals, 100, Some("b"), 0);
        refusals.written("e", record("b"), 200);
        refusals.refused("e", record("c"), 300);
        check(&refusals, 299 + FENCED_AFTER_MS, Some("c"), 0);
        check(&refusals, 300 + FENCED_AFTER_MS, None, 1);
        refusals.forget("e");
        check(&refusals, 300, None, 0);
        // The store was away all the time.
        refusals.refused("e", record("b"), 0);
        refusals.refused("f", record("b"), FENCED_AFTER_MS);
        check(&refusals, 1, None, 0);
    }

    #[test]
    fn other_planes_are_told_at_once_and_then_now_and_again() {
        let mut refusals = Refusals::default();
        let check = |refusals: &Refusals, now_ms: u64, expect: &[&str]| {
            let due: Vec<_> = refusals.due(now_ms).map(|(id, _)| id).collect();
            assert_eq!(due, expect, "at {now_ms}");
        };
        check(&refusals, 0, &[]);
        refusals.refused("e", record("b"), 0);
        check(&refusals, 0, &["e"]);
        refusals.written("e", record("b"), 10);
        check(&refusals, 10 + WRITTEN_EVERY_MS, &[]);
        refusals.refused("e", record("b"), 4_000);
        check(&refusals, 4_000, &[]);
        check(&refusals, 10 + WRITTEN_EVERY_MS, &["e"]);
        // Another plane told everyone.
        refusals.written("e", record("b"), 4_500);
        check(&refusals, 10 + WRITTEN_EVERY_MS, &[]);
    }
}
