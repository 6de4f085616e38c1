//! Behind load balancers: whose word is taken for where a client is, and how many connections it may have.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::support::{Connection, Origin, Response, Role, eventually, ok};

const SITE_FIELDS: [(&str, &str); 1] = [("host", "a.test")];

struct World {
    origin: Origin,
    plane: Role,
}

impl World {
    fn start() -> Self {
        let (origin, plane) = (Origin::start(), Role::control_plane());
        let site =
            json!({"hosts": ["a.test"], "origin": origin.url(), "debug_from": ["192.0.2.0/24"]});
        plane.ask("PUT", "/v1/sites/a", &site);
        origin.says("/a", ok("a"));
        Self { origin, plane }
    }

    fn edge(&self, words: &str) -> Role {
        let edge = Role::edge_with(words, &self.plane);
        eventually("it follows", || edge.admin_get("/readyz").status == 200);
        edge
    }

    /// Whom the origin was told of.
    fn told(&self) -> String {
        let last = self.origin.last("/a");
        last.field("x-forwarded-for").unwrap_or_default().to_owned()
    }
}

/// A connection that begins like this.
fn connect(edge: &Role, from: [u8; 4], first: &[u8]) -> Connection {
    let mut connection = Connection::open_from(Ipv4Addr::from(from), edge.listen());
    connection.write(first);
    connection
}

fn ask(connection: &mut Connection, fields: &[(&str, &str)]) -> Response {
    connection.request("GET", "/a", &[&SITE_FIELDS[..], fields].concat(), b"")
}

#[test]
fn the_address_of_a_client_is_what_trusted_proxies_say() {
    let world = World::start();
    let by_field = world.edge("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n");
    let check = |from, fields: &[(&str, &str)], expect: &str| {
        let answer = ask(&mut connect(&by_field, from, b""), fields);
        assert_eq!(
            (answer.status, world.told().as_str()),
            (200, expect),
            "{fields:?}"
        );
        let sees = answer.cache_status().contains("key=");
        assert_eq!(
            sees,
            expect.starts_with("192.0.2."),
            "{}",
            answer.cache_status()
        );
    };
    let trusted = [127, 0, 0, 1];
    check(trusted, &[], "127.0.0.1");
    check(trusted, &[("x-forwarded-for", "192.0.2.7")], "192.0.2.7");
    check(
        trusted,
        &[("x-forwarded-for", "192.0.2.7, 198.51.100.1")],
        "198.51.100.1",
    );
    check(
        trusted,
        &[("x-forwarded-for", "192.0.2.7, 10.0.0.9")],
        "192.0.2.7",
    );
    check(trusted, &[("forwarded", "for=192.0.2.7")], "127.0.0.1");
    let stranger = [127, 0, 0, 2];
    check(stranger, &[("x-forwarded-for", "192.0.2.7")], "127.0.0.2");
    check(stranger, &[("x-real-ip", "192.0.2.7")], "127.0.0.2");
    assert_eq!(world.origin.last("/a").field("x-real-ip"), None);
    // There is nothing to announce where the protocol is off.
    let mut announced = connect(&by_field, trusted, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n");
    assert_eq!(ask(&mut announced, &[]).status, 400);
}

#[test]
fn the_proxy_protocol_is_spoken_by_trusted_proxies_alone() {
    let world = World::start();
    let words =
        "trusted_proxies = [\"127.0.0.1\"]\ntrusted_field = \"forwarded\"\nproxy_protocol = true\n";
    let edge = world.edge(words);
    let trusted = [127, 0, 0, 1];
    let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n";
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\x12\x67\0\x50";
    for (header, expect) in [(&line[..], "192.0.2.7"), (binary, "192.0.2.8")] {
        let mut connection = connect(&edge, trusted, header);
        for _ in 0..2 {
            assert_eq!(ask(&mut connection, &[]).status, 200);
            assert_eq!(world.told(), expect);
        }
        // Whom it passes on is no proxy of ours.
        ask(&mut connection, &[("forwarded", "for=192.0.2.9")]);
        assert_eq!(world.told(), expect);
    }
    let chained = b"PROXY TCP4 127.0.0.1 10.0.0.1 4711 80\r\n";
    ask(
        &mut connect(&edge, trusted, chained),
        &[("forwarded", "for=192.0.2.9")],
    );
    assert_eq!(world.told(), "192.0.2.9");
    let looks = b"PROXY UNKNOWN\r\n";
    ask(&mut connect(&edge, trusted, looks), &[]);
    assert_eq!(world.told(), "127.0.0.1");
    let asked = world.origin.requests("/a");
    let http = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for silent in [
        &http[..],
        b"PROXY TCP4 192.0.2.7\r\n",
        &[&line[..37], b"\n", http].concat(),
    ] {
        assert!(connect(&edge, trusted, silent).is_closed(), "{silent:?}");
    }
    // Others are no proxies: what they say is HTTP, or nothing.
    let mut stranger = connect(&edge, [127, 0, 0, 2], line);
    assert_eq!(ask(&mut stranger, &[]).status, 400);
    assert_eq!(world.origin.requests("/a"), asked);
    ask(&mut connect(&edge, [127, 0, 0, 2], b""), &[]);
    assert_eq!(world.told(), "127.0.0.2");
}

#[test]
fn a_client_has_as_many_connections_and_requests_as_the_edge_allows() {
    let world = World::start();
    let words = "connections_per_client_max = 2\nrequests_per_connection_max = 2\nidle_timeout = \"5s\"\n\
                 trusted_proxies = [\"127.0.0.3\"]\nproxy_protocol = true\n";
    let edge = world.edge(words);
    let client = [127, 0, 0, 2];
    let mut held = [connect(&edge, client, b""), connect(&edge, client, b"")];
    for connection in &mut held {
        assert_ne!(ask(connection, &[]).field("connection"), Some("close"));
    }
    let refused = edge.metric("seawall_connections_refused_total");
    assert!(connect(&edge, client, b"").is_closed(), "one too many");
    assert_eq!(
        edge.metric("seawall_connections_refused_total"),
        refused + 1.0
    );
    assert_eq!(edge.metric("seawall_connections"), 2.0);
    // Behind a proxy each is counted for itself, and all are no more than they would be without it.
    let line = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 4711 80\r\n");
    let proxy = [127, 0, 0, 3];
    let mut passed: Vec<_> = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"]
        .map(|client| connect(&edge, proxy, line(client).as_bytes()))
        .into();
    for connection in &mut passed {
        assert_eq!(ask(connection, &[]).status, 200);
    }
    assert!(connect(&edge, proxy, line("192.0.2.1").as_bytes()).is_closed());
    let [mut first, mut second] = held;
    assert_eq!(ask(&mut first, &[]).field("connection"), Some("close"));
    assert!(first.is_closed(), "it had its requests");
    assert!(second.is_closed(), "it was idle");
    eventually("all are gone", || edge.metric("seawall_connections") == 0.0);
}
