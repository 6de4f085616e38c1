//! Which keys the store holds, as far as its log told, and at which revision each changed last. Pure.
//!
//! A log that lost an event would leave this different from a read of the store; that is how it is found out.

use std::collections::BTreeMap;

use seawall_config::Revision;

use crate::store::{Step, View};

#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<String, Revision>);

/// A key that is otherwise in the store than here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) key: String,
    /// When it changed last, as far as is known here; None: it is not there.
    known: Option<Revision>,
    /// As the store says.
    found: Option<Revision>,
}

impl Known {
    pub(crate) fn new(view: &View) -> Self {
        let keys = view.entries.iter();
        Self(
            keys.map(|entry| (entry.key.clone(), entry.changed))
                .collect(),
        )
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        for changed in &step.changes {
            match changed.value {
                Some(_) => self.0.insert(changed.key.clone(), step.revision),
                None => self.0.remove(&changed.key),
            };
        }
    }

    /// When a key changed last; None: it is not there.
    pub(crate) fn changed(&self, key: &str) -> Option<Revision> {
        self.0.get(key).copied()
    }

    /// What may be wrong, where everything up to the revision of `view` has been applied. A key that was deleted
    /// since looks as if it had been missed; so only what two reads in a row show the same is certain.
    pub(crate) fn differences(&self, view: &View) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut found = BTreeMap::new();
        for entry in &view.entries {
            found.insert(entry.key.as_str(), entry.changed);
            let known = self.0.get(&entry.key).copied();
            if known < Some(entry.changed) {
                differences.push(Difference {
                    key: entry.key.clone(),
                    known,
                    found: Some(entry.changed),
                });
            }
        }
        for (key, known) in &self.0 {
            // What is newer than the read cannot be in it.
            if *known <= view.revision && !found.contains_key(key.as_str()) {
                differences.push(Difference {
                    key: key.clone(),
                    known: Some(*known),
                    found: None,
                });
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::store::{Changed, Entry};

    fn view(revision: u64, keys: &[(&str, u64)]) -> View {
        let entry = |(key, changed): &(&str, u64)| Entry {
            key: (*key).into(),
            value: "v".into(),
            created: Revision(1),
            changed: Revision(*changed),
        };
        View {
            revision: Revision(revision),
            entries: keys.iter().map(entry).collect(),
        }
    }

    fn step(revision: u64, key: &str, is_put: bool) -> Step {
        Step {
            revision: Revision(revision),
            changes: vec![Changed {
                key: key.into(),
                value: is_put.then(|| "v".into()),
                created: Revision(1),
            }],
        }
    }

    #[test]
    fn what_the_log_told_is_no_difference() {
        let mut known = Known::new(&view(10, &[("a", 3), ("b", 7)]));
        known.apply(&step(11, "a", true));
        known.apply(&step(12, "b", false));
        known.apply(&step(13, "c", true));
        let check = |view: &View, expect: &[&str]| {
            let differences = known.differences(view);
            let keys: Vec<_> = differences.iter().map(|it| it.key.as_str()).collect();
            assert_eq!(keys, expect, "{view:?}");
        };
        check(&view(13, &[("a", 11), ("c", 13)]), &[]);
        // The log has gone on since the read.
        check(&view(12, &[("a", 11)]), &[]);
        check(&view(11, &[("a", 11), ("b", 7)]), &["b"]);
        // A put that was missed, a change that was missed, a deletion that was missed.
        check(&view(14, &[("a", 11), ("c", 13), ("d", 14)]), &["d"]);
        check(&view(14, &[("a", 14), ("c", 13)]), &["a"]);
        check(&view(14, &[("c", 13)]), &["a"]);
    }
}
