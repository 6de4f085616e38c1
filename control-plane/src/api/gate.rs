//! In front of each resource: who asks, may he, how often; and behind it a line for what was changed.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use seawall_config::Revision;

use super::access::{Access, Caller, Denied, Right, Who, identify};
use super::problem::{self, Refusal};
use super::rate::Rates;
use crate::clock::Clock;

/// What stands in front of one resource.
#[derive(Clone)]
pub(super) struct Gate {
    access: Access,
    // std's: nothing awaits while it is held.
    rates: Arc<Mutex<Rates>>,
    clock: Clock,
    right: Right,
}

/// The revision that a request made, among the extensions of its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made(pub Revision);

impl Gate {
    pub(super) fn new(access: Access, clock: Clock) -> Self {
        Self {
            access,
            rates: Arc::default(),
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

    fn admit(&self, request: &Request, named: Option<&str>) -> Result<Who, Refusal> {
        let unknown = Caller::unknown();
        let caller = request.extensions().get::<Caller>().unwrap_or(&unknown);
        let who = match identify(&self.access, caller, request.headers()) {
            Ok(who) => who,
            Err(denied) => {
                // Whoever guesses is slowed down by address.
                self.may_ask(&caller.address.to_string())?;
                return Err(refused(denied));
            }
        };
        // Edges may share a token, each with its own heartbeats.
        let name = match self.right {
            Right::BeEdge => format!("{}/{}", who.name(), named.unwrap_or_default()),
            _ => who.name().to_owned(),
        };
        if who != Who::Anyone {
            self.may_ask(&name)?;
        }
        who.may(self.right, named).map_err(refused)?;
        Ok(who)
    }

    fn may_ask(&self, caller: &str) -> Result<(), Refusal> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        match rates.take(caller, self.clock.now_ms()) {
            true => Ok(()),
            false => Err(problem::too_often()),
        }
    }
}

pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .ok();
    let named = params.as_ref().and_then(|params| params.iter().next());
    let named = named.map(|(_, value)| value.to_owned());
    let mut request = Request::from_parts(parts, body);
    let who = match gate.admit(&request, named.as_deref()) {
        Ok(who) => who,
        Err(refusal) => return refusal.into_response(),
    };
    let asked = Asked::new(&request, &who, gate.right);
    request.extensions_mut().insert(who);
    let response = next.run(request).await;
    asked.log(&response);
    response
}

fn refused(denied: Denied) -> Refusal {
    match denied {
        Denied::Unknown => problem::unauthorized(),
        Denied::Forbidden(why) => problem::forbidden(why),
    }
}

/// What the audit log says of a request that may change something; None where it cannot.
struct Asked(Option<(String, String, Method, String)>);

impl Asked {
    fn new(request: &Request, who: &Who, right: Right) -> Self {
        let changes = request.method() != Method::GET && request.method() != Method::HEAD;
        let from = request.extensions().get::<Caller>();
        let from = from.map_or_else(String::new, |caller| caller.address.to_string());
        let path = request.uri().path().to_owned();
        let asked = || (who.name().to_owned(), from, request.method().clone(), path);
        Self((changes && right != Right::BeEdge).then(asked))
    }

    fn log(self, response: &Response) {
        let Some((who, from, method, path)) = self.0 else {
            return;
        };
        let status = response.status().as_u16();
        let revision = response.extensions().get::<Made>().map(|made| made.0.0);
        tracing::info!(target: "audit", who, from, %method, path, status, revision, "asked");
    }
}
