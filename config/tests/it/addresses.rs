//! Origin URLs, hosts and paths: which are taken, and what is said of the others.

use seawall_config::Site;
use serde_json::json;

use crate::site_with;

#[test]
fn an_origin_is_a_scheme_a_host_and_a_port() {
    let check = |url: &str, expect: &str| {
        let said = match Site::from_document(&site_with("origin", json!(url))) {
            Ok(site) => {
                let server = &site.origin.servers[0];
                format!("{} {} {}", server.tls, server.host, server.port)
            }
            Err(problems) => problems.0[0].message.clone(),
        };
        assert_eq!(said, expect, "{url}");
    };
    check("http://127.0.0.1:9000", "false 127.0.0.1 9000");
    check("HTTPS://Origin.Example/", "true origin.example 443");
    check("http://localhost", "false localhost 80");
    check("http://[::1]:81", "false ::1 81");
    check("http://10.0.0.1", "false 10.0.0.1 80");
    check(
        "127.0.0.1:9000",
        "\"127.0.0.1:9000\" has no scheme; write \"http://127.0.0.1:9000\"",
    );
    check(
        "ftp://a",
        "the scheme is \"ftp\"; an origin speaks http or https",
    );
    check(
        "http://a/b?c",
        "has a path or a query; the client's are sent, so write \"http://a\"",
    );
    check(
        "http://a?c",
        "has a path or a query; the client's are sent, so write \"http://a\"",
    );
    check(
        "http://me:secret@a",
        "has a user or password; an origin URL has none",
    );
    check("http://", "names no host");
    check("http://:80", "names no host");
    check("http://a:0", "\"0\" is not a port; 1 to 65535 are");
    check("http://a:65536", "\"65536\" is not a port; 1 to 65535 are");
    check("http://a:+80", "\"+80\" is not a port; 1 to 65535 are");
    check("http://a:", "\"\" is not a port; 1 to 65535 are");
    check("http://::1", "write an IPv6 address in brackets: \"[::1]\"");
    check("http://[::1", "\"[::1\" lacks its closing ]");
    check("http://[::1]x", "\"x\" follows the address");
    check(
        "http://[fe80::1%eth0]",
        "\"fe80::1%eth0\" is not an IPv6 address",
    );
    check("http://a b", "\"a b\" is not a host name or address");
    check(
        "http://ä.example",
        "\"ä.example\": write the ASCII form of the name (xn--…), as it is sent",
    );
}

#[test]
fn an_origin_is_never_where_clouds_keep_secrets_however_it_is_spelt() {
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[fe80::1]",
        "[febf::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
        // What a resolver would read as 169.254.169.254.
        "2852039166",
        "0xa9fea9fe",
        "0xA9.254.169.254",
        "169.254.43518",
        "0251.0376.0251.0376",
        "169.254.169.0xfe",
        "169.254.169.254.",
    ] {
        assert!(
            seawall_config::site::server(&format!("http://{host}")).is_err(),
            "{host}"
        );
    }
}

#[test]
fn a_host_is_written_without_scheme_port_and_path() {
    let check = |host: &str, expect: &str| {
        let said = match Site::from_document(&site_with("hosts", json!([host]))) {
            Ok(site) => site.hosts[0].to_string(),
            Err(problems) => problems.0[0].message.clone(),
        };
        assert_eq!(said, expect, "{host}");
    };
    check("*", "*");
    check("*.Example.COM", "*.example.com");
    check("WWW.example.com", "www.example.com");
    check("127.0.0.1", "127.0.0.1");
    check("[0:0::1]", "[::1]");
    check(
        "a.example:8080",
        "\"a.example:8080\" has a port; every port is meant, so write \"a.example\"",
    );
    check(
        "[::1]:80",
        "\"[::1]:80\" has a port; every port is meant, so write \"[::1]\"",
    );
    check("::1", "write an IPv6 address in brackets: \"[::1]\"");
    check(
        "http://a.example/b",
        "\"http://a.example/b\" has a scheme; write the host alone: \"a.example\"",
    );
    check(
        "a.example/b",
        "\"a.example/b\" has a path; write the host alone: \"a.example\" (paths go into [[site.rule]])",
    );
    check(
        "a*.example",
        "\"a*.example\": `*` stands alone or for the first labels, as in \"*.example.com\"",
    );
    check(
        "*.*.example",
        "\"*.*.example\": `*` stands alone or for the first labels, as in \"*.example.com\"",
    );
    check(
        "*.10.0.0.1",
        "\"*.10.0.0.1\": an address has nothing below it",
    );
    check("*.", "names no host");
    check("a..b", "\"a..b\" is not a host name or address");
    check(
        "a.example.",
        "\"a.example.\" ends in a dot; write \"a.example\"",
    );
    check("me@a", "\"me@a\" is not a host name or address");
}

#[test]
fn a_rules_path_is_one_a_request_could_have() {
    let check = |path: &str, expect: &str| {
        let site = Site::from_document(&site_with("rule", json!([{"path": path}])));
        let said = site.map_or_else(
            |problems| problems.0[0].message.clone(),
            |site| site.rules[0].path.0.clone(),
        );
        assert_eq!(said, expect, "{path}");
    };
    check("/a/*.jpg", "/a/*.jpg");
    check("*", "*");
    check(
        "a/*",
        "\"a/*\" begins with neither `/` nor `*`; write \"/a/*\"",
    );
    check(
        "/a?b",
        "\"/a?b\": a rule looks at the path alone; leave out the query",
    );
    check(
        "/a b",
        "' ' never stands in a request's path; percent-encode it, as browsers do",
    );
    check(
        "/é",
        "'é' never stands in a request's path; percent-encode it, as browsers do",
    );
}
