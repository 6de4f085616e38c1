//! A stored response: its head, its body, and what must be known to reuse it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, StatusCode};

mod body;
pub mod lead;
#[cfg(test)]
pub mod samples;

pub use body::Body;
use lead::Lead;

use crate::key::Key;
use crate::ledger::shared::SharedLedger;
use crate::ledger::{Birth, Fingerprint, Life, united};
use crate::rules::directives;
use crate::rules::fields::TAGS_AND_GROUPS_MAX;
use crate::rules::freshness::Freshness;
use crate::rules::variants::Selection;
use crate::rules::{freshening, validation};

/// What an object weighs beyond key, head, body and tags: this struct, its shelf, moka's own bookkeeping.
const BOOKKEEPING_BYTES: usize = 700;
/// What one field of a head weighs beside the bytes of the lead.
const FIELD_BYTES: usize = 48;

/// Immutable but for the memory of its last check. A 304 makes a new one around the same body.
#[derive(Debug)]
pub struct Object {
    /// Unique in this process: a validation updates only the very object it validated.
    pub id: u64,
    pub site: Arc<str>,
    pub key: Key,
    pub birth: Birth,
    /// Of the whole: 200 where only parts of it are here.
    pub status: StatusCode,
    /// As the origin sent it, less what belongs to the hop, or to one part. Tags are still in it.
    pub head: HeaderMap,
    /// The same as it goes over HTTP/1.
    pub lead: Lead,
    pub body: Body,
    pub tags: Box<[Fingerprint]>,
    pub selection: Selection,
    pub directives: directives::Response,
    pub freshness: Freshness,
    /// The ledger's generation at which it was last found alive, plus one; 0 before.
    alive_at: AtomicU64,
    pub sweeps: Sweeps,
}

/// Which sweep saw an object last; each counts it once.
#[derive(Debug, Default)]
pub struct Sweeps(AtomicU64);

/// How an object was found that leaves its shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was gone already.
    Before,
    Seen,
    Unseen,
}

/// What goes into an object.
#[derive(Debug)]
pub struct Parts<'a> {
    pub site: Arc<str>,
    pub key: Key,
    pub birth: Birth,
    pub status: StatusCode,
    pub head: Cow<'a, HeaderMap>,
    pub body: Body,
    pub tags: Box<[Fingerprint]>,
    pub selection: Selection,
    pub directives: directives::Response,
    pub freshness: Freshness,
}

impl Object {
    pub fn new(parts: Parts<'_>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let Parts {
            site,
            key,
            birth,
            status,
            head,
            body,
            tags,
            selection,
            directives,
            freshness,
        } = parts;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let alive_at = AtomicU64::new(0);
        let (lead, head) = Lead::new(status, &head, body.total());
        Self {
            id,
            site,
            key,
            birth,
            status,
            head,
            lead,
            body,
            tags,
            selection,
            directives,
            freshness,
            alive_at,
            sweeps: Sweeps::default(),
        }
    }

    /// What the ledger says of it now: one compare while nothing was purged since the last look.
    pub fn life(&self, ledger: &SharedLedger) -> Life {
        let generation = ledger.generation() + 1;
        if self.alive_at.load(Ordering::Relaxed) == generation {
            return Life::Alive;
        }
        let life =
            ledger.read(|ledger| ledger.judge(&self.site, &self.key, Some(&self.tags), self.birth));
        if life == Life::Alive {
            self.alive_at.store(generation, Ordering::Relaxed);
        }
        life
    }

    /// This one with what a later answer brought of the same body, under the newer head. None where nothing proves
    /// that they are parts of one whole.
    pub fn joined(&self, newer: &Self) -> Option<Self> {
        // RFC 9111 §3.4: "A cache MAY combine these ranges into a single stored response … if they all share the same
        // strong validator".
        if !validation::share_strong_validator(&self.head, &newer.head) {
            return None;
        }
        let body = self.body.joined(&newer.body)?;
        let tags = united(&self.tags, &newer.tags);
        if tags.len() > TAGS_AND_GROUPS_MAX {
            return None;
        }
        Some(Self::new(Parts {
            site: newer.site.clone(),
            key: newer.key.clone(),
            // What was purged of either is purged of both.
            birth: self.birth.floor(newer.birth),
            status: newer.status,
            head: Cow::Owned(freshening::update(&self.head, &newer.head)),
            body,
            tags,
            selection: newer.selection.clone(),
            directives: newer.directives.clone(),
            freshness: newer.freshness,
        }))
    }

    /// What it weighs in memory, in bytes.
    pub fn weight(&self) -> u64 {
        let head = self.lead.weight() + self.head.len() * FIELD_BYTES;
        let tags = self.tags.len() * size_of::<Fingerprint>();
        let rest = self.key.weight() + head + tags + self.selection.weight() + BOOKKEEPING_BYTES;
        self.body.here() + self.body.kept.weight() + rest as u64
    }
}

impl Sweeps {
    /// The object has left its shelf.
    const GONE: u64 = u64::MAX;

    /// A sweep sees it on its shelf: whether this one has not before, nor anyone seen it leave.
    pub fn see(&self, sweep: u64) -> bool {
        let see = |last| (last != Self::GONE).then_some(sweep);
        let last = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, see);
        last.is_ok_and(|last| last != sweep)
    }

    /// It leaves its shelf while this sweep goes on, or after it.
    pub fn leave(&self, sweep: u64) -> Left {
        match self.0.swap(Self::GONE, Ordering::AcqRel) {
            Self::GONE => Left::Before,
            last if last == sweep => Left::Seen,
            _ => Left::Unseen,
        }
    }
}
