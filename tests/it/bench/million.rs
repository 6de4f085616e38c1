//! One purge of a tag that a million objects have: in force at once, and what it takes from others while their memory is
//! given back.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bare::origin;
use super::{figure, row};
use crate::support::{Role, within};

const OBJECTS: f64 = 1_000_000.0;
/// Filling an edge with them takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);
const RATE: &str = "2000";
/// A sweep begins up to ten seconds after the purge.
const MEASURED: &str = "30s";
/// Of those, before the purge.
const QUIET: Duration = Duration::from_secs(3);

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn a_tag_of_a_million_objects() {
    let plane = Role::control_plane();
    let site = json!({"hosts": ["127.0.0.1"], "origin": format!("http://{}", origin(None))});
    plane.ask("PUT", "/v1/sites/a", &site);
    let edge = Role::edge(&plane);
    within(PATIENCE, "it serves", || {
        edge.get("127.0.0.1").status == 200
    });
    let mut rounds = 0;
    within(PATIENCE, "it holds a million objects", || {
        fill(&edge, rounds);
        rounds += 1;
        edge.metric("seawall_cache_objects") >= OBJECTS
    });

    let quiet = p99_us(&edge, || ());
    let mut receipt = Duration::ZERO;
    let purged = p99_us(&edge, || {
        thread::sleep(QUIET);
        let began = Instant::now();
        let said = plane.ask(
            "POST",
            "/v1/purges?wait=complete",
            &json!({"tags": ["everything"]}),
        );
        receipt = began.elapsed();
        assert_eq!(said["state"], "complete", "{said}");
    });
    figure(
        "the receipt of a purge of a tag that 1,000,000 objects have",
        &[receipt],
    );
    within(PATIENCE, "the memory is given back", || {
        edge.metric("seawall_cache_objects") < OBJECTS / 100.0
    });
    for (when, p99) in [("before it", quiet), ("around it", purged)] {
        row(&format!(
            "| hits at {RATE} a second {when}, over {MEASURED} |  |  | {p99}µs |  |"
        ));
    }
}

/// As many new objects as ten seconds bring.
fn fill(edge: &Role, round: usize) {
    let script = std::env::temp_dir().join(format!("seawall-million-{}.lua", std::process::id()));
    let text = format!(
        "local n = 0\nrequest = function()\n  n = n + 1\n  return wrk.format(\"GET\", \"/64/{round}/\" .. n)\nend\n"
    );
    std::fs::write(&script, text).unwrap();
    let filled = Command::new("wrk")
        .args(["-t1", "-c32", "-d10", "-s"])
        .arg(&script)
        .arg(format!("http://{}/", edge.listen()))
        .output()
        .unwrap();
    assert!(filled.status.success());
}

/// Of hits of one object, open loop, while something is done.
fn p99_us(edge: &Role, meanwhile: impl FnOnce()) -> u64 {
    let load = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args([
            "loadtest",
            "--rate",
            RATE,
            "--duration",
            MEASURED,
            "--json",
            "-",
            "--quiet",
        ])
        .arg(format!("http://{}/64/hot", edge.listen()))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    meanwhile();
    let said = load.wait_with_output().unwrap().stdout;
    let report: Value = serde_json::from_slice(&said).unwrap();
    let p99 = report["classes"]["hit"]["p99_us"].as_f64().unwrap();
    p99 as u64
}
