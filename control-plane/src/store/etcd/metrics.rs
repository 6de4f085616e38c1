//! What the store on etcd counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// A watch that ended, and was begun again where it had stopped.
    pub(super) reconnects: Counter,
    /// A watch that said nothing although there was something to say.
    pub(super) silent: Counter,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Watches of etcd that were begun again where they had stopped";
        registry.register("etcd_watch_restarts", help, metrics.reconnects.clone());
        let help = "Watches of etcd that fell silent without an error, and were left";
        registry.register("etcd_watch_silences", help, metrics.silent.clone());
        metrics
    }
}
