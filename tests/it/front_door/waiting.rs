//! Who holds a connection and asks for nothing: how long it may, what it costs, and what others notice.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::frames::{Client, END_STREAM, HEADERS, PING, frame, head};
use crate::support::{Authority, Connection, Folder, Origin, Role, eventually, ok};

const CROWD: usize = 10_000;
/// A client may have four thousand.
const OF_ONE: usize = 2_500;
/// And room for what else happens meanwhile.
const KIB_EACH_MAX: u64 = 16;

fn edge(plane: &Role, origin: &Origin, folder: &Folder, words: &str) -> Role {
    edge_of(&Authority::new(), plane, origin, folder, words)
}

fn edge_of(
    authority: &Authority,
    plane: &Role,
    origin: &Origin,
    folder: &Folder,
    words: &str,
) -> Role {
    authority.sign(folder.path(), "site", &["a.test", "localhost"], 30);
    let site = serde_json::json!({"hosts": ["a.test", "localhost"], "origin": origin.url()});
    plane.ask("PUT", "/v1/sites/a", &site);
    let certs = folder.path().to_str().unwrap();
    let tls = format!("listen_tls = \"127.0.0.1:0\"\ncerts = \"{certs}\"\n{words}");
    let edge = Role::edge_with(&tls, plane);
    edge.eventually_serves("a.test");
    edge
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_end_while_others_are_served() {
    let (origin, plane, folder) = (Origin::start(), Role::control_plane(), Folder::new());
    origin.says("/a", ok("a").max_age(600));
    let edge = edge(&plane, &origin, &folder, "idle_timeout = \"20s\"\n");
    let before = edge.resident_kib();
    let done = Arc::new(AtomicBool::new(false));
    let served = {
        let (listen, done) = (edge.listen(), done.clone());
        thread::spawn(move || {
            let mut connection = Connection::open(listen);
            let mut hits = 0;
            while !done.load(Ordering::Relaxed) {
                connection
                    .request("GET", "/a", &[("host", "a.test")], b"")
                    .is("HIT", "a");
                hits += 1;
                thread::sleep(Duration::from_millis(5));
            }
            hits
        })
    };
    let request = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut crowd: Vec<_> = (0..CROWD)
        .map(|n| {
            let from = Ipv4Addr::new(127, 0, 2, u8::try_from(n / OF_ONE).unwrap());
            let mut idle = connect_from(from, edge.listen());
            // Half of them have had an answer.
            if n % 2 == 0 {
                idle.write_all(request).unwrap();
            }
            idle
        })
        .collect();
    for idle in crowd.iter_mut().step_by(2) {
        assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    }
    assert!(edge.metric("seawall_connections") >= CROWD as f64);
    let grown = edge.resident_kib().saturating_sub(before);
    println!(
        "{} bytes for each idle connection",
        grown * 1024 / CROWD as u64
    );
    assert!(grown < KIB_EACH_MAX * CROWD as u64, "{grown} KiB");
    eventually("they are let go", || {
        edge.metric("seawall_connections") <= 1.0
    });
    for mut idle in crowd {
        while !matches!(idle.read(&mut [0; 1024]), Ok(0) | Err(_)) {}
    }
    done.store(true, Ordering::Relaxed);
    assert!(served.join().unwrap() > 0);
}

#[test]
fn idle_connections_over_tls_cost_little() {
    const CROWD: u64 = 1_000;
    const KIB_EACH_MAX: u64 = 32;
    let (origin, plane, folder) = (Origin::start(), Role::control_plane(), Folder::new());
    origin.says("/a", ok("a").max_age(600));
    let authority = Authority::new();
    let edge = edge_of(&authority, &plane, &origin, &folder, "");
    let trusting = seawall_certs::peers::client_trusting(&authority.path()).unwrap();
    let connector = TlsConnector::from(Arc::new(trusting));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let open = async || {
        let tcp = tokio::net::TcpStream::connect(edge.listen_tls())
            .await
            .unwrap();
        let name = ServerName::try_from("a.test").unwrap();
        let mut stream = connector.connect(name, tcp).await.unwrap();
        let request = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
        stream.write_all(request).await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream
    };
    drop(runtime.block_on(open()));
    let before = edge.resident_kib();
    let crowd = runtime.block_on(async {
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            crowd.push(open().await);
        }
        crowd
    });
    let grown = edge.resident_kib().saturating_sub(before);
    println!(
        "{} bytes for each idle connection over TLS",
        grown * 1024 / CROWD
    );
    assert!(grown < KIB_EACH_MAX * CROWD, "{grown} KiB");
    drop(crowd);
}

#[test]
fn who_says_half_of_it_over_http_2_is_let_go() {
    let (origin, plane, folder) = (Origin::start(), Role::control_plane(), Folder::new());
    origin.says("/a", ok("a").max_age(600));
    let edge = edge(&plane, &origin, &folder, "idle_timeout = \"2s\"\n");
    let connect = || Client::connect(edge.listen_tls());
    let nothing = connect();
    let mut half = connect();
    half.write(b"PRI * HTTP/2.0\r\n");
    let quiet = connect().send(&[]);
    let begun = connect().send(&frame(HEADERS, END_STREAM, 1, &head("/a")));
    let mut pings = connect().send(&[]);
    let waiting = [nothing, half, quiet, begun];
    eventually("all are let go", || {
        pings.write(&frame(PING, 0, 0, &[0; 8]));
        thread::sleep(Duration::from_millis(500));
        waiting.iter().all(Client::is_cut) && pings.is_cut()
    });
    edge.get("a.test").is("HIT", "a");
}

fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    Connection::open_from(from, to).into_stream()
}
