//! Other caches in front of the same world: three of each, as Debian has them. A purge of theirs counts as done when each
//! of the three has said so, which is the nearest they have to a receipt.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::world::{Kind, Object, Purge, World};
use crate::support::{Connection, Folder, Process, eventually};

const CACHES: usize = 3;

/// Three of one kind.
pub trait Peers: Sync {
    fn addresses(&self) -> Vec<SocketAddr>;
    /// Until all three have said that it is done. All purges are hard: neither has a soft one of every kind.
    fn purge(&self, purge: &Purge);
}

/// With its own purge for a URL, and bans for everything else.
pub struct Varnish(Vec<(SocketAddr, Process)>);

/// Without a purge: who needs one removes files from its cache.
pub struct Nginx {
    addresses: Vec<SocketAddr>,
    folder: Folder,
    _process: Process,
}

impl Varnish {
    pub fn before(world: &World) -> Self {
        let one = |_| {
            let (folder, address) = (Folder::new(), free_address());
            let vcl = folder.write("race.vcl", vcl(world.address()));
            let mut command = Command::new("/usr/sbin/varnishd");
            command
                .args(["-F", "-j", "none", "-s", "malloc,64m", "-f", &vcl])
                .args(["-a", &address.to_string(), "-n"])
                .arg(folder.path().join("varnish"));
            let process = Process::spawn(&mut command, &folder);
            listens(address);
            (address, process)
        };
        Self((0..CACHES).map(one).collect())
    }
}

impl Peers for Varnish {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(address, _)| *address).collect()
    }

    fn purge(&self, purge: &Purge) {
        let (of, host) = (purge.of, purge.of.host());
        let ban = match purge.kind {
            Kind::Url => None,
            Kind::Tag => Some(format!("obj.http.surrogate-key == {}", of.tag_name())),
            Kind::Prefix => Some(format!(
                "req.http.host == {host} && req.url ~ ^/{}/",
                of.folder()
            )),
            Kind::Site => Some(format!("req.http.host == {host}")),
            Kind::All => Some("req.url ~ .".to_owned()),
        };
        for address in self.addresses() {
            let mut connection = Connection::open(address);
            let answer = match &ban {
                None => connection.request("PURGE", &of.target(), &[("host", &host)], b""),
                Some(ban) => connection.request("BAN", "/", &[("host", &host), ("ban", ban)], b""),
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

impl Nginx {
    pub fn before(world: &World) -> Self {
        let addresses: Vec<_> = (0..CACHES).map(|_| free_address()).collect();
        let folder = Folder::new();
        let config = folder.write(
            "nginx.conf",
            config(folder.path(), world.address(), &addresses),
        );
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-c", &config, "-p"]).arg(folder.path());
        let process = Process::spawn(&mut command, &folder);
        addresses.iter().copied().for_each(listens);
        Self {
            addresses,
            folder,
            _process: process,
        }
    }
}

impl Peers for Nginx {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    fn purge(&self, purge: &Purge) {
        for n in 0..CACHES {
            for file in files(&self.folder.path().join(format!("cache{n}"))) {
                // It may be gone meanwhile, or be one that is written and has no name yet.
                let kept = fs::read(&file).unwrap_or_default();
                let kept = String::from_utf8_lossy(&kept);
                let key = kept.lines().find_map(|line| line.strip_prefix("KEY: "));
                if key
                    .and_then(Object::at)
                    .is_some_and(|object| purge.covers(object))
                {
                    let _ = fs::remove_file(file);
                }
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

fn vcl(origin: SocketAddr) -> String {
    let (ip, port) = (origin.ip(), origin.port());
    format!(
        r#"vcl 4.1;
backend default {{ .host = "{ip}"; .port = "{port}"; }}
sub vcl_recv {{
    if (req.method == "PURGE") {{ return (purge); }}
    if (req.method == "BAN") {{ ban(req.http.ban); return (synth(200)); }}
}}
sub vcl_deliver {{
    if (obj.hits > 0) {{ set resp.http.X-Cache = "HIT"; }} else {{ set resp.http.X-Cache = "MISS"; }}
}}
"#
    )
}

fn config(home: &Path, origin: SocketAddr, addresses: &[SocketAddr]) -> String {
    let home = home.display();
    let mut servers = String::new();
    for (n, address) in addresses.iter().enumerate() {
        servers += &format!(
            "proxy_cache_path {home}/cache{n} levels=1:2 keys_zone=z{n}:10m inactive=1h use_temp_path=off;\n\
             server {{ listen {address}; location / {{ proxy_pass http://world; proxy_set_header Host $host; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_cache z{n}; proxy_cache_lock on; \
             proxy_cache_revalidate on; proxy_cache_key $host$request_uri; \
             add_header X-Cache $upstream_cache_status always; }} }}\n"
        );
    }
    format!(
        "daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/error.log crit;\n\
         events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 100000000;\n\
         upstream world {{ server {origin}; keepalive 64; }}\n\
         client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3; \
         uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n{servers}}}\n"
    )
}

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

fn listens(address: SocketAddr) {
    eventually("it listens", || TcpStream::connect(address).is_ok());
}
