//! The plane over HTTP: one resource a file. [`router`] is all that the product serves of it.
//!
//! Every error is an RFC 9457 problem (`problem`). In front of all of them, `gate` says who may ask, how often and how
//! much at once, and `guard` what no browser may be made to send; behind them `audit` writes down who changed what.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::Plane;
use crate::clock::Clock;
use access::Right;
use gate::Gate;
use habits::{cloudflare, fastly};
use problem::Refusal;

pub use access::{Access, Caller, Tokens, hash_of};

mod access;
mod audit;
mod edges;
mod feed;
mod gate;
mod guard;
mod habits;
mod openapi;
mod origins;
mod problem;
mod purges;
mod rate;
mod sites;

/// Bytes of a body, where a resource does not say less.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A body is sent within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The API of one plane, for those whom `access` lets in.
pub fn router(plane: Arc<Plane>, access: &Access) -> Router {
    let gate = Gate::new(access.clone(), plane.clock().clone());
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, (path, _, right, handler)| {
            let gated = from_fn_with_state(gate.to(right), gate::pass);
            router.route(path, handler.layer(gated))
        });
    let router = router
        .fallback(|uri: Uri| async move { problem::no_such_path(uri.path()) })
        .method_not_allowed_fallback(|| async { problem::no_such_method() })
        .with_state(plane);
    guard::guarded(router, access)
}

/// Something else that a control plane answers, for those who may see all.
pub fn for_readers(router: Router, access: &Access) -> Router {
    let gate = Gate::new(access.clone(), Clock::system()).to(Right::SeeAll);
    let router = router.layer(from_fn_with_state(gate, gate::pass));
    guard::guarded(router, access)
}

type Route = (&'static str, &'static str, Right, MethodRouter<Arc<Plane>>);

/// Every path, its method, what it needs, and what answers it.
fn routes() -> Vec<Route> {
    use Right::{BeEdge, Follow, Purge, PurgeAsEdge, See, SeeAll, SeeSite, WriteAll, WriteSite};
    let mut routes = vec![
        ("/v1/sites", "get", SeeAll, get(sites::list)),
        ("/v1/sites", "post", WriteAll, post(sites::change)),
        ("/v1/sites/{name}", "get", SeeSite, get(sites::read)),
        ("/v1/sites/{name}", "put", WriteSite, put(sites::write)),
        (
            "/v1/sites/{name}",
            "delete",
            WriteSite,
            delete(sites::remove),
        ),
        ("/v1/purges", "post", Purge, post(purges::create)),
        ("/v1/purges/{revision}", "get", See, get(purges::read)),
        ("/v1/edges", "get", SeeAll, get(edges::list)),
        ("/v1/edges/{id}", "delete", WriteAll, delete(edges::remove)),
        (
            "/v1/edges/{id}/heartbeat",
            "post",
            BeEdge,
            post(edges::heartbeat),
        ),
        (
            "/v1/edges/{id}/purges",
            "post",
            PurgeAsEdge,
            post(edges::purge),
        ),
        ("/v1/origins", "get", SeeAll, get(origins::list)),
        (
            "/v1/origins/{name}",
            "post",
            WriteSite,
            post(origins::drain),
        ),
        ("/v1/feed", "get", Follow, get(feed::follow)),
        ("/v1/snapshot", "get", Follow, get(feed::snapshot)),
        ("/openapi.json", "get", See, get(openapi::document)),
        (
            "/service/{id}/purge/{key}",
            "post",
            Purge,
            post(fastly::key),
        ),
        ("/service/{id}/purge", "post", Purge, post(fastly::keys)),
        ("/service/{id}/purge_all", "post", Purge, post(fastly::all)),
        ("/purge/{*url}", "post", Purge, post(fastly::url)),
    ];
    routes.extend(zones());
    routes
}

/// Cloudflare's, with the path of their base URL and without.
fn zones() -> impl Iterator<Item = Route> {
    use Right::{FindSite, Purge};
    let purge = cloudflare::purge_cache;
    let find = ["/zones", "/zones/", "/client/v4/zones", "/client/v4/zones/"];
    let find = find.map(|path| (path, "get", FindSite, get(cloudflare::zones)));
    let purges = [
        "/zones/{id}/purge_cache",
        "/client/v4/zones/{id}/purge_cache",
    ];
    let purges = purges.into_iter().flat_map(move |path| {
        [
            (path, "post", Purge, post(purge)),
            (path, "delete", Purge, delete(purge)),
        ]
    });
    find.into_iter().chain(purges)
}

/// A JSON document of at most `bytes_max` bytes, or everything that is wrong with it.
async fn read_json<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, Refusal> {
    let collected = Limited::new(body, bytes_max).collect();
    let collected = tokio::time::timeout(BODY_TIMEOUT, collected).await;
    let collected = collected.map_err(|_| problem::body_too_slow())?;
    let bytes = collected.map_err(|error| match error.is::<LengthLimitError>() {
        true => problem::body_too_large(bytes_max),
        false => problem::body_cut(),
    })?;
    let bytes = bytes.to_bytes();
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        problem::not_readable(&path, &error.into_inner().to_string())
    })?;
    json.end()
        .map_err(|error| problem::not_readable("", &error.to_string()))?;
    Ok(read)
}

/// The words after `?`.
struct Query<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        let query = query.map_err(|error| problem::not_readable("query", &error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// One part of the path.
struct Segment<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segment<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let segment = axum::extract::Path::from_request_parts(parts, state).await;
        let segment = segment.map_err(|error| problem::not_readable("path", &error.body_text()))?;
        Ok(Self(segment.0))
    }
}

/// Every member of a list field, over all its lines.
fn members<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}
