//! Purges in the shapes that other CDNs made a habit: a plug-in that purges there purges here, once its base URL and its
//! token are ours. What they call a service or a zone is a site, by its name.
//!
//! Answers come when the purge has its place in the order, as theirs do; `?wait=complete` works here, too.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::scope::PurgeRequest;
use serde::Serialize;

use super::access::Who;
use super::audit::Made;
use super::problem::Refusal;
use super::purges::{check_limit, status};
use crate::plane::{Plane, Wait};

pub(super) mod cloudflare;
pub(super) mod fastly;

/// A purge that is under way.
struct Purged {
    status: StatusCode,
    made: Made,
    /// Which one it is, as they give each an id.
    id: String,
}

impl Purged {
    fn answer(self, body: impl Serialize) -> Response {
        (self.status, Extension(self.made), Json(body)).into_response()
    }
}

/// `site`: must exist, where one was named.
async fn purge(
    plane: &Arc<Plane>,
    who: &Who,
    site: Option<&str>,
    request: &PurgeRequest,
    wait: Wait,
) -> Result<Purged, Refusal> {
    if let Some(site) = site {
        plane.get_site(site)?;
    }
    check_limit(plane, who, request)?;
    let receipt = plane.purge(request, None, wait).await?;
    let made = Made::at(receipt.revision).what(request);
    // They know no 202.
    let status = match wait {
        Wait::Accepted => StatusCode::OK,
        Wait::Complete(_) => status(wait, &receipt),
    };
    let id = receipt.token.to_string();
    Ok(Purged { status, made, id })
}
