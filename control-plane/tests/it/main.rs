//! The control plane from outside: its store, its API, its feed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod api;
#[path = "../../../tests/it/support/aside.rs"]
mod aside;
mod edges;
#[path = "../../../tests/it/support/etcd.rs"]
mod etcd;
mod feed;
mod habits;
mod origins;
mod receipts;
mod reconciling;
mod repeating;
mod sites;
mod store;
mod support;
mod tokens;
