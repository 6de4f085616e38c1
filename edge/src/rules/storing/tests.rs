#![allow(clippy::unwrap_used)]

use super::*;
use crate::rules::directives;
use crate::rules::freshness::{Arrival, freshness};
use crate::rules::testing::head;
use std::time::SystemTime;

/// `asked`: the method, and whether Content-Location is the request's own URL.
fn judge(
    asked: (Method, bool),
    request: &str,
    status: u16,
    response: &str,
    policy: &Policy,
) -> Storing {
    let (request, response) = (head(request), head(response));
    let (status, directives) = (
        StatusCode::from_u16(status).unwrap(),
        Response::read(&response),
    );
    let arrival = Arrival {
        status,
        head: &response,
        directives: &directives,
        targeted: false,
        default_ttl: policy.default_ttl,
        negative_ttl: policy.negative_ttl,
        requested: SystemTime::UNIX_EPOCH,
        received: SystemTime::UNIX_EPOCH,
    };
    let freshness = freshness(arrival);
    let (method, located) = asked;
    // As on a site that honours it.
    let client_no_store = directives::Request::read(&request).no_store;
    storing(Exchange {
        method: &method,
        located,
        request: &request,
        client_no_store,
        status,
        response: &response,
        directives: &directives,
        freshness: &freshness,
        policy,
    })
}

#[test]
fn a_response_is_stored_only_when_every_sentence_allows_it() {
    let check = |section: &str, request: &str, status: u16, response: &str, expect: Storing| {
        assert_eq!(
            judge(
                (Method::GET, false),
                request,
                status,
                response,
                &Policy::default()
            ),
            expect,
            "{section}: {status} {response}"
        );
    };
    use Storing::{Keep, Refuse};
    check("3", "", 200, "cache-control: max-age=60", Keep);
    check("3", "", 200, "", Refuse(Why::NoFreshness));
    check("3", "", 200, "etag: \"a\"", Keep);
    check("3", "", 500, "etag: \"a\"", Refuse(Why::Status));
    check("3", "", 404, "etag: \"a\"", Refuse(Why::NoFreshness));
    check("3", "", 599, "cache-control: max-age=60", Keep);
    let asks = "cache-control: no-cache | etag: \"a\"";
    check("3", "", 302, asks, Refuse(Why::Status));
    let named = "cache-control: no-cache=\"x\" | etag: \"a\"";
    check("3", "", 302, named, Refuse(Why::Status));
    check("3", "", 404, asks, Refuse(Why::NoFreshness));
    check("3", "", 206, "cache-control: max-age=60", Refuse(Why::Part));
    let part = "cache-control: max-age=60 | content-range: bytes 0-4/10";
    check("3.3", "", 206, part, Keep);
    let check_length = |length: &str, expect| {
        let part = format!("{part} | content-length: {length}");
        check("3.3", "", 206, &part, expect);
    };
    check_length("5", Keep);
    check_length("6", Refuse(Why::Part));
    check(
        "3",
        "",
        304,
        "cache-control: max-age=60",
        Refuse(Why::Status),
    );
    check(
        "5.2.1.5",
        "cache-control: no-store",
        200,
        "cache-control: max-age=60",
        Refuse(Why::ClientNoStore),
    );
    check(
        "5.2.2.9",
        "",
        500,
        "cache-control: public | etag: \"a\"",
        Keep,
    );
    check(
        "5.2.2.5",
        "",
        200,
        "cache-control: max-age=60, no-store",
        Refuse(Why::NoStore),
    );
    check(
        "5.2.2.3",
        "",
        200,
        "cache-control: max-age=60, no-store, must-understand",
        Keep,
    );
    check(
        "5.2.2.3",
        "",
        299,
        "cache-control: max-age=60, must-understand",
        Refuse(Why::Status),
    );
    check(
        "5.2.2.7",
        "",
        200,
        "cache-control: max-age=60, private",
        Refuse(Why::Private),
    );
    check(
        "5.2.2.7",
        "",
        200,
        "cache-control: max-age=60, private=\"x\"",
        Keep,
    );
    check(
        "3.5",
        "authorization: a",
        200,
        "cache-control: max-age=60",
        Refuse(Why::Authorization),
    );
    check(
        "3.5",
        "authorization: a",
        200,
        "cache-control: max-age=60, public",
        Keep,
    );
    check(
        "3.5",
        "authorization: a",
        200,
        "cache-control: s-maxage=60",
        Keep,
    );
    check(
        "3.5",
        "authorization: a",
        200,
        "cache-control: max-age=60, must-revalidate",
        Keep,
    );
    check(
        "4.1",
        "",
        200,
        "cache-control: max-age=60 | vary: a, *",
        Refuse(Why::VaryAny),
    );
    check(
        "4.1",
        "",
        200,
        "cache-control: max-age=60 | vary: a b",
        Refuse(Why::VaryAny),
    );
    check(
        "4.1",
        "",
        200,
        "cache-control: max-age=60 | vary: X-Forwarded-For",
        Refuse(Why::VaryAny),
    );
    check(
        "7.3",
        "",
        200,
        "cache-control: max-age=60 | set-cookie: a=b",
        Refuse(Why::SetCookie),
    );
    check(
        "5.2.2.4",
        "",
        200,
        "cache-control: no-cache | etag: \"a\"",
        Keep,
    );
}

#[test]
fn a_site_decides_about_cookies_and_silence() {
    let check = |policy: Policy, status: u16, response: &str, expect: Storing| {
        assert_eq!(
            judge((Method::GET, false), "", status, response, &policy),
            expect,
            "{status} {response} {policy:?}"
        );
    };
    let cookie = |set_cookie| Policy {
        set_cookie,
        ..Policy::default()
    };
    let line = "cache-control: max-age=60 | set-cookie: a=b";
    check(cookie(SetCookie::Store), 200, line, Storing::Keep);
    check(cookie(SetCookie::Strip), 200, line, Storing::Keep);
    check(
        cookie(SetCookie::Store),
        200,
        "set-cookie: a=b | etag: \"a\"",
        Storing::Refuse(Why::SetCookie),
    );
    let ttl = ttl();
    check(ttl.clone(), 200, "", Storing::Keep);
    check(
        ttl.clone(),
        200,
        "cache-control: private",
        Storing::Refuse(Why::Private),
    );
    check(ttl.clone(), 500, "", Storing::Refuse(Why::Status));
    check(ttl.clone(), 404, "", Storing::Refuse(Why::NoFreshness));
    check(
        Policy {
            cache: false,
            ..ttl
        },
        200,
        "",
        Storing::Refuse(Why::SiteOff),
    );
}

#[test]
fn an_answer_to_post_is_stored_when_it_brings_what_a_get_would() {
    let check = |section: &str, located: bool, status: u16, response: &str, expect: Storing| {
        let found = judge((Method::POST, located), "", status, response, &ttl());
        assert_eq!(found, expect, "{section}: {located} {status} {response}");
    };
    let refused = Storing::Refuse(Why::Method);
    let fresh = "cache-control: max-age=60";
    check("9110 9.3.3", true, 200, fresh, Storing::Keep);
    check("9110 9.3.3", true, 203, fresh, Storing::Keep);
    check(
        "9110 9.3.3",
        true,
        200,
        "cache-control: s-maxage=60",
        Storing::Keep,
    );
    let expires = "expires: Thu, 01 Jan 1970 00:01:00 GMT";
    check("9110 9.3.3", true, 200, expires, Storing::Keep);
    // Another URL, or none.
    check("9110 9.3.3", false, 200, fresh, refused);
    // The site's word for silence, a guess, or a validator are not explicit freshness.
    check("9110 9.3.3", true, 200, "", refused);
    check("9110 9.3.3", true, 200, "cache-control: public", refused);
    check("9110 9.3.3", true, 200, "etag: \"a\"", refused);
    // They speak of the request, not of what is there now.
    for status in [201, 202, 204, 206, 303, 304, 404, 500] {
        check("9110 8.7", true, status, fresh, refused);
    }
    // All else that forbids storing forbids it here.
    let private = "cache-control: max-age=60, private";
    check("9111 3", true, 200, private, Storing::Refuse(Why::Private));
    let silent = "cache-control: max-age=60, no-store";
    check("9111 3", true, 200, silent, Storing::Refuse(Why::NoStore));
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD] {
        let found = judge((method, true), "", 200, fresh, &Policy::default());
        assert_eq!(found, refused, "9111 3");
    }
}

fn ttl() -> Policy {
    Policy {
        default_ttl: Some(std::time::Duration::from_secs(9)),
        ..Policy::default()
    }
}
