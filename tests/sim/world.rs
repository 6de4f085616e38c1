//! One history: what happens, in which order, and whether every promise was kept.

use std::collections::BTreeMap;

use fastrand::Rng;
use seawall_config::{Epoch, Revision};
use seawall_control_plane::keys;
use seawall_control_plane::store::{Txn, Write};
use serde_json::json;

use crate::clock::Clock;
use crate::edge::{EdgeEvent, EdgeNode};
use crate::faults::{Fault, Faults};
use crate::origin::{Origin, Page, SITES, host, path, site};
use crate::plane::{PlaneEvent, PlaneNode, StoreEvent};
use crate::store::Store;
use crate::story::Story;
use crate::violation::{Broken, Violation};

mod breaking;
mod network;
mod rules;

pub use rules::Rules;

pub const PLANES: usize = 2;
pub const EDGES: usize = 3;
/// The machine that has the first edge's id, too.
const TWIN: usize = EDGES;
/// Until then things break; then everything is mended.
const BREAKS_UNTIL_MS: u64 = 30_000;
/// A last purge, when everybody has had the time to come back.
const LAST_PURGE_MS: u64 = BREAKS_UNTIL_MS + 40_000;
const ENDS_MS: u64 = LAST_PURGE_MS + 15_000;
const FAULTS_MAX: usize = 14;
const RETAINED_MS: u64 = 60 * 60 * 1_000;

/// Which faults happen.
pub type Weather = fn(&Fault) -> bool;

pub enum Event {
    Plane(usize, u64, PlaneEvent),
    Edge(usize, u64, EdgeEvent),
    Store(StoreEvent),
    /// A client asks for any page, and the next one will later.
    Request,
    /// A receipt's promise begins to hold.
    Promise(Vec<(Page, u64)>, bool),
    /// New editions, and a purge of them.
    Publish,
    Break(Fault),
    /// By its number.
    Mend(usize, Fault),
    MendAll,
    LastPurge,
}

pub struct World {
    pub random: Rng,
    pub now: u64,
    pub rules: Rules,
    pub store: Store,
    pub planes: Vec<PlaneNode>,
    pub edges: Vec<EdgeNode>,
    pub origin: Origin,
    pub story: Story,
    pub faults: Faults,
    /// The edition of each page that no edge may serve an older one than, since a receipt said so.
    pub promised: Vec<Promise>,
    pub broken: Option<Broken>,
    /// What the sender of the newest purge knows.
    pub token: Option<Token>,
    /// The last purge is complete.
    pub agreed: bool,
    /// What the fickle site says that edges do while they are cut off.
    mind: &'static str,
    queue: BTreeMap<(u64, u64), Event>,
    seq: u64,
    /// What has broken, in order, and whether that has done anything.
    begun: Vec<(Fault, bool)>,
    /// What is not mended yet, by its number there.
    in_force: Vec<(usize, Fault)>,
    /// A restored store is not trusted until then.
    refused_until_ms: u64,
    /// For so long control planes keep what everybody has applied.
    pub retained_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Promise {
    /// For edges that vouch.
    pub vouching: u64,
    /// For all.
    pub all: u64,
}

/// Of a purge that is accepted.
#[derive(Clone, Debug)]
pub struct Token {
    pub epoch: Epoch,
    pub revision: Revision,
    pub editions: Vec<(Page, u64)>,
}

impl Token {
    /// What who shows it is not to get an older edition than.
    pub fn promises(&self, page: Page) -> Option<u64> {
        let editions = self.editions.iter();
        let of_page = editions.filter(|(of, _)| *of == page);
        of_page.map(|(_, edition)| *edition).max()
    }
}

pub struct Ended {
    pub outcome: Result<(), Broken>,
    pub story: Story,
    pub faults: Faults,
}

impl World {
    /// Everything may break.
    pub fn new(seed: u64, rules: Rules) -> Self {
        Self::in_weather(seed, rules, |_| true)
    }

    /// Only such faults happen.
    pub fn in_weather(seed: u64, rules: Rules, weather: Weather) -> Self {
        let mut random = Rng::with_seed(seed);
        let planes = (0..PLANES).map(|_| {
            let clock = Clock::any(&mut random);
            PlaneNode::new(match rules.planes_fast_by_ppm {
                0 => clock,
                fast => clock.with_drift(fast),
            })
        });
        let planes = planes.collect();
        let edges = (0..=TWIN).map(|n| {
            let id = format!("e{}", n % EDGES);
            let clock = Clock::any(&mut random);
            let clock = match rules.edges_slow_by_ppm {
                0 => clock,
                slow => clock.with_drift(-slow),
            };
            EdgeNode::new(id, clock)
        });
        let edges = edges.collect();
        let mut world = Self {
            now: 0,
            rules,
            store: Store::new(),
            planes,
            edges,
            origin: Origin::new(),
            story: Story::default(),
            faults: Faults::default(),
            promised: vec![Promise::default(); SITES.len() * 3],
            broken: None,
            token: None,
            agreed: false,
            mind: "serve",
            queue: BTreeMap::new(),
            seq: 0,
            begun: Vec::new(),
            in_force: Vec::new(),
            refused_until_ms: 0,
            retained_ms: retained_ms(seed),
            random,
        };
        world.begin(weather);
        world
    }

    fn begin(&mut self, weather: Weather) {
        for name in SITES {
            self.put_site(name, name);
        }
        for n in 0..PLANES {
            self.start_plane(n);
        }
        for n in 0..EDGES {
            self.start_edge(n);
        }
        let faults = self.random.usize(..=FAULTS_MAX);
        for _ in 0..faults {
            self.draw(weather);
        }
        self.at(1_000, Event::Request);
        self.at(2_000, Event::Publish);
        self.at(BREAKS_UNTIL_MS, Event::MendAll);
        self.at(LAST_PURGE_MS, Event::LastPurge);
    }

    pub fn play(mut self) -> Ended {
        while let Some(((at, order), event)) = self.queue.pop_first() {
            if at > ENDS_MS || self.broken.is_some() {
                break;
            }
            self.now = at;
            // What waits for a machine that is stopped keeps its order.
            match self.stopped_until(&event).filter(|until| *until > at) {
                Some(until) => {
                    self.put_off(&event);
                    self.queue.insert((until, order), event);
                }
                None => self.happen(event),
            }
        }
        let outcome = match self.broken.take() {
            Some(broken) => Err(broken),
            None => self.converged(),
        };
        Ended {
            outcome,
            story: self.story,
            faults: self.faults,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Plane(n, generation, event) if self.planes[n].generation == generation => {
                self.plane(n, event);
            }
            Event::Edge(n, generation, event) if self.edges[n].generation == generation => {
                self.edge(n, event);
            }
            // For a process that is gone.
            Event::Plane(..) | Event::Edge(..) => {}
            Event::Store(event) => self.store(event),
            Event::Request => {
                let (edge, page) = (self.random.usize(..=TWIN), Origin::any(&mut self.random));
                let generation = self.edges[edge].generation;
                let request = match self.random.u32(..40) {
                    0 => EdgeEvent::Post(page, None),
                    1..3 => EdgeEvent::Head(page, None),
                    _ => EdgeEvent::Request(page),
                };
                self.at(self.now, Event::Edge(edge, generation, request));
                let pause = self.random.u64(10..150);
                self.at(self.now + pause, Event::Request);
            }
            Event::Promise(editions, by_all) => self.promise(&editions, by_all),
            Event::Publish => {
                self.publish();
                let pause = self.random.u64(200..5_000);
                if self.now + pause < BREAKS_UNTIL_MS {
                    self.at(self.now + pause, Event::Publish);
                }
            }
            Event::Break(fault) => self.break_it(fault),
            Event::Mend(number, fault) => self.mend(number, fault),
            Event::MendAll => self.mend_all(),
            Event::LastPurge => self.publish(),
        }
    }

    fn stopped_until(&self, event: &Event) -> Option<u64> {
        match event {
            Event::Plane(n, ..) => Some(self.planes[*n].paused_until_ms),
            Event::Edge(n, ..) => Some(self.edges[*n].paused_until_ms),
            _ => None,
        }
    }

    pub fn at(&mut self, at: u64, event: Event) {
        self.seq += 1;
        self.queue.insert((at, self.seq), event);
    }

    pub fn tell(&mut self, line: impl std::fmt::Display) {
        self.story.tell(self.now, line);
    }

    fn publish(&mut self) {
        let (pages, purge) = self.origin.publish(self.now, &mut self.random);
        if self.random.u32(..6) == 0 {
            // The fickle site changes its mind.
            let mind = SITES[self.random.usize(..3)];
            self.put_site("fickle", mind);
            self.mind = mind;
            self.tell(format_args!("site fickle: on_partition = {mind}"));
        }
        let n = self.random.usize(..PLANES);
        let editions: Vec<_> = pages
            .iter()
            .map(|page| (*page, self.origin.edition(*page)))
            .collect();
        self.tell(format_args!(
            "purge of {} ({:?}) through plane {n}, for {editions:?}",
            purge.scopes[0], purge.mode
        ));
        let (generation, pause) = (self.planes[n].generation, self.random.u64(1..20));
        let event = PlaneEvent::Purge(purge, editions);
        self.at(self.now + pause, Event::Plane(n, generation, event));
    }

    fn put_site(&mut self, name: &str, on_partition: &str) {
        let on_partition = match on_partition {
            "fickle" => "serve",
            other => other,
        };
        let site = json!({"owner": "api", "site": {
            "name": name, "hosts": [format!("{name}.test")], "origin": "http://127.0.0.1:1",
            "on_partition": on_partition,
        }});
        let put = Write::Put(keys::site(name), site.to_string().into());
        if self.store.up {
            let txn = Txn {
                guards: Vec::new(),
                writes: vec![put],
            };
            self.store.commit(&txn);
            self.notify_planes();
        }
    }

    /// Whether its site, as it is by now, has edges that are cut off serve nothing they cannot vouch for.
    pub fn is_strict(&self, page: Page) -> bool {
        let mind = match SITES[site(page)] {
            "fickle" => self.mind,
            other => other,
        };
        mind != "serve"
    }

    /// Everybody is where the store is, the last purge is complete, and every edge vouches.
    fn converged(&self) -> Result<(), Broken> {
        let not = |what| Err(Broken::new(Violation::NotConverged, what));
        let planes: Vec<_> = self.planes.iter().map(|it| it.stands(self.now)).collect();
        for (n, edge) in self.edges.iter().enumerate().take(EDGES) {
            if let Err(why) = edge.converged(self.now, self.store.epoch) {
                return not(format!("edge {n}: {why}; {planes:?}"));
            }
        }
        match self.agreed {
            true => Ok(()),
            false => not(format!("the last purge is not complete; {planes:?}")),
        }
    }

    pub fn breaks(&mut self, violation: Violation, what: String) {
        let broken = Broken::new(violation, what);
        self.tell(format_args!("BROKEN: {broken}"));
        self.broken.get_or_insert(broken);
    }

    /// A receipt was given.
    pub fn promise(&mut self, editions: &[(Page, u64)], by_all: bool) {
        for (page, edition) in editions {
            let promise = &mut self.promised[*page];
            promise.vouching = promise.vouching.max(*edition);
            if by_all {
                promise.all = promise.all.max(*edition);
            }
        }
        self.agreed |= self.now >= LAST_PURGE_MS && by_all;
    }
}

/// An hour, as it is, which no history lasts; or a time in which much is forgotten while things break.
fn retained_ms(seed: u64) -> u64 {
    match seed % 2 {
        0 => RETAINED_MS,
        _ => Rng::with_seed(!seed).u64(2_000..20_000),
    }
}

/// As a client names it.
pub fn url(page: Page) -> String {
    format!("{}{}", host(page), path(page))
}
