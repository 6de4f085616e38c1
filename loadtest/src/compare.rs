//! A against B in one run: short blocks of both in random order, the same requests in each pair, and for each figure the
//! difference with the interval it lies in, so that chance is not taken for a difference.

use std::future::Future;
use std::pin::pin;

use serde::{Deserialize, Serialize};

use crate::plan::{Ended, Error, Plan};
use crate::random::Random;
use crate::report::{Report, SCHEMA_VERSION, merge};
use crate::run::run;

mod difference;
pub mod page;

use difference::{Block, differences};
pub use difference::{CONFIDENCE, Difference};

/// Pairs of blocks: fewer say nothing, more are not needed.
pub const PAIRS_MIN: u64 = 10;
pub const PAIRS_MAX: u64 = 1_000;
/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub schema_version: u32,
    pub seed: u64,
    pub pairs: u64,
    /// Why there are no more pairs, where that was not asked for.
    #[serde(default)]
    pub ended: Option<Ended>,
    pub a: Report,
    pub b: Report,
    pub differences: Vec<Difference>,
}

/// `pairs` blocks of each plan. A plan's duration is that of one block; its seed is given to each pair anew. None: it
/// was stopped before there was enough to compare. Where one of them goes away later, what was found until then is told.
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
    let (mut blocks, mut ended) = (Vec::new(), None);
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
            both = both => match both {
                Ok(both) => blocks.push(both),
                Err(error) if pair < PAIRS_MIN => return Err(error),
                Err(error) => {
                    ended = Some(error.into());
                    break;
                }
            },
        }
        watcher(pair + 1);
    }
    let found = judge(blocks, a.seed);
    Ok(found.map(|found| Comparison { ended, ..found }))
}

/// Pure: what the blocks say.
pub(crate) fn judge(blocks: Vec<(Report, Report)>, seed: u64) -> Option<Comparison> {
    let pairs = blocks.len() as u64;
    if pairs < PAIRS_MIN {
        return None;
    }
    let sides = blocks.iter();
    let sides: Vec<_> = sides.map(|(a, b)| (Block::new(a), Block::new(b))).collect();
    let differences = differences(&sides, seed);
    let (a, b): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
    Some(Comparison {
        schema_version: SCHEMA_VERSION,
        seed,
        pairs,
        ended: None,
        a: mean_of(a)?,
        b: mean_of(b)?,
        differences,
    })
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
            "{:<22}{:>12}{:>12}{:>12}   {:.1} % interval",
            "",
            "A",
            "B",
            "B from A",
            100.0 * CONFIDENCE
        )?;
        for one in &self.differences {
            write!(
                f,
                "{:<22}{:>12.1}{:>12.1}{:>+11.1}%   ",
                one.figure, one.a, one.b, one.percent
            )?;
            match (one.too_few, one.seen) {
                (true, _) => writeln!(f, "{}", one.verdict())?,
                (false, true) => writeln!(f, "{:+.1} to {:+.1} %", one.low, one.high)?,
                (false, false) => {
                    let verdict = one.verdict();
                    writeln!(f, "{:+.1} to {:+.1} %   {verdict}", one.low, one.high)?;
                }
            }
        }
        if let Some(ended) = &self.ended {
            writeln!(f, "ENDED EARLY: {}", ended.why)?;
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
        let text = same.to_string();
        let p50 = text
            .lines()
            .find(|line| line.starts_with("p50_us"))
            .unwrap();
        assert!(p50.ends_with("no difference seen"), "{text}");
        assert!(text.contains("99.3 % interval"), "{text}");
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
        let pairs = |count: usize| (0..count).map(|_| (report_of(&[1]), report_of(&[1])));
        assert!(judge(pairs(9).collect(), 1).is_none());
        let ten = judge(pairs(10).collect(), 1).unwrap();
        let p99 = ten.differences.iter().find(|one| one.figure == "p99_us");
        assert_eq!(p99.unwrap().verdict(), "too few requests");
        assert!(ten.to_string().contains("too few requests"), "{ten}");
        assert!(page::page(&ten).contains("too few requests"));
    }
}
