//! An edge without tasks, clocks, sockets and disk, for simulations: whoever drives it says what happens and when. Its
//! follower, ledger, snapshot, heartbeats and rules are the edge's own; what [`State`](crate::state::State) and the fills
//! do between them is done by hand, and a body is a number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use seawall_config::feed::{Change, Heartbeat, Load, Renewal};
use seawall_config::scope::Scheme;
use seawall_config::site::OnPartition;

mod habits;

pub use habits::Habits;

pub use crate::feed::{Ask, Effect, Followed, Gone, Input, Now};
pub use crate::heartbeat::{Sent, Verdict};
pub use crate::key::Key;
pub use crate::ledger::{Birth, Life};

use crate::feed::{Follower, followed};
use crate::heartbeat::Heartbeats;
use crate::ledger::{Fingerprint, Ledger};
use crate::rules::directives::{self, Response};
use crate::rules::freshness::{By, Freshness};
use crate::rules::reuse::{self, Reuse};
use crate::snapshot::{Served, Snapshot};

/// One edge, from one start to its end.
pub struct Simulated {
    boot: String,
    pub follower: Follower,
    pub ledger: Ledger,
    snapshot: Snapshot,
    pub heartbeats: Heartbeats,
    shelf: HashMap<Key, Copy>,
    fills: Vec<Fill>,
    next_id: u64,
    /// A change of sites has been taken, and is to be on disk before it is acknowledged.
    pub keeps_first: bool,
    /// How births are given; a simulation breaks this on purpose.
    pub habits: Habits,
}

/// A stored response.
#[derive(Clone, Debug)]
struct Copy {
    id: u64,
    site: Arc<str>,
    birth: Birth,
    tags: Box<[Fingerprint]>,
    freshness: Freshness,
    body: u64,
}

/// A fetch under way.
struct Fill {
    id: u64,
    key: Key,
    site: Arc<str>,
    birth: Birth,
    /// The stored copy that is asked about.
    about: Option<u64>,
    waiting: Vec<u64>,
    /// Who began it.
    owner: u64,
}

/// How a request was routed.
#[derive(Clone, Debug)]
pub struct Route {
    pub key: Key,
    pub site: Arc<str>,
    pub on_partition: OnPartition,
    served: Arc<Served>,
    birth: Birth,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// This body.
    Answer(u64),
    /// The origin is asked, under this number; whether what is stored is still good, if there is a body.
    Ask {
        fill: u64,
        about: Option<u64>,
    },
    /// It waits for a fetch that is under way.
    Wait,
    Refuse,
}

/// What the origin says.
#[derive(Clone, Debug)]
pub struct Said {
    pub body: u64,
    pub tags: Vec<String>,
    pub max_age: Duration,
}

impl Simulated {
    /// Starts from what was kept, if anything was.
    pub fn boot(boot: &str, kept: Option<Arc<Followed>>, habits: Habits) -> (Self, Vec<Effect>) {
        let (follower, effects) = Follower::new(kept);
        let edge = Self {
            boot: boot.to_owned(),
            follower,
            ledger: Ledger::default(),
            snapshot: Snapshot::default(),
            heartbeats: Heartbeats::default(),
            shelf: HashMap::new(),
            fills: Vec::new(),
            next_id: 0,
            keeps_first: false,
            habits,
        };
        (edge, effects)
    }

    /// Something was said to the follower. What it wants done beyond this edge is returned.
    pub fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let effects = self.follower.on(input, now);
        self.carry_out(&effects, now);
        effects
    }

    /// As the shell does it: purges enter the ledger before anyone is routed with their revision.
    pub fn carry_out(&mut self, effects: &[Effect], now: Now) {
        for effect in effects {
            let Some(followed) = self.follower.followed().cloned() else {
                continue;
            };
            match effect {
                Effect::Apply(frame) => {
                    let is_site = |change: &Change| {
                        matches!(change, Change::PutSite(_) | Change::DeleteSite { .. })
                    };
                    self.keeps_first |= frame.changes.iter().any(is_site);
                    followed::enter(frame, &mut self.ledger);
                    self.snapshot = self.snapshot.following(frame, &followed);
                }
                Effect::Reset => {
                    self.keeps_first |= self.follower.position().heard;
                    followed.enter(&mut self.ledger);
                    let (epoch, revision) = (followed.epoch, followed.revision);
                    self.snapshot = self.snapshot.reset(epoch, revision, &followed.sites);
                }
                Effect::HeartbeatNow => self.heartbeats.hurry(),
                _ => {}
            }
        }
        let applied = self.follower.position().applied.into_iter();
        applied.for_each(|applied| self.heartbeats.applied(applied, now.boot_ms));
    }

    pub fn send(&mut self, boot_ms: u64, wall_ms: u64) -> (Sent, Heartbeat) {
        let sent = self.heartbeats.send(boot_ms);
        let position = self.follower.position();
        let heartbeat = Heartbeat {
            boot: self.boot.clone(),
            place: "here".into(),
            version: "0".into(),
            state: self.heartbeats.state(position.heard, sent.at_ms),
            applied: sent.applied,
            lag_ms: position.lag_ms(wall_ms),
            problems: Vec::new(),
            refused: self.snapshot.sites.refusals.clone(),
            load: Load::default(),
            counted: Vec::new(),
            origins: Vec::new(),
        };
        (sent, heartbeat)
    }

    pub fn answered(&mut self, sent: Sent, renewal: Renewal, boot_ms: u64) -> Verdict {
        self.heartbeats.answered(sent, renewal, boot_ms)
    }

    pub fn vouches(&self, boot_ms: u64) -> bool {
        let deadline_ms = self.heartbeats.deadline_ms();
        deadline_ms.is_some_and(|deadline_ms| boot_ms < deadline_ms) || !self.habits.tests_vouching
    }

    pub fn route(&self, host: &str, path: &str) -> Option<Route> {
        let served = self.snapshot.routes().find(host)?.clone();
        let created = served.document.created;
        let key = Key::new(created, Scheme::Http, host, path).ok()?;
        let birth = self.ledger.birth(self.snapshot.birth_revision(&served));
        Some(Route {
            site: served.name.clone(),
            on_partition: served.site.policy(path).on_partition,
            key,
            served,
            birth,
        })
    }

    /// A request that was routed so, or that looks again.
    pub fn request(&mut self, id: u64, route: &Route, boot_ms: u64, now: SystemTime) -> Step {
        let vouches = self.vouches(boot_ms);
        if !vouches && route.on_partition == OnPartition::Refuse {
            return Step::Refuse;
        }
        let copy = self.shelf.get(&route.key);
        let mut about = None;
        if let Some(copy) = copy {
            match self.reuse(copy, route, vouches, now) {
                Reuse::Fresh(_) => return Step::Answer(copy.body),
                Reuse::Refuse => return Step::Refuse,
                Reuse::Forget if self.habits.dead_send_none => {}
                _ => about = Some((copy.id, copy.body)),
            }
        }
        let joins = vouches || route.on_partition == OnPartition::Serve;
        let ledger = &self.ledger;
        let alive =
            |fill: &Fill| ledger.judge(&route.site, &route.key, None, fill.birth) == Life::Alive;
        let any = !self.habits.joins_alive_only;
        let open = self.fills.iter_mut();
        let mut open = open.filter(|fill| fill.key == route.key && (any || alive(fill)));
        if let Some(fill) = open.next().filter(|_| joins) {
            fill.waiting.push(id);
            return Step::Wait;
        }
        self.next_id += 1;
        self.fills.push(Fill {
            id: self.next_id,
            key: route.key.clone(),
            site: route.site.clone(),
            birth: route.birth,
            about: about.map(|(copy, _)| copy),
            waiting: Vec::new(),
            owner: id,
        });
        Step::Ask {
            fill: self.next_id,
            about: about.map(|(_, body)| body),
        }
    }

    /// The origin answered a fill. Who may have it; and who waited and has to look again.
    pub fn arrived(&mut self, fill: u64, said: &Said, now: SystemTime) -> (Vec<u64>, Vec<u64>) {
        let Some(at) = self.fills.iter().position(|open| open.id == fill) else {
            return (Vec::new(), Vec::new());
        };
        let mut fill = self.fills.swap_remove(at);
        let prints = self.ledger.prints();
        let tags: Box<[_]> = said.tags.iter().map(|tag| prints.tag(tag)).collect();
        let birth = match self.habits.born_when_routed {
            true => fill.birth,
            false => self.ledger.birth(self.snapshot.revision),
        };
        let life = self.ledger.judge(&fill.site, &fill.key, Some(&tags), birth);
        let (mut have, mut again) = (vec![fill.owner], Vec::new());
        match life == Life::Alive || !self.habits.looks_again {
            true => have.append(&mut fill.waiting),
            false => again.append(&mut fill.waiting),
        }
        if life != Life::HardDead {
            self.store(&fill, birth, tags, said, now);
        }
        (have, again)
    }

    /// The origin said that what is stored is still good: its body, for those who may have it.
    pub fn validated(&mut self, fill: u64, said: &Said, now: SystemTime) -> (Vec<u64>, Vec<u64>) {
        let Some(at) = self.fills.iter().position(|open| open.id == fill) else {
            return (Vec::new(), Vec::new());
        };
        let fill = self.fills.swap_remove(at);
        let newest = self.ledger.birth(self.snapshot.revision);
        let birth = match self.habits.validated_when_asked {
            true => fill.birth,
            false => newest,
        };
        let there = self.shelf.get_mut(&fill.key);
        let there = there.filter(|copy| Some(copy.id) == fill.about);
        let stored = there.is_some();
        let tags = there.map(|copy| {
            self.next_id += 1;
            (copy.id, copy.birth) = (self.next_id, birth);
            copy.freshness = freshness(said, now);
            copy.tags.clone()
        });
        let tags = tags.unwrap_or_default();
        let life = self.ledger.judge(&fill.site, &fill.key, Some(&tags), birth);
        // Purged meanwhile it is not brought back, also not for who asked.
        match life == Life::Alive {
            true if stored => {
                let all = [vec![fill.owner], fill.waiting].concat();
                (all, Vec::new())
            }
            true => (vec![fill.owner], fill.waiting),
            false => (Vec::new(), [vec![fill.owner], fill.waiting].concat()),
        }
    }

    /// Its client and the origin have given it up.
    pub fn failed(&mut self, fill: u64) -> Vec<u64> {
        let at = self.fills.iter().position(|open| open.id == fill);
        let fill = at.map(|at| self.fills.swap_remove(at));
        fill.map_or_else(Vec::new, |fill| fill.waiting)
    }

    /// As the sweeper: entries that nothing can be older than.
    pub fn sweep(&mut self) {
        let now = self.ledger.birth(self.snapshot.revision);
        let copies = self.shelf.values().map(|copy| copy.birth);
        let fills = self.fills.iter().map(|fill| fill.birth);
        let oldest = copies.chain(fills).fold(now, Birth::floor);
        self.ledger.forget(oldest);
    }

    /// What is stored, and where this edge is, for who wonders.
    pub fn stands(&self, route: &Route) -> String {
        let copy = self.shelf.get(&route.key);
        let applied = self.follower.position().applied;
        format!(
            "stored {copy:?}, applied {applied:?}, routes at {:?}",
            route.birth
        )
    }

    /// As no sweeper does.
    pub fn forget_all(&mut self) {
        let now = self.ledger.birth(self.snapshot.revision);
        self.ledger.forget(now);
    }

    /// Whether every site that was followed is served, each at its newest.
    pub fn serves_what_it_follows(&self) -> bool {
        let Some(followed) = self.follower.followed() else {
            return true;
        };
        let served = &self.snapshot.sites.served;
        self.snapshot.revision == followed.revision
            && followed.sites.iter().all(|(name, document)| {
                served
                    .get(name)
                    .is_some_and(|it| it.document.repeats(document))
            })
    }

    fn reuse(&self, copy: &Copy, route: &Route, vouches: bool, now: SystemTime) -> Reuse {
        let life = match self.habits.judges_hits {
            true => self
                .ledger
                .judge(&copy.site, &route.key, Some(&copy.tags), copy.birth),
            false => Life::Alive,
        };
        reuse::reuse(reuse::Question {
            freshness: &copy.freshness,
            stored: &Response::default(),
            client: directives::Request::read(&HeaderMap::new()),
            policy: route.served.site.policy(route.key.path()),
            life,
            vouches,
            now,
        })
    }

    fn store(
        &mut self,
        fill: &Fill,
        birth: Birth,
        tags: Box<[Fingerprint]>,
        said: &Said,
        now: SystemTime,
    ) {
        if self
            .shelf
            .get(&fill.key)
            .is_some_and(|there| there.birth > birth)
        {
            return;
        }
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
