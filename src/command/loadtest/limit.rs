//! `seawall loadtest limit --slo 'p99<20ms,errors<0.1%' URL`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use seawall_config::reader::duration;
use seawall_loadtest::limit::{Watched, limit, page};
use seawall_loadtest::{Mode, Plan, Threshold};

use super::live::Live;
use super::output::PageArgs;
use super::{HowArgs, no_run, planned};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::Signals;

#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// http://host:port/path
    url: String,
    /// What must hold, separated by commas: 'p99<20ms,errors<0.1%'
    #[arg(
        long,
        value_name = "THRESHOLDS",
        required = true,
        value_delimiter = ','
    )]
    slo: Vec<Threshold>,
    /// Ask as a plan in TOML says; its duration does not count here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["http2", "streams", "workers", "check_bodies"])]
    plan: Option<PathBuf>,
    /// How long one trial is, after the cold phase of its plan
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    trial: Duration,
    /// How long the trial is that confirms what was found
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    confirm: Duration,
    /// Show no progress within a trial
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    output: PageArgs,
    #[command(flatten)]
    how: HowArgs,
}

pub(super) async fn run(args: LimitArgs) -> Result<Exit, Failure> {
    args.output.check()?;
    let (plan, more) = match &args.plan {
        Some(file) => planned(file, args.url, args.trial, args.how)?,
        None => {
            let first = Mode::Open { rate: 1.0 };
            let plan = Plan::new(args.url, first, args.trial);
            (args.how.plan(plan), Vec::new())
        }
    };
    let slo = [args.slo, more].concat();
    let mut signals = Signals::listen(false)?;
    let mut interrupted = false;
    let stop = async {
        signals.stop().await;
        interrupted = true;
    };
    let mut live = Live::new(args.quiet);
    let watcher = |watched: Watched<'_>| match watched {
        Watched::Progress(progress) => live.show(&plan.url, progress),
        Watched::Trial(trial) => {
            live.end();
            print::note(trial);
        }
    };
    let found = limit(&plan, &slo, args.confirm, stop, watcher).await;
    live.end();
    let found = found.map_err(no_run)?;
    args.output.write(&found, page::page)?;
    Ok(match (interrupted, found.rate) {
        (true, _) => Exit::Interrupted,
        (false, Some(_)) => Exit::Done,
        (false, None) if found.generator_bound => Exit::Saturated,
        (false, None) => Exit::Failed,
    })
}
