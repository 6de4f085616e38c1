//! Load that goes on while things break: requests at times that were fixed beforehand, whatever becomes of those before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::net::Machine;

/// Clients of some edges, until they are asked how it went.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub requests: u64,
    /// Not answered, or not with a 200.
    pub failed: u64,
    /// Of them, why.
    pub why: Vec<String>,
    pub hits: u64,
}

impl Load {
    /// So many requests a second for each URL, from `machine`.
    pub fn start(machine: &Machine, urls: &[String], rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = urls.iter().map(|url| {
            let (machine, url, stop) = (machine.clone(), url.clone(), stop.clone());
            thread::spawn(move || client(&machine, &url, rate, &stop))
        });
        Self {
            clients: clients.collect(),
            stop,
        }
    }

    /// Ends it.
    pub fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().unwrap();
            all.requests += tally.requests;
            all.failed += tally.failed;
            all.hits += tally.hits;
            all.why.extend(tally.why);
        }
        all
    }
}

/// One run of the load tool after the other.
fn client(machine: &Machine, url: &str, rate: u32, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let rate = rate.to_string();
    let host = url.split(['/', ':']).nth(3).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let output = machine
            .command(env!("CARGO_BIN_EXE_seawall"))
            .args([
                "loadtest",
                "--i-own-this",
                host,
                "--rate",
                &rate,
                "--duration",
                "3s",
                "--json",
                "-",
                url,
            ])
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("the load tool: {error}: {said}")
        });
        let requests = report["requests"].as_u64().unwrap();
        let good = report["statuses"]["200"].as_u64().unwrap_or(0);
        tally.requests += requests;
        tally.hits += report["classes"]["hit"]["count"].as_u64().unwrap();
        if good < requests {
            tally.failed += requests - good;
            tally.why.push(format!(
                "{url}: {} {}",
                report["statuses"], report["failures"]
            ));
        }
    }
    tally
}
