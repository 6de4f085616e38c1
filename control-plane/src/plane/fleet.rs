//! Every edge that is registered, and what is known of it: what it said here, and what any plane recorded.
//! Pure: heartbeats, records of the store and time in.

use std::collections::BTreeMap;

use seawall_config::feed::{EdgeState, Heartbeat, RefusedSite};
use seawall_config::{Epoch, Revision};

use super::records::{EdgeRecord, PlaneRecord, RefusalRecord, Registration};
use super::refusals::{Refusal, Refusals};
use crate::renewal::{Holder, Vouching};

/// Edges of one deployment.
pub(crate) const EDGES_MAX: usize = 1_000;

/// Who is there.
#[derive(Debug)]
pub(crate) struct Fleet {
    epoch: Epoch,
    registered: BTreeMap<String, Registered>,
    /// By id and boot. The registered boot of an id is always there; another one is while it may still vouch.
    parties: BTreeMap<(String, String), Party>,
    pub(crate) refusals: Refusals,
    /// The planes that have a record, and the revision that changed it last.
    planes: BTreeMap<String, Revision>,
    /// When the last linearizable read of all records began.
    read_ms: Option<u64>,
}

/// The boot that may vouch for an id, since this revision.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) registration: Registration,
    pub(crate) revision: Revision,
}

/// One boot of an edge.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    /// What it said last, as far as this plane knows.
    pub(crate) record: EdgeRecord,
    /// The newest revision it has applied in this epoch. It only grows: a boot never goes back.
    pub(crate) applied: Option<Revision>,
    /// What it refused when it had applied that. What it said when it was not there yet does not count: it may
    /// arrive later, by way of another plane.
    pub(crate) refused: Vec<RefusedSite>,
    /// The planes whose records name it, and the time that each names: their last renewals of it.
    renewals: BTreeMap<String, u64>,
    /// Who recorded the newest of them.
    renewed_by: Option<String>,
    /// Another boot has the id, and this one can no longer vouch. It is kept for as long as a plane's record names it:
    /// or that would look like a renewal.
    outlived: bool,
    /// When this plane saw that renewal.
    renewed_ms: u64,
}

/// An edge has moved on: to `to`, from `from` if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) id: String,
    pub(crate) from: Option<Revision>,
    pub(crate) to: Revision,
}

impl Fleet {
    pub(crate) fn new(epoch: Epoch) -> Self {
        let (registered, parties, planes) = Default::default();
        Self {
            epoch,
            registered,
            parties,
            refusals: Refusals::default(),
            planes,
            read_ms: None,
        }
    }

    /// The store says who holds an id from `revision` on, or that nobody does.
    pub(crate) fn register(
        &mut self,
        id: &str,
        registration: Option<Registration>,
        revision: Revision,
        now_ms: u64,
    ) {
        let Some(registration) = registration else {
            self.registered.remove(id);
            self.parties.retain(|(of, _), _| of != id);
            return;
        };
        let key = (id.to_owned(), registration.boot.clone());
        self.parties
            .entry(key)
            .or_insert_with(|| Party::unheard(id, &registration, now_ms));
        self.registered.insert(
            id.to_owned(),
            Registered {
                registration,
                revision,
            },
        );
    }

    /// Rule 1: what an edge says counts as soon as it is heard. Nothing does that comes from a boot that
    /// does not hold the id.
    pub(crate) fn hear(&mut self, id: &str, heartbeat: &Heartbeat) -> Option<Moved> {
        let held = self.registered.get(id)?.registration.boot == heartbeat.boot;
        let party = self
            .parties
            .get_mut(&(id.to_owned(), heartbeat.boot.clone()))?;
        // It is not renewed by being heard.
        let said = EdgeRecord::new(id, heartbeat, party.record.at_ms);
        held.then(|| party.says(said, self.epoch)).flatten()
    }

    /// What a plane recorded, seen at `now_ms`.
    pub(crate) fn record(
        &mut self,
        plane: &str,
        record: PlaneRecord,
        revision: Revision,
        now_ms: u64,
    ) -> Vec<Moved> {
        let newest = self.planes.entry(plane.to_owned()).or_default();
        *newest = revision.max(*newest);
        let named: Vec<_> = record
            .0
            .iter()
            .map(|said| (said.id.clone(), said.boot.clone()))
            .collect();
        for (key, party) in &mut self.parties {
            if !named.contains(key) {
                party.renewals.remove(plane);
            }
        }
        let mut moved = Vec::new();
        for said in record.0 {
            let Some(registered) = self.registered.get(&said.id) else {
                continue;
            };
            let key = (said.id.clone(), said.boot.clone());
            let unheard = || Party::unheard(&said.id, &registered.registration, now_ms);
            let party = self.parties.entry(key).or_insert_with(unheard);
            let before = party.renewals.insert(plane.to_owned(), said.at_ms);
            if before == Some(said.at_ms) {
                continue; // Recorded again because another edge was renewed.
            }
            party.renewed_by = Some(plane.to_owned());
            party.renewed_ms = now_ms;
            party.outlived = false;
            moved.extend(party.says(said, self.epoch));
        }
        let registered = &self.registered;
        self.parties.retain(|(id, boot), party| {
            let holds = registered
                .get(id)
                .is_some_and(|it| it.registration.boot == *boot);
            party.outlived = !holds && now_ms >= party.ends_ms();
            !party.outlived || !party.renewals.is_empty()
        });
        moved
    }

    /// Every record of a linearizable read that began at `began_ms` has been seen.
    pub(crate) fn read(&mut self, began_ms: u64) {
        self.read_ms = self.read_ms.max(Some(began_ms));
    }

    /// Another boot than the one that holds the id was refused here.
    pub(crate) fn refused(&mut self, id: &str, record: RefusalRecord, now_ms: u64) {
        if self.registered.contains_key(id) {
            self.refusals.refused(id, record, now_ms);
        }
    }

    /// The newest refusal of another boot than the one that holds the id, as long as it may try again.
    pub(crate) fn refusal(&self, id: &str, now_ms: u64) -> Option<&Refusal> {
        let holds = &self.registered.get(id)?.registration.boot;
        let refusal = self.refusals.current(id, now_ms)?;
        (refusal.record.boot != *holds).then_some(refusal)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.registered.len() >= EDGES_MAX
    }

    pub(crate) fn registered(&self, id: &str) -> Option<&Registered> {
        self.registered.get(id)
    }

    /// Who holds an id.
    pub(crate) fn holder(&self, id: &str) -> Option<Holder<'_>> {
        let it = self.registered.get(id)?;
        let boot = it.registration.boot.as_str();
        let party = self.parties.get(&(id.to_owned(), boot.to_owned()))?;
        Some(Holder {
            boot,
            registered: it.revision,
            vouching: self.vouching(party),
        })
    }

    pub(crate) fn vouching(&self, party: &Party) -> Vouching {
        Vouching {
            renewed_ms: party.renewed_ms,
            read_ms: self.read_ms,
        }
    }

    /// When the last linearizable read of all records began.
    pub(crate) fn read_ms(&self) -> Option<u64> {
        self.read_ms
    }

    /// Every boot a receipt is about, in the order of ids: those that hold an id, and, while it may
    /// still vouch, one that lost it.
    pub(crate) fn parties(&self) -> impl Iterator<Item = (&Registered, &Party)> {
        let registered = |party: &Party| self.registered.get(&party.record.id);
        self.parties
            .values()
            .filter(|party| !party.outlived)
            .filter_map(move |party| Some((registered(party)?, party)))
    }

    /// Whom this plane's next record names: those whose last renewal it recorded.
    pub(crate) fn of_plane(&self, plane: &str) -> impl Iterator<Item = &EdgeRecord> {
        let here = move |(it, party): &(&Registered, &Party)| {
            it.registration.boot == party.record.boot && party.is_of(plane)
        };
        self.parties().filter(here).map(|(_, party)| &party.record)
    }

    /// Planes whose records say nothing any more, because others renewed their edges since; and the
    /// revisions of those records.
    pub(crate) fn idle_planes(&self, me: &str) -> impl Iterator<Item = (&String, Revision)> {
        let idle = move |(plane, _): &(&String, &Revision)| {
            let mut parties = self.parties.values().filter(|party| !party.outlived);
            *plane != me && !parties.any(|party| party.is_of(plane))
        };
        self.planes
            .iter()
            .filter(idle)
            .map(|(plane, revision)| (plane, *revision))
    }

    pub(crate) fn forget_plane(&mut self, plane: &str) {
        self.planes.remove(plane);
        for party in self.parties.values_mut() {
            party.renewals.remove(plane);
        }
    }

    /// The oldest revision that an edge which may still vouch has applied; None when no edge may.
    pub(crate) fn vouched_from(&self) -> Option<Revision> {
        let vouching = self
            .parties
            .values()
            .filter(|party| !party.outlived && !self.vouching(party).ended());
        vouching
            .map(|party| party.applied.unwrap_or_default())
            .min()
    }
}

impl Party {
    /// Known to be registered only; that it may have been renewed just now is the safe assumption.
    fn unheard(id: &str, registration: &Registration, now_ms: u64) -> Self {
        let record = EdgeRecord {
            id: id.to_owned(),
            boot: registration.boot.clone(),
            place: registration.place.clone(),
            version: String::new(),
            state: EdgeState::Fenced,
            applied: None,
            lag_ms: None,
            problems: Vec::new(),
            refused: Vec::new(),
            origins: Vec::new(),
            at_ms: 0,
        };
        Self {
            record,
            applied: None,
            refused: Vec::new(),
            renewals: BTreeMap::new(),
            renewed_by: None,
            outlived: false,
            renewed_ms: now_ms,
        }
    }

    fn says(&mut self, record: EdgeRecord, epoch: Epoch) -> Option<Moved> {
        let (id, from) = (record.id.clone(), self.applied);
        let applied = record.applied.filter(|applied| applied.epoch == epoch);
        let applied = applied.map(|applied| applied.revision);
        if applied >= self.applied {
            (self.applied, self.refused) = (applied, record.refused.clone());
        }
        self.record = record;
        let to = self.applied?;
        (from != Some(to)).then_some(Moved { id, from, to })
    }

    fn ends_ms(&self) -> u64 {
        Vouching {
            renewed_ms: self.renewed_ms,
            read_ms: None,
        }
        .ends_ms()
    }

    /// How long this plane has seen no renewal of it.
    pub(crate) fn silent_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.renewed_ms)
    }

    fn is_of(&self, plane: &str) -> bool {
        self.renewed_by.as_deref() == Some(plane)
    }

    /// What to show: an edge that has not been renewed for so long may not vouch, whatever it said last.
    pub(crate) fn state(&self, now_ms: u64) -> EdgeState {
        match now_ms < self.ends_ms() {
            true => self.record.state,
            false => EdgeState::Fenced,
        }
    }
}

#[cfg(test)]
mod tests;
