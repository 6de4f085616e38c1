//! One origin of three fails, in every way there is: what clients notice behind Seawall, nginx and HAProxy; and whether
//! one site whose origin hangs slows another.

mod failing;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::row_of;
use super::servers::free_address;
use crate::support::{Connection, Folder, Process, Seawall, eventually};
use failing::{Origin, Way};

/// Requests a second, each of a URL of its own, meant to leave at its time whatever became of those before.
const RATE: u64 = 200;
/// Before the failure, and while it lasts.
const WELL: Duration = Duration::from_secs(2);
const ILL: Duration = Duration::from_secs(10);
/// A client waits no longer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How the three are told to ask: nothing but these deadlines, and checks once a second where there are any.
const CONNECT_S: u32 = 2;
const HEADER_S: u32 = 9;

#[test]
#[ignore = "a figure, and minutes long: make origins"]
fn one_origin_of_three_fails() {
    let runtime = Runtime::new().unwrap();
    let servers: [(&str, Start); 3] =
        [("Seawall", seawall), ("nginx", nginx), ("HAProxy", haproxy)];
    for way in Way::ALL {
        for (name, start) in servers {
            let origins: Vec<_> = (0..3).map(|_| Origin::start(&runtime)).collect();
            let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
            let proxy = start(&addresses);
            runtime.block_on(load(proxy.address, WELL));
            origins[0].fails(way);
            let found = runtime.block_on(load(proxy.address, ILL));
            tell(way.name(), name, &found);
        }
    }
}

/// A proxy in front of these origins.
type Start = fn(&[SocketAddr]) -> Proxy;

struct Proxy {
    address: SocketAddr,
    _process: Process,
}

impl Proxy {
    fn start(address: SocketAddr, command: &mut Command, folder: &Folder) -> Self {
        let process = Process::spawn(command.current_dir(folder.path()), folder);
        eventually("it listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self {
            address,
            _process: process,
        }
    }
}

fn seawall(origins: &[SocketAddr]) -> Proxy {
    let folder = Folder::new();
    let server = |it: &SocketAddr| format!("[[site.origin.server]]\nurl = \"http://{it}\"\n");
    let servers: String = origins.iter().map(server).collect();
    let file = folder.write(
        "sites.toml",
        format!(
            "[[site]]\nname = \"a\"\nhosts = [\"*\"]\n[site.origin.health]\ninterval = \"1s\"\n\
             timeout = \"1s\"\n{servers}"
        ),
    );
    let address = free_address();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(["run", "--config", &file, "--state", "state", "--listen"]);
    command.arg(address.to_string());
    command.args(["--listen-tls", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let proxy = Proxy::start(address, &mut command, &folder);
    eventually("it serves", || {
        Connection::open(address)
            .request("GET", "/", &[], b"")
            .status
            == 200
    });
    proxy
}

fn nginx(origins: &[SocketAddr]) -> Proxy {
    let (folder, address) = (Folder::new(), free_address());
    let servers: String = origins.iter().map(|it| format!("server {it}; ")).collect();
    let home = folder.path().to_str().unwrap();
    let config = folder.write(
        "nginx.conf",
        format!(
            "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log crit;\n\
             events {{ worker_connections 10000; }}\nhttp {{ access_log off;\n\
             client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;\n\
             uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n\
             upstream origin {{ {servers} keepalive 64; }}\nserver {{ listen {address};\n\
             location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_connect_timeout {CONNECT_S}s; proxy_read_timeout {HEADER_S}s; }} }} }}\n"
        ),
    );
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-c", &config, "-p", home]);
    Proxy::start(address, &mut command, &folder)
}

fn haproxy(origins: &[SocketAddr]) -> Proxy {
    let (folder, address) = (Folder::new(), free_address());
    let server = |(n, it): (usize, &SocketAddr)| format!("  server s{n} {it} check inter 1s\n");
    let servers: String = origins.iter().enumerate().map(server).collect();
    let config = folder.write(
        "haproxy.cfg",
        format!(
            "defaults\n  mode http\n  timeout connect {CONNECT_S}s\n  timeout server {HEADER_S}s\n  timeout client 60s\n  \
             timeout check 1s\n  retries 2\n  option redispatch 1\nfrontend f\n  bind {address}\n  \
             default_backend b\nbackend b\n  balance roundrobin\n  option httpchk GET /\n{servers}"
        ),
    );
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f", &config]);
    Proxy::start(address, &mut command, &folder)
}

/// What became of the requests: how many failed, and how long each took since it was meant to leave.
struct Found {
    failed: usize,
    took: Vec<Duration>,
}

/// At the rate, for so long; then everything comes to its end.
async fn load(address: SocketAddr, time: Duration) -> Found {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let began = tokio::time::Instant::now();
    let mut asked = Vec::new();
    for n in 0..time.as_secs() * RATE {
        let due = began + Duration::from_micros(n * 1_000_000 / RATE);
        tokio::time::sleep_until(due).await;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        asked.push(tokio::spawn(async move {
            let got = tokio::time::timeout(PATIENCE, get(address, "any.test", number)).await;
            (matches!(got, Ok(Some(()))), due.elapsed())
        }));
    }
    let (mut failed, mut took) = (0, Vec::new());
    for one in asked {
        let (is_good, time) = one.await.unwrap();
        failed += usize::from(!is_good);
        took.push(time);
    }
    took.sort();
    Found { failed, took }
}

/// A 200 with its whole body, or nothing.
async fn get(address: SocketAddr, host: &str, number: u64) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET /{number} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let is_good =
        answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(failing::BODY.as_bytes());
    is_good.then_some(())
}

fn tell(way: &str, name: &str, found: &Found) {
    let percent = found.failed as f64 * 100.0 / found.took.len() as f64;
    let at = |percent: usize| found.took[(found.took.len() - 1) * percent / 100];
    row_of(
        "ORIGIN_ROWS",
        &format!(
            "| {way} | {name} | {percent:.2} % | {:.1?} | {:.1?} | {:.1?} |",
            at(50),
            at(99),
            at(100)
        ),
    );
}

/// Fetches of one site that hang.
const HANGING: u64 = 1_000;

#[test]
#[ignore = "a figure, and a minute long: make origins"]
fn a_thousand_hanging_fetches_beside_another_site() {
    let runtime = Runtime::new().unwrap();
    let (hangs, well) = (Origin::start(&runtime), Origin::start(&runtime));
    hangs.fails(Way::Hang);
    let site = |name: &str, origin: &Origin| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\norigin = \"http://{}\"\n",
            origin.address()
        )
    };
    let seawall = Seawall::run_config(&(site("hangs", &hangs) + &site("well", &well)));
    let address = seawall.listen();
    let mut found = [Vec::new(), Vec::new()];
    // Alone and beside them, in turns: what else this machine does is in both.
    for round in 0..6 {
        let beside = round % 2;
        let hanging = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..HANGING * beside as u64)
            .map(|n| {
                let hanging = hanging.clone();
                let number = round as u64 * HANGING + n;
                runtime.spawn(async move {
                    hanging.fetch_add(1, Ordering::Relaxed);
                    get(address, "hangs.test", number).await
                })
            })
            .collect();
        eventually("they hang", || hangs.waiting() >= HANGING * beside as u64);
        found[beside].extend(runtime.block_on(probe(address, round as u64)));
        tasks.iter().for_each(|task| task.abort());
        eventually("they have gone", || hangs.waiting() == 0);
    }
    let p99 = found.map(|mut took| {
        took.sort();
        took[(took.len() - 1) * 99 / 100]
    });
    let row = format!(
        "| p99 of a site's misses alone, and beside {HANGING} fetches of another that hang | Seawall | | {:.2?} | {:.2?} | |",
        p99[0], p99[1]
    );
    row_of("ORIGIN_ROWS", &row);
}

/// Misses of the other site, at a rate that leaves the machine idle, on a kept connection.
async fn probe(address: SocketAddr, round: u64) -> Vec<Duration> {
    let mut took = Vec::new();
    for n in 0..1_000 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let began = Instant::now();
        get(address, "well.test", round * 1_000_000 + n)
            .await
            .unwrap();
        took.push(began.elapsed());
    }
    took
}
