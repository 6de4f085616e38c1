//! The audit log: a line for each request that may change something, whoever asked and whatever came of it. Its target is
//! `audit`.

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use seawall_config::Revision;
use serde::Serialize;

use super::access::{Caller, Right, Who};

/// Characters of what a request named in its body.
const WHAT_CHARS_MAX: usize = 1_000;

/// What a request did, among the extensions of its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) revision: Option<Revision>,
    /// What the path does not say already.
    pub(super) what: Option<String>,
}

/// A request until it is answered; None where it changes nothing.
pub(super) struct Asked(Option<Line>);

struct Line {
    who: String,
    from: String,
    method: Method,
    path: String,
}

impl Made {
    pub(super) fn at(revision: Revision) -> Self {
        let revision = Some(revision);
        Self {
            revision,
            what: None,
        }
    }

    /// Cut to what a line can hold.
    pub(super) fn what(self, what: &impl Serialize) -> Self {
        let what = serde_json::to_string(what).unwrap_or_default();
        Self {
            what: Some(what.chars().take(WHAT_CHARS_MAX).collect()),
            ..self
        }
    }
}

impl Asked {
    /// `who`: None where nobody knows. A heartbeat changes nothing that anyone asked for.
    pub(super) fn new(parts: &Parts, from: &Caller, who: Option<&Who>, right: Right) -> Self {
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let line = || Line {
            who: who.map_or("nobody known", Who::name).to_owned(),
            from: from.address.to_string(),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
        };
        Self((!reads && right != Right::BeEdge).then(line))
    }

    pub(super) fn answered(mut self, response: &Response) {
        let Some(line) = self.0.take() else {
            return;
        };
        // Those are many, and nothing was done.
        if response.status() != StatusCode::TOO_MANY_REQUESTS {
            line.write(Some(response));
        }
    }
}

impl Drop for Asked {
    /// Whoever asked left before the answer; it may have been done all the same.
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            line.write(None);
        }
    }
}

impl Line {
    fn write(self, response: Option<&Response>) {
        let Self {
            who,
            from,
            method,
            path,
        } = self;
        let status = response.map(|response| response.status().as_u16());
        let made = response.and_then(|response| response.extensions().get::<Made>().cloned());
        let Made { revision, what } = made.unwrap_or_default();
        let revision = revision.map(|revision| revision.0);
        tracing::info!(target: "audit", who, from, %method, path, what, status, revision, "asked");
    }
}
