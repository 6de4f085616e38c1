//! `seawall loadtest`: how fast a URL is answered, hits and misses apart. And, for the demo, an origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use seawall_config::reader::{duration, socket_address};
use seawall_loadtest::{DemoOrigin, Error, Mode, Plan, Report, Trust, origin};

use crate::addresses::Addresses;
use crate::admin;
use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::Signals;
use crate::state::State;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    group = ArgGroup::new("load").args(["connections", "rate"]),
    after_help = AFTER
)]
pub(crate) struct LoadtestArgs {
    /// What to ask for: http://host:port/path
    #[arg(required = true, value_name = "URL")]
    url: Option<String>,
    /// Closed loop: this many connections, each asking again as soon as it is answered [default: 32]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Open loop: this many requests per second by a schedule, however slow the answers are, as users come
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How long to send requests
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    duration: Duration,
    /// Write the report as JSON to a file, or to stdout with -
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Trust the certificates this PEM file signs for (https)
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Trust any certificate (https)
    #[arg(long)]
    insecure: bool,
    /// Load is sent to this machine only, unless you name the URL's host here and it is yours
    #[arg(long, value_name = "HOST")]
    i_own_this: Option<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

const AFTER: &str = "\
Examples:
  seawall loadtest http://127.0.0.1:8080/
  seawall loadtest --rate 500 --duration 30s --json report.json http://127.0.0.1:8080/
  seawall loadtest --cacert seawall-state/ca.pem https://localhost:8443/

Exits with 3 when the load generator could not keep its own schedule: its figures then say
nothing of the server. Ctrl-C ends the run early; the report is still written.";

#[derive(Debug, Subcommand)]
enum Part {
    /// A small origin: pages, images, large files
    #[command(hide = true)]
    Origin(OriginArgs),
}

#[derive(Debug, Args)]
struct OriginArgs {
    /// Where it answers; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000", value_parser = socket_address)]
    listen: SocketAddr,
    /// Where addresses.json goes; none is written without it
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Stop when stdin ends, that is, when the process that started this one is gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

pub(crate) async fn run(args: LoadtestArgs) -> Result<Exit, Failure> {
    match args.part {
        Some(Part::Origin(args)) => serve_origin(args).await,
        None => measure(args).await,
    }
}

async fn measure(args: LoadtestArgs) -> Result<Exit, Failure> {
    let trust = match (args.cacert, args.insecure) {
        (Some(file), _) => Some(Trust::CaFile(file)),
        (None, true) => Some(Trust::Anyone),
        (None, false) => None,
    };
    let plan = Plan {
        url: args.url.unwrap_or_default(),
        mode: match args.rate {
            Some(rate) => Mode::Open { rate },
            None => Mode::Closed {
                connections: args.connections.unwrap_or(32),
            },
        },
        duration: args.duration,
        trust,
        i_own_this: args.i_own_this,
    };
    let mut signals = Signals::listen(false)?;
    let mut interrupted = false;
    let stop = async {
        signals.stop().await;
        interrupted = true;
    };
    let report = seawall_loadtest::run(plan, stop).await.map_err(no_run)?;
    write(&report, args.json.as_deref())?;
    Ok(if interrupted {
        Exit::Interrupted
    } else {
        verdict(&report)
    })
}

fn no_run(error: Error) -> Failure {
    let exit = match error {
        Error::Unreachable { .. } => Exit::Unreachable,
        Error::Thread(_) => Exit::Failed,
        _ => Exit::Usage,
    };
    exit.because(error)
}

fn write(report: &Report, json: Option<&Path>) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    match json {
        Some(file) if file == Path::new("-") => print::result(text),
        Some(file) => {
            print::result(report);
            std::fs::write(file, text + "\n")
                .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        }
        None => print::result(report),
    }
    Ok(())
}

fn verdict(report: &Report) -> Exit {
    if report.saturated {
        Exit::Saturated
    } else if report.errors == report.requests {
        // Not one good answer: there is nothing to report on.
        Exit::Failed
    } else {
        Exit::Done
    }
}

async fn serve_origin(args: OriginArgs) -> Result<Exit, Failure> {
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
    let origin = DemoOrigin::new(origin::LATENCY_DEFAULT);
    origin
        .serve(listener.into_inner(), async { signals.stop().await })
        .await;
    Ok(Exit::Done)
}
