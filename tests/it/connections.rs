//! What is refused at the door, many requests on one connection, and HTTP/2.

use crate::support::{Origin, Seawall, ok};

#[test]
fn a_request_without_one_clear_host_is_refused_and_the_connection_ends() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("body").max_age(60));
    let check = |request: &str| {
        let mut connection = seawall.connect();
        connection.write(request);
        assert_eq!(connection.answer("GET").status, 400, "{request}");
        assert!(connection.is_closed(), "{request}");
    };
    check("GET /a HTTP/1.1\r\n\r\n");
    check("GET /a HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n");
    check("GET /a HTTP/1.1\r\nHost: a.test/\r\n\r\n");
    check("GET http://a.test/a HTTP/1.1\r\nHost: b.test\r\n\r\n");
    check("GET /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    check("GET /a HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    check("GET /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert_eq!(origin.requests("/a"), 0);
}

#[test]
fn a_body_with_two_lengths_hides_no_second_request() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("done"));
    origin.says("/hidden", ok("stolen"));
    let head = "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut connection = seawall.connect();
    connection.write([head, "0\r\n\r\n", hidden].concat());
    connection.answer("POST");
    // RFC 9112 §6.1: "the server MUST close the connection after responding to such a request".
    assert!(connection.is_closed());
    assert_eq!(origin.requests("/hidden"), 0);
    let lengths = origin
        .heads("/a")
        .into_iter()
        .filter(|seen| seen.field("content-length").is_some());
    assert_eq!(lengths.count(), 0);
}

#[test]
fn a_connection_is_used_again_and_pipelined_requests_are_answered_in_order() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for target in ["/a", "/b", "/c"] {
        origin.says(target, ok(target).max_age(60));
    }
    let mut connection = seawall.connect();
    connection.request("GET", "/a", &[], b"").is("MISS", "/a");
    connection.request("GET", "/a", &[], b"").is("HIT", "/a");
    connection
        .request("POST", "/a", &[], b"body")
        .tells(200, "fwd=method");
    connection
        .request("GET", "/missing", &[], b"")
        .tells(404, "fwd-status=404");
    connection.request("GET", "/b", &[], b"").is("MISS", "/b");
    let two = |first: &str, second: &str| {
        format!(
            "GET {first} HTTP/1.1\r\nHost: a.test\r\n\r\nGET {second} HTTP/1.1\r\nHost: a.test\r\n\r\n"
        )
    };
    connection.write(two("/c", "/b"));
    connection.answer("GET").is("MISS", "/c");
    connection.answer("GET").is("MISS", "/b");
    connection.write(two("/b", "/c"));
    connection.answer("GET").is("HIT", "/b");
    connection.answer("GET").is("HIT", "/c");
}

#[test]
fn http_2_over_tls_gets_the_same_answers() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says(
        "/a",
        ok("0123456789")
            .max_age(60)
            .etag("1")
            .field("surrogate-key", "a"),
    );
    for x_cache in ["MISS", "HIT"] {
        let curled = seawall.curl("/a", &[]);
        assert_eq!((curled.exit, curled.version.as_str()), (0, "2"));
        curled.response.is(x_cache, "0123456789");
        assert_eq!(curled.response.field("content-length"), Some("10"));
        assert_eq!(curled.response.field("surrogate-key"), None);
    }
    assert_eq!(origin.last("/a").field("x-forwarded-proto"), Some("https"));
    let part = seawall.curl("/a", &["--range", "2-5"]).response;
    assert_eq!(
        (part.status, part.x_cache(), part.text()),
        (206, "HIT", "2345".to_owned())
    );
    let known = seawall
        .curl("/a", &["--header", "If-None-Match: \"1\""])
        .response;
    assert_eq!((known.status, known.x_cache()), (304, "HIT"));
    let posted = seawall.curl("/a", &["--data", "a=b"]).response;
    assert_eq!((posted.status, posted.x_cache()), (200, "BYPASS"));
    assert_eq!(origin.last("/a").text(), "a=b");
    seawall.curl("/a", &[]).response.is("MISS", "0123456789");
    // The scheme belongs to the name.
    let host = seawall.listen_tls().to_string();
    seawall
        .get_with("/a", &[("host", &host)])
        .is("MISS", "0123456789");
}
