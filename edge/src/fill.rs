//! One fetch from an origin, and everyone who reads it.
//!
//! A fill is a task of its own: it outlives the client that started it. Requests for the same key join it
//! while it asks; when the head is here each of them learns whether the answer may be shared. [`fetch`] is
//! the way to the origin and back, [`judge`] what the rules say of its answer, [`body`] where the bytes come from,
//! [`stream`] how they reach the readers, [`seal`] what is left behind. [`posted`] keeps what passes by.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::key::Key;
use crate::ledger::{Birth, Fingerprint};
use crate::object::Object;
use crate::origin::Failure;
use crate::rules::directives::{self, Named};
use crate::rules::freshness::Freshness;
use crate::rules::storing::Storing;
use crate::rules::variants::Selection;

mod body;
pub mod fetch;
mod judge;
pub mod posted;
mod seal;
pub mod stream;

pub use body::AHEAD_BYTES;

use stream::{Flow, Reader};

/// What is left of a body that is fetched to its end for nobody but the cache.
const FINISH_BYTES_MAX: u64 = 1024 * 1024;

/// One fetch under way.
pub struct Fill {
    pub birth: Birth,
    /// By CLOCK_BOOTTIME; the origin is asked later.
    pub began_ms: u64,
    /// False: for one client only, whose own conditions and range the origin answers (HEAD, a range, caching is off).
    /// What it brings may still be kept.
    pub shared: bool,
    /// The stored object that is served stale meanwhile.
    behind: Option<u64>,
    /// Nobody can join it any more; it may still leave an object behind.
    closed: AtomicBool,
    progress: watch::Sender<Progress>,
    flow: Mutex<Flow>,
    /// A reader took something, or left.
    moved: Notify,
}

/// How far a fill has come.
#[derive(Clone)]
pub struct Progress {
    pub stage: Stage,
    pub end: End,
}

#[derive(Clone)]
pub enum Stage {
    Asking,
    /// The head is here, the body follows.
    Arrived(Arc<Arrived>),
    /// The origin said 304: what is stored is good again.
    Refreshed(Arc<Refreshed>),
    Failed(Failure),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Open,
    Whole,
    Cut(Failure),
}

/// What a 304 called good.
#[derive(Debug)]
pub struct Refreshed {
    pub object: Arc<Object>,
    /// What is said to the client that asked, and not stored.
    pub own: HeaderMap,
}

/// The head of an answer, and what the rules say of it.
#[derive(Debug)]
pub struct Arrived {
    pub status: StatusCode,
    /// What the origin said: 206, where that makes what is stored whole.
    pub said: StatusCode,
    /// Without what belongs to the hop.
    pub head: HeaderMap,
    /// None: known only at its end.
    pub length: Option<u64>,
    pub storing: Storing,
    /// It will be kept whole, so others may be answered from it.
    pub kept: bool,
    /// It was purged on its way, and will not be stored.
    pub overtaken: bool,
    pub directives: directives::Response,
    pub freshness: Freshness,
    pub selection: Selection,
    pub tags: Box<[Fingerprint]>,
}

impl Arrived {
    /// The head for everyone but the client that asked. RFC 9111 §5.2.2.4, §5.2.2.7: fields that are private, or not
    /// for reuse, are not stored.
    pub fn shared_head(&self) -> Cow<'_, HeaderMap> {
        let mut head = Cow::Borrowed(&self.head);
        for name in self.own_names() {
            head.to_mut().remove(name);
        }
        head
    }

    /// The fields for the client that asked alone.
    fn own_head(&self) -> HeaderMap {
        let mut own = HeaderMap::new();
        for name in self.own_names() {
            let lines = self.head.get_all(name).iter();
            own.extend(lines.map(|line| (name.clone(), line.clone())));
        }
        own
    }

    fn own_names(&self) -> impl Iterator<Item = &HeaderName> {
        let named = [&self.directives.private, &self.directives.no_cache];
        named.into_iter().flat_map(|named| match named {
            Named::Fields(names) => names.as_slice(),
            _ => &[],
        })
    }
}

/// Every fill that may be joined, or may leave an object behind.
#[derive(Default)]
pub struct Fills {
    open: Mutex<HashMap<Key, Vec<Arc<Fill>>>>,
    /// Bytes that open fills keep for the cache.
    retained: AtomicU64,
}

impl Fill {
    fn new(birth: Birth, shared: bool, behind: Option<u64>) -> Arc<Self> {
        let (progress, _) = watch::channel(Progress {
            stage: Stage::Asking,
            end: End::Open,
        });
        Arc::new(Self {
            birth,
            began_ms: clock::boottime_ms(),
            shared,
            behind,
            closed: AtomicBool::new(false),
            progress,
            flow: Mutex::default(),
            moved: Notify::new(),
        })
    }

    pub fn stage(&self) -> Stage {
        self.progress.borrow().stage.clone()
    }

    /// Bytes of the body that are here.
    pub fn received(&self) -> u64 {
        self.flow().received()
    }

    /// Whether the body is kept for the cache as it comes.
    pub fn is_retained(&self) -> bool {
        !self.flow().is_windowed()
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        // std Mutex: nothing awaits while it is held, and nothing in it can panic half-way.
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_be_joined(&self) -> bool {
        self.shared && !self.closed.load(Ordering::Acquire)
    }

    fn reach(&self, stage: Stage) {
        self.progress.send_modify(|progress| progress.stage = stage);
    }

    fn finish(&self, end: End) {
        self.progress.send_modify(|progress| {
            if progress.end != End::Open {
                return;
            }
            if let (Stage::Asking, End::Cut(failure)) = (&progress.stage, end) {
                progress.stage = Stage::Failed(failure);
            }
            progress.end = end;
        });
    }

    /// Resolves when the last reader has left.
    async fn abandoned(&self) {
        loop {
            // Made before looking: a reader that leaves in between is not missed.
            let moved = self.moved.notified();
            if self.flow().is_unread() {
                return;
            }
            moved.await;
        }
    }
}

impl Fills {
    /// A reader of the first open fill of `key` that `joins`, else of a new one, which the caller must drive.
    pub fn join_or_open(
        &self,
        key: &Key,
        birth: Birth,
        joins: impl Fn(&Fill) -> bool,
    ) -> (Reader, Option<Arc<Fill>>) {
        let mut open = self.lock();
        let fills = open.entry(key.clone()).or_default();
        if let Some(fill) = fills
            .iter()
            .find(|fill| fill.may_be_joined() && joins(fill))
        {
            return (Reader::new(fill.clone()), None);
        }
        let fill = Fill::new(birth, true, None);
        fills.push(fill.clone());
        (Reader::new(fill.clone()), Some(fill))
    }

    /// A reader of the first open fill of `key` that `joins`.
    pub fn join(&self, key: &Key, joins: impl Fn(&Fill) -> bool) -> Option<Reader> {
        let open = self.lock();
        let mut fills = open.get(key)?.iter();
        let fill = fills.find(|fill| fill.may_be_joined() && joins(fill))?;
        Some(Reader::new(fill.clone()))
    }

    /// Whether there is an open fill of `key` that `joins`.
    pub fn is_open(&self, key: &Key, joins: impl Fn(&Fill) -> bool) -> bool {
        let open = self.lock();
        let fills = open.get(key);
        fills.is_some_and(|fills| {
            let mut fills = fills.iter();
            fills.any(|fill| fill.may_be_joined() && joins(fill))
        })
    }

    /// Whether any fill of `key`, but `own`, may still leave an object behind.
    pub fn has_others(&self, key: &Key, own: Option<&Arc<Fill>>) -> bool {
        let open = self.lock();
        let is_other = |fill: &Arc<Fill>| own.is_none_or(|own| !Arc::ptr_eq(own, fill));
        open.get(key)
            .is_some_and(|fills| fills.iter().any(is_other))
    }

    /// A new fill behind the object with this id, and its reader; None where one is open already. One of another
    /// variant brings nothing for this one.
    pub fn open_behind(&self, key: &Key, birth: Birth, id: u64) -> Option<(Reader, Arc<Fill>)> {
        let mut open = self.lock();
        let fills = open.entry(key.clone()).or_default();
        let is_asked = |fill: &Arc<Fill>| fill.behind == Some(id) && fill.may_be_joined();
        if fills.iter().any(is_asked) {
            return None;
        }
        let fill = Fill::new(birth, true, Some(id));
        fills.push(fill.clone());
        Some((Reader::new(fill.clone()), fill))
    }

    /// A fill that nobody can join, and its only reader.
    pub fn open_alone(&self, key: &Key, birth: Birth) -> (Reader, Arc<Fill>) {
        let fill = Fill::new(birth, false, None);
        let mut open = self.lock();
        open.entry(key.clone()).or_default().push(fill.clone());
        (Reader::new(fill.clone()), fill)
    }

    /// Nobody can join it any more. Under the lock, so that nobody is just about to.
    pub fn close(&self, fill: &Fill) {
        let _open = self.lock();
        fill.closed.store(true, Ordering::Release);
    }

    /// It has left behind what it does.
    pub fn end(&self, key: &Key, fill: &Arc<Fill>) {
        let mut open = self.lock();
        if let Some(fills) = open.get_mut(key) {
            fills.retain(|other| !Arc::ptr_eq(other, fill));
            if fills.is_empty() {
                open.remove(key);
            }
        }
    }

    /// The oldest birth of all that may still leave an object behind.
    pub fn oldest(&self) -> Option<Birth> {
        self.lock()
            .values()
            .flatten()
            .map(|fill| fill.birth)
            .reduce(Birth::floor)
    }

    /// Takes so many more bytes into account; false when all fills together would keep more than `max`.
    fn retain(&self, bytes: u64, max: u64) -> bool {
        let before = self.retained.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > max {
            self.release(bytes);
            return false;
        }
        true
    }

    fn release(&self, bytes: u64) {
        self.retained.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Fill>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a fetch that nobody reads any more is brought to its end for the cache: when most of it is here,
/// or little is left.
pub fn worth_finishing(received: u64, length: Option<u64>) -> bool {
    match length {
        Some(length) => {
            received.saturating_mul(2) >= length || length - received <= FINISH_BYTES_MAX
        }
        None => received <= FINISH_BYTES_MAX,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use seawall_config::Revision;
    use seawall_config::scope::Scheme;

    use super::*;

    #[test]
    fn a_closed_fill_is_joined_by_nobody_and_is_there_until_its_end() {
        let fills = Fills::default();
        let key = Key::new(Revision(1), Scheme::Http, "a", "/").unwrap();
        let birth = Birth {
            revision: Revision(7),
            ..Birth::default()
        };
        let (_reader, own) = fills.open_alone(&key, birth);
        assert!(!fills.has_others(&key, Some(&own)));
        let (_reader, opened) = fills.join_or_open(&key, birth, |_| true);
        let fill = opened.unwrap();
        assert!(fills.has_others(&key, Some(&own)));
        assert!(fills.join(&key, |_| true).is_some());
        fills.close(&fill);
        assert!(fills.join(&key, |_| true).is_none());
        assert!(!fills.is_open(&key, |_| true));
        assert!(fills.has_others(&key, Some(&own)), "it is still under way");
        fills.end(&key, &own);
        assert_eq!(fills.oldest(), Some(birth));
        fills.end(&key, &fill);
        assert_eq!(fills.oldest(), None);
        assert!(!fills.has_others(&key, None));
    }

    #[test]
    fn an_abandoned_fetch_is_finished_when_little_is_left() {
        let mib = 1024 * 1024;
        let check =
            |received, length, expect| assert_eq!(worth_finishing(received, length), expect);
        check(0, Some(mib), true);
        check(0, Some(10 * mib), false);
        check(5 * mib, Some(10 * mib), true);
        check(4 * mib, Some(5 * mib), true);
        check(mib, None, true);
        check(mib + 1, None, false);
    }
}
