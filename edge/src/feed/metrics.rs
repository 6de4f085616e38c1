//! What following is measured by.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::snapshot::Snapshot;

/// What following is measured by.
#[derive(Clone, Debug, Default)]
pub struct FeedMetrics {
    config_revision: Gauge,
    pub feed_lag: Gauge<f64, AtomicU64>,
    pub feed_reconnects: Counter,
    pub feed_snapshots: Counter,
    problems: Gauge,
    pub config_rejected: Gauge,
    pub sites_built: Counter,
    pub snapshot_unsaved: Gauge,
    pub snapshot_passed_over: Gauge,
}

impl FeedMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = metrics.clone();
        registry.register(
            "config_revision",
            "The revision this edge serves from",
            m.config_revision,
        );
        registry.register_with_unit(
            "feed_lag",
            "How late the newest beacon was; while there is no feed, how old it is",
            Unit::Seconds,
            m.feed_lag,
        );
        registry.register(
            "feed_reconnects",
            "How often the feed was opened again",
            m.feed_reconnects,
        );
        registry.register(
            "feed_snapshots",
            "How often everything was taken anew because the feed could not be continued",
            m.feed_snapshots,
        );
        registry.register(
            "problems",
            "What this edge reports as wrong: with its sites, the feed, its disk",
            m.problems,
        );
        registry.register(
            "config_rejected",
            "Sites with something wrong with them at this edge",
            m.config_rejected,
        );
        registry.register(
            "sites_built",
            "How often a site was built; one that says what it said before is not",
            m.sites_built,
        );
        registry.register(
            "snapshot_unsaved",
            "1 while the last-known-good snapshot cannot be kept on disk",
            m.snapshot_unsaved,
        );
        registry.register(
            "snapshot_passed_over",
            "Generations of the snapshot on disk that could not be used when the edge started",
            m.snapshot_passed_over,
        );
        metrics
    }

    /// At this revision, with so much to report as wrong.
    pub fn stands_at(&self, revision: u64, problems: usize) {
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        self.config_revision.set(revision);
        let problems = i64::try_from(problems).unwrap_or(i64::MAX);
        self.problems.set(problems);
    }

    /// What it serves from now.
    pub fn sites(&self, snapshot: &Snapshot) {
        let built = &self.sites_built;
        built.inc_by(snapshot.sites.built.saturating_sub(built.get()));
        let sites: HashSet<_> = snapshot
            .problems()
            .iter()
            .filter_map(|problem| problem.path.split(':').next())
            .collect();
        self.config_rejected
            .set(i64::try_from(sites.len()).unwrap_or(i64::MAX));
    }
}
