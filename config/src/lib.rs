//! The words everyone shares: sites, scopes, revisions, feed frames, problems.
//!
//! **Invariant: no runtime.** Nothing here does IO, reads a clock or knows tokio or Pingora. Text and
//! values come in, checked types or *all* the problems go out.
//!
//! - [`revision`]: the store's order of changes, and the token a client may carry.
//! - [`problem`]: one thing wrong in a configuration, with its path.
//! - [`site`]: what a customer configures, checked. [`scope`]: what one purge covers.
//! - [`roles`]: what an edge and a control plane are told at their start. [`tokens`]: who is let in.
//! - [`feed`]: what a control plane and an edge say to each other.
//! - [`mod@file`]: TOML files, with line and caret under each problem. [`schema`]: every word, once.

pub mod feed;
pub mod file;
pub mod problem;
pub mod reader;
pub mod revision;
pub mod roles;
pub mod schema;
pub mod scope;
pub mod site;
pub mod tokens;

pub use problem::{Problem, Problems};
pub use revision::{Epoch, Revision, Token};
pub use scope::{Mode, Scope};
pub use site::Site;
