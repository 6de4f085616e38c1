//! A connection that is used again, and by how many.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::connection::Connection;

/// A connection between two requests; of HTTP/2, one of the requests at a time that it takes.
pub(super) struct Kept {
    pub(super) connection: Connection,
    /// Requests that were given to the connection, on all of its streams.
    pub(super) given: Arc<AtomicU64>,
}

/// What a request leaves behind.
pub(super) struct After {
    /// None: it can take no other.
    pub(super) kept: Option<Kept>,
    pub(super) failed: bool,
}

impl Kept {
    /// The same HTTP/2 connection, for another request at the same time.
    pub(super) fn another(&self) -> Option<Self> {
        Some(Self {
            connection: self.connection.another()?,
            given: self.given.clone(),
        })
    }
}

impl After {
    pub(super) fn failed(kept: Option<Kept>) -> Self {
        Self { kept, failed: true }
    }
}
