//! `seawall demo`, as somebody sees it who has just built it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::support::{Connection, Folder, Process, Response, eventually};

/// What the demo takes where nobody else has it.
const USUAL_PORTS: [u16; 8] = [8081, 8082, 8083, 9000, 9080, 9081, 9082, 9083];

#[test]
fn the_demo_is_ready_and_what_it_prints_works_as_it_is_printed() {
    let mut demo = Demo::start();
    assert_eq!(demo.edges().len(), 3, "{}", demo.addresses);
    let page = demo.command_with("curl -i");
    let first = demo.paste(&page);
    assert!(first.contains("200 OK"), "{first}");
    let second = demo.paste(&page);
    assert!(has_line(&second, "x-cache: hit"), "{second}");

    // A visitor may have asked for the page in between: then once more.
    let purge = demo.command_with("purge --tag");
    eventually("the next request after a purge is a miss", || {
        let receipt = demo.paste(&purge);
        assert!(
            receipt.contains("complete: every edge has carried it out"),
            "{receipt}"
        );
        let edges = ["edge-ams", "edge-nyc", "edge-sgp"];
        assert!(edges.iter().all(|edge| receipt.contains(edge)), "{receipt}");
        has_line(&demo.paste(&page), "x-cache: miss")
    });

    let listing = demo.paste(demo.command_with(" edges"));
    assert_eq!(listing.matches(" live ").count(), 3, "{listing}");

    // As the guide has it: one edge's process dies, the others serve on, and the receipt says who is missing.
    demo.paste(demo.command_with("kill -9"));
    let killed = demo.edges().pop().unwrap();
    eventually("it is gone", || !is_running(killed.pid));
    for edge in demo.edges().iter().take(2) {
        assert_eq!(edge.get("/pages/42").status, 200, "{}", edge.id);
    }
    eventually("the demo says so", || {
        demo.process
            .output()
            .contains(&format!("{} has ended", killed.id))
    });
    let output = demo.run(&format!("{purge} --timeout 500ms"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "one edge is missing: {said}");
    assert!(
        said.contains(&killed.id) && said.contains("pending"),
        "{said}"
    );

    demo.drains_and_leaves_nobody();
}

#[test]
fn taken_ports_are_replaced_and_the_demo_is_as_good() {
    let alone = alone();
    // Some of them; whoever has the others has them.
    let taken = USUAL_PORTS.iter().step_by(2);
    let taken: Vec<_> = taken
        .map(|port| TcpListener::bind(("127.0.0.1", *port)))
        .collect();
    let mut demo = Demo::start_alone(alone);
    for edge in demo.edges() {
        let answer = edge.get("/pages/1");
        assert_eq!(answer.status, 200, "{}: {}", edge.id, answer.text());
    }
    let listing = demo.paste(demo.command_with(" edges"));
    assert_eq!(listing.matches(" live ").count(), 3, "{listing}");
    drop(taken);
    demo.drains_and_leaves_nobody();
}

#[test]
fn a_killed_demo_leaves_nobody_behind() {
    let mut demo = Demo::start();
    let family = demo.family();
    demo.process.kill_9();
    eventually("every child is gone", || {
        family.iter().all(|pid| !is_running(*pid))
    });
    // And its folder can be used again.
    let state = demo.folder.path().join("state");
    fs::remove_file(state.join("addresses.json")).unwrap();
    demo.process = Process::start(&["demo", "--state", "state"], &demo.folder);
    demo.wait();
    demo.drains_and_leaves_nobody();
}

struct Demo {
    // Each looks for free ports before its children take them: side by side they would find the same ones.
    _alone: MutexGuard<'static, ()>,
    process: Process,
    folder: Folder,
    addresses: Value,
}

/// Held while one of these tests has the demo's ports.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Edge {
    id: String,
    listen: String,
    pid: u64,
}

impl Demo {
    fn start() -> Self {
        Self::start_alone(alone())
    }

    fn start_alone(alone: MutexGuard<'static, ()>) -> Self {
        let folder = Folder::new();
        let process = Process::start(&["demo", "--state", "state"], &folder);
        let mut demo = Self {
            _alone: alone,
            process,
            folder,
            addresses: Value::Null,
        };
        demo.wait();
        demo
    }

    /// Until it has said what to try.
    fn wait(&mut self) {
        eventually("the demo is up", || {
            assert_eq!(self.process.ended(), None, "the demo ended");
            let text =
                fs::read(self.folder.path().join("state/addresses.json")).unwrap_or_default();
            self.addresses = serde_json::from_slice(&text).unwrap_or_default();
            !self.addresses.is_null() && self.process.output().contains("Ctrl-C drains and stops")
        });
    }

    fn edges(&self) -> Vec<Edge> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let edge = |edge: &Value| Edge {
            id: text(&edge["id"]),
            listen: text(&edge["listen"]),
            pid: edge["pid"].as_u64().unwrap(),
        };
        self.addresses["edges"]
            .as_array()
            .unwrap()
            .iter()
            .map(edge)
            .collect()
    }

    /// The first of the printed commands with these words.
    fn command_with(&self, words: &str) -> String {
        let output = self.process.output();
        let mut lines = output
            .lines()
            .filter(|line| line.starts_with("  "))
            .map(str::trim);
        let command = lines.find(|line| line.contains(words) && !line.starts_with('#'));
        command
            .unwrap_or_else(|| panic!("nothing with {words:?} is printed:\n{output}"))
            .to_owned()
    }

    /// Pasted into a shell, it works; what it prints.
    #[track_caller]
    fn paste(&self, command: impl AsRef<str>) -> String {
        let output = self.run(command.as_ref());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {said}{wrong}",
            command.as_ref()
        );
        said
    }

    fn run(&self, command: &str) -> Output {
        // `seawall` is found, as where it is installed.
        let program = Path::new(env!("CARGO_BIN_EXE_seawall"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", program.parent().unwrap().display());
        Command::new("sh")
            .args(["-c", command])
            .env("PATH", path)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Its process, and those of all its children.
    fn family(&self) -> Vec<u64> {
        let own = u64::from(self.process.pid());
        let mut family = vec![own];
        for entry in fs::read_dir("/proc").unwrap() {
            let name = entry.unwrap().file_name();
            let Ok(pid) = name.to_str().unwrap().parse() else {
                continue;
            };
            if stat(pid).is_some_and(|stat| stat.parent == own) {
                family.push(pid);
            }
        }
        // A control plane, an origin, and the edges that are left.
        assert!(family.len() >= 5, "{family:?}");
        family
    }

    fn drains_and_leaves_nobody(&mut self) {
        let family = self.family();
        self.process.interrupt();
        assert_eq!(self.process.end().code(), Some(0));
        eventually("every child is gone", || {
            family.iter().all(|pid| !is_running(*pid))
        });
    }
}

impl Edge {
    fn get(&self, target: &str) -> Response {
        Connection::open(self.listen.parse().unwrap()).request("GET", target, &[], b"")
    }
}

struct Stat {
    state: char,
    parent: u64,
}

fn is_running(pid: u64) -> bool {
    // A zombie has ended; whoever started it has not asked yet.
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// proc(5): `pid (name) state parent …`, and the name may hold anything.
fn stat(pid: u64) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some(Stat {
        state: words.next()?.chars().next()?,
        parent: words.next()?.parse().ok()?,
    })
}

/// Whatever the case of the name.
fn has_line(text: &str, line: &str) -> bool {
    text.lines()
        .any(|found| found.trim().eq_ignore_ascii_case(line))
}
