//! A site for each thing that an edge may do while it is cut off, each with a page; and a second machine with an id that is
//! taken.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{Fleet, PLANES, SEAWALL};
use crate::support::{Process, eventually};

/// As the sites are called, and what they say of `on_partition`.
pub const STANCES: [&str; 3] = ["serve", "revalidate", "refuse"];

/// Writes pages, and purges them; from any thread.
#[derive(Clone)]
pub struct Pages {
    folder: PathBuf,
    planes: [String; PLANES],
    token: String,
}

impl Fleet {
    /// The sites are there, and served.
    pub fn put_stances(&self) -> Pages {
        for stance in STANCES {
            let origin = self.origin_url();
            let site = format!(
                "[[site]]\nname = {stance:?}\nhosts = [\"{stance}.test\"]\norigin = {origin:?}\n\
                 on_partition = {stance:?}\ndebug_from = [\"0.0.0.0/0\"]\nrefetch_rate = 1000\n"
            );
            self.folder.write("stance.toml", site);
            eventually("a control plane takes the site", || {
                self.seawall(&["site", "put", "stance.toml"], 0).0 == 0
            });
        }
        let plane = |n| format!("https://{}:9080", self.plane(n).address);
        Pages {
            folder: self.folder.path().to_owned(),
            planes: [plane(0), plane(1)],
            token: self.token.clone(),
        }
    }

    /// SIGSTOP, and SIGCONT.
    pub fn pause_edge(&self, n: usize, is_paused: bool) {
        pause(&self.edges[n], is_paused);
    }

    pub fn pause_plane(&self, n: usize, is_paused: bool) {
        pause(&self.planes[n], is_paused);
    }

    /// Another machine with the id of the first edge, and its certificate.
    pub fn start_twin(&self) -> (Process, String) {
        let machine = self.net.machine(10);
        let config = fs::read_to_string(self.folder.path().join("e0.toml")).unwrap();
        let (here, there) = (&self.edge(0).address, &machine.address);
        let mine = |line: &str| match line.starts_with("control_planes") {
            true => line.to_owned(),
            false => line.replace(here, there),
        };
        let lines: Vec<_> = config.lines().map(mine).collect();
        let config = lines
            .join("\n")
            .replace("state = \"e0\"", "state = \"twin\"");
        self.folder.write("twin.toml", config);
        let args = ["edge", "--access-log", "off", "--config", "twin.toml"];
        (self.spawn(machine, &args), machine.address.clone())
    }

    /// The problems of an edge, as a control plane tells them.
    pub fn problems_of(&self, id: &str, plane: usize) -> String {
        let (_, said) = self.seawall(&["edges", "--json"], plane);
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let edges = said["edges"].as_array().cloned().unwrap_or_default();
        let edge = edges.iter().find(|edge| edge["id"] == id);
        edge.map_or(String::new(), |edge| edge["problems"].to_string())
    }
}

impl Pages {
    /// From now on the origin says this edition of the page.
    pub fn write(&self, site: &str, edition: u64) {
        let page = self.folder.join("www").join(site);
        fs::write(page.with_extension("new"), edition.to_string()).unwrap();
        fs::rename(page.with_extension("new"), page).unwrap();
    }

    /// The receipt; null where there is none.
    pub fn purge(&self, site: &str, plane: usize) -> Value {
        let output = Command::new(SEAWALL)
            .args(["purge", "--site", site, "--json", "--timeout", "20s"])
            .env("SEAWALL_SERVER", &self.planes[plane])
            .env("SEAWALL_CA", "peers/authority/ca.pem")
            .env("SEAWALL_TOKEN", &self.token)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

fn pause(process: &Process, is_paused: bool) {
    match is_paused {
        true => process.stop(),
        false => process.cont(),
    }
}
