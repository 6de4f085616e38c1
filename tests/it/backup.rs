//! Sites written down and brought back: `seawall export`, `seawall import`.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Folder, Role, Seawall};

/// `seawall` and its arguments in a folder: exit code, and what it printed.
fn seawall(plane: &Role, folder: &Folder, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(args)
        .env("SEAWALL_SERVER", format!("http://{}", plane.admin()))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn check(plane: &Role, folder: &Folder, args: &[&str], code: i32, parts: &[&str]) {
    let (found, said, wrong) = seawall(plane, folder, args);
    assert_eq!(found, code, "{args:?}: {said}{wrong}");
    for part in parts {
        assert!(
            format!("{said}{wrong}").contains(part),
            "{part:?} is not in:\n{said}{wrong}"
        );
    }
}

fn sites(plane: &Role) -> Value {
    plane.ask("GET", "/v1/sites", &Value::Null)["sites"].clone()
}

/// Names and documents.
fn documents(plane: &Role) -> Vec<Value> {
    let sites = sites(plane);
    let sites = sites.as_array().unwrap().iter();
    sites.map(|site| site["site"].clone()).collect()
}

fn site(host: &str) -> Value {
    json!({"hosts": [host], "origin": "http://127.0.0.1:9000"})
}

#[test]
fn what_is_exported_is_imported_elsewhere_as_one_change() {
    let (from, to, folder) = (Role::control_plane(), Role::control_plane(), Folder::new());
    check(&from, &folder, &["export"], 1, &["there is no site in it"]);
    let full = json!({
        "hosts": ["b.test", "*.b.test"], "on_partition": "refuse", "debug_from": ["10.0.0.0/8"],
        "origin": {
            "host": "o", "server": [{"url": "https://o.test", "weight": 3}, {"url": "http://[::1]"}],
            "tls": {"verify": false, "server_name": "o.test"},
        },
        "cache": {"default_ttl": "60s", "compress": ["br"], "stale_if_error": "1h"},
        "rule": [{"path": "/a/*", "cache": "off"}, {"path": "*.jpg", "set_cookie": "strip"}],
    });
    from.ask("PUT", "/v1/sites/b", &full);
    from.ask("PUT", "/v1/sites/a", &site("a.test"));

    check(
        &from,
        &folder,
        &["export", "b.toml"],
        0,
        &["2 sites written to b.toml"],
    );
    let text = fs::read_to_string(folder.path().join("b.toml")).unwrap();
    let (_, again, _) = seawall(&from, &folder, &["export"]);
    assert_eq!(again, text, "what did not change is written the same");
    check(
        &from,
        &folder,
        &["export", "--site", "a"],
        0,
        &["name = \"a\""],
    );
    let nobody = ["export", "--site", "a", "--site", "c", "b.toml"];
    check(&from, &folder, &nobody, 1, &["no site is named c"]);
    check(
        &from,
        &folder,
        &["export", "none/b.toml"],
        1,
        &["nothing was written"],
    );

    let dry = ["import", "b.toml", "--dry-run"];
    check(
        &to,
        &folder,
        &dry,
        0,
        &["+ a\n+ b\n", "nothing was written"],
    );
    assert_eq!(sites(&to), json!([]));
    check(
        &to,
        &folder,
        &["import", "b.toml"],
        0,
        &["written, revision"],
    );
    assert_eq!(documents(&to), documents(&from), "exactly");
    let [a, b] = [0, 1].map(|n| sites(&to)[n]["revision"].clone());
    assert_eq!(a, b, "in one revision");
    let same = ["2 as they are there already: a, b", "nothing was written"];
    check(&to, &folder, &["import", "b.toml"], 0, &same);

    // What it was is brought back, and what came since goes only if that is asked for.
    to.ask("PUT", "/v1/sites/a", &site("other.test"));
    to.ask("PUT", "/v1/sites/late", &site("a.test"));
    let taken = [
        "~ a\n    hosts[0]: \"other.test\" -> \"a.test\"",
        "already belongs to the site \"late\"",
        "nothing was written",
    ];
    check(&to, &folder, &["import", "b.toml"], 1, &taken);
    let replaced = ["- late", "1 as it is there already: b", "written, revision"];
    check(
        &to,
        &folder,
        &["import", "b.toml", "--replace"],
        0,
        &replaced,
    );
    assert_eq!(documents(&to), documents(&from));
    // And `seawall run` serves it.
    let run = Seawall::run_config(&text);
    assert_eq!(run.api("GET", "/v1/sites/b", None).1, documents(&from)[1]);
}

#[test]
fn nothing_is_lost_by_a_file_that_is_wrong() {
    let (plane, folder) = (Role::control_plane(), Folder::new());
    plane.ask("PUT", "/v1/sites/a", &site("a.test"));
    let before = sites(&plane);
    let refuse = |text: &str, code: i32, parts: &[&str]| {
        folder.write("sites.toml", text);
        let args = ["import", "sites.toml", "--replace"];
        check(&plane, &folder, &args, code, parts);
        assert_eq!(sites(&plane), before, "{text}");
    };
    let good = "[[site]]\nname = \"b\"\nhosts = [\"b.test\"]\norigin = \"http://b\"\n";
    refuse("", 64, &["site"]);
    refuse("[[site]", 64, &["not TOML", "1"]);
    refuse(&good.replace("http:", "ftp:"), 64, &["site[0].origin", "^"]);
    refuse(&(good.to_owned() + good), 64, &["site[1].name", "is taken"]);
    let cut = &good[..good.len() - 5];
    refuse(cut, 64, &["not TOML"]);
    check(
        &plane,
        &folder,
        &["import", "none.toml"],
        64,
        &["none.toml"],
    );
}

#[test]
fn more_than_one_change_takes_is_written_in_steps_and_goes_on_where_it_stopped() {
    let (plane, folder) = (Role::control_plane(), Folder::new());
    let many = |count: usize| -> String {
        let site = |n| {
            format!("[[site]]\nname = \"s{n}\"\nhosts = [\"h{n}.test\"]\norigin = \"http://o\"\n")
        };
        (0..count).map(site).collect()
    };
    // Somebody has the host that the third step wants.
    plane.ask("PUT", "/v1/sites/x", &site("h230.test"));
    folder.write("many.toml", many(250));
    let stopped = ["h230.test", "2 of 3 steps were written", "run it again"];
    check(&plane, &folder, &["import", "many.toml"], 1, &stopped);
    assert_eq!(sites(&plane).as_array().unwrap().len(), 201);
    plane.ask("PUT", "/v1/sites/x", &site("x.test"));
    check(
        &plane,
        &folder,
        &["import", "many.toml"],
        0,
        &["written, revision"],
    );
    assert_eq!(sites(&plane).as_array().unwrap().len(), 251);
    check(&plane, &folder, &["export", "all.toml"], 0, &["251 sites"]);
}

#[test]
fn the_sites_of_another_file_are_exported_and_not_written_over() {
    let folder = Folder::new();
    let text = |origin: &str| {
        format!("[[site]]\nname = \"a\"\nhosts = [\"a.test\"]\norigin = \"http://{origin}\"\n")
    };
    let run = Seawall::run_config(&text("one"));
    let command = |args: &[&str]| {
        let output = run.command(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            said + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let file = folder.write("sites.toml", text("two"));
    let (code, said) = command(&["import", &file]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("nothing was written: a belong to the file"),
        "{said}"
    );
    let (code, said) = command(&["export"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("origin = \"http://one\""), "{said}");
    let file = folder.write("sites.toml", said);
    let (code, said) = command(&["import", &file, "--replace"]);
    assert_eq!(
        (code, said.contains("as it is there")),
        (Some(0), true),
        "{said}"
    );
}
