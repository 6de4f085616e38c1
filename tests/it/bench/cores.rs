//! One thread that answers, beside two: what an answer costs, and how often a thread had to ask the kernel to wait for
//! another, or to wake it. Two that shared a lock would show it in both.

use std::process::Command;

use super::bare::origin;
use super::servers::Server;
use super::{median, row_of};

const ROUNDS: usize = 5;
const SECONDS: &str = "2";
const PATH: &str = "/1024/a";

struct Measured {
    per_second: f64,
    cpu_us: f64,
    /// System calls by which threads wait for each other, for a thousand answers.
    futexes: f64,
}

#[test]
#[ignore = "a figure, and a minute long: make hits"]
fn two_threads_beside_one() {
    let origin = origin(None);
    let servers = [
        ("one", Server::seawall(origin)),
        ("two", Server::seawall_on("0,1", origin)),
    ];
    let mut found = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for ((_, server), found) in servers.iter().zip(&mut found) {
            found.push(measure(server));
        }
    }
    for ((threads, _), found) in servers.iter().zip(&found) {
        let row = format!(
            "| {threads} | {:.0} | {:.1} | {:.2} |",
            median(found.iter().map(|it| it.per_second)),
            median(found.iter().map(|it| it.cpu_us)),
            median(found.iter().map(|it| it.futexes)),
        );
        row_of("CORES_ROWS", &row);
    }
}

/// The client has both cores: what it takes from the server does not count as the server's.
fn measure(server: &Server) -> Measured {
    let url = format!("http://{}{PATH}", server.clear);
    let ids: Vec<_> = server.ids().iter().map(u32::to_string).collect();
    let before = server.cpu_s();
    let counting = Command::new("perf")
        .args(["stat", "-x,", "-e", "syscalls:sys_enter_futex", "-p"])
        .arg(ids.join(","))
        .args(["--", "wrk", "-t1", "-c32", "-d", SECONDS, &url])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&counting.stdout);
    let counted = String::from_utf8_lossy(&counting.stderr);
    assert!(counting.status.success(), "perf: {counted}");
    let requests = number(&said, |line| {
        line.trim().split_once(" requests in")?.0.parse().ok()
    });
    let futexes = number(&counted, |line| line.split(',').next()?.parse().ok());
    Measured {
        per_second: requests / SECONDS.parse::<f64>().unwrap(),
        cpu_us: (server.cpu_s() - before) / requests * 1e6,
        futexes: futexes / requests * 1e3,
    }
}

fn number(said: &str, of: impl Fn(&str) -> Option<f64>) -> f64 {
    let found = said.lines().find_map(of);
    found.unwrap_or_else(|| panic!("{said}"))
}
