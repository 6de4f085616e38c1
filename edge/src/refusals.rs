//! What was not stored, and why: for whoever asks; and so that no client waits for an answer that is not meant for it.
//!
//! Requests for one thing wait for one answer. Where the last one was for its client alone, those who come would wait
//! for the next in vain, and ask for themselves only then: they ask at once instead, until an answer can be kept.

use std::time::Duration;

use http::{Method, StatusCode};
use moka::sync::Cache;

use crate::fill::{Arrived, Fill};
use crate::key::Key;
use crate::rules::reuse;
use crate::rules::storing::{Storing, Why};

/// Keys are remembered for so long after their last answer, and in so many bytes.
const TTL: Duration = Duration::from_secs(600);
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What one takes beside its key.
const ENTRY_BYTES: usize = 200;

pub struct Refusals(Cache<Key, Refused>);

#[derive(Clone, Copy, Debug)]
struct Refused {
    /// None: it was not stored for its size alone.
    why: Option<Why>,
    for_one: bool,
}

impl Default for Refusals {
    fn default() -> Self {
        let weigh = |key: &Key, _: &Refused| key.weight().saturating_add(ENTRY_BYTES);
        let cache = Cache::builder()
            .max_capacity(BYTES_MAX)
            .weigher(move |key, refused| weigh(key, refused).try_into().unwrap_or(u32::MAX))
            .time_to_live(TTL)
            .build();
        Self(cache)
    }
}

impl Refusals {
    /// What a fetch brought.
    pub fn note(&self, key: &Key, method: &Method, fill: &Fill, arrived: &Arrived) {
        if method != Method::GET {
            return;
        }
        let why = match arrived.storing {
            Storing::Refuse(why) => Some(why),
            Storing::Keep => None,
        };
        if why.is_none() && (arrived.kept || !fill.shared) {
            // Looked for first: nearly always nothing is there.
            if self.0.contains_key(key) {
                self.0.invalidate(key);
            }
            return;
        }
        let for_one = is_for_one(why, fill.shared, arrived.status);
        self.0.insert(key.clone(), Refused { why, for_one });
    }

    /// Why the last answer was not stored.
    pub fn why(&self, key: &Key) -> Option<Why> {
        self.0.get(key)?.why
    }

    /// Whether the last answer was for its client alone, and the next will hardly be for more.
    pub fn is_for_one(&self, key: &Key) -> bool {
        self.0.get(key).is_some_and(|refused| refused.for_one)
    }
}

/// Whether an answer that is not kept says something of those to come. A failure says nothing: the origin is not asked
/// for it by everybody at once. Nor does what a client's own conditions and range brought.
fn is_for_one(why: Option<Why>, shared: bool, status: StatusCode) -> bool {
    let of_the_answer = why.is_none_or(Why::is_of_the_answer);
    of_the_answer && !reuse::is_failure(status) && (shared || status == StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_answer_itself_says_is_held_against_those_to_come() {
        let check = |why, shared, status, expect: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_for_one(why, shared, status), expect, "{why:?} {status}");
        };
        check(Some(Why::NoStore), true, 200, true);
        check(Some(Why::Private), true, 404, true);
        check(Some(Why::SetCookie), false, 200, true);
        check(Some(Why::NoFreshness), true, 200, true);
        // Too large to be kept.
        check(None, true, 200, true);
        // Another client may ask without it.
        check(Some(Why::Authorization), true, 200, false);
        check(Some(Why::ClientNoStore), true, 200, false);
        // The origin may be well again.
        check(Some(Why::Status), true, 503, false);
        check(Some(Why::NoFreshness), true, 500, false);
        // The answer to one client's own condition or range.
        check(Some(Why::Status), false, 304, false);
        check(Some(Why::NoFreshness), false, 416, false);
    }
}
