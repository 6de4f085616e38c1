#![allow(clippy::unwrap_used)]

use super::*;

/// What is made of a head, in a line.
fn read(text: &str) -> String {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let Some(end) = end(&bytes, 0) else {
        return "more".into();
    };
    match Head::parse(bytes.slice(..end)) {
        Ok(head) => format!(
            "{} {:?} {} {:?} {}{}",
            head.method,
            head.authority(),
            head.target().unwrap(),
            head.body,
            head.fields.len(),
            if head.persists { "" } else { " last" },
        ),
        Err(why) => format!("{why:?}"),
    }
}

#[test]
fn what_is_plain_is_read() {
    let check = |text: &str, expect: &str| assert_eq!(read(text), expect, "{text:?}");
    check("GET / HTTP/1.1\r\nA: b\r\n\r\n", "GET None / Length(0) 1");
    check("GET / HTTP/1.1\r\n\r\n", "GET None / Length(0) 0");
    check("GET / HTTP/1.0\r\n\r\n", "GET None / Length(0) 0 last");
    check("GET / HTTP/1.1\r\nA: b\r\n", "more");
    check(
        "GET / HTTP/1.1\r\nA:\t b \t\r\nA:\r\nB: \r\n\r\n",
        "GET None / Length(0) 3",
    );
    check(
        "GET http://a.test:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET Some(\"a.test:8\") /x?y Length(0) 1",
    );
    check("OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS None * Length(0) 0");
    check(
        "POST / HTTP/1.1\r\nContent-Length: 005\r\n\r\n",
        "POST None / Length(5) 1",
    );
    check(
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n",
        "POST None / Chunked 1",
    );
    check("M-SEARCH / HTTP/1.1\r\n\r\n", "M-SEARCH None / Length(0) 0");
    check(
        "GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n",
        "GET None / Length(0) 1 last",
    );
    check(
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET None / Length(0) 1",
    );
    check(
        "PUT / HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n",
        "PUT None / Length(0) 1",
    );
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let check = |section: &str, text: &str, expect: &str| {
        assert_eq!(read(text), expect, "{section}: {text:?}");
    };
    check("9112 2.2", "GET / HTTP/1.1\nA: b\n\n", "BareLineEnd");
    check("9112 2.2", "GET / HTTP/1.1\r\nA: b\n\r\n", "BareLineEnd");
    check(
        "9112 2.2",
        "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        "BareLineEnd",
    );
    check("9112 2.2", "GET / HTTP/1.1\r\n A: b\r\n\r\n", "Folded");
    check("9112 3", "GET  / HTTP/1.1\r\n\r\n", "Target");
    check("9112 3", "GET /\tHTTP/1.1\r\n\r\n", "RequestLine");
    check("9112 3", "GET /  HTTP/1.1\r\n\r\n", "Target");
    check("9112 3", "GET /a b HTTP/1.1\r\n\r\n", "Target");
    check("9112 3", "GET /\r\n\r\n", "RequestLine");
    check("9112 3", " GET / HTTP/1.1\r\n\r\n", "Method");
    check("9112 3.1", "get / HTTP/1.1\r\n\r\n", "Method");
    check("9112 3.1", "G\0T / HTTP/1.1\r\n\r\n", "Method");
    check("9112 3.2", "GET http://a.test HTTP/1.1\r\n\r\n", "Target");
    check("9112 3.2", "GET /\u{e9} HTTP/1.1\r\n\r\n", "Target");
    check("9112 2.3", "GET / HTTP/1.2\r\n\r\n", "Version");
    check("9112 2.3", "GET / HTTP/2.0\r\n\r\n", "Version");
    check("9112 2.3", "GET / http/1.1\r\n\r\n", "RequestLine");
    check("9112 5", "GET / HTTP/1.1\r\nA\r\n\r\n", "Field");
    check("9112 5", "GET / HTTP/1.1\r\n: b\r\n\r\n", "Field");
    check("9112 5", "GET / HTTP/1.1\r\nA: \0\r\n\r\n", "Field");
    check("9112 5.1", "GET / HTTP/1.1\r\nA : b\r\n\r\n", "Field");
    check("9112 5.2", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "Folded");
    let body = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    check("9112 6.1", &body(both), "LengthAndCoding");
    for length in [
        "+5",
        "-5",
        "0x5",
        "5, 5",
        "5 5",
        "",
        "5\r\nContent-Length: 5",
    ] {
        check(
            "9112 6.3",
            &body(&format!("Content-Length: {length}")),
            "Length",
        );
    }
    check(
        "9112 6.3",
        &body(&format!("Content-Length: {}", "9".repeat(20))),
        "Length",
    );
    for coding in [
        "xchunked",
        "chunked, identity",
        "gzip, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "",
    ] {
        check(
            "9112 6.1",
            &body(&format!("Transfer-Encoding: {coding}")),
            "Coding",
        );
    }
    check("9112 6.1", &body("Transfer-Encoding: \x0bchunked"), "Field");
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    check("9112 6.1", old, "Coding");
    check(
        "9110 10.1.1",
        &body("Expect: 100-continue, x"),
        "Expectation",
    );
    check("9110 10.1.1", &body("Expect: 200-ok"), "Expectation");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(LINE_BYTES_MAX));
    check("limits", &long, "LineTooLong");
    check(
        "limits",
        &body(&format!("A: {}", "b".repeat(HEAD_BYTES_MAX))),
        "TooLarge",
    );
    check(
        "limits",
        &body(&vec!["A: b"; FIELDS_MAX + 1].join("\r\n")),
        "TooManyFields",
    );
}

#[test]
fn the_end_is_found_however_the_bytes_come() {
    let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\nPOST";
    for cut in 0..text.len() {
        let whole = (cut >= 24).then_some(24);
        assert_eq!(end(&text[..cut], 0), whole, "{cut}");
        assert_eq!(end(text, cut.min(23)), Some(24), "{cut}");
    }
}
