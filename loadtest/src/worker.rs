//! A thread that sends load, by connections that never rest (closed loop) or by a schedule (open loop).
//!
//! Each has a runtime, connections and a recorder of its own, so that a request wakes one thread and takes no lock that
//! another holds.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::{self, Timer};
use crate::connection::{Connection, Reading};
use crate::memory::Memory;
use crate::plan::{CONNECTIONS_MAX, How};
use crate::random::Random;
use crate::record::{Failure, Outcome, Recorders, histogram, micros};
use crate::schedule::Schedule;
use crate::target::{Request, Target, connect_failure};
use crate::workload::Workload;

/// How long a run that is over waits for answers under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How far behind its schedule a generator may be at the end before it gives up the rest.
const LATE_MAX: Duration = Duration::from_secs(1);
/// What a connection of a closed loop waits after the server refused it.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// What all workers of a run share.
pub(crate) struct Run {
    pub(crate) target: Target,
    pub(crate) workload: Arc<Workload>,
    pub(crate) seed: u64,
    /// The one request of a workload that has no other.
    pub(crate) always: Option<Request>,
    pub(crate) how: How,
    pub(crate) workers: usize,
    pub(crate) recorders: Recorders,
    pub(crate) memory: Memory,
}

/// One of them.
pub(crate) struct Worker {
    run: Arc<Run>,
    number: usize,
    next: AtomicU64,
    free: Mutex<Vec<Kept>>,
}

/// A connection between two requests.
struct Kept {
    connection: Connection,
    requests: u64,
}

/// What a worker did, beside what it recorded.
pub(crate) struct Done {
    pub(crate) cpu: Duration,
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

impl Worker {
    pub(crate) fn new(run: Arc<Run>, number: usize) -> Arc<Self> {
        Arc::new(Self {
            run,
            number,
            next: AtomicU64::new(0),
            free: Mutex::default(),
        })
    }

    /// Runs `work` in a thread of its own.
    pub(crate) fn start<W>(
        work: impl FnOnce() -> W + Send + 'static,
    ) -> io::Result<oneshot::Receiver<Done>>
    where
        W: Future<Output = Option<Pace>>,
    {
        let (teller, done) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let body = move || {
            let pace = runtime.block_on(async { work().await });
            let cpu = clock::thread_cpu();
            // Whoever does not wait any more does not want to know.
            let _ = teller.send(Done { cpu, pace });
        };
        thread::Builder::new().name("load".to_owned()).spawn(body)?;
        Ok(done)
    }

    /// `connections` of them, each sending the next request as soon as the last is answered.
    pub(crate) async fn closed(
        self: Arc<Self>,
        connections: usize,
        mut over: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (worker, over) = (self.clone(), over.clone());
            tasks.spawn(async move {
                while !*over.borrow() {
                    let kept = worker
                        .request(worker.index(), None, clock::now(), |_| ())
                        .await;
                    match kept {
                        Some(kept) => worker.go_on(kept, &over).await,
                        None => tokio::time::sleep(RECONNECT_PAUSE).await,
                    }
                }
            });
        }
        let _ = over.wait_for(|over| *over).await;
        drain(tasks).await;
    }

    /// As many users of one connection as it has streams, until the run or the connection is over.
    async fn go_on(self: &Arc<Self>, kept: Kept, over: &watch::Receiver<bool>) {
        let mut others = JoinSet::new();
        for _ in 1..self.run.how.streams {
            let Some(connection) = kept.connection.another() else {
                break;
            };
            let (worker, over) = (self.clone(), over.clone());
            let kept = Kept {
                connection,
                requests: kept.requests,
            };
            others.spawn(async move { worker.stay(kept, &over).await });
        }
        self.stay(kept, over).await;
        while others.join_next().await.is_some() {}
    }

    async fn stay(&self, kept: Kept, over: &watch::Receiver<bool>) {
        let mut kept = Some(kept);
        // Told apart from a connection that is opened anew: `request` would do that.
        while !*over.borrow()
            && let Some(connection) = kept.take()
        {
            kept = self
                .request(self.index(), Some(connection), clock::now(), |_| ())
                .await;
        }
    }

    /// Its share of the schedule, each request at its time, on a connection that is free then, or on a new one.
    pub(crate) async fn open(
        self: Arc<Self>,
        schedule: Schedule,
        start: Instant,
        over: watch::Receiver<bool>,
    ) -> io::Result<Pace> {
        let timer = Timer::new()?;
        let give_up = start + schedule.duration() + LATE_MAX;
        let own = schedule.times().zip(0_u64..).skip(self.number);
        let mut own = own.step_by(self.run.workers);
        let lag = Arc::new(Mutex::new(histogram()));
        let mut tasks = JoinSet::new();
        let (mut planned, mut sent) = (0, 0);
        let mut stopped = over.clone();
        while let Some((at, index)) = own.next() {
            let intended = start + at;
            let stop = stopped.wait_for(|over| *over);
            let is_over = tokio::select! {
                biased;
                waited = timer.until(intended) => { waited?; *over.borrow() }
                _ = stop => true,
            };
            if is_over {
                break;
            }
            planned += 1;
            if clock::now() > give_up {
                planned += own.count() as u64;
                break;
            }
            while tasks.try_join_next().is_some() {}
            if tasks.len() == CONNECTIONS_MAX {
                continue; // Never sent: the report says so.
            }
            sent += 1;
            let (worker, lag) = (self.clone(), lag.clone());
            tasks.spawn(async move {
                let free = worker.take();
                let note = |late: Duration| {
                    let mut lag = lag.lock().unwrap_or_else(PoisonError::into_inner);
                    lag.saturating_record(micros(late));
                };
                let kept = worker.request(index, free, intended, note).await;
                worker.put(kept);
            });
        }
        // The last of them leaves before the end.
        let _ = stopped.wait_for(|over| *over).await;
        drain(tasks).await;
        let lag = lag.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Pace { planned, sent, lag })
    }

    /// The number of the next request of a closed loop.
    fn index(&self) -> u64 {
        let own = self.next.fetch_add(1, Ordering::Relaxed);
        own * self.run.workers as u64 + self.number as u64
    }

    /// One request, on `kept` if that is still good. `late` hears how long after `intended` the generator came to it.
    /// Gives back a connection that can be used again.
    async fn request(
        &self,
        index: u64,
        kept: Option<Kept>,
        intended: Instant,
        late: impl FnOnce(Duration),
    ) -> Option<Kept> {
        let run = &*self.run;
        let mut pending = run.recorders.begin(self.number, intended);
        late(clock::now().saturating_duration_since(intended));
        let (request, asked) = match &run.always {
            Some(request) => (Some(request.clone()), None),
            None => {
                let ask = run.workload.ask(run.seed, index);
                let etag = ask.conditional.then(|| run.memory.etag(&ask.path));
                (
                    run.target.request(&ask, etag.flatten().as_deref()),
                    Some(ask),
                )
            }
        };
        let Some(request) = request else {
            pending.end(Outcome::Failed(Failure::Malformed));
            return kept;
        };
        let mut kept = match self.ready(kept, index).await {
            Ok(kept) => kept,
            Err(error) => {
                pending.end(Outcome::Failed(connect_failure(&error)));
                return None;
            }
        };
        pending.sent();
        let exchanged = kept.connection.exchange(request, self.reading(index)).await;
        kept.requests += 1;
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(failure) => {
                pending.end(Outcome::Failed(failure));
                return None;
            }
        };
        let path = match &asked {
            Some(ask) => ask.path.as_str(),
            None => run.workload.always().unwrap_or_default(),
        };
        let variant = asked.as_ref().and_then(|ask| ask.vary.as_ref());
        let variant = variant.map(|(_, value)| value.as_str());
        if run.workload.conditional > 0.0 {
            run.memory.remember(path, &answer);
        }
        pending.end(Outcome::Answered {
            class: answer.class,
            status: answer.status,
            bytes: answer.bytes,
            wrong: run.how.check_bodies && run.memory.is_wrong(path, variant, &answer),
        });
        let most = run.how.requests_per_connection.unwrap_or(u64::MAX);
        (kept.requests < most).then_some(kept)
    }

    /// A server may close a connection that nobody uses at any time: that is no error of its.
    async fn ready(&self, kept: Option<Kept>, index: u64) -> io::Result<Kept> {
        if let Some(mut kept) = kept
            && kept.connection.is_ready().await
        {
            return Ok(kept);
        }
        let resume = Random::at(!self.run.seed, index).unit() < self.run.how.resume;
        let connection = self.run.target.connect(resume).await?;
        Ok(Kept {
            connection,
            requests: 0,
        })
    }

    fn reading(&self, index: u64) -> Reading {
        let slow = self.run.how.slow;
        let slow = slow.filter(|(share, _)| Random::at(index, 1).unit() < *share);
        Reading {
            sum: self.run.how.check_bodies,
            slowly: slow.map(|(_, per_second)| per_second),
        }
    }

    /// The one used last is used next, so that few stay warm. Of an HTTP/2 connection each stream stands for itself.
    fn take(&self) -> Option<Kept> {
        self.free().pop()
    }

    fn put(&self, kept: Option<Kept>) {
        let Some(kept) = kept else { return };
        let mut free = self.free();
        if kept.requests == 1 {
            let others = 1..self.run.how.streams;
            free.extend(others.filter_map(|_| {
                Some(Kept {
                    connection: kept.connection.another()?,
                    requests: 1,
                })
            }));
        }
        free.push(kept);
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for what is under way; what is not done in time is dropped, and recorded as unanswered.
async fn drain(mut tasks: JoinSet<()>) {
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, finished).await.is_err() {
        tasks.shutdown().await;
    }
}
