//! `seawall demo`: a small CDN on one machine. A control plane, three edges in three places and an origin, each a
//! process of its own with its own folder, talking over TCP as they would across an ocean.

mod child;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::cli::Server;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::guide;
use crate::print;
use crate::signals::Signals;
use crate::state::State;
use child::{Child, Ended, Order, Orders};

const EDGES: [DemoEdge; 3] = [
    DemoEdge {
        id: "edge-ams",
        place: "amsterdam",
        port: 8081,
        admin_port: 9081,
    },
    DemoEdge {
        id: "edge-nyc",
        place: "new-york",
        port: 8082,
        admin_port: 9082,
    },
    DemoEdge {
        id: "edge-sgp",
        place: "singapore",
        port: 8083,
        admin_port: 9083,
    },
];
const ORIGIN_PORT: u16 = 9000;
const CONTROL_PLANE_PORT: u16 = 9080;
/// Enough for the demo, and little enough for any laptop.
const EDGE_CACHE: &str = "128MiB";
const REQUESTS_PER_SECOND: f64 = 5.0;
/// Children get this long to begin, and to drain.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder that holds everything the demo writes
    #[arg(long, value_name = "DIR", default_value = "seawall-demo")]
    state: PathBuf,
}

/// One edge as the demo wants it; ports that are taken are replaced.
struct DemoEdge {
    id: &'static str,
    place: &'static str,
    /// For clients.
    port: u16,
    /// For health and metrics.
    admin_port: u16,
}

pub(crate) async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::listen(false)?;
    let state = State::open(&args.state, "--state")?;
    Addresses::forget(state.folder())?;
    let orders = Orders::new(Order::GoOn);
    let mut children = JoinSet::new();
    let started = tokio::select! {
        started = start(state.folder(), &mut children, &orders) => started,
        () = signals.stop() => Err(Exit::Interrupted.because("stopped before everything was up")),
    };
    let addresses = match started {
        Ok(addresses) => addresses,
        Err(failure) => {
            stop(&mut signals, children, &orders).await;
            return Err(failure);
        }
    };
    print::note(guide::demo(&addresses, state.folder()));
    let edges = addresses
        .edges
        .iter()
        .map(|edge| format!("http://{}", edge.listen))
        .collect();
    let traffic =
        seawall_loadtest::traffic::gentle(edges, REQUESTS_PER_SECOND, 1, std::future::pending());
    let traffic = tokio::spawn(traffic);
    loop {
        tokio::select! {
            () = signals.stop() => break,
            Some(Ok(ended)) = children.join_next() => {
                report(&ended, state.folder());
                if children.is_empty() {
                    return Err(Exit::Failed.because("nothing of the demo is left"));
                }
            }
        }
    }
    traffic.abort();
    print::note("draining; Ctrl-C again stops at once");
    Ok(stop(&mut signals, children, &orders).await)
}

/// All children, in the order they need one another; what listens where is in DIR/addresses.json then.
async fn start(
    folder: &Path,
    children: &mut JoinSet<Ended>,
    orders: &Orders,
) -> Result<Addresses, Failure> {
    print::note(format_args!(
        "starting a control plane, {} edges and an origin …",
        EDGES.len()
    ));
    let mut origin = origin(folder)?;
    let mut plane = control_plane(folder)?;
    let origin_url = origin
        .started(START_TIMEOUT)
        .await?
        .origin
        .unwrap_or_default();
    children.spawn(origin.watch(orders.subscribe()));
    let admin = plane
        .ready(START_TIMEOUT)
        .await?
        .admin
        .ok_or_else(|| plane.silent())?;
    children.spawn(plane.watch(orders.subscribe()));
    prepare(admin, &origin_url).await?;

    // All at once; then each is waited for.
    let started = EDGES
        .iter()
        .map(|one| edge(folder, one, admin))
        .collect::<Result<Vec<_>, _>>()?;
    let mut edges = Vec::new();
    for mut edge in started {
        edges.extend(edge.ready(START_TIMEOUT).await?.edges);
        children.spawn(edge.watch(orders.subscribe()));
    }
    let addresses = Addresses {
        listen: edges.first().map(|edge| edge.listen),
        listen_tls: None,
        admin: Some(admin),
        origin: Some(origin_url),
        edges,
    };
    addresses.write(folder)?;
    Ok(addresses)
}

/// Drains all, or at the next Ctrl-C, or when they take too long, kills what is left.
async fn stop(signals: &mut Signals, mut children: JoinSet<Ended>, orders: &Orders) -> Exit {
    orders.send_replace(Order::Drain);
    let drained = async { while children.join_next().await.is_some() {} };
    let drained = async {
        let _ = tokio::time::timeout(STOP_TIMEOUT, drained).await;
    };
    let exit = signals.unless_stopped_again(drained).await;
    orders.send_replace(Order::Die);
    while children.join_next().await.is_some() {}
    exit
}

fn report(ended: &Ended, folder: &Path) {
    let config = folder.join(&ended.name).join("seawall.toml");
    print::note(format_args!(
        "{} has ended ({}); the rest goes on",
        ended.name, ended.how
    ));
    if ended.name.starts_with("edge") {
        print::note(format_args!(
            "  bring it back: {} edge --config {}",
            guide::seawall(),
            guide::quoted(&config)
        ));
    }
}

fn origin(folder: &Path) -> Result<Child, Failure> {
    let own = folder.join("origin");
    let listen = on_loopback(free(ORIGIN_PORT)).to_string();
    let own_text = own.to_string_lossy().into_owned();
    Child::spawn(
        "origin",
        &own,
        &[
            "loadtest", "origin", "--listen", &listen, "--state", &own_text,
        ],
    )
}

fn control_plane(folder: &Path) -> Result<Child, Failure> {
    let own = folder.join("control-plane");
    let config = control_plane_config(on_loopback(free(CONTROL_PLANE_PORT)), &own);
    Child::spawn_with_config("control-plane", &own, &["control-plane", "--open"], &config)
}

fn control_plane_config(listen: SocketAddr, state: &Path) -> String {
    let (listen, state) = (
        toml_text(&listen.to_string()),
        toml_text(&state.to_string_lossy()),
    );
    format!("[control_plane]\nlisten = {listen}\nstore = \"embedded\"\nstate = {state}\n")
}

fn edge(folder: &Path, edge: &DemoEdge, control_plane: SocketAddr) -> Result<Child, Failure> {
    let own = folder.join(edge.id);
    let (listen, admin) = (
        on_loopback(free(edge.port)),
        on_loopback(free(edge.admin_port)),
    );
    let config = edge_config(edge, listen, admin, control_plane, &own);
    Child::spawn_with_config(edge.id, &own, &["edge"], &config)
}

fn edge_config(
    edge: &DemoEdge,
    listen: SocketAddr,
    admin: SocketAddr,
    control_plane: SocketAddr,
    state: &Path,
) -> String {
    let words = [
        ("id", toml_text(edge.id)),
        ("place", toml_text(edge.place)),
        ("listen", toml_text(&listen.to_string())),
        ("admin", toml_text(&admin.to_string())),
        (
            "control_planes",
            format!("[{}]", toml_text(&format!("http://{control_plane}"))),
        ),
        ("state", toml_text(&state.to_string_lossy())),
        ("cache_bytes", toml_text(EDGE_CACHE)),
    ];
    let lines: String = words
        .iter()
        .map(|(word, value)| format!("{word} = {value}\n"))
        .collect();
    format!("[edge]\n{lines}")
}

/// What an operator would do through the API.
async fn prepare(admin: SocketAddr, origin: &str) -> Result<(), Failure> {
    let client = Client::new(&Server {
        url: format!("http://{admin}"),
        ca: None,
        token: None,
    })?;
    for edge in &EDGES {
        // The folder is ours alone, so an edge of an earlier demo is gone: its successor need not wait until that
        // is certain by the clock.
        let answer = client
            .delete(&format!("/v1/edges/{}", edge.id), None)
            .await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.good()?;
        }
    }
    let site = json!({"name": "demo", "hosts": ["*"], "origin": origin});
    client.put("/v1/sites/demo", &site, None).await?.good()
}

/// `wanted`, or where that is taken 0, for any other.
fn free(wanted: u16) -> u16 {
    if TcpListener::bind(on_loopback(wanted)).is_ok() {
        wanted
    } else {
        0
    }
}

fn on_loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A TOML basic string; JSON's escapes are all TOML's too.
fn toml_text(text: &str) -> String {
    json!(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use seawall_config::roles::{ControlPlaneConfig, EdgeConfig};

    use super::*;

    #[test]
    fn what_the_demo_writes_its_roles_can_read_whatever_the_folder_is_called() {
        for folder in ["/srv/demo", "/tmp/my \"own\" \\ folder", "/tmp/ünï"] {
            let state = Path::new(folder);
            let (listen, admin, plane) = (on_loopback(1), on_loopback(2), on_loopback(3));
            let edge = EdgeConfig::parse(&edge_config(&EDGES[0], listen, admin, plane, state))
                .expect(folder);
            assert_eq!(
                (edge.listen, edge.admin, edge.state.as_path()),
                (listen, admin, state)
            );
            assert_eq!(edge.control_planes, ["http://127.0.0.1:3"]);
            let plane =
                ControlPlaneConfig::parse(&control_plane_config(plane, state)).expect(folder);
            assert_eq!(plane.state, state);
        }
    }

    #[test]
    fn a_taken_port_is_replaced() {
        let taken = TcpListener::bind(on_loopback(0)).expect("a port");
        assert_eq!(free(taken.local_addr().expect("an address").port()), 0);
    }
}
