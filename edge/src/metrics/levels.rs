//! What is read from the state when somebody looks, rather than kept up to date.

use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::origin::TurnedAway;
use crate::state::State;

#[derive(Debug)]
pub struct Levels(Weak<State>);

impl Levels {
    pub fn register(registry: &mut Registry, state: &Arc<State>) {
        registry.register_collector(Box::new(Self(Arc::downgrade(state))));
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("edge", &self.pseudonym.node)
            .finish_non_exhaustive()
    }
}

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(state) = self.0.upgrade() else {
            return Ok(());
        };
        let (objects, bytes) = state.storage.size();
        let ledger = state.ledger.read(|ledger| ledger.len()) as u64;
        let gauges = [
            ("cache_objects", "URLs stored", None, objects),
            (
                "cache",
                "Bytes stored, with their bookkeeping",
                Some(&Unit::Bytes),
                bytes,
            ),
            (
                "ledger_entries",
                "Scopes the ledger remembers purges of",
                None,
                ledger,
            ),
            (
                "vouching",
                "1 while this edge may vouch for its objects",
                None,
                u64::from(state.vouches()),
            ),
            (
                "origins_troubled",
                "Servers of origins that are not in order, seen from here",
                None,
                state.troubled_origins().len() as u64,
            ),
        ];
        for (name, help, unit, value) in gauges {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)?;
        }
        let evictions = ConstCounter::new(state.storage.evictions());
        evictions.encode(encoder.encode_descriptor(
            "evictions",
            "URLs taken away to make room",
            None,
            evictions.metric_type(),
        )?)?;
        let snapshot = state.snapshot.load();
        let served = snapshot.sites.served.iter();
        let pools: Vec<_> = served
            .map(|(site, served)| (site, served.pool.turned_away()))
            .collect();
        let by_site = |of: fn(&TurnedAway) -> u64| {
            let counts = pools
                .iter()
                .map(move |(site, counted)| (*site, of(counted)));
            counts.filter(|(_, count)| *count > 0)
        };
        let (name, help) = (
            "origin_ejections",
            "Times a server of an origin was ejected",
        );
        counters(&mut encoder, name, help, by_site(|it| it.ejections))?;
        let (name, help) = ("origin_breaker_openings", "Times a breaker opened");
        counters(&mut encoder, name, help, by_site(|it| it.breaker_openings))
    }
}

/// One for each site of which there is something to count.
fn counters<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
) -> Result<(), std::fmt::Error> {
    let kind = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (site, count) in counts {
        ConstCounter::new(count).encode(family.encode_family(&[("site", site)])?)?;
    }
    Ok(())
}
