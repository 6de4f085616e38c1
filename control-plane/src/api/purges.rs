//! `/v1/purges`: a purge, and its receipt.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use seawall_config::scope::PurgeRequest;
use seawall_config::{Revision, Site};
use serde::Deserialize;

use super::access::{Denied, Who, may_purge};
use super::audit::Made;
use super::problem::{self, Refusal};
use super::{BODY_BYTES_MAX, Query, Segment, read_json};
use crate::plane::{Plane, PlaneError, PurgeReceipt, PurgeState, Wait};

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    wait: Option<String>,
    timeout: Option<String>,
}

/// 200 only when it is complete.
pub(super) async fn create(
    State(plane): State<Arc<Plane>>,
    Extension(who): Extension<Who>,
    Query(waiting): Query<Waiting>,
    body: Body,
) -> Result<Response, Refusal> {
    let wait = waiting.checked()?;
    let request: PurgeRequest = read_json(body, BODY_BYTES_MAX).await?;
    if let Some(limit) = who.limit() {
        check_limit(&plane, limit, &request)?;
    }
    let receipt = plane.purge(&request, wait).await?;
    let status = match (wait, receipt.state) {
        (Wait::Complete(_), PurgeState::Complete) => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    };
    let location = [(LOCATION, format!("/v1/purges/{}", receipt.revision))];
    let made = Extension(Made::at(receipt.revision).what(&request));
    Ok((status, location, made, Json(receipt)).into_response())
}

/// For a token that is limited to some sites.
fn check_limit(plane: &Plane, limit: &[String], request: &PurgeRequest) -> Result<(), Refusal> {
    let scopes = request.check().map_err(PlaneError::from)?;
    let documents = limit.iter().filter_map(|site| plane.get_site(site).ok());
    let sites = documents.filter_map(|site| Site::from_document(&site.document.site).ok());
    match may_purge(&scopes, &sites.collect::<Vec<_>>()) {
        Err(Denied::Forbidden(why)) => Err(problem::forbidden(why)),
        _ => Ok(()),
    }
}

pub(super) async fn read(
    State(plane): State<Arc<Plane>>,
    Segment(revision): Segment<Revision>,
) -> Result<Json<PurgeReceipt>, Refusal> {
    Ok(Json(plane.receipt(revision).await?))
}

impl Waiting {
    fn checked(&self) -> Result<Wait, Refusal> {
        let timeout = self.timeout.as_deref().map(timeout).transpose();
        let timeout = timeout.map_err(|message| problem::not_readable("timeout", &message))?;
        match self.wait.as_deref() {
            None | Some("accepted") => Ok(Wait::Accepted),
            Some("complete") => Ok(Wait::Complete(timeout.unwrap_or(TIMEOUT_DEFAULT))),
            Some(other) => {
                let message = format!("{other:?} is neither accepted nor complete");
                Err(problem::not_readable("wait", &message))
            }
        }
    }
}

/// `500ms`, `5s` or `1m`.
fn timeout(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let timeout = number
        .parse()
        .ok()
        .zip(ms)
        .and_then(|(number, ms): (u64, _)| number.checked_mul(ms));
    let timeout = timeout.map(Duration::from_millis);
    let timeout =
        timeout.ok_or_else(|| format!("{text:?} is not a time; write it as 500ms, 5s or 1m"))?;
    match timeout > TIMEOUT_MAX {
        true => Err(format!(
            "at most {TIMEOUT_MAX:?}; the purge goes on after that, and its receipt can be read"
        )),
        false => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_a_unit_and_a_bound() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(
                timeout(text).ok(),
                expect.map(Duration::from_millis),
                "{text:?}"
            );
        };
        check("5s", Some(5_000));
        check("0ms", Some(0));
        check("1m", Some(60_000));
        check("61s", None);
        check("5", None);
        check("s", None);
        check("-5s", None);
        check("1.5s", None);
        check("5 s", None);
        check("99999999999999999999s", None);
        check("18446744073709551615m", None);
    }
}
