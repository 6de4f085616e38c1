//! One process of the demo: this same program in one of its roles, in a folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::addresses::Addresses;
use crate::cli::Server;
use crate::client::Client;
use crate::exit::{Exit, Failure};

/// Between two looks whether a child is up.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The end of a log that is shown when a child did not come up.
const LOG_LINES_SHOWN: usize = 8;

/// A running child. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    folder: PathBuf,
    process: Process,
    /// The child stops when this is closed: also when we are killed.
    _alive: Option<ChildStdin>,
}

/// What all children are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    GoOn,
    Drain,
    Die,
}

pub(super) type Orders = watch::Sender<Order>;

/// A child that is no more.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) how: String,
}

impl Child {
    /// Writes `config` into `folder` and starts `seawall ROLE --config` there; `role` may have flags.
    pub(super) fn spawn_with_config(
        name: &str,
        folder: &Path,
        role: &[&str],
        config: &str,
    ) -> Result<Self, Failure> {
        let file = folder.join("seawall.toml");
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&file, config));
        written.map_err(|error| cannot_start(name, &error))?;
        let file = file.to_string_lossy();
        let arguments: Vec<_> = role.iter().copied().chain(["--config", &*file]).collect();
        Self::spawn(name, folder, &arguments)
    }

    /// Its stdout goes to `access.log`, its stderr to `log`, both in `folder` and begun anew.
    pub(super) fn spawn(name: &str, folder: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        Addresses::forget(folder)?;
        let spawn = || {
            fs::create_dir_all(folder)?;
            Command::new(std::env::current_exe()?)
                .args(arguments)
                // A person reads these logs.
                .args(["--exit-with-parent", "--log-format", "text"])
                .stdin(Stdio::piped())
                .stdout(File::create(folder.join("access.log"))?)
                .stderr(File::create(folder.join("log"))?)
                // Ctrl-C on the terminal is for us; we tell them in our own time.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        let mut process = spawn().map_err(|error| cannot_start(name, &error))?;
        let alive = process.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            process,
            _alive: alive,
        })
    }

    /// What it listens on, once it has said so.
    pub(super) async fn started(&mut self, patience: Duration) -> Result<Addresses, Failure> {
        let said = async {
            loop {
                if let Ok(addresses) = Addresses::read(&self.folder) {
                    return Ok(addresses);
                }
                if let Ok(Some(status)) = self.process.try_wait() {
                    return Err(self.failed(&format!("ended at once ({status})")));
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        match timeout(patience, said).await {
            Ok(said) => said,
            Err(_) => Err(self.silent()),
        }
    }

    /// The same, once its `/readyz` says 200.
    pub(super) async fn ready(&mut self, patience: Duration) -> Result<Addresses, Failure> {
        let addresses = self.started(patience).await?;
        let admin = addresses.admin.ok_or_else(|| self.silent())?;
        let client = Client::new(&Server {
            url: format!("http://{admin}"),
            ca: None,
            token: None,
        })?;
        let ready = async {
            loop {
                if let Ok(answer) = client.get("/readyz").await
                    && answer.status.is_success()
                {
                    return Ok(());
                }
                if let Ok(Some(status)) = self.process.try_wait() {
                    return Err(self.failed(&format!("ended before it was ready ({status})")));
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        match timeout(patience, ready).await {
            Ok(ready) => ready.map(|()| addresses),
            Err(_) => Err(self.silent()),
        }
    }

    /// Until it ends, carrying out what is ordered.
    pub(super) async fn watch(mut self, mut orders: watch::Receiver<Order>) -> Ended {
        let mut done = Order::GoOn;
        loop {
            tokio::select! {
                status = self.process.wait() => {
                    let how = status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string());
                    return Ended { name: self.name, how };
                }
                // Without anyone left to give orders there is nothing to go on for.
                order = orders.wait_for(|order| *order > done) => {
                    done = order.map_or(Order::Die, |order| *order);
                }
            }
            match done {
                Order::GoOn => {}
                Order::Drain => self.terminate(),
                Order::Die => drop(self.process.start_kill()),
            }
        }
    }

    /// It did not come up in time.
    pub(super) fn silent(&self) -> Failure {
        self.failed("did not come up in time")
    }

    fn terminate(&self) {
        // The number is the child's own until `wait` has returned.
        let pid = self
            .process
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn failed(&self, how: &str) -> Failure {
        let log = self.folder.join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(LOG_LINES_SHOWN)..)
            .unwrap_or_default();
        let (name, log) = (&self.name, log.display());
        Exit::Failed.because(format!(
            "{name} {how}; the end of {log}:\n  {}",
            last.join("\n  ")
        ))
    }
}

fn cannot_start(name: &str, error: &std::io::Error) -> Failure {
    Exit::Failed.because(format!("{name} cannot be started: {error}"))
}
