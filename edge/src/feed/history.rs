//! Whether a snapshot belongs to the history that this edge follows. Pure.

use std::fmt;

use seawall_config::feed::Snapshot;

use super::Followed;

/// What becomes of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Refuse(Refusal),
}

/// Why a snapshot is not taken: each would take back what was purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    LowerEpoch,
    LowerRevision,
    HistoryDiffers,
}

/// Whether a snapshot may take the place of what the edge follows. `differs`: the plane said that its history
/// is another one.
pub fn judge(ours: Option<&Followed>, theirs: &Snapshot, differs: bool) -> Verdict {
    let Some(ours) = ours else {
        return Verdict::Accept;
    };
    match () {
        () if theirs.epoch > ours.epoch => Verdict::Accept,
        () if theirs.epoch < ours.epoch => Verdict::Refuse(Refusal::LowerEpoch),
        () if differs || beacons_differ(ours, theirs) => Verdict::Refuse(Refusal::HistoryDiffers),
        () if theirs.revision < ours.revision => Verdict::Refuse(Refusal::LowerRevision),
        () => Verdict::Accept,
    }
}

/// A history that has reached our revision has our newest beacon, or a newer one.
fn beacons_differ(ours: &Followed, theirs: &Snapshot) -> bool {
    let Some((at, beacon)) = &ours.beacon else {
        return false;
    };
    match &theirs.beacon {
        _ if theirs.revision < *at => false,
        Some((theirs_at, theirs)) => theirs_at < at || (theirs_at == at && theirs.id != beacon.id),
        None => true,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowerEpoch => "its epoch is older than the one followed; is this the wrong control plane?",
            Self::LowerRevision => {
                "it is older than what this edge has applied; if a backup was restored, raise the epoch"
            }
            Self::HistoryDiffers => {
                "it is another history than the one followed; if a backup was restored, raise the epoch"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seawall_config::feed::Beacon;
    use seawall_config::{Epoch, Revision};

    fn picture(epoch: u64, revision: u64, beacon: Option<(u64, &str)>) -> Snapshot {
        let at_ms = 0;
        let beacon = beacon.map(|(at, id)| {
            (
                Revision(at),
                Beacon {
                    id: id.into(),
                    at_ms,
                },
            )
        });
        Snapshot {
            epoch: Epoch(epoch),
            revision: Revision(revision),
            beacon,
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_snapshot_never_takes_the_edge_back() {
        let ours = Followed::from_snapshot(picture(2, 50, Some((49, "b")))).unwrap();
        let check = |epoch, revision, beacon, differs, expect: Option<Refusal>| {
            let expect = expect.map_or(Verdict::Accept, Verdict::Refuse);
            let theirs = picture(epoch, revision, beacon);
            let case = format!("{epoch}-{revision} {beacon:?} {differs}");
            assert_eq!(judge(Some(&ours), &theirs, differs), expect, "{case}");
            assert_eq!(judge(None, &theirs, differs), Verdict::Accept, "{case}");
        };
        use Refusal::{HistoryDiffers, LowerEpoch, LowerRevision};
        check(2, 60, Some((59, "d")), false, None);
        check(2, 50, Some((49, "b")), false, None);
        check(2, 49, Some((49, "b")), false, Some(LowerRevision));
        check(2, 40, Some((39, "a")), false, Some(LowerRevision));
        check(1, 900, Some((899, "x")), false, Some(LowerEpoch));
        check(3, 1, None, false, None);
        // An operator who raised the epoch has the last word, whatever the history.
        check(3, 1, None, true, None);
        check(2, 60, Some((59, "d")), true, Some(HistoryDiffers));
        check(2, 40, Some((39, "a")), true, Some(HistoryDiffers));
        check(1, 60, None, true, Some(LowerEpoch));
        // Also when nobody says that the history differs, but it shows.
        check(2, 60, Some((49, "x")), false, Some(HistoryDiffers));
        check(2, 60, Some((48, "a")), false, Some(HistoryDiffers));
        check(2, 60, None, false, Some(HistoryDiffers));
    }
}
