//! Events of a watch, put together to whole revisions. Pure.
//!
//! etcd sends all events of one revision in one response as long as nobody asks for fragments, and revisions in
//! order; whatever does not look so is an error, never a gap.

use std::sync::Arc;

use etcd_client::{Event, EventType, KeyValue};
use seawall_config::Revision;

use crate::store::{Changed, Step};

/// One event, with what of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) revision: Revision,
    pub(super) changed: Changed,
}

/// What a watch sent is not what comes next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {found} was sent after {after}")]
pub(super) struct OutOfOrder {
    found: Revision,
    after: Revision,
}

/// The steps of one response that comes after the revision `after` was delivered.
pub(super) fn steps(
    happened: impl Iterator<Item = Happened>,
    after: Revision,
) -> Result<Vec<Arc<Step>>, OutOfOrder> {
    let mut steps: Vec<Step> = Vec::new();
    for Happened { revision, changed } in happened {
        match steps.last_mut() {
            Some(step) if step.revision == revision => step.changes.push(changed),
            last => {
                let after = last.map_or(after, |step| step.revision);
                if revision <= after {
                    return Err(OutOfOrder {
                        found: revision,
                        after,
                    });
                }
                steps.push(Step {
                    revision,
                    changes: vec![changed],
                });
            }
        }
    }
    for step in &mut steps {
        step.changes.sort_by(|a, b| a.key.cmp(&b.key));
    }
    Ok(steps.into_iter().map(Arc::new).collect())
}

/// An event of etcd's; None where its key is no text, and so not ours.
pub(super) fn happened(event: &Event) -> Option<Happened> {
    let kv = event.kv()?;
    let key = key(kv)?;
    let changed = match event.event_type() {
        EventType::Put => Changed {
            key,
            value: Some(kv.value().to_vec().into()),
            created: revision(kv.create_revision()),
        },
        EventType::Delete => Changed {
            key,
            value: None,
            // What was there before may have been compacted already: then nobody knows.
            created: revision(event.prev_kv().map_or(0, KeyValue::create_revision)),
        },
    };
    Some(Happened {
        revision: revision(kv.mod_revision()),
        changed,
    })
}

/// The key as text.
pub(super) fn key(kv: &KeyValue) -> Option<String> {
    kv.key_str().ok().map(str::to_owned)
}

/// etcd's are signed, and never negative.
pub(super) fn revision(etcd: i64) -> Revision {
    Revision(u64::try_from(etcd).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    fn event(revision: u64, key: &str) -> Happened {
        Happened {
            revision: Revision(revision),
            changed: Changed {
                key: key.into(),
                value: None,
                created: Revision(1),
            },
        }
    }

    #[test]
    fn events_of_one_revision_are_one_step_in_key_order() {
        let check = |events: &[(u64, &str)], after: u64, expect: &[(u64, &[&str])]| {
            let events = events.iter().map(|(revision, key)| event(*revision, key));
            let steps = steps(events, Revision(after)).unwrap();
            let found: Vec<_> = steps
                .iter()
                .map(|step| {
                    let keys = step.changes.iter().map(|changed| changed.key.as_str());
                    (step.revision.0, keys.collect::<Vec<_>>())
                })
                .collect();
            let expect: Vec<_> = expect
                .iter()
                .map(|(at, keys)| (*at, keys.to_vec()))
                .collect();
            assert_eq!(found, expect);
        };
        check(&[], 7, &[]);
        check(&[(8, "b"), (8, "a")], 7, &[(8, &["a", "b"])]);
        check(
            &[(8, "a"), (9, "a"), (12, "b")],
            7,
            &[(8, &["a"]), (9, &["a"]), (12, &["b"])],
        );
    }

    #[test]
    fn what_is_not_next_is_an_error() {
        let check = |events: &[(u64, &str)], found: u64, after: u64| {
            let events = events.iter().map(|(revision, key)| event(*revision, key));
            let (found, after) = (Revision(found), Revision(after));
            let error = steps(events, Revision(7)).unwrap_err();
            assert_eq!(error, OutOfOrder { found, after });
        };
        check(&[(7, "a")], 7, 7);
        check(&[(3, "a")], 3, 7);
        check(&[(9, "a"), (8, "a")], 8, 9);
        // Half a revision, and later the other half.
        check(&[(9, "a"), (10, "a"), (9, "b")], 9, 10);
    }
}
