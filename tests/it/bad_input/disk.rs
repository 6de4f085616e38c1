//! A disk that takes nothing: full, or only to be read.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::ends;
use crate::support::{Folder, Origin, Seawall, eventually, ok};

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

/// A small disk in memory; gone when dropped.
struct Disk {
    // Before the folder below it is removed.
    mounted: Mounted,
    _folder: Folder,
}

struct Mounted(String);

impl Disk {
    /// None, said plainly, where this may not be done: only root can mount.
    fn mount(folder: &Folder, options: &str) -> Option<Self> {
        let path = folder.path().join("disk").to_str().unwrap().to_owned();
        fs::create_dir(&path).unwrap();
        let args = ["-t", "tmpfs", "-o", options, "tmpfs", &path];
        let mount = Command::new("mount").args(args).output();
        match mount {
            Ok(output) if output.status.success() => {}
            other => {
                println!("NOT TESTED: a full disk, because none can be mounted here: {other:?}");
                return None;
            }
        }
        Some(Self {
            mounted: Mounted(path),
            _folder: folder.clone(),
        })
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.mounted.0)
    }

    /// Until nothing more goes in.
    fn fill(&self) {
        let mut filler = File::create(self.path("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(Path::new(&self.path("filler"))).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // At once for us, and in the end when the last process has let go of it.
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}
