//! `seawall loadtest purge PLAN.toml`.

use std::path::PathBuf;

use clap::Args;
use seawall_loadtest::purge::{PurgePlan, page, purge};

use super::output::PageArgs;
use super::{WhomArgs, broken_off, no_run};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::signals::Signals;

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// Which caches, and how each is purged: loadtest/plans/purge.toml is one
    plan: PathBuf,
    #[command(flatten)]
    output: PageArgs,
    #[command(flatten)]
    whom: WhomArgs,
}

/// Fails when a purge was refused or unanswered, an old copy was served after a receipt, or an edge did not serve the new
/// page.
pub(super) async fn run(args: PurgeArgs) -> Result<Exit, Failure> {
    args.output.check()?;
    let plan = PurgePlan::read(&args.plan).map_err(no_run)?;
    let plan = PurgePlan {
        trust: args.whom.trust(),
        i_own_this: args.whom.i_own_this,
        ..plan
    };
    let mut signals = Signals::listen(false)?;
    let mut interrupted = false;
    let stop = async {
        signals.stop().await;
        interrupted = true;
    };
    let progress = |cache: &str, round: &seawall_loadtest::purge::verdict::Round| {
        let (ms, stale) = (round.receipt_ms, round.stale_after_receipt);
        print::note(format_args!(
            "{cache}: receipt after {ms:.1} ms, {stale} old copies after it"
        ));
    };
    let report = purge(&plan, stop, progress).await.map_err(no_run)?;
    args.output.write(&report, page::page)?;
    if let Some(ended) = &report.ended {
        return Err(broken_off(ended));
    }
    Ok(match (interrupted, report.is_clean()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Done,
        (false, false) => Exit::Failed,
    })
}
