//! The shelf: moka, weighed by bytes. One entry holds every variant of a URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::key::Key;
use crate::object::Object;
use crate::rules::freshness::date;

/// Variants of one URL; the one received longest ago makes room.
pub const VARIANTS_MAX: usize = 64;
/// An object may take this share of the whole cache, so that one download does not empty it.
const OBJECT_SHARE: u64 = 4;

/// moka weighs in 32 bits: in units of so many bytes 64 large variants still count for what they are.
const WEIGHT_UNIT_BYTES: u64 = 64;

/// Every variant stored under one key, the newest last.
pub type Shelf = Arc<[Arc<Object>]>;

pub struct Storage {
    shelves: Cache<Key, Shelf>,
    bytes_max: u64,
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
    pub fn new(bytes_max: u64) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = evictions.clone();
        let shelves = Cache::builder()
            .max_capacity(bytes_max / WEIGHT_UNIT_BYTES)
            .weigher(|_: &Key, shelf: &Shelf| weight(shelf))
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self {
            shelves,
            bytes_max,
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

    /// One change of a shelf at a time: two fills that end together cannot lose one another.
    fn change(
        &self,
        key: &Key,
        change: impl FnOnce(&[Arc<Object>]) -> Result<Vec<Arc<Object>>, Put>,
    ) -> Put {
        let mut done = Put::Stored;
        self.shelves.entry_by_ref(key).and_compute_with(|entry| {
            let there = entry.map(|entry| entry.into_value());
            match (change(there.as_deref().unwrap_or_default()), there) {
                (Ok(shelf), _) if !shelf.is_empty() => Op::Put(shelf.into()),
                (Ok(_), Some(_)) => Op::Remove,
                (Ok(_), None) => Op::Nop,
                (Err(why), _) => {
                    done = why;
                    Op::Nop
                }
            }
        });
        done
    }
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

fn weight(shelf: &Shelf) -> u32 {
    let bytes: u64 = shelf.iter().map(|object| object.weight()).sum();
    bytes
        .div_ceil(WEIGHT_UNIT_BYTES)
        .try_into()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::Birth;
    use crate::object::{Body, Parts};
    use crate::rules::directives;
    use crate::rules::freshness::{By, Freshness};
    use crate::rules::variants::Selection;
    use bytes::Bytes;
    use seawall_config::Revision;
    use seawall_config::scope::Scheme;
    use std::time::{Duration, SystemTime};

    fn object(birth: u64, language: &str, body: &'static str) -> Arc<Object> {
        let vary = [(http::header::VARY, "accept-language".parse().unwrap())]
            .into_iter()
            .collect();
        let request = [(http::header::ACCEPT_LANGUAGE, language.parse().unwrap())]
            .into_iter()
            .collect();
        Arc::new(Object::new(Parts {
            site: "s".into(),
            key: Key::new(Revision(1), Scheme::Http, "a", "/").unwrap(),
            birth: Birth {
                revision: Revision(birth),
                ..Birth::default()
            },
            status: http::StatusCode::OK,
            selection: Selection::new(&vary, &request),
            head: vary,
            body: Body::new([Bytes::from(body)]),
            tags: [].into(),
            directives: directives::Response::default(),
            freshness: Freshness {
                lifetime: Duration::ZERO,
                by: By::Nothing,
                initial_age: Duration::ZERO,
                received: SystemTime::UNIX_EPOCH + Duration::from_secs(birth),
            },
        }))
    }

    fn births(storage: &Storage, key: &Key) -> Vec<u64> {
        storage
            .get(key)
            .iter()
            .flat_map(|shelf| shelf.iter().map(|object| object.birth.revision.0))
            .collect()
    }

    #[test]
    fn an_older_fill_never_replaces_a_newer_one() {
        let storage = Storage::new(1 << 20);
        let (old, new) = (object(1, "en", "old"), object(2, "en", "new"));
        assert_eq!(storage.put(&new), Put::Stored);
        assert_eq!(storage.put(&old), Put::Outdated);
        assert_eq!(
            storage.put(&object(1, "de", "another variant")),
            Put::Stored
        );
        assert_eq!(births(&storage, &new.key), [2, 1]);
    }

    #[test]
    fn a_validation_updates_only_what_it_validated() {
        let storage = Storage::new(1 << 20);
        let (first, second) = (object(1, "en", "first"), object(2, "en", "second"));
        storage.put(&first);
        storage.put(&second);
        assert_eq!(
            storage.replace(first.id, &object(3, "en", "first again")),
            Put::Gone
        );
        assert_eq!(
            storage.replace(second.id, &object(3, "en", "second again")),
            Put::Stored
        );
        assert_eq!(births(&storage, &first.key), [3]);
        let there = storage.get(&first.key).unwrap()[0].id;
        storage.remove(&first.key, &[there]);
        assert!(storage.get(&first.key).is_none());
    }

    #[test]
    fn of_several_that_a_request_selects_the_most_recent_is_used() {
        let check = |section: &str, shelf: &[(u64, &str, Option<u64>)], expect: u64| {
            let shelf: Vec<_> = shelf
                .iter()
                .map(|(birth, vary, date)| dated(*birth, vary, *date))
                .collect();
            let found = Storage::select(&shelf, &HeaderMap::new());
            let found = found.map_or(0, |object| object.birth.revision.0);
            assert_eq!(found, expect, "{section}: {shelf:?}");
        };
        let (late, early) = (Some(2000), Some(1000));
        check("4", &[(1, "a", late)], 1);
        check("4", &[(1, "a", late), (2, "b", early)], 1);
        check("4", &[(1, "a", early), (2, "b", late)], 2);
        check("4", &[(1, "a", late), (2, "b", early), (3, "c", early)], 1);
        check("4", &[(1, "a", early), (2, "b", late), (3, "c", early)], 2);
        // Of the same second, or without a Date, the one that came last.
        check("4", &[(1, "a", late), (2, "b", late), (3, "c", late)], 3);
        check("4", &[(1, "a", None), (2, "b", None)], 2);
    }

    /// One that every request without the field `vary` selects.
    fn dated(birth: u64, vary: &str, date: Option<u64>) -> Arc<Object> {
        let object = object(birth, "", "");
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut head = HeaderMap::new();
        head.insert(http::header::VARY, vary.parse().unwrap());
        let date = date.map(|seconds| httpdate::fmt_http_date(at(seconds)).parse().unwrap());
        head.extend(date.map(|date| (http::header::DATE, date)));
        Arc::new(Object::new(Parts {
            site: object.site.clone(),
            key: object.key.clone(),
            birth: object.birth,
            status: object.status,
            selection: Selection::new(&head, &HeaderMap::new()),
            head,
            body: object.body.clone(),
            tags: [].into(),
            directives: object.directives.clone(),
            freshness: object.freshness,
        }))
    }

    #[test]
    fn variants_of_a_url_are_bounded() {
        let storage = Storage::new(1 << 24);
        for n in 0..=VARIANTS_MAX as u64 {
            storage.put(&object(n, &format!("x-{n}"), ""));
        }
        let births = births(&storage, &object(0, "", "").key);
        assert_eq!(
            (births.len(), births[0], births[VARIANTS_MAX - 1]),
            (VARIANTS_MAX, 1, VARIANTS_MAX as u64)
        );
    }
}
