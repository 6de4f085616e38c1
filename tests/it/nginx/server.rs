//! nginx, as Debian has it, with a configuration of our own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Folder, eventually};

/// One process in the foreground, without workers: killed by its id when dropped, it leaves nothing behind.
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

/// One request that nginx has answered to its end.
pub struct Line {
    pub target: String,
    pub status: u16,
    /// Of the body, as it was sent.
    pub bytes: u64,
}

impl Nginx {
    /// Serves `locations`, in which `FOLDER` is the folder.
    pub fn start(folder: &Folder, locations: &str) -> Self {
        // Another program may take the port before nginx does.
        let started = (0..5).find_map(|_| Self::try_start(folder, locations));
        started.unwrap_or_else(|| panic!("nginx does not start: {}", text(folder, "error.log")))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Of the one process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has answered.
    pub fn log(&self) -> Vec<Line> {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap();
            Line {
                target: next().to_owned(),
                status: next().parse().unwrap(),
                bytes: next().parse().unwrap(),
            }
        };
        text(&self.folder, "access.log").lines().map(line).collect()
    }

    /// Finishes what is under way, ends, and says all that it has answered.
    pub fn quit(mut self) -> Vec<Line> {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::QUIT).unwrap();
        eventually("nginx ends", || self.child.try_wait().unwrap().is_some());
        self.log()
    }

    fn try_start(folder: &Folder, locations: &str) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let config = folder.write("nginx.conf", config(folder.path(), address, locations));
        let child = Command::new(program())
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .args(["-c", &config])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("nginx: {error}; `make test` installs it (on Debian: nginx-light)")
            });
        let mut nginx = Self {
            child,
            address,
            folder: folder.clone(),
        };
        let mut ended = false;
        eventually("nginx listens or gives up", || {
            ended = nginx.child.try_wait().unwrap().is_some();
            ended || !text(folder, "nginx.pid").is_empty()
        });
        (!ended).then_some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian keeps it where not everyone's path leads.
fn program() -> &'static str {
    let debians = "/usr/sbin/nginx";
    if Path::new(debians).exists() {
        debians
    } else {
        "nginx"
    }
}

fn config(folder: &Path, address: SocketAddr, locations: &str) -> String {
    let folder = folder.to_str().unwrap();
    let config = "
        daemon off;
        master_process off;
        pid FOLDER/nginx.pid;
        error_log FOLDER/error.log warn;
        events { worker_connections 1024; }
        http {
            log_format line '$request_uri $status $body_bytes_sent';
            access_log FOLDER/access.log line;
            client_body_temp_path FOLDER/body;
            proxy_temp_path FOLDER/proxy;
            fastcgi_temp_path FOLDER/fastcgi;
            uwsgi_temp_path FOLDER/uwsgi;
            scgi_temp_path FOLDER/scgi;
            default_type application/octet-stream;
            server { listen ADDRESS; LOCATIONS }
        }
    ";
    let config = config.replace("LOCATIONS", locations);
    config
        .replace("FOLDER", folder)
        .replace("ADDRESS", &address.to_string())
}

/// Empty where there is no such file yet.
fn text(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}
