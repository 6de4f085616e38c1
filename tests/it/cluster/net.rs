//! Machines on one host, whose links can be cut without anybody being told: network namespaces on a bridge of the test's
//! own; or, where those are not to be had, loopback addresses with relays between them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use super::relay::Relay;
use crate::support::say;

/// The machines; gone with the test.
pub struct Net {
    /// None: on loopback.
    bridge: Option<String>,
    machines: Vec<Machine>,
}

/// One machine.
#[derive(Clone)]
pub struct Machine {
    /// None: on loopback.
    pub namespace: Option<String>,
    pub address: String,
    /// On loopback: what the ways from here lead through, and where to.
    ways: Arc<Mutex<Vec<Way>>>,
}

struct Way {
    to: String,
    relay: Relay,
}

/// Nobody has it: what is sent there is lost, and nobody says so.
const NOWHERE: &str = "02:00:00:00:00:01";

impl Net {
    /// So many machines; a word on stderr where there are no namespaces.
    pub fn new(count: u8) -> Self {
        Self::in_namespaces(count).unwrap_or_else(|why| {
            say(&format!(
                "NO NETWORK NAMESPACES ({why}): the cluster runs on loopback, its links are relays"
            ));
            Self::on_loopback(count)
        })
    }

    fn on_loopback(count: u8) -> Self {
        let pid = std::process::id();
        let address = |n: u8| format!("127.{}.{}.{}", 1 + (pid >> 8) % 254, pid % 256, 200 + n);
        let machine = |n| Machine {
            namespace: None,
            address: address(n),
            ways: Arc::default(),
        };
        Self {
            bridge: None,
            machines: (0..count).map(machine).collect(),
        }
    }

    fn in_namespaces(count: u8) -> Result<Self, String> {
        if std::env::var_os("SEAWALL_TEST_LOOPBACK").is_some() {
            return Err("SEAWALL_TEST_LOOPBACK asks for none".into());
        }
        sweep();
        let pid = std::process::id();
        let (third, fourth) = ((pid >> 8) % 256, pid % 2 * 128);
        // 10.x.y.0/25: the host has the last address.
        let network = |n: u32| Ipv4Addr::new(10, 200, third as u8, (fourth + n) as u8).to_string();
        let bridge = format!("swb{pid}");
        let mut net = Self {
            bridge: Some(bridge.clone()),
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
                namespace: Some(namespace.clone()),
                address: address.clone(),
                ways: Arc::default(),
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
        let Some(namespace) = &self.namespace else {
            return Command::new(program.as_ref());
        };
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .arg(program.as_ref());
        command
    }

    /// An address that only this machine reaches.
    pub fn itself(&self) -> &str {
        match &self.namespace {
            Some(_) => "127.0.0.1",
            None => &self.address,
        }
    }

    /// Address and port at which this machine finds another one's port.
    pub fn way_to(&self, other: &Self, port: u16) -> String {
        if self.namespace.is_some() {
            return format!("{}:{port}", other.address);
        }
        let mut ways = self.ways.lock().unwrap();
        // At its own address, so that a certificate for the other one names it, too; a port for each way.
        let listen = format!("{}:{}", self.address, 20_000 + ways.len());
        let listen: SocketAddr = listen.parse().unwrap();
        let target = format!("{}:{port}", other.address).parse().unwrap();
        ways.push(Way {
            to: other.address.clone(),
            relay: Relay::start(listen, target),
        });
        listen.to_string()
    }

    /// From now on nothing passes between the two, and neither is told: no reset, no error, silence.
    pub fn cut(&self, other: &Self) {
        for (here, there) in [(self, other), (other, self)] {
            let Some(namespace) = &here.namespace else {
                here.be_silent(there, true);
                continue;
            };
            let lost = ["lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"];
            let words = [
                &["-n", namespace, "neigh", "replace", &there.address],
                &lost[..],
            ];
            ip(&words.concat()).unwrap();
        }
    }

    /// It passes again.
    pub fn heal(&self, other: &Self) {
        for (here, there) in [(self, other), (other, self)] {
            let Some(namespace) = &here.namespace else {
                here.be_silent(there, false);
                continue;
            };
            let words = [
                "-n",
                namespace,
                "neigh",
                "del",
                &there.address,
                "dev",
                "eth0",
            ];
            ip(&words).unwrap();
        }
    }

    fn be_silent(&self, other: &Self, is_silent: bool) {
        let ways = self.ways.lock().unwrap();
        let ways = ways.iter().filter(|way| way.to == other.address);
        ways.for_each(|way| way.relay.be_silent(is_silent));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for namespace in self.machines.iter().filter_map(|it| it.namespace.as_ref()) {
            let _ = ip(&["netns", "del", namespace]);
        }
        if let Some(bridge) = &self.bridge {
            let _ = ip(&["link", "del", bridge]);
        }
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
