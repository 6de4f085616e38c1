//! What is said of a run, for machines: the words of the JSON. `text` says it for people.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::plan::Plan;
use crate::record::{ClassRecord, Failure, Recorder, histogram};
use crate::run::Measured;
use crate::worker::Pace;

pub mod hdr;
pub mod html;
pub mod merge;
mod read;
mod text;

pub use text::{Bytes, Count, Micros};

/// Raised when a word changes its meaning or goes; new words may come without.
pub const SCHEMA_VERSION: u32 = 1;
/// A generator that is later than this with one request in a hundred measures itself.
pub const SEND_LAG_P99_US_MAX: u64 = 5_000;

/// One run. Latencies are whole microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub schema_version: u32,
    pub url: String,
    /// What the workload and a random schedule were drawn from.
    pub seed: u64,
    /// When it began, in seconds since 1970.
    pub began_unix_s: f64,
    /// Whole responses without errors, while requests were sent, over that time.
    pub requests_per_second: f64,
    /// How long requests were sent, without the cold phase.
    pub duration_s: f64,
    /// All that were sent, or tried to be; those answered after the end included.
    pub requests: u64,
    /// No whole response, or a status of 5xx.
    pub errors: u64,
    /// Bodies that are not what they were before, with the same URL and ETag. Looked for if asked.
    pub wrong: u64,
    /// Of bodies.
    pub bytes: u64,
    /// The share of responses that the cache gave without waiting for the origin (hit and stale); null without any.
    pub hit_ratio: Option<f64>,
    /// The same share of their bytes.
    pub byte_hit_ratio: Option<f64>,
    /// What an open loop should have sent by the end, the cold phase included; null for a closed loop.
    pub planned: Option<u64>,
    /// How late the generator itself was; null for a closed loop, which has no schedule.
    pub send_lag_us: Option<Lag>,
    /// Of those, how many were not sent because the server left so many unanswered at a time (see
    /// [`CONNECTIONS_MAX`](crate::plan::CONNECTIONS_MAX)): its fault, and no figure of latency knows of them.
    #[serde(default)]
    pub held_back: u64,
    /// The generator could not keep its schedule, or had no socket left: the figures say nothing of the server.
    pub saturated: bool,
    /// What the generator cost, and how many threads it was.
    pub generator_cpu_s: f64,
    pub workers: usize,
    pub statuses: BTreeMap<u16, u64>,
    pub failures: BTreeMap<Failure, u64>,
    /// Always all of them.
    pub classes: BTreeMap<Class, ClassReport>,
    /// The cold phase, which is in none of the above.
    pub cold: Option<BTreeMap<Class, ClassReport>>,
    /// Second by second.
    pub intervals: Vec<Interval>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    pub p50: u64,
    pub p99: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    pub count: u64,
    pub bytes: u64,
    /// From when a request was meant to leave: what a user would have waited.
    #[serde(flatten)]
    pub from_intended: Latency,
    /// From when it left. The same for a closed loop, but for the time to connect.
    pub from_send: Latency,
}

/// Zeros when there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
    /// All of it: an HdrHistogram (V2, deflated, base64).
    pub histogram: String,
}

/// About a second of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// From the start of the run.
    pub at_s: f64,
    pub length_s: f64,
    /// Only those that occurred.
    pub classes: BTreeMap<Class, ClassReport>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, measured: &Measured) -> Self {
        let total = &measured.total;
        let classes = all_classes(total);
        let no_socket = total.failures.get(&Failure::NoSocket).copied().unwrap_or(0);
        let pace = measured.pace.as_ref();
        let open = plan.schedule().is_some();
        let since = measured.began.duration_since(std::time::UNIX_EPOCH);
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            url: plan.url.clone(),
            seed: plan.seed,
            began_unix_s: since.unwrap_or_default().as_secs_f64(),
            requests_per_second: per_second(measured.answered, measured.sending),
            duration_s: measured.sending.as_secs_f64(),
            requests: 0,
            errors: 0,
            wrong: total.wrong,
            bytes: 0,
            hit_ratio: None,
            byte_hit_ratio: None,
            planned: pace.map(|pace| pace.planned),
            send_lag_us: pace.map(|pace| Lag {
                p50: pace.lag.value_at_quantile(0.5),
                p99: pace.lag.value_at_quantile(0.99),
            }),
            held_back: pace.map_or(0, |pace| pace.held_back),
            // An open loop without a pace had no timer, and sent nothing.
            saturated: no_socket > 0 || open && pace.is_none_or(Pace::is_saturated),
            generator_cpu_s: measured.cpu.as_secs_f64(),
            workers: measured.workers,
            statuses: total.statuses.clone(),
            failures: total.failures.clone(),
            classes,
            cold: measured.cold.as_ref().map(all_classes),
            intervals: measured.intervals.clone(),
        };
        report.sum_up();
        report
    }

    /// What follows from the classes.
    fn sum_up(&mut self) {
        let sum = |of: fn(&ClassReport) -> u64| self.classes.values().map(of).sum::<u64>();
        let of = |class: Class| self.classes.get(&class);
        let hits = |of_class: fn(&ClassReport) -> u64| {
            let hits = [of(Class::Hit), of(Class::Stale)].into_iter().flatten();
            hits.map(of_class).sum::<u64>()
        };
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        self.requests = sum(|class| class.count);
        self.bytes = sum(|class| class.bytes);
        self.errors = of(Class::Error).map_or(0, |class| class.count);
        let (hit_count, hit_bytes) = (hits(|class| class.count), hits(|class| class.bytes));
        self.hit_ratio = share(hit_count, self.requests - self.errors);
        let error_bytes = of(Class::Error).map_or(0, |class| class.bytes);
        self.byte_hit_ratio = share(hit_bytes, self.bytes - error_bytes);
    }

    /// All classes but errors in one histogram, from the intended times.
    pub fn latency(&self) -> Histogram<u64> {
        let mut all = histogram();
        for (class, report) in &self.classes {
            if *class != Class::Error
                && let Some(histogram) = hdr::decode(&report.from_intended.histogram)
            {
                // Those of another program may have wider bounds: what does not fit is the longest run.
                let _ = all.add(&histogram);
            }
        }
        all
    }
}

impl Pace {
    /// The self-check: too late, or too few, and not for the server's sake.
    pub(crate) fn is_saturated(&self) -> bool {
        self.sent + self.held_back < self.planned
            || self.lag.value_at_quantile(0.99) > SEND_LAG_P99_US_MAX
    }
}

fn all_classes(total: &Recorder) -> BTreeMap<Class, ClassReport> {
    Class::ALL
        .map(|class| (class, ClassReport::new(total.classes.get(&class))))
        .into()
}

impl ClassReport {
    fn new(record: Option<&ClassRecord>) -> Self {
        Self {
            count: record.map_or(0, |record| record.from_send.len()),
            bytes: record.map_or(0, |record| record.bytes),
            from_intended: record
                .map(|record| Latency::new(&record.from_intended))
                .unwrap_or_default(),
            from_send: record
                .map(|record| Latency::new(&record.from_send))
                .unwrap_or_default(),
        }
    }
}

impl Latency {
    pub(crate) fn new(histogram: &Histogram<u64>) -> Self {
        Self {
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
            histogram: hdr::encode(histogram),
        }
    }
}

impl Interval {
    pub(crate) fn new(at: Duration, length: Duration, taken: &Recorder) -> Self {
        let classes = taken.classes.iter();
        Self {
            at_s: at.as_secs_f64(),
            length_s: length.as_secs_f64(),
            classes: classes
                .map(|(class, record)| (*class, ClassReport::new(Some(record))))
                .collect(),
        }
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count as f64 / time.as_secs_f64()
    }
}

#[cfg(test)]
pub(crate) mod tests;
