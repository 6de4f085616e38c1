//! The one decision, and acting on it, for every door.
//!
//! [`Journey`] is one request's world: it sees one snapshot from first byte to last. [`decide`] is pure: it
//! asks the rules and says what to do. [`answer`] does it, step by step: serve, join or fetch, wait, look
//! again. The ledger is the one thing read anew at every step: a purge counts from the moment it is here.

use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use http::header;
use seawall_config::site::OnPartition;

use crate::clock;
use crate::fill::fetch::Stored;
use crate::ledger::Life;
use crate::object::Object;
use crate::origin::interim::Interims;
use crate::rules::cache_status::Fwd;
use crate::rules::ranges::Part;
use crate::rules::reuse::{self, Reuse};
use crate::rules::validation::strong_tag;
use crate::rules::{coding, ranges};
use crate::state::State;
use crate::storage::Storage;

mod coded;
mod cut_off;
pub mod head;
mod journey;
mod multipart;
mod page;
mod refusal;
mod reply;
mod wait;

use cut_off::{Refetch, has_its_turn, refetch};
pub use journey::{Journey, Wanted};
pub use refusal::Refusal;
pub use reply::{Answer, Content, is_current, range};
use wait::{Outcome, alone, join_or_fetch, validate_behind};
pub use wait::{asked_behind, may_wait, stands_in, would_join};

/// How often a request looks again after what it waited for turned out not to be for it; then it goes alone.
const ROUNDS_MAX: usize = 3;

/// What to do with a request.
#[derive(Debug)]
pub enum Verdict {
    /// Use what is stored; `behind`: and have it validated meanwhile.
    Serve {
        object: Arc<Object>,
        behind: bool,
    },
    /// Join an open fill, or ask the origin. What is stored may still be good, or be a part of it; and it may stand
    /// in for an origin that fails.
    Fetch {
        why: Fwd,
        stored: Stored,
        stand_in: Option<Arc<Object>>,
    },
    /// Fetch for this client alone; what is stored may stand in for an origin that fails.
    Alone {
        why: Fwd,
        apart: Apart,
        stand_in: Option<Arc<Object>>,
    },
    Refuse(Refusal),
}

/// Why a fetch is shared with nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    CacheOff,
    /// It brings no body.
    Head,
    /// One range is asked for as it is.
    OneRange,
    /// The last answer was for its client alone: to wait for the next would be in vain.
    ForOne,
}

impl Verdict {
    /// The same, where the last answer was not `for_one` client only.
    pub fn unless_for_one(self, for_one: bool) -> Self {
        match self {
            Self::Fetch { why, stand_in, .. } if for_one => apart(why, Apart::ForOne, stand_in),
            verdict => verdict,
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
    let shelf = shelf.filter(|_| policy.cache);
    let selected = shelf.and_then(|shelf| Storage::select(shelf, &journey.fields));
    let verdict = match (selected, shelf) {
        _ if !policy.cache => apart(Fwd::Bypass, Apart::CacheOff, None),
        // What the client knows to be purged may still be in the cache: only the origin can tell.
        _ if journey.wanted.is_some() => fetch(Fwd::Miss),
        (Some(object), _) => {
            let question = question(journey, &object, life(&object), vouches, now);
            let here = is_here(journey, &object);
            match reuse::reuse(question) {
                Reuse::Fresh(_) | Reuse::StaleAccepted(_) if here => serve(object, false),
                Reuse::WhileRevalidating(_) if here => serve(object, true),
                Reuse::Fresh(_) => complete(object, Fwd::Partial),
                Reuse::StaleAccepted(_) | Reuse::WhileRevalidating(_) => {
                    validate(object, Fwd::Partial)
                }
                Reuse::Validate(why) => validate(object, why.into()),
                Reuse::Forget => fetch(Fwd::UriMiss),
                Reuse::Refuse => Verdict::Refuse(Refusal::Fenced),
            }
        }
        (None, Some(shelf)) if vouches || policy.on_partition != OnPartition::Revalidate => {
            ask_about(journey, shelf, life)
        }
        (None, Some(_)) => fetch(Fwd::VaryMiss),
        (None, None) => fetch(Fwd::UriMiss),
    };
    match verdict {
        Verdict::Serve { .. } | Verdict::Refuse(_) => verdict,
        _ if client.only_if_cached => Verdict::Refuse(Refusal::OnlyIfCached),
        Verdict::Fetch { why, stand_in, .. } if journey.method != Method::GET => {
            apart(why, Apart::Head, stand_in)
        }
        // One range is asked for as it is, where nothing whole is stored that may be good; several get the whole, and so
        // does one that is all of it.
        Verdict::Fetch {
            why,
            stored,
            stand_in,
        } if ranges::is_one_part(&journey.fields)
            && !matches!(&stored, Stored::Candidates(_) if why != Fwd::VaryMiss) =>
        {
            apart(why, Apart::OneRange, stand_in)
        }
        verdict => verdict,
    }
}

/// What is asked of the rules about a stored response.
pub fn question<'a>(
    journey: &'a Journey,
    object: &'a Object,
    life: Life,
    vouches: bool,
    now: SystemTime,
) -> reuse::Question<'a> {
    reuse::Question {
        freshness: &object.freshness,
        stored: &object.directives,
        client: journey.client_directives(),
        policy: journey.policy(),
        life,
        vouches,
        now,
    }
}

fn serve(object: Arc<Object>, behind: bool) -> Verdict {
    Verdict::Serve { object, behind }
}

fn apart(why: Fwd, apart: Apart, stand_in: Option<Arc<Object>>) -> Verdict {
    Verdict::Alone {
        why,
        apart,
        stand_in,
    }
}

fn fetch(why: Fwd) -> Verdict {
    Verdict::Fetch {
        why,
        stored: Stored::Nothing,
        stand_in: None,
    }
}

/// Some of it is here and good: only the rest is asked for (RFC 9111 §3.3), also where no strong validator will tell that
/// it is of the same whole: then all of it is asked for after that. The public suite wants it asked.
fn complete(object: Arc<Object>, why: Fwd) -> Verdict {
    Verdict::Fetch {
        why,
        stored: Stored::Part(object),
        stand_in: None,
    }
}

/// The origin has to say whether it is still good; a part is asked for the rest, if a strong validator can tell
/// that it is of the same whole (RFC 9111 §4.3.1).
fn validate(object: Arc<Object>, why: Fwd) -> Verdict {
    let stored = match object.body.is_whole() {
        true if is_worth_asking(&object) => Stored::Candidates(vec![object.clone()]),
        false if strong_tag(&object.head).is_some() => Stored::Part(object.clone()),
        _ => Stored::Nothing,
    };
    Verdict::Fetch {
        why,
        stored,
        stand_in: Some(object),
    }
}

/// None is selected (RFC 9111 §4.1), but the origin may find that one of them is what it would send. Only a strong tag
/// tells variants apart: a weak one may stand for all codings of a page (RFC 9110 §8.8.1).
fn ask_about(journey: &Journey, shelf: &[Arc<Object>], life: impl Fn(&Object) -> Life) -> Verdict {
    let may_be_it = |object: &&Arc<Object>| {
        let tagged = strong_tag(&object.head).is_some() && is_worth_asking(object);
        // A hard-dead variant sends no validators.
        tagged && coding::is_taken(&journey.fields, &object.head) && life(object) != Life::HardDead
    };
    let candidates: Vec<_> = shelf.iter().filter(may_be_it).cloned().collect();
    Verdict::Fetch {
        why: Fwd::VaryMiss,
        stored: match candidates.is_empty() {
            true => Stored::Nothing,
            false => Stored::Candidates(candidates),
        },
        stand_in: None,
    }
}

/// Whether what a request asks for of a stored response is here. RFC 9111 §3.3: "A cache MUST NOT use an incomplete
/// response to answer requests unless the response has been made complete, or the request is partial and specifies a
/// range wholly within the incomplete response."
pub fn is_here(journey: &Journey, object: &Object) -> bool {
    let body = &object.body;
    if body.is_whole() || journey.method != Method::GET {
        return body.is_whole();
    }
    match journey.part(&object.head, body.total()) {
        Part::Whole => false,
        Part::Bytes { first, last } => body.has(first, last + 1),
        Part::Several(parts) => parts.iter().all(|(first, last)| body.has(*first, last + 1)),
        Part::Unsatisfiable => true,
    }
}

/// Answers a GET or HEAD; what comes before the answer goes to `interims`. Dropping the future is the client leaving:
/// it is felt at once by what it waits for.
pub async fn answer(state: &Arc<State>, journey: &Arc<Journey>, interims: &Interims) -> Answer {
    let vouches = state.relies_on(journey);
    let mut way = journey.clone();
    let mut answer = plain(state, &mut way, interims, vouches).await;
    if way.wanted != journey.wanted {
        answer.told.detail = Some(cut_off::BEHIND);
    }
    if !vouches {
        let detail = cut_off::detail(journey.policy().on_partition, answer.told.handling);
        answer.told.detail = answer.told.detail.or(detail);
    }
    answer.with_page(journey).encoded(state, journey).await
}

/// The answer with its body as the origin sent it.
async fn plain(
    state: &Arc<State>,
    journey: &mut Arc<Journey>,
    interims: &Interims,
    mut vouches: bool,
) -> Answer {
    for _ in 0..ROUNDS_MAX {
        state.settle();
        let shelf = state.storage.get(&journey.key);
        let now = clock::now();
        let life = |object: &Object| object.life(&state.ledger);
        let verdict = decide(journey, shelf.as_deref(), life, vouches, now);
        let verdict = verdict.unless_for_one(state.refusals.is_for_one(&journey.key));
        match refetch(state, journey, &verdict, vouches) {
            Some(why) if !has_its_turn(journey, why).await => match why {
                Refetch::CutOff => return Answer::refused(Refusal::RefetchRate),
                // Never an error for being early: it gets what it would have got without asking for more.
                Refetch::Early => {
                    *journey = Arc::new(Journey {
                        wanted: None,
                        ..(**journey).clone()
                    });
                    continue;
                }
            },
            _ => {}
        }
        let (why, stored, stand_in) = match verdict {
            Verdict::Serve { object, behind } => {
                if behind {
                    validate_behind(state, journey, &object);
                }
                return Answer::stored(journey, &object, now);
            }
            Verdict::Refuse(refusal) => return Answer::refused(refusal),
            Verdict::Alone { why, stand_in, .. } => {
                return alone(state, journey, why, stand_in, interims).await;
            }
            Verdict::Fetch {
                why,
                stored,
                stand_in,
            } => (why, stored, stand_in),
        };
        match join_or_fetch(state, journey, why, stored, stand_in.clone(), interims).await {
            Outcome::Answered(answer) => return *answer,
            Outcome::NotForUs => return alone(state, journey, why, stand_in, interims).await,
            Outcome::LookAgain => *journey = begin_again(state, journey.clone()),
        }
        vouches = state.relies_on(journey);
    }
    alone(state, journey, Fwd::Miss, None, interims).await
}

/// The request has fetched nothing yet. Where it would be routed the very same way now, what it fetches is born
/// now: else a purge would leave all who waited with fetches that nobody may join and nobody may keep.
fn begin_again(state: &State, journey: Arc<Journey>) -> Arc<Journey> {
    let snapshot = state.snapshot.load_full();
    let same = snapshot
        .routes()
        .find(journey.key.host())
        .is_some_and(|served| Arc::ptr_eq(served, &journey.served));
    if !same {
        return journey;
    }
    let birth = state.birth(&snapshot, &journey.served);
    Arc::new(Journey {
        birth,
        snapshot,
        ..(*journey).clone()
    })
}

/// Whether a 304 could say that it is good. RFC 9110 §13.2.1: conditions count only where the answer without them would
/// be a success, so of an error or a redirection they say nothing.
fn is_worth_asking(object: &Object) -> bool {
    let head = &object.head;
    let has_validator = head.contains_key(header::ETAG) || head.contains_key(header::LAST_MODIFIED);
    has_validator && object.body.is_whole() && object.status.is_success()
}

#[cfg(test)]
mod tests;
