//! A disk that takes nothing: full, or only to be read.

use std::fs::{self, File};

use serde_json::json;

use super::ends;
use crate::support::{Disk, Folder, Origin, Seawall, eventually, ok};

#[test]
fn a_full_disk_is_said_at_the_start() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&folder, "size=1m") else {
        return;
    };
    disk.fill();
    let state = disk.path("state");
    ends(
        &run(&state),
        &folder,
        1,
        &[&state, "No space left on device"],
    );
    // Room for the lock, and for little more.
    let filler = File::options().write(true).open(disk.path("filler"));
    let filler = filler.unwrap();
    filler
        .set_len(filler.metadata().unwrap().len() - 8 * 1024)
        .unwrap();
    ends(
        &run(&state),
        &folder,
        1,
        &[&state, "No space left on device"],
    );
}

#[test]
fn a_disk_that_can_only_be_read_is_said_at_the_start() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&folder, "size=1m,ro") else {
        return;
    };
    let state = disk.path("state");
    ends(
        &run(&state),
        &folder,
        1,
        &[&state, "--state", "Read-only file system"],
    );
}

#[test]
fn a_disk_that_fills_up_stops_changes_and_nothing_else() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&folder, "size=24m") else {
        return;
    };
    // Where the harness puts the state.
    std::os::unix::fs::symlink(disk.path("state"), folder.path().join("state")).unwrap();
    fs::create_dir(disk.path("state")).unwrap();
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let mut seawall = Seawall::run_with(&["--origin", &origin.url()], &folder);
    let site = |name: &str| json!({"hosts": [format!("{name}.test")], "origin": origin.url()});
    assert_eq!(
        seawall
            .api("PUT", "/v1/sites/before", Some(site("before")))
            .0,
        201
    );
    seawall.get("/a").is("MISS", "a");

    disk.fill();
    let mut number = 0;
    let mut refusal = json!(null);
    eventually("a change finds no room", || {
        number += 1;
        let name = format!("site-{number}");
        let (status, problem, _) =
            seawall.api("PUT", &format!("/v1/sites/{name}"), Some(site(&name)));
        refusal = problem;
        status >= 400
    });
    assert_eq!(refusal["status"], 503, "{refusal}");
    let refused = format!("/v1/sites/site-{number}");
    assert_eq!(
        seawall.api("GET", &refused, None).0,
        404,
        "what was refused is not there"
    );
    assert_eq!(seawall.api("GET", "/v1/sites/before", None).0, 200);
    seawall.get("/a").is("HIT", "a");
    println!("{} sites fitted; then: {refusal}", number - 1);

    disk.free();
    eventually("a change finds room again", || {
        matches!(
            seawall
                .api("PUT", &refused, Some(site(&format!("site-{number}"))))
                .0,
            200 | 201
        )
    });
    seawall.kill_9();
    seawall.restart();
    assert_eq!(seawall.api("GET", "/v1/sites/before", None).0, 200);
    assert_eq!(seawall.api("GET", &refused, None).0, 200);
}

fn run(state: &str) -> Vec<&str> {
    let free = "127.0.0.1:0";
    let mut args = vec!["run", "--origin", "http://127.0.0.1:9000", "--state", state];
    for flag in ["--listen", "--listen-tls", "--admin"] {
        args.extend([flag, free]);
    }
    args
}
