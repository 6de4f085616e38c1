//! What earlier answers said: the ETag to ask with, and which bytes a version was. Shared by all workers of a run.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::connection::Answer;

/// URLs and variants whose ETag, and versions whose bytes are remembered; what comes later is not.
const REMEMBERED_MAX: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    etags: HashMap<u64, String>,
    /// Length and checksum, by URL, variant and ETag.
    bodies: HashMap<u64, (u64, u32)>,
}

impl Memory {
    pub(crate) fn etag(&self, path: &str, variant: Option<&str>) -> Option<String> {
        self.lock().etags.get(&hash(&(path, variant))).cloned()
    }

    /// Whether these are not the bytes that the same version was before.
    pub(crate) fn is_wrong(&self, path: &str, variant: Option<&str>, answer: &Answer) -> bool {
        let (200, Some(etag)) = (answer.status, &answer.etag) else {
            return false;
        };
        // A weak ETag says that the meaning is the same, not the bytes.
        if etag.starts_with("W/") {
            return false;
        }
        let body = (answer.bytes, answer.sum);
        let mut remembered = self.lock();
        let key = hash(&(path, variant, etag));
        if let Some(before) = remembered.bodies.get(&key) {
            return *before != body;
        }
        if remembered.bodies.len() < REMEMBERED_MAX {
            remembered.bodies.insert(key, body);
        }
        false
    }

    pub(crate) fn remember(&self, path: &str, variant: Option<&str>, answer: &Answer) {
        let (200, Some(etag)) = (answer.status, &answer.etag) else {
            return;
        };
        let mut remembered = self.lock();
        if remembered.etags.len() < REMEMBERED_MAX {
            remembered
                .etags
                .insert(hash(&(path, variant)), etag.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    #[test]
    fn each_variant_has_its_own_etag() {
        let memory = Memory::default();
        let answer = |etag: &str| Answer {
            status: 200,
            class: Class::Hit,
            bytes: 1,
            sum: 1,
            etag: Some(etag.to_owned()),
        };
        memory.remember("/a", Some("en"), &answer("\"en\""));
        memory.remember("/a", Some("de"), &answer("\"de\""));
        assert_eq!(memory.etag("/a", Some("en")).as_deref(), Some("\"en\""));
        assert_eq!(memory.etag("/a", Some("de")).as_deref(), Some("\"de\""));
        assert_eq!(memory.etag("/a", None), None);
    }

    #[test]
    fn a_version_is_the_same_bytes_each_time() {
        let memory = Memory::default();
        let check = |path: &str, etag: &str, sum: u32, expect: bool| {
            let answer = Answer {
                status: 200,
                class: Class::Hit,
                bytes: 1,
                sum,
                etag: Some(etag.to_owned()),
            };
            assert_eq!(memory.is_wrong(path, None, &answer), expect, "{path} {sum}");
        };
        check("/a", "\"1\"", 1, false);
        check("/a", "\"1\"", 1, false);
        check("/a", "\"1\"", 2, true);
        check("/a", "\"2\"", 2, false);
        check("/b", "\"1\"", 2, false);
        check("/a", "W/\"1\"", 1, false);
        check("/a", "W/\"1\"", 2, false);
    }
}
