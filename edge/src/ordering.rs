//! The method `PURGE`: a client purges a URL where it is served, as it does elsewhere. What it purges is passed on to a
//! control plane, which gives it its place in the order: so every edge purges it, this one among them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::StatusCode;
use http::header;
use seawall_config::Mode;
use seawall_config::feed::EdgePurge;

use crate::answer::{Answer, Journey};
use crate::edge::EdgeOptions;
use crate::feed::wire::Client;
use crate::rules::cache_status::Told;

/// Fastly's word for a soft purge.
const SOFT: &str = "fastly-soft-purge";
/// How long the client waits for the receipt; the purge goes on after that.
const WAIT: &str = "wait=complete&timeout=4s";
const RETRY_AFTER_S: u64 = 1;

/// Takes orders to whichever control plane answers.
pub struct Orders {
    edge: String,
    control_planes: Vec<String>,
    client: ArcSwap<Client>,
}

impl Orders {
    pub fn new(options: &EdgeOptions) -> Self {
        Self {
            edge: options.id.clone(),
            control_planes: options.control_planes.clone(),
            client: ArcSwap::from_pointee(Client::new(&options.credentials)),
        }
    }

    /// The receipt: 200 once it is complete, 202 if that takes longer.
    pub async fn purge(&self, journey: &Journey) -> Answer {
        let told = Told::generated("PURGE");
        let Some(order) = order(journey) else {
            return Answer::text(StatusCode::FORBIDDEN, told, "who asks is not known");
        };
        let order = serde_json::to_vec(&order).unwrap_or_default();
        let path = format!("/v1/edges/{}/purges?{WAIT}", self.edge);
        // One that was told may have done it though its answer was lost: a URL that is purged twice is purged.
        for plane in &self.control_planes {
            let client = self.client.load_full();
            match client.post(plane, &path, order.clone()).await {
                Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => {}
                Ok((status, body)) => {
                    let body = String::from_utf8_lossy(&body).into_owned();
                    return Answer::json(status, told, body);
                }
                Err(failure) => {
                    tracing::warn!(plane, %failure, "a PURGE was not taken");
                    self.client.store(Arc::new(client.anew()));
                }
            }
        }
        let why = "no control plane takes the purge";
        let mut answer = Answer::text(StatusCode::SERVICE_UNAVAILABLE, told, why);
        answer
            .head
            .own()
            .insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
        answer
    }
}

/// None: nobody knows who asks.
fn order(journey: &Journey) -> Option<EdgePurge> {
    let soft = journey.fields.get(SOFT).is_some_and(|says| says == "1");
    Some(EdgePurge {
        site: journey.served.name.to_string(),
        url: format!("{}{}", journey.key.host(), journey.key.target()),
        mode: if soft { Mode::Soft } else { Mode::Hard },
        from: journey.client?.ip(),
    })
}
