//! Each rule broken on purpose: a simulation that does not notice proves nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use seawall_config::feed::DRIFT_PPM;
use seawall_edge::simulated::Habits;

use crate::faults::{Fault, Node};
use crate::violation::Violation::{self, *};
use crate::world::{Rules, Weather, World};

/// Histories in which a broken rule must show.
const HISTORIES: u64 = 20_000;
/// Histories in which nothing may, where no rule is broken.
const CONTROLS: u64 = 100;

/// Some history shows just this, and does not where the rule is kept.
#[track_caller]
fn is_noticed(rules: Rules, weather: Weather, violation: Violation) {
    let mut others = BTreeMap::new();
    let shows = |seed: &u64| {
        let ended = World::in_weather(*seed, rules, weather).play();
        let seen = ended.outcome.err().map(|broken| broken.violation);
        if let Some(other) = seen.filter(|seen| *seen != violation) {
            *others.entry(other).or_insert(0) += 1;
        }
        seen == Some(violation)
    };
    let Some(seed) = (0..HISTORIES).find(shows) else {
        panic!("nobody notices in {HISTORIES} histories, but for {others:?}: {rules:?}");
    };
    breaks_nothing(Rules::default(), weather, seed..seed + 1);
}

#[track_caller]
fn breaks_nothing(rules: Rules, weather: Weather, mut seeds: Range<u64>) {
    let broken = seeds.find_map(|seed| {
        let ended = World::in_weather(seed, rules, weather).play();
        let broken = ended.outcome.err()?;
        Some(format!("history {seed}: {broken}\n{}", ended.story))
    });
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

fn habits(habits: Habits) -> Rules {
    Rules {
        habits,
        ..Rules::default()
    }
}

fn any_weather(_: &Fault) -> bool {
    true
}

/// Edges are away, and come back.
fn long_absences(fault: &Fault) -> bool {
    matches!(fault, Fault::Crash(Node::Edge(_), _) | Fault::Isolate(..))
}

/// Edges are away, while control planes forget, and nobody knows what has been.
fn forgetful_planes(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Isolate(..) | Fault::Compact | Fault::Crash(Node::Plane(_), _)
    )
}

/// Control planes see the store late, or not at all, and edges only some of them.
fn divided_planes(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Cut(..) | Fault::Part(..) | Fault::Slow(Node::Plane(_), ..)
    )
}

/// And new edges come meanwhile.
fn newcomers(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Deregister(..) | Fault::Part(_, Node::Store, _) | Fault::Cut(_, Node::Store, _)
    )
}

/// Edges are taken for gone while their feeds are silent.
fn disowned_while_behind(fault: &Fault) -> bool {
    matches!(fault, Fault::Disown(_) | Fault::Lose(..))
}

/// Or come late.
fn disowned_while_slow(fault: &Fault) -> bool {
    matches!(fault, Fault::Disown(_) | Fault::Slow(Node::Edge(_), ..))
}

/// New edges come to control planes that do not hear of the store, and then are alone.
fn newcomers_to_who_lags(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Deregister(..) | Fault::Cut(Node::Store, ..) | Fault::Isolate(..)
    )
}

/// An edge's messages take their time, and then none arrives.
fn late_answers(fault: &Fault) -> bool {
    matches!(fault, Fault::Slow(Node::Edge(_), ..) | Fault::Isolate(..))
}

/// Edges' machines are suspended.
fn suspended(fault: &Fault) -> bool {
    matches!(fault, Fault::Pause(Node::Edge(_), _))
}

/// Edges are not heard of for a while.
fn silent_edges(fault: &Fault) -> bool {
    matches!(fault, Fault::Isolate(..) | Fault::Cut(Node::Edge(_), ..))
}

macro_rules! broken {
    ($($name:ident in $weather:ident shows $violation:ident: $rules:expr;)*) => {
        $(#[test]
        fn $name() {
            is_noticed($rules, $weather, $violation);
        })*
    };
}

/// In every weather above, with every rule kept, nothing is seen: what shows there is the rule's doing.
#[test]
fn no_weather_alone_breaks_a_promise() {
    let weathers: [Weather; 11] = [
        any_weather,
        long_absences,
        forgetful_planes,
        divided_planes,
        newcomers,
        disowned_while_behind,
        disowned_while_slow,
        newcomers_to_who_lags,
        late_answers,
        suspended,
        silent_edges,
    ];
    for weather in weathers {
        breaks_nothing(Rules::default(), weather, 0..CONTROLS);
    }
}

broken! {
    a_birth_at_the_end_of_a_fill_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { born_when_routed: false, ..Habits::default() });
    a_waiter_that_does_not_look_again_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { looks_again: false, ..Habits::default() });
    a_waiter_who_is_answered_when_nobody_vouches_is_noticed in disowned_while_slow shows StaleWhileCutOff:
        habits(Habits { waits_while_vouching: false, ..Habits::default() });
    joining_a_fill_from_before_a_purge_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { joins_alive_only: false, looks_again: false, ..Habits::default() });
    a_hit_that_is_not_judged_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { judges_hits: false, ..Habits::default() });
    a_304_that_raises_a_birth_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { validated_when_asked: false, ..Habits::default() });
    validators_of_what_is_dead_are_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { dead_send_none: false, ..Habits::default() });
    a_soft_purge_that_hides_a_hard_one_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { hard_comes_first: false, ..Habits::default() });
    a_soft_purge_that_asks_for_no_validation_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { soft_validates: false, ..Habits::default() });
    tags_that_a_304_takes_away_are_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { keeps_tags: false, ..Habits::default() });
    storing_over_what_was_born_later_is_noticed in any_weather shows BirthWentBack:
        habits(Habits { stores_newest: false, ..Habits::default() });
    a_304_for_another_copy_is_noticed in any_weather shows BirthWentBack:
        habits(Habits { updates_the_very_one: false, ..Habits::default() });
    a_head_that_raises_a_birth_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { head_raises_nothing: false, ..Habits::default() });
    an_unsafe_method_that_takes_nothing_is_noticed in any_weather shows StaleAfterChange:
        habits(Habits { invalidates: false, ..Habits::default() });
    an_unsafe_method_that_spares_what_is_under_way_is_noticed in any_weather shows StaleAfterChange:
        habits(Habits { invalidates_fills: false, ..Habits::default() });
    a_purge_that_never_settles_is_noticed in any_weather shows StaleWhileVouching:
        habits(Habits { settles: false, ..Habits::default() });
    a_token_that_nobody_heeds_is_noticed in any_weather shows StaleForToken:
        habits(Habits { heeds_tokens: false, ..Habits::default() });
    serving_without_the_right_to_vouch_is_noticed in any_weather shows StaleWhileCutOff:
        habits(Habits { tests_vouching: false, ..Habits::default() });
    a_renewal_before_the_write_is_noticed in any_weather shows StaleWhileVouching:
        Rules { renews_after_write: false, ..Rules::default() };
    a_deadline_from_the_answer_is_noticed in late_answers shows StaleWhileVouching:
        Rules { counts_from_sending: false, ..Rules::default() };
    vouching_before_the_head_is_applied_is_noticed in any_weather shows StaleWhileVouching:
        Rules { waits_for_head: false, ..Rules::default() };
    vouching_on_when_registered_anew_is_noticed in disowned_while_behind shows StaleWhileVouching:
        Rules { heeds_registration: false, ..Rules::default() };
    calling_it_complete_while_one_may_serve_is_noticed in any_weather shows StaleWhileCutOff:
        Rules { names_who_may_serve: false, ..Rules::default() };
    taking_a_site_as_it_is_for_what_an_edge_knows_is_noticed in long_absences shows StaleWhileCutOff:
        Rules { asks_what_edges_know: false, ..Rules::default() };
    fencing_without_a_read_is_noticed in divided_planes shows StaleWhileVouching:
        Rules { reads_before_fencing: false, ..Rules::default() };
    fencing_who_may_still_vouch_is_noticed in silent_edges shows StaleWhileVouching:
        Rules { waits_before_fencing: false, ..Rules::default() };
    a_clock_that_stops_in_suspend_is_noticed in suspended shows StaleWhileVouching:
        Rules { counts_suspend: false, ..Rules::default() };
    two_boots_that_are_one_are_noticed in any_weather shows StaleWhileVouching:
        Rules { tells_boots_apart: false, ..Rules::default() };
    a_refusal_by_who_lags_is_noticed in newcomers_to_who_lags shows StaleWhileCutOff:
        Rules { refuses_by_the_head: false, ..Rules::default() };
    a_snapshot_before_registration_is_noticed in newcomers shows StaleWhileCutOff:
        Rules { registers_first: false, ..Rules::default() };
    a_floor_that_nobody_heeds_is_noticed in forgetful_planes shows StaleWhileVouching:
        Rules { heeds_the_floor: false, ..Rules::default() };
    forgetting_too_early_is_noticed in any_weather shows StaleWhileVouching:
        Rules { forgets_late: false, ..Rules::default() };
    a_change_that_is_acknowledged_and_not_kept_is_noticed in long_absences shows StaleWhileCutOff:
        Rules { keeps_first: false, ..Rules::default() };
    a_restored_backup_in_the_same_epoch_is_noticed in any_weather shows StaleWhileVouching:
        Rules { raises_the_epoch: false, ..Rules::default() };
}

/// The guarantee has a condition: two clocks drift by no more than the drift that is allowed. Beyond it, nothing holds.
#[test]
fn clocks_that_drift_too_far_break_the_guarantee() {
    let rules = Rules {
        edges_slow_by_ppm: 300_000,
        ..Rules::default()
    };
    is_noticed(rules, any_weather, StaleWhileVouching);
}

/// And within it everything does.
#[test]
fn clocks_that_drift_as_far_as_they_may_break_nothing() {
    let each = i64::try_from(DRIFT_PPM / 2).unwrap();
    let rules = Rules {
        edges_slow_by_ppm: each,
        planes_fast_by_ppm: each,
        ..Rules::default()
    };
    breaks_nothing(rules, any_weather, 0..CONTROLS);
    breaks_nothing(rules, silent_edges, 0..CONTROLS);
}
