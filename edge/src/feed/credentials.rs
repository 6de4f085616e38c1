//! What an edge shows its control planes: its certificate, a token, or nothing on its own machine.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use rustls::ClientConfig;
use seawall_certs::{Peers, peers};

/// Who an edge is, to its control planes. Copies share what they show, so that it can be exchanged for all of them.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Its certificate, and whom it trusts: for `https`.
    peers: Option<Arc<Peers>>,
    /// `Bearer` and the token; marked so that it is printed nowhere.
    token: Arc<ArcSwapOption<HeaderValue>>,
}

impl Credentials {
    pub fn new(peers: Option<Arc<Peers>>) -> Self {
        Self {
            peers,
            token: Arc::default(),
        }
    }

    /// From now on. Err: the token holds what no header can carry, and the one before stays.
    pub fn set_token(&self, token: &str) -> Result<(), InvalidHeaderValue> {
        let mut token = HeaderValue::try_from(format!("Bearer {token}"))?;
        token.set_sensitive(true);
        self.token.store(Some(Arc::new(token)));
        Ok(())
    }

    /// Without certificates nobody is trusted, so only `http` is spoken.
    pub(super) fn tls(&self) -> ClientConfig {
        match &self.peers {
            Some(peers) => (*peers.client()).clone(),
            None => peers::client_trusting_nobody(),
        }
    }

    /// For `Authorization`.
    pub(super) fn token(&self) -> Option<HeaderValue> {
        self.token.load().as_deref().cloned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_token_is_exchanged_for_all_and_printed_nowhere() {
        let credentials = Credentials::default();
        let copy = credentials.clone();
        assert_eq!(copy.token(), None);
        credentials.set_token("secret").unwrap();
        assert_eq!(copy.token().unwrap(), "Bearer secret");
        credentials.set_token("bad\n").unwrap_err();
        assert_eq!(copy.token().unwrap(), "Bearer secret");
        assert!(!format!("{copy:?}").contains("secret"), "{copy:?}");
    }
}
