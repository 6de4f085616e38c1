//! No request takes for ever. Where nobody is asked for a token, only a request that names this machine is answered; and
//! only JSON changes anything: no web page that a browser here opens can send either.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::access::{Access, FASTLY_KEY};
use super::problem::{self, Refusal};

/// More than the longest wait for a purge.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(75);

pub(super) fn guarded(router: Router, access: &Access) -> Router {
    let is_open = matches!(access, Access::Open);
    router.layer(from_fn_with_state(is_open, pass))
}

/// `is_open`: nobody is asked who he is.
async fn pass(State(is_open): State<bool>, request: Request, next: Next) -> Response {
    if is_open && !names_this_machine(request.uri(), request.headers()) {
        return problem::foreign_host().into_response();
    }
    if let Err(refusal) = admit(request.method(), request.headers()) {
        return refusal.into_response();
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => problem::out_of_time().into_response(),
    }
}

fn admit(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let changes = *method == Method::POST || *method == Method::PUT;
    // A web page may send neither without being allowed to (Fetch, "CORS-safelisted request-header").
    if changes && !is_json(headers) && !headers.contains_key(FASTLY_KEY) {
        return Err(problem::not_json());
    }
    Ok(())
}

/// It names a host, and none but this machine. RFC 9113 §8.3.1: HTTP/2 names it in the URI.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let in_headers = headers
        .get_all(HOST)
        .iter()
        .map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut all: Vec<_> = in_headers.collect();
    all.extend(uri.authority().cloned().map(Some));
    !all.is_empty()
        && all
            .iter()
            .all(|host| host.as_ref().is_some_and(|host| is_loopback(host.host())))
}

fn is_loopback(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    fn headers(name: &axum::http::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_this_machine_may_be_named() {
        let check = |uri: &str, hosts: &[&str], expect: bool| {
            let named = names_this_machine(&uri.parse().unwrap(), &headers(&HOST, hosts));
            assert_eq!(named, expect, "{uri} {hosts:?}");
        };
        check("/", &["localhost"], true);
        check("/", &["LOCALHOST:9080"], true);
        check("/", &["127.0.0.1:1"], true);
        check("/", &["127.9.8.7"], true);
        check("/", &["[::1]:9080"], true);
        check("http://127.0.0.1:9080/", &[], true);
        check("http://evil.example/", &["127.0.0.1"], false);
        check("http://127.0.0.1/", &["evil.example"], false);
        check("/", &["localhost", "evil.example"], false);
        check("/", &["evil.example"], false);
        check("/", &["127.0.0.1.evil.example"], false);
        check("/", &["localhost.evil.example"], false);
        check("/", &["0.0.0.0"], false);
        check("/", &["[::]"], false);
        check("/", &["not a host"], false);
        check("/", &[], false);
    }

    #[test]
    fn only_json_changes_anything() {
        let check = |types: &[&str], expect: bool| {
            assert_eq!(is_json(&headers(&CONTENT_TYPE, types)), expect, "{types:?}");
        };
        check(&["application/json"], true);
        check(&["Application/JSON; charset=utf-8"], true);
        check(&["text/plain"], false);
        check(&["application/x-www-form-urlencoded"], false);
        check(&["text/plain; application/json"], false);
        check(&["application/json", "text/plain"], false);
        check(&["application/jsonp"], false);
        check(&[], false);
    }
}
