//! What a simulated edge stores, and what becomes of a fetch.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_config::site::OnPartition;

use super::{Route, Simulated};
use crate::key::Key;
use crate::ledger::{Birth, Fingerprint, Life};
use crate::rules::freshness::{By, Freshness};

/// A stored response.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    id: u64,
    pub(super) site: Arc<str>,
    pub(super) birth: Birth,
    pub(super) tags: Box<[Fingerprint]>,
    pub(super) freshness: Freshness,
    pub(super) body: u64,
}

/// A fetch under way.
pub(super) struct Fill {
    pub(super) id: u64,
    pub(super) key: Key,
    pub(super) site: Arc<str>,
    pub(super) birth: Birth,
    /// For nobody but who began it.
    pub(super) alone: bool,
    /// What its site is served by while this edge may not vouch.
    pub(super) on_partition: OnPartition,
    /// The stored copy that is asked about.
    pub(super) about: Option<Copy>,
    pub(super) waiting: Vec<u64>,
    /// Who began it.
    pub(super) owner: u64,
}

/// What the origin says.
#[derive(Clone, Debug)]
pub struct Said {
    pub body: u64,
    pub tags: Vec<String>,
    pub max_age: Duration,
}

/// What comes of a fetch: who may have this body, and who waited and has to look again.
#[derive(Debug, Default)]
pub struct Came {
    pub body: u64,
    pub have: Vec<u64>,
    pub again: Vec<u64>,
}

impl Simulated {
    /// The origin answered a fill.
    pub fn arrived(&mut self, fill: u64, said: &Said, boot_ms: u64, now: SystemTime) -> Came {
        let Some(mut fill) = self.take_fill(fill) else {
            return Came::default();
        };
        let tags = self.prints(said);
        let birth = match self.habits.born_when_routed {
            true => fill.birth,
            false => self.ledger.birth(self.snapshot.revision),
        };
        let life = self.ledger.judge(&fill.site, &fill.key, Some(&tags), birth);
        let waiting = std::mem::take(&mut fill.waiting);
        if life != Life::HardDead {
            self.store(&fill, birth, tags, said, now);
        }
        let mut came = Came {
            body: said.body,
            have: vec![fill.owner],
            again: Vec::new(),
        };
        let relies = self.may_rely(fill.on_partition, boot_ms);
        match relies && (life == Life::Alive || !self.habits.looks_again) {
            true => came.have.extend(waiting),
            false => came.again.extend(waiting),
        }
        came
    }

    /// The origin said that what it was asked about is still good.
    pub fn validated(&mut self, fill: u64, said: &Said, boot_ms: u64, now: SystemTime) -> Came {
        let Some(fill) = self.take_fill(fill) else {
            return Came::default();
        };
        let Some(asked) = &fill.about else {
            return Came::default();
        };
        let birth = match self.habits.validated_when_asked {
            true => fill.birth,
            false => self.ledger.birth(self.snapshot.revision),
        };
        let before = asked.tags.iter().filter(|_| self.habits.keeps_tags);
        let tags: Box<[_]> = before.copied().chain(self.prints(said)).collect();
        self.next_id += 1;
        let updated = Copy {
            id: self.next_id,
            site: fill.site.clone(),
            birth,
            tags,
            freshness: freshness(said, now),
            body: asked.body,
        };
        let any = !self.habits.updates_the_very_one;
        let life = self
            .ledger
            .judge(&fill.site, &fill.key, Some(&updated.tags), birth);
        let there = self.shelf.get_mut(&fill.key);
        let there = there.filter(|there| there.id == asked.id || any);
        let stored = there.is_some();
        if let Some(there) = there {
            self.went_back |= there.birth > birth;
            *there = updated;
        }
        let (owner, waiting) = (vec![fill.owner], fill.waiting);
        let relies = self.may_rely(fill.on_partition, boot_ms);
        // Purged meanwhile it is not brought back, also not for who asked.
        let (have, again) = match relies && life == Life::Alive {
            true if stored => ([owner, waiting].concat(), Vec::new()),
            true => (owner, waiting),
            false => (Vec::new(), [owner, waiting].concat()),
        };
        Came {
            body: asked.body,
            have,
            again,
        }
    }

    /// What is stored of a page, for who asks whether it is what a HEAD speaks of.
    pub fn stored(&self, route: &Route) -> Option<u64> {
        self.shelf.get(&route.key).map(|copy| copy.body)
    }

    /// A HEAD that was routed so spoke of what is stored (RFC 9111 §4.3.5): that is as good as it says, and no younger.
    pub fn headed(&mut self, route: &Route, said: &Said, now: SystemTime) {
        let Some(copy) = self.shelf.get_mut(&route.key) else {
            return;
        };
        let tags = Some(&copy.tags[..]);
        let life = self.ledger.judge(&copy.site, &route.key, tags, copy.birth);
        if !self.habits.head_raises_nothing {
            copy.birth = copy.birth.max(route.birth);
        }
        if life == Life::Alive && copy.birth <= route.birth {
            copy.freshness = freshness(said, now);
        }
    }

    /// Its client and the origin have given it up.
    pub fn failed(&mut self, fill: u64) -> Came {
        let fill = self.take_fill(fill);
        Came {
            again: fill.map_or_else(Vec::new, |fill| fill.waiting),
            ..Came::default()
        }
    }

    /// As the sweeper: entries that nothing can be older than.
    pub fn sweep(&mut self) {
        let now = self.ledger.birth(self.snapshot.revision);
        let copies = self.shelf.values().map(|copy| copy.birth);
        let fills = self.fills.iter().map(|fill| fill.birth);
        let oldest = copies.chain(fills).fold(now, Birth::floor);
        self.ledger.forget(oldest);
    }

    /// Whether who waited for another's fetch may have what it brought, and anyone what a 304 called good.
    fn may_rely(&self, on_partition: OnPartition, boot_ms: u64) -> bool {
        let heeds = self.habits.waits_while_vouching && on_partition != OnPartition::Serve;
        !heeds || self.vouches(boot_ms)
    }

    fn take_fill(&mut self, id: u64) -> Option<Fill> {
        let at = self.fills.iter().position(|open| open.id == id)?;
        Some(self.fills.swap_remove(at))
    }

    fn prints(&self, said: &Said) -> Box<[Fingerprint]> {
        let prints = self.ledger.prints();
        said.tags.iter().map(|tag| prints.tag(tag)).collect()
    }

    fn store(
        &mut self,
        fill: &Fill,
        birth: Birth,
        tags: Box<[Fingerprint]>,
        said: &Said,
        now: SystemTime,
    ) {
        let there = self.shelf.get(&fill.key);
        let goes_back = there.is_some_and(|there| there.birth > birth);
        if goes_back && self.habits.stores_newest {
            return;
        }
        self.went_back |= goes_back;
        self.next_id += 1;
        let copy = Copy {
            id: self.next_id,
            site: fill.site.clone(),
            birth,
            tags,
            freshness: freshness(said, now),
            body: said.body,
        };
        self.shelf.insert(fill.key.clone(), copy);
    }
}

fn freshness(said: &Said, now: SystemTime) -> Freshness {
    Freshness {
        lifetime: said.max_age,
        by: By::MaxAge,
        initial_age: Duration::ZERO,
        received: now,
    }
}
