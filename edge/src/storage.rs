//! The shelf: moka, weighed by bytes. One entry holds every variant of a URL.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use crate::key::Key;
use crate::object::Object;
use crate::rules::freshness::date;

/// Variants of one URL; the one received longest ago makes room.
pub const VARIANTS_MAX: usize = 64;
/// An object may take this share of the whole cache, so that one download does not empty it.
const OBJECT_SHARE: u64 = 4;

/// Room is made again at the latest when this share of the whole cache has come.
const LAG_SHARE: u64 = 32;

/// moka weighs in 32 bits: in units of so many bytes 64 large variants still count for what they are.
const WEIGHT_UNIT_BYTES: u64 = 64;

/// Keys share locks: a change may wait for one of another key.
const LOCKS: usize = 64;

/// Every variant stored under one key, the newest last.
pub type Shelf = Arc<[Arc<Object>]>;

/// Told of every object that leaves its shelf, unless one takes its place that is as old: a part that was joined, or a
/// head that was updated.
type Leaving = Arc<dyn Fn(&Object) + Send + Sync>;

pub struct Storage {
    shelves: Cache<Key, Shelf>,
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
    leaving: Leaving,
    bytes_max: u64,
    /// Bytes that came since room was made.
    came: AtomicU64,
    evictions: Arc<AtomicU64>,
}

/// What became of something that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// What is there was born later.
    Outdated,
    /// The object that was validated is not there any more.
    Gone,
}

impl Storage {
    /// Holds at most `bytes_max` bytes of keys, heads, bodies and bookkeeping.
    pub fn new(bytes_max: u64, leaving: impl Fn(&Object) + Send + Sync + 'static) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let leaving: Leaving = Arc::new(leaving);
        let (counter, evicted) = (evictions.clone(), leaving.clone());
        let shelves = Cache::builder()
            .max_capacity(bytes_max / WEIGHT_UNIT_BYTES)
            .weigher(|_: &Key, shelf: &Shelf| weight(shelf))
            .eviction_listener(move |_, shelf: Shelf, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                    shelf.iter().for_each(|object| evicted(object));
                }
            })
            .build();
        Self {
            shelves,
            locks: [const { Mutex::new(()) }; LOCKS],
            hasher: RandomState::new(),
            leaving,
            bytes_max,
            came: AtomicU64::new(0),
            evictions,
        }
    }

    pub fn get(&self, key: &Key) -> Option<Shelf> {
        self.shelves.get(key)
    }

    /// The variant that a request selects.
    pub fn select(shelf: &[Arc<Object>], request: &HeaderMap) -> Option<Arc<Object>> {
        let selects = |object: &&Arc<Object>| object.selection.selects(request);
        let mut selected = shelf.iter().rev().filter(selects);
        let last = selected.next()?;
        let Some(other) = selected.next() else {
            return Some(last.clone());
        };
        // RFC 9111 §4: "When more than one suitable response is stored, a cache MUST use the most recent one (as
        // determined by the Date header field)"; of the same second the one that came last.
        let said = |object: &&Arc<Object>| date(&object.head, object.freshness.received);
        let newest_last = selected.collect::<Vec<_>>().into_iter().rev();
        newest_last.chain([other, last]).max_by_key(said).cloned()
    }

    /// Whether a body of so many bytes may be kept.
    pub fn takes(&self, bytes: u64) -> bool {
        bytes <= (self.bytes_max / OBJECT_SHARE).min(u64::from(u32::MAX) / 2)
    }

    /// Stores a fetched object, unless what it would replace was born later.
    pub fn put(&self, object: &Arc<Object>) -> Put {
        self.change(&object.key, |shelf| {
            let same = |old: &Arc<Object>| old.selection == object.selection;
            if shelf
                .iter()
                .any(|old| same(old) && old.birth > object.birth)
            {
                return Err(Put::Outdated);
            }
            Ok(with(shelf, object.clone()))
        })
    }

    /// Stores a part, joined with the parts of the same whole that are there. `alive`: what may still be used.
    pub fn put_part(&self, part: &Arc<Object>, alive: impl Fn(&Object) -> bool) -> Put {
        let same = |old: &&Arc<Object>| old.selection == part.selection;
        self.change(&part.key, |shelf| {
            let old = shelf.iter().find(same);
            let fresh = |old: &Object| old.freshness.left(part.freshness.received).is_ok();
            let joined = match old.filter(|old| alive(old)) {
                Some(old) => match old.joined(part) {
                    Some(joined) if self.takes(joined.body.here()) => Arc::new(joined),
                    // What is whole and good is worth more than a part of something else.
                    None if old.body.is_whole() && fresh(old) => return Err(Put::Outdated),
                    _ => part.clone(),
                },
                None => part.clone(),
            };
            if old.is_some_and(|old| old.birth > part.birth) {
                return Err(Put::Outdated);
            }
            Ok(with(shelf, joined))
        })
    }

    /// Puts `updated` in the place of the very object `old`, which a 304 validated.
    pub fn replace(&self, old: u64, updated: &Arc<Object>) -> Put {
        self.change(&updated.key, |shelf| {
            match shelf.iter().any(|object| object.id == old) {
                true => Ok(shelf
                    .iter()
                    .map(|o| {
                        if o.id == old {
                            updated.clone()
                        } else {
                            o.clone()
                        }
                    })
                    .collect()),
                false => Err(Put::Gone),
            }
        })
    }

    /// Takes the objects with these ids from the shelf.
    pub fn remove(&self, key: &Key, ids: &[u64]) {
        self.change(key, |shelf| {
            Ok(shelf
                .iter()
                .filter(|object| !ids.contains(&object.id))
                .cloned()
                .collect())
        });
    }

    /// Something on the shelf has come to weigh more.
    pub fn weigh_again(&self, key: &Key) {
        self.change(key, |shelf| Ok(shelf.to_vec()));
    }

    /// Every shelf, in no order; what changes meanwhile may be seen or not.
    pub fn shelves(&self) -> impl Iterator<Item = Shelf> {
        self.shelves.iter().map(|(_, shelf)| shelf)
    }

    /// (URLs, bytes) as moka counts them: it lags behind by what its housekeeping has not seen.
    pub fn size(&self) -> (u64, u64) {
        let bytes = self.shelves.weighted_size() * WEIGHT_UNIT_BYTES;
        (self.shelves.entry_count(), bytes)
    }

    /// Shelves taken away to make room so far.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Lets moka do its housekeeping now.
    pub fn tidy(&self) {
        self.shelves.run_pending_tasks();
    }

    /// One change of a shelf at a time: two fills that end together cannot lose one another. moka's own way to do that keeps
    /// one more map, which costs more than the lock.
    fn change(
        &self,
        key: &Key,
        change: impl FnOnce(&[Arc<Object>]) -> Result<Vec<Arc<Object>>, Put>,
    ) -> Put {
        let alone = self.lock(key);
        // To look for what is not there counts as a use of it.
        let there = self.shelves.contains_key(key).then(|| self.get(key));
        let there = there.flatten();
        let there = there.as_deref().unwrap_or_default();
        let shelf: Shelf = match change(there) {
            Ok(shelf) => shelf.into(),
            Err(why) => return why,
        };
        let left = there.iter().filter(|old| !lives_on(old, &shelf));
        let left: Vec<_> = left.collect();
        let came = bytes(&shelf).saturating_sub(bytes(there));
        match (shelf.is_empty(), there.is_empty()) {
            (false, _) => self.shelves.insert(key.clone(), shelf),
            (true, false) => self.shelves.invalidate(key),
            (true, true) => {}
        }
        left.into_iter().for_each(|object| (self.leaving)(object));
        drop(alone);
        self.make_room(came);
        Put::Stored
    }

    /// moka makes room after so many changes, or so much time, however large what came is: beyond the bound it would hold
    /// as many large bodies as come meanwhile.
    fn make_room(&self, came: u64) {
        let since = self.came.fetch_add(came, Ordering::Relaxed) + came;
        if since > self.bytes_max / LAG_SHARE {
            self.came.store(0, Ordering::Relaxed);
            self.tidy();
        }
    }

    fn lock(&self, key: &Key) -> Option<MutexGuard<'_, ()>> {
        let at = self.hasher.hash_one(key) as usize % LOCKS;
        // There is always one. Nothing is behind it that a panic could leave half-done.
        let lock = self.locks.get(at)?;
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether it is on the shelf still, or what is as old and for the same requests has its place.
fn lives_on(old: &Object, shelf: &[Arc<Object>]) -> bool {
    let follows = |new: &Object| new.selection == old.selection && new.birth <= old.birth;
    shelf.iter().any(|new| new.id == old.id || follows(new))
}

/// The shelf with `object` in the place of the variant it is.
fn with(shelf: &[Arc<Object>], object: Arc<Object>) -> Vec<Arc<Object>> {
    let others = shelf.iter().filter(|old| old.selection != object.selection);
    let mut kept: Vec<_> = others.cloned().collect();
    kept.sort_by_key(|old| old.freshness.received);
    kept.drain(..(kept.len() + 1).saturating_sub(VARIANTS_MAX));
    kept.push(object);
    kept
}

fn bytes(shelf: &[Arc<Object>]) -> u64 {
    shelf.iter().map(|object| object.weight()).sum()
}

fn weight(shelf: &Shelf) -> u32 {
    bytes(shelf)
        .div_ceil(WEIGHT_UNIT_BYTES)
        .try_into()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
