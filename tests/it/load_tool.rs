//! `seawall loadtest` as it is typed: what each mistake says, how a run ends, and what it leaves behind.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Folder, Origin, Process, Seawall, eventually, ok};

#[test]
fn every_end_has_its_exit_code_and_says_why() {
    let ((url, _origin), folder) = (demo_origin("0ms"), Folder::new());
    folder.write("typo.toml", "rate = 1.0\nduratoin = \"1s\"\n");
    folder.write("paths.toml", "rate = 1.0\n[workload]\npaths = [\"a\"]\n");
    folder.write("two.toml", "rate = 1.0\nconnections = 1\n");
    folder.write("other.json", "{}");
    let endless = "{\"time\":1,\"url\":\"/\"}\n{\"time\":1e300,\"url\":\"/\"}\n";
    folder.write("endless.log", endless);
    folder.write(
        "endless.toml",
        "workload.replay = { file = \"endless.log\" }\n",
    );
    let check = |words: &str, exit: i32, says: &str| {
        let words = words.replace("URL", &url);
        let words: Vec<_> = words.split(' ').collect();
        let output = loadtest(&folder, &words);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(exit), "{words:?}: {said}");
        assert!(said.contains(says), "{words:?}: {said}");
    };
    let short = "--connections 1 --duration 100ms";
    check(&format!("{short} URL"), 0, "0 errors");
    check(
        &format!("{short} --fail-unless p99<1us URL"),
        1,
        "does not hold: p99<1us: it is",
    );
    check(
        &format!("{short} --json missing/a.json URL"),
        2,
        "missing/a.json: No such file",
    );
    check("--speed 3 URL", 2, "unexpected argument '--speed'");
    check("--rate 0 URL", 2, "the rate is 0; allowed is");
    check("--rate 1 --connections 1 URL", 2, "cannot be used with");
    check("--fail-unless p99<20 URL", 2, "is no threshold: p99<20ms");
    check(
        "--plan typo.toml URL",
        2,
        "unknown field `duratoin`, expected one of",
    );
    check("--plan paths.toml URL", 2, "\"a\" is no path");
    check("--plan two.toml URL", 2, "say one of connections, rate");
    check("--plan missing.toml URL", 2, "missing.toml: No such file");
    check("merge other.json", 2, "other.json: no report");
    check("--plan endless.toml URL", 2, "the length of the log is");
    check("compare --pairs 2 URL URL", 2, "allowed is 10 to 1000");
    check("limit URL --slo fast", 2, "is no threshold");
    check("nowhere", 2, "http://host/path");
    check("https://127.0.0.1:1/", 2, "--cacert FILE");
    // Reserved for documentation: nothing is sent there.
    check("http://192.0.2.1/", 2, "say --i-own-this 192.0.2.1");
    check("http://127.0.0.1:1/", 4, "cannot be reached");
    check(
        "--rate 1000000 --workers 1 --duration 100ms --quiet URL",
        3,
        "SATURATED",
    );
}

#[test]
fn an_interrupted_run_still_writes_its_report() {
    let origin = Origin::start();
    origin.says("/", ok("here"));
    let folder = Folder::new();
    let url = origin.url();
    let words = [
        "--rate",
        "100",
        "--duration",
        "1h",
        "--json",
        "a.json",
        "--html",
        "a.html",
    ];
    let mut running = Process::start(&[&["loadtest"][..], &words[..], &[&url]].concat(), &folder);
    origin.wait_for("/", 20);
    running.interrupt();
    assert_eq!(running.end().code(), Some(130));
    let report = json(&folder.path().join("a.json"));
    assert!(report["requests"].as_u64() >= Some(20), "{report}");
    assert_eq!(report["errors"], 0, "{report}");
    let page = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert!(page.ends_with("</html>\n"), "{page}");
}

#[test]
fn reports_of_several_generators_are_one() {
    let origin = Origin::start();
    origin.says("/", ok("here"));
    let (folder, url) = (Folder::new(), origin.url());
    for file in ["one.json", "two.json"] {
        let run = loadtest(
            &folder,
            &[
                "--connections",
                "1",
                "--duration",
                "1s",
                "--json",
                file,
                &url,
            ],
        );
        assert!(run.status.success(), "{}", said(&run));
    }
    let files = [
        "one.json",
        "two.json",
        "--json",
        "both.json",
        "--html",
        "both.html",
    ];
    let merged = loadtest(&folder, &[&["merge"][..], &files[..]].concat());
    assert!(merged.status.success(), "{}", said(&merged));
    let [one, two, both] =
        ["one.json", "two.json", "both.json"].map(|file| json(&folder.path().join(file)));
    let count = |report: &Value| report["requests"].as_u64().unwrap();
    assert_eq!(count(&both), count(&one) + count(&two));
    let second = &both["intervals"][0]["classes"]["miss"]["count"];
    assert!(second.as_u64() > one["intervals"][0]["classes"]["miss"]["count"].as_u64());
    let page = std::fs::read_to_string(folder.path().join("both.html")).unwrap();
    assert!(page.contains("Latency over time: miss"), "{page}");
}

/// What an edge logged is asked again, as it was.
#[test]
fn our_own_access_log_is_replayed() {
    let origin = Origin::start();
    let folder = Folder::new();
    let log = folder.path().join("access.log");
    let seawall = Seawall::run_with(
        &[
            "--origin",
            &origin.url(),
            "--access-log",
            log.to_str().unwrap(),
        ],
        &folder,
    );
    for path in ["/a?b=c", "/d", "/a?b=c"] {
        origin.says(path, ok("here").max_age(60));
        assert_eq!(seawall.get(path).status, 200);
    }
    let lines = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .count()
    };
    eventually("the log is written", || lines() == 3);
    folder.write(
        "again.toml",
        "workload.replay = { file = \"access.log\", speed = 2.0 }\n",
    );
    let words = [
        "--plan",
        "again.toml",
        "--json",
        "again.json",
        &origin.url(),
    ];
    let run = loadtest(&folder, &words);
    // 3: this machine was too busy to send them on time. They were sent.
    assert!(matches!(run.status.code(), Some(0 | 3)), "{}", said(&run));
    assert_eq!(json(&folder.path().join("again.json"))["requests"], 3);
    assert_eq!((origin.requests("/a?b=c"), origin.requests("/d")), (3, 2));
}

#[test]
fn a_comparison_and_a_search_are_pages_too() {
    let origin = Origin::start();
    origin.says("/", ok("here"));
    let (folder, url) = (Folder::new(), origin.url());
    origin.says("/a", ok("a"));
    // A cold phase as long as a block: it comes before each.
    folder.write(
        "plan.toml",
        "connections = 1\ncold = \"50ms\"\nworkload.paths = [\"/a\"]\n",
    );
    let blocks = ["--pairs", "10", "--block", "50ms", "--plan", "plan.toml"];
    let words = [
        &["compare", &url, &url, "--html", "compare.html"][..],
        &blocks[..],
    ]
    .concat();
    let compared = loadtest(&folder, &words);
    assert!(compared.status.success(), "{}", said(&compared));
    assert!(origin.requests("/a") > 10);
    // A plan that names no path asks each for its own.
    folder.write("bare.toml", "connections = 1\n");
    let (one, other) = (format!("{url}/one"), format!("{url}/other"));
    origin.says("/one", ok("one"));
    origin.says("/other", ok("other"));
    let blocks = ["--pairs", "10", "--block", "50ms", "--plan", "bare.toml"];
    let compared = loadtest(&folder, &[&["compare", &one, &other][..], &blocks].concat());
    assert!(compared.status.success(), "{}", said(&compared));
    assert!(origin.requests("/one") > 10 && origin.requests("/other") > 10);
    // No server is as fast: no rate is low enough.
    let trials = ["--slo", "p50<1us", "--trial", "100ms", "--confirm", "100ms"];
    let words = [&["limit", &url, "--html", "limit.html"][..], &trials[..]].concat();
    let searched = loadtest(&folder, &words);
    assert_eq!(searched.status.code(), Some(1), "{}", said(&searched));
    let page = |file| std::fs::read_to_string(folder.path().join(file)).unwrap();
    // Chance may find a difference: but each of seven figures has a verdict.
    let compared = page("compare.html");
    let verdicts = ["a difference", "no difference seen", "too few requests"];
    let (_, rows) = compared.split_once("<tbody>").unwrap();
    let (rows, _) = rows.split_once("</table>").unwrap();
    let rows: Vec<_> = rows.split("<tr>").skip(1).collect();
    assert_eq!(rows.len(), 7, "{compared}");
    for row in rows {
        let (_, verdict) = row.rsplit_once('>').unwrap();
        assert!(verdicts.contains(&verdict), "{row}");
    }
    let searched = page("limit.html");
    assert!(searched.contains("no rate was confirmed"), "{searched}");
}

/// `script` gives it a terminal.
#[test]
fn a_terminal_shows_a_picture_that_makes_way_for_the_report() {
    let origin = Origin::start();
    origin.says("/", ok("here"));
    let (folder, program) = (Folder::new(), env!("CARGO_BIN_EXE_seawall"));
    let command = format!(
        "{program} loadtest --rate 50 --duration 2s {}",
        origin.url()
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = said(&output);
    for shown in ["Ctrl-C ends it", "last second", "hit ratio", "2 s of 2 s"] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    // The last picture is taken away before the report.
    let (_, report) = said.rsplit_once("\u{1b}[0J").unwrap();
    assert!(report.contains("requests per second"), "{said}");
    assert!(!report.contains("last second"), "{said}");
}

/// `seawall loadtest origin`, each of whose answers takes so long unless the request says otherwise.
pub fn demo_origin(latency: &str) -> (String, Process) {
    let folder = Folder::new();
    let words = ["loadtest", "origin", "--listen", "127.0.0.1:0"];
    let more = ["--latency", latency, "--state", "state"];
    let process = Process::start(&[&words[..], &more].concat(), &folder);
    let mut url = None;
    eventually("the origin serves", || {
        url = origin_in(&folder.path().join("state/addresses.json"));
        url.is_some()
    });
    (url.unwrap(), process)
}

fn origin_in(file: &Path) -> Option<String> {
    let addresses: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(addresses["origin"].as_str()?.to_owned())
}

fn loadtest(folder: &Folder, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .arg("loadtest")
        .args(words)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}
