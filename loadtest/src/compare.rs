//! A against B in one run: short blocks of both in random order, the same requests in each pair, and for each figure the
//! difference with the interval it lies in, so that chance is not taken for a difference.

use std::future::Future;
use std::pin::pin;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::plan::{Error, Plan};
use crate::random::Random;
use crate::record::histogram;
use crate::report::{Report, SCHEMA_VERSION, merge};
use crate::run::run;

pub mod page;

/// Pairs of blocks: fewer say nothing, more are not needed.
pub const PAIRS_MIN: u64 = 5;
pub const PAIRS_MAX: u64 = 1_000;
/// How often the pairs are drawn anew, to see how far chance carries a figure.
const RESAMPLES: usize = 400;
/// Of the resampled differences, the share inside the interval.
const CONFIDENCE: f64 = 0.95;

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub schema_version: u32,
    pub seed: u64,
    pub pairs: u64,
    pub a: Report,
    pub b: Report,
    pub differences: Vec<Difference>,
}

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
}

/// `pairs` blocks of each plan. A plan's duration is that of one block; its seed is given to each pair anew. None: it
/// was stopped before there was enough to compare.
pub async fn compare(
    a: &Plan,
    b: &Plan,
    pairs: u64,
    stop: impl Future<Output = ()>,
    mut watcher: impl FnMut(u64),
) -> Result<Option<Comparison>, Error> {
    let within = (PAIRS_MIN..=PAIRS_MAX).contains(&pairs);
    if !within {
        return Err(Error::Limit {
            what: "the number of pairs",
            asked: pairs.to_string(),
            allowed: format!("allowed is {PAIRS_MIN} to {PAIRS_MAX}"),
        });
    }
    let mut stop = pin!(stop);
    let mut random = Random::new(a.seed);
    let mut blocks = Vec::new();
    for pair in 0..pairs {
        let b_first = random.next().is_multiple_of(2);
        let seed = a.seed.wrapping_add(pair);
        let block = |plan: &Plan| Plan {
            seed,
            ..plan.clone()
        };
        let both = async {
            let never = std::future::pending::<()>;
            let (first, second) = if b_first { (b, a) } else { (a, b) };
            let first = run(block(first), never()).await?;
            let second = run(block(second), never()).await?;
            Ok::<_, Error>(if b_first {
                (second, first)
            } else {
                (first, second)
            })
        };
        tokio::select! {
            () = &mut stop => break,
            both = both => blocks.push(both?),
        }
        watcher(pair + 1);
    }
    Ok(judge(blocks, a.seed))
}

/// Pure: what the blocks say.
pub(crate) fn judge(blocks: Vec<(Report, Report)>, seed: u64) -> Option<Comparison> {
    let pairs = blocks.len() as u64;
    if pairs < PAIRS_MIN {
        return None;
    }
    let sides: Vec<(Side, Side)> = blocks
        .iter()
        .map(|(a, b)| (Side::new(a), Side::new(b)))
        .collect();
    let all: Vec<usize> = (0..sides.len()).collect();
    let found = (
        figures(&sides, &all, |(a, _)| a),
        figures(&sides, &all, |(_, b)| b),
    );
    let mut random = Random::new(seed);
    let resampled: Vec<Vec<f64>> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<usize> = all
                .iter()
                .map(|_| (random.unit() * all.len() as f64) as usize)
                .collect();
            let a = figures(&sides, &drawn, |(a, _)| a);
            let b = figures(&sides, &drawn, |(_, b)| b);
            a.iter().zip(&b).map(|(a, b)| percent(a.1, b.1)).collect()
        })
        .collect();
    let both = found.0.into_iter().zip(found.1).enumerate();
    let differences = both.map(|(at, ((figure, a), (_, b)))| {
        let drawn = resampled.iter().filter_map(|one| one.get(at).copied());
        Difference::new(figure, a, b, drawn.collect())
    });
    let differences = differences.collect();
    let (a, b): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
    Some(Comparison {
        schema_version: SCHEMA_VERSION,
        seed,
        pairs,
        a: mean_of(a)?,
        b: mean_of(b)?,
        differences,
    })
}

impl Difference {
    /// `drawn`: the difference in each resample.
    fn new(figure: &str, a: f64, b: f64, mut drawn: Vec<f64>) -> Self {
        drawn.sort_by(f64::total_cmp);
        let nth = |share: f64| {
            let at = (share * (drawn.len().saturating_sub(1)) as f64).round() as usize;
            drawn.get(at).copied().unwrap_or_default()
        };
        let outside = (1.0 - CONFIDENCE) / 2.0;
        let (low, high) = (nth(outside), nth(1.0 - outside));
        Self {
            figure: figure.to_owned(),
            a,
            b,
            percent: percent(a, b),
            low,
            high,
            seen: low > 0.0 || high < 0.0,
        }
    }
}

/// One side of one pair.
struct Side {
    latency: Histogram<u64>,
    requests_per_second: f64,
    error_share: f64,
}

impl Side {
    fn new(report: &Report) -> Self {
        Self {
            latency: report.latency(),
            requests_per_second: report.requests_per_second,
            error_share: report.errors as f64 / report.requests.max(1) as f64,
        }
    }
}

/// The figures of the pairs drawn, latencies together.
fn figures<'a>(
    sides: &'a [(Side, Side)],
    drawn: &[usize],
    side: impl Fn(&'a (Side, Side)) -> &'a Side,
) -> Vec<(&'static str, f64)> {
    let mut latency = histogram();
    let (mut rate, mut errors) = (0.0, 0.0);
    for at in drawn {
        let Some(side) = sides.get(*at).map(&side) else {
            continue;
        };
        // The same bounds.
        let _ = latency.add(&side.latency);
        rate += side.requests_per_second;
        errors += side.error_share;
    }
    let count = drawn.len().max(1) as f64;
    let at = |quantile: f64| latency.value_at_quantile(quantile) as f64;
    vec![
        ("requests_per_second", rate / count),
        ("errors_percent", 100.0 * errors / count),
        ("mean_us", latency.mean()),
        ("p50_us", at(0.5)),
        ("p90_us", at(0.9)),
        ("p99_us", at(0.99)),
        ("p999_us", at(0.999)),
    ]
}

/// From nothing to something is told as the points it is.
fn percent(a: f64, b: f64) -> f64 {
    if a == 0.0 { b } else { 100.0 * (b - a) / a }
}

/// Blocks follow one another: their rate is the mean of theirs, their time the sum.
fn mean_of(blocks: Vec<Report>) -> Option<Report> {
    let count = blocks.len() as f64;
    let duration_s = blocks.iter().map(|block| block.duration_s).sum();
    let mut merged = merge::merge(blocks)?;
    merged.requests_per_second /= count;
    merged.duration_s = duration_s;
    merged.intervals.clear();
    Some(merged)
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "A {}\nB {}\n{} pairs of blocks, seed {}\n",
            self.a.url, self.b.url, self.pairs, self.seed
        )?;
        writeln!(
            f,
            "{:<22}{:>12}{:>12}{:>12}   95 % interval",
            "", "A", "B", "B from A"
        )?;
        for one in &self.differences {
            let verdict = if one.seen {
                ""
            } else {
                "   no difference seen"
            };
            writeln!(
                f,
                "{:<22}{:>12.1}{:>12.1}{:>+11.1}%   {:+.1} to {:+.1} %{verdict}",
                one.figure, one.a, one.b, one.percent, one.low, one.high
            )?;
        }
        if self.a.saturated || self.b.saturated {
            writeln!(
                f,
                "SATURATED: this machine could not keep the schedule, the figures are void"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::report::tests::report_of;

    /// Twenty pairs whose blocks have a latency of about `a` and `b` microseconds, by chance some more.
    fn judged(a: u64, b: u64) -> Comparison {
        let mut random = Random::new(3);
        let mut block = |base: u64| {
            let latencies: Vec<u64> = (0..500).map(|_| base + random.next() % 400).collect();
            report_of(&latencies)
        };
        let blocks = (0..20).map(|_| (block(a), block(b))).collect();
        judge(blocks, 1).unwrap()
    }

    #[test]
    fn a_difference_is_told_from_chance() {
        let of = |comparison: &Comparison, figure: &str| {
            let mut found = comparison.differences.iter();
            found.find(|one| one.figure == figure).unwrap().clone()
        };
        let same = judged(1_000, 1_000);
        assert!(!of(&same, "p50_us").seen, "{same}");
        assert!(same.to_string().contains("no difference seen"));
        let slower = judged(1_000, 1_100);
        let p50 = of(&slower, "p50_us");
        assert!(
            p50.seen && p50.low < p50.percent && p50.percent < p50.high,
            "{slower}"
        );
        assert!((p50.percent - 8.3).abs() < 2.0, "{slower}");
        assert!(!of(&slower, "requests_per_second").seen, "{slower}");
    }

    #[test]
    fn a_page_says_which_differences_are_seen() {
        let page = page::page(&judged(1_000, 1_100));
        let rows: Vec<_> = page.split("<tr>").collect();
        let row = |name: &str| *rows.iter().find(|row| row.starts_with(name)).unwrap();
        assert!(row("<td>p50<").ends_with("<td>a difference"), "{page}");
        let rate = row("<td>requests a second<");
        assert!(rate.contains("no difference seen"), "{page}");
        assert!(page.contains("B from A") && page.ends_with("</html>\n"));
    }

    #[test]
    fn too_few_pairs_are_not_judged() {
        assert!(judge(vec![(report_of(&[1]), report_of(&[1]))], 1).is_none());
    }
}
