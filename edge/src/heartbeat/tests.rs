//! The rules of vouching, one table a rule. Times are given as they would pass.
#![allow(clippy::unwrap_used)]

use super::*;
use seawall_config::Epoch;

/// One thing that happens to an edge.
#[derive(Clone, Copy, Debug)]
enum Step {
    Applied(u64, u64),
    Send,
    /// To the oldest that is not answered: the head.
    Answered(u64),
    /// And the revision that registered it.
    Registered(u64, u64),
    Refused,
    Failed,
}
use Step::{Answered, Applied as At, Failed, Refused, Registered, Send};

/// As an older control plane says it.
fn renewal(head: u64) -> Renewal {
    Renewal {
        head: Revision(head),
        registered: None,
    }
}

/// Plays `(time, step, whether it may vouch right after, and until when)`.
#[track_caller]
fn play(steps: &[(u64, Step, Option<u64>)]) -> Heartbeats {
    let (mut heartbeats, mut sent) = (Heartbeats::default(), std::collections::VecDeque::new());
    for (now_ms, step, vouches_until) in steps {
        match *step {
            At(epoch, revision) => {
                heartbeats.applied(
                    Applied {
                        epoch: Epoch(epoch),
                        revision: Revision(revision),
                    },
                    *now_ms,
                );
            }
            Send => sent.push_back(heartbeats.send(*now_ms)),
            Answered(head) => {
                heartbeats.answered(sent.pop_front().unwrap(), renewal(head), *now_ms);
            }
            Registered(head, registered) => {
                let renewal = Renewal {
                    registered: Some(Revision(registered)),
                    ..renewal(head)
                };
                heartbeats.answered(sent.pop_front().unwrap(), renewal, *now_ms);
            }
            Refused => {
                sent.pop_front().unwrap();
                heartbeats.refused(*now_ms);
            }
            Failed => {
                sent.pop_front().unwrap();
                heartbeats.failed();
            }
        }
        let (shared, until) = (Vouching::default(), heartbeats.deadline_ms());
        shared.set(until, true);
        assert_eq!(shared.state(*now_ms), heartbeats.state(true, *now_ms));
        let until = until.filter(|_| shared.vouches(*now_ms));
        assert_eq!(until, *vouches_until, "after {step:?} at {now_ms}");
    }
    heartbeats
}

#[test]
fn an_edge_that_booted_vouches_when_renewed_and_as_far_as_the_head() {
    let until = Some(100 + VOUCH_MS);
    // The answer first, the revision afterwards.
    play(&[
        (0, At(1, 7), None),
        (100, Send, None),
        (150, Answered(9), None),
        (160, At(1, 8), None),
        (170, At(1, 9), until),
    ]);
    // The revision first, as when the feed is faster than the answer.
    play(&[
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Answered(9), until),
    ]);
    // Having a snapshot from disk is not enough, nor is an answer without one.
    play(&[(0, At(1, 7), None), (10_000, At(1, 99), None)]);
    play(&[
        (100, Send, None),
        (150, Answered(9), None),
        (160, At(1, 9), None),
    ]);
    let sent = Sent {
        at_ms: 100,
        applied: None,
    };
    let verdict = Heartbeats::default().answered(sent, renewal(9), 150);
    assert_eq!(verdict, Verdict::Early);
}

#[test]
fn the_deadline_counts_from_sending_and_only_moves_on() {
    let start = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (3_000, Answered(9), Some(10_100)),
    ];
    let later = [
        (4_000, Send, Some(10_100)),
        (4_001, Send, Some(10_100)),
        (6_000, Answered(10), Some(14_000)),
    ];
    play(
        &[
            &start[..],
            &later,
            &[
                (6_001, Answered(11), Some(14_001)),
                (14_000, At(1, 12), Some(14_001)),
            ],
        ]
        .concat(),
    );
    // While it vouches it need not have applied the head that extends it.
    play(
        &[
            &start[..],
            &[
                (4_000, Send, Some(10_100)),
                (10_099, Answered(5_000), Some(14_000)),
            ],
        ]
        .concat(),
    );
    // Renewals do not pile up: a failure leaves what there is.
    play(
        &[
            &start[..],
            &[
                (4_000, Send, Some(10_100)),
                (6_000, Failed, Some(10_100)),
                (10_100, At(1, 10), None),
            ],
        ]
        .concat(),
    );
}

#[test]
fn an_edge_that_let_its_deadline_pass_must_catch_up_before_it_vouches_again() {
    let lapsed = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Answered(9), Some(10_100)),
        (10_090, Send, Some(10_100)),
        (10_100, Answered(50), None),
    ];
    play(
        &[
            &lapsed[..],
            &[(10_110, At(1, 49), None), (10_120, At(1, 50), Some(20_090))],
        ]
        .concat(),
    );
    // What it waits for is reached too late to be worth anything.
    play(&[&lapsed[..], &[(20_090, At(1, 50), None)]].concat());
    // The oldest answer is waited for, so that each new one does not put it off.
    let answers = [
        (11_000, Send, None),
        (11_010, Answered(60), None),
        (11_020, At(1, 55), Some(20_090)),
    ];
    play(
        &[
            &lapsed[..],
            &answers,
            &[
                (12_000, Send, Some(20_090)),
                (12_010, Answered(70), Some(22_000)),
            ],
        ]
        .concat(),
    );
    // Unless it is worth nothing any more.
    let answers = [
        (20_100, Send, None),
        (20_110, Answered(60), None),
        (20_120, At(1, 60), Some(30_100)),
    ];
    play(&[&lapsed[..], &answers].concat());
}

#[test]
fn a_suspended_machine_knows_that_it_slept() {
    let live = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Answered(9), Some(10_100)),
    ];
    // Asleep between two heartbeats: nothing but the clock says so.
    let woke = play(&[&live[..], &[(3_600_000, At(1, 9), None)]].concat());
    assert_eq!(woke.state(true, 3_600_000), EdgeState::Fenced);
    assert!(
        woke.due_ms().unwrap() <= 3_600_000,
        "a heartbeat goes out at once"
    );
    // Asleep between sending and reading the answer: it came too late.
    let mut asleep = play(&[&live[..], &[(1_000, Send, Some(10_100))]].concat());
    let sent = Sent {
        at_ms: 1_000,
        applied: asleep.applied,
    };
    assert_eq!(asleep.answered(sent, renewal(10), 11_000), Verdict::Late);
    assert_eq!(asleep.state(true, 11_000), EdgeState::Fenced);
    // Asleep between the answer and the revision it waits for.
    play(&[
        (0, At(1, 7), None),
        (100, Send, None),
        (150, Answered(9), None),
        (10_100, At(1, 9), None),
    ]);
}

#[test]
fn another_history_renews_nothing() {
    let mut edge = play(&[(0, At(1, 1_000), None), (0, Send, None)]);
    let sent = Sent {
        at_ms: 0,
        applied: edge.applied,
    };
    // A head that is not newer than what was applied before was not written after it.
    assert_eq!(
        edge.answered(sent, renewal(1_000), 1),
        Verdict::OtherHistory
    );
    assert_eq!(edge.answered(sent, renewal(5), 1), Verdict::OtherHistory);
    assert_eq!(
        edge.answered(sent, renewal(1_001), 1),
        Verdict::WaitsFor(Revision(1_001))
    );
    // In a new epoch it has only just registered, whatever it was granted in the old one.
    let live = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Answered(9), Some(10_100)),
    ];
    let reset = [
        (200, Send, Some(10_100)),
        (210, At(2, 3), None),
        (220, Answered(11), None),
        (300, Send, None),
    ];
    let edge = play(
        &[
            &live[..],
            &reset,
            &[(310, Answered(5), None), (320, At(2, 5), Some(10_300))],
        ]
        .concat(),
    );
    assert_eq!(edge.state(true, 320), EdgeState::Live);
    // What it waited for in the old epoch is no more.
    let waiting = [
        (0, At(1, 7), None),
        (100, Send, None),
        (150, Answered(9), None),
    ];
    play(&[&waiting[..], &[(160, At(2, 9), None)]].concat());
}

#[test]
fn an_edge_whose_id_another_machine_holds_does_not_vouch() {
    let edge = play(&[(0, At(1, 7), None), (100, Send, None), (150, Refused, None)]);
    assert_eq!(edge.state(true, 150), EdgeState::Live, "it never vouched");
    let live = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Answered(9), Some(10_100)),
    ];
    let refused = [(1_000, Send, Some(10_100)), (1_010, Refused, None)];
    let edge = play(&[&live[..], &refused].concat());
    assert_eq!(edge.state(true, 1_010), EdgeState::Fenced);
    let back = [
        (2_000, Send, None),
        (2_010, Answered(20), None),
        (2_020, At(1, 20), Some(12_000)),
    ];
    play(&[&live[..], &refused, &back].concat());
}

#[test]
fn an_edge_that_was_deregistered_while_it_lagged_does_not_go_on() {
    let live = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Registered(9, 8), Some(10_100)),
        (1_000, Send, Some(10_100)),
        (1_100, Send, Some(10_100)),
    ];
    // Deregistered at 20, registered again at 25: a receipt of a purge at 18 does not wait for it.
    let lags = [
        (1_010, Registered(25, 25), None),
        (1_020, At(1, 24), None),
        (1_030, At(1, 25), Some(11_000)),
    ];
    play(&[&live[..], &lags].concat());
    // An answer from before, that comes after: it grants nothing.
    let overtaken = [
        (1_010, Registered(25, 25), None),
        (1_020, Registered(15, 8), None),
        (1_030, At(1, 15), None),
        (1_040, At(1, 25), Some(11_000)),
    ];
    play(&[&live[..], &overtaken].concat());
    // What it waited for before it was deregistered is not late enough.
    let waiting = [
        (0, At(1, 7), None),
        (100, Send, None),
        (110, Registered(9, 9), None),
        (200, Send, None),
        (210, Registered(20, 20), None),
        (220, At(1, 9), None),
        (230, At(1, 20), Some(10_200)),
    ];
    play(&waiting);
    // It does not lag: it goes on.
    let fast = [
        (1_005, At(1, 25), Some(10_100)),
        (1_010, Registered(25, 25), Some(11_000)),
    ];
    play(&[&live[..], &fast].concat());
    // In another history the number means nothing.
    let other = [
        (1_005, At(2, 3), None),
        (1_200, Send, None),
        (1_210, Failed, None),
        (1_210, Failed, None),
        (1_220, Registered(4, 2), None),
        (1_230, At(2, 4), Some(11_200)),
    ];
    play(&[&live[..], &other].concat());
}

#[test]
fn it_says_what_it_serves_from() {
    let edge = play(&[(0, At(1, 7), None)]);
    assert_eq!(edge.state(false, 0), EdgeState::Lkg);
    assert_eq!(edge.state(true, 0), EdgeState::Live);
    let live = [
        (0, At(1, 7), None),
        (100, Send, None),
        (120, At(1, 9), None),
        (150, Answered(9), Some(10_100)),
    ];
    let edge = play(&live);
    assert_eq!(edge.state(true, 10_099), EdgeState::Live);
    assert_eq!(edge.state(true, 10_100), EdgeState::Fenced);
}

#[test]
fn heartbeats_go_by_the_clock_and_news_goes_at_once_while_there_is_room() {
    let mut edge = Heartbeats::default();
    assert_eq!(edge.due_ms(), Some(0), "the first at once");
    edge.send(500);
    assert_eq!(edge.due_ms(), Some(500 + HEARTBEAT_MS));
    edge.hurry();
    assert_eq!(edge.due_ms(), Some(505), "with what else is new by then");
    for _ in 1..IN_FLIGHT_MAX {
        edge.send(600);
    }
    edge.hurry();
    assert_eq!(edge.due_ms(), None, "too many under way");
    edge.failed();
    assert_eq!(edge.due_ms(), Some(605), "and it is not forgotten");
}
