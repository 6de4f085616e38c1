//! `seawall loadtest origin`: a server to put a cache in front of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use seawall_config::reader::{duration, socket_address};
use seawall_loadtest::{DemoOrigin, origin};

use crate::addresses::Addresses;
use crate::admin;
use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::Signals;
use crate::state::State;

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct OriginArgs {
    /// Where it answers; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000", value_parser = socket_address)]
    listen: SocketAddr,
    /// How long each answer takes [default: 30ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    latency: Option<Duration>,
    /// Where addresses.json goes; none is written without it
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Stop when stdin ends, that is, when the process that started this one is gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

const AFTER: &str = "\
It has / and /pages/N (60 s), /images/N.svg, /large/NMB.bin, /api/time (no-store), /private, and
/objects/N?size=BYTES&max-age=SECONDS. POST /edition makes a new version of all pages and objects.";

pub(super) async fn serve(args: OriginArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::listen(args.exit_with_parent)?;
    let state = args
        .state
        .map(|folder| State::open(&folder, "--state"))
        .transpose()?;
    let listener = admin::bind(args.listen, "--listen").await?;
    let url = format!("http://{}", listener.address());
    if let Some(state) = &state {
        let addresses = Addresses {
            origin: Some(url.clone()),
            ..Addresses::default()
        };
        addresses.write(state.folder())?;
    }
    print::note(format_args!("an origin serves at {url}"));
    let origin = DemoOrigin::new(args.latency.unwrap_or(origin::LATENCY_DEFAULT));
    origin
        .serve(listener.into_inner(), async { signals.stop().await })
        .await;
    Ok(Exit::Done)
}
