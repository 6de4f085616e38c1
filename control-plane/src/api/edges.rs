//! `/v1/edges`: who is there; the heartbeats of those who are, and what their clients purge there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::Site;
use seawall_config::feed::{EdgePurge, Heartbeat, Renewal};
use seawall_config::scope::{PurgeRequest, Scope};

use super::audit::Made;
use super::problem::{self, Refusal};
use super::purges::{Waiting, status};
use super::{BODY_BYTES_MAX, Query, Segment, read_json};
use crate::plane::{EdgesStatus, Plane, PlaneError};

pub(super) async fn list(State(plane): State<Arc<Plane>>) -> Json<EdgesStatus> {
    Json(plane.edges())
}

pub(super) async fn remove(
    State(plane): State<Arc<Plane>>,
    Segment(id): Segment<String>,
) -> Result<Response, Refusal> {
    let revision = plane.deregister(&id).await?;
    Ok((StatusCode::NO_CONTENT, Extension(Made::at(revision))).into_response())
}

pub(super) async fn heartbeat(
    State(plane): State<Arc<Plane>>,
    Segment(id): Segment<String>,
    body: Body,
) -> Result<Json<Renewal>, Refusal> {
    let heartbeat: Heartbeat = read_json(body, BODY_BYTES_MAX).await?;
    Ok(Json(plane.heartbeat(&id, heartbeat).await?))
}

/// One URL, ordered by the method `PURGE`. The edge has looked who the client is; whether the site lets anybody is looked
/// at here, too: an edge that was taken over purges nothing else.
pub(super) async fn purge(
    State(plane): State<Arc<Plane>>,
    Segment(_): Segment<String>,
    Query(waiting): Query<Waiting>,
    body: Body,
) -> Result<Response, Refusal> {
    let wait = waiting.checked()?;
    let order: EdgePurge = read_json(body, BODY_BYTES_MAX).await?;
    let document = plane.get_site(&order.site)?.document;
    let site = Site::from_document(&document.site).map_err(PlaneError::from)?;
    let request = PurgeRequest {
        urls: vec![order.url.clone()],
        mode: order.mode,
        ..PurgeRequest::default()
    };
    let scopes = request.check().map_err(PlaneError::from)?.scopes;
    if !scopes
        .iter()
        .all(|scope| may_be_purged_at_edges(&site, scope))
    {
        let why = format!(
            "site {}: purge_from lets nobody purge {}",
            site.name, order.url
        );
        return Err(problem::forbidden(why));
    }
    let receipt = plane.purge(&request, None, wait).await?;
    let made = Made::at(receipt.revision).what(&order);
    Ok((status(wait, &receipt), Extension(made), Json(receipt)).into_response())
}

fn may_be_purged_at_edges(site: &Site, scope: &Scope) -> bool {
    let Scope::Url(target) = scope else {
        return false;
    };
    let port = target
        .host
        .rfind(':')
        .filter(|_| !target.host.ends_with(']'));
    let host = target.host.get(..port.unwrap_or(target.host.len()));
    let is_its_own = |host| site.hosts.iter().any(|pattern| pattern.covers(host));
    !site.purge_from.is_empty() && host.is_some_and(is_its_own)
}
