//! What an edge shows its control planes: its certificate, a token, or nothing on its own machine.

use std::sync::Arc;

use http::HeaderValue;
use http::header::InvalidHeaderValue;
use rustls::ClientConfig;
use seawall_certs::{Peers, peers};

/// Who an edge is, to its control planes.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Its certificate, and whom it trusts: for `https`.
    peers: Option<Arc<Peers>>,
    /// `Bearer` and the token; marked so that it is printed nowhere.
    token: Option<HeaderValue>,
}

impl Credentials {
    /// Err: the token holds what no header can carry.
    pub fn new(peers: Option<Arc<Peers>>, token: Option<&str>) -> Result<Self, InvalidHeaderValue> {
        let token = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        let mut token = token.transpose()?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        Ok(Self { peers, token })
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
        self.token.clone()
    }
}
