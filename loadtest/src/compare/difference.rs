//! How far B is from A, and how far chance alone could have carried it. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::report::Report;

/// How often the pairs are drawn anew, to see how far chance carries a figure.
const RESAMPLES: usize = 1_000;
/// Of the resampled differences, the share inside the interval. Seven figures are judged at once, and all of them shall be
/// right in 95 of 100 comparisons: each in 1 - 0.05 / 7 (Bonferroni).
pub const CONFIDENCE: f64 = 0.993;
/// How many standard deviations of a normal distribution that is to each side.
const CONFIDENCE_Z: f64 = 2.7;
/// A quantile with fewer requests beyond it, on either side, is a handful of requests and no figure.
const BEYOND_MIN: u64 = 10;

/// Of B from A, in per cent of A.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// `requests_per_second`, `p50_us` …
    pub figure: String,
    pub a: f64,
    pub b: f64,
    pub percent: f64,
    pub low: f64,
    pub high: f64,
    /// The interval does not contain zero.
    pub seen: bool,
    /// Too few requests lie beyond the quantile to judge it: nothing is seen.
    #[serde(default)]
    pub too_few: bool,
}

impl Difference {
    /// `drawn`: the difference in each resample of so many pairs.
    fn new((figure, a): (Figure, f64), b: f64, mut drawn: Vec<f64>, pairs: usize) -> Self {
        drawn.sort_by(f64::total_cmp);
        let nth = |share: f64| {
            let at = (share * (drawn.len().saturating_sub(1)) as f64).round() as usize;
            drawn.get(at).copied().unwrap_or_default()
        };
        let outside = (1.0 - CONFIDENCE) / 2.0;
        let (percent, wider) = (percent(a, b), wider(pairs));
        let low = percent - wider * (percent - nth(outside));
        let high = percent + wider * (nth(1.0 - outside) - percent);
        Self {
            figure: figure.name.to_owned(),
            a,
            b,
            percent,
            low,
            high,
            seen: !figure.too_few && (low > 0.0 || high < 0.0),
            too_few: figure.too_few,
        }
    }

    pub fn verdict(&self) -> &'static str {
        match (self.seen, self.too_few) {
            (_, true) => "too few requests",
            (true, false) => "a difference",
            (false, false) => "no difference seen",
        }
    }
}

/// Resamples of few pairs vary less than pairs do: by the root of n / (n - 1), and as the normal distribution does from
/// Student's, whose quantiles are wider by about 1 + (z² + 1) / 4(n - 1).
fn wider(pairs: usize) -> f64 {
    let freedom = pairs.saturating_sub(1).max(1) as f64;
    let student = 1.0 + (CONFIDENCE_Z * CONFIDENCE_Z + 1.0) / (4.0 * freedom);
    student * ((freedom + 1.0) / freedom).sqrt()
}

/// From nothing to something is told as the points it is.
fn percent(a: f64, b: f64) -> f64 {
    if a == 0.0 { b } else { 100.0 * (b - a) / a }
}

/// One side of one pair.
pub(super) struct Block {
    latency: Histogram<u64>,
    /// Of all latencies, in microseconds.
    sum_us: f64,
    requests_per_second: f64,
    error_share: f64,
}

impl Block {
    pub(super) fn new(report: &Report) -> Self {
        let error_share = report.errors as f64 / report.requests.max(1) as f64;
        Self::of(report.latency(), report.requests_per_second, error_share)
    }

    fn of(latency: Histogram<u64>, requests_per_second: f64, error_share: f64) -> Self {
        Self {
            sum_us: latency.mean() * latency.len() as f64,
            latency,
            requests_per_second,
            error_share,
        }
    }
}

/// Each figure's difference, with its interval by bootstrap over the pairs.
pub(super) fn differences(blocks: &[(Block, Block)], seed: u64) -> Vec<Difference> {
    let mut values: Vec<u64> = blocks
        .iter()
        .flat_map(|(a, b)| [&a.latency, &b.latency])
        .flat_map(|latency| latency.iter_recorded().map(|step| step.value_iterated_to()))
        .collect();
    values.sort_unstable();
    values.dedup();
    let a = Side::new(blocks.iter().map(|(a, _)| a), &values);
    let b = Side::new(blocks.iter().map(|(_, b)| b), &values);
    let all: Vec<usize> = (0..blocks.len()).collect();
    let mut random = Random::new(seed);
    let resampled: Vec<Vec<f64>> = (0..RESAMPLES)
        .map(|_| {
            let one = |_| (random.unit() * all.len() as f64) as usize;
            let drawn: Vec<usize> = all.iter().map(one).collect();
            let (a, b) = (a.figures(&drawn), b.figures(&drawn));
            a.iter().zip(&b).map(|(a, b)| percent(a.1, b.1)).collect()
        })
        .collect();
    let both = a.figures(&all).into_iter().zip(b.figures(&all));
    both.enumerate()
        .map(|(at, ((figure, a), (of_b, b)))| {
            let drawn = resampled.iter().filter_map(|one| one.get(at).copied());
            let too_few = figure.too_few || of_b.too_few;
            let figure = Figure { too_few, ..figure };
            Difference::new((figure, a), b, drawn.collect(), all.len())
        })
        .collect()
}

#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    too_few: bool,
}

/// One side of all pairs.
struct Side<'a> {
    /// All latencies that occurred, on either side.
    values: &'a [u64],
    blocks: Vec<(&'a Block, Vec<(usize, u64)>)>,
}

impl<'a> Side<'a> {
    fn new(blocks: impl Iterator<Item = &'a Block>, values: &'a [u64]) -> Self {
        let blocks = blocks.map(|block| {
            let steps = block.latency.iter_recorded();
            let counts = steps.filter_map(|step| {
                let at = values.binary_search(&step.value_iterated_to()).ok()?;
                Some((at, step.count_at_value()))
            });
            (block, counts.collect())
        });
        Self {
            values,
            blocks: blocks.collect(),
        }
    }

    /// The figures of the pairs drawn, latencies together.
    fn figures(&self, drawn: &[usize]) -> Vec<(Figure, f64)> {
        let mut counts = vec![0; self.values.len()];
        let (mut rate, mut errors, mut sum, mut all) = (0.0, 0.0, 0.0, 0);
        for (block, own) in drawn.iter().filter_map(|at| self.blocks.get(*at)) {
            for (at, count) in own {
                if let Some(sum) = counts.get_mut(*at) {
                    *sum += count;
                }
            }
            rate += block.requests_per_second;
            errors += block.error_share;
            sum += block.sum_us;
            all += block.latency.len();
        }
        let pairs = drawn.len().max(1) as f64;
        let plain = |name| Figure {
            name,
            too_few: false,
        };
        let quantile = |name, quantile: f64| {
            let rank = (all as f64 * quantile).ceil().max(1.0) as u64;
            let too_few = all.saturating_sub(rank) < BEYOND_MIN;
            (Figure { name, too_few }, self.at(&counts, rank))
        };
        vec![
            (plain("requests_per_second"), rate / pairs),
            (plain("errors_percent"), 100.0 * errors / pairs),
            (plain("mean_us"), sum / all.max(1) as f64),
            quantile("p50_us", 0.5),
            quantile("p90_us", 0.9),
            quantile("p99_us", 0.99),
            quantile("p999_us", 0.999),
        ]
    }

    /// The least value that so many do not exceed.
    fn at(&self, counts: &[u64], rank: u64) -> f64 {
        let mut up_to = 0;
        let mut steps = self.values.iter().zip(counts);
        let found = steps.find(|(_, count)| {
            up_to += **count;
            up_to >= rank
        });
        found.map_or(0.0, |(value, _)| *value as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::histogram;

    /// A block of a server with a long tail, whose noise is also that of the whole block: others use the machine.
    fn block(random: &mut Random) -> Block {
        let mut latency = histogram();
        let disturbed = 1.0 + 0.3 * random.unit() * random.unit();
        let requests = 400 + random.next() % 100;
        for _ in 0..requests {
            let tail = (1.0 - random.unit()).powf(-0.6);
            latency.saturating_record((300.0 * disturbed * tail) as u64);
        }
        Block::of(latency, requests as f64, 0.0)
    }

    /// A against A: nothing is there to be seen, and in 95 of 100 comparisons nothing is, in any of the seven figures.
    #[test]
    fn a_server_is_seldom_found_to_differ_from_itself() {
        const COMPARISONS: u64 = 100;
        for pairs in [10, 20] {
            let mut random = Random::new(pairs);
            let mut wrong = 0;
            for seed in 0..COMPARISONS {
                let mut pair = |_| (block(&mut random), block(&mut random));
                let blocks: Vec<_> = (0..pairs).map(&mut pair).collect();
                let found = differences(&blocks, seed);
                wrong += u64::from(found.iter().any(|one| one.seen));
            }
            assert!(wrong * 20 <= COMPARISONS, "{pairs} pairs: {wrong}");
        }
    }

    #[test]
    fn a_quantile_with_little_beyond_it_is_not_judged() {
        let check = |requests: u64, expect: [bool; 4]| {
            let block = |micros: u64| {
                let mut latency = histogram();
                latency.saturating_record_n(micros, requests / 10);
                Block::of(latency, 1.0, 0.0)
            };
            let blocks: Vec<_> = (0..10).map(|_| (block(100), block(900))).collect();
            let found = differences(&blocks, 1);
            let of = |name: &str| found.iter().find(|one| one.figure == name);
            let quantiles = ["p50_us", "p90_us", "p99_us", "p999_us"];
            for (name, expect) in quantiles.into_iter().zip(expect) {
                let found = of(name).map(|one| (one.seen, one.too_few));
                assert_eq!(found, Some((expect, !expect)), "{requests}: {name}");
            }
            assert!(of("mean_us").is_some_and(|one| one.seen));
        };
        check(100, [true, true, false, false]);
        check(1_000, [true, true, true, false]);
        check(10_000, [true; 4]);
    }
}
