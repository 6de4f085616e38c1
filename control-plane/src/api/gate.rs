//! In front of each resource: who asks, may he, how often, how much at once; and behind it a line for what was changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::{Access, Caller, Denied, Right, Who, identify};
use super::audit::Asked;
use super::problem::{self, Refusal};
use super::rate::{Rates, Verdict};
use crate::PlaneError;
use crate::clock::Clock;

/// Requests of people and programs under way.
const REQUESTS_MAX: usize = 1_024;
/// Of edges; they have slots of their own, so that nobody's crowd keeps a heartbeat out, nor theirs anybody while the
/// store does not answer. A feed counts only until it begins.
const EDGE_REQUESTS_MAX: usize = 4_096;

/// What stands in front of one resource.
#[derive(Clone)]
pub(super) struct Gate {
    access: Access,
    // std's: nothing awaits while it is held.
    rates: Arc<Mutex<Rates>>,
    slots: Arc<Semaphore>,
    edge_slots: Arc<Semaphore>,
    clock: Clock,
    right: Right,
}

/// A request that was let in, until it is answered.
struct Admitted {
    who: Who,
    _slot: OwnedSemaphorePermit,
    _begun: Begun,
}

/// Counts among what its caller has under way; None where callers are not told apart.
struct Begun(Option<(Arc<Mutex<Rates>>, String)>);

impl Gate {
    pub(super) fn new(access: Access, clock: Clock) -> Self {
        Self {
            access,
            rates: Arc::default(),
            slots: Arc::new(Semaphore::new(REQUESTS_MAX)),
            edge_slots: Arc::new(Semaphore::new(EDGE_REQUESTS_MAX)),
            clock,
            right: Right::See,
        }
    }

    /// The same for a resource that needs another right.
    pub(super) fn to(&self, right: Right) -> Self {
        Self {
            right,
            ..self.clone()
        }
    }

    fn admit(
        &self,
        who: Result<Who, Denied>,
        from: &Caller,
        named: Option<&str>,
    ) -> Result<Admitted, Refusal> {
        let now_ms = self.clock.now_ms();
        let who = match who {
            Ok(who) => who,
            Err(denied) => {
                // Whoever guesses is slowed down by address.
                said(lock(&self.rates).ask(&format!("from {}", from.address), now_ms))?;
                return Err(refused(denied));
            }
        };
        let may = who.may(self.right, named);
        let begun = match self.counted_as(&who, from, named.filter(|_| may.is_ok())) {
            None => Begun(None),
            Some(caller) => {
                said(lock(&self.rates).begin(&caller, now_ms))?;
                Begun(Some((self.rates.clone(), caller)))
            }
        };
        may.map_err(refused)?;
        let slots = match self.right {
            Right::BeEdge | Right::Follow => &self.edge_slots,
            _ => &self.slots,
        };
        let slot = slots.clone().try_acquire_owned();
        Ok(Admitted {
            who,
            _slot: slot.map_err(|_| Refusal::from(PlaneError::Busy))?,
            _begun: begun,
        })
    }

    /// One rate for each token and each edge. Edges may share a token: each that it lets in has a rate for its
    /// heartbeats, and each address one for the feed.
    fn counted_as(&self, who: &Who, from: &Caller, edge: Option<&str>) -> Option<String> {
        let token = match who {
            Who::Anyone => return None,
            Who::Edge(id) => return Some(format!("edge {id}")),
            Who::Token(token) => &token.name,
        };
        Some(match (self.right, edge) {
            (Right::BeEdge | Right::PurgeAsEdge, Some(edge)) => format!("token {token} as {edge}"),
            (Right::Follow, _) => format!("token {token} from {}", from.address),
            _ => format!("token {token}"),
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some((rates, caller)) = &self.0 {
            lock(rates).end(caller);
        }
    }
}

pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .ok();
    let named = params.as_ref().and_then(|params| params.iter().next());
    let named = named.map(|(_, value)| value);
    let from = parts.extensions.get().cloned();
    let from = from.unwrap_or_else(Caller::unknown);
    let who = identify(&gate.access, &from, &parts.headers);
    let asked = Asked::new(&parts, &from, who.as_ref().ok(), gate.right);
    let response = match gate.admit(who, &from, named) {
        Ok(admitted) => {
            parts.extensions.insert(admitted.who.clone());
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    };
    asked.answered(&response);
    response
}

fn said(verdict: Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Go => Ok(()),
        Verdict::TooOften => Err(problem::too_often()),
        Verdict::TooMany => Err(problem::too_many()),
    }
}

fn refused(denied: Denied) -> Refusal {
    match denied {
        Denied::Unknown => problem::unauthorized(),
        Denied::Forbidden(why) => problem::forbidden(why),
    }
}

fn lock(rates: &Mutex<Rates>) -> MutexGuard<'_, Rates> {
    rates.lock().unwrap_or_else(PoisonError::into_inner)
}
