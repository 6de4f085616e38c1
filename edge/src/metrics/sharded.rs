//! Numbers that many threads add to at once. Each thread has a cache line of its own to write to; who looks adds them
//! up. (A number that all of them wrote to would go from core to core with every answer.)

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::threads;

/// Past it two threads share one.
const SHARDS_MAX: usize = 64;

/// One for each thread that can run at once.
static SHARDS: LazyLock<usize> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads.min(SHARDS_MAX)
});

/// Two lines of 64 bytes: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

#[derive(Debug)]
struct Sharded<T>(Arc<[Alone<T>]>);

#[derive(Clone, Debug, Default)]
pub struct Counter(Sharded<AtomicU64>);

/// Of durations; a bucket ends twice as far as the one before it.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Sharded<Durations>);

/// The first bucket ends here.
const FIRST: Duration = Duration::from_micros(50);
/// The last ends at 13 s; what is longer is only summed and counted.
const BUCKETS: usize = 19;

#[derive(Debug, Default)]
struct Durations {
    /// The last: longer than all buckets.
    counts: [AtomicU64; BUCKETS + 1],
    nanos: AtomicU64,
}

impl<T> Clone for Sharded<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..*SHARDS).map(|_| Alone::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// The calling thread's.
    fn mine(&self) -> Option<&T> {
        self.0.get(threads::number() % self.0.len()).map(|of| &of.0)
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|of| &of.0)
    }
}

impl Counter {
    pub fn add(&self, count: u64) {
        if let Some(mine) = self.0.mine() {
            mine.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        self.0.all().map(|of| of.load(Ordering::Relaxed)).sum()
    }
}

impl TypedMetric for Counter {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for Counter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.sum(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let Some(mine) = self.0.mine() else { return };
        if let Some(count) = mine.counts.get(bucket(took)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        mine.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Where each bucket ends, in seconds, and how many fell into it; and all nanoseconds.
    fn sum(&self) -> ([(f64, u64); BUCKETS + 1], u64) {
        let mut buckets = [(f64::INFINITY, 0); BUCKETS + 1];
        let mut nanos = 0_u64;
        for (bucket, nth) in buckets.iter_mut().zip(0..BUCKETS as u32) {
            bucket.0 = FIRST.saturating_mul(1 << nth).as_micros() as f64 / 1e6;
        }
        for of in self.0.all() {
            for (bucket, count) in buckets.iter_mut().zip(&of.counts) {
                bucket.1 += count.load(Ordering::Relaxed);
            }
            nanos = nanos.wrapping_add(of.nanos.load(Ordering::Relaxed));
        }
        (buckets, nanos)
    }
}

/// Where it falls: at the end of a bucket is within it (Prometheus's `le`).
fn bucket(took: Duration) -> usize {
    let firsts = took.as_nanos().div_ceil(FIRST.as_nanos()).max(1);
    let nth = firsts.next_power_of_two().trailing_zeros() as usize;
    nth.min(BUCKETS)
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let (buckets, nanos) = self.sum();
        let count = buckets.iter().map(|bucket| bucket.1).sum();
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_at_it_or_after_it() {
        for (micros, nth) in [
            (0, 0),
            (50, 0),
            (51, 1),
            (100, 1),
            (101, 2),
            (200, 2),
            (13_107_200, 18),
            (13_107_201, 19),
            (u64::MAX / 1_000, 19),
        ] {
            assert_eq!(bucket(Duration::from_micros(micros)), nth, "{micros} us");
        }
    }

    #[test]
    fn what_many_threads_count_is_shown_as_one_sum() {
        let (counter, histogram) = (Counter::default(), Histogram::default());
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    counter.add(3);
                    histogram.observe(Duration::from_micros(75));
                    histogram.observe(Duration::from_secs(100));
                });
            }
        });
        let mut registry = Registry::default();
        registry.register("answers", "Answers", counter);
        registry.register("took", "Took", histogram);
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        for line in [
            "answers_total 30",
            "took_sum 1000.00075",
            "took_count 20",
            "took_bucket{le=\"0.00005\"} 0",
            "took_bucket{le=\"0.0001\"} 10",
            "took_bucket{le=\"1.6384\"} 10",
            "took_bucket{le=\"13.1072\"} 10",
            "took_bucket{le=\"+Inf\"} 20",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
    }
}
