//! `/v1/purges`: a purge, and its receipt.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::stream;
use seawall_config::scope::PurgeRequest;
use seawall_config::{Revision, Site};
use serde::Deserialize;

use super::access::{Denied, Who, hash_of, may_purge};
use super::audit::Made;
use super::problem::{self, Refusal};
use super::{BODY_BYTES_MAX, Query, Segment, members, read_json};
use crate::clock::millis;
use crate::plane::{Plane, PlaneError, PurgeReceipt, PurgeState, Wait};

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// How long events of one purge are sent.
const EVENTS_MAX: Duration = Duration::from_secs(10 * 60);
const EVENT_STREAM: &str = "text/event-stream";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const KEY_CHARS_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    wait: Option<String>,
    timeout: Option<String>,
}

pub(super) async fn create(
    State(plane): State<Arc<Plane>>,
    Extension(who): Extension<Who>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let wait = waiting.checked()?;
    let id = idempotency_id(&who, &headers)?;
    let request: PurgeRequest = read_json(body, BODY_BYTES_MAX).await?;
    check_limit(&plane, &who, &request)?;
    let receipt = plane.purge(&request, id, wait).await?;
    let made = Made::at(receipt.revision).what(&request);
    let location = [(LOCATION, format!("/v1/purges/{}", receipt.revision))];
    let status = status(wait, &receipt);
    Ok((status, location, Extension(made), Json(receipt)).into_response())
}

/// 200 only when it is complete.
pub(super) fn status(wait: Wait, receipt: &PurgeReceipt) -> StatusCode {
    match (wait, receipt.state) {
        (Wait::Complete(_), PurgeState::Complete) => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    }
}

/// draft-ietf-httpapi-idempotency-key-header: a string that the client makes up, its own for each request that is not
/// one it sends again. What one caller sends says nothing of another's.
pub(super) fn idempotency_id(who: &Who, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (line, more) = (lines.next(), lines.next());
    let Some(line) = line else {
        return Ok(None);
    };
    let key = line.to_str().ok().map(|text| text.trim_matches('"'));
    let fine = |key: &&str| (1..=KEY_CHARS_MAX).contains(&key.len());
    let Some(key) = key.filter(fine).filter(|_| more.is_none()) else {
        let message = format!("one string of 1 to {KEY_CHARS_MAX} visible characters");
        return Err(problem::not_readable("Idempotency-Key", &message));
    };
    let hash = hash_of(&format!("{}\n{key}", who.name()));
    Ok(Some(
        hash.iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}

/// Whether a token that is limited to some sites may purge this.
pub(super) fn check_limit(plane: &Plane, who: &Who, request: &PurgeRequest) -> Result<(), Refusal> {
    let Some(limit) = who.limit() else {
        return Ok(());
    };
    let scopes = request.check().map_err(PlaneError::from)?.scopes;
    let documents = limit.iter().filter_map(|site| plane.get_site(site).ok());
    let sites = documents.filter_map(|site| Site::from_document(&site.document.site).ok());
    match may_purge(&scopes, &sites.collect::<Vec<_>>()) {
        Err(Denied::Forbidden(why)) => Err(problem::forbidden(why)),
        _ => Ok(()),
    }
}

/// The receipt as it is; or, for who asks for events, each time it changes until nothing more is awaited.
pub(super) async fn read(
    State(plane): State<Arc<Plane>>,
    Segment(revision): Segment<Revision>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let receipt = plane.receipt(revision).await?;
    let wants_events = members(&headers, "accept").any(|it| it.starts_with(EVENT_STREAM));
    Ok(match wants_events {
        true => events(plane, receipt).into_response(),
        false => Json(receipt).into_response(),
    })
}

/// `text/event-stream` (WHATWG HTML §9.2): each receipt is an event of that name. It ends with the one in which every
/// edge has also counted, or after [`EVENTS_MAX`].
fn events(plane: Arc<Plane>, first: PurgeReceipt) -> impl IntoResponse {
    let ends_ms = plane.clock().now_ms().saturating_add(millis(EVENTS_MAX));
    let receipts = stream::unfold(
        (plane, None, Some(first)),
        move |(plane, last, next)| async move {
            let receipt = match (next, last) {
                (Some(first), _) => first,
                (None, Some(last)) if PurgeReceipt::is_settled(&last) => return None,
                (None, Some(last)) => {
                    let receipt = plane.next_receipt(&last, ends_ms).await.ok()?;
                    (receipt != last).then_some(receipt)?
                }
                (None, None) => return None,
            };
            let event = Event::default().event("receipt").json_data(&receipt);
            Some((event, (plane, Some(receipt), None)))
        },
    );
    Sse::new(receipts).keep_alive(KeepAlive::default())
}

impl Waiting {
    pub(super) fn checked(&self) -> Result<Wait, Refusal> {
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
