//! Reads and purges at once, and what came of it. It speaks HTTP and knows of a cache only where it is and how it is
//! purged.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::world::{BLOCK_BYTES, BLOCKS, Kind, OBJECTS, Object, Purge, World};
use crate::support::{Connection, Response};

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
    /// By X-Cache, and by what was asked for; `left` are the clients that did not wait.
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
        let mut seen = [0; OBJECTS];
        while self.reads.fetch_add(1, Ordering::SeqCst) < self.count.reads
            || !self.purged.load(Ordering::SeqCst)
        {
            // Half of the reads are of few objects, which so have many waiters.
            let among = if dice.one_in(2) { 4 } else { OBJECTS as u64 };
            let object = Object(dice.below(among) as usize);
            let read = Read::any(object, seen[object.0], &mut dice);
            let (host, target) = (object.host(), object.target());
            let mut fields = vec![("host", host.as_str()), ("accept-language", read.language)];
            fields.extend(
                read.field
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            );
            // Before it is sent: what a receipt said by now binds this answer.
            let floor = self.floors[object.0].load(Ordering::SeqCst);
            connection.send(read.method, &target, &fields, b"");
            if dice.one_in(LEAVES_ONE_IN) {
                connection = Connection::open(edge);
                self.note("left", None);
                continue;
            }
            let answer = connection.answer(read.method);
            let version = version(&answer);
            seen[object.0] = version;
            let stale = (version < floor).then(|| {
                let status = (answer.status, answer.cache_status());
                format!("{edge} {target} {read:?}: {version}, not {floor}; {status:?}")
            });
            self.note(answer.x_cache(), stale);
            self.count(match (read.method, answer.status) {
                ("HEAD", _) => "HEAD",
                (_, 206) => "206",
                (_, 304) => "304",
                _ => "200",
            });
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

    fn count(&self, kind: &str) {
        let mut told = self.told.lock().unwrap();
        *told.answers.entry(kind.to_owned()).or_default() += 1;
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

/// How an object is read.
#[derive(Debug)]
struct Read {
    method: &'static str,
    language: &'static str,
    field: Option<(&'static str, String)>,
}

impl Read {
    /// Most want all of it; others a part, its head, or to know whether it is as they have it.
    fn any(object: Object, seen: u64, dice: &mut Dice) -> Self {
        let language = if dice.one_in(2) { "en" } else { "de" };
        let first = dice.below(BLOCKS as u64) * BLOCK_BYTES as u64;
        let (method, field) = match dice.below(12) {
            0 => ("HEAD", None),
            1 => ("GET", Some(("range", format!("bytes={first}-")))),
            2 | 3 => {
                let last = first + BLOCK_BYTES as u64 - 1;
                ("GET", Some(("range", format!("bytes={first}-{last}"))))
            }
            4 if seen > 0 => ("GET", Some(("if-none-match", format!("\"{seen}\"")))),
            5 => ("GET", Some(("x-kind", (object.0 % 2).to_string()))),
            _ => ("GET", None),
        };
        Self {
            method,
            language,
            field,
        }
    }
}

/// Which version an answer is of: its tag says so, and every block of its body.
fn version(answer: &Response) -> u64 {
    let told = || format!("{} {:?}: {}", answer.status, answer.fields, answer.text());
    let fine = [200, 206, 304].contains(&answer.status) && answer.complete;
    assert!(fine, "{}", told());
    let tag = answer.field("etag").unwrap_or_default();
    let version = tag
        .trim_matches('"')
        .parse()
        .unwrap_or_else(|_| panic!("{}", told()));
    for block in answer.text().as_bytes().chunks(BLOCK_BYTES) {
        let block = std::str::from_utf8(block).unwrap().parse();
        assert_eq!(block, Ok(version), "{}", told());
    }
    version
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
