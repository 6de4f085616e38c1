//! `seawall control-plane`: tells edges what to serve and what to forget.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use clap::Args;
use prometheus_client::registry::Registry;
use seawall_config::roles::{ControlPlaneConfig, EtcdConfig, StoreConfig};
use seawall_control_plane::api::{self, Access};
use seawall_control_plane::store::embedded::EmbeddedStore;
use seawall_control_plane::store::etcd::{EtcdStore, Options, Tls};
use seawall_control_plane::store::{Store, StoreError};
use seawall_control_plane::{FENCED_AFTER_MS, Plane, StartError};

use crate::addresses::Addresses;
use crate::admin::{self, Admin, Stage, Starting};
use crate::door::Door;
use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::{Asked, Signals};
use crate::sites_file;
use crate::state::State;

/// How long a control plane waits before it asks again a store that does not answer.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  [control_plane]
  listen = \"127.0.0.1:9080\"
  store = \"embedded\"
  state = \"/var/lib/seawall/control-plane\"
  tokens_file = \"/etc/seawall/tokens.toml\"

seawall token makes tokens, seawall certs what control planes and edges show each other; SIGHUP
reads both again. The API is described at /openapi.json. SIGTERM stops it; edges go on serving without it. Where the
store does not answer it waits, and /readyz says why. STATE/addresses.json says what listens where.

After a backup of etcd was restored, every control plane refuses it until --raise-epoch has been
run once: edges then take what the backup holds as newer than what they have.")]
pub(crate) struct ControlPlaneArgs {
    /// What this control plane is: the table [control_plane]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Declare what etcd holds now the history from now on, and stop
    #[arg(long)]
    raise_epoch: bool,
    /// Let in everyone on this machine, as the demo does
    #[arg(long, hide = true)]
    open: bool,
    /// Stop when stdin ends, that is, when the process that started this one is gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

pub(crate) async fn run(args: ControlPlaneArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::listen(args.exit_with_parent)?;
    let config = sites_file::read_and_parse(&args.config, ControlPlaneConfig::parse)?;
    if args.raise_epoch {
        return tokio::select! {
            raised = raise_epoch(&config) => raised,
            () = signals.stop() => Ok(Exit::Interrupted),
        };
    }
    let state = State::open(&config.state, "state in [control_plane]")?;
    Addresses::forget(state.folder())?;
    let door = Door::open(&config, args.open)?;
    let listener = admin::bind(config.listen, "listen in [control_plane]").await?;
    let addresses = Addresses {
        admin: Some(listener.address()),
        ..Addresses::default()
    };
    let waiting = Waiting::default();
    let (starting, router) = Starting::new(waiting.router());
    let serving = listener.serve_to(router, door.peers.clone());
    addresses.write(state.folder())?;

    let started = tokio::select! {
        started = start(&config, state.folder(), &door.access, &waiting) => Some(started?),
        () = signals.stop() => None,
    };
    let Some((plane, router, stage)) = started else {
        serving.stop().await;
        return Ok(Exit::Done);
    };
    starting.become_(router);
    stage.start();
    tracing::info!(listen = %serving.address(), "the control plane serves");
    while signals.next().await == Asked::Reload {
        door.reload();
    }
    tracing::info!("stopping");
    stage.drain();
    let stopped = async {
        // First the feeds, which would never end by themselves.
        plane.stop().await;
        serving.stop().await;
    };
    Ok(signals.unless_stopped_again(stopped).await)
}

/// The plane once its store answers, what it answers, and how far it is.
async fn start(
    config: &ControlPlaneConfig,
    state: &Path,
    access: &Access,
    waiting: &Waiting,
) -> Result<(Arc<Plane>, Router, Arc<Stage>), Failure> {
    let mut registry = admin::registry();
    let plane = match &config.store {
        StoreConfig::Embedded => Plane::start(open_store(state)?, &mut registry)
            .await
            .map_err(anyhow::Error::from)?,
        StoreConfig::Etcd(etcd) => {
            let store = EtcdStore::new(&etcd_options(etcd, state)?, &mut registry);
            waiting.until_it_is_read(store, &mut registry).await
        }
    };
    let ready = plane.clone();
    let admin = Admin::new(registry).check("control plane", move || ready.ready());
    let stage = admin.stage();
    let router = admin.router(Some((api::router(plane.clone(), access), access)));
    Ok((plane, router, stage))
}

/// Why there is no plane yet.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Option<StoreError>>>);

impl Waiting {
    /// What is answered meanwhile.
    fn router(&self) -> Router {
        let why = self.0.clone();
        let check = move || match &*why.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.to_string()),
            None => Err("it has not answered yet".into()),
        };
        let admin = Admin::new(admin::registry()).check("store", check);
        admin.stage().start();
        admin.router_while_starting()
    }

    /// Asks until it answers, and until all of it could be read; what it says meanwhile is logged when it changes.
    async fn until_it_is_read(&self, store: EtcdStore, registry: &mut Registry) -> Arc<Plane> {
        let store = Arc::new(store);
        let plane = loop {
            match Plane::start(store.clone(), registry).await {
                Ok(plane) => break plane,
                Err(StartError(error)) => self.say(error),
            }
            tokio::time::sleep(ASKED_AGAIN).await;
        };
        for warning in store.version_warnings().await {
            tracing::warn!("{warning}");
        }
        plane
    }

    fn say(&self, error: StoreError) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&error) {
            tracing::warn!(%error, "the control plane waits for its store");
        }
        *said = Some(error);
    }
}

async fn raise_epoch(config: &ControlPlaneConfig) -> Result<Exit, Failure> {
    let StoreConfig::Etcd(etcd) = &config.store else {
        let why = "--raise-epoch is for a store in etcd; an embedded store that is replaced has a new epoch by itself";
        return Err(Exit::Usage.because(why));
    };
    let options = etcd_options(etcd, &config.state)?;
    let store = EtcdStore::new(&options, &mut Registry::default());
    print::note("Waiting until no edge can vouch any more for what it knew before …");
    tokio::time::sleep(Duration::from_millis(FENCED_AFTER_MS)).await;
    let epoch = store
        .raise_epoch()
        .await
        .map_err(|error| Exit::Failed.because(error))?;
    print::result(format_args!("The epoch is now {epoch}."));
    print::note(
        "Control planes and edges take what etcd holds; what edges stored before is fetched anew.",
    );
    Ok(Exit::Done)
}

/// With what the files hold that the configuration names.
fn etcd_options(etcd: &EtcdConfig, state: &Path) -> Result<Options, Failure> {
    let read = |path: &PathBuf, word: &str| {
        std::fs::read(path).map_err(|error| {
            let path = path.display();
            let why = format!("{word} in [control_plane.etcd]: {path} cannot be read: {error}");
            Exit::BadConfiguration.because(why)
        })
    };
    let tls = match &etcd.ca {
        None => None,
        Some(ca) => Some(Tls {
            ca: read(ca, "ca")?,
            identity: match &etcd.identity {
                None => None,
                Some((cert, key)) => Some((read(cert, "cert")?, read(key, "key")?)),
            },
        }),
    };
    let user = match &etcd.user {
        None => None,
        Some((name, file)) => {
            let password = read(file, "password_file")?;
            let password = String::from_utf8_lossy(&password);
            Some((
                name.clone(),
                password.trim_end_matches(['\r', '\n']).to_owned(),
            ))
        }
    };
    Ok(Options {
        endpoints: etcd.endpoints.clone(),
        tls,
        user,
        state: state.to_owned(),
    })
}

/// The embedded store, below `state`.
pub(crate) fn open_store(state: &Path) -> Result<Arc<dyn Store>, Failure> {
    let folder = state.join("store");
    let cannot = |error: &dyn std::fmt::Display| {
        Exit::Failed.because(format!(
            "the store {} cannot be opened: {error}",
            folder.display()
        ))
    };
    let store = EmbeddedStore::open(&folder).map_err(|error| cannot(&error))?;
    Ok(Arc::new(store))
}
