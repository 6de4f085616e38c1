//! `/v1/edges`: who is there; and the heartbeats of those who are.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::feed::{Heartbeat, Renewal};

use super::audit::Made;
use super::problem::Refusal;
use super::{BODY_BYTES_MAX, Segment, read_json};
use crate::plane::{EdgesStatus, Plane};

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
