//! Fastly's purge API: <https://www.fastly.com/documentation/reference/api/purging/>. The token is in `Fastly-Key`.
//! A surrogate key is a tag; `Fastly-Soft-Purge: 1` asks for a soft purge.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use seawall_config::Mode;
use seawall_config::scope::PurgeRequest;
use serde::Deserialize;
use serde_json::json;

use super::purge;
use crate::api::access::Who;
use crate::api::problem::{self, Refusal};
use crate::api::purges::Waiting;
use crate::api::{BODY_BYTES_MAX, Query, Segment, read_json};
use crate::plane::{Plane, Wait};

type Plan = State<Arc<Plane>>;

/// `POST /service/{id}/purge/{key}`
pub(in crate::api) async fn key(
    State(plane): Plan,
    Extension(who): Extension<Who>,
    Segment((site, key)): Segment<(String, String)>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = tagged(vec![key], &headers);
    let wait = waiting.checked()?;
    let purged = purge(&plane, &who, Some(&site), &request, wait).await?;
    let body = json!({"status": "ok", "id": purged.id});
    Ok(purged.answer(body))
}

/// A body with the keys, where they are not in `Surrogate-Key`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    surrogate_keys: Vec<String>,
}

/// `POST /service/{id}/purge`: the keys are in `Surrogate-Key`, parted by spaces, or in a JSON body.
pub(in crate::api) async fn keys(
    State(plane): Plan,
    Extension(who): Extension<Who>,
    Segment(site): Segment<String>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let keys = match in_field(&headers) {
        Some(keys) => keys,
        None => {
            read_json::<Keys>(body, BODY_BYTES_MAX)
                .await?
                .surrogate_keys
        }
    };
    let request = tagged(keys.clone(), &headers);
    let wait = waiting.checked()?;
    let purged = purge(&plane, &who, Some(&site), &request, wait).await?;
    let id = |key| (key, purged.id.clone());
    let ids: BTreeMap<_, _> = keys.into_iter().map(id).collect();
    Ok(purged.answer(ids))
}

/// `POST /service/{id}/purge_all`. Always hard: as there, `Fastly-Soft-Purge` says nothing of it.
pub(in crate::api) async fn all(
    State(plane): Plan,
    Extension(who): Extension<Who>,
    Segment(site): Segment<String>,
    Query(waiting): Query<Waiting>,
) -> Result<Response, Refusal> {
    let request = PurgeRequest {
        sites: vec![site.clone()],
        ..PurgeRequest::default()
    };
    let wait = waiting.checked()?;
    let purged = purge(&plane, &who, Some(&site), &request, wait).await?;
    Ok(purged.answer(json!({"status": "ok"})))
}

/// `POST /purge/{url}`: host and path, as they are cached.
pub(in crate::api) async fn url(
    State(plane): Plan,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    // As it was sent: a decoded path would name another URL.
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let Some(url) = target.strip_prefix("/purge/") else {
        return Err(problem::no_such_path(uri.path()));
    };
    let request = PurgeRequest {
        urls: vec![url.to_owned()],
        mode: mode(&headers),
        ..PurgeRequest::default()
    };
    let purged = purge(&plane, &who, None, &request, Wait::Accepted).await?;
    let body = json!({"status": "ok", "id": purged.id});
    Ok(purged.answer(body))
}

fn tagged(tags: Vec<String>, headers: &HeaderMap) -> PurgeRequest {
    PurgeRequest {
        tags,
        mode: mode(headers),
        ..PurgeRequest::default()
    }
}

fn mode(headers: &HeaderMap) -> Mode {
    match headers.get("fastly-soft-purge").map(|line| line.as_bytes()) {
        Some(b"1") => Mode::Soft,
        _ => Mode::Hard,
    }
}

fn in_field(headers: &HeaderMap) -> Option<Vec<String>> {
    let lines = headers.get_all("surrogate-key").iter();
    let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
    let keys = lines.iter().flat_map(|line| line.split_ascii_whitespace());
    (!lines.is_empty()).then(|| keys.map(str::to_owned).collect())
}
