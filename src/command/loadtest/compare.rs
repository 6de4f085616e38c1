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
    /// The order of blocks is drawn from it, and what is asked [default: the plan's, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    output: PageArgs,
    #[command(flatten)]
    how: HowArgs,
}

impl CompareArgs {
    /// What is asked of one of them.
    fn side(&self, url: &str) -> Result<Plan, Failure> {
        let (url, how) = (url.to_owned(), self.how.clone());
        let plan = match (&self.plan, self.rate) {
            (Some(file), _) => planned(file, url, self.block, how)?.0,
            (None, rate) => {
                let closed = self.connections.unwrap_or(32);
                let closed = Mode::Closed {
                    connections: closed,
                };
                let mode = rate.map_or(closed, |rate| Mode::Open { rate });
                how.plan(Plan::new(url, mode, self.block))
            }
        };
        Ok(Plan {
            seed: self.seed.unwrap_or(plan.seed),
            ..plan
        })
    }
}

pub(super) async fn run(args: CompareArgs) -> Result<Exit, Failure> {
    args.output.check()?;
    // Each from its own URL: a plan without a workload asks for the path of that.
    let (a, b) = (args.side(&args.a)?, args.side(&args.b)?);
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
