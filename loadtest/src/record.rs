//! What is kept of each request: two latencies, by class. One recorder for each worker, so that none waits for another.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::clock;
use crate::plan::DURATION_MAX;

/// Digits a latency is kept with: one part in a thousand.
const DIGITS: u8 = 3;

/// What the workers have recorded since it was last taken.
pub(crate) struct Recorders {
    shards: Vec<Mutex<Recorder>>,
}

/// Everything of a run, or of a part of it.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    pub(crate) classes: BTreeMap<Class, ClassRecord>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) failures: BTreeMap<Failure, u64>,
    /// Bodies that are not the bytes they were before, with the same URL and ETag.
    pub(crate) wrong: u64,
}

/// Microseconds, both with the same number of entries.
#[derive(Clone)]
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
        wrong: bool,
    },
    Failed(Failure),
}

/// Why there is no whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// This machine had no socket left: the generator's fault, not the server's.
    NoSocket,
    /// No connection (refused, reset, TLS).
    Connect,
    /// The connection ended before a byte of the response.
    NoAnswer,
    /// The connection ended within the response.
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
    shard: &'a Mutex<Recorder>,
    intended: Instant,
    sent: Option<Instant>,
    outcome: Outcome,
}

impl Recorders {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// Begins a request of a worker.
    #[expect(clippy::indexing_slicing, reason = "there is at least one shard")]
    pub(crate) fn begin(&self, worker: usize, intended: Instant) -> Pending<'_> {
        Pending {
            shard: &self.shards[worker % self.shards.len()],
            intended,
            sent: None,
            outcome: Outcome::Failed(Failure::Unanswered),
        }
    }

    /// Takes what there is; the recorders begin anew.
    pub(crate) fn take(&self) -> Recorder {
        let mut taken = Recorder::default();
        for shard in &self.shards {
            // The worker goes on while it is added up.
            let shard = std::mem::take(&mut *lock(shard));
            taken.add(&shard);
        }
        taken
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
        lock(self.shard).record(self.outcome, from_intended, from_send);
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
                wrong,
            } => {
                *self.statuses.entry(status).or_default() += 1;
                self.wrong += u64::from(wrong);
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

    /// Whole responses without errors.
    pub(crate) fn answered(&self) -> u64 {
        let classes = self
            .classes
            .iter()
            .filter(|(class, _)| **class != Class::Error);
        classes.map(|(_, record)| record.from_send.len()).sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
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
        self.wrong += other.wrong;
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

fn lock(shard: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing)]

    use super::*;

    /// 1,000 requests a second for 100 s, and every 10 s the server does nothing for one second: each of the 1,000
    /// that were meant to leave meanwhile waits for the rest of it. A tenth of all is late, evenly by 1 to 1,000 ms, so
    /// that a share q above 0.9 waits (q - 0.9) / 0.1 seconds. From when it was sent, nobody sees it.
    #[test]
    fn a_stalling_server_is_seen_from_the_intended_times() {
        let mut recorder = Recorder::default();
        let millis = Duration::from_millis;
        let hit = Outcome::Answered {
            class: Class::Hit,
            status: 200,
            bytes: 1,
            wrong: false,
        };
        for index in 0..100_000 {
            let intended = millis(index);
            let stalled = index % 10_000 >= 9_000;
            let left = if stalled {
                millis((index / 10_000 + 1) * 10_000)
            } else {
                intended
            };
            let answered = left + millis(1);
            recorder.record(hit, answered - intended, answered - left);
        }
        let hits = recorder.classes.get(&Class::Hit).expect("hits");
        let check = |quantile: f64, intended_ms: u64| {
            let near = |histogram: &Histogram<u64>, millis: u64| {
                let (found, expect) = (histogram.value_at_quantile(quantile), millis * 1_000);
                assert!(
                    found.abs_diff(expect) * 1_000 <= expect * 2,
                    "p{quantile}: {found}, not {expect}"
                );
            };
            near(&hits.from_intended, intended_ms);
            near(&hits.from_send, 1);
        };
        check(0.5, 1);
        check(0.90, 1);
        check(0.95, 501);
        check(0.99, 901);
        check(0.999, 991);
        check(1.0, 1_001);
    }

    #[test]
    fn a_request_that_is_given_up_is_recorded() {
        let recorders = Recorders::new(2);
        drop(recorders.begin(7, clock::now()));
        recorders
            .begin(8, clock::now())
            .end(Outcome::Failed(Failure::Timeout));
        let outcome = Outcome::Answered {
            class: Class::Miss,
            status: 200,
            bytes: 5,
            wrong: true,
        };
        recorders.begin(9, clock::now()).end(outcome);
        let total = recorders.take();
        assert_eq!(
            total.failures,
            [(Failure::Timeout, 1), (Failure::Unanswered, 1)].into()
        );
        assert_eq!(total.statuses, [(200, 1)].into());
        assert_eq!((total.answered(), total.wrong), (1, 1));
        assert_eq!(recorders.take().answered(), 0);
    }
}
