//! Control planes and edges that do not trust the network: tokens, certificates, and several planes to choose from.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Connection, Folder, Origin, Process, Response, eventually, ok};

/// A folder with certificates, tokens and configurations, and what runs there.
struct Site {
    folder: Folder,
}

/// `seawall` and its arguments: exit code, stdout, stderr.
fn seawall(folder: &Folder, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(args)
        .current_dir(folder.path())
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let certs = [
            "certs",
            "peers",
            "--control-plane",
            "cp1=127.0.0.1",
            "--edge",
            "e1",
            "--edge",
            "e2",
        ];
        let (exit, said, _) = seawall(&folder, &certs, &[]);
        assert_eq!(exit, 0, "{said}");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A token of this name and scope, in `tokens.toml`.
    fn token(&self, name: &str, words: &[&str]) -> String {
        let args: Vec<_> = ["token", "--name", name]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let (exit, entry, said) = seawall(&self.folder, &args, &[]);
        assert_eq!(exit, 0, "{said}");
        let file = self.path("tokens.toml");
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, before + &entry).unwrap();
        said.trim().rsplit(' ').next().unwrap().to_owned()
    }

    /// A control plane on an embedded store; its address.
    fn control_plane(&self, words: &str) -> (Process, String) {
        let text = format!("[control_plane]\nlisten = \"127.0.0.1:0\"\nstate = \"cp\"\n{words}\n");
        self.folder.write("cp.toml", text);
        let process = Process::start(&["control-plane", "--config", "cp.toml"], &self.folder);
        let address = listens_at(&self.path("cp"), "admin");
        eventually("it serves", || {
            process.output().contains("the control plane serves")
        });
        (process, address)
    }

    fn edge(&self, id: &str, planes: &[String], words: &str) -> Process {
        let text = format!(
            "[edge]\nid = {id:?}\nplace = \"here\"\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstate = {id:?}\n\
             control_planes = {planes:?}\n{words}\n"
        );
        let file = format!("{id}.toml");
        self.folder.write(&file, text);
        Process::start(&["edge", "--config", &file], &self.folder)
    }

    fn ready(&self, id: &str) -> bool {
        let admin = listens_at(&self.path(id), "admin").parse().unwrap();
        get(admin, "/readyz").status == 200
    }
}

fn get(address: SocketAddr, path: &str) -> Response {
    let host = address.to_string();
    Connection::open(address).request("GET", path, &[("host", &host)], b"")
}

/// Where a process listens, once it says so.
fn listens_at(state: &Path, which: &str) -> String {
    let file = state.join("addresses.json");
    let mut address = String::new();
    eventually("it listens", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let addresses: Value = serde_json::from_str(&text).unwrap_or_default();
        address = addresses[which].as_str().unwrap_or_default().to_owned();
        !address.is_empty()
    });
    address
}

#[test]
fn edges_are_known_by_their_certificates_and_people_by_their_tokens() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(60));
    let site = Site::new();
    let admin = site.token(
        "admin",
        &["--scope", "read", "--scope", "write", "--scope", "purge"],
    );
    let words = "peer_certs = \"peers/cp1\"\ntokens_file = \"tokens.toml\"";
    let (mut plane, address) = site.control_plane(words);
    let server = format!("https://{address}");
    let env = |token: &'static str| {
        [
            ("SEAWALL_SERVER", ""),
            ("SEAWALL_CA", "peers/authority/ca.pem"),
            ("SEAWALL_TOKEN", token),
        ]
    };
    let ask = |args: &[&str], token: &str| {
        let mut env = env("");
        env[0].1 = &server;
        env[2].1 = token;
        seawall(&site.folder, args, &env)
    };
    site.folder.write(
        "site.toml",
        format!(
            "[[site]]\nname = \"s\"\nhosts = [\"*\"]\norigin = {:?}\n",
            origin.url()
        ),
    );
    // Without a token, with another one, and with the right one.
    let (exit, _, said) = ask(&["edges"], "nonsense");
    assert!(exit == 1 && said.contains("401"), "{exit} {said}");
    let (exit, _, said) = ask(&["site", "put", "site.toml"], &admin);
    assert_eq!(exit, 0, "{said}");

    let planes = [server.clone()];
    let _e1 = site.edge("e1", &planes, "peer_certs = \"peers/e1\"");
    eventually("it follows and serves", || site.ready("e1"));
    let listen = listens_at(&site.path("e1"), "listen").parse().unwrap();
    eventually("its site is there", || get(listen, "/a").status == 200);
    let (exit, said, _) = ask(&["purge", "--all"], &admin);
    assert!(exit == 0 && said.contains("complete"), "{said}");

    // Another edge's certificate speaks for that edge only; with one of its own it is let in, without a restart.
    let give = |whose: &str| {
        fs::create_dir_all(site.path("given")).unwrap();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let from = site.path("peers").join(whose).join(file);
            fs::copy(from, site.path("given").join(file)).unwrap();
        }
    };
    give("e1");
    let impostor = site.edge("e2", &planes, "peer_certs = \"given\"");
    eventually("it is told why", || {
        impostor.output().contains("certificate of the edge")
    });
    let (_, said, _) = ask(&["edges"], &admin);
    assert!(said.contains("e1") && !said.contains("e2"), "{said}");
    give("e2");
    impostor.hang_up();
    eventually("it is known by its own", || {
        ask(&["edges"], &admin).1.contains("e2")
    });

    // Who is refused leaves a line, too.
    assert_eq!(ask(&["purge", "--all"], "nonsense").0, 1);

    // No command sends a token in clear.
    let elsewhere = ["edges", "--server", "http://10.0.0.1:9080"];
    let (exit, _, said) = ask(&elsewhere, &admin);
    assert!(exit == 2 && said.contains("in clear"), "{exit} {said}");

    // A tokens file that is broken leaves those that were read; a good one replaces them at once.
    let good = fs::read_to_string(site.path("tokens.toml")).unwrap();
    fs::write(site.path("tokens.toml"), "[[token]]\nname = 7").unwrap();
    plane.hang_up();
    eventually("it says what is wrong", || {
        plane.output().contains("the tokens are not read again")
    });
    assert_eq!(ask(&["edges"], &admin).0, 0);
    fs::write(site.path("tokens.toml"), good.replace("\"read\", ", "")).unwrap();
    plane.hang_up();
    eventually("the token may read no longer", || {
        ask(&["edges"], &admin).2.contains("403")
    });
    let audited = plane.output();
    assert!(
        audited.contains("\"target\":\"audit\"") && audited.contains("\"who\":\"admin\""),
        "{audited}"
    );
    let purged = audited
        .lines()
        .filter(|line| line.contains("\"path\":\"/v1/purges\""));
    let told = |words: &[&str]| {
        let mut lines = purged.clone();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(told(&["\"admin\"", "\\\"all\\\":true", "\"revision\":"]));
    assert!(told(&["\"nobody known\"", "\"status\":401"]));
    assert!(!audited.contains("nonsense"), "nor what was no token");
    assert!(!audited.contains(&admin), "no token stands in a log");
    plane.terminate();
    assert_eq!(plane.end().code(), Some(0));
}

#[test]
fn a_control_plane_that_could_let_in_nobody_is_refused() {
    let site = Site::new();
    site.folder
        .write("cp.toml", "[control_plane]\nstate = \"cp\"\n");
    let (exit, _, said) = seawall(&site.folder, &["control-plane", "--config", "cp.toml"], &[]);
    assert!(
        exit == 64 && said.contains("control_plane.tokens_file: is missing"),
        "{exit} {said}"
    );
    let text = "[control_plane]\nstate = \"cp\"\npeer_certs = \"nowhere\"\n";
    site.folder.write("cp.toml", text);
    let (exit, _, said) = seawall(&site.folder, &["control-plane", "--config", "cp.toml"], &[]);
    assert!(
        exit == 64 && said.contains("nowhere/ca.pem cannot be read"),
        "{exit} {said}"
    );
}

#[test]
fn an_edge_with_a_token_follows_on_loopback() {
    let site = Site::new();
    let token = site.token("edges", &["--scope", "edge"]);
    let (_plane, address) = site.control_plane("tokens_file = \"tokens.toml\"");
    site.folder.write("token", format!("{token}\n"));
    let planes = ["http://127.0.0.1:1".to_owned(), format!("http://{address}")];
    // The first is not there: the second is followed.
    let _edge = site.edge("e1", &planes, "token_file = \"token\"");
    eventually("it follows", || site.ready("e1"));
    let (exit, _, said) = seawall(&site.folder, &["edges", "--server", &planes[1]], &[]);
    assert!(exit == 1 && said.contains("401"), "{said}");
}
