//! The load tool: latency you can believe, told apart by what a cache did.
//!
//! **Invariant: a black box.** It speaks HTTP to any cache and knows no other crate of ours.
//!
//! - [`plan`]: what to do, the limits, and whose server it is. `schedule`: when each request leaves.
//! - `run`: the closed and the open loop, over `connection`; `pacer` keeps time.
//! - [`class`]: hit, stale, miss …, by the response. `record`: two latencies of each, [`report`]: in words.
//! - [`origin`]: a small server to put a cache in front of. [`traffic`]: gentle load for a demo.

mod anyone;
pub mod class;
mod clock;
mod connection;
pub mod origin;
mod pacer;
pub mod plan;
mod random;
mod record;
pub mod report;
mod run;
mod schedule;
pub mod traffic;

use std::sync::Arc;

pub use class::Class;
pub use origin::DemoOrigin;
pub use plan::{Error, Mode, Plan, Trust};
pub use record::Failure;
pub use report::Report;

use connection::Target;
use plan::Address;
use run::Run;
use schedule::Schedule;

/// Runs the plan to its end, or until `stop`, and reports in both cases.
pub async fn run(plan: Plan, stop: impl Future<Output = ()>) -> Result<Report, Error> {
    plan.check()?;
    let address = Address::parse(&plan.url)?;
    let target = Target::find(&address, plan.trust.as_ref(), plan.i_own_this.as_deref()).await?;
    let request = target
        .get(&address.path_and_query)
        .map_err(|error| Error::Url {
            url: plan.url.clone(),
            why: error.to_string(),
        })?;
    let run = Arc::new(Run {
        target,
        request,
        recorders: record::Recorders::new(),
    });
    let done = match plan.mode {
        Mode::Closed { connections } => run::closed(&run, connections, plan.duration, stop).await,
        Mode::Open { rate } => {
            let schedule = Schedule::constant(rate, plan.duration);
            run::open(&run, schedule, plan.duration, stop).await?
        }
    };
    Ok(Report::new(plan.url, &done, &run.recorders.total()))
}
