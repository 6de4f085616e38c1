//! Every example is good, and does what its first line says.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, Origin, Process, Seawall, eventually, ok};

#[test]
fn every_example_is_read_by_the_command_that_it_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Three machines: the module `deployment` starts all of that.
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        match ["[[token]]", "[edge]", "[control_plane]"]
            .into_iter()
            .find(|table| text.contains(table))
        {
            // The control plane's example names it.
            Some("[[token]]") => {}
            None => is_good_for_site_check(&path),
            Some("[edge]") => starts("edge", name, &text),
            Some(_) => starts("control-plane", name, &text),
        }
        count += 1;
    }
    assert!(count >= 5, "{count} examples");
}

fn is_good_for_site_check(file: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["site", "check"])
        .arg(file)
        .output()
        .unwrap();
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{}: {wrong}", file.display());
    assert!(said.contains("is good"), "{said}");
}

/// As it stands but for what belongs to the machine: ports, and folders.
fn starts(role: &str, name: &str, example: &str) {
    let folder = Folder::new();
    let tokens = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/tokens.toml");
    folder.write("token", "secret\n");
    let lines = example
        .lines()
        .map(|line| match line.split(" = ").next().unwrap() {
            word @ ("listen" | "listen_tls" | "admin") => format!("{word} = \"127.0.0.1:0\""),
            "state" => "state = \"state\"".to_owned(),
            // Nobody is there: a control plane of somebody else's would take this edge for one of its own.
            "control_planes" => "control_planes = [\"http://127.0.0.1:1\"]".to_owned(),
            // Without a folder of certificates: the development CA.
            "certs" => String::new(),
            "tokens_file" => format!("tokens_file = {tokens:?}"),
            "token_file" => "token_file = \"token\"".to_owned(),
            _ => line.to_owned(),
        });
    let text: Vec<_> = lines.collect();
    folder.write(name, text.join("\n"));
    let mut process = Process::start(&[role, "--config", name], &folder);
    eventually("it listens", || {
        assert_eq!(process.ended(), None, "{name} is refused");
        folder.path().join("state/addresses.json").exists()
    });
    process.terminate();
    assert_eq!(process.end().code(), Some(0), "{name}");
}

#[test]
fn a_site_put_from_a_file_is_served() {
    let (default, shop) = (Origin::start(), Origin::start());
    shop.says("/a", ok("the shop").max_age(60));
    let seawall = Seawall::run(&default);
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/site.toml"))
            .unwrap();
    let file = seawall.folder().write(
        "site.toml",
        text.replace("http://127.0.0.1:9000", &shop.url()),
    );
    let output = seawall.command(&["site", "put", &file]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    eventually("the shop is served", || {
        let answer = seawall.get_with("/a", &[("host", "shop.example.com")]);
        answer.status == 200 && answer.text() == "the shop"
    });
}
