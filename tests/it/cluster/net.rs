//! Machines on one host: network namespaces on a bridge of the test's own, whose links can be cut without anybody
//! being told.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};

/// A bridge, and the machines on it; gone with the test.
pub struct Net {
    bridge: String,
    machines: Vec<Machine>,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub namespace: String,
    pub address: String,
}

/// Nobody has it: what is sent there is lost, and nobody says so.
const NOWHERE: &str = "02:00:00:00:00:01";

impl Net {
    /// So many machines. Err: why this is not to be had here.
    pub fn new(count: u8) -> Result<Self, String> {
        sweep();
        let pid = std::process::id();
        let (third, fourth) = ((pid >> 8) % 256, pid % 2 * 128);
        // 10.x.y.0/25: the host has the last address.
        let network = |n: u32| Ipv4Addr::new(10, 200, third as u8, (fourth + n) as u8).to_string();
        let bridge = format!("swb{pid}");
        let mut net = Self {
            bridge: bridge.clone(),
            machines: Vec::new(),
        };
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&[
            "addr",
            "add",
            &format!("{}/25", network(126)),
            "dev",
            &bridge,
        ])?;
        ip(&["link", "set", &bridge, "up"])?;
        for n in 0..count {
            let (namespace, link) = (format!("sw-{pid}-{n}"), format!("swv{pid}-{n}"));
            let address = network(1 + u32::from(n));
            ip(&["netns", "add", &namespace])?;
            net.machines.push(Machine {
                namespace: namespace.clone(),
                address: address.clone(),
            });
            ip(&[
                "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
            ])?;
            ip(&["link", "set", &link, "master", &bridge, "up"])?;
            let inside = |words: &[&str]| ip(&[&["-n", &namespace], words].concat());
            inside(&["addr", "add", &format!("{address}/25"), "dev", "eth0"])?;
            inside(&["link", "set", "eth0", "up"])?;
            inside(&["link", "set", "lo", "up"])?;
        }
        Ok(net)
    }

    pub fn machine(&self, n: usize) -> &Machine {
        &self.machines[n]
    }
}

impl Machine {
    /// `program`, to be run here.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program.as_ref());
        command
    }

    /// From now on nothing passes between the two, and neither is told: no reset, no error, silence.
    pub fn cut(&self, other: &Self) {
        for (here, there) in [(self, other), (other, self)] {
            let lost = ["lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"];
            let words = [
                &["-n", &here.namespace, "neigh", "replace", &there.address],
                &lost[..],
            ];
            ip(&words.concat()).unwrap();
        }
    }

    /// It passes again.
    pub fn heal(&self, other: &Self) {
        for (here, there) in [(self, other), (other, self)] {
            let words = [
                "-n",
                &here.namespace,
                "neigh",
                "del",
                &there.address,
                "dev",
                "eth0",
            ];
            ip(&words).unwrap();
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for machine in &self.machines {
            let _ = ip(&["netns", "del", &machine.namespace]);
        }
        let _ = ip(&["link", "del", &self.bridge]);
    }
}

/// What tests that were killed have left behind.
fn sweep() {
    let Ok(there) = fs::read_dir("/run/netns") else {
        return;
    };
    for entry in there.flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(pid) = name
            .strip_prefix("sw-")
            .and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            let _ = ip(&["netns", "del", &name]);
            let _ = ip(&["link", "del", &format!("swb{pid}")]);
        }
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output: Result<Output, _> = Command::new("ip").args(words).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("ip {}: {}", words.join(" "), why.trim()))
        }
    }
}
