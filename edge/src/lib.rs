//! The caching proxy: pure rules inside, Pingora and the front door outside.
//!
//! One request, one way: [`front`] accepts, reads HTTP/1 and answers GET and HEAD itself; HTTP/2, and what only passes
//! through, goes over Pingora, whose hooks are in [`proxy`]. Both doors do as [`door`] says: they ask [`admit`] whose
//! request it is and [`answer`] what to do. `answer` looks into [`storage`], asks [`ledger`] whether what is
//! there was purged and [`rules`] whether it may be used, and else joins or begins a [`fill`], which goes to
//! the [`origin`], judges what comes back and seals an [`object`]. Where the site asks, [`encode`] compresses it on its
//! way out.
//! The other way in: [`feed`] follows the control plane and hands each revision to [`state`], which enters
//! purges in the ledger and swaps in a new [`snapshot`]; [`heartbeat`] keeps the right to vouch; [`sweep`]
//! tidies up after purges, [`settling`] ends those that take a moment.
//!
//! **Invariants.** An edge does not know etcd. Rules, ledger, key, follower and heartbeat do no IO, read no
//! clock, hold no lock. Only [`clock`] says now. Only the feed writes the snapshot. Nothing on the request
//! path waits for anything but the origin.

mod admit;
mod answer;
mod clock;
mod door;
mod edge;
mod encode;
mod explain;
mod feed;
mod fill;
mod front;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
pub mod fuzz;
mod heartbeat;
mod key;
mod ledger;
mod log;
mod metrics;
mod object;
mod ordering;
mod origin;
mod proxy;
mod refetching;
mod refusals;
mod route;
mod rules;
mod settling;
#[cfg(feature = "simulation")]
pub mod simulated;
mod snapshot;
mod state;
mod storage;
mod sweep;
mod threads;

pub use edge::{Edge, EdgeOptions, StartError, default_cache_bytes};
pub use explain::{Question, Report};
pub use feed::credentials::Credentials;
pub use log::AccessLog;
