//! `seawall run`: one process that serves. An edge, and the control plane it follows, over loopback like any
//! other.

mod source;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use seawall_config::feed::Applied;
use seawall_config::file::SiteFile;
use seawall_config::reader::{size, socket_address};
use seawall_config::roles::DoorConfig;
use seawall_control_plane::api::{self, Access};
use seawall_control_plane::{Plane, PlaneError};
use seawall_edge::{AccessLog, Credentials, Edge, EdgeOptions};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::addresses::{Addresses, EdgeAddress};
use crate::admin::{self, Admin};
use crate::certificates::Certificates;
use crate::control_plane::open_store;
use crate::edge::{self, DRAIN_GRACE, access_log, on_or_off};
use crate::exit::{Exit, Failure};
use crate::explain;
use crate::guide;
use crate::print;
use crate::signals::{Asked, Signals};
use crate::sites_file::LOOK_INTERVAL;
use crate::state::State;
use source::Source;

const EDGE_ID: &str = "edge-1";
const PLACE: &str = "local";
/// After that the guide is printed even so.
const GREET_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct RunArgs {
    /// Serve one server, whatever host clients ask for: this becomes the site `default`
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "config",
        help_heading = "What to serve"
    )]
    origin: Option<String>,
    /// Serve the sites of this file, and follow it when it changes; a bad file keeps the last good one
    #[arg(long, value_name = "FILE", help_heading = "What to serve")]
    config: Option<PathBuf>,

    /// Where clients are answered over HTTP; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    listen: SocketAddr,
    /// Where clients are answered over HTTPS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443", value_parser = socket_address)]
    listen_tls: SocketAddr,
    /// Certificates for HTTPS: NAME.crt and NAME.key in this folder [default: a development CA, STATE/ca.pem]
    #[arg(long, value_name = "DIR")]
    certs: Option<PathBuf>,
    /// Where the API, health and metrics are; on loopback only, because no token is asked for here
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080", value_parser = loopback)]
    admin: SocketAddr,
    /// The folder that holds everything that shall survive a restart
    #[arg(long, value_name = "DIR", default_value = "seawall-state")]
    state: PathBuf,
    /// How much memory stored responses may fill, such as 512MiB [default: a quarter of the memory, at most 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    cache_bytes: Option<u64>,
    /// One JSON line a request: - for stdout, off, or a file to append to
    #[arg(long, value_name = "-|off|FILE", default_value = "-", value_parser = access_log)]
    access_log: AccessLog,
    /// Whether GET and HEAD are answered by Seawall's own doors: off, by Pingora's hooks, with the same answers
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = on_or_off, action = ArgAction::Set)]
    front_door: bool,
}

const AFTER: &str = "\
Examples:
  seawall run --origin http://127.0.0.1:9000
  seawall run --config sites.toml --listen 0.0.0.0:80 --listen-tls 0.0.0.0:443 --certs ./certs
  curl -i http://127.0.0.1:8080/               twice: X-Cache says MISS, then HIT
  seawall purge --all

A file of sites:
  [[site]]
  name = \"www\"
  hosts = [\"www.example.com\"]
  origin = \"http://127.0.0.1:9000\"

SIGHUP reads the file and the certificates again. SIGTERM or Ctrl-C drains and stops, a second one
stops at once. STATE/addresses.json says what listens where.";

pub(crate) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::listen(false)?;
    let source = Source::open(&args)?;
    let state = State::open(&args.state, "--state")?;
    Addresses::forget(state.folder())?;
    let listener = admin::bind(args.admin, "--admin").await?;
    let certificates = Certificates::open(args.certs.as_deref(), state.folder())?;

    let mut registry = admin::registry();
    let plane = Plane::start(open_store(state.folder())?, &mut registry)
        .await
        .map_err(anyhow::Error::from)?;
    forget_former_edge(&plane).await?;
    let options = EdgeOptions {
        id: EDGE_ID.to_owned(),
        place: PLACE.to_owned(),
        listen: args.listen,
        listen_tls: Some(args.listen_tls),
        keyring: Some(certificates.resolver()),
        control_planes: vec![format!("http://{}", listener.address())],
        credentials: Credentials::default(),
        state: state.folder().join("edge"),
        cache_bytes: args
            .cache_bytes
            .unwrap_or_else(seawall_edge::default_cache_bytes),
        access_log: args.access_log,
        front_door: args.front_door,
        door: DoorConfig::default(),
        own_addresses: vec![listener.address()],
    };
    let edge = edge::start(options, &mut registry, "--listen").await?;
    // After the ports are ours: what does not start changes nothing.
    let adopted = plane
        .adopt_file(&source.sites().sites)
        .await
        .map_err(not_adopted)?;
    let addresses = addresses(&edge, listener.address(), source.url());
    addresses.write(state.folder())?;

    let (plane_ready, edge_ready, edge_follows) = (plane.clone(), edge.clone(), edge.clone());
    let wanted = adopted.map(|revision| Applied {
        epoch: plane.epoch(),
        revision,
    });
    let admin = Admin::new(registry)
        .check("control plane", move || plane_ready.ready())
        .tell("edge", move || edge_ready.ready())
        .check("sites", move || serves(edge_follows.applied(), wanted))
        .answer(explain::router(edge.clone()));
    let stage = admin.stage();
    let serving = listener.serve(admin.router(Some((
        api::router(plane.clone(), &Access::Open),
        &Access::Open,
    ))));
    stage.start();
    let guide = guide::run(&addresses, state.folder(), certificates.ca_pem().as_deref());
    tokio::spawn(greet(edge.clone(), guide));

    follow(&mut signals, source, &plane, &certificates).await;
    tracing::info!("draining; a second signal stops at once");
    stage.drain();
    let stopped = async {
        edge.drain(DRAIN_GRACE).await;
        plane.stop().await;
        serving.stop().await;
    };
    Ok(signals.unless_stopped_again(stopped).await)
}

/// The state folder is ours alone, so whatever vouched as this edge is gone: its successor need not wait until that is
/// certain by the clock.
async fn forget_former_edge(plane: &Plane) -> Result<(), Failure> {
    match plane.deregister(EDGE_ID).await {
        Ok(_) | Err(PlaneError::NoSuchEdge(_)) => Ok(()),
        Err(error) => Err(not_written(&error)),
    }
}

/// Whether the edge serves the sites that this start brought, and no longer those of its last snapshot.
fn serves(applied: Option<Applied>, wanted: Option<Applied>) -> Result<(), String> {
    let Some(wanted) = wanted else { return Ok(()) };
    match applied {
        Some(applied) if applied.epoch == wanted.epoch && applied.revision >= wanted.revision => {
            Ok(())
        }
        _ => Err(format!(
            "the edge has not come to revision {} yet",
            wanted.revision
        )),
    }
}

/// Says what can be done as soon as it can.
async fn greet(edge: Arc<Edge>, guide: String) {
    let ready = async {
        while edge.ready().is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(GREET_TIMEOUT, ready).await.is_err() {
        tracing::warn!("the edge is not ready yet; /readyz?verbose on the admin address says why");
    }
    print::note(guide);
}

/// Until somebody asks to stop.
async fn follow(signals: &mut Signals, source: Source, plane: &Plane, certificates: &Certificates) {
    let mut file = match source {
        Source::File { file, .. } => Some(file),
        Source::Origin { .. } => None,
    };
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            asked = signals.next() => Some(asked),
            _ = looks.tick() => None,
        };
        match asked {
            Some(Asked::Stop) => return,
            Some(Asked::Reload) => certificates.reload_or_keep(),
            None => {}
        }
        let Some(file) = &mut file else { continue };
        match block_in_place(|| file.look(asked.is_some())) {
            Some(Ok(sites)) => adopt(plane, &sites).await,
            Some(Err(problem)) => tracing::error!("the sites are as before: {problem}"),
            None => {}
        }
    }
}

async fn adopt(plane: &Plane, sites: &SiteFile) {
    match plane.adopt_file(&sites.sites).await {
        Ok(Some(revision)) => tracing::info!(%revision, "the sites are those of the file again"),
        Ok(None) => tracing::info!("the file says nothing new"),
        Err(error) => tracing::error!("the sites are as before: {}", not_adopted(error)),
    }
}

/// Sites that are good by themselves may still claim a host that another site has.
fn not_adopted(error: PlaneError) -> Failure {
    match error {
        PlaneError::Invalid(problems) => {
            Exit::BadConfiguration.because(problems.to_string().trim_end())
        }
        PlaneError::HostTaken { .. } | PlaneError::Full(_) => Exit::BadConfiguration.because(error),
        _ => not_written(&error),
    }
}

/// The store has logged why: a full disk, most likely.
fn not_written(error: &PlaneError) -> Failure {
    Exit::Failed.because(format!(
        "the store in the state folder cannot be written: {error}"
    ))
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = socket_address(text)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "no token is asked for there, so only loopback is allowed: 127.0.0.1:{}",
        address.port()
    ))
}

fn addresses(edge: &Edge, admin: SocketAddr, origin: Option<&str>) -> Addresses {
    let listen = edge.listen();
    Addresses {
        listen: Some(listen),
        listen_tls: edge.listen_tls(),
        admin: Some(admin),
        origin: origin.map(str::to_owned),
        edges: vec![EdgeAddress {
            id: EDGE_ID.to_owned(),
            place: PLACE.to_owned(),
            listen,
            admin,
            pid: process::id(),
        }],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use seawall_config::{Epoch, Revision};

    use super::*;

    #[test]
    fn the_sites_are_served_once_the_edge_has_come_so_far_in_this_history() {
        let at = |epoch: u64, revision: u64| {
            Some(Applied {
                epoch: Epoch(epoch),
                revision: Revision(revision),
            })
        };
        let check = |applied, wanted, expect: bool| {
            assert_eq!(
                serves(applied, wanted).is_ok(),
                expect,
                "{applied:?} {wanted:?}"
            );
        };
        check(None, None, true);
        check(None, at(1, 5), false);
        check(at(1, 4), at(1, 5), false);
        check(at(1, 5), at(1, 5), true);
        check(at(1, 6), at(1, 5), true);
        check(at(2, 6), at(1, 5), false);
    }

    #[test]
    fn the_admin_address_is_loopback() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:9080").is_ok());
        assert!(loopback("0.0.0.0:9080").is_err() && loopback("9080").is_err());
    }
}
