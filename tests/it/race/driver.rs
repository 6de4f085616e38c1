//! Reads and purges at once, and what came of it. It speaks HTTP and knows of a cache only where it is and how it is
//! purged.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::world::{Kind, OBJECTS, Object, Purge, World};
use crate::support::Connection;

const READERS_PER_EDGE: usize = 8;
const PURGERS: usize = 4;
/// One read in so many is of a client that leaves before it has its answer.
const LEAVES_ONE_IN: u64 = 40;
/// Of stale answers, so many are told.
const STALE_MAX: usize = 10;

#[derive(Clone, Copy)]
pub struct Count {
    pub reads: usize,
    pub purges: usize,
}

/// What happened.
#[derive(Default)]
pub struct Told {
    pub reads: usize,
    pub purges: usize,
    /// By X-Cache; `left` are the clients that did not wait.
    pub answers: BTreeMap<String, usize>,
    /// The first of them, each with its story.
    pub stale: Vec<String>,
    pub stale_count: usize,
    pub took: Duration,
}

struct Race<'a> {
    world: &'a World,
    count: Count,
    /// What each object must be at least, now that a receipt says so.
    floors: [AtomicU64; OBJECTS],
    reads: AtomicUsize,
    purges: AtomicUsize,
    purged: AtomicBool,
    told: Mutex<Told>,
}

/// Both go on until there were enough of either.
pub fn race(
    world: &World,
    edges: &[SocketAddr],
    count: Count,
    purge: impl Fn(&Purge) + Sync,
) -> Told {
    let begun = Instant::now();
    let race = Race {
        world,
        count,
        floors: [const { AtomicU64::new(0) }; OBJECTS],
        reads: AtomicUsize::new(0),
        purges: AtomicUsize::new(0),
        purged: AtomicBool::new(false),
        told: Mutex::new(Told::default()),
    };
    for edge in edges {
        race.warm(*edge);
    }
    thread::scope(|scope| {
        for (number, edge) in edges
            .iter()
            .cycle()
            .take(edges.len() * READERS_PER_EDGE)
            .enumerate()
        {
            let race = &race;
            scope.spawn(move || race.read(*edge, Dice::new(number)));
        }
        let purgers: Vec<_> = (0..PURGERS)
            .map(|number| {
                let (race, purge) = (&race, &purge);
                scope.spawn(move || race.purge(purge, Dice::new(1_000 + number)))
            })
            .collect();
        let ended: Vec<_> = purgers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        // Also when a purge failed: otherwise the readers would never end.
        race.purged.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a purge failed");
    });
    let mut told = race.told.into_inner().unwrap();
    told.purges = race.purges.into_inner().min(count.purges);
    told.took = begun.elapsed();
    told
}

impl Race<'_> {
    /// Everything is stored before the first purge, so that a purge has something to take.
    fn warm(&self, edge: SocketAddr) {
        let mut connection = Connection::open(edge);
        for object in Object::all() {
            let answer =
                connection.request("GET", &object.target(), &[("host", &object.host())], b"");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    fn read(&self, edge: SocketAddr, mut dice: Dice) {
        let mut connection = Connection::open(edge);
        while self.reads.fetch_add(1, Ordering::SeqCst) < self.count.reads
            || !self.purged.load(Ordering::SeqCst)
        {
            // Half of the reads are of few objects, which so have many waiters.
            let among = if dice.one_in(2) { 4 } else { OBJECTS as u64 };
            let object = Object(dice.below(among) as usize);
            let (host, target) = (object.host(), object.target());
            let language = if dice.one_in(2) { "en" } else { "de" };
            let fields = [("host", host.as_str()), ("accept-language", language)];
            // Before it is sent: what a receipt said by now binds this answer.
            let floor = self.floors[object.0].load(Ordering::SeqCst);
            connection.send("GET", &target, &fields, b"");
            if dice.one_in(LEAVES_ONE_IN) {
                connection = Connection::open(edge);
                self.note("left", None);
                continue;
            }
            let answer = connection.answer("GET");
            assert!(
                answer.status == 200 && answer.complete,
                "{}: {}",
                answer.status,
                answer.text()
            );
            let version: u64 = answer.text().parse().expect("a version");
            let stale = (version < floor).then(|| {
                format!(
                    "{edge} {target} ({language}): {version}, not {floor}; {}",
                    answer.cache_status()
                )
            });
            self.note(answer.x_cache(), stale);
        }
    }

    fn purge(&self, purge: &(impl Fn(&Purge) + Sync), mut dice: Dice) {
        while self.purges.fetch_add(1, Ordering::SeqCst) < self.count.purges {
            let kinds = [Kind::Url, Kind::Tag, Kind::Prefix, Kind::Site, Kind::All];
            let order = Purge {
                kind: kinds[dice.below(5) as usize],
                soft: dice.one_in(2),
                of: Object(dice.below(OBJECTS as u64) as usize),
            };
            let changed: Vec<_> = Object::all()
                .filter(|object| order.covers(*object))
                .map(|object| (object, self.world.change(object)))
                .collect();
            purge(&order);
            for (object, version) in changed {
                self.floors[object.0].fetch_max(version, Ordering::SeqCst);
            }
        }
    }

    fn note(&self, kind: &str, stale: Option<String>) {
        let mut told = self.told.lock().unwrap();
        told.reads += 1;
        *told.answers.entry(kind.to_owned()).or_default() += 1;
        if let Some(stale) = stale {
            told.stale_count += 1;
            if told.stale.len() < STALE_MAX {
                told.stale.push(stale);
            }
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reads,
            purges,
            stale_count,
            answers,
            took,
            ..
        } = self;
        let seconds = took.as_secs_f64();
        write!(
            f,
            "{reads} reads against {purges} purges in {seconds:.1} s: {stale_count} stale after receipt;"
        )?;
        answers
            .iter()
            .try_for_each(|(kind, count)| write!(f, " {count} {kind}"))
    }
}

/// The same throws for the same number.
struct Dice(u64);

impl Dice {
    fn new(number: usize) -> Self {
        Self(number as u64 + 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
