//! `/v1/feed` and `/v1/snapshot`: what edges follow, and where they begin when they cannot.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use seawall_config::{Revision, Token};
use serde::Deserialize;

use super::Query;
use super::problem::{self, Refusal};
use crate::plane::Plane;

/// Bytes of a beacon's id; ours have 32.
const BEACON_ID_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    after: Token,
    /// `<revision>-<id>` of the last beacon that the follower applied.
    beacon: Option<String>,
}

/// JSON documents, one a line, until one side ends it.
pub(super) async fn follow(
    State(plane): State<Arc<Plane>>,
    Query(from): Query<From>,
) -> Result<Response, Refusal> {
    let beacon = from.beacon.as_deref().map(beacon).transpose()?;
    let subscription = plane.subscribe(from.after, beacon).await?;
    let lines = stream::unfold(subscription, |mut subscription| async {
        let lines = subscription.next().await?;
        Some((lines, subscription))
    });
    Ok(answer("application/x-ndjson", Body::from_stream(lines)))
}

pub(super) async fn snapshot(State(plane): State<Arc<Plane>>) -> Result<Response, Refusal> {
    Ok(answer("application/json", Body::from(plane.snapshot()?)))
}

fn beacon(text: &str) -> Result<(Revision, &str), Refusal> {
    let beacon = text
        .split_once('-')
        .and_then(|(revision, id)| Some((Revision(revision.parse().ok()?), id)));
    let beacon = beacon.filter(|(_, id)| (1..=BEACON_ID_BYTES_MAX).contains(&id.len()));
    beacon.ok_or_else(|| problem::not_readable("beacon", "a beacon is named as <revision>-<id>"))
}

fn answer(content_type: &'static str, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}
