//! What an edge counts. Names and units follow Prometheus; nothing a stranger chooses is ever a label.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use seawall_config::feed;
use seawall_config::site::ContentCoding;

use crate::rules::cache_status::Fwd;
use crate::snapshot::Served;

pub mod certificates;
pub mod levels;
mod meters;
mod sharded;

use meters::Meter;
pub use meters::{Counted, Meters};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    site: String,
    cache: &'static str,
    code_class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByteLabels {
    site: String,
    cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    site: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabel {
    cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodingLabel {
    coding: &'static str,
}

#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, sharded::Counter>,
    response_bytes: Family<ByteLabels, sharded::Counter>,
    ttfb: Family<CacheLabel, sharded::Histogram>,
    origin_requests: Family<FetchLabels, Counter>,
    origin_ttfb: sharded::Histogram,
    origin_bytes: Counter,
    origin_retries: Counter,
    collapsed: Counter,
    encoded: Family<CodingLabel, Counter>,
    encoding_skipped: Counter,
    purge_objects: Counter,
    purges_uncounted: Counter,
    tags_cut: Counter,
    heartbeats_refused: Counter,
    log_lines_dropped: Counter,
    connections: Gauge,
    connections_refused: Counter,
}

/// One that is open, until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            response_bytes: Family::default(),
            ttfb: Family::default(),
            origin_requests: Family::default(),
            origin_ttfb: sharded::Histogram::default(),
            origin_bytes: Counter::default(),
            origin_retries: Counter::default(),
            collapsed: Counter::default(),
            encoded: Family::default(),
            encoding_skipped: Counter::default(),
            purge_objects: Counter::default(),
            purges_uncounted: Counter::default(),
            tags_cut: Counter::default(),
            heartbeats_refused: Counter::default(),
            log_lines_dropped: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
        };
        let m = metrics.clone();
        registry.register("requests", "Requests answered", m.requests);
        registry.register_with_unit(
            "response",
            "Body bytes sent to clients",
            Unit::Bytes,
            m.response_bytes,
        );
        registry.register_with_unit(
            "ttfb",
            "From a request's head to the first byte of its answer",
            Unit::Seconds,
            m.ttfb,
        );
        registry.register(
            "origin_requests",
            "Fetches begun, by the reason for going forward",
            m.origin_requests,
        );
        registry.register_with_unit(
            "origin_ttfb",
            "From asking an origin to the head of its answer",
            Unit::Seconds,
            m.origin_ttfb,
        );
        registry.register_with_unit(
            "origin_response",
            "Body bytes received from origins",
            Unit::Bytes,
            m.origin_bytes,
        );
        registry.register(
            "encoded",
            "Answers compressed here, by content coding",
            m.encoded,
        );
        registry.register(
            "connections",
            "Connections of clients that are open",
            m.connections,
        );
        for (name, help, counter) in metrics.counters() {
            registry.register(name, help, counter);
        }
        metrics
    }

    /// Those without labels.
    fn counters(&self) -> [(&'static str, &'static str, Counter); 9] {
        [
            (
                "origin_retries",
                "Second tries of requests that got no byte of an answer",
                self.origin_retries.clone(),
            ),
            (
                "collapsed",
                "Requests that waited for another's fetch",
                self.collapsed.clone(),
            ),
            (
                "encoding_skipped",
                "Answers sent as they were because too much was being compressed",
                self.encoding_skipped.clone(),
            ),
            (
                "purge_objects",
                "Objects matched by purges",
                self.purge_objects.clone(),
            ),
            (
                "purges_uncounted",
                "Purges whose objects were not counted because too many waited",
                self.purges_uncounted.clone(),
            ),
            (
                "tags_cut",
                "Responses with more tags than are kept",
                self.tags_cut.clone(),
            ),
            (
                "heartbeats_refused",
                "Heartbeats refused because another machine holds this edge's id",
                self.heartbeats_refused.clone(),
            ),
            (
                "access_log_dropped",
                "Access log lines dropped because the writer was behind",
                self.log_lines_dropped.clone(),
            ),
            (
                "connections_refused",
                "Connections of clients that had too many already",
                self.connections_refused.clone(),
            ),
        ]
    }

    /// `served`: the site whose request it was, where it was one's.
    pub fn request(&self, served: Option<&Served>, counted: &Counted) {
        let found = served.and_then(|served| served.meters.of(self, &served.name, counted));
        match found {
            Some(meter) => meter.count(counted),
            None => self.meter("", counted).count(counted),
        }
    }

    fn meter(&self, site: &str, counted: &Counted) -> Meter {
        let Counted { cache, status, .. } = *counted;
        let site = site.to_owned();
        let by_bytes = ByteLabels {
            site: site.clone(),
            cache,
        };
        let by_class = RequestLabels {
            site,
            cache,
            code_class: meters::code_class(status),
        };
        Meter {
            requests: self.requests.get_or_create_owned(&by_class),
            bytes: self.response_bytes.get_or_create_owned(&by_bytes),
            ttfb: self.ttfb.get_or_create_owned(&CacheLabel { cache }),
        }
    }

    pub fn fetch(&self, site: &str, why: Fwd) {
        let labels = FetchLabels {
            site: site.to_owned(),
            reason: why.as_str(),
        };
        self.origin_requests.get_or_create(&labels).inc();
    }

    pub fn origin_retried(&self) {
        self.origin_retries.inc();
    }

    pub fn origin_ttfb(&self, took: Duration) {
        self.origin_ttfb.observe(took);
    }

    pub fn origin_bytes(&self, bytes: u64) {
        self.origin_bytes.inc_by(bytes);
    }

    pub fn collapsed(&self) {
        self.collapsed.inc();
    }

    pub fn encoded(&self, coding: ContentCoding) {
        let coding = coding.as_str();
        self.encoded.get_or_create(&CodingLabel { coding }).inc();
    }

    pub fn encoding_skipped(&self) {
        self.encoding_skipped.inc();
    }

    pub fn purged(&self, counted: &[feed::Counted]) {
        self.purge_objects
            .inc_by(counted.iter().map(|counted| counted.objects).sum());
    }

    pub fn uncounted(&self, uncounted: bool) {
        self.purges_uncounted.inc_by(u64::from(uncounted));
    }

    pub fn tags_cut(&self, cut: bool) {
        self.tags_cut.inc_by(u64::from(cut));
    }

    pub fn heartbeat_refused(&self) {
        self.heartbeats_refused.inc();
    }

    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub fn log_line_dropped(&self) {
        self.log_lines_dropped.inc();
    }
}
