//! What a control plane does between its decisions: it follows the store, writes to it, and speaks to edges.

use std::collections::HashMap;
use std::time::Duration;

use seawall_config::feed::{BEACON_MS, Heartbeat, Renewal};
use seawall_config::scope::Purge;
use seawall_config::{Epoch, Revision};
use seawall_control_plane::PlaneError;
use seawall_control_plane::keys;
use seawall_control_plane::plane::simulated::{Outcomes, Simulated, Waiting};
use seawall_control_plane::store::{Commit, Step, Txn, View};
use seawall_edge::simulated::Ask;

use crate::clock::Clock;
use crate::edge::EdgeEvent;
use crate::faults::Node;
use crate::origin::Page;
use crate::world::{Event, World};

mod feeds;
mod rounds;

/// After this a call to the store is taken for failed.
const STORE_TIMEOUT_MS: u64 = 5_000;
/// Whoever lost the store looks for it so often.
const LOOK_MS: u64 = 250;

pub struct PlaneNode {
    pub clock: Clock,
    pub generation: u64,
    pub paused_until_ms: u64,
    pub is_up: bool,
    /// None: it has not read the store yet.
    sim: Option<Simulated>,
    /// How far it was told by the store's log.
    watched: Revision,
    /// A look at the log is due already.
    looks: bool,
    calls: HashMap<u64, Call>,
    next_call: u64,
    round: Option<(Vec<Waiting>, Outcomes, Revision)>,
    is_writing_round: bool,
    is_reading: bool,
    wakes_ms: u64,
    feeds: Vec<Feed>,
    open: Vec<OpenPurge>,
    tickets: HashMap<u64, (usize, u64, u64)>,
    next_ticket: u64,
}

/// A call to the store that is not answered yet.
enum Call {
    Round(Vec<Waiting>, Outcomes),
    /// Records are read for a round, and for whoever else needs them.
    ReadForRound(Vec<Waiting>, u64),
    Read(u64),
    Upkeep,
    Purge(Vec<(Page, u64)>, Duration),
}

struct Feed {
    edge: usize,
    generation: u64,
    talk: u64,
    cursor: Revision,
    /// Frames come in order.
    last_at: u64,
}

struct OpenPurge {
    epoch: Epoch,
    revision: Revision,
    editions: Vec<(Page, u64)>,
    settle: Duration,
    /// Some may go on serving; an answer for all may follow.
    told: bool,
}

pub enum PlaneEvent {
    Load,
    Look,
    Wake,
    Upkeep,
    Purge(Purge, Vec<(Page, u64)>),
    Heartbeat {
        edge: usize,
        generation: u64,
        ticket: u64,
        heartbeat: Heartbeat,
    },
    Asked {
        edge: usize,
        generation: u64,
        talk: u64,
        ask: Ask,
    },
    Committed(u64, Option<Commit>),
    Seen(u64, Option<View>),
}

/// What arrives at the store.
pub struct StoreEvent {
    plane: usize,
    generation: u64,
    call: u64,
    what: Asked,
}

enum Asked {
    Commit(Txn),
    ReadPlanes,
}

impl PlaneNode {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            generation: 0,
            paused_until_ms: 0,
            is_up: false,
            sim: None,
            watched: Revision::default(),
            looks: false,
            calls: HashMap::new(),
            next_call: 0,
            round: None,
            is_writing_round: false,
            is_reading: false,
            wakes_ms: u64::MAX,
            feeds: Vec::new(),
            open: Vec::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
        }
    }
}

impl PlaneNode {
    /// Where it is, for who wonders why it does not go on.
    pub fn stands(&self, now: u64) -> String {
        let now_ms = self.clock.boot_ms(now);
        let last = self.open.last().zip(self.sim.as_ref());
        let last = last.and_then(|(open, sim)| sim.receipt(open.revision, now_ms));
        let followed = self.sim.as_ref().map(Simulated::followed);
        format!(
            "followed {followed:?}, {last:?} at {now_ms}, writes {}, reads {}, {} calls, {} feeds, open {:?}",
            self.is_writing_round,
            self.is_reading,
            self.calls.len(),
            self.feeds.len(),
            self.open.iter().map(|it| it.revision).collect::<Vec<_>>(),
        )
    }
}

impl World {
    pub fn start_plane(&mut self, n: usize) {
        let before = &self.planes[n];
        let (clock, generation) = (before.clock, before.generation + 1);
        let paused_until_ms = before.paused_until_ms;
        self.planes[n] = PlaneNode {
            generation,
            paused_until_ms,
            is_up: true,
            ..PlaneNode::new(clock)
        };
        self.tell(format_args!("plane {n} starts"));
        self.soon(n, 20, PlaneEvent::Load);
        self.soon(n, 100, PlaneEvent::Upkeep);
    }

    pub fn stop_plane(&mut self, n: usize) {
        let plane = &mut self.planes[n];
        plane.generation += 1;
        plane.is_up = false;
        let feeds = std::mem::take(&mut plane.feeds);
        self.end_feeds(n, feeds);
    }

    /// The store has something new, or can be reached again.
    pub fn notify_planes(&mut self) {
        for n in 0..self.planes.len() {
            if !std::mem::replace(&mut self.planes[n].looks, true) {
                let delay = self.random.u64(1..10);
                self.soon(n, delay, PlaneEvent::Look);
            }
        }
    }

    fn soon(&mut self, n: usize, delay: u64, event: PlaneEvent) {
        let generation = self.planes[n].generation;
        self.at(self.now + delay, Event::Plane(n, generation, event));
    }

    fn plane_ms(&self, n: usize) -> (u64, u64) {
        let clock = &self.planes[n].clock;
        (clock.boot_ms(self.now), clock.wall_ms(self.now))
    }

    pub fn plane(&mut self, n: usize, event: PlaneEvent) {
        match event {
            PlaneEvent::Load => self.load(n),
            PlaneEvent::Look => self.look(n),
            PlaneEvent::Wake => self.planes[n].wakes_ms = u64::MAX,
            PlaneEvent::Upkeep => self.keep_up(n),
            PlaneEvent::Purge(purge, editions) => {
                let (_, wall_ms) = self.plane_ms(n);
                let id = format!("{:016x}", self.random.u64(..));
                let settle = purge.settle;
                let txn = Simulated::purge(&id, purge, wall_ms);
                self.call(n, Call::Purge(editions, settle), Asked::Commit(txn));
            }
            PlaneEvent::Heartbeat {
                edge,
                generation,
                ticket,
                heartbeat,
            } => self.hear(n, (edge, generation, ticket), heartbeat),
            PlaneEvent::Asked {
                edge,
                generation,
                talk,
                ask,
            } => self.asked(n, (edge, generation, talk), &ask),
            PlaneEvent::Committed(call, commit) => self.committed(n, call, commit),
            PlaneEvent::Seen(call, view) => self.seen(n, call, view),
        }
        self.go_on(n);
    }

    fn can_reach_store(&mut self, n: usize) -> bool {
        self.store.up && !self.is_cut(Node::Plane(n), Node::Store)
    }

    /// How far the store is, for a plane that asks it.
    fn head(&mut self, n: usize) -> Revision {
        match self.can_reach_store(n) {
            true => self.store.revision,
            // Nothing newer can be confirmed.
            false => Revision(u64::MAX),
        }
    }

    /// Everything is read, and the log as far back as it goes.
    fn load(&mut self, n: usize) {
        if !self.can_reach_store(n) {
            return self.soon(n, LOOK_MS, PlaneEvent::Load);
        }
        let view = self.store.read(keys::ROOT);
        let begins = self.store.compacted;
        let mut history: Vec<Step> = Vec::new();
        for step in self.store.after(begins).unwrap_or_default() {
            let changes = step.changes.iter();
            let watched = changes.filter(|changed| changed.key.starts_with(keys::WATCHED));
            let changes: Vec<_> = watched.cloned().collect();
            if !changes.is_empty() {
                let revision = step.revision;
                history.push(Step { revision, changes });
            }
        }
        let (now_ms, _) = self.plane_ms(n);
        let id = format!("p{n}-{}", self.planes[n].generation);
        let epoch = self.store.epoch;
        let sim = Simulated::load(&id, epoch, &view, begins, &history, now_ms);
        let plane = &mut self.planes[n];
        plane.watched = sim.followed();
        plane.sim = Some(sim);
        // What was written before will never be followed as far, where the store is another by now.
        (plane.round, plane.is_writing_round) = (None, false);
        let feeds = std::mem::take(&mut plane.feeds);
        self.end_feeds(n, feeds);
        self.look(n);
    }

    /// At the store's log: what is new in it.
    fn look(&mut self, n: usize) {
        self.planes[n].looks = false;
        if !self.can_reach_store(n) {
            self.planes[n].looks = true;
            return self.soon(n, LOOK_MS, PlaneEvent::Look);
        }
        let (now_ms, _) = self.plane_ms(n);
        let plane = &mut self.planes[n];
        let Some(sim) = &mut plane.sim else {
            return;
        };
        let same = sim.epoch() == self.store.epoch;
        match self.store.after(plane.watched).filter(|_| same) {
            Some(steps) => {
                for step in steps {
                    sim.apply(step, now_ms);
                    plane.watched = step.revision;
                }
            }
            None => {
                plane.sim = None;
                self.soon(n, 1, PlaneEvent::Load);
            }
        }
    }

    fn keep_up(&mut self, n: usize) {
        self.soon(n, BEACON_MS, PlaneEvent::Upkeep);
        let (now_ms, wall_ms) = self.plane_ms(n);
        let (sim, retained_ms) = (self.planes[n].sim.as_ref(), self.retained_ms);
        let due = sim.map(|sim| sim.upkeep(false, now_ms, wall_ms, retained_ms));
        for txn in due.unwrap_or_default() {
            self.call(n, Call::Upkeep, Asked::Commit(txn));
        }
    }

    fn hear(&mut self, n: usize, from: (usize, u64, u64), mut heartbeat: Heartbeat) {
        let (now_ms, _) = self.plane_ms(n);
        let head = self.head(n);
        let edge = self.edges[from.0].id.clone();
        if !self.rules.tells_boots_apart {
            heartbeat.boot.clone_from(&edge);
        }
        let plane = &mut self.planes[n];
        let Some(sim) = &mut plane.sim else {
            return self.answer_heartbeat(n, from, None);
        };
        plane.next_ticket += 1;
        let ticket = plane.next_ticket;
        plane.tickets.insert(ticket, from);
        let waiting = Waiting {
            ticket,
            edge,
            heartbeat,
        };
        if sim.hear(waiting, head, now_ms).is_err() {
            plane.tickets.remove(&ticket);
            self.answer_heartbeat(n, from, None);
        }
    }

    fn answer_heartbeat(
        &mut self,
        n: usize,
        (edge, generation, ticket): (usize, u64, u64),
        answer: Option<Result<Renewal, PlaneError>>,
    ) {
        if let Some(at) = self.send(Node::Plane(n), Node::Edge(edge)) {
            let event = EdgeEvent::Answered(ticket, answer);
            self.at(at, Event::Edge(edge, generation, event));
        }
    }

    /// What follows from all that is known by now.
    fn go_on(&mut self, n: usize) {
        self.answer_round(n);
        self.begin_round(n);
        self.feed(n);
        self.tell_receipts(n);
        self.wake(n);
    }
}
