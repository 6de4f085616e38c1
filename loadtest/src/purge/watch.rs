//! Asks every edge for the page, again and again, and notes which version came when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clock;
use crate::connection::{Connection, Reading};
use crate::target::{Request, Target};
use crate::workload::Ask;

use super::verdict::Seen;

/// Kept of one round.
const SIGHTINGS_MAX: usize = 2_000_000;
/// Users that ask one edge, so that a slow answer does not end the watch.
const USERS: u32 = 8;
/// What a user waits after an answer that did not come.
const PAUSE: Duration = Duration::from_millis(20);

/// One answer of one edge, or none.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) edge: usize,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
    pub(crate) seen: Seen,
}

pub(crate) struct Watch {
    edges: Vec<(Target, Option<Request>)>,
    each: Duration,
}

impl Watch {
    pub(crate) fn new(edges: &[Target], path: &str, per_second: f64) -> Self {
        let ask = Ask::plain(path.to_owned());
        let edges = edges
            .iter()
            .map(|edge| (edge.clone(), edge.request(&ask, None)));
        Self {
            edges: edges.collect(),
            each: Duration::from_secs_f64(f64::from(USERS) / per_second),
        }
    }

    /// In the order the answers came.
    pub(crate) async fn until(&self, end: Instant) -> Vec<Sighting> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut users = JoinSet::new();
        for (edge, (target, request)) in self.edges.iter().enumerate() {
            for user in 0..USERS {
                let Some(request) = request.clone() else {
                    continue;
                };
                // Spread over the time between two requests of one user.
                let first = clock::now() + self.each / USERS * user;
                let user = User {
                    edge,
                    target: target.clone(),
                    request,
                    seen: seen.clone(),
                };
                users.spawn(user.ask(first, self.each, end));
            }
        }
        while users.join_next().await.is_some() {}
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }
}

struct User {
    edge: usize,
    target: Target,
    request: Request,
    seen: Arc<Mutex<Vec<Sighting>>>,
}

impl User {
    async fn ask(self, mut next: Instant, each: Duration, end: Instant) {
        let mut connection: Option<Connection> = None;
        while next < end {
            tokio::time::sleep_until(next.into()).await;
            // A slow answer is not made up for.
            next = (next + each).max(clock::now());
            if let Some(open) = &mut connection
                && !open.is_ready().await
            {
                connection = None;
            }
            let asked = clock::now();
            let mut open = match connection.take() {
                Some(open) => open,
                None => match self.target.connect(true).await {
                    Ok(open) => open,
                    Err(_) => {
                        self.note(asked, Seen::Nothing);
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let asked = clock::now();
            let exchange = open.exchange(self.request.clone(), Reading::default());
            if let Ok(answer) = exchange.await {
                self.note(asked, Seen::new(answer.status, answer.etag.as_deref()));
                connection = Some(open);
            } else {
                self.note(asked, Seen::Nothing);
            }
        }
    }

    fn note(&self, asked: Instant, seen_now: Seen) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < SIGHTINGS_MAX {
            seen.push(Sighting {
                edge: self.edge,
                asked,
                answered: clock::now(),
                seen: seen_now,
            });
        }
    }
}
