//! RFC 9457 problems: what each error of the plane, and of HTTP itself, is called on the wire.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use seawall_config::{Problem, Revision, Scope};
use serde::Serialize;

use crate::PlaneError;

/// A request was not carried out.
#[derive(Debug)]
pub(super) struct Refusal(Box<Document>);

/// What is sent.
#[derive(Debug, Serialize)]
struct Document {
    /// One word, stable: what a program looks at.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    /// `outcome-unknown`: what to look for.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `condition-failed`: the entity tag of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl Refusal {
    /// For who has another shape for errors: the status, and all of what is wrong.
    pub(super) fn told(&self) -> (StatusCode, String) {
        let problems = self.0.problems.iter().map(ToString::to_string);
        let told: Vec<_> = [self.0.detail.clone()]
            .into_iter()
            .chain(problems)
            .collect();
        (self.0.status, told.join("; "))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (self.0.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.0.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // RFC 6750 §3.
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"seawall\""),
                );
            }
            _ => {}
        }
        response
    }
}

impl From<PlaneError> for Refusal {
    fn from(error: PlaneError) -> Self {
        let (status, kind, title) = match &error {
            PlaneError::Invalid(_) => (400, "invalid", "The request is not right"),
            PlaneError::NoSuchSite(_) => (404, "no-such-site", "No such site"),
            PlaneError::NoSuchEdge(_) => (404, "no-such-edge", "No such edge"),
            PlaneError::NoSuchPurge(_) => (404, "no-such-purge", "No such purge"),
            PlaneError::ConditionFailed { .. } => {
                (412, "condition-failed", "It is not as you expected")
            }
            PlaneError::OwnedByFile(_) => (409, "owned-by-file", "This site belongs to a file"),
            PlaneError::HostTaken { .. } => (409, "host-taken", "A host belongs to one site"),
            PlaneError::Full(_) => (409, "full", "There is no room for more"),
            PlaneError::TooLarge(_) => (413, "too-large", "Too large"),
            PlaneError::DuplicateEdge { .. } => {
                (409, "duplicate-edge", "Another machine has this id")
            }
            PlaneError::HistoryGone { .. } => (
                410,
                "history-gone",
                "The feed no longer reaches so far back",
            ),
            PlaneError::HistoryDiffers => (410, "history-differs", "This is another history"),
            // draft-ietf-httpapi-idempotency-key-header §2.7
            PlaneError::KeyReused => (422, "key-reused", "The key was used before"),
            PlaneError::Busy => (503, "busy", "Too busy"),
            PlaneError::Unavailable(_) => (503, "store-unavailable", "The store is not available"),
            PlaneError::OutcomeUnknown { .. } => {
                (503, "outcome-unknown", "It may have been done or not")
            }
        };
        let mut refusal = Self::new(status, kind, title, error.to_string());
        match error {
            PlaneError::Invalid(problems) => refusal.0.problems = problems.0,
            PlaneError::OutcomeUnknown { id } => refusal.0.id = Some(id),
            PlaneError::ConditionFailed { current } => refusal.0.etag = current.map(etag),
            _ => {}
        }
        refusal
    }
}

impl Refusal {
    fn new(
        status: u16,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (detail, problems) = (detail.into(), Vec::new());
        Self(Box::new(Document {
            kind,
            title,
            status,
            detail,
            problems,
            id: None,
            etag: None,
        }))
    }
}

/// A site's entity tag: the revision that changed it last.
pub(super) fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

pub(super) fn not_readable(path: &str, message: &str) -> Refusal {
    PlaneError::invalid(path, message).into()
}

pub(super) fn no_such_path(path: &str) -> Refusal {
    let detail = format!("nothing is at {path:?}; /openapi.json names every path");
    Refusal::new(404, "no-such-path", "Nothing is here", detail)
}

pub(super) fn no_such_method() -> Refusal {
    let detail = "this path does not know that method; Allow names those it knows";
    Refusal::new(405, "no-such-method", "Not with this method", detail)
}

pub(super) fn foreign_host() -> Refusal {
    let detail = "here nobody is asked for a token, so only a request that names this machine is answered: \
                  use localhost, 127.0.0.1 or [::1]";
    Refusal::new(403, "foreign-host", "Not for this host", detail)
}

pub(super) fn unauthorized() -> Refusal {
    let detail = "show a token that this control plane knows (Authorization: Bearer …, or SEAWALL_TOKEN for \
                  the commands), or the certificate of an edge";
    Refusal::new(401, "unauthorized", "Who are you?", detail)
}

/// Purged in the name of a site that it is not of.
pub(super) fn foreign_scope(scope: &Scope, site: &str) -> Refusal {
    let message = format!("{scope} is on no host of the site {site:?}");
    not_readable("scopes", &message)
}

pub(super) fn forbidden(why: String) -> Refusal {
    Refusal::new(403, "forbidden", "Not for you", why)
}

pub(super) fn too_often() -> Refusal {
    let detail = "this caller asks too often; nothing was done: try again in a second";
    Refusal::new(429, "too-often", "Too often", detail)
}

pub(super) fn too_many() -> Refusal {
    let detail = "this caller has too much under way; nothing was done: try again when something is answered";
    Refusal::new(429, "too-many", "Too much at once", detail)
}

pub(super) fn not_json() -> Refusal {
    Refusal::new(
        415,
        "not-json",
        "Not JSON",
        "send Content-Type: application/json",
    )
}

pub(super) fn body_too_large(bytes_max: usize) -> Refusal {
    let detail = format!("the body may have at most {bytes_max} bytes");
    Refusal::new(413, "too-large", "Too large", detail)
}

pub(super) fn body_too_slow() -> Refusal {
    Refusal::new(408, "too-slow", "Too slow", "the body did not come in time")
}

pub(super) fn body_cut() -> Refusal {
    Refusal::new(
        400,
        "body-cut",
        "The body was cut",
        "the body did not come to its end",
    )
}

pub(super) fn out_of_time() -> Refusal {
    let detail =
        "this took longer than any request may; what it asked for may have been done or not";
    Refusal::new(503, "out-of-time", "Out of time", detail)
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
