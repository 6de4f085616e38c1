//! One request's world: it sees one snapshot from its first byte to its last.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::HeaderMap;
use http::{Method, StatusCode};
use seawall_config::Revision;
use seawall_config::site::{ClientDirectives, Policy};

use crate::key::Key;
use crate::ledger::Birth;
use crate::rules::ranges::Part;
use crate::rules::{coding, directives, ranges};
use crate::snapshot::{Served, Snapshot};

/// One request, and the world it sees.
#[derive(Clone, Debug)]
pub struct Journey {
    pub snapshot: Arc<Snapshot>,
    pub served: Arc<Served>,
    pub key: Key,
    pub method: Method,
    /// The client's own words: its fields, less what belongs to the connection.
    pub fields: Arc<HeaderMap>,
    pub client: Option<SocketAddr>,
    /// What a fetch for it is born as.
    pub birth: Birth,
    /// A revision the client wants to be served from at least, and this edge has not reached.
    pub wanted: Option<Wanted>,
}

/// What this edge cannot know is in the answer yet, unless the origin is asked after the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub revision: Revision,
    /// When the request came, by CLOCK_BOOTTIME.
    pub since_ms: u64,
}

impl Journey {
    pub fn policy(&self) -> &Policy {
        self.served.site.policy(self.key.path())
    }

    /// What it gets of a whole 200 with this head.
    pub fn part(&self, head: &HeaderMap, total: u64) -> Part {
        // RFC 9110 §13.1.5: a date counts only where it is a strong validator; and one that is sent with these bytes and
        // with the same encoded is weak (§8.8.1).
        let coded = || coding::may_be_encoded(self.policy(), StatusCode::OK, head).is_ok();
        match ranges::only_if_dated(&self.fields) && coded() {
            true => Part::Whole,
            false => ranges::part(&self.fields, head, total),
        }
    }

    /// Whether the client may see behind the answer.
    pub fn may_debug(&self) -> bool {
        let client = self.client.map(|client| client.ip());
        client.is_some_and(|client| self.served.site.may_debug(client))
    }

    pub(super) fn client_directives(&self) -> directives::Request {
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
