//! The store as all planes see it: one ordered log, linearizable while it has a quorum.

use std::collections::BTreeMap;

use seawall_config::{Epoch, Revision};
use seawall_control_plane::keys::{self, Key};
use seawall_control_plane::store::{Changed, Commit, Entry, Guard, Step, Txn, View, Write};

pub struct Store {
    pub epoch: Epoch,
    pub revision: Revision,
    /// It has a quorum.
    pub up: bool,
    entries: BTreeMap<String, Entry>,
    log: Vec<Step>,
    /// The log begins after it.
    pub compacted: Revision,
    backup: Option<(Revision, BTreeMap<String, Entry>)>,
    /// Every one there ever was: the key, and what it said.
    pub registrations: Vec<(String, String)>,
}

impl Store {
    pub fn new() -> Self {
        Self {
            epoch: Epoch(1),
            revision: Revision(1),
            up: true,
            entries: BTreeMap::new(),
            log: Vec::new(),
            compacted: Revision(1),
            backup: None,
            registrations: Vec::new(),
        }
    }

    pub fn commit(&mut self, txn: &Txn) -> Commit {
        let holds = |guard: &Guard| match guard {
            Guard::Absent(key) => !self.entries.contains_key(key),
            Guard::ChangedAt(key, at) => self.entries.get(key).is_some_and(|it| it.changed == *at),
        };
        if !txn.guards.iter().all(holds) {
            let keys = txn.guards.iter().map(|guard| match guard {
                Guard::Absent(key) | Guard::ChangedAt(key, _) => key,
            });
            let found = keys.filter_map(|key| self.entries.get(key).cloned());
            return Commit::Refused {
                revision: self.revision,
                found: found.collect(),
            };
        }
        let at = Revision(self.revision.0 + 1);
        let mut changes = BTreeMap::new();
        for write in &txn.writes {
            match write {
                Write::Put(key, value) => {
                    let created = self.entries.get(key).map_or(at, |there| there.created);
                    let entry = Entry {
                        key: key.clone(),
                        value: value.clone(),
                        created,
                        changed: at,
                    };
                    changes.insert(key.clone(), (Some(value.clone()), created));
                    self.entries.insert(key.clone(), entry);
                    if let Key::Edge(_) = keys::parse(key) {
                        let value = String::from_utf8_lossy(value).into_owned();
                        self.registrations.push((key.clone(), value));
                    }
                }
                Write::Delete(key) => {
                    if let Some(gone) = self.entries.remove(key) {
                        changes.insert(key.clone(), (None, gone.created));
                    }
                }
            }
        }
        if changes.is_empty() {
            return Commit::Done(self.revision);
        }
        let changes = changes.into_iter().map(|(key, (value, created))| Changed {
            key,
            value,
            created,
        });
        self.revision = at;
        self.log.push(Step {
            revision: at,
            changes: changes.collect(),
        });
        Commit::Done(at)
    }

    pub fn read(&self, prefix: &str) -> View {
        let entries = self.entries.values();
        View {
            revision: self.revision,
            entries: entries
                .filter(|entry| entry.key.starts_with(prefix))
                .cloned()
                .collect(),
        }
    }

    /// The steps after a revision; None where they are compacted away.
    pub fn after(&self, revision: Revision) -> Option<&[Step]> {
        if revision < self.compacted {
            return None;
        }
        let at = self.log.partition_point(|step| step.revision <= revision);
        Some(&self.log[at..])
    }

    /// Whether another machine has held an edge's id, when so many registrations had been made or since.
    pub fn is_outlived(&self, id: &str, machine: usize, after: usize) -> bool {
        let key = keys::edge(id);
        let ours = format!("\"{machine}-");
        let of_id = |registration: &&(String, String)| registration.0 == key;
        let before = self.registrations[..after].iter().rev().find(of_id);
        let since = self.registrations[after..].iter().filter(of_id);
        before
            .into_iter()
            .chain(since)
            .any(|(_, value)| !value.contains(&ours))
    }

    /// Whether an edge is registered.
    pub fn knows(&self, edge: &str) -> bool {
        self.entries.contains_key(&keys::edge(edge))
    }

    /// False: nothing has been written since the last time.
    pub fn compact(&mut self) -> bool {
        self.compacted = self.revision;
        !std::mem::take(&mut self.log).is_empty()
    }

    pub fn back_up(&mut self) {
        self.backup = Some((self.revision, self.entries.clone()));
    }

    /// As the backup was. False: there is none.
    pub fn restore(&mut self) -> bool {
        let Some((revision, entries)) = self.backup.clone() else {
            return false;
        };
        (self.revision, self.entries) = (revision, entries);
        self.compact();
        true
    }
}
