//! What is kept of each request: two latencies, by class. Shared by all connections of a run.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::class::Class;
use crate::clock;
use crate::plan::DURATION_MAX;

/// Digits a latency is kept with: one part in a thousand.
const DIGITS: u8 = 3;

/// One recorder per core, so that connections do not wait for one another.
pub(crate) struct Recorders {
    shards: Vec<Mutex<Recorder>>,
}

/// Everything of a run, or of one shard of it.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) classes: BTreeMap<Class, ClassRecord>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) failures: BTreeMap<Failure, u64>,
}

/// Microseconds, both with the same number of entries.
pub(crate) struct ClassRecord {
    pub(crate) bytes: u64,
    /// From when the request was meant to leave: what a user would have waited.
    pub(crate) from_intended: Histogram<u64>,
    /// From when it left: what the server took.
    pub(crate) from_send: Histogram<u64>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered {
        class: Class,
        status: u16,
        bytes: u64,
    },
    Failed(Failure),
}

/// Why there is no whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// This machine had no socket left: the generator's fault, not the server's.
    NoSocket,
    /// No connection (refused, reset, TLS).
    Connect,
    /// The connection ended before the response, or before all of its body.
    CutShort,
    /// Not HTTP.
    Malformed,
    /// Nothing, or not all, within the time allowed for a response.
    Timeout,
    /// The run ended first.
    Unanswered,
}

/// A request under way. If it is dropped before it ended, that is recorded too: a server that never
/// answers must not look better than one that is slow.
pub(crate) struct Pending<'a> {
    recorders: &'a Recorders,
    shard: usize,
    intended: Instant,
    sent: Option<Instant>,
    outcome: Outcome,
}

impl Recorders {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            shards: (0..cores).map(|_| Mutex::default()).collect(),
        }
    }

    /// Begins a request; `shard` is any number that spreads the requests.
    pub(crate) fn begin(&self, shard: usize, intended: Instant) -> Pending<'_> {
        let outcome = Outcome::Failed(Failure::Unanswered);
        Pending {
            recorders: self,
            shard,
            intended,
            sent: None,
            outcome,
        }
    }

    /// Responses so far, without errors.
    pub(crate) fn answered(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).answered()).sum()
    }

    /// Everything, added up.
    pub(crate) fn total(&self) -> Recorder {
        let mut total = Recorder::default();
        for shard in &self.shards {
            total.add(&lock(shard));
        }
        total
    }
}

impl Pending<'_> {
    /// The request is handed to a connection that is ready for it.
    pub(crate) fn sent(&mut self) {
        self.sent = Some(clock::now());
    }

    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let now = clock::now();
        let from_intended = now.saturating_duration_since(self.intended);
        let from_send = now.saturating_duration_since(self.sent.unwrap_or(self.intended));
        let shards = &self.recorders.shards;
        if let Some(shard) = shards.get(self.shard % shards.len()) {
            lock(shard).record(self.outcome, from_intended, from_send);
        }
    }
}

impl Recorder {
    pub(crate) fn record(
        &mut self,
        outcome: Outcome,
        from_intended: Duration,
        from_send: Duration,
    ) {
        let (class, bytes) = match outcome {
            Outcome::Answered {
                class,
                status,
                bytes,
            } => {
                *self.statuses.entry(status).or_default() += 1;
                (class, bytes)
            }
            Outcome::Failed(failure) => {
                *self.failures.entry(failure).or_default() += 1;
                (Class::Error, 0)
            }
        };
        let record = self.classes.entry(class).or_default();
        record.bytes += bytes;
        record
            .from_intended
            .saturating_record(micros(from_intended));
        record.from_send.saturating_record(micros(from_send));
    }

    fn answered(&self) -> u64 {
        let classes = self
            .classes
            .iter()
            .filter(|(class, _)| **class != Class::Error);
        classes.map(|(_, record)| record.from_send.len()).sum()
    }

    fn add(&mut self, other: &Self) {
        for (class, record) in &other.classes {
            let sum = self.classes.entry(*class).or_default();
            sum.bytes += record.bytes;
            // All histograms have the same bounds, so nothing can fall out of them here.
            let _ = sum.from_intended.add(&record.from_intended);
            let _ = sum.from_send.add(&record.from_send);
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
    }
}

impl Default for ClassRecord {
    fn default() -> Self {
        Self {
            bytes: 0,
            from_intended: histogram(),
            from_send: histogram(),
        }
    }
}

/// An empty histogram of microseconds, up to the longest run.
#[expect(clippy::expect_used, reason = "the bounds are constants, and fit")]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(micros(DURATION_MAX), DIGITS).expect("constant bounds")
}

/// Whole microseconds, at least one: a histogram has no zero.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .max(1)
}

fn lock(shard: &Mutex<Recorder>) -> std::sync::MutexGuard<'_, Recorder> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing)]

    use super::*;

    /// 1,000 requests in 10 s, and for one second of them the server does nothing: each of the 100 that
    /// were meant to leave meanwhile waits for the rest of that second. A generator that sends the next
    /// request only after the last answer sees one slow response.
    #[test]
    fn a_stalling_server_is_seen_from_the_intended_times() {
        let mut recorder = Recorder::default();
        let millis = Duration::from_millis;
        let hit = Outcome::Answered {
            class: Class::Hit,
            status: 200,
            bytes: 1,
        };
        for index in 0..1_000 {
            let intended = millis(index * 10);
            let stall = millis(5_000)..millis(6_000);
            let left = if stall.contains(&intended) {
                stall.end
            } else {
                intended
            };
            let answered = left + millis(1);
            recorder.record(hit, answered - intended, answered - left);
        }
        let hits = recorder.classes.get(&Class::Hit);
        let check = |quantile: f64, intended_ms: u64, send_ms: u64| {
            let near = |histogram: &Histogram<u64>, millis: u64| {
                let found = histogram.value_at_quantile(quantile);
                let expect = millis * 1_000;
                assert!(
                    found.abs_diff(expect) * 1_000 <= expect * 2,
                    "p{quantile}: {found}"
                );
            };
            let hits = hits.expect("hits");
            near(&hits.from_intended, intended_ms);
            near(&hits.from_send, send_ms);
        };
        // A tenth is late, evenly by 10 to 1,000 ms.
        check(0.5, 1, 1);
        check(0.90, 1, 1);
        check(0.95, 501, 1);
        check(0.99, 901, 1);
        check(0.999, 991, 1);
        check(1.0, 1_001, 1);
    }

    #[test]
    fn a_request_that_is_given_up_is_recorded() {
        let recorders = Recorders::new();
        drop(recorders.begin(7, clock::now()));
        recorders
            .begin(8, clock::now())
            .end(Outcome::Failed(Failure::Timeout));
        let outcome = Outcome::Answered {
            class: Class::Miss,
            status: 200,
            bytes: 5,
        };
        recorders.begin(9, clock::now()).end(outcome);
        let total = recorders.total();
        assert_eq!(
            total.failures,
            [(Failure::Timeout, 1), (Failure::Unanswered, 1)].into()
        );
        assert_eq!(total.statuses, [(200, 1)].into());
        assert_eq!(recorders.answered(), 1);
    }
}
