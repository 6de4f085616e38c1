//! `seawall edge`: one edge of many, following a control plane.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use prometheus_client::registry::Registry;
use seawall_certs::Peers;
use seawall_config::roles::EdgeConfig;
use seawall_edge::{AccessLog, Credentials, Edge, EdgeOptions, StartError};

use crate::addresses::{Addresses, EdgeAddress};
use crate::admin::{self, Admin, cannot_listen};
use crate::certificates::Certificates;
use crate::exit::{Exit, Failure};
use crate::explain;
use crate::peers;
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
SIGHUP reads certificates and token again. STATE/addresses.json says what listens where.")]
pub(crate) struct EdgeArgs {
    /// What this edge is: the table [edge]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// One JSON line a request: - for stdout, off, or a file to append to
    #[arg(long, value_name = "-|off|FILE", default_value = "-", value_parser = access_log)]
    access_log: AccessLog,
    /// Whether GET and HEAD are answered by Seawall's own doors: off, by Pingora's hooks, with the same answers
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = on_or_off, action = ArgAction::Set)]
    front_door: bool,
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
    let shown = Shown::open(&config)?;
    let mut registry = admin::registry();
    let options = EdgeOptions {
        id: config.id.clone(),
        place: config.place.clone(),
        listen: config.listen,
        listen_tls: config.listen_tls,
        keyring: certificates.as_deref().map(Certificates::resolver),
        control_planes: config.control_planes,
        credentials: shown.credentials.clone(),
        state: state.folder().to_owned(),
        cache_bytes: config
            .cache_bytes
            .unwrap_or_else(seawall_edge::default_cache_bytes),
        access_log: args.access_log,
        front_door: args.front_door,
        door: config.door,
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
        shown.reload();
        if let Some(certificates) = &certificates {
            certificates.reload_or_keep();
        }
    }
    tracing::info!("draining; a second signal stops at once");
    stage.drain();
    let stopped = async {
        edge.drain(DRAIN_GRACE).await;
        serving.stop().await;
    };
    Ok(signals.unless_stopped_again(stopped).await)
}

/// What an edge shows its control planes: its certificate, a token, or neither.
struct Shown {
    credentials: Credentials,
    peers: Option<Arc<Peers>>,
    token_file: Option<PathBuf>,
}

impl Shown {
    fn open(config: &EdgeConfig) -> Result<Self, Failure> {
        let peers = config.peer_certs.as_deref().map(peers::open).transpose()?;
        let shown = Self {
            credentials: Credentials::new(peers.clone()),
            peers,
            token_file: config.token_file.clone(),
        };
        let read = shown.read_token();
        read.map_err(|why| Exit::BadConfiguration.because(format!("edge.token_file: {why}")))?;
        Ok(shown)
    }

    /// Reads the files again; one that is not good leaves what was read before.
    fn reload(&self) {
        if let Some(certs) = &self.peers {
            peers::reload_or_keep(certs);
        }
        if let Err(why) = self.read_token() {
            tracing::error!(why, "the token is not read again; the one before stays");
        }
    }

    fn read_token(&self) -> Result<(), String> {
        let Some(file) = &self.token_file else {
            return Ok(());
        };
        let in_file = |why: &str| format!("{} {why}", file.display());
        let text = sites_file::read(file).map_err(|why| in_file(&why))?;
        match text.trim() {
            "" => Err(in_file("holds no token")),
            token => self
                .credentials
                .set_token(token)
                .map_err(|_| in_file("holds characters that no header can carry")),
        }
    }
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

pub(crate) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}
