//! The control plane from outside: its store, its API, its feed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod api;
mod feed;
mod receipts;
mod sites;
mod store;
mod support;
