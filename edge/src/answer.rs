//! The one decision, and acting on it, for every door.
//!
//! [`Journey`] is one request's world: it sees one snapshot from first byte to last. [`decide`] is pure: it
//! asks the rules and says what to do. [`answer`] does it, step by step: serve, join or fetch, wait, look
//! again. The ledger is the one thing read anew at every step: a purge counts from the moment it is here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use seawall_config::Revision;
use seawall_config::site::{ClientDirectives, OnPartition, Policy};

use crate::clock;
use crate::fill::fetch::Fetch;
use crate::fill::stream::Reader;
use crate::fill::{Fill, Stage};
use crate::key::Key;
use crate::ledger::{Birth, Life};
use crate::object::Object;
use crate::origin::Failure;
use crate::rules::cache_status::Fwd;
use crate::rules::ranges::Part;
use crate::rules::reuse::{self, Reuse};
use crate::rules::{directives, ranges};
use crate::snapshot::{Served, Snapshot};
use crate::state::State;
use crate::storage::Storage;

mod reply;

pub use reply::{Answer, Content};

/// How often a request looks again after what it waited for turned out not to be for it; then it goes alone.
const ROUNDS_MAX: usize = 3;

/// How far ahead of what is here a range may begin, to be waited for.
const RANGE_AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// One request, and the world it sees.
#[derive(Debug)]
pub struct Journey {
    pub snapshot: Arc<Snapshot>,
    pub served: Arc<Served>,
    pub key: Key,
    pub method: Method,
    /// The client's fields, as they came.
    pub fields: HeaderMap,
    pub client: Option<SocketAddr>,
    /// What a fetch for it is born as.
    pub birth: Birth,
    /// A revision the client wants to be served from at least, and this edge has not reached.
    pub wanted: Option<Revision>,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Verdict {
    /// Use what is stored; `behind`: and have it validated meanwhile.
    Serve {
        object: Arc<Object>,
        ttl: i64,
        behind: bool,
    },
    /// Ask the origin whether what is stored is still good: join the one who asks, or ask.
    Validate(Arc<Object>, Fwd),
    /// Join an open fill, or fetch.
    Fetch(Fwd),
    /// Fetch for this client alone.
    Alone(Fwd),
    Refuse(Refusal),
}

/// Why a request is not answered from here at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RFC 9111 §5.2.1.7: only-if-cached, and there is nothing.
    OnlyIfCached,
    /// This edge cannot vouch for what it stored, and the site asked for a refusal then.
    Fenced,
}

impl Journey {
    pub fn policy(&self) -> &Policy {
        self.served.site.policy(self.key.path())
    }

    fn client_directives(&self) -> directives::Request {
        let said = directives::Request::read(&self.fields);
        match self.policy().client_directives {
            ClientDirectives::Honour => said,
            // A stranger must not be able to drive the origin; only-if-cached spares it.
            ClientDirectives::Ignore => directives::Request {
                only_if_cached: said.only_if_cached,
                ..directives::Request::default()
            },
        }
    }
}

/// What to do, given what is stored and what the ledger says of it now.
pub fn decide(
    journey: &Journey,
    shelf: Option<&[Arc<Object>]>,
    life: impl Fn(&Object) -> Life,
    vouches: bool,
    now: SystemTime,
) -> Verdict {
    let policy = journey.policy();
    let client = journey.client_directives();
    if !vouches && policy.on_partition == OnPartition::Refuse {
        return Verdict::Refuse(Refusal::Fenced);
    }
    if !policy.cache {
        return Verdict::Alone(Fwd::Bypass);
    }
    // What the client knows to be purged may still be in the cache: only the origin can tell.
    if journey.wanted.is_some() {
        return Verdict::Alone(Fwd::Request);
    }
    let selected = shelf.and_then(|shelf| Storage::select(shelf, &journey.fields));
    let missing = if shelf.is_some() && selected.is_none() {
        Fwd::VaryMiss
    } else {
        Fwd::UriMiss
    };
    let verdict = match selected {
        Some(object) => {
            let (freshness, stored) = (&object.freshness, &object.directives);
            let life = life(&object);
            let question = reuse::Question {
                freshness,
                stored,
                client,
                policy,
                life,
                vouches,
                now,
            };
            match reuse::reuse(question) {
                Reuse::Fresh(left) => serve(object, left.as_secs() as i64, false),
                Reuse::StaleAccepted(stale) => serve(object, -(stale.as_secs() as i64), false),
                Reuse::WhileRevalidating(stale) => serve(object, -(stale.as_secs() as i64), true),
                Reuse::Validate(why) if journey.method != Method::GET => Verdict::Alone(why.into()),
                Reuse::Validate(why) if has_validator(&object.head) => {
                    Verdict::Validate(object, why.into())
                }
                Reuse::Validate(why) => Verdict::Fetch(why.into()),
                Reuse::Forget => Verdict::Fetch(missing),
                Reuse::Refuse => Verdict::Refuse(Refusal::Fenced),
            }
        }
        None => Verdict::Fetch(missing),
    };
    match verdict {
        Verdict::Serve { .. } | Verdict::Refuse(_) => verdict,
        _ if client.only_if_cached => Verdict::Refuse(Refusal::OnlyIfCached),
        // A HEAD brings no body to store, and a range no whole one: each is for this client alone.
        Verdict::Fetch(why) if journey.method != Method::GET => Verdict::Alone(why),
        Verdict::Fetch(why) if ranges::asked(&journey.fields).is_some() => Verdict::Alone(why),
        verdict => verdict,
    }
}

/// Answers a GET or HEAD. Dropping the future is the client leaving: it is felt at once by what it waits for.
pub async fn answer(state: &Arc<State>, journey: &Arc<Journey>) -> Answer {
    for _ in 0..ROUNDS_MAX {
        let shelf = state.storage.get(&journey.key);
        let (now, vouches) = (clock::now(), state.vouches());
        let life = |object: &Object| object.life(&state.ledger);
        let (why, validates) = match decide(journey, shelf.as_deref(), life, vouches, now) {
            Verdict::Serve {
                object,
                ttl,
                behind,
            } => {
                if behind {
                    validate_behind(state, journey, &object);
                }
                return Answer::stored(journey, &object, ttl, now);
            }
            Verdict::Refuse(refusal) => return Answer::refused(refusal),
            Verdict::Alone(why) => return alone(state, journey, why).await,
            Verdict::Validate(object, why) => (why, Some(object)),
            Verdict::Fetch(why) => (why, None),
        };
        match join_or_fetch(state, journey, why, validates).await {
            Outcome::Answered(answer) => return *answer,
            Outcome::NotForUs => return alone(state, journey, why).await,
            Outcome::LookAgain => {}
        }
    }
    alone(state, journey, Fwd::UriMiss).await
}

/// What came of waiting for a fill.
enum Outcome {
    Answered(Box<Answer>),
    /// What it brought is dead or another variant by now: what is stored may have changed meanwhile.
    LookAgain,
    /// It was another client's private answer. To wait for the next one would queue clients one after another.
    NotForUs,
}

async fn join_or_fetch(
    state: &Arc<State>,
    journey: &Arc<Journey>,
    why: Fwd,
    validates: Option<Arc<Object>>,
) -> Outcome {
    let joins = |fill: &Fill| joins(state, journey, fill);
    let (mut reader, opened) = state.fills.join_or_open(&journey.key, journey.birth, joins);
    let mine = opened.is_some();
    if let Some(fill) = opened {
        state.metrics.fetch(&journey.served.name, why);
        let (state, journey, validates) = (state.clone(), journey.clone(), validates.clone());
        Fetch {
            state,
            journey,
            fill,
            validates,
        }
        .spawn();
    } else {
        state.metrics.collapsed();
    }
    match reader.stage().await {
        Stage::Arrived(arrived) => {
            if !mine {
                if !arrived.kept {
                    return Outcome::NotForUs;
                }
                if !arrived.selection.selects(&journey.fields)
                    || !is_alive(state, journey, reader.fill(), Some(&arrived.tags))
                {
                    return Outcome::LookAgain;
                }
            }
            let fails = matches!(arrived.status.as_u16(), 500 | 502 | 503 | 504);
            if let Some(answer) = validates
                .filter(|_| fails)
                .and_then(|object| stand_in(state, journey, &object))
            {
                return Outcome::Answered(Box::new(answer));
            }
            Outcome::Answered(Box::new(Answer::arriving(
                journey, &arrived, reader, why, !mine,
            )))
        }
        // Purged meanwhile: it is not brought back by a 304 that was asked for before (also not for who asked).
        Stage::Refreshed(object) => {
            let good = object.selection.selects(&journey.fields)
                && object.life(&state.ledger) == Life::Alive;
            let stored = || {
                state
                    .storage
                    .get(&journey.key)
                    .is_some_and(|shelf| shelf.iter().any(|o| o.id == object.id))
            };
            match good && (mine || stored()) {
                true => Outcome::Answered(Box::new(Answer::refreshed(
                    journey,
                    &object,
                    why,
                    !mine,
                    clock::now(),
                ))),
                false => Outcome::LookAgain,
            }
        }
        Stage::Failed(Failure::GivenUp) if !mine => Outcome::LookAgain,
        Stage::Failed(failure) => {
            let stale = validates.and_then(|object| stand_in(state, journey, &object));
            Outcome::Answered(Box::new(
                stale.unwrap_or_else(|| Answer::failed(failure, why, !mine)),
            ))
        }
        Stage::Asking => Outcome::LookAgain,
    }
}

/// Whether a request may wait for an open fill: one that arrives after a purge never joins an older fill.
fn joins(state: &State, journey: &Journey, fill: &Fill) -> bool {
    if !state.vouches() && journey.policy().on_partition != OnPartition::Serve {
        return false;
    }
    match fill.stage() {
        Stage::Asking => is_alive(state, journey, fill, None),
        Stage::Arrived(arrived) => {
            arrived.kept
                && arrived.selection.selects(&journey.fields)
                && is_alive(state, journey, fill, Some(&arrived.tags))
        }
        Stage::Refreshed(_) | Stage::Failed(_) => false,
    }
}

/// Whether a whole body under way is soon where a range begins; else it is asked for alone.
fn range_is_near(journey: &Journey, fill: &Fill) -> bool {
    let Stage::Arrived(arrived) = fill.stage() else {
        return false;
    };
    match (ranges::asked(&journey.fields), arrived.length) {
        (Some(asked), Some(length)) => match asked.of(length) {
            Part::Bytes { first, .. } => first <= fill.received().saturating_add(RANGE_AHEAD_BYTES),
            Part::Whole | Part::Unsatisfiable => true,
        },
        _ => false,
    }
}

fn is_alive(
    state: &State,
    journey: &Journey,
    fill: &Fill,
    tags: Option<&[crate::ledger::Fingerprint]>,
) -> bool {
    let life = state
        .ledger
        .read(|ledger| ledger.judge(&journey.served.name, &journey.key, tags, fill.birth));
    life == Life::Alive
}

async fn alone(state: &Arc<State>, journey: &Arc<Journey>, why: Fwd) -> Answer {
    let within = |fill: &Fill| joins(state, journey, fill) && range_is_near(journey, fill);
    if let Some(reader) = state.fills.join(&journey.key, within)
        && let Stage::Arrived(arrived) = reader.fill().stage()
    {
        state.metrics.collapsed();
        return Answer::arriving(journey, &arrived, reader, why, true);
    }
    state.metrics.fetch(&journey.served.name, why);
    let (fill, mut reader) = Fill::private(journey.birth);
    Fetch {
        state: state.clone(),
        journey: journey.clone(),
        fill,
        validates: None,
    }
    .spawn();
    match reader.stage().await {
        Stage::Arrived(arrived) => Answer::arriving(journey, &arrived, reader, why, false),
        Stage::Failed(failure) => Answer::failed(failure, why, false),
        Stage::Refreshed(_) | Stage::Asking => Answer::failed(Failure::BrokenAnswer, why, false),
    }
}

/// A stale answer goes out; one task asks the origin, whoever else comes meanwhile.
fn validate_behind(state: &Arc<State>, journey: &Arc<Journey>, object: &Arc<Object>) {
    if journey.method != Method::GET {
        return;
    }
    let (reader, opened) = state
        .fills
        .join_or_open(&journey.key, journey.birth, |fill| {
            joins(state, journey, fill)
        });
    if let Some(fill) = opened {
        state.metrics.fetch(&journey.served.name, Fwd::Stale);
        let validates = has_validator(&object.head).then(|| object.clone());
        Fetch {
            state: state.clone(),
            journey: journey.clone(),
            fill,
            validates,
        }
        .spawn();
        // Somebody has to want the body, or a large one would be given up.
        tokio::spawn(drain(reader));
    }
}

async fn drain(mut reader: Reader) {
    reader.stage().await;
    while let Ok(Some(_)) = reader.next().await {}
}

/// RFC 5861 §4: what is stored stands in for an origin that fails.
fn stand_in(state: &State, journey: &Journey, object: &Arc<Object>) -> Option<Answer> {
    let now = clock::now();
    let stale = reuse::on_error(reuse::Question {
        freshness: &object.freshness,
        stored: &object.directives,
        client: directives::Request::default(),
        policy: journey.policy(),
        life: object.life(&state.ledger),
        vouches: state.vouches(),
        now,
    })?;
    Some(Answer::stored(
        journey,
        object,
        -(stale.as_secs() as i64),
        now,
    ))
}

fn serve(object: Arc<Object>, ttl: i64, behind: bool) -> Verdict {
    Verdict::Serve {
        object,
        ttl,
        behind,
    }
}

fn has_validator(head: &HeaderMap) -> bool {
    head.contains_key(header::ETAG) || head.contains_key(header::LAST_MODIFIED)
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::OnlyIfCached => StatusCode::GATEWAY_TIMEOUT,
            Self::Fenced => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn detail(self) -> &'static str {
        match self {
            Self::OnlyIfCached => "only-if-cached",
            Self::Fenced => "cut off from the control plane",
        }
    }
}

#[cfg(test)]
mod tests;
