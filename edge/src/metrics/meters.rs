//! What each answer is counted by, looked up once for each site and not for each answer.

use std::sync::OnceLock;
use std::time::Duration;

use super::Metrics;
use super::sharded::{Counter, Histogram};

/// One answer, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// An `X-Cache` word, or NONE for what was refused before anything was looked up.
    pub cache: &'static str,
    /// 0: there was none.
    pub status: u16,
    /// Of the body.
    pub bytes: u64,
    pub ttfb: Duration,
}

/// What the answers of one site are counted by, looked up once: by the word in `cache` and the class of the status.
#[derive(Debug, Default)]
pub struct Meters(OnceLock<Box<[OnceLock<Meter>]>>);

#[derive(Debug)]
pub struct Meter {
    pub requests: Counter,
    pub bytes: Counter,
    pub ttfb: Histogram,
}

const CACHE_WORDS: [&str; 6] = ["HIT", "MISS", "STALE", "REVALIDATED", "BYPASS", "NONE"];
const CODE_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// `2xx`, `3xx`, …
pub fn code_class(status: u16) -> &'static str {
    CODE_CLASSES.get(class_of(status)).unwrap_or(&"5xx")
}

fn class_of(status: u16) -> usize {
    match status / 100 {
        class @ 1..=4 => usize::from(class) - 1,
        _ => CODE_CLASSES.len() - 1,
    }
}

impl Meters {
    pub fn of(&self, metrics: &Metrics, site: &str, counted: &Counted) -> Option<&Meter> {
        let word = CACHE_WORDS.iter().position(|word| *word == counted.cache)?;
        let at = word * CODE_CLASSES.len() + class_of(counted.status);
        let every = CACHE_WORDS.len() * CODE_CLASSES.len();
        let meters = self
            .0
            .get_or_init(|| (0..every).map(|_| OnceLock::new()).collect());
        Some(meters.get(at)?.get_or_init(|| metrics.meter(site, counted)))
    }
}

impl Meter {
    pub fn count(&self, counted: &Counted) {
        self.requests.add(1);
        self.bytes.add(counted.bytes);
        self.ttfb.observe(counted.ttfb);
    }
}
