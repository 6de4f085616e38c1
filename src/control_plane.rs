//! `seawall control-plane`: tells edges what to serve and what to forget.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use seawall_config::roles::ControlPlaneConfig;
use seawall_control_plane::store::Store;
use seawall_control_plane::store::embedded::EmbeddedStore;
use seawall_control_plane::{Plane, api};

use crate::addresses::Addresses;
use crate::admin::{self, Admin};
use crate::exit::{Exit, Failure};
use crate::signals::{Asked, Signals};
use crate::sites_file;
use crate::state::State;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  [control_plane]
  listen = \"127.0.0.1:9080\"
  store = \"embedded\"
  state = \"/var/lib/seawall/control-plane\"

The API is described at /openapi.json. SIGTERM stops it; edges go on serving without it.
STATE/addresses.json says what listens where.")]
pub(crate) struct ControlPlaneArgs {
    /// What this control plane is: the table [control_plane]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when stdin ends, that is, when the process that started this one is gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

pub(crate) async fn run(args: ControlPlaneArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::listen(args.exit_with_parent)?;
    let config = sites_file::read_and_parse(&args.config, ControlPlaneConfig::parse)?;
    let state = State::open(&config.state, "state in [control_plane]")?;
    Addresses::forget(state.folder())?;
    let listener = admin::bind(config.listen, "listen in [control_plane]").await?;
    let mut registry = admin::registry();
    let plane = Plane::start(open_store(state.folder())?, &mut registry)
        .await
        .map_err(anyhow::Error::from)?;
    let addresses = Addresses {
        admin: Some(listener.address()),
        ..Addresses::default()
    };
    addresses.write(state.folder())?;

    let ready = plane.clone();
    let admin = Admin::new(registry).check("control plane", move || ready.ready());
    let stage = admin.stage();
    let serving = listener.serve(admin.router(Some(api::router(plane.clone()))));
    stage.start();
    tracing::info!(listen = %serving.address(), "the control plane serves");
    // Nothing of it is in a file that could be read again.
    while signals.next().await == Asked::Reload {}
    tracing::info!("stopping");
    stage.drain();
    let stopped = async {
        // First the feeds, which would never end by themselves.
        plane.stop().await;
        serving.stop().await;
    };
    Ok(signals.unless_stopped_again(stopped).await)
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
