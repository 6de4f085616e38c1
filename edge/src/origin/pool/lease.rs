//! One request under way to one server of a pool, and what its end says of that.

use std::sync::Arc;

use http::StatusCode;

use super::Pool;
use crate::clock;
use crate::origin::Failure;
use crate::origin::breaker::{Outcome, Permit};
use crate::origin::servers::Chosen;

/// Dropped, it is no longer under way.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    chosen: Chosen,
    began_ms: u64,
    /// How long it took until the answer began.
    took_ms: Option<u64>,
    is_reported: bool,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, chosen: Chosen, began_ms: u64) -> Self {
        Self {
            pool,
            chosen,
            began_ms,
            took_ms: None,
            is_reported: false,
        }
    }

    /// Which of the pool's servers it is.
    pub(super) fn at(&self) -> usize {
        self.chosen.at
    }

    /// A final head is here. That it is no failure counts once the body is whole, but for a probe: whoever waits for it
    /// need not wait for a long body.
    pub fn answered(&mut self, status: StatusCode, speaks_h2: bool) {
        let now_ms = clock::boottime_ms();
        let took_ms = now_ms.saturating_sub(self.began_ms);
        self.took_ms = Some(took_ms);
        if is_failure(status) {
            self.report(Outcome::Failure);
        }
        let chosen = self.chosen;
        self.pool.with(|servers| {
            if let Some(standing) = servers.all.get_mut(chosen.at) {
                standing.speaks_h2 = speaks_h2;
            }
            if chosen.permit != Permit::Closed && !is_failure(status) {
                servers.report_probe(chosen, Outcome::Success { took_ms }, now_ms);
            }
        });
        if !is_failure(status) {
            self.chosen.permit = Permit::Closed;
        }
    }

    /// The answer is whole.
    pub fn whole(&mut self) {
        if let Some(took_ms) = self.took_ms {
            self.report(Outcome::Success { took_ms });
        }
    }

    /// There was no answer, a broken one, or half of one.
    pub fn failed(&mut self) {
        self.report(Outcome::Failure);
    }

    /// The body did not come to its end; when nobody wanted it to, that is nobody's fault.
    pub fn cut(&mut self, failure: Failure) {
        if failure != Failure::GivenUp {
            self.failed();
        }
    }

    fn report(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_reported, true) {
            return;
        }
        let (chosen, now_ms) = (self.chosen, clock::boottime_ms());
        let ejected = self
            .pool
            .with(|servers| servers.report(chosen, outcome, now_ms));
        self.pool.tell(&ejected);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.report(Outcome::Neither);
        let at = self.chosen.at;
        self.pool.with(|servers| servers.release(at));
        self.pool.shared.freed.notify_one();
    }
}

/// A status that says that the server, or what is behind it, is in trouble. 501 and 505 say what it never could.
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
