//! `seawall loadtest compare A B`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use seawall_config::reader::duration;
use seawall_loadtest::compare::{compare, page};
use seawall_loadtest::{Mode, Plan};

use super::output::PageArgs;
use super::{HowArgs, broken_off, no_run, planned};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::Signals;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// http://host:port/path of the one
    a: String,
    /// And of the other
    b: String,
    /// Closed loop: this many connections [default: 32]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    connections: Option<usize>,
    /// Open loop: requests per second
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Ask as a plan in TOML says; its duration does not count here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connections", "rate", "http2", "streams", "workers", "check_bodies"])]
    plan: Option<PathBuf>,
    /// How long one block is, after the cold phase of its plan
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    block: Duration,
    /// Blocks of each
    #[arg(long, value_name = "N", default_value_t = 15)]
    pairs: u64,
    /// The order of blocks is drawn from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: PageArgs,
    #[command(flatten)]
    how: HowArgs,
}

pub(super) async fn run(args: CompareArgs) -> Result<Exit, Failure> {
    args.output.check()?;
    let plan = match (&args.plan, args.rate) {
        (Some(file), _) => planned(file, args.a, args.block, args.how)?.0,
        (None, rate) => {
            let closed = args.connections.unwrap_or(32);
            let closed = Mode::Closed {
                connections: closed,
            };
            let mode = rate.map_or(closed, |rate| Mode::Open { rate });
            args.how.plan(Plan::new(args.a, mode, args.block))
        }
    };
    let a = Plan {
        seed: args.seed,
        ..plan
    };
    let b = Plan {
        url: args.b,
        ..a.clone()
    };
    let mut signals = Signals::listen(false)?;
    let mut interrupted = false;
    let stop = async {
        signals.stop().await;
        interrupted = true;
    };
    let progress = |done| {
        print::note(format_args!("pair {done} of {}", args.pairs));
    };
    let found = compare(&a, &b, args.pairs, stop, progress).await;
    let Some(found) = found.map_err(no_run)? else {
        return Err(Exit::Interrupted.because("stopped before there was enough to compare"));
    };
    args.output.write(&found, page::page)?;
    if let Some(ended) = &found.ended {
        return Err(broken_off(ended));
    }
    Ok(if interrupted {
        Exit::Interrupted
    } else if found.a.saturated || found.b.saturated {
        Exit::Saturated
    } else if [&found.a, &found.b]
        .iter()
        .any(|one| one.errors == one.requests)
    {
        Exit::Failed
    } else {
        Exit::Done
    })
}
