//! Starting `seawall run`, and finding it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;

use super::connection::Connection;
use super::folder::Folder;
use super::process::Process;
use super::wait::eventually;

/// Where it listens.
#[derive(Clone, Copy)]
pub struct Addresses {
    pub listen: SocketAddr,
    pub listen_tls: SocketAddr,
    pub admin: SocketAddr,
}

/// Starts it on ports of its own, or on those it had, and waits until it is ready.
pub fn start(
    args: &[String],
    ports: Option<Addresses>,
    state: &Path,
    folder: &Folder,
) -> (Process, Addresses) {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let ports = ports.unwrap_or(Addresses {
        listen: free,
        listen_tls: free,
        admin: free,
    });
    let [listen, tls, admin] =
        [ports.listen, ports.listen_tls, ports.admin].map(|port| port.to_string());
    let mut all: Vec<&str> = args.iter().map(String::as_str).collect();
    all.extend(["--listen", &listen, "--listen-tls", &tls, "--admin", &admin]);
    let mut process = Process::start(&all, folder);
    let mut addresses = None;
    eventually("seawall is ready", || {
        assert_eq!(process.ended(), None, "seawall ended");
        addresses = read(state);
        addresses.is_some_and(|addresses| is_ready(addresses.admin))
    });
    (process, addresses.unwrap())
}

/// What `addresses.json` says, once it is there.
fn read(state: &Path) -> Option<Addresses> {
    let text = std::fs::read(state.join("addresses.json")).ok()?;
    let json: Value = serde_json::from_slice(&text).unwrap();
    let address = |name: &str| json[name].as_str().unwrap().parse().unwrap();
    Some(Addresses {
        listen: address("listen"),
        listen_tls: address("listen_tls"),
        admin: address("admin"),
    })
}

fn is_ready(admin: SocketAddr) -> bool {
    // Refused while it starts.
    TcpStream::connect(admin).is_ok()
        && Connection::open(admin)
            .request("GET", "/readyz", &[], b"")
            .status
            == 200
}
