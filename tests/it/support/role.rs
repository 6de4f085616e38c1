//! One role in a process of its own: an edge or a control plane, to be killed and started again.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::connection::Connection;
use super::folder::Folder;
use super::origin::Origin;
use super::process::Process;
use super::response::Response;
use super::wait::eventually;

/// `seawall edge` or `seawall control-plane`, with a configuration and a state folder of its own.
pub struct Role {
    name: &'static str,
    process: Process,
    folder: Folder,
    addresses: Value,
}

impl Role {
    pub fn control_plane() -> Self {
        Self::control_plane_on("store = \"embedded\"\nstate = \"state\"\n")
    }

    /// On another store: the rest of its table.
    pub fn control_plane_on(store: &str) -> Self {
        let config = format!("[control_plane]\nlisten = \"127.0.0.1:0\"\n{store}");
        Self::start("control-plane", &config)
    }

    pub fn edge(plane: &Self) -> Self {
        Self::edge_named("edge-x", plane)
    }

    pub fn edge_named(id: &str, plane: &Self) -> Self {
        Self::edge_in(id, &[plane.admin()], &Folder::new())
    }

    /// With more words of `[edge]`.
    pub fn edge_with(words: &str, plane: &Self) -> Self {
        let config = edge_config("edge-x", &[plane.admin()], words);
        Self::start("edge", &config)
    }

    /// Of several control planes, in a folder that may hold its state already.
    pub fn edge_in(id: &str, planes: &[SocketAddr], folder: &Folder) -> Self {
        Self::start_in("edge", &edge_config(id, planes, ""), folder)
    }

    fn start(name: &'static str, config: &str) -> Self {
        Self::start_in(name, config, &Folder::new())
    }

    fn start_in(name: &'static str, config: &str, folder: &Folder) -> Self {
        folder.write("seawall.toml", config);
        let process = Process::start(&arguments(name), folder);
        let mut role = Self {
            name,
            process,
            folder: folder.clone(),
            addresses: Value::Null,
        };
        role.wait();
        role
    }

    /// Until it says where it listens, and listens.
    fn wait(&mut self) {
        eventually("it listens", || {
            assert_eq!(self.process.ended(), None, "{} ended", self.name);
            // An edge that cannot write it listens where it listened before.
            if let Ok(text) = fs::read(self.state().join("addresses.json")) {
                self.addresses = serde_json::from_slice(&text).unwrap_or_default();
            }
            let there = self.addresses["admin"].is_string()
                && std::net::TcpStream::connect(self.admin()).is_ok();
            // An edge may have nothing to serve yet; a control plane takes no orders before.
            there && {
                let ready = self.admin_get("/readyz");
                let starting = ready.text().contains("starting");
                ready.status == 200 || self.name == "edge" && !starting
            }
        });
    }

    /// What it has printed since its first start.
    pub fn output(&self) -> String {
        self.process.output()
    }

    pub fn kill_9(&mut self) {
        self.process.kill_9();
    }

    /// SIGSTOP: it holds its connections and says nothing.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.process.cont();
    }

    /// Kills it if it still runs. On the same ports: whoever knows it finds it again.
    pub fn restart(&mut self) {
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
        for (word, address) in [("listen", listen), ("admin", "admin")] {
            let address = self.addresses[address].as_str().unwrap();
            config = config.replace(
                &format!("\n{word} = \"127.0.0.1:0\""),
                &format!("\n{word} = \"{address}\""),
            );
        }
        fs::write(file, config).unwrap();
        // Where it stays, it is true: the ports are the same.
        let _ = fs::remove_file(self.state().join("addresses.json"));
        self.process = Process::start(&arguments(self.name), &self.folder);
        self.wait();
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where an edge serves.
    pub fn listen(&self) -> SocketAddr {
        self.addresses["listen"].as_str().unwrap().parse().unwrap()
    }

    /// And over TLS.
    pub fn listen_tls(&self) -> SocketAddr {
        let listen = self.addresses["listen_tls"].as_str().unwrap();
        listen.parse().unwrap()
    }

    pub fn admin(&self) -> SocketAddr {
        self.addresses["admin"].as_str().unwrap().parse().unwrap()
    }

    pub fn admin_get(&self, path: &str) -> Response {
        Connection::open(self.admin()).request("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
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

    pub fn put_site(&self, name: &str, origin: &Origin) {
        let site = json!({"hosts": [format!("{name}.test")], "origin": origin.url()});
        self.ask("PUT", &format!("/v1/sites/{name}"), &site);
    }

    pub fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
    }

    /// As an init system does, and waits for its end.
    pub fn terminate(&mut self) {
        self.process.terminate();
        assert_eq!(self.process.end().code(), Some(0), "{}", self.name);
    }

    /// Seconds of CPU it has used, its own and the kernel's for it.
    pub fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.pid())).unwrap();
        // proc(5): utime and stime are the 14th and 15th, in hundredths of a second; the 2nd may hold spaces.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks = rest.split_whitespace().skip(11).take(2);
        ticks
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum::<f64>()
            / 100.0
    }

    /// What a counter or gauge says, all its labels together.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.admin_get("/metrics").text();
        let values = metrics.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    pub fn get(&self, host: &str) -> Response {
        let listen = self.addresses["listen"].as_str().unwrap().parse().unwrap();
        Connection::open(listen).request("GET", "/a", &[("host", host)], b"")
    }

    pub fn eventually_serves(&self, host: &str) {
        eventually("the edge serves", || self.get(host).status == 200);
    }

    pub fn eventually_keeps(&self, host: &str) {
        let newest = self.state().join("snapshot.json");
        eventually("the snapshot is on disk", || {
            fs::read_to_string(&newest)
                .unwrap_or_default()
                .contains(host)
        });
    }
}

fn edge_config(id: &str, planes: &[SocketAddr], words: &str) -> String {
    let planes: Vec<_> = planes
        .iter()
        .map(|plane| format!("\"http://{plane}\""))
        .collect();
    let planes = planes.join(", ");
    format!(
        "[edge]\nid = \"{id}\"\nplace = \"here\"\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         control_planes = [{planes}]\nstate = \"state\"\n{words}"
    )
}

/// A control plane of a test asks nobody who he is.
fn arguments(name: &'static str) -> Vec<&'static str> {
    let mut arguments = vec![name, "--config", "seawall.toml"];
    if name == "control-plane" {
        arguments.push("--open");
    }
    arguments
}
