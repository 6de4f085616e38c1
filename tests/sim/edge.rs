//! What an edge does between its decisions: it speaks to control planes, to the origin, and to clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_config::feed::Renewal;
use seawall_config::{Epoch, Revision};
use seawall_control_plane::PlaneError;
use seawall_edge::simulated::{Ask, Effect, Followed, Input, Now, Route, Said, Sent, Simulated};

use crate::clock::Clock;
use crate::faults::Node;
use crate::origin::Page;
use crate::plane::PlaneEvent;
use crate::violation::Violation;
use crate::world::{Event, PLANES, Promise, World};

mod disowned;
mod heartbeats;
mod requests;

pub use disowned::Disowned;

/// After this a heartbeat, or a question, is taken for lost.
const ANSWER_TIMEOUT_MS: u64 = 3_000;
/// Who waits to be registered looks so often.
const REGISTERED_LOOK_MS: u64 = 50;
/// How often a request looks again.
const ROUNDS_MAX: u32 = 3;
const SWEEP_MS: u64 = 5_000;

pub struct EdgeNode {
    pub id: String,
    /// How many there had been when it started.
    registrations: usize,
    pub clock: Clock,
    pub generation: u64,
    pub paused_until_ms: u64,
    /// What it would boot from.
    pub disk: Option<Arc<Followed>>,
    sim: Option<Simulated>,
    talk: u64,
    /// The newest conversation in which anything was heard.
    answered_talk: u64,
    heartbeat_plane: usize,
    is_registered: bool,
    sent: HashMap<u64, Sent>,
    next_ticket: u64,
    wakes_ms: u64,
    requests: HashMap<u64, Request>,
    next_request: u64,
    reached: (u64, u64),
    /// The edition of each page that unsafe methods have made by way of this edge since it started.
    changed: HashMap<Page, u64>,
    pub disowned: Disowned,
}

#[derive(Clone)]
struct Request {
    page: Page,
    route: Route,
    /// What a client may expect that asks now.
    promise: Promise,
    /// What may be expected here, whatever this edge vouches for, as someone has changed the page.
    changed: u64,
    /// And by this client, as it has a token.
    token: u64,
    wanted: Option<(Epoch, Revision)>,
    waited_ms: u64,
    rounds: u32,
    /// What became of it, for who wonders.
    so_far: String,
}

pub enum EdgeEvent {
    Wake,
    Sweep,
    /// Ask a control plane, if this is still the conversation.
    Begin(u64, Ask, usize),
    Heard(u64, Input),
    /// Time is up for the first word of an answer.
    NoAnswer(u64),
    Saved(Arc<Followed>),
    /// None: refused, or no answer that says anything.
    Answered(u64, Option<Result<Renewal, PlaneError>>),
    Request(Page),
    /// It waits for a revision.
    Waited(u64),
    /// The head of a page is asked for; and what was answered, once that is here.
    Head(Page, Option<Box<(Route, Said)>>),
    /// A page is changed by an unsafe method; the edition, once the origin has answered.
    Post(Page, Option<u64>),
    /// The origin has answered; None: it has failed.
    Arrived(u64, Option<(Said, bool)>),
    /// The origin is asked now.
    Ask(u64, Page, Option<u64>),
}

impl EdgeNode {
    pub fn new(id: String, clock: Clock) -> Self {
        Self {
            id,
            registrations: 0,
            clock,
            generation: 0,
            paused_until_ms: 0,
            disk: None,
            sim: None,
            talk: 0,
            answered_talk: 0,
            heartbeat_plane: 0,
            is_registered: false,
            sent: HashMap::new(),
            next_ticket: 0,
            wakes_ms: u64::MAX,
            requests: HashMap::new(),
            next_request: 0,
            reached: (0, 0),
            changed: HashMap::new(),
            disowned: Disowned::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.sim.is_some()
    }

    fn now(&self, true_ms: u64, random: u64) -> Now {
        Now {
            boot_ms: self.clock.boot_ms(true_ms),
            wall_ms: self.clock.wall_ms(true_ms),
            random,
        }
    }

    fn wall(&self, true_ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.clock.wall_ms(true_ms))
    }

    /// Whether it is where it should be when everything has been mended for a while.
    pub fn converged(&self, now: u64, epoch: Epoch) -> Result<(), String> {
        let Some(sim) = &self.sim else {
            return Err("it does not run".into());
        };
        if !sim.vouches(self.clock.boot_ms(now)) {
            return Err("it does not vouch".into());
        }
        let applied = sim.follower.position().applied;
        if applied.is_none_or(|applied| applied.epoch != epoch) {
            return Err(format!("{applied:?} is not of epoch {epoch}"));
        }
        match sim.serves_what_it_follows() {
            true => Ok(()),
            false => Err("it does not serve what it follows".into()),
        }
    }
}

impl World {
    pub fn start_edge(&mut self, n: usize) {
        let boot = format!("{n}-{:08x}", self.random.u32(..));
        let edge = &mut self.edges[n];
        let boot = match self.rules.tells_boots_apart {
            true => boot,
            false => edge.id.clone(),
        };
        let (sim, effects) = Simulated::boot(&boot, edge.disk.clone(), self.rules.habits);
        *edge = EdgeNode {
            generation: edge.generation + 1,
            paused_until_ms: edge.paused_until_ms,
            disk: edge.disk.clone(),
            disowned: edge.disowned,
            sim: Some(sim),
            registrations: self.store.registrations.len(),
            ..EdgeNode::new(edge.id.clone(), edge.clock)
        };
        let kept = edge.disk.as_ref().map(|disk| disk.revision);
        self.tell(format_args!("edge {n} starts as {boot}, from {kept:?}"));
        let now = self.edge_now(n);
        if let Some(sim) = &mut self.edges[n].sim {
            sim.carry_out(&effects, now);
            // A boot from disk yields a snapshot that serves.
            if !sim.serves_what_it_follows() {
                let what = format!("edge {n}, from {kept:?}");
                self.breaks(Violation::BootServesOther, what);
            }
        }
        self.act(n, effects);
        self.later(n, 1, EdgeEvent::Wake);
        self.later(n, SWEEP_MS, EdgeEvent::Sweep);
    }

    pub fn stop_edge(&mut self, n: usize) {
        let edge = &mut self.edges[n];
        edge.generation += 1;
        edge.sim = None;
        edge.requests.clear();
    }

    fn edge_now(&mut self, n: usize) -> Now {
        let random = self.random.u64(..);
        self.edges[n].now(self.now, random)
    }

    fn later(&mut self, n: usize, delay: u64, event: EdgeEvent) {
        let generation = self.edges[n].generation;
        self.at(self.now + delay, Event::Edge(n, generation, event));
    }

    pub fn edge(&mut self, n: usize, event: EdgeEvent) {
        if self.edges[n].sim.is_none() {
            return;
        }
        match event {
            EdgeEvent::Wake => {
                self.edges[n].wakes_ms = u64::MAX;
                self.tick(n);
            }
            EdgeEvent::Sweep => self.sweep(n),
            EdgeEvent::Begin(talk, ask, plane) => self.begin_talk(n, talk, ask, plane),
            EdgeEvent::Heard(talk, input) if self.edges[n].talk == talk => {
                self.edges[n].answered_talk = talk;
                self.heard(n, input);
            }
            EdgeEvent::NoAnswer(talk) if self.edges[n].talk == talk => {
                if self.edges[n].answered_talk != talk {
                    self.heard(n, Input::Ended);
                }
            }
            EdgeEvent::Heard(..) | EdgeEvent::NoAnswer(_) => {}
            EdgeEvent::Saved(followed) => self.edges[n].disk = Some(followed),
            EdgeEvent::Answered(ticket, answer) => self.renewed(n, ticket, answer.as_ref()),
            EdgeEvent::Request(page) => self.requested(n, page),
            EdgeEvent::Waited(id) => self.waited(n, id),
            EdgeEvent::Head(page, said) => self.headed(n, page, said),
            EdgeEvent::Post(page, done) => self.posted(n, page, done),
            EdgeEvent::Ask(fill, page, about) => self.at_origin(n, fill, page, about),
            EdgeEvent::Arrived(fill, said) => self.arrived(n, fill, said.as_ref()),
        }
        self.beat(n);
    }

    fn with<T>(&mut self, n: usize, act: impl FnOnce(&mut Simulated, Now) -> T) -> Option<T> {
        let now = self.edge_now(n);
        let sim = self.edges[n].sim.as_mut()?;
        Some(act(sim, now))
    }

    fn tick(&mut self, n: usize) {
        let effects = self.with(n, |sim, now| {
            let silent = sim.follower.silent_ms();
            match silent.is_some_and(|silent_ms| silent_ms <= now.boot_ms) {
                true => sim.on(Input::Tick, now),
                false => Vec::new(),
            }
        });
        self.act(n, effects.unwrap_or_default());
    }

    fn heard(&mut self, n: usize, mut input: Input) {
        if let (Input::Snapshot(snapshot), false) = (&mut input, self.rules.heeds_the_floor) {
            snapshot.floor = seawall_config::Revision::default();
        }
        let effects = self.with(n, |sim, now| sim.on(input, now));
        self.act(n, effects.unwrap_or_default());
        let applied = self.edges[n].sim.as_ref();
        let applied = applied.and_then(|sim| sim.follower.position().applied);
        if let Some(applied) = applied {
            let at = (applied.epoch.0, applied.revision.0);
            let before = std::mem::replace(&mut self.edges[n].reached, at);
            if at < before {
                let what = format!("edge {n}, from {before:?} to {at:?}");
                self.breaks(Violation::RevisionWentBack, what);
            }
        }
    }

    fn act(&mut self, n: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask {
                    ask,
                    plane,
                    delay_ms,
                } => {
                    self.edges[n].talk += 1;
                    let talk = self.edges[n].talk;
                    self.later(n, delay_ms, EdgeEvent::Begin(talk, ask, plane));
                }
                Effect::Persist => {
                    let followed = self.edges[n].sim.as_ref();
                    let followed = followed.and_then(|sim| sim.follower.followed()).cloned();
                    let sim = self.edges[n].sim.as_mut();
                    let first = sim.is_some_and(|sim| std::mem::take(&mut sim.keeps_first));
                    if first && self.rules.keeps_first {
                        self.edges[n].disk = followed;
                    } else if let Some(followed) = followed {
                        let delay = self.random.u64(..1_000);
                        self.later(n, delay, EdgeEvent::Saved(followed));
                    }
                }
                Effect::Problem(problem) => {
                    self.tell(format_args!("edge {n}: {}", problem.message));
                }
                Effect::Apply(_) | Effect::Reset | Effect::HeartbeatNow => {}
            }
        }
    }

    fn begin_talk(&mut self, n: usize, talk: u64, ask: Ask, plane: usize) {
        let edge = &self.edges[n];
        if edge.talk != talk {
            return;
        }
        // Whoever begins to serve from a snapshot must be in the receipt of every later purge.
        if ask == Ask::Snapshot && !edge.is_registered && self.rules.registers_first {
            return self.later(n, REGISTERED_LOOK_MS, EdgeEvent::Begin(talk, ask, plane));
        }
        let to = plane % PLANES;
        self.later(n, ANSWER_TIMEOUT_MS, EdgeEvent::NoAnswer(talk));
        let sent = self.send(Node::Edge(n), Node::Plane(to));
        if let Some(at) = sent.filter(|_| self.planes[to].is_up) {
            let asked = PlaneEvent::Asked {
                edge: n,
                generation: self.edges[n].generation,
                talk,
                ask,
            };
            let generation = self.planes[to].generation;
            self.at(at, Event::Plane(to, generation, asked));
        }
    }

    fn sweep(&mut self, n: usize) {
        let forgets_late = self.rules.forgets_late;
        self.with(n, |sim, _| match forgets_late {
            true => sim.sweep(),
            false => sim.forget_all(),
        });
        self.later(n, SWEEP_MS, EdgeEvent::Sweep);
    }
}
