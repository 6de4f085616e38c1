//! A browser on this machine can be sent to a loopback address by any web page. On such an address no token
//! is asked for, so only requests that name a loopback host get through: a page of `evil.example`, also
//! one whose name points to 127.0.0.1, names its own.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

/// Refuses what names another host than this machine.
pub(super) async fn loopback_only(request: Request, next: Next) -> Response {
    if names_loopback(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let detail = "this address answers requests for localhost, 127.0.0.1 or [::1] only; the Host header names another";
    super::problem(
        StatusCode::FORBIDDEN,
        "foreign-host",
        "Not for this host",
        detail,
    )
}

/// Every host the request names, and it names at least one.
fn names_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers
        .get_all(HOST)
        .iter()
        .map(|value| value.as_bytes().try_into().ok());
    let in_headers: Option<Vec<Authority>> = hosts.by_ref().collect();
    let Some(in_headers) = in_headers else {
        return false;
    };
    // HTTP/2 says it in `:authority`, HTTP/1.1 sometimes in the request line.
    let all: Vec<&Authority> = in_headers.iter().chain(uri.authority()).collect();
    !all.is_empty() && all.iter().all(|authority| is_loopback(authority.host()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn only_this_machine_may_be_named() {
        let check = |uri: &str, hosts: &[&str], expect: bool| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().expect("a value"));
            }
            assert_eq!(
                names_loopback(&uri.parse().expect("a URI"), &headers),
                expect,
                "{uri} {hosts:?}"
            );
        };
        check("/readyz", &["127.0.0.1:9080"], true);
        check("/readyz", &["localhost:9080"], true);
        check("/readyz", &["LOCALHOST"], true);
        check("/readyz", &["[::1]:9080"], true);
        check("/readyz", &["127.8.9.1"], true);
        check("http://127.0.0.1:9080/readyz", &[], true);
        check("http://evil.example/readyz", &["127.0.0.1"], false);
        check("/readyz", &["evil.example"], false);
        check("/readyz", &["127.0.0.1.evil.example"], false);
        check("/readyz", &["localhost", "evil.example"], false);
        check("/readyz", &["0.0.0.0:9080"], false);
        check("/readyz", &["not a host"], false);
        check("/readyz", &[], false);
    }
}
