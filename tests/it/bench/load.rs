//! The load tool beside wrk and h2load: the same nginx, pinned alike, one after the other, again and again.

use std::process::Command;

use serde_json::Value;

use crate::nginx::server::Nginx;
use crate::support::Folder;

const ROUNDS: usize = 5;
const CONNECTIONS: &str = "32";
const SECONDS: &str = "3";

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn requests_per_second_beside_wrk_and_h2load() {
    let body = "x".repeat(1_024);
    let serves = format!(
        "location / {{ access_log off; keepalive_requests 100000000; return 200 \"{body}\"; }}"
    );
    let folder = Folder::new();
    let nginx = Nginx::start(&folder, &serves);
    pin(nginx.id());
    let url = format!("{}/", nginx.url());
    let generators: [(&str, &dyn Fn() -> f64); 3] = [
        ("wrk", &|| wrk(&url)),
        ("h2load", &|| h2load(&url)),
        ("seawall loadtest", &|| ours(&url)),
    ];
    let mut found = generators.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, generator), found) in generators.iter().zip(&mut found) {
            found.push(generator());
        }
    }
    for ((name, _), mut rates) in generators.into_iter().zip(found) {
        rates.sort_by(f64::total_cmp);
        let (median, most) = (rates[ROUNDS / 2], rates[ROUNDS - 1]);
        super::row(&format!(
            "| closed loop, 1 KiB from nginx, one core each: {name}, requests per second | {ROUNDS} | {median:.0} |  | {most:.0} |"
        ));
    }
}

fn wrk(url: &str) -> f64 {
    let said = run("wrk", &["-t1", "-c", CONNECTIONS, "-d", SECONDS, url]);
    number_in(&said, "Requests/sec:")
}

fn h2load(url: &str) -> f64 {
    let said = run(
        "h2load",
        &["--h1", "-t1", "-c", CONNECTIONS, "-D", SECONDS, url],
    );
    // finished in 3.00s, 12345.67 req/s, 1.2MB/s
    let line = said.lines().find(|line| line.starts_with("finished in"));
    number_in(line.unwrap(), ", ")
}

fn ours(url: &str) -> f64 {
    let duration = format!("{SECONDS}s");
    let program = env!("CARGO_BIN_EXE_seawall");
    let words = ["loadtest", "--workers", "1", "--connections", CONNECTIONS];
    let more = ["--duration", &duration, "--json", "-", "--quiet", url];
    let said = run(program, &[&words[..], &more].concat());
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["errors"], 0, "{said}");
    report["requests_per_second"].as_f64().unwrap()
}

/// On the first core; nginx has the second.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new("taskset")
        .args(["-c", "0", program])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn pin(id: u32) {
    let pinned = Command::new("taskset")
        .args(["-p", "-c", "1", &id.to_string()])
        .output();
    assert!(pinned.unwrap().status.success());
}

fn number_in(said: &str, after: &str) -> f64 {
    let (_, rest) = said.split_once(after).unwrap();
    let number = rest.split_whitespace().next().unwrap();
    number.parse().unwrap()
}
