//! The tail of the log that followers resume from: frames as they go over the wire, newest last, bounded.
//! Pure: steps of the store go in, lines come out. Every follower reads the same lines at its own pace, so
//! a slow one costs nothing but its own place, and loses it when the tail has moved past.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use seawall_config::feed::{Beacon, Change, Drain, FRAME_BYTES_MAX, Frame, SiteDocument};
use seawall_config::{Epoch, Revision};

use crate::keys::{self, Key};
use crate::plane::records::{
    DrainedRecord, PurgeRecord, SiteRecord, decode, purge_record, site_record,
};
use crate::store::{Changed, Step};

/// Lines kept for followers that come back.
const TAIL_LINES_MAX: usize = 100_000;
/// Bytes of all of them.
const TAIL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Every frame after a revision.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Who has applied this revision lacks nothing but the lines.
    begins: Revision,
    /// In the order of their revisions.
    lines: VecDeque<Line>,
    bytes: usize,
    /// The beacons of the lines, and the newest before them: the last one that a follower at `begins` applied.
    beacons: BTreeMap<Revision, String>,
}

#[derive(Debug)]
struct Line {
    revision: Revision,
    bytes: Bytes,
}

/// Why a follower cannot go on and takes a snapshot instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// What comes after its revision is no longer kept.
    History { begins: Revision },
    /// It followed another history than this one.
    Differs,
}

impl Tail {
    pub(crate) fn new(begins: Revision) -> Self {
        Self {
            begins,
            lines: VecDeque::new(),
            bytes: 0,
            beacons: BTreeMap::new(),
        }
    }

    /// The next frame. One without changes says only that the store has come this far.
    pub(crate) fn push(&mut self, frame: &Frame) {
        for change in &frame.changes {
            if let Change::Beacon(beacon) = change {
                self.beacons.insert(frame.revision, beacon.id.clone());
            }
        }
        let bytes = line(frame);
        self.bytes += bytes.len();
        self.lines.push_back(Line {
            revision: frame.revision,
            bytes,
        });
        while self.lines.len() > TAIL_LINES_MAX || self.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes.len();
            self.begins = oldest.revision;
        }
        let before = |(revision, _): &(&Revision, &String)| **revision <= self.begins;
        if let Some((newest, _)) = self.beacons.iter().take_while(before).last() {
            self.beacons = self.beacons.split_off(&newest.clone());
        }
    }

    /// The revision of the newest line.
    pub(crate) fn newest(&self) -> Revision {
        self.lines.back().map_or(self.begins, |line| line.revision)
    }

    /// Whether a follower may go on that has applied `after`, and last the beacon it names.
    pub(crate) fn resume(
        &self,
        after: Revision,
        beacon: Option<(Revision, &str)>,
    ) -> Result<(), Gone> {
        if after < self.begins {
            return Err(Gone::History {
                begins: self.begins,
            });
        }
        let Some((revision, id)) = beacon else {
            return Ok(());
        };
        match self.beacons.get(&revision) {
            Some(ours) if ours == id => Ok(()),
            // Too old to be known here: nothing says that the histories differ, nor that they do not.
            None if self
                .beacons
                .keys()
                .next()
                .is_none_or(|oldest| revision < *oldest) =>
            {
                Err(Gone::History {
                    begins: self.begins,
                })
            }
            _ => Err(Gone::Differs),
        }
    }

    /// The lines after `cursor`, of about `bytes_max` bytes but at least one whole line, and the cursor
    /// behind them. None when the tail no longer reaches back to the cursor.
    pub(crate) fn after(&self, cursor: Revision, bytes_max: usize) -> Option<(Bytes, Revision)> {
        if cursor < self.begins {
            return None;
        }
        let first = self.lines.partition_point(|line| line.revision <= cursor);
        let (mut chunk, mut reached) = (BytesMut::new(), cursor);
        for line in self.lines.range(first..) {
            if !chunk.is_empty() && chunk.len() + line.bytes.len() > bytes_max {
                break;
            }
            chunk.extend_from_slice(&line.bytes);
            reached = line.revision;
        }
        Some((chunk.freeze(), reached))
    }
}

/// One line of the feed.
pub(crate) fn line(frame: &Frame) -> Bytes {
    let mut line = serde_json::to_vec(frame).unwrap_or_default();
    debug_assert!(
        line.len() < FRAME_BYTES_MAX,
        "a transaction is smaller than a frame may be"
    );
    line.push(b'\n');
    line.into()
}

/// What a step of the store means to a follower. None when it means nothing.
pub(crate) fn frame(epoch: Epoch, step: &Step) -> Option<Frame> {
    let changes: Vec<_> = step
        .changes
        .iter()
        .filter_map(|changed| change(step.revision, changed))
        .collect();
    (!changes.is_empty()).then_some(Frame {
        epoch,
        revision: step.revision,
        changes,
    })
}

fn change(revision: Revision, changed: &Changed) -> Option<Change> {
    match (keys::parse(&changed.key), &changed.value) {
        (Key::Site(name), None) => Some(Change::DeleteSite {
            name: name.to_owned(),
        }),
        (Key::Site(name), Some(value)) => {
            let SiteRecord { site, .. } = site_record(name, value);
            let (name, created) = (name.to_owned(), changed.created);
            Some(Change::PutSite(SiteDocument {
                name,
                created,
                revision,
                site,
            }))
        }
        (Key::Drained(site), value) => {
            let record: Option<DrainedRecord> =
                value.as_ref().and_then(|value| decode(&changed.key, value));
            Some(Change::Drain(Drain {
                site: site.to_owned(),
                servers: record.unwrap_or_default().servers,
                optional: true,
            }))
        }
        (Key::Purge(_), Some(value)) => {
            let PurgeRecord {
                scopes,
                mode,
                settle_ms,
                dry_run,
                ..
            } = purge_record(&changed.key, value);
            Some(match dry_run {
                true => Change::Count {
                    scopes,
                    optional: true,
                },
                false => Change::Purge {
                    scopes,
                    mode,
                    settle_ms,
                },
            })
        }
        (Key::Beacon, Some(value)) => decode::<Beacon>(&changed.key, value).map(Change::Beacon),
        // A purge record that went says nothing: it has been applied, or the floor stands for it.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    fn beacon(revision: u64, id: &str) -> Frame {
        let beacon = Beacon {
            id: id.into(),
            at_ms: 0,
        };
        Frame {
            epoch: Epoch(1),
            revision: Revision(revision),
            changes: vec![Change::Beacon(beacon)],
        }
    }

    fn tail(begins: u64, ids: &[(u64, &str)]) -> Tail {
        let mut tail = Tail::new(Revision(begins));
        ids.iter()
            .for_each(|(revision, id)| tail.push(&beacon(*revision, id)));
        tail
    }

    #[test]
    fn a_follower_resumes_where_the_tail_and_its_beacon_agree() {
        let tail = tail(10, &[(12, "a"), (14, "b")]);
        let check = |after: u64, beacon: Option<(u64, &str)>, expect: Result<(), Gone>| {
            let beacon = beacon.map(|(revision, id)| (Revision(revision), id));
            assert_eq!(
                tail.resume(Revision(after), beacon),
                expect,
                "{after} {beacon:?}"
            );
        };
        let gone = Err(Gone::History {
            begins: Revision(10),
        });
        check(10, None, Ok(()));
        check(14, None, Ok(()));
        check(9, None, gone);
        check(13, Some((12, "a")), Ok(()));
        check(14, Some((14, "b")), Ok(()));
        check(13, Some((12, "b")), Err(Gone::Differs));
        check(13, Some((13, "a")), Err(Gone::Differs));
        check(13, Some((15, "c")), Err(Gone::Differs));
        check(13, Some((11, "z")), gone);
    }

    #[test]
    fn a_tail_forgets_its_oldest_lines_and_keeps_the_beacon_before_them() {
        let mut tail = tail(0, &[(1, "a")]);
        for revision in 2..=TAIL_LINES_MAX as u64 + 2 {
            tail.push(&Frame {
                epoch: Epoch(1),
                revision: Revision(revision),
                changes: Vec::new(),
            });
        }
        assert_eq!(tail.begins, Revision(2));
        assert_eq!(tail.lines.len(), TAIL_LINES_MAX);
        assert_eq!(tail.resume(Revision(2), Some((Revision(1), "a"))), Ok(()));
        assert_eq!(
            tail.after(Revision(1), 1),
            None,
            "a follower that fell behind is cut"
        );
    }

    #[test]
    fn lines_come_whole_in_order_and_bounded() {
        let tail = tail(0, &[(1, "a"), (3, "b"), (4, "c")]);
        let revisions = |bytes: &Bytes| -> Vec<u64> {
            let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
            lines
                .map(|line| serde_json::from_slice::<Frame>(line).unwrap().revision.0)
                .collect()
        };
        let (all, reached) = tail.after(Revision(0), usize::MAX).unwrap();
        assert_eq!((revisions(&all), reached), (vec![1, 3, 4], Revision(4)));
        let (one, reached) = tail.after(Revision(1), 1).unwrap();
        assert_eq!((revisions(&one), reached), (vec![3], Revision(3)));
        let (none, reached) = tail.after(Revision(4), 1).unwrap();
        assert_eq!((revisions(&none), reached), (vec![], Revision(4)));
    }
}
