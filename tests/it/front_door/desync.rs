//! Requests that hide another one, where edge and origin might not agree on where the first ends: what the client is
//! told, and what the origin sees.

use crate::support::{Origin, Seawall, ok};

use super::HIDDEN;

/// It hides in a body, so nobody runs it.
#[test]
fn a_body_is_a_body_whatever_the_method_and_whatever_is_stored() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(600));
    origin.says("/hidden", ok("stolen"));
    seawall
        .get_with("/a", &[("host", "a.test")])
        .is("MISS", "a");
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
        for (framing, body) in [
            (
                format!("Content-Length: {}", HIDDEN.len()),
                HIDDEN.to_owned(),
            ),
            ("Transfer-Encoding: chunked".to_owned(), chunk.clone()),
        ] {
            let mut connection = seawall.connect();
            let head = format!("{method} /a HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n");
            connection.write([head.as_str(), &body].concat());
            let answer = connection.answer(method);
            assert_eq!(
                (answer.status, answer.x_cache()),
                (200, "BYPASS"),
                "{method} {framing}"
            );
            assert_eq!(origin.last("/a").text(), HIDDEN, "{method} {framing}");
            // The connection is where the client thinks it is.
            let next = connection.request("GET", "/a", &[("host", "a.test")], b"");
            assert_eq!(
                (next.status, next.text().as_str()),
                (200, "a"),
                "{method} {framing}"
            );
        }
    }
    assert_eq!(origin.requests("/hidden"), 0);
}

/// Nothing frames it, so it is a request of its own, whoever reads it.
#[test]
fn without_a_length_there_is_no_body() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a"));
    origin.says("/hidden", ok("asked for"));
    for method in ["GET", "POST", "OPTIONS", "DELETE"] {
        let mut connection = seawall.connect();
        connection.write(
            [
                format!("{method} /a HTTP/1.1\r\nHost: a.test\r\n\r\n").as_str(),
                HIDDEN,
            ]
            .concat(),
        );
        assert_eq!(connection.answer(method).status, 200, "{method}");
        assert_eq!(connection.answer("GET").text(), "asked for", "{method}");
        let seen = origin.last("/a");
        assert_eq!(
            (seen.text().as_str(), seen.field("transfer-encoding")),
            ("", None),
            "{method}"
        );
        // HTTP/1.0 has one request to a connection, and what follows it is not run.
        let asked = origin.requests("/hidden");
        let mut connection = seawall.connect();
        connection.write(
            [
                format!("{method} /a HTTP/1.0\r\nHost: a.test\r\n\r\n").as_str(),
                HIDDEN,
            ]
            .concat(),
        );
        assert_eq!(connection.answer(method).status, 200, "{method}");
        assert!(connection.is_closed(), "{method}");
        assert_eq!(origin.requests("/hidden"), asked, "{method}");
    }
}

#[test]
fn nothing_is_raw_before_the_origin_has_agreed() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("no socket here"));
    origin.says("/hidden", ok("asked for"));
    let wish =
        "GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut connection = seawall.connect();
    connection.write([wish, HIDDEN].concat());
    assert_eq!(connection.answer("GET").status, 200);
    // What came behind it is HTTP, and has been read as that: the edge asked, and said so.
    assert_eq!(connection.answer("GET").text(), "asked for");
    assert_eq!(origin.last("/hidden").field("via"), Some("1.1 edge-1"));
    let mut connection = seawall.connect();
    connection.write([wish, "\x01raw\r\n\r\n"].concat());
    assert_eq!(connection.answer("GET").status, 200);
    assert_eq!(connection.answer("GET").status, 400);
    assert!(connection.is_closed());
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn the_origin_is_asked_in_one_form_for_one_host() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a?b", ok("a"));
    let host = origin.url().replace("http://", "");
    for head in [
        "GET http://a.test/a?b HTTP/1.1\r\nHost: a.test\r\n",
        "GET HTTP://A.test:80/a?b HTTP/1.1\r\nHost: A.test:80\r\n",
        "GET /a?b HTTP/1.1\r\nhOsT:a.test\r\n",
        "\r\nGET /a?b HTTP/1.1\r\nHost: a.test\r\n",
        "POST /a?b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n",
    ] {
        let mut connection = seawall.connect();
        connection.write(format!("{head}\r\n"));
        assert_eq!(connection.answer("GET").status, 200, "{head:?}");
        let seen = origin.last("/a?b");
        let hosts = seen.fields.iter().filter(|(name, _)| name == "host");
        let hosts: Vec<_> = hosts.map(|(_, value)| value.as_str()).collect();
        assert_eq!(hosts, [host.as_str()], "{head:?}");
    }
}

/// What PortSwigger, RFC 7239 and many frameworks know by which a request says that it is another than it is.
const SAYS_OTHERWISE: [&str; 34] = [
    "Forwarded",
    "Front-End-Https",
    "Proxy",
    "Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Real-IP",
    "X-Remote-Addr",
    "X-Remote-IP",
    "X-Forwarded",
    "X-Forwarded-By",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-SSL",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-URL-Scheme",
    "Surrogate-Capability",
];

#[test]
fn what_no_key_covers_does_not_reach_the_origin() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for (n, name) in SAYS_OTHERWISE.into_iter().enumerate() {
        for method in ["GET", "POST"] {
            let target = format!("/{method}-{n}");
            origin.says(&target, ok("a").max_age(60));
            let fields = [("host", "a.test"), (name, "evil.test")];
            assert_eq!(
                seawall.request(method, &target, &fields, b"").status,
                200,
                "{name}"
            );
            let seen = origin.last(&target);
            let evil = seen
                .fields
                .iter()
                .filter(|(_, value)| value.contains("evil"));
            assert_eq!(evil.count(), 0, "{name} in a {method}");
        }
        // Nor may it be nominated away, so that another hop's word is lost.
        let hop = [("host", "a.test"), ("connection", name)];
        if name.starts_with("X-Forwarded") || name == "Forwarded" {
            assert_eq!(seawall.get_with("/GET-0", &hop).status, 400, "{name}");
        }
    }
}
