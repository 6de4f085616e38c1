//! The two ways to send load: closed, by connections that never rest; open, by a schedule.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::Empty;
use tokio::task::JoinSet;

use crate::clock;
use crate::connection::{Connection, Target, connect_failure};
use crate::pacer;
use crate::plan::{CONNECTIONS_MAX, Error};
use crate::record::{Outcome, Recorders, histogram, micros};
use crate::schedule::Schedule;

/// How long a run that is over waits for answers under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How far behind its schedule a generator may be at the end before it gives up the rest.
const LATE_MAX: Duration = Duration::from_secs(1);
/// What a connection of a closed loop waits after the server refused it.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// What a run needs, and what it fills.
pub(crate) struct Run {
    pub(crate) target: Target,
    pub(crate) request: Request<Empty<Bytes>>,
    pub(crate) recorders: Recorders,
}

/// What a run did, beside what the recorders hold.
pub(crate) struct Done {
    /// How long requests were sent, and how many had been answered by then.
    pub(crate) sending: Duration,
    pub(crate) answered: u64,
    /// None for a closed loop, which has no schedule to fall behind of.
    pub(crate) pace: Option<Pace>,
}

/// How well the generator kept its own schedule.
pub(crate) struct Pace {
    /// Requests that should have been sent.
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    /// Microseconds from when a request was meant to leave to when the generator came to it.
    pub(crate) lag: Histogram<u64>,
}

/// `connections` of them, each sending the next request as soon as the last is answered.
pub(crate) async fn closed(
    run: &Arc<Run>,
    connections: usize,
    duration: Duration,
    stop: impl Future<Output = ()>,
) -> Done {
    let over = Arc::new(AtomicBool::new(false));
    let start = clock::now();
    let mut tasks = JoinSet::new();
    for shard in 0..connections {
        let (run, over) = (run.clone(), over.clone());
        tasks.spawn(async move {
            let mut connection = None;
            while !over.load(Ordering::Relaxed) {
                connection = run.request(shard, connection, clock::now()).await;
                if connection.is_none() {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        });
    }
    // Whichever comes first.
    let _ = tokio::time::timeout(duration, stop).await;
    over.store(true, Ordering::Relaxed);
    let done = run.done(start, None);
    drain(tasks).await;
    done
}

/// Each request of the schedule at its time, on a connection that is free then, or on a new one.
pub(crate) async fn open(
    run: &Arc<Run>,
    schedule: Schedule,
    duration: Duration,
    stop: impl Future<Output = ()>,
) -> Result<Done, Error> {
    let start = clock::now();
    let mut due = pacer::start(schedule, start).map_err(Error::Thread)?;
    let end = tokio::time::Instant::from_std(start + duration);
    let mut stop = pin!(stop);
    let (mut next, mut sent, mut lag) = (0, 0, histogram());
    let free = Arc::new(Free::default());
    let mut tasks = JoinSet::new();
    let mut planned = schedule.count();
    while next < schedule.count() {
        tokio::select! {
            () = &mut stop => {
                planned = next;
                break;
            }
            () = tokio::time::sleep_until(end + LATE_MAX) => break,
            // The pacer ends only when it has told all.
            _ = due.changed() => {}
        }
        let due = *due.borrow_and_update();
        while next < due {
            let intended = start + schedule.at(next);
            next += 1;
            while tasks.try_join_next().is_some() {}
            if tasks.len() == CONNECTIONS_MAX {
                continue; // Never sent: the report says so.
            }
            lag.saturating_record(micros(clock::now().saturating_duration_since(intended)));
            sent += 1;
            let (run, free) = (run.clone(), free.clone());
            tasks.spawn(async move {
                let connection = run.request(sent as usize, free.take(), intended).await;
                free.put(connection);
            });
        }
    }
    if next == schedule.count() {
        // The last of them leaves before the end.
        let _ = tokio::time::timeout_at(end, stop).await;
    }
    let done = run.done(start, Some(Pace { planned, sent, lag }));
    drain(tasks).await;
    Ok(done)
}

impl Run {
    /// One request, on `connection` if that is still good. Gives back a connection that can be used
    /// again.
    async fn request(
        &self,
        shard: usize,
        connection: Option<Connection>,
        intended: Instant,
    ) -> Option<Connection> {
        let mut pending = self.recorders.begin(shard, intended);
        let mut connection = match self.ready(connection).await {
            Ok(connection) => connection,
            Err(error) => {
                pending.end(Outcome::Failed(connect_failure(&error)));
                return None;
            }
        };
        pending.sent();
        let outcome = connection.exchange(self.request.clone()).await;
        pending.end(outcome);
        matches!(outcome, Outcome::Answered { .. }).then_some(connection)
    }

    /// A server may close a connection that nobody uses at any time: that is no error of its.
    async fn ready(&self, connection: Option<Connection>) -> std::io::Result<Connection> {
        if let Some(mut connection) = connection
            && connection.is_ready().await
        {
            return Ok(connection);
        }
        self.target.connect().await
    }

    fn done(&self, start: Instant, pace: Option<Pace>) -> Done {
        let sending = clock::now().saturating_duration_since(start);
        Done {
            sending,
            answered: self.recorders.answered(),
            pace,
        }
    }
}

/// Connections that wait for a request; the one used last is used next, so that few stay warm.
#[derive(Default)]
struct Free(Mutex<Vec<Connection>>);

impl Free {
    fn take(&self) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, connection: Option<Connection>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(connection);
    }
}

/// Waits for what is under way; what is not done in time is dropped, and recorded as unanswered.
async fn drain(mut tasks: JoinSet<()>) {
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, finished).await.is_err() {
        tasks.shutdown().await;
    }
}
