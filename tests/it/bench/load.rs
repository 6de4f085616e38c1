//! The load tool beside wrk and h2load: the same nginx, pinned alike, in turn, again and again. And what only an open loop
//! can say.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::median;
use super::servers::{CLIENT_CORE, CORE, pin};
use crate::load_tool::demo_origin;
use crate::nginx::server::Nginx;
use crate::support::Folder;

/// Short ones, and many: this machine is not as fast from one second to the next.
const ROUNDS: usize = 24;
const SECONDS: &str = "1";
const OPEN_ROUNDS: usize = 6;
const CONNECTIONS: &str = "32";
/// What an open loop has to send from one core.
const OPEN_RATE: &str = "20000";
/// Of a second, in /proc.
const TICKS: f64 = 100.0;

/// A generator, and what it says of requests a second.
struct Generator {
    name: &'static str,
    rate: fn(&str) -> f64,
}

const GENERATORS: [Generator; 3] = [
    Generator {
        name: "wrk",
        rate: wrk,
    },
    Generator {
        name: "h2load",
        rate: h2load,
    },
    Generator {
        name: "seawall loadtest",
        rate: ours,
    },
];

/// Answers at once: the generators are the limit, or near it.
#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn requests_per_second_beside_wrk_and_h2load() {
    beside("1 KiB from nginx", 1_024, "");
}

/// nginx looks at every byte: it is the limit, and all must say the same.
#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn a_busy_server_looks_the_same_to_all_generators() {
    // Not longer than nginx takes a word of its configuration for.
    let looked_for =
        ('a'..='w').flat_map(|letter| [2, 3].map(|count| letter.to_string().repeat(count)));
    let work: String = looked_for
        .map(|letters| format!("sub_filter '{letters}' 'y'; "))
        .collect();
    let busy = format!("sub_filter_once off; sub_filter_types *; {work}");
    beside("3 KiB from a busy nginx", 3_072, &busy);
}

/// Each round in another order, so that no generator always comes after the same one.
fn beside(what: &str, bytes: usize, words: &str) {
    let body = "x".repeat(bytes);
    let serves = format!(
        "location / {{ access_log off; keepalive_requests 100000000; {words} return 200 \"{body}\"; }}"
    );
    let folder = Folder::new();
    let nginx = Nginx::start(&folder, &serves);
    pin(&[], CORE, &nginx.id().to_string());
    let url = format!("{}/", nginx.url());
    let mut found = GENERATORS.map(|_| Vec::new());
    let mut cost = GENERATORS.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..GENERATORS.len() {
            let at = (round + turn) % GENERATORS.len();
            let before = children_cpu_s();
            let rate = (GENERATORS[at].rate)(&url);
            let seconds: f64 = SECONDS.parse().unwrap();
            found[at].push(rate);
            cost[at].push(rate * seconds / (children_cpu_s() - before));
        }
    }
    for ((generator, rates), per_core) in GENERATORS.iter().zip(&found).zip(&cost) {
        let name = generator.name;
        let (rate, of_cpu) = (
            median(rates.iter().copied()),
            median(per_core.iter().copied()),
        );
        let most = rates.iter().copied().fold(0.0, f64::max);
        super::row(&format!(
            "| closed loop, {what}, one core each: {name}, requests per second ({:.3} of wrk in the same round) | {ROUNDS} | {rate:.0} |  | {most:.0} |",
            of_first(rates, &found[0])
        ));
        super::row(&format!(
            "| the same, for each second of its own CPU ({:.2} of wrk) | {ROUNDS} | {of_cpu:.0} |  |  |",
            of_first(per_core, &cost[0])
        ));
    }
}

/// What the one makes of the other, round by round: then it does not matter how fast the machine was in each.
fn of_first(those: &[f64], first: &[f64]) -> f64 {
    median(those.iter().zip(first).map(|(one, first)| one / first))
}

/// How late the generator itself is.
#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn an_open_loop_of_one_core_keeps_its_schedule() {
    let body = "x".repeat(1_024);
    let serves = format!(
        "location / {{ access_log off; keepalive_requests 100000000; return 200 \"{body}\"; }}"
    );
    let folder = Folder::new();
    let nginx = Nginx::start(&folder, &serves);
    pin(&[], CORE, &nginx.id().to_string());
    let url = format!("{}/", nginx.url());
    let words = ["--rate", OPEN_RATE, "--duration", "5s", "--workers", "1"];
    let (mut lags, mut saturated) = (Vec::new(), 0);
    for _ in 0..OPEN_ROUNDS {
        let report = loadtest(&[&words[..], &[&url]].concat());
        saturated += usize::from(report["saturated"].as_bool().unwrap());
        let lag = &report["send_lag_us"];
        lags.push((lag["p99"].as_u64().unwrap(), lag["p50"].as_u64().unwrap()));
    }
    lags.sort_unstable();
    let ((p99, p50), (most, _)) = (lags[OPEN_ROUNDS / 2], lags[OPEN_ROUNDS - 1]);
    super::row(&format!(
        "| open loop, {OPEN_RATE} a second from one core: how late requests leave, of the round in the middle; its own check voids {saturated} | {OPEN_ROUNDS} | {p50}µs | {p99}µs | p99 {most}µs |"
    ));
}

/// 1,000 requests a second, and the server does nothing for one second in ten. Of all requests a tenth waits, evenly from
/// a second down to nothing: a share q above 0.9 waits (q - 0.9) / 0.1 seconds. Who waits for an answer before it asks
/// again sees a few of them only.
#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn a_stall_is_seen_as_arithmetic_predicts() {
    let (url, origin) = demo_origin("0ms");
    let url = format!("{url}/objects/1");
    let stalling = |generator: &dyn Fn() -> String| {
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    thread::sleep(Duration::from_secs(5));
                    origin.stop();
                    thread::sleep(Duration::from_secs(1));
                    origin.cont();
                    thread::sleep(Duration::from_secs(4));
                }
            });
            generator()
        })
    };
    let of = |report: &Value| {
        let miss = &report["classes"]["miss"];
        ["p90_us", "p99_us", "p999_us"].map(|word| miss[word].as_f64().unwrap() / 1e3)
    };
    let row = |what: &str, [p90, p99, p999]: [f64; 3]| {
        super::row(&format!(
            "| a server that stalls 1 s in 10: {what}: p90 {p90:.0} ms, p99 {p99:.0} ms, p99.9 {p999:.0} ms | 1 |  |  |  |"
        ));
    };
    row("arithmetic", [1.0, 900.0, 990.0]);
    let open = ["--rate", "1000", "--duration", "20s", &url];
    row(
        "seawall loadtest --rate 1000",
        of(&serde_json::from_str(&stalling(&|| ours_says(&open))).unwrap()),
    );
    let closed = ["--connections", CONNECTIONS, "--duration", "20s", &url];
    row(
        "seawall loadtest, closed loop",
        of(&serde_json::from_str(&stalling(&|| ours_says(&closed))).unwrap()),
    );
    let words = ["-t1", "-c", CONNECTIONS, "-d20s", "--latency", &url];
    let said = stalling(&|| run("wrk", &words));
    let tail: Vec<_> = said.lines().map(str::trim).collect();
    let at = |percent: &str| {
        let line = tail.iter().find(|line| line.starts_with(percent));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    super::row(&format!(
        "| the same, wrk: p90 {}, p99 {} | 1 |  |  |  |",
        at("90%"),
        at("99%")
    ));
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
    let words = ["--workers", "1", "--connections", CONNECTIONS];
    let report = loadtest(&[&words[..], &["--duration", &duration, url]].concat());
    assert_eq!(report["errors"], 0, "{report}");
    report["requests_per_second"].as_f64().unwrap()
}

fn loadtest(words: &[&str]) -> Value {
    serde_json::from_str(&ours_says(words)).unwrap()
}

fn ours_says(words: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_seawall");
    let json = ["loadtest", "--json", "-", "--quiet"];
    run(program, &[&json[..], words].concat())
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new("taskset")
        .args(["-c", CLIENT_CORE, program])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 3: seawall loadtest could not keep its schedule; it says how it went all the same.
    let ended = matches!(output.status.code(), Some(0 | 3));
    assert!(ended, "{program}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What all programs that this process has waited for have cost, in seconds.
fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks = rest.split_whitespace().skip(13).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / TICKS
}

fn number_in(said: &str, after: &str) -> f64 {
    let (_, rest) = said.split_once(after).unwrap();
    let number = rest.split_whitespace().next().unwrap();
    number.parse().unwrap()
}
