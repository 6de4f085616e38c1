//! Compressing bodies on their way to clients.
//!
//! The cache stores what the origin sent. What arrives is encoded while it passes ([`stream`]); what is stored is
//! encoded once for each coding and kept beside it ([`kept`]), unless it is large: then it is encoded each time.
//! [`encoder`] knows the codings. How many are at work at once is bounded; past it bodies go out as they came.

use std::sync::Arc;

use seawall_config::site::ContentCoding;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use encoder::Encoder;

mod encoder;
pub mod kept;
pub mod stream;

/// Bodies encoded at once while they are sent. Each takes up to 4 MiB, most less than one.
const STREAMS_MAX: usize = 32;
/// Bodies encoded at once to be kept: each keeps a whole core busy.
const KEPT_AT_ONCE_MAX: usize = 4;

/// How many bodies may still be encoded at once.
#[derive(Debug)]
pub struct Encoders {
    streams: Arc<Semaphore>,
    kept: Arc<Semaphore>,
}

impl Default for Encoders {
    fn default() -> Self {
        Self {
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            kept: Arc::new(Semaphore::new(KEPT_AT_ONCE_MAX)),
        }
    }
}

/// An encoder for one body that is sent.
pub struct Lent {
    encoder: Encoder,
    _permit: OwnedSemaphorePermit,
}

impl Encoders {
    /// None where too many bodies are being encoded already.
    pub fn lend(&self, coding: ContentCoding) -> Option<Lent> {
        let permit = self.streams.clone().try_acquire_owned().ok()?;
        let encoder = Encoder::new(coding).ok()?;
        Some(Lent {
            encoder,
            _permit: permit,
        })
    }

    /// The same for one that is kept.
    fn to_keep(&self) -> Option<OwnedSemaphorePermit> {
        self.kept.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_lent_at_once_and_no_more() {
        let encoders = Encoders::default();
        let lend = || encoders.lend(ContentCoding::Gzip);
        let mut lent: Vec<_> = (0..STREAMS_MAX).map(|_| lend()).collect();
        assert!(lent.iter().all(Option::is_some) && lend().is_none());
        lent.pop();
        assert!(lend().is_some());
    }
}
