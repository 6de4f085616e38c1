//! When the certificates that clients are shown end. Their names are the operator's, and no stranger's.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use seawall_certs::Resolver;

/// Of more names those are told that end first.
const NAMES_TOLD_MAX: usize = 1_000;

/// Reads the keyring when somebody looks.
#[derive(Debug)]
pub struct Certificates(Arc<Resolver>);

impl Certificates {
    pub fn register(registry: &mut Registry, keyring: Arc<Resolver>) {
        registry.register_collector(Box::new(Self(keyring)));
    }

    /// Each name, and the second since 1970 at which its certificate ends; the first to end first.
    fn ends(&self) -> Vec<(i64, String)> {
        let seconds = |time: std::time::SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        };
        let keyring = self.0.keyring();
        let names = keyring.expires().map(|(name, at)| (seconds(at), name));
        let mut ends: Vec<_> = names.collect();
        ends.sort_unstable();
        ends.truncate(NAMES_TOLD_MAX);
        ends
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let behind = ConstGauge::new(i64::from(self.0.is_behind()));
        behind.encode(encoder.encode_descriptor(
            "certificates_behind",
            "1 while the newest certificates cannot be used, and those before are shown",
            None,
            behind.metric_type(),
        )?)?;
        let ends = self.ends();
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut family = encoder.encode_descriptor(
            "certificate_expiry_timestamp",
            "When the certificate for a name ends, in seconds since 1970",
            Some(&Unit::Seconds),
            kind,
        )?;
        for (end, name) in ends {
            ConstGauge::new(end).encode(family.encode_family(&[("name", name)])?)?;
        }
        Ok(())
    }
}
