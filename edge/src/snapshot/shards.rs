//! A map from names that shares what did not change with the map it was made from: a change copies one small
//! shard, however many entries there are. It is read without a lock, and given away by cloning it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Ten thousand entries make shards of about forty.
const SHARDS: usize = 256;

#[derive(Clone, Debug)]
pub struct Shards<V> {
    hasher: RandomState,
    /// By the remainder of a name's hash; each in the order of hashes.
    shards: Vec<Arc<Vec<Entry<V>>>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    hash: u64,
    name: Arc<str>,
    value: V,
}

impl<V: Clone> Shards<V> {
    /// Puts `value` in the place of what was there.
    pub fn insert(&mut self, name: &str, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard_mut(hash)?;
        match find(shard, hash, name) {
            Ok(at) => shard
                .get_mut(at)
                .map(|entry| std::mem::replace(&mut entry.value, value)),
            Err(at) => {
                let name = name.into();
                shard.insert(at, Entry { hash, name, value });
                self.len += 1;
                None
            }
        }
    }

    pub fn remove(&mut self, name: &str) -> Option<V> {
        // What is not there costs no copy.
        self.get(name)?;
        let hash = self.hasher.hash_one(name);
        let shard = self.shard_mut(hash)?;
        let at = find(shard, hash, name).ok()?;
        let removed = shard.remove(at).value;
        self.len -= 1;
        Some(removed)
    }

    fn shard_mut(&mut self, hash: u64) -> Option<&mut Vec<Entry<V>>> {
        self.shards.get_mut(place(hash)).map(Arc::make_mut)
    }
}

impl<V> Shards<V> {
    pub fn get(&self, name: &str) -> Option<&V> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shards.get(place(hash))?;
        let at = find(shard, hash, name).ok()?;
        shard.get(at).map(|entry| &entry.value)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        let entries = self.shards.iter().flat_map(|shard| shard.iter());
        entries.map(|entry| (&*entry.name, &entry.value))
    }
}

fn place(hash: u64) -> usize {
    // The remainder is less than 256.
    (hash % SHARDS as u64) as usize
}

/// Where the name is, or where it would be.
fn find<V>(shard: &[Entry<V>], hash: u64, name: &str) -> Result<usize, usize> {
    let first = shard.partition_point(|entry| entry.hash < hash);
    let same = shard
        .iter()
        .skip(first)
        .take_while(|entry| entry.hash == hash);
    match same.enumerate().find(|(_, entry)| &*entry.name == name) {
        Some((after, _)) => Ok(first + after),
        None => Err(first),
    }
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        let empty = Arc::new(Vec::new());
        Self {
            hasher: RandomState::new(),
            shards: vec![empty; SHARDS],
            len: 0,
        }
    }
}

impl<V: PartialEq> PartialEq for Shards<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self
                .iter()
                .all(|(name, value)| other.get(name) == Some(value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn it_holds_what_any_map_would_and_its_copies_keep_what_they_had() {
        let mut random = Rng::with_seed(7);
        let (mut shards, mut model) = (Shards::default(), BTreeMap::new());
        let mut copies = Vec::new();
        for step in 0..20_000 {
            let name = format!("site-{}", random.u32(..2_000));
            if random.u32(..3) == 0 {
                assert_eq!(shards.remove(&name), model.remove(&name), "{step}");
            } else {
                let before = model.insert(name.clone(), step);
                assert_eq!(shards.insert(&name, step), before, "{step}");
            }
            assert_eq!(
                (shards.get(&name), shards.len()),
                (model.get(&name), model.len())
            );
            if step % 2_000 == 0 {
                copies.push((shards.clone(), model.clone()));
            }
        }
        for (shards, model) in copies {
            let all: BTreeMap<_, _> = shards
                .iter()
                .map(|(name, step)| (name.to_owned(), *step))
                .collect();
            assert_eq!(all, model);
        }
    }

    #[test]
    fn a_change_copies_one_shard_and_shares_the_others() {
        let mut before = Shards::default();
        for number in 0..10_000 {
            before.insert(&format!("site-{number}"), number);
        }
        let mut after = before.clone();
        after.insert("site-5", 0);
        assert_eq!(after.remove("none"), None);
        let shared = before
            .shards
            .iter()
            .zip(&after.shards)
            .filter(|(before, after)| Arc::ptr_eq(before, after));
        assert_eq!(shared.count(), SHARDS - 1);
    }

    #[test]
    fn two_maps_are_the_same_when_their_entries_are() {
        let of = |names: &[&str]| {
            let mut shards = Shards::default();
            for name in names {
                shards.insert(name, ());
            }
            shards
        };
        assert_eq!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        assert_ne!(of(&["a"]), of(&["a", "b"]));
    }
}
