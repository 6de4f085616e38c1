//! Waiting for a fill, one's own or another's, and what comes of it.

use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use seawall_config::site::OnPartition;

use super::{Answer, Journey, is_here, is_worth_asking};
use crate::clock;
use crate::fill::fetch::{Fetch, Stored};
use crate::fill::stream::Reader;
use crate::fill::{AHEAD_BYTES, Arrived, Fill, Refreshed, Stage};
use crate::ledger::{Fingerprint, Life};
use crate::object::Object;
use crate::origin::Failure;
use crate::origin::interim::Interims;
use crate::rules::cache_status::{Forwarded, Fwd, Handling};
use crate::rules::directives::Named;
use crate::rules::freshness::Freshness;
use crate::rules::reuse::{self, Reuse};
use crate::rules::{directives, ranges};
use crate::state::State;

/// What came of waiting for a fill.
pub(super) enum Outcome {
    Answered(Box<Answer>),
    /// What it brought is dead or another variant by now: what is stored may have changed meanwhile.
    LookAgain,
    /// It was another client's private answer. To wait for the next one would queue clients one after another.
    NotForUs,
}

pub(super) async fn join_or_fetch(
    state: &Arc<State>,
    journey: &Arc<Journey>,
    why: Fwd,
    stored: Stored,
    stand_in: Option<Arc<Object>>,
    interims: &Interims,
) -> Outcome {
    let joins = |fill: &Fill| joins(state, journey, fill);
    let (mut reader, opened) = state.fills.join_or_open(&journey.key, journey.birth, joins);
    let mine = opened.is_some();
    match opened {
        Some(fill) => fetch(
            state,
            journey,
            fill,
            why,
            stored,
            stand_in.clone(),
            interims.clone(),
        ),
        None => state.metrics.collapsed(),
    }
    let answered = |answer| Outcome::Answered(Box::new(answer));
    let stale = |said| {
        stale(
            state,
            journey,
            stand_in.as_ref(),
            forwarded(why, said, !mine),
        )
    };
    match reader.stage().await {
        Stage::Arrived(arrived) => {
            match failure_status(&arrived).and_then(|said| stale(Some(said))) {
                Some(stale) => answered(stale),
                None if !mine && !is_shareable(&arrived) => Outcome::NotForUs,
                None if !mine && !is_for(state, journey, reader.fill(), &arrived) => {
                    Outcome::LookAgain
                }
                None => answered(Answer::arriving(
                    journey,
                    &arrived,
                    reader,
                    why,
                    !mine,
                    clock::now(),
                )),
            }
        }
        Stage::Refreshed(good) => refreshed(state, journey, &good, why, mine),
        Stage::Asking => Outcome::LookAgain,
        Stage::Failed(Failure::GivenUp) if !mine => Outcome::LookAgain,
        Stage::Failed(failure) => {
            let must_ask = must_ask(journey, stand_in.as_ref());
            answered(stale(None).unwrap_or_else(|| Answer::failed(failure, must_ask, why, !mine)))
        }
    }
}

/// What a 304 called good, for who asked for it and for who waited.
fn refreshed(state: &State, journey: &Journey, good: &Refreshed, why: Fwd, mine: bool) -> Outcome {
    let object = &good.object;
    if !mine && !is_reusable(&object.directives, &object.freshness) {
        return Outcome::NotForUs;
    }
    let stored = is_stored(state, object);
    let is_good = may_wait(state, journey) && is_good(state, journey, object);
    if !is_good || !(mine || stored) {
        return Outcome::LookAgain;
    }
    let forwarded = Forwarded {
        stored,
        ..forwarded(why, Some(304), !mine)
    };
    let handling = Handling::Forwarded(forwarded);
    let mut answer = Answer::forwarded(journey, object, handling, clock::now());
    if mine && !good.own.is_empty() {
        answer.head.own().extend(good.own.clone());
    }
    Outcome::Answered(Box::new(answer))
}

/// For this client alone; but a range may be near in a whole body that is under way, and what is stored may stand
/// in for an origin that fails.
pub(super) async fn alone(
    state: &Arc<State>,
    journey: &Arc<Journey>,
    why: Fwd,
    stand_in: Option<Arc<Object>>,
    interims: &Interims,
) -> Answer {
    let within = |fill: &Fill| joins(state, journey, fill) && range_is_near(journey, fill);
    if journey.policy().cache
        && journey.wanted.is_none()
        && journey.method == Method::GET
        && let Some(reader) = state.fills.join(&journey.key, within)
        && let Stage::Arrived(arrived) = reader.fill().stage()
    {
        state.metrics.collapsed();
        return Answer::arriving(journey, &arrived, reader, why, true, clock::now());
    }
    let (mut reader, fill) = state.fills.open_alone(&journey.key, journey.birth);
    fetch(
        state,
        journey,
        fill,
        why,
        Stored::Nothing,
        stand_in.clone(),
        interims.clone(),
    );
    let stale = |said| {
        stale(
            state,
            journey,
            stand_in.as_ref(),
            forwarded(why, said, false),
        )
    };
    match reader.stage().await {
        Stage::Arrived(arrived) => {
            match failure_status(&arrived).and_then(|said| stale(Some(said))) {
                Some(stale) => stale,
                None => Answer::arriving(journey, &arrived, reader, why, false, clock::now()),
            }
        }
        Stage::Failed(failure) => {
            let must_ask = must_ask(journey, stand_in.as_ref());
            stale(None).unwrap_or_else(|| Answer::failed(failure, must_ask, why, false))
        }
        Stage::Refreshed(_) | Stage::Asking => {
            Answer::failed(Failure::BrokenAnswer, false, why, false)
        }
    }
}

/// A stale answer goes out; one task asks the origin, whoever else comes meanwhile.
pub(super) fn validate_behind(state: &Arc<State>, journey: &Arc<Journey>, object: &Arc<Object>) {
    // Whatever the site says of collapsing: one is enough.
    let opened = state
        .fills
        .open_behind(&journey.key, journey.birth, object.id);
    if let Some((reader, fill)) = opened {
        // The shared fetch of a HEAD is a GET: it brings what is stored.
        let journey = Arc::new(Journey {
            method: Method::GET,
            ..(**journey).clone()
        });
        fetch(
            state,
            &journey,
            fill,
            Fwd::Stale,
            asked_behind(object),
            Some(object.clone()),
            Interims::to_nobody(),
        );
        // Somebody has to want the body, or a large one would be given up.
        tokio::spawn(drain(reader));
    }
}

/// What the origin is asked about what was served stale.
pub fn asked_behind(object: &Arc<Object>) -> Stored {
    match is_worth_asking(object) {
        true => Stored::Candidates(vec![object.clone()]),
        false => Stored::Nothing,
    }
}

fn fetch(
    state: &Arc<State>,
    journey: &Arc<Journey>,
    fill: Arc<Fill>,
    why: Fwd,
    stored: Stored,
    stand_in: Option<Arc<Object>>,
    interims: Interims,
) {
    state.metrics.fetch(&journey.served.name, why);
    Fetch {
        state: state.clone(),
        journey: journey.clone(),
        fill,
        stored,
        stand_in,
        interims,
    }
    .spawn();
}

/// Whether another's answer may be anybody's: it is kept, and would be used again without asking.
fn is_shareable(arrived: &Arrived) -> bool {
    arrived.kept && is_reusable(&arrived.directives, &arrived.freshness)
}

/// RFC 9111 §4: what may not be used again without validation is for the request that brought it.
fn is_reusable(stored: &directives::Response, freshness: &Freshness) -> bool {
    stored.no_cache != Named::Whole && freshness.left(clock::now()).is_ok()
}

/// Whether the client takes an answer that arrived before it asked (RFC 9111 §5.2.1).
fn is_wanted(journey: &Journey, arrived: &Arrived) -> bool {
    let question = reuse::Question {
        freshness: &arrived.freshness,
        stored: &arrived.directives,
        client: journey.client_directives(),
        policy: journey.policy(),
        life: Life::Alive,
        vouches: true,
        now: clock::now(),
    };
    matches!(reuse::reuse(question), Reuse::Fresh(_))
}

/// Whether another's answer is one for this request too, not purged meanwhile, and this edge vouches where that counts.
fn is_for(state: &State, journey: &Journey, fill: &Fill, arrived: &Arrived) -> bool {
    may_wait(state, journey)
        && arrived.selection.selects(&journey.fields)
        && is_alive(state, journey, fill, Some(&arrived.tags))
}

/// Whether what a 304 called good may be used. If it was purged meanwhile it is not brought back, also not for
/// the request that asked.
fn is_good(state: &State, journey: &Journey, object: &Object) -> bool {
    object.selection.selects(&journey.fields) && object.life(&state.ledger) == Life::Alive
}

fn is_stored(state: &State, object: &Object) -> bool {
    let shelf = state.storage.get(&object.key);
    shelf.is_some_and(|shelf| shelf.iter().any(|other| other.id == object.id))
}

fn forwarded(why: Fwd, said: Option<u16>, collapsed: bool) -> Forwarded {
    Forwarded {
        status: said,
        collapsed,
        ..why.into()
    }
}

/// The status of an answer that is an origin's failure.
fn failure_status(arrived: &Arrived) -> Option<u16> {
    reuse::is_failure(arrived.status).then(|| arrived.said.as_u16())
}

/// Whether a request that is to be fetched would wait for a fill that is open already.
pub fn would_join(state: &State, journey: &Journey) -> bool {
    let joins = |fill: &Fill| joins(state, journey, fill);
    state.fills.is_open(&journey.key, joins)
}

/// Whether another's answer, or what a 304 called good, may be had where only what this edge vouches for is used: tested
/// when the wait begins, and when it is over.
pub fn may_wait(state: &State, journey: &Journey) -> bool {
    journey.policy().on_partition == OnPartition::Serve || state.relies_on(journey)
}

/// Whether a request may wait for an open fill: one that arrives after a purge never joins an older fill.
fn joins(state: &State, journey: &Journey, fill: &Fill) -> bool {
    if !journey.policy().collapse {
        return false;
    }
    if !may_wait(state, journey) {
        return false;
    }
    // Asked before the request came, the origin may have answered from before what the client has read about.
    if journey
        .wanted
        .is_some_and(|wanted| fill.began_ms <= wanted.since_ms)
    {
        return false;
    }
    match fill.stage() {
        Stage::Asking => is_alive(state, journey, fill, None),
        Stage::Arrived(arrived) => {
            is_shareable(&arrived)
                && is_wanted(journey, &arrived)
                && is_for(state, journey, fill, &arrived)
        }
        Stage::Refreshed(_) | Stage::Failed(_) => false,
    }
}

/// Whether a whole body under way is soon where a range begins; else it is asked for alone.
fn range_is_near(journey: &Journey, fill: &Fill) -> bool {
    let Stage::Arrived(arrived) = fill.stage() else {
        return false;
    };
    match (&ranges::asked(&journey.fields)[..], arrived.length) {
        ([asked], Some(length)) => asked
            .of(length)
            .is_none_or(|(first, _)| first <= fill.received().saturating_add(AHEAD_BYTES)),
        _ => false,
    }
}

fn is_alive(state: &State, journey: &Journey, fill: &Fill, tags: Option<&[Fingerprint]>) -> bool {
    let life = state
        .ledger
        .read(|ledger| ledger.judge(&journey.served.name, &journey.key, tags, fill.birth));
    life == Life::Alive
}

/// Reads on behalf of the cache, and no longer than it keeps what comes.
async fn drain(mut reader: Reader) {
    reader.stage().await;
    while reader.fill().is_retained() {
        let Ok(Some(_)) = reader.next().await else {
            return;
        };
    }
}

/// RFC 5861 §4: what is stored stands in for an origin that fails.
fn stale(
    state: &State,
    journey: &Journey,
    stand_in: Option<&Arc<Object>>,
    forwarded: Forwarded,
) -> Option<Answer> {
    let object = stand_in.filter(|object| is_here(journey, object))?;
    let (now, handling) = (clock::now(), Handling::StoodIn(forwarded));
    stands_in(state, journey, object, now)
        .then(|| Answer::forwarded(journey, object, handling, now))
}

/// Whether something is here that may not be used without the origin's word.
fn must_ask(journey: &Journey, stand_in: Option<&Arc<Object>>) -> bool {
    let object = stand_in.filter(|object| is_here(journey, object));
    object.is_some_and(|object| reuse::is_never_stale(&object.directives))
}

/// Whether it may stand in for an origin that fails.
pub fn stands_in(state: &State, journey: &Journey, object: &Object, now: SystemTime) -> bool {
    let question = reuse::Question {
        freshness: &object.freshness,
        stored: &object.directives,
        client: directives::Request::default(),
        policy: journey.policy(),
        life: object.life(&state.ledger),
        vouches: state.relies_on(journey),
        now,
    };
    reuse::on_error(question).is_some()
}
