//! The load tool: latency you can believe, told apart by what a cache did.
//!
//! **Invariant: a black box.** It speaks HTTP to any cache and knows no other crate of ours.
//!
//! - [`plan`]: what to do and its limits. `schedule`: when each request leaves. [`workload`]: what it asks for.
//!   `address`: whose server it is.
//! - [`run`](mod@run): one run. `worker`: a thread that sends, closed loop or open, over `target` and `connection`;
//!   `wire` reads HTTP/1.1; `memory` keeps what earlier answers said.
//! - [`class`]: hit, stale, miss …, by the response. `record`: two latencies of each, [`report`]: in words.
//! - [`threshold`](Threshold): what must hold. [`compare`]: A against B. [`limit`]: how much a server sustains.
//!   [`purge`]: how long old copies live on.
//! - [`origin`]: a small server to put a cache in front of. [`traffic`]: gentle load for a demo.

mod address;
mod anyone;
pub mod class;
mod clock;
pub mod compare;
mod connection;
pub mod limit;
mod memory;
pub mod origin;
pub mod plan;
pub mod purge;
mod random;
mod record;
pub mod report;
pub mod run;
pub mod schedule;
mod target;
mod threshold;
pub mod traffic;
mod wire;
mod worker;
pub mod workload;

pub use class::Class;
pub use origin::DemoOrigin;
pub use plan::{Error, Mode, Plan, Trust};
pub use record::Failure;
pub use report::Report;
pub use run::{run, run_watched};
pub use threshold::Threshold;
