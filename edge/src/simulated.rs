//! An edge without tasks, clocks, sockets and disk, for simulations: whoever drives it says what happens and when. Its
//! follower, ledger, snapshot, heartbeats and rules are the edge's own; what [`State`](crate::state::State) and the fills
//! do between them is done by hand, and a body is a number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use seawall_config::feed::{Change, Heartbeat, Load, Renewal};
use seawall_config::scope::{Mode, Scheme, Scope};
use seawall_config::site::OnPartition;
use seawall_config::{Epoch, Revision};

mod habits;
mod shelf;

pub use habits::Habits;
pub use shelf::{Came, Said};

pub use crate::feed::{Ask, Effect, Followed, Gone, Input, Now};
pub use crate::heartbeat::{Sent, Verdict};
pub use crate::key::Key;
pub use crate::ledger::{Birth, Life};

use crate::feed::{Follower, followed};
use crate::heartbeat::Heartbeats;
use crate::ledger::Ledger;
use crate::rules::directives::{self, Response};
use crate::rules::reuse::{self, Reuse};
use crate::snapshot::{Served, Snapshot};
use shelf::{Copy, Fill};

/// One edge, from one start to its end.
pub struct Simulated {
    boot: String,
    pub follower: Follower,
    pub ledger: Ledger,
    /// Of soft purges alone, for who breaks the order of the two.
    softs: Ledger,
    /// Purges that settle, and until when.
    settling: Vec<(u64, Vec<Scope>)>,
    snapshot: Snapshot,
    pub heartbeats: Heartbeats,
    shelf: HashMap<Key, Copy>,
    fills: Vec<Fill>,
    next_id: u64,
    /// A copy took the place of one that was born later.
    pub went_back: bool,
    /// A change of sites has been taken, and is to be on disk before it is acknowledged.
    pub keeps_first: bool,
    /// How births are given; a simulation breaks this on purpose.
    pub habits: Habits,
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

impl Simulated {
    /// Starts from what was kept, if anything was.
    pub fn boot(boot: &str, kept: Option<Arc<Followed>>, habits: Habits) -> (Self, Vec<Effect>) {
        let (follower, effects) = Follower::new(kept);
        let edge = Self {
            boot: boot.to_owned(),
            follower,
            ledger: Ledger::default(),
            softs: Ledger::default(),
            settling: Vec::new(),
            snapshot: Snapshot::default(),
            heartbeats: Heartbeats::default(),
            shelf: HashMap::new(),
            fills: Vec::new(),
            next_id: 0,
            went_back: false,
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
                    for change in &frame.changes {
                        if let Change::Purge {
                            scopes,
                            mode,
                            settle_ms,
                        } = change
                        {
                            self.note(scopes, *mode, frame.revision);
                            self.begin_to_settle(scopes, *settle_ms, now);
                        }
                    }
                    self.snapshot = self.snapshot.following(frame, &followed);
                }
                Effect::Reset => {
                    self.keeps_first |= self.follower.position().heard;
                    followed.enter(&mut self.ledger);
                    self.softs.begin_epoch(followed.epoch);
                    let passed = (self.snapshot.epoch, self.snapshot.revision);
                    for record in &followed.purges {
                        self.note(&record.scopes, record.mode, record.revision);
                        if (followed.epoch, record.revision) > passed {
                            self.begin_to_settle(&record.scopes, record.settle_ms, now);
                        }
                    }
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

    fn note(&mut self, scopes: &[Scope], mode: Mode, at: Revision) {
        if mode == Mode::Soft {
            self.softs.purge(scopes, mode, at);
        }
    }

    fn begin_to_settle(&mut self, scopes: &[Scope], settle_ms: u64, now: Now) {
        if settle_ms > 0 {
            self.settling
                .push((now.boot_ms + settle_ms, scopes.to_vec()));
        }
    }

    /// What has settled by now, has; before anything else happens.
    pub fn settle(&mut self, boot_ms: u64) {
        let (ended, open): (Vec<_>, _) = std::mem::take(&mut self.settling)
            .into_iter()
            .partition(|(ends_ms, _)| *ends_ms <= boot_ms);
        self.settling = open;
        if self.habits.settles {
            ended
                .iter()
                .for_each(|(_, scopes)| self.ledger.settle(scopes));
        }
    }

    /// Whether this edge can say of a token whether it is there yet.
    pub fn knows(&self, epoch: Epoch) -> bool {
        self.snapshot.epoch == epoch
    }

    /// Whether requests are routed with this revision, or a later one.
    pub fn has_reached(&self, revision: Revision) -> bool {
        self.snapshot.revision >= revision || !self.habits.heeds_tokens
    }

    /// An unsafe method was answered without an error; as the edge does it, where there is something to take.
    pub fn invalidate(&mut self, key: &Key) {
        let is_under_way = self.fills.iter().any(|fill| fill.key == *key);
        let is_under_way = is_under_way && self.habits.invalidates_fills;
        if self.habits.invalidates && (is_under_way || self.shelf.contains_key(key)) {
            self.ledger.invalidate(key);
        }
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

    /// A request that was routed so, or that looks again; `early`: it wants a revision that is not reached.
    pub fn request(
        &mut self,
        id: u64,
        route: &Route,
        early: bool,
        boot_ms: u64,
        now: SystemTime,
    ) -> Step {
        let vouches = self.vouches(boot_ms);
        if !vouches && route.on_partition == OnPartition::Refuse {
            return Step::Refuse;
        }
        let copy = self.shelf.get(&route.key).filter(|_| !early);
        let mut about = None;
        if let Some(copy) = copy {
            match self.reuse(copy, route, vouches, now) {
                Reuse::Fresh(_) => return Step::Answer(copy.body),
                Reuse::Refuse => return Step::Refuse,
                Reuse::Forget if self.habits.dead_send_none => {}
                _ => about = Some(copy.clone()),
            }
        }
        let joins = !early && (vouches || route.on_partition == OnPartition::Serve);
        let ledger = &self.ledger;
        let alive =
            |fill: &Fill| ledger.judge(&route.site, &route.key, None, fill.birth) == Life::Alive;
        let any = !self.habits.joins_alive_only;
        let open = self.fills.iter_mut();
        let mut open =
            open.filter(|fill| fill.key == route.key && !fill.alone && (any || alive(fill)));
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
            alone: early,
            on_partition: route.on_partition,
            about: about.clone(),
            waiting: Vec::new(),
            owner: id,
        });
        Step::Ask {
            fill: self.next_id,
            about: about.map(|copy| copy.body),
        }
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
        let (tags, habits) = (Some(&copy.tags[..]), self.habits);
        let judged = |ledger: &Ledger| ledger.judge(&copy.site, &route.key, tags, copy.birth);
        let life = match judged(&self.ledger) {
            _ if !habits.judges_hits => Life::Alive,
            Life::HardDead if !habits.hard_comes_first => judged(&self.softs).min(Life::HardDead),
            life => life,
        };
        let life = match life {
            Life::SoftDead if !habits.soft_validates => Life::Alive,
            life => life,
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
}
