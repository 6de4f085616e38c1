//! The caches that are measured beside each other, each on the second core, in front of the same origin, with the same
//! certificate, each with an access log; and a bare socket server, which is the limit of this machine.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use super::bare;
use crate::support::{Folder, Process, eventually};

/// Where servers run.
pub const CORE: &str = "1";
/// Where the clients and the origin do.
pub const CLIENT_CORE: &str = "0";
/// Processes of a server, with those it started.
const PROCESSES_MAX: usize = 64;

pub struct Server {
    pub name: &'static str,
    pub clear: SocketAddr,
    /// With HTTP/1.1 and HTTP/2.
    pub tls: Option<SocketAddr>,
    processes: Vec<Process>,
    /// Of the one thread, where it is one of ours.
    thread: Option<i32>,
}

/// Everything a server needs.
struct Place {
    folder: Folder,
    clear: SocketAddr,
    tls: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::new();
        let certificate = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ])
            .args([
                "-keyout",
                "site.key",
                "-out",
                "site.crt",
                "-days",
                "30",
                "-subj",
                "/CN=127.0.0.1",
            ])
            .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(certificate.status.success(), "openssl");
        Self {
            folder,
            clear: free_address(),
            tls: free_address(),
        }
    }

    fn home(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn run(&self, command: &[&str]) -> Process {
        self.run_on(CORE, command)
    }

    fn run_on(&self, cores: &str, command: &[&str]) -> Process {
        let mut pinned = Command::new("taskset");
        pinned
            .args(["-c", cores])
            .args(command)
            .current_dir(self.folder.path());
        Process::spawn(&mut pinned, &self.folder)
    }

    fn serves(self, name: &'static str, has_tls: bool, processes: Vec<Process>) -> Server {
        self.serves_on(CORE, name, has_tls, processes)
    }

    fn serves_on(
        self,
        cores: &str,
        name: &'static str,
        has_tls: bool,
        processes: Vec<Process>,
    ) -> Server {
        let tls = has_tls.then_some(self.tls);
        for address in [self.clear].into_iter().chain(tls) {
            eventually(&format!("{name} listens"), || {
                TcpStream::connect(address).is_ok()
            });
        }
        let server = Server {
            name,
            clear: self.clear,
            tls,
            processes,
            thread: None,
        };
        // Traffic Server gives its threads all cores, whatever it was started on.
        for id in server.ids() {
            pin(&["-a"], cores, &id.to_string());
        }
        server
    }
}

impl Server {
    pub fn seawall(origin: SocketAddr) -> Self {
        Self::seawall_on(CORE, origin)
    }

    /// With a thread that answers on each of these cores.
    pub fn seawall_on(cores: &str, origin: SocketAddr) -> Self {
        let place = Place::new();
        let (clear, tls) = (place.clear.to_string(), place.tls.to_string());
        let origin = format!("http://{origin}");
        let certs = place.folder.path().join("certs");
        fs::create_dir(&certs).unwrap();
        for file in ["site.crt", "site.key"] {
            fs::rename(place.folder.path().join(file), certs.join(file)).unwrap();
        }
        let seawall = [
            env!("CARGO_BIN_EXE_seawall"),
            "run",
            "--origin",
            &origin,
            "--listen",
            &clear,
            "--listen-tls",
            &tls,
            "--admin",
            &free_address().to_string(),
            "--state",
            "state",
            "--certs",
            "certs",
            "--access-log",
            "access.log",
        ];
        let process = place.run_on(cores, &seawall);
        place.serves_on(cores, "Seawall", true, vec![process])
    }

    pub fn nginx(origin: SocketAddr) -> Self {
        let place = Place::new();
        let home = place.home();
        let (clear, tls) = (place.clear, place.tls);
        let config = place.folder.write("nginx.conf", format!(
            "daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/error.log crit;\n\
             worker_rlimit_nofile 30000; events {{ worker_connections 20000; }}\nhttp {{\n\
             access_log {home}/access.log combined buffer=64k flush=1s; sendfile off; output_buffers 2 512k;\n\
             keepalive_requests 100000000; keepalive_timeout 600s; open_file_cache max=10000;\n\
             proxy_cache_path {home}/cache levels=1:2 keys_zone=z:64m inactive=1h use_temp_path=off;\n\
             upstream origin {{ server {origin}; keepalive 64; }}\n\
             client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;\n\
             uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n\
             server {{ listen {clear}; listen {tls} ssl http2; ssl_certificate site.crt; \
             ssl_certificate_key site.key; http2_max_concurrent_streams 128;\n\
             location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_cache z; proxy_cache_lock on; }} }} }}\n"
        ));
        let process = place.run(&["/usr/sbin/nginx", "-c", &config, "-p", home]);
        place.serves("nginx", true, vec![process])
    }

    /// Debian's speaks no TLS.
    pub fn varnish(origin: SocketAddr) -> Self {
        let place = Place::new();
        let (ip, port) = (origin.ip(), origin.port());
        let vcl =
            format!("vcl 4.1;\nbackend default {{ .host = \"{ip}\"; .port = \"{port}\"; }}\n");
        let vcl = place.folder.write("bench.vcl", vcl);
        let name = place.folder.path().join("varnish");
        let name = name.to_str().unwrap();
        let cache = place.run(&[
            "/usr/sbin/varnishd",
            "-F",
            "-j",
            "none",
            "-s",
            "malloc,1g",
            "-f",
            &vcl,
            "-a",
            &place.clear.to_string(),
            "-n",
            name,
            "-p",
            "timeout_idle=600",
            "-p",
            "thread_pool_max=12000",
        ]);
        eventually("varnish listens", || {
            TcpStream::connect(place.clear).is_ok()
        });
        let log = place.run(&["varnishncsa", "-n", name, "-w", "access.log"]);
        place.serves("Varnish", false, vec![cache, log])
    }

    pub fn traffic_server(origin: SocketAddr) -> Self {
        let place = Place::new();
        let home = place.home();
        for folder in ["cache", "run", "log", "share"] {
            fs::create_dir(place.folder.path().join(folder)).unwrap();
        }
        let copied = Command::new("cp")
            .args(["-r", "/etc/trafficserver", "etc"])
            .current_dir(home)
            .status();
        assert!(copied.unwrap().success());
        let (clear, tls) = (place.clear.port(), place.tls.port());
        for (file, text) in [
            (
                "runroot.yaml",
                format!(
                    "prefix: {home}\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/sbin\nsysconfdir: {home}/etc\n\
                 datadir: {home}/share\nincludedir: /usr/include\nlibdir: /usr/lib\n\
                 libexecdir: /usr/lib/trafficserver/modules\nlocalstatedir: {home}\nruntimedir: {home}/run\n\
                 logdir: {home}/log\ncachedir: {home}/cache\n"
                ),
            ),
            (
                "etc/records.config",
                format!(
                    "CONFIG proxy.config.http.server_ports STRING {clear}:ip-in=127.0.0.1 {tls}:ip-in=127.0.0.1:ssl\n\
                 CONFIG proxy.config.exec_thread.autoconfig.enabled INT 0\nCONFIG proxy.config.exec_thread.limit INT 1\n\
                 CONFIG proxy.config.cache.ram_cache.size INT 1073741824\n\
                 CONFIG proxy.config.cache.ram_cache_cutoff INT 16777216\n\
                 CONFIG proxy.config.http.cache.required_headers INT 0\n\
                 CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600\n\
                 CONFIG proxy.config.net.connections_throttle INT 20000\n\
                 CONFIG proxy.config.net.max_connections_in INT 20000\n\
                 CONFIG proxy.config.admin.user_id STRING #-1\nCONFIG proxy.config.crash_log_helper STRING NULL\nCONFIG proxy.config.log.logging_enabled INT 3\n\
                 CONFIG proxy.config.ssl.server.cert.path STRING {home}\n\
                 CONFIG proxy.config.ssl.server.private_key.path STRING {home}\n"
                ),
            ),
            ("etc/remap.config", format!("map / http://{origin}/\n")),
            ("etc/storage.config", format!("{home}/cache 1G\n")),
            (
                "etc/ssl_multicert.config",
                "dest_ip=* ssl_cert_name=site.crt ssl_key_name=site.key\n".to_owned(),
            ),
        ] {
            place.folder.write(file, text);
        }
        let root = format!("--run-root={home}/runroot.yaml");
        let process = place.run(&["/usr/bin/traffic_server", &root]);
        place.serves("Traffic Server", true, vec![process])
    }

    /// Answers whatever comes with the same bytes, as soon as a head has ended: a tokio task a connection.
    pub fn bare(body: usize) -> Self {
        let (clear, thread) = bare::start(body);
        Self {
            name: "bare sockets (tokio)",
            clear,
            tls: None,
            processes: Vec::new(),
            thread: Some(thread),
        }
    }

    pub fn is_a_cache(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Seconds of CPU, its own and the kernel's for it.
    pub fn cpu_s(&self) -> f64 {
        let mut files: Vec<_> = self
            .ids()
            .iter()
            .map(|id| format!("/proc/{id}/stat"))
            .collect();
        files.extend(self.thread.map(|id| format!("/proc/self/task/{id}/stat")));
        // proc(5): the 14th and 15th are in hundredths of a second; the 2nd may hold spaces.
        let ticks = |file: &String| -> f64 {
            let text = fs::read_to_string(file).unwrap_or_default();
            let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
            let ticks = rest.split_whitespace().skip(11).take(2);
            ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum()
        };
        files.iter().map(ticks).sum::<f64>() / 100.0
    }

    /// What it holds in memory, in bytes; what processes share counts for each a part.
    pub fn resident_bytes(&self) -> u64 {
        let resident = |id: &u32| -> u64 {
            let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            kib.unwrap_or(0) * 1_024
        };
        self.ids().iter().map(resident).sum()
    }

    /// Its processes, and those they have started.
    pub fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<_> = self.processes.iter().map(Process::pid).collect();
        let mut at = 0;
        while at < ids.len() && at < PROCESSES_MAX {
            let id = ids[at];
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            let children = children.unwrap_or_default();
            ids.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
            at += 1;
        }
        ids
    }
}

/// `which`: `-a` for all threads of a process.
pub fn pin(which: &[&str], cores: &str, id: &str) {
    let mut pinned = Command::new("taskset");
    let pinned = pinned.args(which).args(["-p", "-c", cores, id]).output();
    assert!(pinned.unwrap().status.success());
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
