//! `/v1/origins`: the servers behind the sites: who sees them in trouble, and who gets no requests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use seawall_config::Revision;
use serde::{Deserialize, Serialize};

use super::audit::Made;
use super::problem::Refusal;
use super::{BODY_BYTES_MAX, Query, Segment, read_json};
use crate::plane::{OriginsStatus, Plane};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    site: Option<String>,
}

/// What a server is to be.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    server: String,
    drained: bool,
}

#[derive(Serialize)]
pub(super) struct Done {
    revision: Revision,
    #[serde(flatten)]
    order: Order,
}

pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    Query(wanted): Query<Wanted>,
) -> Json<OriginsStatus> {
    Json(plane.origins(wanted.site.as_deref()))
}

pub(super) async fn drain(
    State(plane): State<Arc<Plane>>,
    Segment(site): Segment<String>,
    body: Body,
) -> Result<(Extension<Made>, Json<Done>), Refusal> {
    let order: Order = read_json(body, BODY_BYTES_MAX).await?;
    let revision = plane.drain(&site, &order.server, order.drained).await?;
    let made = Made::at(revision).what(&order);
    Ok((Extension(made), Json(Done { revision, order })))
}
