//! An object for tests of what keeps and counts them.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use seawall_config::Revision;
use seawall_config::scope::Scheme;

use super::{Body, Parts};
use crate::key::Key;
use crate::ledger::Birth;
use crate::rules::directives;
use crate::rules::freshness::{By, Freshness};
use crate::rules::variants::Selection;

/// Of `http://a/`, without fields and body, born at this revision and received at that second.
pub fn parts(birth: u64) -> Parts<'static> {
    let nothing = HeaderMap::new();
    Parts {
        site: "s".into(),
        key: Key::new(Revision(1), Scheme::Http, "a", "/").expect("a key"),
        birth: Birth {
            revision: Revision(birth),
            ..Birth::default()
        },
        status: StatusCode::OK,
        selection: Selection::new(&nothing, &nothing),
        head: Cow::Owned(nothing),
        body: Body::new([]),
        tags: [].into(),
        directives: directives::Response::default(),
        freshness: Freshness {
            lifetime: Duration::ZERO,
            by: By::Nothing,
            initial_age: Duration::ZERO,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(birth),
        },
    }
}
