//! `seawall loadtest`: how fast a URL is answered, hits and misses apart. And an origin to put a cache in front of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use seawall_config::reader::duration;
use seawall_loadtest::plan::Ended;
use seawall_loadtest::plan::file::PlanFile;
use seawall_loadtest::schedule::{Arrivals, Segment};
use seawall_loadtest::{Error, Mode, Plan, Report, Threshold, Trust, report};

use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::Signals;

mod compare;
mod limit;
mod live;
mod origin;
mod output;
mod purge;

use compare::CompareArgs;
use limit::LimitArgs;
use live::Live;
use origin::OriginArgs;
use output::OutputArgs;
use purge::PurgeArgs;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    group = ArgGroup::new("load").args(["connections", "rate"]),
    after_help = AFTER
)]
pub(crate) struct LoadtestArgs {
    /// What to ask for: http://host:port/path
    #[arg(required_unless_present = "plan", value_name = "URL")]
    url: Option<String>,
    /// Closed loop: this many connections, each asking again as soon as it is answered [default: 32]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Open loop: this many requests per second by a schedule, however slow the answers are, as users come
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// With --rate: requests come by chance (Poisson) and not evenly
    #[arg(long, requires = "rate")]
    poisson: bool,
    /// How long to send requests
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    duration: Duration,
    /// A plan in TOML: schedule, workload, thresholds. docs/loadtest.md says its words
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load", "poisson", "duration", "http2", "streams", "workers", "check_bodies"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    part: Option<Part>,
}

/// How requests are carried, and whom they may be sent to.
#[derive(Clone, Debug, Args)]
struct HowArgs {
    /// Speak HTTP/2; over http:// without asking
    #[arg(long)]
    http2: bool,
    /// Requests at a time on one HTTP/2 connection
    #[arg(long, value_name = "N", default_value_t = 1, requires = "http2")]
    streams: usize,
    /// Threads that send [default: one for each core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Compare bodies that have the same URL and ETag
    #[arg(long)]
    check_bodies: bool,
    #[command(flatten)]
    whom: WhomArgs,
}

/// Whom requests may be sent to.
#[derive(Clone, Debug, Args)]
struct WhomArgs {
    /// Trust the certificates this PEM file signs for (https)
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Trust any certificate (https)
    #[arg(long)]
    insecure: bool,
    /// Load is sent to this machine only, unless you name the URL's host here and it is yours. May be said again
    #[arg(long, value_name = "HOST")]
    i_own_this: Vec<String>,
}

const AFTER: &str = "\
Examples:
  seawall loadtest http://127.0.0.1:8080/
  seawall loadtest --rate 500 --duration 30s --json report.json http://127.0.0.1:8080/
  seawall loadtest --plan loadtest/plans/zipf.toml --fail-unless 'p99<20ms' http://127.0.0.1:8080/
  seawall loadtest --cacert seawall-state/ca.pem https://localhost:8443/

Exits with 1 when a threshold does not hold, nothing was answered, or the server left too much
unanswered to be asked more; with 3 when the load generator could not keep its own schedule: its
figures then say nothing of the server. Ctrl-C ends the run early; the report is still written.";

#[derive(Debug, Subcommand)]
enum Part {
    /// Two servers in one run, block by block in random order: what differs, and how sure that is
    Compare(CompareArgs),
    /// The highest rate at which what you ask of a server still holds
    Limit(LimitArgs),
    /// Purge again and again under traffic: when the new page is there, and whether an old one outlives its receipt
    Purge(PurgeArgs),
    /// Add up the JSON reports of several generators that ran together
    Merge(MergeArgs),
    /// A small origin: pages, images, large files, objects of any size
    Origin(OriginArgs),
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// What --json wrote
    #[arg(required = true, value_name = "FILE")]
    reports: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: LoadtestArgs) -> Result<Exit, Failure> {
    match args.part {
        Some(Part::Origin(args)) => origin::serve(args).await,
        Some(Part::Compare(args)) => compare::run(args).await,
        Some(Part::Limit(args)) => limit::run(args).await,
        Some(Part::Purge(args)) => purge::run(args).await,
        Some(Part::Merge(args)) => merge(&args),
        None => measure(args).await,
    }
}

async fn measure(args: LoadtestArgs) -> Result<Exit, Failure> {
    let mut output = args.output;
    let (plan, thresholds) = match args.plan {
        Some(file) => {
            let mut read = PlanFile::read(&file).map_err(no_run)?;
            read.url = args.url.or(read.url);
            let (plan, thresholds) = read.plan(&file).map_err(no_run)?;
            (args.how.whom(plan), thresholds)
        }
        None => {
            let rate = |rate| Segment {
                from: rate,
                to: rate,
                duration: args.duration,
            };
            let mode = match (args.rate, args.poisson) {
                (Some(constant), true) => Mode::Segments {
                    segments: vec![rate(constant)],
                    arrivals: Arrivals::Poisson,
                },
                (Some(rate), false) => Mode::Open { rate },
                (None, _) => Mode::Closed {
                    connections: args.connections.unwrap_or(32),
                },
            };
            let plan = Plan::new(args.url.unwrap_or_default(), mode, args.duration);
            (args.how.plan(plan), Vec::new())
        }
    };
    output.fail_unless.extend(thresholds);
    output.check()?;
    let mut signals = Signals::listen(false)?;
    let mut interrupted = false;
    let stop = async {
        signals.stop().await;
        interrupted = true;
    };
    let mut live = Live::new(output.quiet);
    let url = plan.url.clone();
    let running = seawall_loadtest::run_watched(plan, stop, |progress| live.show(&url, progress));
    let report = running.await;
    live.end();
    let report = report.map_err(no_run)?;
    output.write(&report)?;
    Ok(if interrupted {
        Exit::Interrupted
    } else {
        verdict(&report, &output.fail_unless)
    })
}

impl HowArgs {
    fn plan(self, mut plan: Plan) -> Plan {
        plan.how.http2 = self.http2;
        plan.how.streams = self.streams;
        plan.how.workers = self.workers;
        plan.how.check_bodies = self.check_bodies;
        self.whom(plan)
    }

    /// Whom a plan does not say.
    fn whom(self, plan: Plan) -> Plan {
        Plan {
            trust: self.whom.trust(),
            i_own_this: self.whom.i_own_this,
            ..plan
        }
    }
}

impl WhomArgs {
    fn trust(&self) -> Option<Trust> {
        match (&self.cacert, self.insecure) {
            (Some(file), _) => Some(Trust::CaFile(file.clone())),
            (None, true) => Some(Trust::Anyone),
            (None, false) => None,
        }
    }
}

/// The plan of a file, for one target and a time of one's own, its cold phase apart.
fn planned(
    file: &Path,
    url: String,
    duration: Duration,
    how: HowArgs,
) -> Result<(Plan, Vec<Threshold>), Failure> {
    let mut read = PlanFile::read(file).map_err(no_run)?;
    read.url = Some(url);
    read.last(duration);
    let (plan, thresholds) = read.plan(file).map_err(no_run)?;
    Ok((how.whom(plan), thresholds))
}

fn no_run(error: Error) -> Failure {
    let exit = match error {
        Error::Unreachable { .. } => Exit::Unreachable,
        Error::Thread(_) => Exit::Failed,
        _ => Exit::Usage,
    };
    exit.because(error)
}

/// After the report of what there was until then.
fn broken_off(ended: &Ended) -> Failure {
    let exit = match ended.unreachable {
        true => Exit::Unreachable,
        false => Exit::Failed,
    };
    exit.because(&ended.why)
}

fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let reports: Result<Vec<_>, _> = args.reports.iter().map(|file| output::read(file)).collect();
    let reports = reports?;
    let Some(report) = report::merge::merge(reports) else {
        return Err(Exit::Usage.because("no reports to merge"));
    };
    args.output.write(&report)?;
    Ok(verdict(&report, &args.output.fail_unless))
}

fn verdict(report: &Report, thresholds: &[Threshold]) -> Exit {
    if report.saturated {
        return Exit::Saturated;
    }
    let broken: Vec<_> = thresholds
        .iter()
        .filter_map(|threshold| threshold.broken(report))
        .collect();
    for broken in &broken {
        print::note(format_args!("does not hold: {broken}"));
    }
    // Not one good answer, or a server that could not be asked more: there is nothing to rely on.
    if report.held_back > 0 || !broken.is_empty() || report.errors == report.requests {
        Exit::Failed
    } else {
        Exit::Done
    }
}
