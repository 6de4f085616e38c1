//! A deployment as operators have it: three members of etcd, two control planes, three edges and an origin, each on a
//! machine of its own, with certificates and tokens between them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::net::{Machine, Net};
use super::witness::Asked;
use crate::support::{Etcd, Folder, Process, Version, eventually, within};

mod origin;
mod pages;

pub use pages::{Pages, STANCES};

const SEAWALL: &str = env!("CARGO_BIN_EXE_seawall");
const MEMBERS: usize = 3;
const PLANES: usize = 2;
pub const EDGES: usize = 3;
/// An edge that was killed may hold its id, and what it served, for as long as it might have vouched.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the edges cache.
const PAGE: &str = "/page";

pub struct Fleet {
    pub etcd: Etcd,
    planes: Vec<Process>,
    edges: Vec<Process>,
    /// Of etcd, as each control plane finds them.
    endpoints: Vec<Vec<String>>,
    /// Of the control planes, as each edge finds them.
    plane_urls: Vec<Vec<String>>,
    token: String,
    /// Of the page; counts up.
    edition: u32,
    /// Hosts of the sites that a control plane has acknowledged.
    acknowledged: Vec<String>,
    folder: Folder,
    origin: Process,
    net: Net,
}

impl Fleet {
    /// Everything runs and serves when this returns. None where etcd is not to be had, and a word why.
    pub fn start(version: Version) -> Option<Self> {
        // The last two are the clients', and nobody's yet.
        let net = Net::new(11);
        let folder = Folder::new();
        let members = (0..MEMBERS).map(|n| net.machine(n));
        let members: Vec<_> = members
            .map(|it| (it.address.clone(), it.namespace.clone()))
            .collect();
        let etcd = Etcd::start_at(version, &members, &[])?;
        let mut fleet = Self {
            etcd,
            planes: Vec::new(),
            edges: Vec::new(),
            endpoints: ways(&net, MEMBERS, PLANES, (0, MEMBERS), ("http", 2379)),
            plane_urls: ways(
                &net,
                MEMBERS + PLANES,
                EDGES,
                (MEMBERS, PLANES),
                ("https", 9080),
            ),
            token: String::new(),
            edition: 0,
            acknowledged: Vec::new(),
            origin: origin::start(net.machine(MEMBERS + PLANES + EDGES), &folder),
            folder,
            net,
        };
        fleet.hand_out_keys();
        fleet.planes = (0..PLANES).map(|n| fleet.spawn_plane(n)).collect();
        fleet.edges = (0..EDGES).map(|n| fleet.spawn_edge(n)).collect();
        let origin = fleet.origin_url();
        let site = format!("[[site]]\nname = \"www\"\nhosts = [\"*\"]\norigin = {origin:?}\n");
        fleet.folder.write("site.toml", site);
        eventually("a control plane takes the site", || {
            fleet.seawall(&["site", "put", "site.toml"], 0).0 == 0
        });
        fleet.converges();
        Some(fleet)
    }

    pub fn member(&self, n: usize) -> &Machine {
        self.net.machine(n)
    }

    pub fn plane(&self, n: usize) -> &Machine {
        self.net.machine(MEMBERS + n)
    }

    pub fn edge(&self, n: usize) -> &Machine {
        self.net.machine(MEMBERS + PLANES + n)
    }

    /// Where clients are.
    pub fn clients(&self) -> &Machine {
        self.net.machine(MEMBERS + PLANES + EDGES + 1)
    }

    fn origin_url(&self) -> String {
        format!(
            "http://{}:8000",
            self.net.machine(MEMBERS + PLANES + EDGES).address
        )
    }

    pub fn url(&self, edge: usize) -> String {
        format!("http://{}:8080{PAGE}", self.edge(edge).address)
    }

    pub fn kill_plane(&mut self, n: usize) {
        self.planes[n].kill_9();
    }

    pub fn start_plane(&mut self, n: usize) {
        self.planes[n] = self.spawn_plane(n);
    }

    pub fn kill_edge(&mut self, n: usize) {
        self.edges[n].kill_9();
    }

    pub fn start_edge(&mut self, n: usize) {
        self.edges[n] = self.spawn_edge(n);
    }

    /// What a control plane says at `/readyz`.
    pub fn readiness(&self, plane: usize) -> String {
        let url = format!("https://{}:9080/readyz", self.plane(plane).address);
        let output = Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "2",
                "--cacert",
                "peers/authority/ca.pem",
                &url,
            ])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A new edition at the origin, and a purge of the old one through one control plane: the exit code, and what the
    /// command said.
    pub fn publish(&mut self, plane: usize, timeout: &str) -> (i32, Value) {
        self.edition += 1;
        let page = self.folder.path().join("www/page");
        fs::write(page.with_extension("new"), self.edition.to_string()).unwrap();
        fs::rename(page.with_extension("new"), page).unwrap();
        self.put_mark(plane);
        let purge = ["purge", "--site", "www", "--json", "--timeout", timeout];
        let (exit, said) = self.seawall(&purge, plane);
        (exit, serde_json::from_str(&said).unwrap_or_default())
    }

    /// One more site; remembered if it was acknowledged.
    fn put_mark(&mut self, plane: usize) {
        let (host, origin) = (format!("mark{}.test", self.edition), self.origin_url());
        let site = format!("[[site]]\nname = {host:?}\nhosts = [{host:?}]\norigin = {origin:?}\n");
        self.folder.write("mark.toml", site);
        if self.seawall(&["site", "put", "mark.toml"], plane).0 == 0 {
            self.acknowledged.push(host);
        }
    }

    /// How many sites were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Those after the first so many are not in the backup that was restored.
    pub fn lost_after(&mut self, count: usize) {
        self.acknowledged.truncate(count);
    }

    /// Every edge serves every site that was ever acknowledged, whatever broke meanwhile: how many.
    pub fn has_lost_nothing(&self) -> usize {
        for host in &self.acknowledged {
            for edge in 0..EDGES {
                let served = self.ask(edge, &["--header", &format!("Host: {host}")]);
                assert_eq!(
                    served,
                    self.edition.to_string(),
                    "edge {edge} does not know {host}"
                );
            }
        }
        self.acknowledged.len()
    }

    /// Whether an edge serves the newest edition.
    pub fn is_new(&self, edge: usize) -> bool {
        self.get(edge) == self.edition.to_string()
    }

    /// What an edge serves.
    pub fn get(&self, edge: usize) -> String {
        self.ask(edge, &[])
    }

    fn ask(&self, edge: usize, args: &[&str]) -> String {
        let output = self
            .clients()
            .command("curl")
            .args(["--silent", "--max-time", "5", &self.url(edge)])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A purge through any control plane is complete at every edge, which then serve nothing older; and all agree on
    /// how far they are.
    pub fn converges(&mut self) {
        let mut plane = 0;
        within(PATIENCE, "a purge is complete at every edge", || {
            plane = (plane + 1) % PLANES;
            let (exit, receipt) = self.publish(plane, "2s");
            let edges = receipt["edges"].as_array().map_or(0, Vec::len);
            exit == 0 && edges == EDGES
        });
        for edge in 0..EDGES {
            assert!(
                self.is_new(edge),
                "edge {edge} serves {} after a receipt",
                self.get(edge)
            );
        }
        within(
            PATIENCE,
            "both planes know every edge as live and without problems",
            || (0..PLANES).all(|plane| self.edges_agree(plane)),
        );
    }

    fn edges_agree(&self, plane: usize) -> bool {
        let (exit, said) = self.seawall(&["edges", "--json"], plane);
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let Some(edges) = said["edges"].as_array() else {
            return false;
        };
        let live = edges.iter().all(|edge| {
            edge["state"] == "live" && edge["problems"].as_array().is_some_and(Vec::is_empty)
        });
        exit == 0 && edges.len() == EDGES && live
    }

    /// A command of an operator, who is not on any of the machines: exit code and stdout.
    pub fn seawall(&self, args: &[&str], plane: usize) -> (i32, String) {
        let output = Command::new(SEAWALL)
            .args(args)
            .env(
                "SEAWALL_SERVER",
                format!("https://{}:9080", self.plane(plane).address),
            )
            .env("SEAWALL_CA", "peers/authority/ca.pem")
            .env("SEAWALL_TOKEN", &self.token)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), said)
    }

    /// How each control plane is asked.
    pub fn asked(&self) -> [Asked; PLANES] {
        let ca = self.folder.path().join("peers/authority/ca.pem");
        [0, 1].map(|plane| Asked {
            url: format!("https://{}:9080", self.plane(plane).address),
            token: self.token.clone(),
            ca: ca.to_str().unwrap().to_owned(),
        })
    }

    /// After a backup was restored.
    pub fn raise_epoch(&self) {
        let output = self
            .plane(0)
            .command(SEAWALL)
            .args(["control-plane", "--config", "cp0.toml", "--raise-epoch"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    fn hand_out_keys(&mut self) {
        let run = |args: &[&str]| {
            let mut command = Command::new(SEAWALL);
            command.args(args).current_dir(self.folder.path());
            let output = command.output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{}", text(&output.stderr));
            (text(&output.stdout), text(&output.stderr))
        };
        let planes =
            (0..PLANES).map(|n| format!("--control-plane=cp{n}={}", self.names_of_plane(n)));
        let edges = (0..EDGES).map(|n| format!("--edge=e{n}"));
        let peers: Vec<_> = planes.chain(edges).collect();
        let mut args = vec!["certs", "peers"];
        args.extend(peers.iter().map(String::as_str));
        run(&args);
        let scopes = ["--scope", "read", "--scope", "write", "--scope", "purge"];
        let (entry, said) = run(&[&["token", "--name", "operator"], &scopes[..]].concat());
        self.folder.write("tokens.toml", entry);
        self.token = said.trim().rsplit(' ').next().unwrap().to_owned();
    }

    /// The addresses it is found at: its own, and those of the edges, where ways to it may begin.
    fn names_of_plane(&self, n: usize) -> String {
        let edges = (0..EDGES).map(|n| self.edge(n).address.clone());
        let all: Vec<_> = edges.chain([self.plane(n).address.clone()]).collect();
        all.join(",")
    }

    fn spawn_plane(&self, n: usize) -> Process {
        let machine = self.plane(n);
        let endpoints = &self.endpoints[n];
        let text = format!(
            "[control_plane]\nlisten = \"{}:9080\"\nstate = \"cp{n}\"\npeer_certs = \"peers/cp{n}\"\n\
             tokens_file = \"tokens.toml\"\nstore = \"etcd\"\netcd.endpoints = {:?}\n",
            machine.address, endpoints
        );
        self.folder.write(&format!("cp{n}.toml"), text);
        self.spawn(
            machine,
            &["control-plane", "--config", &format!("cp{n}.toml")],
        )
    }

    fn spawn_edge(&self, n: usize) -> Process {
        let machine = self.edge(n);
        let planes = &self.plane_urls[n];
        let text = format!(
            "[edge]\nid = \"e{n}\"\nplace = \"here\"\nlisten = \"{}:8080\"\nadmin = \"{}:9081\"\nstate = \"e{n}\"\n\
             peer_certs = \"peers/e{n}\"\ncontrol_planes = {planes:?}\n",
            machine.address,
            machine.itself()
        );
        self.folder.write(&format!("e{n}.toml"), text);
        let config = format!("e{n}.toml");
        self.spawn(
            machine,
            &["edge", "--access-log", "off", "--config", &config],
        )
    }

    fn spawn(&self, machine: &Machine, args: &[&str]) -> Process {
        let mut command = machine.command(SEAWALL);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SEAWALL_LOG", "info");
        // What each prints in a folder of its own.
        Process::spawn(&mut command, &Folder::new())
    }
}

/// From each of `count` machines after `first`, the URLs of others.
fn ways(
    net: &Net,
    first: usize,
    count: usize,
    (others, other_count): (usize, usize),
    (scheme, port): (&str, u16),
) -> Vec<Vec<String>> {
    let urls = |from: usize| {
        let to = (others..others + other_count).map(|to| net.machine(to));
        to.map(|to| format!("{scheme}://{}", net.machine(from).way_to(to, port)))
            .collect()
    };
    (first..first + count).map(urls).collect()
}
