//! docs/operations.md: it explains every metric, and every command in it does what it says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::{Etcd, Origin, Role, Seawall, Version, eventually, ok};

fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    std::fs::read_to_string(file).unwrap()
}

fn on_etcd(etcd: &Etcd) -> Role {
    let endpoint = etcd.endpoint(0);
    Role::control_plane_on(&format!(
        "store = \"etcd\"\nstate = \"state\"\n[control_plane.etcd]\nendpoints = [\"{endpoint}\"]\n"
    ))
}

/// The names that people graph; each must have its help.
fn names(metrics: &str) -> BTreeSet<String> {
    let mut helped = BTreeSet::new();
    let mut names = BTreeSet::new();
    for line in metrics.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] if help.trim().len() > 1 => drop(helped.insert(name)),
            ["#", "TYPE", name, kind] => {
                assert!(helped.contains(name), "{name} has no help");
                let end = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                assert!(name.starts_with("seawall_"), "{name}");
                names.insert(format!("{name}{end}"));
            }
            _ => {}
        }
    }
    names
}

#[test]
fn every_metric_has_help_and_is_explained() {
    // What has labels is there once it has happened.
    let origin = Origin::start();
    origin.says(
        "/a",
        ok("a".repeat(4_000))
            .field("content-type", "text/plain")
            .max_age(60),
    );
    let seawall = Seawall::run_site(&origin, "[site.cache]\ncompress = [\"gzip\"]");
    seawall.get_with("/a", &[("accept-encoding", "gzip")]);
    seawall.purge(json!({"all": true}));
    eventually("the request is counted", || {
        seawall.metric("seawall_requests_total") == 1.0
    });
    let mut found = names(&seawall.metrics());
    let Some(etcd) = Etcd::start(Version::V3_4, 1) else {
        return;
    };
    let plane = on_etcd(&etcd);
    eventually("the control plane is ready", || {
        plane.admin_get("/readyz").status == 200
    });
    found.extend(names(&plane.admin_get("/metrics").text()));
    let page = page();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `seawall_"));
    let named = rows.map(|row| format!("seawall_{}", row.split('`').next().unwrap()));
    let explained: BTreeSet<_> = named.collect();
    let missing: Vec<_> = found.difference(&explained).collect();
    let invented: Vec<_> = explained.difference(&found).collect();
    assert_eq!((missing, invented), (vec![], vec![]));
}

/// What follows a `$` on the page.
fn commands(page: &str) -> Vec<&str> {
    let lines = page.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix("$ ")).collect()
}

#[test]
fn every_command_does_what_the_page_says_also_after_a_restore() {
    let Some(mut etcd) = Etcd::start(Version::V3_4, 1) else {
        return;
    };
    let plane = on_etcd(&etcd);
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(60));
    plane.put_site("old", &origin);
    let edge = Role::edge_named("fra1-a", &plane);
    edge.eventually_serves("old.test");

    let page = page();
    let mut commands = commands(&page).into_iter();
    // As it stands but for where things are.
    let run = |command: &str| {
        let path = Path::new(env!("CARGO_BIN_EXE_seawall")).parent().unwrap();
        let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
        let server = format!("http://{}", plane.admin());
        let command = command
            .replace("http://127.0.0.1:9080", &server)
            .replace("/var/backups/seawall/", "")
            .replace("control-plane.toml", "seawall.toml");
        let output = Command::new("sh")
            .args(["-c", &command])
            .env("PATH", path)
            .env("SEAWALL_SERVER", server)
            .current_dir(plane.state().parent().unwrap())
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        println!("$ {command}\n{text}");
        (output.status.code(), text.into_owned())
    };
    let mut next = |expect: &str, parts: &[&str]| {
        let command = commands.next().unwrap_or("the page is at its end");
        assert!(command.contains(expect), "{command}: {expect} was to come");
        eventually(command, || {
            let (code, text) = run(command);
            code == Some(0) && parts.iter().all(|part| text.contains(part))
        });
    };
    next("seawall edges", &["1 edge: 1 live;", "fra1-a"]);
    next("-X DELETE", &[]);
    next("seawall origins", &["0 seen in trouble"]);
    let backup = etcd.backup();
    plane.put_site("late", &origin);
    edge.eventually_serves("late.test");
    next("seawall export", &["2 sites written"]);
    next("--dry-run", &["2 as they are there already: late, old"]);
    next("seawall import", &["nothing was written"]);
    next("--replace", &["nothing was written"]);

    etcd.restore(&backup);
    next("readyz", &["raise the epoch"]);
    edge.get("late.test").is("HIT", "a");
    next("--raise-epoch", &["The epoch is now"]);
    eventually("the control plane takes it", || {
        plane.admin_get("/readyz").status == 200
    });
    next("--dry-run", &["+ late", "1 as it is there already: old"]);
    next("seawall import", &["written, revision"]);
    next("seawall edges", &["1 edge: 1 live;"]);
    edge.eventually_serves("late.test");
    assert_eq!(commands.next(), None, "no command is left out");
}
