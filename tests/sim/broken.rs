//! Each rule broken on purpose: a simulation that does not notice proves nothing.

use seawall_edge::simulated::Habits;

use crate::world::{Rules, World};

/// Histories in which a broken rule must show.
const HISTORIES: u64 = 4_000;

/// Some history breaks a promise.
#[track_caller]
fn is_noticed(rules: Rules) {
    let noticed = (0..HISTORIES).find(|seed| World::new(*seed, rules).play().outcome.is_err());
    assert!(
        noticed.is_some(),
        "nobody notices in {HISTORIES} histories: {rules:?}"
    );
}

fn habits(habits: Habits) -> Rules {
    Rules {
        habits,
        ..Rules::default()
    }
}

macro_rules! broken {
    ($($name:ident: $rules:expr;)*) => {
        $(#[test]
        fn $name() {
            is_noticed($rules);
        })*
    };
}

broken! {
    a_birth_at_the_end_of_a_fill_is_noticed:
        habits(Habits { born_when_routed: false, ..Habits::default() });
    a_waiter_that_does_not_look_again_is_noticed:
        habits(Habits { looks_again: false, ..Habits::default() });
    joining_a_fill_from_before_a_purge_is_noticed:
        habits(Habits { joins_alive_only: false, looks_again: false, ..Habits::default() });
    a_hit_that_is_not_judged_is_noticed:
        habits(Habits { judges_hits: false, ..Habits::default() });
    a_304_that_raises_a_birth_is_noticed:
        habits(Habits { validated_when_asked: false, ..Habits::default() });
    serving_without_the_right_to_vouch_is_noticed:
        habits(Habits { tests_vouching: false, ..Habits::default() });
    a_renewal_before_the_write_is_noticed:
        Rules { renews_after_write: false, ..Rules::default() };
    a_deadline_from_the_answer_is_noticed:
        Rules { counts_from_sending: false, ..Rules::default() };
    vouching_before_the_head_is_applied_is_noticed:
        Rules { waits_for_head: false, ..Rules::default() };
    calling_it_complete_while_one_may_serve_is_noticed:
        Rules { names_who_may_serve: false, ..Rules::default() };
    fencing_without_a_read_is_noticed:
        Rules { reads_before_fencing: false, ..Rules::default() };
    two_boots_that_are_one_are_noticed:
        Rules { tells_boots_apart: false, ..Rules::default() };
    a_snapshot_before_registration_is_noticed:
        Rules { registers_first: false, ..Rules::default() };
    a_floor_that_nobody_heeds_is_noticed:
        Rules { heeds_the_floor: false, ..Rules::default() };
    forgetting_too_early_is_noticed:
        Rules { forgets_late: false, ..Rules::default() };
    a_change_that_is_acknowledged_and_not_kept_is_noticed:
        Rules { keeps_first: false, ..Rules::default() };
    a_restored_backup_in_the_same_epoch_is_noticed:
        Rules { raises_the_epoch: false, ..Rules::default() };
}

/// The guarantee has a condition: two clocks drift by no more than the drift that is allowed. Beyond it, nothing holds.
#[test]
fn clocks_that_drift_too_far_break_the_guarantee() {
    is_noticed(Rules {
        edges_slow_by_ppm: 300_000,
        ..Rules::default()
    });
}
