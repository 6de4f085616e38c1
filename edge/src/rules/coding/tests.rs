use super::*;
use crate::rules::testing::head;

fn site(codings: &[ContentCoding]) -> Policy {
    Policy {
        compress: codings.to_vec(),
        ..Policy::default()
    }
}

fn decided(status: u16, response: &str, request: &str) -> Coding {
    coding(Question {
        policy: &site(&[ContentCoding::Brotli, ContentCoding::Gzip]),
        request: &head(request),
        status: StatusCode::from_u16(status).unwrap(),
        head: &head(response),
    })
}

#[test]
fn some_responses_are_encoded_for_nobody() {
    let check = |section: &str, status: u16, response: &str, expect: Option<Why>| {
        let found = decided(status, response, "accept-encoding: gzip");
        let expect = expect.map_or(Coding::Encode(ContentCoding::Gzip), Coding::Identity);
        assert_eq!(found, expect, "{section}: {status} {response}");
    };
    let html = "content-type: text/html";
    check("9110 8.4", 200, html, None);
    check("9110 8.4", 404, html, None);
    check("9110 8.4", 503, html, None);
    check("9110 15.3.5", 204, html, Some(Why::Status));
    check("9110 15.3.6", 205, html, Some(Why::Status));
    check("9110 15.3.7", 206, html, Some(Why::Status));
    check("9110 15.4.5", 304, html, Some(Why::Status));
    check(
        "9110 14.4",
        200,
        "content-type: text/html|content-range: bytes 0-4999/10000",
        Some(Why::Status),
    );
    for coding in ["gzip", "br", "identity", ""] {
        let response = format!("{html}|content-encoding: {coding}");
        check("9110 8.4", 200, &response, Some(Why::HasCoding));
    }
    for (directives, expect) in [
        ("no-transform", Some(Why::NoTransform)),
        ("max-age=60, No-Transform", Some(Why::NoTransform)),
        ("max-age=60, private", None),
        ("x=\"no-transform\"", None),
    ] {
        check(
            "9111 5.2.2.6",
            200,
            &format!("{html}|cache-control: {directives}"),
            expect,
        );
    }
    let targeted = format!("{html}|cache-control: max-age=1|cdn-cache-control: no-transform");
    check("9213 2.2", 200, &targeted, Some(Why::NoTransform));
    check(
        "",
        200,
        "content-type: text/html|content-length: 1023",
        Some(Why::Small),
    );
    check(
        "",
        200,
        "content-type: text/html|content-length: 1024",
        None,
    );
}

#[test]
fn what_is_packed_already_is_left_alone() {
    let check = |kind: &str, expect: bool| {
        let found = is_compressible(&head(&format!("content-type: {kind}")));
        assert_eq!(found, expect, "{kind}");
    };
    for kind in [
        "text/html",
        "text/html; charset=utf-8",
        "Text/CSS",
        "text/event-stream",
        "application/json",
        "application/json;charset=utf-8",
        "application/problem+json",
        "application/javascript",
        "image/svg+xml",
        "application/atom+xml; type=feed",
        "application/wasm",
        "font/ttf",
    ] {
        check(kind, true);
    }
    for kind in [
        "image/png",
        "image/jpeg",
        "video/mp4",
        "font/woff2",
        "application/zip",
        "application/octet-stream",
        "application/epub+zip",
        "text/",
        "text",
        "; text/html",
        "image/png; text/html",
    ] {
        check(kind, false);
    }
    assert!(!is_compressible(&HeaderMap::new()));
    let two = head("content-type: text/html|content-type: text/html");
    assert!(!is_compressible(&two), "which of them counts nobody knows");
}

#[test]
fn some_clients_get_the_bytes_as_they_came() {
    let check = |section: &str, request: &str, expect: Coding| {
        let found = decided(200, "content-type: text/html", request);
        assert_eq!(found, expect, "{section}: {request}");
        assert!(found.varies(), "another client may get it encoded");
    };
    let identity = Coding::Identity;
    check(
        "9110 12.5.3",
        "accept-encoding: gzip",
        Coding::Encode(ContentCoding::Gzip),
    );
    check(
        "9110 12.5.3",
        "accept-encoding: gzip, br",
        Coding::Encode(ContentCoding::Brotli),
    );
    check("9110 12.5.3", "", identity(Why::ClientSaysNothing));
    check(
        "9110 12.5.3",
        "accept-encoding: zstd",
        identity(Why::ClientLikesNone),
    );
    check(
        "9110 12.5.3",
        "accept-encoding: identity;q=0",
        identity(Why::ClientLikesNone),
    );
    check(
        "9110 14.2",
        "accept-encoding: gzip|range: bytes=0-1",
        identity(Why::ClientWantsRange),
    );
    check(
        "9110 14.2",
        "accept-encoding: gzip|range: lines=x",
        identity(Why::ClientWantsRange),
    );
    let no_transform = "accept-encoding: gzip|cache-control: no-transform";
    check("5.2.1.6", no_transform, identity(Why::ClientNoTransform));
}

#[test]
fn a_site_that_does_not_ask_for_it_gets_nothing_of_it() {
    let (request, response) = (
        head("accept-encoding: gzip"),
        head("content-type: text/html"),
    );
    let found = coding(Question {
        policy: &site(&[]),
        request: &request,
        status: StatusCode::OK,
        head: &response,
    });
    assert_eq!(found, Coding::Identity(Why::NotConfigured));
    assert!(!found.varies());
}

#[test]
fn the_head_of_an_encoded_body_says_nothing_of_the_plain_one() {
    let mut found = head(
        "content-type: text/html|content-length: 5000|etag: \"a\"|last-modified: x|accept-ranges: bytes|\
         content-md5: x|content-digest: x|repr-digest: x|digest: x",
    );
    describe(&mut found, ContentCoding::Gzip, Some(900));
    let expect = "content-type: text/html|content-length: 900|etag: W/\"a\"|last-modified: x|content-encoding: gzip";
    assert_eq!(found, head(expect));
    describe(&mut found, ContentCoding::Brotli, None);
    let expect = "content-type: text/html|etag: W/\"a\"|last-modified: x|content-encoding: br";
    assert_eq!(found, head(expect));
}

#[test]
fn an_entity_tag_is_weakened_once() {
    let check = |tag: &str, expect: &str| {
        let mut found = head(tag);
        weaken(&mut found);
        assert_eq!(found, head(expect), "{tag}");
    };
    check("etag: \"a\"", "etag: W/\"a\"");
    check("etag: W/\"a\"", "etag: W/\"a\"");
    check("etag: none", "etag: none");
    check("", "");
}

#[test]
fn accept_encoding_stands_once_in_vary() {
    let check = |section: &str, vary: &str, expect: &str| {
        let mut found = head(vary);
        super::vary(&mut found);
        assert_eq!(found, head(expect), "{section}: {vary}");
    };
    check("9110 12.5.5", "", "vary: Accept-Encoding");
    check(
        "9110 12.5.5",
        "vary: accept-ENCODING",
        "vary: accept-ENCODING",
    );
    check(
        "9110 12.5.5",
        "vary: cookie, accept-encoding",
        "vary: cookie, accept-encoding",
    );
    check(
        "9110 12.5.5",
        "vary: cookie",
        "vary: cookie|vary: Accept-Encoding",
    );
    check(
        "9110 12.5.5",
        "vary: a|vary: accept-encoding",
        "vary: a|vary: accept-encoding",
    );
    check("9110 12.5.5", "vary: *", "vary: *");
}

#[test]
fn a_304_of_the_origins_own_names_the_tag_that_the_client_has() {
    let check = |request: &str, expect: &str| {
        let mut found = head("etag: \"a\"");
        echo(&site(&[ContentCoding::Gzip]), &head(request), &mut found);
        assert_eq!(found, head(expect), "{request}");
    };
    check(
        "if-none-match: W/\"a\"",
        "etag: W/\"a\"|vary: Accept-Encoding",
    );
    check(
        "if-none-match: \"b\", W/\"a\"",
        "etag: W/\"a\"|vary: Accept-Encoding",
    );
    check("if-none-match: \"a\"", "etag: \"a\"");
    check("if-none-match: W/\"b\"", "etag: \"a\"");
    check("", "etag: \"a\"");
    let mut found = head("etag: \"a\"");
    echo(&site(&[]), &head("if-none-match: W/\"a\""), &mut found);
    assert_eq!(found, head("etag: \"a\""), "this site encodes nothing");
}
