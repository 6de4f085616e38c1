//! `seawall edge`: one edge of many, following a control plane.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use prometheus_client::registry::Registry;
use seawall_config::roles::EdgeConfig;
use seawall_edge::{AccessLog, Credentials, Edge, EdgeOptions, StartError};

use crate::addresses::{Addresses, EdgeAddress};
use crate::admin::{self, Admin, cannot_listen};
use crate::certificates::Certificates;
use crate::door;
use crate::exit::{Exit, Failure};
use crate::explain;
use crate::signals::{Asked, Signals};
use crate::sites_file;
use crate::state::State;

/// What requests under way get to finish after SIGTERM; an idle edge stops at once.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  [edge]
  id = \"fra1-a\"
  place = \"fra1\"
  listen = \"0.0.0.0:8080\"
  control_planes = [\"http://127.0.0.1:9080\"]
  state = \"/var/lib/seawall/edge\"

It serves from its last snapshot at once, also when no control plane answers. Where the state folder
cannot be written it serves on without keeping anything, and says so. SIGTERM drains it,
SIGHUP reads the certificates again. STATE/addresses.json says what listens where.")]
pub(crate) struct EdgeArgs {
    /// What this edge is: the table [edge]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// One JSON line a request: - for stdout, off, or a file to append to
    #[arg(long, value_name = "-|off|FILE", default_value = "-", value_parser = access_log)]
    access_log: AccessLog,
    /// Stop when stdin ends, that is, when the process that started this one is gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

pub(crate) async fn run(args: EdgeArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::listen(args.exit_with_parent)?;
    let config = sites_file::read_and_parse(&args.config, EdgeConfig::parse)?;
    let state = State::open_if_possible(&config.state, "state in [edge]")?;
    let told = Addresses::forget(state.folder());
    let listener = admin::bind(config.admin, "admin in [edge]").await?;
    let certificates = match config.listen_tls {
        Some(_) => Some(Certificates::open(config.certs.as_deref(), state.folder())?),
        None => None,
    };
    let credentials = credentials(&config)?;
    let mut registry = admin::registry();
    let options = EdgeOptions {
        id: config.id.clone(),
        place: config.place.clone(),
        listen: config.listen,
        listen_tls: config.listen_tls,
        keyring: certificates.as_deref().map(Certificates::resolver),
        control_planes: config.control_planes,
        credentials,
        state: state.folder().to_owned(),
        cache_bytes: config
            .cache_bytes
            .unwrap_or_else(seawall_edge::default_cache_bytes),
        access_log: args.access_log,
        own_addresses: vec![listener.address()],
    };
    let edge = start(options, &mut registry, "listen in [edge]").await?;
    let addresses = Addresses {
        listen: Some(edge.listen()),
        listen_tls: edge.listen_tls(),
        admin: Some(listener.address()),
        origin: None,
        edges: vec![EdgeAddress {
            id: config.id,
            place: config.place,
            listen: edge.listen(),
            admin: listener.address(),
            pid: process::id(),
        }],
    };
    // It serves all the same; only nobody finds it there.
    if let Err(error) = told.and_then(|()| addresses.write(state.folder())) {
        tracing::warn!("{error:#}");
    }

    let ready = edge.clone();
    let admin = Admin::new(registry)
        .tell("edge", move || ready.ready())
        .answer(explain::router(edge.clone()));
    let stage = admin.stage();
    let serving = listener.serve(admin.router(None));
    stage.start();
    tracing::info!(listen = %edge.listen(), admin = %serving.address(), "the edge serves");
    while signals.next().await == Asked::Reload {
        let Some(certificates) = &certificates else {
            continue;
        };
        certificates.reload_or_keep();
    }
    tracing::info!("draining; a second signal stops at once");
    stage.drain();
    let stopped = async {
        edge.drain(DRAIN_GRACE).await;
        serving.stop().await;
    };
    Ok(signals.unless_stopped_again(stopped).await)
}

/// What it shows its control planes: its certificate, a token, or neither.
fn credentials(config: &EdgeConfig) -> Result<Credentials, Failure> {
    let peers = config.peer_certs.as_deref().map(door::peers).transpose()?;
    let token = match &config.token_file {
        None => None,
        Some(file) => Some(sites_file::read(file).map_err(|why| {
            let why = format!("edge.token_file: {} {why}", file.display());
            Exit::BadConfiguration.because(why)
        })?),
    };
    let token = token.as_deref().map(str::trim);
    Credentials::new(peers, token).map_err(|_| {
        Exit::BadConfiguration.because("edge.token_file: holds characters no header can carry")
    })
}

/// Starts an edge; `flag` is what a person changes when its address is taken.
pub(crate) async fn start(
    options: EdgeOptions,
    registry: &mut Registry,
    flag: &str,
) -> Result<Arc<Edge>, Failure> {
    let tls = options.listen_tls;
    match Edge::start(options, registry).await {
        Ok(edge) => Ok(Arc::new(edge)),
        Err(StartError::Listen { address, source }) if Some(address) == tls => Err(cannot_listen(
            address,
            &flag.replacen("listen", "listen-tls", 1),
            &source,
        )),
        Err(StartError::Listen { address, source }) => Err(cannot_listen(address, flag, &source)),
        Err(error) => Err(Exit::Failed.because(error)),
    }
}

/// `-`, `off`, or a file.
pub(crate) fn access_log(text: &str) -> Result<AccessLog, String> {
    match text {
        "" => Err("write - for stdout, off, or a file".to_owned()),
        "-" => Ok(AccessLog::Stdout),
        "off" => Ok(AccessLog::Off),
        file => Ok(AccessLog::File(file.into())),
    }
}
