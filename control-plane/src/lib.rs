//! The control plane: the API, the store, and the feed that edges follow.
//!
//! **Invariant: no HTTP caching.** It moves validated documents and revisions.
//!
//! - [`store`]: one ordered log of changes; [`keys`] alone spells its keys.
//! - [`plane`]: the use cases and the tasks behind them, without a word of HTTP.
//! - `feed`, `renewal`, `receipt`: what followers resume from, who may vouch, when a purge is complete.
//!   Pure: no IO, no clock, no lock.
//! - [`api`]: the plane over HTTP, one resource a file.
//! - [`clock`]: the only file that reads time. `metrics`: what is counted.

pub mod api;
pub mod clock;
mod feed;
pub mod keys;
mod metrics;
pub mod plane;
mod receipt;
mod renewal;
pub mod store;

pub use clock::Clock;
pub use plane::{Plane, PlaneError, StartError};
pub use renewal::FENCED_AFTER_MS;
