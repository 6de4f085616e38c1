//! What a plane counts. The names have no prefix here: the registry that they go into has it.

use std::iter;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use seawall_config::Mode;
use seawall_config::feed::EdgeState;

/// Seconds: from a fleet in one room to one that waits for a fence.
const COMPLETE_BUCKETS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

#[derive(Debug)]
pub(crate) struct Metrics {
    purges: Family<ModeLabel, Counter>,
    complete: Histogram,
    sites: Gauge,
    edges: Family<StateLabel, Gauge>,
    edges_with_problems: Gauge,
    pub(crate) edges_refused: Counter,
    beacon_age: Gauge<f64, AtomicU64>,
    pub(crate) revision: Gauge,
    pub(crate) store_writes: Counter,
    pub(crate) feed_subscribers: Gauge,
    reconciles: Counter,
    differences: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            purges: Family::default(),
            complete: Histogram::new(COMPLETE_BUCKETS),
            sites: Gauge::default(),
            edges: Family::default(),
            edges_with_problems: Gauge::default(),
            edges_refused: Counter::default(),
            beacon_age: Gauge::default(),
            revision: Gauge::default(),
            store_writes: Counter::default(),
            feed_subscribers: Gauge::default(),
            reconciles: Counter::default(),
            differences: Counter::default(),
        };
        registry.register(
            "purges",
            "Purges accepted by this plane",
            metrics.purges.clone(),
        );
        registry.register_with_unit(
            "purge_complete",
            "From the acceptance of an awaited purge until it was complete",
            Unit::Seconds,
            metrics.complete.clone(),
        );
        registry.register("sites", "Sites in the store", metrics.sites.clone());
        registry.register(
            "edges",
            "Registered edges, by their state",
            metrics.edges.clone(),
        );
        let help = "Registered edges that have problems";
        registry.register(
            "edges_with_problems",
            help,
            metrics.edges_with_problems.clone(),
        );
        let help = "Heartbeats refused because another machine holds the edge's id";
        registry.register("edges_refused", help, metrics.edges_refused.clone());
        registry.register_with_unit(
            "store_beacon_age",
            "Since this plane saw the store's newest beacon; one is written each second",
            Unit::Seconds,
            metrics.beacon_age.clone(),
        );
        let help = "The revision of the store that this plane has followed to";
        registry.register("revision", help, metrics.revision.clone());
        let help = "Transactions that the store answered";
        registry.register("store_writes", help, metrics.store_writes.clone());
        let help = "Followers of the feed";
        registry.register("feed_subscribers", help, metrics.feed_subscribers.clone());
        let help = "Comparisons of what this plane knows with what the store holds";
        registry.register("store_reconciles", help, metrics.reconciles.clone());
        let help = "Keys that the store's log had left out, found by such a comparison";
        registry.register(
            "store_reconcile_differences",
            help,
            metrics.differences.clone(),
        );
        metrics.count(0, iter::empty());
        metrics
    }

    pub(crate) fn purged(&self, mode: Mode) {
        let mode = match mode {
            Mode::Hard => "hard",
            Mode::Soft => "soft",
        };
        self.purges.get_or_create(&ModeLabel { mode }).inc();
    }

    pub(crate) fn reconciled(&self, differences: usize) {
        self.reconciles.inc();
        self.differences.inc_by(differences as u64);
    }

    pub(crate) fn completed(&self, ms: u64) {
        self.complete.observe(ms as f64 / 1_000.0);
    }

    pub(crate) fn beacon_is_old(&self, ms: u64) {
        self.beacon_age.set(ms as f64 / 1_000.0);
    }

    /// How many sites, and the state of each edge, and whether it has problems.
    pub(crate) fn count(&self, sites: usize, edges: impl Iterator<Item = (EdgeState, bool)>) {
        self.sites.set(i64::try_from(sites).unwrap_or(i64::MAX));
        let (mut live, mut lkg, mut fenced, mut with_problems) = (0, 0, 0, 0);
        for (state, has_problems) in edges {
            with_problems += i64::from(has_problems);
            match state {
                EdgeState::Live => live += 1,
                EdgeState::Lkg => lkg += 1,
                EdgeState::Fenced => fenced += 1,
            }
        }
        for (state, count) in [("live", live), ("lkg", lkg), ("fenced", fenced)] {
            self.edges.get_or_create(&StateLabel { state }).set(count);
        }
        self.edges_with_problems.set(with_problems);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn every_metric_is_there_from_the_start_under_the_name_people_graph() {
        let mut registry = Registry::with_prefix("seawall");
        let metrics = Metrics::register(&mut registry);
        metrics.purged(Mode::Soft);
        metrics.completed(30);
        metrics.count(
            2,
            [
                (EdgeState::Live, false),
                (EdgeState::Live, true),
                (EdgeState::Fenced, false),
            ]
            .into_iter(),
        );
        metrics.beacon_is_old(1_500);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "seawall_purges_total{mode=\"soft\"} 1",
            "seawall_purge_complete_seconds_bucket{le=\"0.05\"} 1",
            "seawall_sites 2",
            "seawall_edges{state=\"live\"} 2",
            "seawall_edges{state=\"lkg\"} 0",
            "seawall_edges{state=\"fenced\"} 1",
            "seawall_edges_with_problems 1",
            "seawall_edges_refused_total 0",
            "seawall_store_beacon_age_seconds 1.5",
            "seawall_revision 0",
            "seawall_store_writes_total 0",
            "seawall_feed_subscribers 0",
            "seawall_store_reconciles_total 0",
            "seawall_store_reconcile_differences_total 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
