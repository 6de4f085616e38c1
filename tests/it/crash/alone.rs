//! An edge as a process of its own, whose control plane is gone.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Connection, Folder, Origin, Process, Response, eventually, ok};

#[test]
fn an_edge_serves_from_its_snapshot_while_no_control_plane_answers() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    let mut edge = Role::edge(&plane);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    let purge = plane.ask(
        "POST",
        "/v1/purges?wait=complete&timeout=30s",
        &json!({"tags": ["x"]}),
    );
    assert_eq!(purge["state"], "complete", "{purge}");

    drop(plane);
    edge.restart();
    edge.eventually_serves("one.test");
    let ready = edge.admin_get("/readyz?verbose");
    assert_eq!(ready.status, 200, "{}", ready.text());
    let again = edge.get("one.test");
    assert_eq!(
        (again.status, again.x_cache(), again.text()),
        (200, "HIT", "a".into())
    );
    edge.get("two.test").is_refused();
}

#[test]
fn an_edge_whose_newest_snapshot_is_damaged_boots_from_the_one_before() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    let mut edge = Role::edge(&plane);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    plane.put_site("two", &origin);
    edge.eventually_serves("two.test");
    edge.eventually_keeps("two.test");

    drop(plane);
    edge.kill_9();
    let newest = edge.state().join("snapshot.json");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    edge.restart();
    edge.eventually_serves("one.test");
    assert!(
        edge.process.output().contains("is passed over"),
        "it says so"
    );

    edge.kill_9();
    for name in fs::read_dir(edge.state()).unwrap() {
        let path = name.unwrap().path();
        if path.to_str().unwrap().contains("snapshot") {
            fs::write(path, "nothing that it wrote").unwrap();
        }
    }
    edge.restart();
    let ready = edge.admin_get("/readyz");
    assert_eq!(ready.status, 503, "nothing to serve from: {}", ready.text());
    assert!(
        ready.text().contains("no configuration yet"),
        "{}",
        ready.text()
    );
    edge.get("one.test").is_refused();
}

#[test]
fn an_edge_without_snapshot_and_control_plane_waits_and_then_serves() {
    let origin = Origin::start();
    origin.says("/a", ok("a"));
    let mut plane = Role::control_plane();
    plane.put_site("one", &origin);
    plane.kill_9();
    let edge = Role::edge(&plane);
    assert_eq!(edge.admin_get("/readyz").status, 503);
    assert_eq!(edge.admin_get("/healthz").status, 200, "it lives");
    edge.get("one.test").is_refused();
    plane.restart();
    edge.eventually_serves("one.test");
    assert_eq!(edge.admin_get("/readyz").status, 200);
}

#[test]
fn an_edge_that_serves_is_in_the_receipt_of_every_purge_from_its_first_answer_on() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    plane.put_site("one", &origin);
    let mut edges = Vec::new();
    // The first finds the control plane idle, the others find it busy with heartbeats.
    for id in ["edge-1", "edge-2", "edge-3", "edge-4"] {
        let edge = Role::edge_named(id, &plane);
        edge.eventually_serves("one.test");
        edges.push(edge);
        let purge = json!({"hosts": ["one.test"]});
        let receipt = plane.ask("POST", "/v1/purges?wait=complete&timeout=30s", &purge);
        let told = receipt["edges"].as_array().unwrap().len();
        assert_eq!(
            told,
            edges.len(),
            "{id} may hold what was purged: {receipt}"
        );
        for edge in &edges {
            assert_eq!(edge.get("one.test").x_cache(), "MISS", "{receipt}");
        }
    }
}

/// `seawall edge` or `seawall control-plane`, with a configuration and a state folder of its own.
struct Role {
    name: &'static str,
    process: Process,
    folder: Folder,
    addresses: Value,
}

impl Role {
    fn control_plane() -> Self {
        let config =
            "[control_plane]\nlisten = \"127.0.0.1:0\"\nstore = \"embedded\"\nstate = \"state\"\n";
        Self::start("control-plane", config)
    }

    fn edge(plane: &Self) -> Self {
        Self::edge_named("edge-x", plane)
    }

    fn edge_named(id: &str, plane: &Self) -> Self {
        let plane = plane.admin();
        let config = format!(
            "[edge]\nid = \"{id}\"\nplace = \"here\"\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             control_planes = [\"http://{plane}\"]\nstate = \"state\"\n"
        );
        Self::start("edge", &config)
    }

    fn start(name: &'static str, config: &str) -> Self {
        let folder = Folder::new();
        folder.write("seawall.toml", config);
        let process = Process::start(&[name, "--config", "seawall.toml"], &folder);
        let mut role = Self {
            name,
            process,
            folder,
            addresses: Value::Null,
        };
        role.wait();
        role
    }

    /// Until it says where it listens, and listens.
    fn wait(&mut self) {
        eventually("it listens", || {
            assert_eq!(self.process.ended(), None, "{} ended", self.name);
            let text = fs::read(self.state().join("addresses.json")).unwrap_or_default();
            self.addresses = serde_json::from_slice(&text).unwrap_or_default();
            self.addresses["admin"].is_string()
                && std::net::TcpStream::connect(self.admin()).is_ok()
        });
    }

    fn kill_9(&mut self) {
        self.process.kill_9();
    }

    /// Kills it if it still runs. On the same ports: whoever knows it finds it again.
    fn restart(&mut self) {
        if self.process.ended().is_none() {
            self.kill_9();
        }
        let file = self.folder.path().join("seawall.toml");
        let mut config = fs::read_to_string(&file).unwrap();
        let listen = if self.name == "edge" {
            "listen"
        } else {
            "admin"
        };
        let listen = self.addresses[listen].as_str().unwrap();
        config = config.replace(
            "\nlisten = \"127.0.0.1:0\"",
            &format!("\nlisten = \"{listen}\""),
        );
        fs::write(file, config).unwrap();
        fs::remove_file(self.state().join("addresses.json")).unwrap();
        self.process = Process::start(&[self.name, "--config", "seawall.toml"], &self.folder);
        self.wait();
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn admin(&self) -> SocketAddr {
        self.addresses["admin"].as_str().unwrap().parse().unwrap()
    }

    fn admin_get(&self, path: &str) -> Response {
        Connection::open(self.admin()).request("GET", path, &[], b"")
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let json = [("content-type", "application/json")];
        let answer = Connection::open(self.admin()).request(
            method,
            path,
            &json,
            body.to_string().as_bytes(),
        );
        assert!(
            (200..300).contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn put_site(&self, name: &str, origin: &Origin) {
        let site = json!({"hosts": [format!("{name}.test")], "origin": origin.url()});
        self.ask("PUT", &format!("/v1/sites/{name}"), &site);
    }

    fn get(&self, host: &str) -> Response {
        let listen = self.addresses["listen"].as_str().unwrap().parse().unwrap();
        Connection::open(listen).request("GET", "/a", &[("host", host)], b"")
    }

    fn eventually_serves(&self, host: &str) {
        eventually("the edge serves", || self.get(host).status == 200);
    }

    fn eventually_keeps(&self, host: &str) {
        let newest = self.state().join("snapshot.json");
        eventually("the snapshot is on disk", || {
            fs::read_to_string(&newest)
                .unwrap_or_default()
                .contains(host)
        });
    }
}

impl Response {
    /// No site has this host, or there is none at all.
    #[track_caller]
    fn is_refused(&self) {
        assert!(
            matches!(self.status, 404 | 421 | 503),
            "{} {}",
            self.status,
            self.text()
        );
    }
}
