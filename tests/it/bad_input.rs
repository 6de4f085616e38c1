//! What is wrong is refused: it is said what, where, and what to do, and nothing has changed.

mod api;
mod disk;

use std::net::TcpListener;

use crate::support::{Folder, Origin, Process, Seawall, ok};

const GOOD: &str =
    "[[site]]\nname = \"good\"\nhosts = [\"*\"]\norigin = \"http://127.0.0.1:9000\"\n";

#[test]
fn a_bad_file_ends_it_with_64_before_anything_is_touched() {
    let check = |text: &[u8], says: &[&str]| {
        for command in [
            &["run", "--config", "sites.toml"][..],
            &["site", "check", "sites.toml"],
        ] {
            let folder = Folder::new();
            folder.write("sites.toml", text);
            ends(command, &folder, 64, &[&["sites.toml"], says].concat());
            assert!(
                !folder.path().join("seawall-state").exists(),
                "{command:?} touched its state"
            );
        }
    };
    let site = |line: &str| format!("{GOOD}{line}\n").into_bytes();
    check(b"[[site]\n", &["1 | [[site]", "^"]);
    check(
        b"[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigin = \"127.0.0.1:9000\"\n",
        &[
            "has no scheme; write \"http://127.0.0.1:9000\"",
            "4 | origin = ",
            "^^^^^^^^^^^^^^^^",
        ],
    );
    check(
        &site("[site.cache]\ndefault_tll = \"60s\""),
        &[
            "site[0].cache.default_tll",
            "did you mean \"default_ttl\"?",
            "6 | default_tll",
            "^^^",
        ],
    );
    check(&site("orign = 1"), &["did you mean \"origin\"?"]);
    check(
        &site(&GOOD.replace("good", "other")),
        &["is taken at site[0].hosts[0]"],
    );
    check(
        &site("on_partition = \"hope\""),
        &["\"serve\", \"revalidate\", \"refuse\""],
    );
    check(b"\xFF\xFE", &["not UTF-8"]);
    // Everything at once.
    check(&site("orign = 1\non_partition = 2"), &["2 problems"]);
}

#[test]
fn a_bad_command_line_ends_it_with_2_and_says_what_it_wants() {
    let check = |line: &str, says: &[&str]| {
        let args: Vec<_> = line.split(' ').collect();
        ends(&args, &Folder::new(), 2, says);
    };
    check(
        "run --origin 127.0.0.1:9000",
        &["--origin", "has no scheme; write \"http://127.0.0.1:9000\""],
    );
    check(
        "run --origin http://127.0.0.1:9000/path?query",
        &["--origin"],
    );
    check(
        "run --origni http://127.0.0.1:9000",
        &["--origni", "--origin"],
    );
    check("run", &["--origin", "--config", "seawall demo"]);
    check(
        "run --origin http://127.0.0.1:9000 --listen here",
        &["--listen", "here"],
    );
    check(
        "run --origin http://127.0.0.1:9000 --admin 0.0.0.0:9080",
        &["--admin", "loopback"],
    );
    check(
        "run --origin http://127.0.0.1:9000 --cache-bytes lots",
        &["--cache-bytes", "lots"],
    );
    check("purge", &["--url", "--all"]);
    check("purge --url /no-host", &["urls[0]", "no host"]);
    check("purge --all --timeout soon", &["--timeout"]);
    check(
        "purge --all --server 127.0.0.1:9080",
        &["--server", "scheme"],
    );
    check("site get Not/A/Name", &["Not/A/Name"]);
    check("launder", &["launder"]);
}

#[test]
fn a_role_with_a_bad_file_ends_with_64() {
    let check = |role: &str, text: &str, says: &[&str]| {
        let folder = Folder::new();
        folder.write("role.toml", text);
        ends(
            &[role, "--config", "role.toml"],
            &folder,
            64,
            &[&["role.toml"], says].concat(),
        );
        ends(
            &[role, "--config", "gone.toml"],
            &folder,
            64,
            &["gone.toml", "cannot be read"],
        );
    };
    check(
        "edge",
        "[edge]\nid = \"a b\"\n",
        &["edge.id", "2 | id = ", "^"],
    );
    check(
        "edge",
        "[edge]\nid = \"a\"\nlisten_tsl = \"x\"\n",
        &["did you mean \"listen_tls\"?"],
    );
    check(
        "control-plane",
        "[control_plane]\nlisten = \"9080\"\n",
        &["control_plane.listen", "2 | listen"],
    );
    check(
        "control-plane",
        "[control_plane]\nlisten = \"127.0.0.1:0\"\nstore = \"disk\"\nstate = \"s\"\n",
        &["\"embedded\""],
    );
}

#[test]
fn a_taken_port_names_the_flag_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--listen-tls", "--admin"] {
        let mut args = vec!["run", "--origin", "http://127.0.0.1:9000"];
        for each in ["--listen", "--listen-tls", "--admin"] {
            args.extend([each, if each == flag { &taken } else { "127.0.0.1:0" }]);
        }
        let says = format!(
            "cannot listen on {taken}: another program listens there (choose another address with {flag})"
        );
        ends(&args, &Folder::new(), 1, &[&says]);
    }
}

#[test]
fn a_state_folder_in_use_names_who_uses_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let state = seawall.state().to_str().unwrap();
    let args = [
        "run",
        "--origin",
        "http://127.0.0.1:9000",
        "--state",
        state,
        "--listen",
        "127.0.0.1:0",
    ];
    let who = format!("in use by another seawall (process {})", seawall.pid());
    ends(&args, &Folder::new(), 1, &[state, &who, "--state"]);
    origin.says("/a", ok("served on"));
    assert_eq!(seawall.get("/a").text(), "served on");
}

#[test]
fn a_control_plane_that_is_not_there_ends_a_command_with_4() {
    for command in [
        "purge --all",
        "site list",
        "site get a",
        "site delete a",
        "edges",
    ] {
        let mut args: Vec<_> = command.split(' ').collect();
        // Nobody may listen on port 1 but root, and root does not.
        args.extend(["--server", "http://127.0.0.1:1"]);
        ends(
            &args,
            &Folder::new(),
            4,
            &["http://127.0.0.1:1", "--server", "SEAWALL_SERVER"],
        );
    }
}

/// `seawall` with these arguments ends with this code, says all of `says`, and does not panic.
#[track_caller]
fn ends(args: &[&str], folder: &Folder, code: i32, says: &[&str]) {
    let before = std::fs::read_to_string(folder.path().join("output")).unwrap_or_default();
    let mut process = Process::start(args, folder);
    let ended = process.end();
    let said = process.output().split_off(before.len());
    assert_eq!(ended.code(), Some(code), "{args:?} said:\n{said}");
    for part in says {
        assert!(
            said.contains(part),
            "{args:?} said nothing of {part:?}:\n{said}"
        );
    }
    assert!(!said.contains("panicked"), "{args:?}: {said}");
}
