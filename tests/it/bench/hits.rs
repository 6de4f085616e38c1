//! Hits beside other caches: the same origin, the same clients, one core for the server and one for the client, one after
//! the other, again and again.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use tokio::net::TcpSocket;

use super::bare::origin;
use super::servers::{CLIENT_CORE, Server};
use super::{median, row_of};

const ROUNDS: usize = 5;
const SECONDS: u32 = 2;
const IDLE: usize = 10_000;
/// Clients are limited by their address: so many share one.
const IDLE_OF_ONE: usize = 2_000;
/// With less, the client was the bound.
const BUSY: f64 = 0.9;

/// What is asked of all of them.
struct Scenario {
    name: &'static str,
    over: Over,
    path: &'static str,
    field: Option<&'static str>,
    /// Every request is of another URL.
    anew: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Over {
    Clear,
    Tls,
    Http2,
}

struct Measured {
    per_second: f64,
    /// Of the server, user and system, for each request.
    cpu_us: f64,
    busy: f64,
}

const fn plain(name: &'static str, over: Over, path: &'static str) -> Scenario {
    Scenario {
        name,
        over,
        path,
        field: None,
        anew: false,
    }
}

const SCENARIOS: [Scenario; 12] = [
    plain("HTTP/1.1, 1 KiB", Over::Clear, "/1024/a"),
    plain("HTTP/1.1, 32 KiB", Over::Clear, "/32768/a"),
    plain("HTTP/1.1, 1 MiB", Over::Clear, "/1048576/a"),
    plain("HTTP/1.1 over TLS, 1 KiB", Over::Tls, "/1024/a"),
    plain("HTTP/1.1 over TLS, 32 KiB", Over::Tls, "/32768/a"),
    plain("HTTP/1.1 over TLS, 1 MiB", Over::Tls, "/1048576/a"),
    plain("HTTP/2 over TLS, 1 KiB", Over::Http2, "/1024/a"),
    plain("HTTP/2 over TLS, 32 KiB", Over::Http2, "/32768/a"),
    plain("HTTP/2 over TLS, 1 MiB", Over::Http2, "/1048576/a"),
    Scenario {
        field: Some("If-None-Match: \"one\""),
        ..plain("304", Over::Clear, "/32768/a")
    },
    Scenario {
        field: Some("Range: bytes=1000-2023"),
        ..plain("a range of 1 KiB", Over::Clear, "/32768/a")
    },
    Scenario {
        anew: true,
        ..plain("a miss, 1 KiB", Over::Clear, "/1024/miss")
    },
];

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn hits_beside_other_caches() {
    let origin = origin(Some(CLIENT_CORE));
    let servers = [
        Server::seawall(origin),
        Server::nginx(origin),
        Server::varnish(origin),
        Server::traffic_server(origin),
        Server::bare(1_024),
    ];
    for scenario in &SCENARIOS {
        // The bare one has one answer only.
        let is_limit = scenario.over == Over::Clear && scenario.path == "/1024/a";
        let asked = servers.iter().filter(|server| match server.is_a_cache() {
            true => scenario.over == Over::Clear || server.tls.is_some(),
            false => is_limit,
        });
        let asked: Vec<_> = asked.collect();
        let mut found: Vec<Vec<Measured>> = asked.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            for (server, found) in asked.iter().zip(&mut found) {
                found.push(measure(scenario, server, round));
            }
        }
        tell(scenario, &asked, &found);
    }
}

#[test]
#[ignore = "a figure, and minutes long: make hits"]
fn memory_of_idle_connections() {
    let origin = origin(Some(CLIENT_CORE));
    for server in [
        Server::seawall(origin),
        Server::nginx(origin),
        Server::varnish(origin),
        Server::traffic_server(origin),
    ] {
        let ask = |n: usize| {
            let mut stream = connect_from(n, server.clear);
            stream
                .write_all(b"GET /1024/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            let mut answer = [0; 4_096];
            let mut bytes = 0;
            while bytes < 1_024 {
                bytes += stream.read(&mut answer).unwrap();
            }
            stream
        };
        drop(ask(0));
        let before = server.resident_bytes();
        let idle: Vec<_> = (0..IDLE).map(ask).collect();
        let each = (server.resident_bytes() - before) as f64 / 1_024.0 / IDLE as f64;
        drop(idle);
        let row = format!(
            "| {IDLE} idle HTTP/1.1 connections, each after one hit | {} | {each:.1} KiB |",
            server.name
        );
        row_of("IDLE_ROWS", &row);
    }
}

/// From an address that few share.
fn connect_from(n: usize, to: SocketAddr) -> TcpStream {
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(n / IDLE_OF_ONE).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let stream = runtime.unwrap().block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

/// A row for each server; ratios are to nginx.
fn tell(scenario: &Scenario, servers: &[&Server], found: &[Vec<Measured>]) {
    let nginx = servers.iter().position(|server| server.name == "nginx");
    let base = nginx.map_or(1.0, |at| median(found[at].iter().map(|it| it.per_second)));
    for (server, found) in servers.iter().zip(found) {
        let per_second = median(found.iter().map(|it| it.per_second));
        let each = || found.iter().map(|it| it.per_second);
        let (least, most) = (each().fold(f64::MAX, f64::min), each().fold(0.0, f64::max));
        let busy = median(found.iter().map(|it| it.busy));
        let bound = if busy < BUSY { "the client" } else { "" };
        let row = format!(
            "| {} | {} | {per_second:.0} ({least:.0} to {most:.0}) | {:.2} | {:.1} | {bound} |",
            scenario.name,
            server.name,
            per_second / base,
            median(found.iter().map(|it| it.cpu_us)),
        );
        row_of("HITS_ROWS", &row);
    }
}

fn measure(scenario: &Scenario, server: &Server, round: usize) -> Measured {
    let before = server.cpu_s();
    let per_second = match scenario.over {
        Over::Clear => wrk(scenario, &format!("http://{}", server.clear), round),
        Over::Tls => wrk(scenario, &format!("https://{}", server.tls.unwrap()), round),
        Over::Http2 => h2load(&format!("https://{}{}", server.tls.unwrap(), scenario.path)),
    };
    let used = server.cpu_s() - before;
    let seconds = f64::from(SECONDS);
    Measured {
        per_second,
        cpu_us: used / (per_second * seconds) * 1e6,
        busy: used / seconds,
    }
}

fn wrk(scenario: &Scenario, url: &str, round: usize) -> f64 {
    let seconds = SECONDS.to_string();
    let mut arguments = vec!["-t1", "-c32", "-d", &seconds];
    if let Some(field) = scenario.field {
        arguments.extend(["-H", field]);
    }
    let script = std::env::temp_dir().join(format!("seawall-bench-{}.lua", std::process::id()));
    let script = script.to_str().unwrap().to_owned();
    if scenario.anew {
        let text = format!(
            "local n = 0\nrequest = function()\n  n = n + 1\n  return wrk.format(\"GET\", \"{}/{round}/\" .. n)\nend\n",
            scenario.path
        );
        std::fs::write(&script, text).unwrap();
        arguments.extend(["-s", &script]);
    }
    let url = format!("{url}{}", scenario.path);
    arguments.push(&url);
    let said = run("wrk", &arguments);
    assert!(
        !said.contains("Non-2xx") || scenario.field.is_some(),
        "{url}: {said}"
    );
    number_in(&said, "Requests/sec:")
}

fn h2load(url: &str) -> f64 {
    let seconds = SECONDS.to_string();
    let said = run("h2load", &["-t1", "-c8", "-m8", "-D", &seconds, url]);
    let line = said.lines().find(|line| line.starts_with("finished in"));
    let statuses = said.lines().find(|line| line.starts_with("status codes:"));
    assert!(statuses.unwrap().contains("0 4xx, 0 5xx"), "{said}");
    number_in(line.unwrap(), ", ")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new("taskset")
        .args(["-c", CLIENT_CORE, program])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {said}");
    said
}

fn number_in(said: &str, after: &str) -> f64 {
    let (_, rest) = said.split_once(after).unwrap_or_else(|| panic!("{said}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
