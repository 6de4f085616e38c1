//! What was seen of a purge. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::watch::Sighting;
use super::{Cache, Moments, PurgePlan};
use crate::class::Class;
use crate::plan::Ended;
use crate::report::{Report, SCHEMA_VERSION};

/// In place of a status: the purge was not answered.
pub const UNANSWERED: u16 = 0;

/// All caches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurgeReport {
    pub schema_version: u32,
    pub path: String,
    pub probes_per_second: f64,
    /// Why there are no more rounds, where that was not asked for.
    #[serde(default)]
    pub ended: Option<Ended>,
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
    /// Asked for after the call and given no page: no answer, a status that is not 200, or nothing that says its version.
    #[serde(default)]
    pub no_page: u64,
}

/// What an edge said when it was asked for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This version of it.
    Page(Arc<str>),
    /// An error, another status, or no ETag: neither an old copy nor a new one.
    NoPage,
    /// No answer.
    Nothing,
}

impl Seen {
    pub(crate) fn new(status: u16, etag: Option<&str>) -> Self {
        match (status, etag) {
            (200, Some(etag)) => Self::Page(opaque(etag).into()),
            _ => Self::NoPage,
        }
    }
}

/// RFC 9110 §8.8.3.2: "two entity tags are equivalent if their opaque-tags match character-by-character, regardless of
/// either or both being tagged as \"weak\"".
fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
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
        let version = opaque(&moments.etag);
        // Told apart by version; what is no page is neither an old one nor a new one.
        let is_fresh = |sighting: &Sighting| match &sighting.seen {
            Seen::Page(seen) => Some(**seen == *version),
            Seen::NoPage | Seen::Nothing => None,
        };
        let since = || {
            let since = sightings.iter();
            since.filter(|sighting| sighting.asked >= moments.called)
        };
        let stale = || since().filter(|sighting| is_fresh(sighting) == Some(false));
        let fresh = sightings
            .iter()
            .filter(|sighting| is_fresh(sighting) == Some(true));
        let first = fresh.map(|sighting| sighting.answered).min();
        let last = stale().map(|sighting| sighting.asked).max();
        let answered = sightings
            .iter()
            .filter(|sighting| sighting.seen != Seen::Nothing);
        let after = stale().filter(|sighting| sighting.asked > moments.receipt);
        Self {
            edge: edge.to_owned(),
            first_fresh_ms: first.map(|at| millis(moments.called, at)),
            last_stale_ms: last.map(|at| millis(moments.called, at)),
            stale_after_receipt: after.count() as u64,
            answers: answered.count() as u64,
            no_page: since()
                .filter(|sighting| is_fresh(sighting).is_none())
                .count() as u64,
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

impl Round {
    fn troubles(&self) -> Vec<(String, u64)> {
        let mut troubles = Vec::new();
        match self.status {
            200..300 => {}
            UNANSWERED => troubles.push(("a purge was not answered".to_owned(), 1)),
            status => troubles.push((format!("a purge was answered with {status}"), 1)),
        }
        for edge in &self.edges {
            let name = &edge.edge;
            if edge.first_fresh_ms.is_none() {
                troubles.push((format!("{name} did not serve the new page"), 1));
            }
            if edge.no_page > 0 {
                let trouble = format!("{name} served no page after a purge");
                troubles.push((trouble, edge.no_page));
            }
        }
        troubles
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

    /// Why rounds say less than they should, or nothing; each once, with how often.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = BTreeMap::<String, u64>::new();
        for round in &self.rounds {
            for (trouble, count) in round.troubles() {
                *troubles.entry(trouble).or_default() += count;
            }
        }
        let troubles = troubles.into_iter();
        let said = troubles.map(|(trouble, count)| format!("{trouble}: {count}"));
        said.collect()
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
    pub(crate) fn new(plan: &PurgePlan, caches: Vec<CacheReport>, ended: Option<Ended>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            path: plan.path.clone(),
            probes_per_second: plan.probes_per_second,
            ended,
            caches,
        }
    }

    /// Every purge was accepted, every edge served the new page and nothing else, and no round is missing.
    pub fn is_clean(&self) -> bool {
        let clean = |cache: &CacheReport| {
            let outlived = cache.stale_after_receipt > 0 || cache.rounds.is_empty();
            !outlived && cache.troubles().is_empty()
        };
        self.ended.is_none() && self.caches.iter().all(clean)
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
            for trouble in cache.troubles() {
                writeln!(f, "  {trouble}")?;
            }
        }
        if let Some(ended) = &self.ended {
            writeln!(f, "ENDED EARLY: {}", ended.why)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
