//! What has been purged, and at which revision. A purge is a comparison, not an operation on storage.
//!
//! The ledger maps a scope to the newest hard and soft purge of it; marks are only raised. An object
//! knows its scopes and its [`Birth`]: it is dead if it was born before a purge of any of them. Pure: the
//! shell that shares it between tasks is [`shared`].

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use seawall_config::scope::{Mode, PREFIX_SEGMENTS_MAX, Scheme, Scope, Target};
use seawall_config::{Epoch, Revision};

use crate::key::Key;

mod against;
pub mod shared;

pub use against::Against;

/// URL, prefix and group entries of one host; past it they fold into one purge of that host.
pub const HOST_ENTRIES_MAX: usize = 100_000;
/// Entries of the whole ledger; past it they fold into one purge of everything.
pub const LEDGER_ENTRIES_MAX: usize = 1_000_000;

/// When a fetch began, in this edge's own history. Later births compare greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Birth {
    pub epoch: Epoch,
    /// Of the snapshot the request was *routed with*: a request routed with an old snapshot leaves no
    /// new-looking object behind.
    pub revision: Revision,
    /// How many local invalidations this edge had seen.
    pub local: u64,
}

impl Birth {
    /// No later than either, in any of its parts: purges compare with the revision, invalidations with the other.
    pub fn floor(self, other: Self) -> Self {
        Self {
            epoch: self.epoch.min(other.epoch),
            revision: self.revision.min(other.revision),
            local: self.local.min(other.local),
        }
    }
}

/// What the ledger says of something born then, in those scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    Alive,
    /// No reuse without validation.
    SoftDead,
    /// Never reused, and its validators are never sent.
    HardDead,
}

/// 128 keyed bits that stand for a scope. A collision, which nobody can aim for, purges too much.
pub type Fingerprint = u128;

/// Those of both, each once.
pub fn united(one: &[Fingerprint], other: &[Fingerprint]) -> Box<[Fingerprint]> {
    let all: BTreeSet<_> = one.iter().chain(other).copied().collect();
    all.into_iter().collect()
}

/// Turns scopes into fingerprints; its key is drawn anew in every process.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints(RandomState, RandomState);

/// The newest purges of one scope.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    hard: Revision,
    soft: Revision,
    /// The newest invalidation by an unsafe method on this edge.
    local: u64,
}

#[derive(Debug)]
struct Entry {
    marks: Marks,
    /// The host a URL, prefix or group folds into.
    host: Option<Fingerprint>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    prints: Fingerprints,
    epoch: Epoch,
    everything: Marks,
    entries: HashMap<Fingerprint, Entry>,
    entries_by_host: HashMap<Fingerprint, usize>,
    /// Local invalidations so far.
    local: u64,
    /// The newest purge of any tag: before a response's head is here, its tags are unknown.
    tags: Marks,
}

impl Ledger {
    /// Begins another history: everything born in the one before is dead.
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        if epoch != self.epoch {
            *self = Self {
                epoch,
                prints: self.prints.clone(),
                local: self.local,
                ..Self::default()
            };
        }
    }

    /// Everything born before `floor` counts as hard-purged.
    pub fn raise_floor(&mut self, floor: Revision) {
        self.everything.hard = self.everything.hard.max(floor);
    }

    /// Enters one purge.
    pub fn purge(&mut self, scopes: &[Scope], mode: Mode, at: Revision) {
        let marks = match mode {
            Mode::Hard => Marks {
                hard: at,
                ..Marks::default()
            },
            Mode::Soft => Marks {
                soft: at,
                ..Marks::default()
            },
        };
        self.mark(scopes, marks);
    }

    /// What was fetched since a purge of these scopes, while the origin may still have answered as before, is not used
    /// again. Stays on this edge.
    pub fn settle(&mut self, scopes: &[Scope]) {
        self.local += 1;
        let marks = Marks {
            local: self.local,
            ..Marks::default()
        };
        self.mark(scopes, marks);
    }

    fn mark(&mut self, scopes: &[Scope], marks: Marks) {
        for scope in scopes {
            match scope {
                Scope::Everything => self.everything.raise(marks),
                Scope::Url(target) | Scope::Prefix(target) => {
                    let host = self.prints.host(&target.host);
                    self.enter(self.prints.of(scope), marks, Some(host));
                }
                Scope::Tag(_) => {
                    self.tags.raise(marks);
                    self.enter(self.prints.of(scope), marks, None);
                }
                Scope::Site(_) | Scope::Host(_) => self.enter(self.prints.of(scope), marks, None),
            }
        }
    }

    /// RFC 9111 §4.4: an unsafe method was answered without an error; what is stored for the URL is not
    /// used again. Stays on this edge, and so beats a GET in flight.
    pub fn invalidate(&mut self, key: &Key) {
        self.local += 1;
        let marks = Marks {
            local: self.local,
            ..Marks::default()
        };
        let scope = Scope::Url(Target {
            scheme: None,
            host: key.host().into(),
            path: key.target().into(),
        });
        let host = self.prints.host(key.host());
        self.enter(self.prints.of(&scope), marks, Some(host));
    }

    /// RFC 9875 §3: an unsafe method was answered with the name of a group; what the same origin put into it is not
    /// used again. Stays on this edge, too.
    pub fn invalidate_group(&mut self, key: &Key, group: &str) {
        self.local += 1;
        let marks = Marks {
            local: self.local,
            ..Marks::default()
        };
        // A group may be among the tags of an answer that is still awaited.
        self.tags.raise(marks);
        let host = self.prints.host(key.host());
        self.enter(self.prints.group(key, group), marks, Some(host));
    }

    /// How many local invalidations there were.
    pub fn local(&self) -> u64 {
        self.local
    }

    /// The birth of a fetch that begins now for a request routed at `revision`.
    pub fn birth(&self, revision: Revision) -> Birth {
        Birth {
            epoch: self.epoch,
            revision,
            local: self.local,
        }
    }

    /// Whether something born then may be reused. `tags` None: not known yet, so any tag purge since counts.
    pub fn judge(&self, site: &str, key: &Key, tags: Option<&[Fingerprint]>, birth: Birth) -> Life {
        if birth.epoch != self.epoch {
            return Life::HardDead;
        }
        let mut life = self.everything.judge(birth);
        if !self.entries.is_empty() {
            self.prints
                .each(site, key, tags.unwrap_or_default(), |print| {
                    if let Some(entry) = self.entries.get(&print) {
                        life = life.max(entry.marks.judge(birth));
                    }
                });
        }
        if tags.is_none() {
            life = life.max(self.tags.judge(birth));
        }
        life
    }

    /// Drops the entries that no object and no fill can be older than.
    pub fn forget(&mut self, oldest: Birth) {
        let Self {
            entries,
            entries_by_host,
            ..
        } = self;
        entries.retain(|_, entry| {
            let needed = entry.marks.judge(oldest) != Life::Alive;
            if let (false, Some(host)) = (needed, entry.host)
                && let Some(count) = entries_by_host.get_mut(&host)
            {
                *count = count.saturating_sub(1);
            }
            needed
        });
        entries_by_host.retain(|_, count| *count > 0);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn prints(&self) -> &Fingerprints {
        &self.prints
    }

    fn enter(&mut self, print: Fingerprint, marks: Marks, host: Option<Fingerprint>) {
        if let Some(entry) = self.entries.get_mut(&print) {
            entry.marks.raise(marks);
            return;
        }
        self.entries.insert(print, Entry { marks, host });
        if let Some(host) = host {
            let count = self.entries_by_host.entry(host).or_default();
            *count += 1;
            if *count > HOST_ENTRIES_MAX {
                self.fold_host(host);
            }
        }
        if self.entries.len() > LEDGER_ENTRIES_MAX {
            self.fold_all();
        }
    }

    /// A host covers its URLs and prefixes whichever site it is routed to, now or later; a site would not.
    fn fold_host(&mut self, host: Fingerprint) {
        let mut folded = Marks::default();
        self.entries.retain(|_, entry| {
            let of_host = entry.host == Some(host);
            if of_host {
                folded.raise(entry.marks);
            }
            !of_host
        });
        self.entries_by_host.remove(&host);
        self.enter(host, folded, None);
    }

    fn fold_all(&mut self) {
        for entry in self.entries.values() {
            self.everything.raise(entry.marks);
        }
        self.entries.clear();
        self.entries_by_host.clear();
    }
}

impl Marks {
    fn raise(&mut self, by: Self) {
        self.hard = self.hard.max(by.hard);
        self.soft = self.soft.max(by.soft);
        self.local = self.local.max(by.local);
    }

    /// Hard is judged first.
    fn judge(&self, birth: Birth) -> Life {
        if birth.revision < self.hard || birth.local < self.local {
            Life::HardDead
        } else if birth.revision < self.soft {
            Life::SoftDead
        } else {
            Life::Alive
        }
    }
}

impl Fingerprints {
    pub fn of(&self, scope: &Scope) -> Fingerprint {
        match scope {
            Scope::Everything => self.print(("everything", "")),
            Scope::Site(name) => self.print(("site", name.as_str())),
            Scope::Host(host) => self.host(host),
            Scope::Tag(tag) => self.tag(tag),
            Scope::Url(target) => self.place("url", target.scheme, &target.host, &target.path),
            Scope::Prefix(target) => {
                self.place("prefix", target.scheme, &target.host, &target.path)
            }
        }
    }

    pub fn tag(&self, tag: &str) -> Fingerprint {
        self.print(("tag", tag))
    }

    /// A cache group of one origin: the same name elsewhere is another group.
    pub fn group(&self, key: &Key, group: &str) -> Fingerprint {
        self.place("group", Some(key.scheme()), key.host(), group)
    }

    fn host(&self, host: &str) -> Fingerprint {
        self.print(("host", host))
    }

    /// Every scope an object has, but everything.
    pub fn each(
        &self,
        site: &str,
        key: &Key,
        tags: &[Fingerprint],
        mut seen: impl FnMut(Fingerprint),
    ) {
        let (host, target) = (key.host(), key.target());
        seen(self.print(("site", site)));
        seen(self.host(host));
        // A host purge without a port covers every port.
        match host.rfind(':').and_then(|at| host.get(..at)) {
            Some(name) if !host.ends_with(']') => seen(self.host(name)),
            _ => {}
        }
        for scheme in [None, Some(key.scheme())] {
            seen(self.place("url", scheme, host, target));
            for prefix in prefixes(key.path()) {
                seen(self.place("prefix", scheme, host, prefix));
            }
        }
        tags.iter().copied().for_each(seen);
    }

    fn place(&self, kind: &str, scheme: Option<Scheme>, host: &str, path: &str) -> Fingerprint {
        self.print((kind, scheme.map(Scheme::as_str), host, path))
    }

    fn print(&self, value: impl std::hash::Hash) -> Fingerprint {
        u128::from(self.0.hash_one(&value)) << 64 | u128::from(self.1.hash_one(&value))
    }
}

/// `/a/b/c` -> `` `/a` `/a/b` `/a/b/c`; `/a/` also lies under `/a`. At most [`PREFIX_SEGMENTS_MAX`] segments.
pub fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    ends.take(PREFIX_SEGMENTS_MAX + 1)
        .filter_map(|end| path.get(..end))
        .filter(|p| !p.ends_with('/'))
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
