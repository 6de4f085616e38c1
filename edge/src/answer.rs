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
use crate::key::Key;
use crate::ledger::{Birth, Life};
use crate::object::Object;
use crate::rules::cache_status::Fwd;
use crate::rules::reuse::{self, Reuse};
use crate::rules::{directives, ranges};
use crate::snapshot::{Served, Snapshot};
use crate::state::State;
use crate::storage::Storage;

mod reply;
mod wait;

pub use reply::{Answer, Content};
use wait::{Outcome, alone, join_or_fetch, validate_behind};

/// How often a request looks again after what it waited for turned out not to be for it; then it goes alone.
const ROUNDS_MAX: usize = 3;

/// One request, and the world it sees.
#[derive(Clone, Debug)]
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
        behind: bool,
    },
    /// Ask the origin whether what is stored is still good (or, where it has no validator, for a new one): join
    /// the one who asks, or ask. It may stand in for an origin that fails.
    Validate(Arc<Object>, Fwd),
    /// Join an open fill, or fetch.
    Fetch(Fwd),
    /// Fetch for this client alone; what is stored may stand in for an origin that fails.
    Alone(Fwd, Option<Arc<Object>>),
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
        return Verdict::Alone(Fwd::Bypass, None);
    }
    // What the client knows to be purged may still be in the cache: only the origin can tell.
    if journey.wanted.is_some() {
        return Verdict::Alone(Fwd::Request, None);
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
                Reuse::Fresh(_) | Reuse::StaleAccepted(_) => Verdict::Serve {
                    object,
                    behind: false,
                },
                Reuse::WhileRevalidating(_) => Verdict::Serve {
                    object,
                    behind: true,
                },
                Reuse::Validate(why) if journey.method != Method::GET => {
                    Verdict::Alone(why.into(), Some(object))
                }
                Reuse::Validate(why) => Verdict::Validate(object, why.into()),
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
        Verdict::Fetch(why) if journey.method != Method::GET => Verdict::Alone(why, None),
        Verdict::Fetch(why) if ranges::asked(&journey.fields).is_some() => {
            Verdict::Alone(why, None)
        }
        verdict => verdict,
    }
}

/// Answers a GET or HEAD. Dropping the future is the client leaving: it is felt at once by what it waits for.
pub async fn answer(state: &Arc<State>, journey: &Arc<Journey>) -> Answer {
    let mut journey = journey.clone();
    for _ in 0..ROUNDS_MAX {
        let shelf = state.storage.get(&journey.key);
        let (now, vouches) = (clock::now(), state.vouches());
        let life = |object: &Object| object.life(&state.ledger);
        let (why, stored) = match decide(&journey, shelf.as_deref(), life, vouches, now) {
            Verdict::Serve { object, behind } => {
                if behind {
                    validate_behind(state, &journey, &object);
                }
                return Answer::stored(&journey, &object, now);
            }
            Verdict::Refuse(refusal) => return Answer::refused(refusal),
            Verdict::Alone(why, stored) => return alone(state, &journey, why, stored).await,
            Verdict::Validate(object, why) => (why, Some(object)),
            Verdict::Fetch(why) => (why, None),
        };
        match join_or_fetch(state, &journey, why, stored.clone()).await {
            Outcome::Answered(answer) => return *answer,
            Outcome::NotForUs => return alone(state, &journey, why, stored).await,
            Outcome::LookAgain => journey = begin_again(state, journey),
        }
    }
    alone(state, &journey, Fwd::UriMiss, None).await
}

/// The request has fetched nothing yet. Where it would be routed the very same way now, what it fetches is born
/// now: else a purge would leave all who waited with fetches that nobody may join and nobody may keep.
fn begin_again(state: &State, journey: Arc<Journey>) -> Arc<Journey> {
    let snapshot = state.snapshot.load_full();
    let same = snapshot
        .routes
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
