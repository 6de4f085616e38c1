//! What a control plane does between its decisions: it follows the store, writes to it, and speaks to edges.

use std::collections::HashMap;

use seawall_config::feed::{BEACON_MS, Heartbeat, Renewal};
use seawall_config::scope::Purge;
use seawall_config::{Epoch, Revision};
use seawall_control_plane::PlaneError;
use seawall_control_plane::keys;
use seawall_control_plane::plane::PurgeState;
use seawall_control_plane::plane::simulated::{Outcomes, Refused, Round, Simulated, Waiting};
use seawall_control_plane::store::{Commit, Step, Txn, View};
use seawall_edge::simulated::{Ask, Gone, Input};

use crate::clock::Clock;
use crate::edge::EdgeEvent;
use crate::faults::Node;
use crate::origin::Page;
use crate::world::{Event, World};

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
    Purge(Vec<(Page, u64)>),
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
                let txn = Simulated::purge(&id, purge, wall_ms);
                self.call(n, Call::Purge(editions), Asked::Commit(txn));
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

    fn can_reach_store(&self, n: usize) -> bool {
        self.store.up && !self.is_cut(Node::Plane(n), Node::Store)
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
        let due = self.planes[n].sim.as_ref();
        let due = due.map(|sim| sim.upkeep(false, now_ms, wall_ms));
        for txn in due.unwrap_or_default() {
            self.call(n, Call::Upkeep, Asked::Commit(txn));
        }
    }

    fn hear(&mut self, n: usize, from: (usize, u64, u64), mut heartbeat: Heartbeat) {
        let (now_ms, _) = self.plane_ms(n);
        let head = match self.can_reach_store(n) {
            true => self.store.revision,
            // Nothing newer can be confirmed.
            false => Revision(u64::MAX),
        };
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

    fn asked(&mut self, n: usize, (edge, generation, talk): (usize, u64, u64), ask: &Ask) {
        let head = self.store.revision;
        let reach = self.can_reach_store(n);
        let tell = |input| EdgeEvent::Heard(talk, input);
        let plane = &mut self.planes[n];
        let answer = match (&plane.sim, ask) {
            (None, _) => tell(Input::Ended),
            (Some(sim), Ask::Snapshot) => tell(Input::Snapshot(sim.snapshot())),
            (Some(sim), Ask::Feed { after, beacon }) => {
                let beacon = beacon.as_ref().map(|(at, id)| (*at, id.as_str()));
                let (beacon, head) = match (self.rules.raises_the_epoch, reach) {
                    (true, true) => (beacon, head),
                    (true, false) => (beacon, Revision(u64::MAX)),
                    (false, _) => (None, Revision(u64::MAX)),
                };
                match sim.resume(*after, beacon, head) {
                    Ok(()) => {
                        plane.feeds.retain(|feed| feed.edge != edge);
                        plane.feeds.push(Feed {
                            edge,
                            generation,
                            talk,
                            cursor: after.revision,
                            last_at: self.now,
                        });
                        tell(Input::Opened)
                    }
                    Err(Refused::HistoryGone) => tell(Input::Gone(Gone::History)),
                    Err(Refused::HistoryDiffers) => tell(Input::Gone(Gone::Differs)),
                    Err(Refused::Lags) => tell(Input::Ended),
                }
            }
        };
        if let Some(at) = self.send(Node::Plane(n), Node::Edge(edge)) {
            self.at(at, Event::Edge(edge, generation, answer));
            if let Some(feed) = self.planes[n].feeds.last_mut() {
                feed.last_at = feed.last_at.max(at);
            }
        }
    }

    fn end_feeds(&mut self, n: usize, feeds: Vec<Feed>) {
        for feed in feeds {
            if let Some(at) = self.send(Node::Plane(n), Node::Edge(feed.edge)) {
                let event = EdgeEvent::Heard(feed.talk, seawall_edge::simulated::Input::Ended);
                self.at(at, Event::Edge(feed.edge, feed.generation, event));
            }
        }
    }

    fn call(&mut self, n: usize, call: Call, what: Asked) {
        let plane = &mut self.planes[n];
        plane.next_call += 1;
        let (number, generation) = (plane.next_call, plane.generation);
        let is_read = matches!(what, Asked::ReadPlanes);
        plane.calls.insert(number, call);
        let late = match is_read {
            true => PlaneEvent::Seen(number, None),
            false => PlaneEvent::Committed(number, None),
        };
        self.soon(n, STORE_TIMEOUT_MS, late);
        if let Some(at) = self.send(Node::Plane(n), Node::Store) {
            let event = StoreEvent {
                plane: n,
                generation,
                call: number,
                what,
            };
            self.at(at, Event::Store(event));
        }
    }

    /// A call arrives at the store.
    pub fn store(&mut self, event: StoreEvent) {
        if !self.store.up {
            // It may still be done when there is a quorum again, and then says nothing; or never.
            if self.random.bool() && matches!(event.what, Asked::Commit(_)) {
                let event = StoreEvent {
                    generation: 0,
                    ..event
                };
                self.at(self.now + LOOK_MS, Event::Store(event));
            }
            return;
        }
        let StoreEvent {
            plane,
            generation,
            call,
            what,
        } = event;
        let said = match what {
            Asked::Commit(txn) => {
                let commit = self.store.commit(&txn);
                if matches!(commit, Commit::Done(_)) {
                    self.notify_planes();
                }
                PlaneEvent::Committed(call, Some(commit))
            }
            Asked::ReadPlanes => PlaneEvent::Seen(call, Some(self.store.read(keys::PLANES))),
        };
        if let Some(at) = self.send(Node::Store, Node::Plane(plane)) {
            self.at(at, Event::Plane(plane, generation, said));
        }
    }

    fn committed(&mut self, n: usize, call: u64, commit: Option<Commit>) {
        let plane = &mut self.planes[n];
        let Some(call) = plane.calls.remove(&call) else {
            return;
        };
        match (call, commit) {
            (Call::Round(round, outcomes), Some(Commit::Done(head))) => {
                plane.round = Some((round, outcomes, head));
            }
            // Another plane was faster, or nobody knows: what its edges said is heard again with the next heartbeat.
            (Call::Round(round, _), _) => {
                plane.is_writing_round = false;
                let tickets = round.iter().map(|it| it.ticket);
                let from: Vec<_> = tickets
                    .filter_map(|ticket| plane.tickets.remove(&ticket))
                    .collect();
                for from in from {
                    self.answer_heartbeat(n, from, None);
                }
            }
            (Call::Purge(editions), Some(Commit::Done(revision))) => {
                let epoch = self.store.epoch;
                self.tell(format_args!("plane {n}: the purge is revision {revision}"));
                self.planes[n].open.push(OpenPurge {
                    epoch,
                    revision,
                    editions,
                    told: false,
                });
            }
            _ => {}
        }
    }

    fn seen(&mut self, n: usize, call: u64, view: Option<View>) {
        let (now_ms, _) = self.plane_ms(n);
        let plane = &mut self.planes[n];
        let Some(call) = plane.calls.remove(&call) else {
            return;
        };
        let (began_ms, round) = match call {
            Call::ReadForRound(round, began_ms) => (began_ms, Some(round)),
            Call::Read(began_ms) => (began_ms, None),
            _ => return,
        };
        plane.is_reading = false;
        if let (Some(view), Some(sim)) = (view, &mut plane.sim) {
            sim.read_records(&view, began_ms, now_ms);
        }
        if let Some(round) = round {
            self.plan(n, round);
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

    fn answer_round(&mut self, n: usize) {
        let plane = &mut self.planes[n];
        let Some(sim) = &mut plane.sim else {
            return;
        };
        let Some((round, outcomes, head)) = plane.round.take_if(|it| sim.followed() >= it.2) else {
            return;
        };
        plane.is_writing_round = false;
        let answers = sim.renewed(round, outcomes, head);
        for (ticket, answer) in answers {
            if let Some(from) = self.planes[n].tickets.remove(&ticket) {
                self.answer_heartbeat(n, from, Some(answer));
            }
        }
    }

    fn begin_round(&mut self, n: usize) {
        let (now_ms, _) = self.plane_ms(n);
        let plane = &mut self.planes[n];
        if plane.is_writing_round {
            return;
        }
        let Some(sim) = &mut plane.sim else {
            return;
        };
        if sim.round_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            plane.is_writing_round = true;
            let round = sim.begin_round(now_ms);
            self.plan(n, round);
        }
    }

    fn plan(&mut self, n: usize, round: Vec<Waiting>) {
        let (now_ms, wall_ms) = self.plane_ms(n);
        let plane = &mut self.planes[n];
        let Some(sim) = &mut plane.sim else {
            plane.is_writing_round = false;
            return;
        };
        match sim.plan(&round, now_ms, wall_ms) {
            Round::Read { .. } if !self.rules.reads_before_fencing => {
                let revision = sim.followed();
                let entries = Vec::new();
                sim.read_records(&View { revision, entries }, now_ms, now_ms);
                self.plan(n, round);
            }
            Round::Read { .. } => {
                let call = Call::ReadForRound(round, now_ms);
                self.call(n, call, Asked::ReadPlanes);
            }
            Round::Write(txn, outcomes) if txn.writes.is_empty() => {
                plane.round = Some((round, outcomes, Revision::default()));
                self.answer_round(n);
            }
            Round::Write(txn, outcomes) if !self.rules.renews_after_write => {
                plane.round = Some((round, outcomes, sim.followed()));
                self.call(n, Call::Upkeep, Asked::Commit(txn));
                self.answer_round(n);
            }
            Round::Write(txn, outcomes) => {
                self.call(n, Call::Round(round, outcomes), Asked::Commit(txn));
            }
        }
    }

    fn feed(&mut self, n: usize) {
        let mut feeds = std::mem::take(&mut self.planes[n].feeds);
        let mut ended = Vec::new();
        let mut at = 0;
        while at < feeds.len() {
            let Some(sim) = &self.planes[n].sim else {
                break;
            };
            let Some((frames, reached)) = sim.frames(feeds[at].cursor) else {
                ended.push(feeds.swap_remove(at));
                continue;
            };
            feeds[at].cursor = reached;
            let mut lost = false;
            for frame in frames {
                let feed = &mut feeds[at];
                let (edge, generation, talk) = (feed.edge, feed.generation, feed.talk);
                let Some(arrives) = self.send(Node::Plane(n), Node::Edge(edge)) else {
                    lost = true;
                    break;
                };
                feed.last_at = feed.last_at.max(arrives);
                let event = EdgeEvent::Heard(talk, Input::Frame(frame));
                self.at(feed.last_at, Event::Edge(edge, generation, event));
            }
            match lost {
                // Nothing more comes on this connection, and nobody says so.
                true => drop(feeds.swap_remove(at)),
                false => at += 1,
            }
        }
        self.planes[n].feeds.extend(feeds);
        self.end_feeds(n, ended);
    }

    fn tell_receipts(&mut self, n: usize) {
        let (now_ms, _) = self.plane_ms(n);
        let mut open = std::mem::take(&mut self.planes[n].open);
        open.retain_mut(|purge| {
            let Some(sim) = &self.planes[n].sim else {
                return true;
            };
            if sim.epoch() != purge.epoch || self.store.epoch != purge.epoch {
                return false;
            }
            let receipt = sim.receipt(purge.revision, now_ms);
            let Some((receipt, read_due_ms)) = receipt else {
                return sim.followed() < purge.revision;
            };
            let is_complete = match receipt.state {
                PurgeState::Complete => true,
                PurgeState::CompleteReachable => !self.rules.names_who_may_serve,
                PurgeState::Pending => {
                    self.read_for_receipts(n, read_due_ms, now_ms);
                    return true;
                }
            };
            if !purge.told || is_complete {
                purge.told = true;
                let (state, revision) = (receipt.state, purge.revision);
                self.tell(format_args!("plane {n}: purge {revision} is {state:?}"));
                self.promise(&purge.editions, is_complete);
            }
            !is_complete
        });
        self.planes[n].open.extend(open);
    }

    fn read_for_receipts(&mut self, n: usize, due_ms: Option<u64>, now_ms: u64) {
        let Some(due_ms) = due_ms else {
            return;
        };
        if due_ms > now_ms {
            self.wake_at(n, due_ms);
        } else if !self.rules.reads_before_fencing {
            let plane = &mut self.planes[n];
            if let Some(sim) = &mut plane.sim {
                let (revision, entries) = (sim.followed(), Vec::new());
                sim.read_records(&View { revision, entries }, now_ms, now_ms);
                self.wake_at(n, now_ms + 1);
            }
        } else if !std::mem::replace(&mut self.planes[n].is_reading, true) {
            self.call(n, Call::Read(now_ms), Asked::ReadPlanes);
        }
    }

    fn wake(&mut self, n: usize) {
        let plane = &self.planes[n];
        let due_ms = plane.sim.as_ref().and_then(Simulated::round_due_ms);
        if let (Some(due_ms), false) = (due_ms, plane.is_writing_round) {
            self.wake_at(n, due_ms);
        }
    }

    /// By its own clock.
    fn wake_at(&mut self, n: usize, at_ms: u64) {
        let plane = &mut self.planes[n];
        let at = plane.clock.true_ms(at_ms).max(self.now + 1);
        if at < plane.wakes_ms {
            plane.wakes_ms = at;
            let generation = plane.generation;
            self.at(at, Event::Plane(n, generation, PlaneEvent::Wake));
        }
    }
}
