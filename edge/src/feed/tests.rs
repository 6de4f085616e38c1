//! The follower's rules, played as scripts: `what it is told => what it does`, one a line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use seawall_config::feed::{Beacon, SiteDocument};
use seawall_config::scope::{Mode, Scope};
use serde_json::json;

const NOW: Now = Now {
    boot_ms: 10_000,
    wall_ms: 1_000_000,
    random: u64::MAX,
};

/// What a line of a script tells: `frame 1-6 site purge`, `snapshot 1-6 5-b` (its newest beacon), `history-differs` …
fn input(text: &str) -> Input {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        ["frame", token, changes @ ..] => {
            let Token { epoch, revision } = token.parse().unwrap();
            let changes = changes.iter().map(|word| change(word, revision)).collect();
            Input::Frame(Frame {
                epoch,
                revision,
                changes,
            })
        }
        ["snapshot", token, beacon @ ..] => {
            Input::Snapshot(picture(token, beacon.first().copied()))
        }
        ["opened"] => Input::Opened,
        ["ended"] => Input::Ended,
        ["garbage"] => Input::Unreadable("garbage".into()),
        ["history-gone"] => Input::Gone(Gone::History),
        ["history-differs"] => Input::Gone(Gone::Differs),
        ["silence"] => Input::Tick,
        _ => panic!("{text:?}"),
    }
}

fn change(word: &str, revision: Revision) -> Change {
    let (name, settle_ms) = (String::from("a"), 0);
    match word {
        "site" => Change::PutSite(SiteDocument {
            name,
            created: revision,
            revision,
            site: json!({}),
        }),
        "no-site" => Change::DeleteSite { name },
        "purge" => Change::Purge {
            scopes: vec![Scope::Everything],
            mode: Mode::Hard,
            settle_ms,
        },
        id => Change::Beacon(Beacon {
            id: id.into(),
            at_ms: NOW.wall_ms,
        }),
    }
}

fn picture(token: &str, beacon: Option<&str>) -> Snapshot {
    let Token { epoch, revision } = token.parse().unwrap();
    let (at, id) = beacon.map_or(("0", "first"), |beacon| beacon.split_once('-').unwrap());
    let (at, id, at_ms) = (Revision(at.parse().unwrap()), id.into(), 0);
    let beacon = Some((at, Beacon { id, at_ms }));
    Snapshot {
        epoch,
        revision,
        beacon,
        ..Snapshot::default()
    }
}

/// Effects, one word each; what is asked, and of whom, in the words of the wire.
fn told(effects: &[Effect]) -> String {
    let asked = |ask: &Ask| match ask {
        Ask::Snapshot => "snapshot".to_owned(),
        Ask::Feed {
            after,
            beacon: None,
        } => format!("feed {after}"),
        Ask::Feed {
            after,
            beacon: Some((at, id)),
        } => format!("feed {after} {at}-{id}"),
    };
    let word = |effect: &Effect| match effect {
        Effect::Apply(frame) => format!("apply {}", frame.revision),
        Effect::Reset => "reset".into(),
        Effect::Persist => "persist".into(),
        Effect::HeartbeatNow => "heartbeat".into(),
        Effect::Problem(_) => "problem".into(),
        Effect::Ask { ask, plane, .. } => format!("{} of {plane}", asked(ask)),
    };
    effects.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn play(follower: &mut Follower, script: &str) {
    for line in script.trim().lines() {
        let (said, expect) = line.split_once("=>").unwrap();
        assert_eq!(
            told(&follower.on(input(said), NOW)),
            expect.trim(),
            "{line}"
        );
    }
}

/// It has `1-<revision>`, last the beacon `b` one before, and has just opened the feed.
fn following(revision: u64) -> Follower {
    let kept = picture(
        &format!("1-{revision}"),
        Some(&format!("{}-b", revision - 1)),
    );
    let (mut follower, _) = Follower::new(Some(Arc::new(Followed::from_snapshot(kept).unwrap())));
    play(&mut follower, "opened =>");
    follower
}

fn delay_ms(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask { delay_ms, .. } => Some(*delay_ms),
        _ => None,
    })
}

#[test]
fn an_edge_that_has_nothing_asks_for_everything_and_then_follows() {
    let (mut follower, first) = Follower::new(None);
    assert_eq!(
        (told(&first), delay_ms(&first)),
        ("snapshot of 0".into(), Some(0))
    );
    assert_eq!(follower.position(), Position::default());
    play(
        &mut follower,
        "ended             => snapshot of 1
         snapshot 1-5 4-b  => reset, heartbeat, persist, feed 1-5 4-b of 1
         opened            =>
         frame 1-5         =>
         frame 1-7         => apply 7",
    );
    let position = follower.position();
    assert_eq!(
        (position.applied.unwrap().revision, position.heard),
        (Revision(7), true)
    );
}

#[test]
fn an_edge_that_kept_something_serves_it_at_once_and_asks_what_came_after() {
    let kept = Followed::from_snapshot(Snapshot {
        beacon: None,
        ..picture("3-9", None)
    })
    .unwrap();
    let (mut follower, first) = Follower::new(Some(Arc::new(kept)));
    assert_eq!(
        (told(&first), delay_ms(&first)),
        ("reset, feed 3-9 of 0".into(), Some(0))
    );
    play(&mut follower, "opened =>");
    assert!(
        !follower.position().heard,
        "nobody but the disk has said it"
    );
    // The first line says only that there is a feed.
    play(&mut follower, "frame 3-9 =>");
    assert!(follower.position().heard);
}

#[test]
fn a_frame_is_applied_once_and_says_what_else_is_due() {
    let mut follower = following(5);
    play(
        &mut follower,
        "frame 1-6 site           => apply 6, persist
         frame 1-6 site           =>
         frame 1-4 purge          =>
         frame 1-8 purge          => apply 8, heartbeat, persist
         frame 1-9 c              => apply 9
         frame 1-10 purge site d  => apply 10, heartbeat, persist
         frame 1-11 no-site       => apply 11, persist
         ended                    => feed 1-11 10-d of 1",
    );
    let followed = follower.followed().unwrap();
    let purges: Vec<_> = followed
        .purges
        .iter()
        .map(|record| record.revision.0)
        .collect();
    assert_eq!((purges, followed.sites.len()), (vec![8, 10], 0));
}

#[test]
fn a_frame_is_applied_whole_or_not_at_all() {
    let mut follower = following(5);
    let before = follower.followed().cloned();
    play(
        &mut follower,
        "frame 1-6 purge site no/beacon => problem, feed 1-5 4-b of 1",
    );
    assert_eq!(follower.followed().cloned(), before);
}

#[test]
fn what_is_kept_for_the_disk_does_not_change_under_its_hands() {
    let mut follower = following(5);
    let saving = follower.followed().unwrap().clone();
    play(
        &mut follower,
        "frame 1-6 purge => apply 6, heartbeat, persist",
    );
    assert_eq!((saving.revision, saving.purges.len()), (Revision(5), 0));
}

#[test]
fn a_frame_of_another_epoch_ends_the_stream_and_changes_nothing() {
    for epoch in [0, 2] {
        let mut follower = following(5);
        let before = follower.followed().cloned();
        play(
            &mut follower,
            &format!("frame {epoch}-6 purge => problem, feed 1-5 4-b of 1"),
        );
        assert_eq!(follower.followed().cloned(), before);
    }
}

#[test]
fn an_edge_offered_another_history_stays_with_its_own_until_the_epoch_is_raised() {
    let mut follower = following(50);
    let before = follower.followed().cloned();
    // What stays the same is told once.
    play(
        &mut follower,
        "history-differs     => snapshot of 0
         snapshot 1-60 59-x  => problem, feed 1-50 49-b of 1
         history-differs     => snapshot of 1
         snapshot 1-61 59-x  => feed 1-50 49-b of 2",
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
        "history-differs => snapshot of 2
         snapshot 2-62   => reset, heartbeat, persist, feed 2-62 0-first of 2",
    );
    assert_eq!(follower.position().problem, None);
    // Or it shows in the middle of a feed.
    play(
        &mut following(50),
        "frame 1-49 b        =>
         frame 1-49 x        => problem, snapshot of 1
         snapshot 1-90 49-b  => problem, feed 1-50 49-b of 2",
    );
}

#[test]
fn a_feed_that_goes_on_after_all_ends_the_trouble() {
    let mut follower = following(50);
    play(
        &mut follower,
        "history-gone        => snapshot of 0
         snapshot 1-40 39-a  => problem, feed 1-50 49-b of 1
         opened              =>
         frame 1-51          => apply 51",
    );
    assert_eq!(follower.position().problem, None);
}

#[test]
fn a_history_that_is_gone_is_made_up_for_by_a_snapshot_that_holds_together() {
    play(
        &mut following(50),
        "history-gone        => snapshot of 0
         ended               => snapshot of 1
         garbage             => problem, snapshot of 2
         snapshot 1-90 91-d  => problem, snapshot of 3
         snapshot 1-90 89-d  => reset, heartbeat, persist, feed 1-90 89-d of 3",
    );
}

#[test]
fn a_line_that_cannot_be_read_is_tried_again_and_then_gone_around() {
    play(
        &mut following(50),
        "frame 1-51          => apply 51
         garbage             => problem, feed 1-51 49-b of 1
         opened              =>
         garbage             => snapshot of 2
         snapshot 1-53 52-d  => reset, heartbeat, persist, feed 1-53 52-d of 2",
    );
}

#[test]
fn silence_is_taken_for_death_also_after_a_suspend() {
    let at = |boot_ms| Now { boot_ms, ..NOW };
    let mut follower = following(5);
    assert_eq!(follower.silent_ms(), Some(NOW.boot_ms + SILENCE_MS));
    assert_eq!(
        follower.on(Input::Tick, at(NOW.boot_ms + SILENCE_MS - 1)),
        []
    );
    follower.on(input("frame 1-5"), at(12_000));
    assert_eq!(
        follower.on(Input::Tick, at(14_999)),
        [],
        "a line with nothing new is a sign of life"
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
    let slept = follower.on(Input::Tick, at(3_700_000));
    assert_eq!(told(&slept), "feed 1-5 4-b of 2", "for an hour");
}

#[test]
fn retries_wait_longer_and_longer_and_never_all_alike() {
    let check = |retries: u32, bound_ms: u64| {
        assert_eq!(backoff_ms(retries, bound_ms), bound_ms, "{retries}");
        assert_eq!(
            backoff_ms(retries, bound_ms + 1),
            0,
            "{retries}: it begins at nothing"
        );
        assert!(backoff_ms(retries, u64::MAX) <= bound_ms, "{retries}");
    };
    check(1, 50);
    check(2, 100);
    check(8, 6_400);
    check(9, 10_000);
    check(u32::MAX, 10_000);
}

#[test]
fn only_frames_count_as_success() {
    // Draws the whole bound, as long as that is one of these.
    let draw = |bound_ms: u64| Now {
        random: bound_ms,
        ..NOW
    };
    let mut follower = following(5);
    for bound_ms in [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
        assert_eq!(
            delay_ms(&follower.on(Input::Ended, draw(bound_ms))),
            Some(bound_ms)
        );
        follower.on(Input::Opened, NOW);
    }
    follower.on(input("history-gone"), NOW);
    let taken = follower.on(input("snapshot 1-9 8-d"), NOW);
    assert_eq!(
        delay_ms(&taken),
        Some(0),
        "what was asked for is followed at once"
    );
    assert_eq!(
        delay_ms(&follower.on(Input::Ended, draw(10_000))),
        Some(10_000)
    );
    play(&mut follower, "opened =>\nframe 1-10 => apply 10");
    assert_eq!(delay_ms(&follower.on(Input::Ended, draw(50))), Some(50));
}

#[test]
fn the_lag_is_what_a_beacon_was_under_way_and_never_less_than_nothing() {
    let at = |wall_ms| Now { wall_ms, ..NOW };
    let mut follower = following(5);
    assert_eq!(follower.position().lag_ms, None);
    follower.on(input("frame 1-6 c"), at(NOW.wall_ms + 250));
    assert_eq!(follower.position().lag_ms, Some(250));
    assert_eq!(follower.beacon_age_ms(NOW.wall_ms + 1_250), Some(1_250));
    let told = |ms| follower.position().lag_ms(NOW.wall_ms + ms);
    assert_eq!([told(3_250), told(10_000)], [Some(250), Some(10_000)]);
    follower.on(input("frame 1-7 d"), at(NOW.wall_ms - 250));
    assert_eq!(follower.position().lag_ms, Some(0), "the clocks differ");
}
