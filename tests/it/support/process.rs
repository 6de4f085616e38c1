//! A process, mostly `seawall`: whatever it is told to do, it is gone when the test is.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::folder::Folder;
use super::wait::eventually;

/// Killed, by its id, when it is dropped. What it prints goes to a file in the folder, and is shown when the test
/// fails.
pub struct Process {
    child: Child,
    output: PathBuf,
    _folder: Folder,
}

impl Process {
    /// `seawall` with these arguments; what it prints is appended to `output` in `folder`.
    pub fn start(args: &[&str], folder: &Folder) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command
            .args(args)
            .current_dir(folder.path())
            .env("SEAWALL_LOG", "info");
        Self::spawn(&mut command, folder)
    }

    /// Any other program; what it prints is appended to `output` in `folder`.
    pub fn spawn(command: &mut Command, folder: &Folder) -> Self {
        let output = folder.path().join("output");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&output)
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `make test` installs what is missing")
            });
        Self {
            child,
            output,
            _folder: folder.clone(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed, and those before it in the same folder.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How it ended; None while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("the process ends", || {
            ended = self.ended();
            ended.is_some()
        });
        ended.unwrap()
    }

    pub fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// As an init system does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP: it reads its files again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP: it holds its connections and says nothing.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- what process {} printed:\n{}---",
                self.pid(),
                self.output()
            );
        }
    }
}
