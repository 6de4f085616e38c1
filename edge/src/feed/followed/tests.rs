//! Frames and snapshots say the same; what does not hold together is not taken; nothing purged is forgotten.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn site(name: &str, revision: u64) -> SiteDocument {
    let revision = Revision(revision);
    SiteDocument {
        name: name.into(),
        created: revision,
        revision,
        site: json!({"name": name}),
    }
}

fn frame(revision: u64, changes: Vec<Change>) -> Frame {
    Frame {
        epoch: Epoch(1),
        revision: Revision(revision),
        changes,
    }
}

fn purge(tag: &str, mode: Mode) -> Change {
    Change::Purge {
        scopes: vec![Scope::Tag(tag.into())],
        mode,
        settle_ms: 0,
    }
}

#[test]
fn frames_and_the_snapshot_of_them_are_the_same() {
    let mut followed = Followed {
        epoch: Epoch(1),
        ..Followed::default()
    };
    let beacon = Beacon {
        id: "b1".into(),
        at_ms: 7,
    };
    for frame in [
        frame(
            1,
            vec![Change::PutSite(site("a", 1)), Change::PutSite(site("b", 1))],
        ),
        frame(
            3,
            vec![
                purge("t", Mode::Soft),
                Change::DeleteSite { name: "b".into() },
            ],
        ),
        frame(
            4,
            vec![
                Change::PutSite(site("a", 4)),
                Change::DeleteSite {
                    name: "none".into(),
                },
            ],
        ),
        frame(5, vec![Change::Beacon(beacon.clone())]),
        frame(6, vec![]),
    ] {
        followed.check(&frame).unwrap();
        followed.advance(&frame);
    }
    assert_eq!(
        (followed.revision, &followed.beacon),
        (Revision(6), &Some((Revision(5), beacon)))
    );
    let names: Vec<_> = followed.sites.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(followed.purges[0].revision, Revision(3));
    assert_eq!(
        Followed::from_snapshot(Snapshot {
            epoch: Epoch(1),
            revision: Revision(6),
            floor: Revision(0),
            beacon: followed.beacon.clone(),
            sites: vec![site("a", 4)],
            purges: followed
                .purges
                .iter()
                .map(|record| (**record).clone())
                .collect(),
            drained: vec![],
        }),
        Ok(followed)
    );
}

#[test]
fn what_does_not_hold_together_is_not_taken() {
    let fine = Snapshot {
        epoch: Epoch(1),
        revision: Revision(5),
        ..Snapshot::default()
    };
    let check = |snapshot: Snapshot, expect: Unsound| {
        assert_eq!(Followed::from_snapshot(snapshot), Err(expect));
    };
    let record = PurgeRecord {
        revision: Revision(7),
        scopes: vec![],
        mode: Mode::Hard,
        settle_ms: 0,
    };
    check(
        Snapshot {
            floor: Revision(6),
            ..fine.clone()
        },
        Unsound::Ahead(Revision(6)),
    );
    check(
        Snapshot {
            purges: vec![record],
            ..fine.clone()
        },
        Unsound::Ahead(Revision(7)),
    );
    check(
        Snapshot {
            sites: vec![site("a", 8)],
            ..fine.clone()
        },
        Unsound::Ahead(Revision(8)),
    );
    check(
        Snapshot {
            sites: vec![site("a", 1), site("a", 2)],
            ..fine.clone()
        },
        Unsound::SiteTwice("a".into()),
    );
    let beacon = |revision: u64, id: &str| {
        Some((
            Revision(revision),
            Beacon {
                id: id.into(),
                at_ms: 0,
            },
        ))
    };
    check(
        Snapshot {
            beacon: beacon(9, "b"),
            ..fine.clone()
        },
        Unsound::Ahead(Revision(9)),
    );
    for id in ["", "a&after=0-0", "a b", &"x".repeat(65)] {
        check(
            Snapshot {
                beacon: beacon(1, id),
                ..fine.clone()
            },
            Unsound::BeaconId,
        );
    }
    let followed = Followed::from_snapshot(fine).unwrap();
    let check = |change: Change, expect: Unsound| {
        assert_eq!(followed.check(&frame(6, vec![change])), Err(expect))
    };
    check(Change::PutSite(site("a", 7)), Unsound::Ahead(Revision(7)));
    check(
        Change::Beacon(Beacon {
            id: "\n".into(),
            at_ms: 0,
        }),
        Unsound::BeaconId,
    );
}

#[test]
fn sites_are_bounded_together_and_one_that_goes_makes_room() {
    let big = |name: &str, revision: u64| {
        let site = json!("x".repeat(SITES_BYTES_MAX / 2));
        let revision = Revision(revision);
        Change::PutSite(SiteDocument {
            name: name.into(),
            created: revision,
            revision,
            site,
        })
    };
    let mut followed = Followed {
        epoch: Epoch(1),
        ..Followed::default()
    };
    followed.advance(&frame(1, vec![big("a", 1)]));
    let second = frame(2, vec![big("b", 2)]);
    assert_eq!(followed.check(&second), Err(Unsound::TooManySites));
    followed.advance(&frame(2, vec![Change::DeleteSite { name: "a".into() }]));
    assert_eq!(followed.check(&frame(3, vec![big("b", 3)])), Ok(()));
    followed.advance(&frame(
        3,
        vec![Change::PutSite(site("a", 3)), Change::PutSite(site("a", 3))],
    ));
    assert_eq!(
        followed.sites_bytes,
        Document::from(site("a", 3)).weight(),
        "a site put twice weighs once"
    );
}

#[test]
fn too_many_purges_fold_into_one_of_everything_for_each_mode() {
    let mut followed = Followed {
        epoch: Epoch(1),
        ..Followed::default()
    };
    followed.advance(&frame(1, vec![purge("soft", Mode::Soft)]));
    for revision in 2..=PURGE_SCOPES_MAX as u64 {
        followed.advance(&frame(revision, vec![purge("hard", Mode::Hard)]));
    }
    assert_eq!(followed.purges.len(), PURGE_SCOPES_MAX);
    followed.advance(&frame(200_000, vec![purge("hard", Mode::Hard)]));
    let record = |revision, mode| {
        Arc::new(PurgeRecord {
            revision: Revision(revision),
            scopes: vec![Scope::Everything],
            mode,
            settle_ms: 0,
        })
    };
    assert_eq!(
        followed.purges,
        [record(1, Mode::Soft), record(200_000, Mode::Hard)]
    );
    followed.advance(&frame(
        200_001,
        vec![purge(&"x".repeat(PURGE_BYTES_MAX + 1), Mode::Soft)],
    ));
    assert_eq!(
        followed.purges,
        [record(200_000, Mode::Hard), record(200_001, Mode::Soft)],
        "bytes count, too"
    );
}
