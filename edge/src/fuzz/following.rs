//! The follower, whatever it is told and however often it is cut off: it never goes back, never leaves anything out,
//! and never mixes histories.

use seawall_config::feed::{Beacon, Change, Frame, PurgeRecord, SiteDocument, Snapshot};
use seawall_config::{Epoch, Mode, Revision, Scope, Token};
use serde_json::json;

use super::Input as Bytes;
use crate::feed::{Ask, Effect, Followed, Follower, Gone, Input, Now};

/// The newest revision of each history.
const NEWEST: u64 = 40;
const STEPS_MAX: usize = 20;

/// What a store went through. All histories begin alike; a restored backup goes on otherwise.
#[derive(Clone, Copy, Debug)]
struct History {
    epoch: u64,
    /// From this revision on it is another one than the first.
    differs_from: u64,
}

const HISTORIES: [History; 3] = [
    History {
        epoch: 1,
        differs_from: u64::MAX,
    },
    // Nobody raised the epoch.
    History {
        epoch: 1,
        differs_from: 15,
    },
    History {
        epoch: 2,
        differs_from: 25,
    },
];

/// Control planes that say what is so, lag, forget, and break off anywhere: what is followed is always one whole
/// revision of one history.
pub(super) fn of_honest_planes(bytes: &mut Bytes<'_>) {
    let (mut follower, mut effects) = Follower::new(None);
    for _ in 0..STEPS_MAX {
        let plane = bytes.one_of(&HISTORIES);
        let head = 1 + u64::from(bytes.byte()) % NEWEST;
        let ask = effects.iter().rev().find_map(|effect| match effect {
            Effect::Ask { ask, .. } => Some(ask.clone()),
            _ => None,
        });
        for input in plane.answers(ask.unwrap_or(Ask::Snapshot), head, bytes) {
            let before = place(&follower);
            effects = follower.on(input, now(bytes));
            let after = place(&follower);
            assert!(after >= before, "it went back from {before:?} to {after:?}");
            let is_whole = |history: &History| {
                let model = history.snapshot(after.map_or(0, |(_, revision)| revision.0));
                Followed::from_snapshot(model).ok().as_ref() == follower.followed().map(|f| &**f)
            };
            assert!(
                after == before || HISTORIES.iter().any(is_whole),
                "what it has at {after:?} never was"
            );
        }
    }
}

/// Any inputs at all, in any order: it never goes back, and applies nothing twice.
pub(super) fn of_any_offers(bytes: &mut Bytes<'_>) {
    let (mut follower, _) = Follower::new(None);
    for _ in 0..STEPS_MAX {
        let (plane, revision) = (bytes.one_of(&HISTORIES), u64::from(bytes.byte()) % NEWEST);
        let input = match bytes.byte() % 8 {
            0 | 1 => Input::Snapshot(plane.snapshot(revision)),
            2..=4 => Input::Frame(plane.frame(revision)),
            5 => Input::Opened,
            6 => Input::Gone(bytes.one_of(&[Gone::History, Gone::Differs])),
            _ => fault(bytes),
        };
        let before = place(&follower);
        let effects = follower.on(input, now(bytes));
        let after = place(&follower);
        assert!(after >= before, "it went back from {before:?} to {after:?}");
        for effect in effects {
            if let Effect::Apply(frame) = effect {
                assert!(before.is_some_and(|before| before < (frame.epoch, frame.revision)));
                assert_eq!(after, Some((frame.epoch, frame.revision)));
            }
        }
    }
}

impl History {
    /// What a plane that knows it up to `head` answers, as far as it comes.
    fn answers(self, ask: Ask, head: u64, bytes: &mut Bytes<'_>) -> Vec<Input> {
        if bytes.byte().is_multiple_of(4) {
            return vec![fault(bytes)];
        }
        let Ask::Feed { after, beacon } = ask else {
            return vec![Input::Snapshot(self.snapshot(head))];
        };
        let knows = |(revision, id): &(Revision, String)| {
            revision.0 <= head && *id == self.beacon(revision.0).id
        };
        let token = Token {
            epoch: Epoch(self.epoch),
            ..after
        };
        if after != token || after.revision.0 > head || !beacon.as_ref().is_none_or(knows) {
            return vec![Input::Gone(Gone::Differs)];
        }
        if bytes.byte().is_multiple_of(4) {
            return vec![Input::Gone(Gone::History)];
        }
        // Some of it comes twice.
        let first = after
            .revision
            .0
            .saturating_sub(u64::from(bytes.byte() % 3))
            .max(1);
        let last = first + u64::from(bytes.byte()) % 12;
        let frames = (first..=last.min(head)).map(|revision| Input::Frame(self.frame(revision)));
        [Input::Opened]
            .into_iter()
            .chain(frames)
            .chain([fault(bytes)])
            .collect()
    }

    /// Each revision does one thing, and has a beacon.
    fn frame(self, revision: u64) -> Frame {
        let name = format!("site-{}", revision % 5);
        let at = Revision(revision);
        let change = match revision % 7 {
            0 => Change::DeleteSite { name },
            1 | 2 => Change::Purge {
                scopes: vec![Scope::Tag(self.text(revision))],
                mode: Mode::Hard,
                settle_ms: 0,
            },
            _ => Change::PutSite(SiteDocument {
                name,
                created: at,
                revision: at,
                site: json!({"says": self.text(revision)}),
            }),
        };
        Frame {
            epoch: Epoch(self.epoch),
            revision: at,
            changes: vec![change, Change::Beacon(self.beacon(revision))],
        }
    }

    /// All of it up to a revision, told another way than by frames.
    fn snapshot(self, revision: u64) -> Snapshot {
        let mut snapshot = Snapshot {
            epoch: Epoch(self.epoch),
            revision: Revision(revision),
            beacon: (revision > 0).then(|| (Revision(revision), self.beacon(revision))),
            ..Snapshot::default()
        };
        for at in 1..=revision {
            for change in self.frame(at).changes {
                match change {
                    Change::PutSite(site) => {
                        snapshot.sites.retain(|other| other.name != site.name);
                        snapshot.sites.push(site);
                    }
                    Change::DeleteSite { name } => {
                        snapshot.sites.retain(|other| other.name != name)
                    }
                    Change::Count { .. } | Change::Drain(_) => {}
                    Change::Purge {
                        scopes,
                        mode,
                        settle_ms,
                    } => snapshot.purges.push(PurgeRecord {
                        revision: Revision(at),
                        scopes,
                        mode,
                        settle_ms,
                    }),
                    Change::Beacon(_) => {}
                }
            }
        }
        snapshot
    }

    fn beacon(self, revision: u64) -> Beacon {
        let (id, at_ms) = (self.text(revision), revision);
        Beacon { id, at_ms }
    }

    fn text(self, revision: u64) -> String {
        match revision >= self.differs_from {
            true => format!("e{}d{}r{revision}", self.epoch, self.differs_from),
            false => format!("r{revision}"),
        }
    }
}

fn fault(bytes: &mut Bytes<'_>) -> Input {
    bytes.one_of(&[Input::Ended, Input::Tick, Input::Unreadable("so".into())])
}

fn place(follower: &Follower) -> Option<(Epoch, Revision)> {
    let followed = follower.followed()?;
    Some((followed.epoch, followed.revision))
}

fn now(bytes: &mut Bytes<'_>) -> Now {
    Now {
        boot_ms: bytes.number(),
        wall_ms: bytes.number(),
        random: bytes.number(),
    }
}
