//! What was seen of a purge. Pure.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::watch::Sighting;
use super::{Cache, Moments, PurgePlan};
use crate::class::Class;
use crate::report::{Report, SCHEMA_VERSION};

/// In place of a status: the purge was not answered.
pub const UNANSWERED: u16 = 0;

/// All caches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurgeReport {
    pub schema_version: u32,
    pub path: String,
    pub probes_per_second: f64,
    pub caches: Vec<CacheReport>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheReport {
    pub name: String,
    pub edges: Vec<String>,
    /// Answers with an old copy to requests sent after the receipt, of all rounds.
    pub stale_after_receipt: u64,
    pub rounds: Vec<Round>,
}

/// One purge. Times are milliseconds from the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Of the answer to the purge; 0 for none.
    pub status: u16,
    pub receipt_ms: f64,
    pub edges: Vec<EdgeRound>,
    pub stale_after_receipt: u64,
    /// Of the traffic beside it, a second each, from the first second on.
    pub traffic: Vec<Second>,
    /// When, on that clock, the purge was called.
    pub called_s: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeRound {
    pub edge: String,
    /// The first answer with the new page; null when none came.
    pub first_fresh_ms: Option<f64>,
    /// The last answer with an old one, by when it was asked for; null when none came after the call.
    pub last_stale_ms: Option<f64>,
    pub stale_after_receipt: u64,
    pub answers: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    pub at_s: f64,
    pub requests_per_second: f64,
    /// What the origin had to answer, revalidations included.
    pub origin_per_second: f64,
    pub hit_ratio: Option<f64>,
}

pub(crate) fn round(
    start: Instant,
    edges: &[String],
    sightings: &[Sighting],
    moments: &Moments,
    traffic: Option<&Report>,
) -> Round {
    let edges: Vec<_> = edges
        .iter()
        .enumerate()
        .map(|(at, edge)| {
            let own: Vec<_> = sightings
                .iter()
                .filter(|sighting| sighting.edge == at)
                .collect();
            EdgeRound::new(edge, &own, moments)
        })
        .collect();
    let traffic = traffic.map(|report| report.intervals.iter().map(second).collect());
    Round {
        status: moments.status,
        receipt_ms: millis(moments.called, moments.receipt),
        stale_after_receipt: edges.iter().map(|edge| edge.stale_after_receipt).sum(),
        edges,
        traffic: traffic.unwrap_or_default(),
        called_s: millis(start, moments.called) / 1e3,
    }
}

impl EdgeRound {
    fn new(edge: &str, sightings: &[&Sighting], moments: &Moments) -> Self {
        let is_fresh = |sighting: &Sighting| *sighting.etag == *moments.etag;
        // An error serves no page, neither an old one nor a new one.
        let pages = || {
            sightings
                .iter()
                .filter(|sighting| sighting.class != Class::Error)
        };
        let fresh = pages().filter(|sighting| is_fresh(sighting));
        let stale =
            || pages().filter(|sighting| !is_fresh(sighting) && sighting.asked >= moments.called);
        let first = fresh.map(|sighting| sighting.answered).min();
        let last = stale().map(|sighting| sighting.asked).max();
        let after = stale().filter(|sighting| sighting.asked > moments.receipt);
        Self {
            edge: edge.to_owned(),
            first_fresh_ms: first.map(|at| millis(moments.called, at)),
            last_stale_ms: last.map(|at| millis(moments.called, at)),
            stale_after_receipt: after.count() as u64,
            answers: sightings.len() as u64,
        }
    }
}

fn second(interval: &crate::report::Interval) -> Second {
    let count = |classes: &[Class]| {
        let parts = classes
            .iter()
            .filter_map(|class| interval.classes.get(class));
        parts.map(|part| part.count).sum::<u64>() as f64
    };
    let all = count(&Class::ALL);
    let good = all - count(&[Class::Error]);
    let hits = count(&[Class::Hit, Class::Stale]);
    let length = interval.length_s.max(1e-3);
    Second {
        at_s: interval.at_s,
        requests_per_second: all / length,
        origin_per_second: count(&[Class::Miss, Class::Revalidated, Class::Bypass]) / length,
        hit_ratio: (good > 0.0).then(|| hits / good),
    }
}

/// Negative when `to` is before `from`: a page may be new before anybody purged.
fn millis(from: Instant, to: Instant) -> f64 {
    match to.checked_duration_since(from) {
        Some(after) => after.as_secs_f64() * 1e3,
        None => -from.saturating_duration_since(to).as_secs_f64() * 1e3,
    }
}

impl CacheReport {
    pub(crate) fn new(cache: &Cache, rounds: Vec<Round>) -> Self {
        Self {
            name: cache.name.clone(),
            edges: cache.edges.clone(),
            stale_after_receipt: rounds.iter().map(|round| round.stale_after_receipt).sum(),
            rounds,
        }
    }

    /// Purges after whose receipt an old copy was served.
    pub fn outlived(&self) -> usize {
        let rounds = self.rounds.iter();
        rounds.filter(|round| round.stale_after_receipt > 0).count()
    }

    /// Median and most of a figure over rounds and edges; None when there is none.
    pub fn spread(&self, of: impl Fn(&Round, &EdgeRound) -> Option<f64>) -> Option<(f64, f64)> {
        let edges = self
            .rounds
            .iter()
            .flat_map(|round| round.edges.iter().map(move |edge| (round, edge)));
        let mut found: Vec<f64> = edges.filter_map(|(round, edge)| of(round, edge)).collect();
        found.sort_by(f64::total_cmp);
        Some((*found.get(found.len() / 2)?, *found.last()?))
    }
}

impl PurgeReport {
    pub(crate) fn new(plan: &PurgePlan, caches: Vec<CacheReport>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            path: plan.path.clone(),
            probes_per_second: plan.probes_per_second,
            caches,
        }
    }

    /// Every purge was accepted, and nothing old was served after a receipt.
    pub fn is_clean(&self) -> bool {
        self.caches.iter().all(|cache| {
            let accepted = cache
                .rounds
                .iter()
                .all(|round| (200..300).contains(&round.status));
            accepted && cache.stale_after_receipt == 0 && !cache.rounds.is_empty()
        })
    }
}

impl fmt::Display for PurgeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12}{:>8}{:>20}{:>22}{:>22}{:>22}",
            "", "purges", "receipt", "first fresh", "last stale", "stale after receipt"
        )?;
        for cache in &self.caches {
            let shown = |spread: Option<(f64, f64)>| match spread {
                Some((median, most)) => format!("{median:.1}, most {most:.1} ms"),
                None => "none".to_owned(),
            };
            writeln!(
                f,
                "{:<12}{:>8}{:>20}{:>22}{:>22}{:>22}",
                cache.name,
                cache.rounds.len(),
                shown(cache.spread(|round, _| Some(round.receipt_ms))),
                shown(cache.spread(|_, edge| edge.first_fresh_ms)),
                shown(cache.spread(|_, edge| edge.last_stale_ms)),
                cache.stale_after_receipt
            )?;
            let refused = cache
                .rounds
                .iter()
                .filter(|round| !(200..300).contains(&round.status));
            for round in refused {
                match round.status {
                    UNANSWERED => writeln!(f, "  a purge was not answered")?,
                    status => writeln!(f, "  a purge was answered with {status}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn what_is_old_after_the_receipt_is_counted() {
        let start = clock::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let sighting = |edge, asked, etag: &str, class| Sighting {
            edge,
            asked: at(asked),
            answered: at(asked + 1),
            class,
            etag: etag.into(),
        };
        let seen = [
            sighting(0, 50, "old", Class::Hit),
            sighting(0, 104, "old", Class::Hit),
            sighting(0, 106, "new", Class::Miss),
            sighting(1, 112, "old", Class::Hit),
            sighting(1, 115, "", Class::Error),
            sighting(1, 130, "new", Class::Miss),
        ];
        let moments = Moments {
            called: at(100),
            receipt: at(110),
            status: 200,
            etag: "new".to_owned(),
        };
        let edges = ["http://a".to_owned(), "http://b".to_owned()];
        let round = round(start, &edges, &seen, &moments, None);
        assert_eq!(round.stale_after_receipt, 1);
        let found: Vec<_> = round
            .edges
            .iter()
            .map(|edge| {
                (
                    edge.first_fresh_ms,
                    edge.last_stale_ms,
                    edge.stale_after_receipt,
                    edge.answers,
                )
            })
            .collect();
        assert_eq!(
            found,
            [(Some(7.0), Some(4.0), 0, 3), (Some(31.0), Some(12.0), 1, 3)]
        );
        assert!((round.receipt_ms - 10.0).abs() < 1e-6);
    }
}
