//! The follower's rules, played as scripts: what is said to it, and what it does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use seawall_config::feed::{Beacon, PurgeRecord, SiteDocument};
use seawall_config::{Epoch, Mode, Scope};
use serde_json::json;

const NOW: Now = Now {
    boot_ms: 10_000,
    wall_ms: 1_000_000,
    random: u64::MAX,
};

fn site() -> Change {
    let revision = Revision(1);
    Change::PutSite(SiteDocument {
        name: "a".into(),
        created: revision,
        revision,
        site: json!({}),
    })
}

fn purge() -> Change {
    Change::Purge {
        scopes: vec![Scope::Everything],
        mode: Mode::Hard,
    }
}

fn beacon(id: &str, at_ms: u64) -> Change {
    Change::Beacon(Beacon {
        id: id.into(),
        at_ms,
    })
}

fn frame(epoch: u64, revision: u64, changes: Vec<Change>) -> Input {
    Input::Frame(Frame {
        epoch: Epoch(epoch),
        revision: Revision(revision),
        changes,
    })
}

fn picture(epoch: u64, revision: u64, beacon: Option<(u64, &str)>) -> Snapshot {
    let beacon = beacon.map(|(at, id)| {
        (
            Revision(at),
            Beacon {
                id: id.into(),
                at_ms: 0,
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

/// A follower that has `epoch-revision` and beacon `b` at `revision - 1`, and has just opened the feed.
fn following(epoch: u64, revision: u64) -> Follower {
    let kept =
        Followed::from_snapshot(picture(epoch, revision, Some((revision - 1, "b")))).unwrap();
    let (mut follower, _) = Follower::new(Some(kept));
    assert_eq!(follower.on(Input::Opened, NOW), []);
    follower
}

/// Effects, one word each; what is asked, and of whom, in the words of the wire.
fn told(effects: &[Effect]) -> String {
    let word = |effect: &Effect| match effect {
        Effect::Apply(frame) => format!("apply {}", frame.revision),
        Effect::Reset => "reset".into(),
        Effect::Persist => "persist".into(),
        Effect::HeartbeatNow => "heartbeat".into(),
        Effect::Problem(_) => "problem".into(),
        Effect::Ask {
            ask: Ask::Snapshot,
            plane,
            ..
        } => format!("snapshot of {plane}"),
        Effect::Ask {
            ask: Ask::Feed {
                after,
                beacon: None,
            },
            plane,
            ..
        } => format!("feed {after} of {plane}"),
        Effect::Ask {
            ask:
                Ask::Feed {
                    after,
                    beacon: Some((at, id)),
                },
            plane,
            ..
        } => {
            format!("feed {after} {at}-{id} of {plane}")
        }
    };
    effects.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn play(follower: &mut Follower, script: &[(Input, &str)]) {
    for (input, expect) in script {
        assert_eq!(told(&follower.on(input.clone(), NOW)), *expect, "{input:?}");
    }
}

#[test]
fn an_edge_that_has_nothing_asks_for_everything_and_then_follows() {
    let (mut follower, first) = Follower::new(None);
    assert_eq!(
        first,
        [Effect::Ask {
            ask: Ask::Snapshot,
            plane: 0,
            delay_ms: 0
        }]
    );
    assert_eq!(follower.position(), Position::default());
    play(
        &mut follower,
        &[
            (Input::Ended, "snapshot of 1"),
            (
                Input::Snapshot(picture(1, 5, Some((4, "b")))),
                "reset, heartbeat, persist, feed 1-5 4-b of 1",
            ),
            (Input::Opened, ""),
            (frame(1, 5, vec![]), ""),
            (frame(1, 7, vec![]), "apply 7"),
        ],
    );
    let position = follower.position();
    assert_eq!(
        (position.applied, position.heard),
        (
            Some(Applied {
                epoch: Epoch(1),
                revision: Revision(7)
            }),
            true
        )
    );
}

#[test]
fn an_edge_that_kept_something_serves_it_at_once_and_asks_what_came_after() {
    let kept = Followed::from_snapshot(picture(3, 9, None)).unwrap();
    let (mut follower, first) = Follower::new(Some(kept));
    assert_eq!(told(&first), "reset, feed 3-9 of 0");
    assert!(
        !follower.position().heard,
        "nobody but the disk has said it"
    );
    play(&mut follower, &[(Input::Opened, "")]);
    assert!(!follower.position().heard);
    // The first line says only that there is a feed.
    play(&mut follower, &[(frame(3, 9, vec![]), "")]);
    assert!(follower.position().heard);
}

#[test]
fn a_frame_is_applied_once_and_says_what_else_is_due() {
    let mut follower = following(1, 5);
    play(
        &mut follower,
        &[
            (frame(1, 6, vec![site()]), "apply 6, persist"),
            (frame(1, 6, vec![site()]), ""),
            (frame(1, 4, vec![purge()]), ""),
            (frame(1, 8, vec![purge()]), "apply 8, heartbeat, persist"),
            (frame(1, 9, vec![beacon("c", 0)]), "apply 9"),
            (
                frame(1, 10, vec![purge(), site(), beacon("d", 0)]),
                "apply 10, heartbeat, persist",
            ),
            (
                frame(1, 11, vec![Change::DeleteSite { name: "a".into() }]),
                "apply 11, persist",
            ),
            (Input::Ended, "feed 1-11 10-d of 1"),
        ],
    );
    let followed = follower.followed().unwrap();
    let purges: Vec<_> = followed
        .purges
        .iter()
        .map(|record: &PurgeRecord| record.revision.0)
        .collect();
    assert_eq!((purges, followed.sites.len()), (vec![8, 10], 0));
}

#[test]
fn a_frame_is_applied_whole_or_not_at_all() {
    let mut follower = following(1, 5);
    let before = follower.followed().cloned();
    play(
        &mut follower,
        &[(
            frame(1, 6, vec![purge(), site(), beacon("not an id", 0)]),
            "problem, feed 1-5 4-b of 1",
        )],
    );
    assert_eq!(follower.followed().cloned(), before);
}

#[test]
fn what_is_kept_for_the_disk_does_not_change_under_its_hands() {
    let mut follower = following(1, 5);
    let saving = follower.followed().unwrap().clone();
    play(
        &mut follower,
        &[(frame(1, 6, vec![purge()]), "apply 6, heartbeat, persist")],
    );
    assert_eq!((saving.revision, saving.purges.len()), (Revision(5), 0));
}

#[test]
fn a_frame_of_another_epoch_ends_the_stream_and_changes_nothing() {
    for epoch in [0, 2] {
        let mut follower = following(1, 5);
        play(
            &mut follower,
            &[(frame(epoch, 6, vec![purge()]), "problem, feed 1-5 4-b of 1")],
        );
        assert_eq!(follower.followed().unwrap().revision, Revision(5));
    }
}

#[test]
fn a_snapshot_never_takes_the_edge_back() {
    let ours = Followed::from_snapshot(picture(2, 50, Some((49, "b")))).unwrap();
    let check = |epoch, revision, beacon, differs, expect: Result<(), Refusal>| {
        let expect = expect.map_or_else(Verdict::Refuse, |()| Verdict::Accept);
        let theirs = picture(epoch, revision, beacon);
        assert_eq!(
            judge(Some(&ours), &theirs, differs),
            expect,
            "{epoch}-{revision} {beacon:?} {differs}"
        );
        assert_eq!(
            judge(None, &theirs, differs),
            Verdict::Accept,
            "there is nothing to take back"
        );
    };
    check(2, 60, Some((59, "d")), false, Ok(()));
    check(2, 50, Some((49, "b")), false, Ok(()));
    check(2, 49, Some((49, "b")), false, Err(Refusal::LowerRevision));
    check(2, 40, Some((39, "a")), false, Err(Refusal::LowerRevision));
    check(1, 900, Some((899, "x")), false, Err(Refusal::LowerEpoch));
    check(3, 1, None, false, Ok(()));
    // An operator who raised the epoch has the last word, whatever the history.
    check(3, 1, None, true, Ok(()));
    check(2, 60, Some((59, "d")), true, Err(Refusal::HistoryDiffers));
    check(2, 40, Some((39, "a")), true, Err(Refusal::HistoryDiffers));
    check(1, 60, None, true, Err(Refusal::LowerEpoch));
    // Also when nobody says that the history differs, but it shows.
    check(2, 60, Some((49, "x")), false, Err(Refusal::HistoryDiffers));
    check(2, 60, Some((48, "a")), false, Err(Refusal::HistoryDiffers));
    check(2, 60, None, false, Err(Refusal::HistoryDiffers));
}

#[test]
fn an_edge_offered_another_history_stays_with_its_own_until_the_epoch_is_raised() {
    let mut follower = following(1, 50);
    let before = follower.followed().cloned();
    play(
        &mut follower,
        &[
            (Input::Gone(Gone::Differs), "snapshot of 0"),
            (
                Input::Snapshot(picture(1, 60, Some((59, "x")))),
                "problem, feed 1-50 49-b of 1",
            ),
            (Input::Gone(Gone::Differs), "snapshot of 1"),
            // It is told once.
            (
                Input::Snapshot(picture(1, 61, Some((59, "x")))),
                "feed 1-50 49-b of 2",
            ),
        ],
    );
    assert_eq!(follower.followed().cloned(), before);
    assert!(
        follower
            .position()
            .problem
            .unwrap()
            .message
            .contains("raise the epoch")
    );
    play(
        &mut follower,
        &[
            (Input::Gone(Gone::Differs), "snapshot of 2"),
            (
                Input::Snapshot(picture(2, 62, None)),
                "reset, heartbeat, persist, feed 2-62 of 2",
            ),
        ],
    );
    assert_eq!(follower.position().problem, None);
}

#[test]
fn a_feed_that_goes_on_after_all_ends_the_trouble() {
    let mut follower = following(1, 50);
    play(
        &mut follower,
        &[
            (Input::Gone(Gone::History), "snapshot of 0"),
            (
                Input::Snapshot(picture(1, 40, Some((39, "a")))),
                "problem, feed 1-50 49-b of 1",
            ),
            (Input::Opened, ""),
            (frame(1, 51, vec![]), "apply 51"),
        ],
    );
    assert_eq!(follower.position().problem, None);
}

#[test]
fn a_history_that_is_gone_is_made_up_for_by_a_snapshot() {
    let mut follower = following(1, 50);
    play(
        &mut follower,
        &[
            (Input::Gone(Gone::History), "snapshot of 0"),
            (Input::Ended, "snapshot of 1"),
            (Input::Unreadable("x".into()), "problem, snapshot of 2"),
            (
                Input::Snapshot(picture(1, 90, Some((89, "d")))),
                "reset, heartbeat, persist, feed 1-90 89-d of 2",
            ),
        ],
    );
}

#[test]
fn a_snapshot_that_does_not_hold_together_is_not_taken() {
    let mut follower = following(1, 50);
    let floor = Snapshot {
        floor: Revision(99),
        ..picture(1, 90, Some((89, "d")))
    };
    play(
        &mut follower,
        &[
            (Input::Gone(Gone::History), "snapshot of 0"),
            (Input::Snapshot(floor), "problem, snapshot of 1"),
        ],
    );
    assert_eq!(follower.followed().unwrap().revision, Revision(50));
}

#[test]
fn a_line_that_cannot_be_read_is_tried_again_and_then_gone_around() {
    let mut follower = following(1, 50);
    play(
        &mut follower,
        &[
            (frame(1, 51, vec![]), "apply 51"),
            (
                Input::Unreadable("x".into()),
                "problem, feed 1-51 49-b of 1",
            ),
            (Input::Opened, ""),
            (Input::Unreadable("x".into()), "snapshot of 2"),
            (
                Input::Snapshot(picture(1, 53, Some((52, "d")))),
                "reset, heartbeat, persist, feed 1-53 52-d of 2",
            ),
        ],
    );
}

#[test]
fn silence_is_taken_for_death_also_after_a_suspend() {
    let at = |boot_ms| Now { boot_ms, ..NOW };
    let mut follower = following(1, 5);
    assert_eq!(follower.silent_ms(), Some(NOW.boot_ms + SILENCE_MS));
    assert_eq!(
        follower.on(Input::Tick, at(NOW.boot_ms + SILENCE_MS - 1)),
        []
    );
    follower.on(frame(1, 5, vec![]), at(12_000));
    assert_eq!(
        follower.on(Input::Tick, at(14_999)),
        [],
        "a line that brings nothing new is a sign of life"
    );
    assert_eq!(
        told(&follower.on(Input::Tick, at(15_000))),
        "feed 1-5 4-b of 1"
    );
    assert_eq!(
        follower.silent_ms(),
        None,
        "nobody is expected to say anything"
    );
    assert_eq!(follower.on(Input::Tick, at(99_000)), []);
    follower.on(Input::Opened, at(100_000));
    assert_eq!(
        told(&follower.on(Input::Tick, at(3_700_000))),
        "feed 1-5 4-b of 2",
        "it slept for an hour"
    );
}

#[test]
fn retries_wait_longer_and_longer_and_never_all_alike() {
    let bounds = [
        (0, 50),
        (1, 50),
        (2, 100),
        (3, 200),
        (8, 6_400),
        (9, 10_000),
        (10, 10_000),
        (u32::MAX, 10_000),
    ];
    for (retries, bound_ms) in bounds {
        assert_eq!(backoff_ms(retries, bound_ms), bound_ms, "{retries}");
        assert_eq!(
            backoff_ms(retries, bound_ms + 1),
            0,
            "{retries}: full jitter begins at nothing"
        );
        assert!(backoff_ms(retries, u64::MAX) <= bound_ms);
    }
}

#[test]
fn a_feed_that_ends_is_asked_of_the_next_control_plane_and_only_frames_count_as_success() {
    let mut follower = following(1, 5);
    let random = BACKOFF_MS_MAX;
    let mut delay = |input: Input| {
        let effects = follower.on(
            input,
            Now {
                random: random * (random + 1) + 37,
                ..NOW
            },
        );
        effects.into_iter().find_map(|effect| match effect {
            Effect::Ask {
                delay_ms, plane, ..
            } => Some((delay_ms, plane)),
            _ => None,
        })
    };
    let plane = |found: Option<(u64, usize)>| found.unwrap().1;
    assert_eq!(plane(delay(Input::Ended)), 1);
    assert_eq!(delay(Input::Opened), None);
    for retry in 2..12 {
        assert_eq!(plane(delay(Input::Ended)), retry);
    }
    assert_eq!(
        delay(Input::Ended),
        Some((37, 12)),
        "far out, the whole bound is drawn from"
    );
    delay(Input::Opened);
    delay(frame(1, 6, vec![]));
    assert!(
        delay(Input::Ended).unwrap().0 <= BACKOFF_FIRST_MS,
        "begins anew after a frame"
    );
}

#[test]
fn the_lag_is_what_a_beacon_was_under_way_and_never_less_than_nothing() {
    let mut follower = following(1, 5);
    assert_eq!(follower.position().lag_ms, None);
    follower.on(frame(1, 6, vec![beacon("c", NOW.wall_ms - 250)]), NOW);
    assert_eq!(follower.position().lag_ms, Some(250));
    assert_eq!(follower.beacon_age_ms(NOW.wall_ms + 1_000), Some(1_250));
    follower.on(frame(1, 7, vec![beacon("d", NOW.wall_ms + 250)]), NOW);
    assert_eq!(follower.position().lag_ms, Some(0), "the clocks differ");
}
