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
use crate::connection::Reading;
use crate::memory::Memory;
use crate::plan::How;
use crate::random::Random;
use crate::record::{Failure, Outcome, Recorders, histogram, micros};
use crate::schedule::Schedule;
use crate::target::{Request, Target, connect_failure};
use crate::workload::{Ask, Workload};

mod kept;
mod step;
#[cfg(test)]
mod tests;

use kept::{After, Kept};
pub(crate) use step::Phase;
use step::{LATE_MAX, Step, step};

/// How long a run that is over waits for answers under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// A generator that is later than this is behind its schedule; less is what a timer takes.
const BEHIND: Duration = Duration::from_micros(100);
/// What a user of a closed loop waits after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

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
    /// Not sent because the server left too many unanswered.
    pub(crate) held_back: u64,
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
        mut phase: watch::Receiver<Phase>,
    ) {
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (worker, phase) = (self.clone(), phase.clone());
            tasks.spawn(async move {
                while *phase.borrow() == Phase::Running {
                    if let Some(kept) = worker.next(None).await {
                        worker.go_on(kept, &phase).await;
                    }
                }
            });
        }
        let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
        drain(tasks).await;
    }

    /// As many users of one connection as it has streams, until the run or the connection is over.
    async fn go_on(self: &Arc<Self>, kept: Kept, phase: &watch::Receiver<Phase>) {
        let mut others = JoinSet::new();
        for _ in 1..self.run.how.streams {
            let Some(kept) = kept.another() else {
                break;
            };
            let (worker, phase) = (self.clone(), phase.clone());
            others.spawn(async move { worker.stay(kept, &phase).await });
        }
        self.stay(kept, phase).await;
        while others.join_next().await.is_some() {}
    }

    /// One user of a connection, until that is over. One of many does not go on with another: all of them would.
    async fn stay(&self, kept: Kept, phase: &watch::Receiver<Phase>) {
        let (given, alone) = (kept.given.clone(), self.run.how.streams == 1);
        let mut kept = Some(kept);
        while *phase.borrow() == Phase::Running
            && let Some(connection) = kept.take()
            && (alone || Arc::ptr_eq(&connection.given, &given))
            && self.give(&connection)
        {
            kept = self.next(Some(connection)).await;
        }
    }

    /// The next request of a user of a closed loop, and the rest after one that failed.
    async fn next(&self, kept: Option<Kept>) -> Option<Kept> {
        let after = self.request(self.index(), kept, clock::now(), |_| ()).await;
        if after.failed {
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
        after.kept
    }

    /// Its share of the schedule, each request at its time, on a connection that is free then, or on a new one.
    pub(crate) async fn open(
        self: Arc<Self>,
        schedule: Schedule,
        start: Instant,
        mut phase: watch::Receiver<Phase>,
    ) -> io::Result<Pace> {
        let timer = Timer::new()?;
        let give_up = start + schedule.duration() + LATE_MAX;
        let own = schedule.times().zip(0_u64..).skip(self.number);
        let mut own = own.step_by(self.run.workers);
        let lag = Arc::new(Mutex::new(histogram()));
        let mut tasks = JoinSet::new();
        let (mut planned, mut sent, mut held_back) = (0, 0, 0);
        while let Some((at, index)) = own.next() {
            let intended = start + at;
            let stopped = phase.wait_for(|phase| *phase == Phase::Stopped);
            tokio::select! {
                biased;
                waited = timer.until(intended) => waited?,
                _ = stopped => {}
            }
            let now = clock::now();
            // Behind, what was begun goes first: else each request would find no connection free, open one of its own,
            // and make the next ones later still.
            if now > intended + BEHIND {
                tokio::task::yield_now().await;
            }
            while tasks.try_join_next().is_some() {}
            match step(*phase.borrow(), now > give_up, tasks.len()) {
                Step::Send => {}
                Step::HoldBack => {
                    planned += 1;
                    held_back += 1;
                    continue;
                }
                Step::GiveUp => {
                    planned += 1 + own.count() as u64;
                    break;
                }
                Step::Stop => break,
            }
            planned += 1;
            sent += 1;
            let (worker, lag) = (self.clone(), lag.clone());
            tasks.spawn(async move {
                let free = worker.take();
                let note = |late: Duration| {
                    let mut lag = lag.lock().unwrap_or_else(PoisonError::into_inner);
                    lag.saturating_record(micros(late));
                };
                let after = worker.request(index, free, intended, note).await;
                worker.put(after.kept);
            });
        }
        // The last of them leaves before the end.
        let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
        drain(tasks).await;
        let lag = lag.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Pace {
            planned,
            sent,
            held_back,
            lag,
        })
    }

    /// The number of the next request of a closed loop.
    fn index(&self) -> u64 {
        let own = self.next.fetch_add(1, Ordering::Relaxed);
        own * self.run.workers as u64 + self.number as u64
    }

    /// One request, on `kept` if that is still good. `late` hears how long after `intended` the generator came to it.
    async fn request(
        &self,
        index: u64,
        kept: Option<Kept>,
        intended: Instant,
        late: impl FnOnce(Duration),
    ) -> After {
        let run = &*self.run;
        let mut pending = run.recorders.begin(self.number, intended);
        late(clock::now().saturating_duration_since(intended));
        let (request, asked) = self.what(index);
        let Some(request) = request else {
            pending.end(Outcome::Failed(Failure::Malformed));
            return After::failed(kept);
        };
        let mut kept = match self.ready(kept, index).await {
            Ok(kept) => kept,
            Err(error) => {
                pending.end(Outcome::Failed(connect_failure(&error)));
                return After::failed(None);
            }
        };
        pending.sent();
        let exchanged = kept.connection.exchange(request, self.reading(index)).await;
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(failure) => {
                pending.end(Outcome::Failed(failure));
                // One stream's end is not that of the others.
                return After::failed(Some(kept).filter(|kept| kept.connection.has_streams()));
            }
        };
        let path = match &asked {
            Some(ask) => ask.path.as_str(),
            None => run.workload.always().unwrap_or_default(),
        };
        let variant = asked.as_ref().and_then(Ask::variant);
        if run.workload.conditional > 0.0 {
            run.memory.remember(path, variant, &answer);
        }
        pending.end(Outcome::Answered {
            class: answer.class,
            status: answer.status,
            bytes: answer.bytes,
            wrong: run.how.check_bodies && run.memory.is_wrong(path, variant, &answer),
        });
        let more = kept.given.load(Ordering::Relaxed) < self.most() && !self.has_slow_line(index);
        After {
            kept: more.then_some(kept),
            failed: false,
        }
    }

    /// What request `index` asks for; no request where that cannot be written as one.
    fn what(&self, index: u64) -> (Option<Request>, Option<Ask>) {
        let run = &*self.run;
        if let Some(request) = &run.always {
            return (Some(request.clone()), None);
        }
        let ask = run.workload.ask(run.seed, index);
        let etag = ask
            .conditional
            .then(|| run.memory.etag(&ask.path, ask.variant()));
        let request = run.target.request(&ask, etag.flatten().as_deref());
        (request, Some(ask))
    }

    /// A server may close a connection that nobody uses at any time: that is no error of its.
    async fn ready(&self, kept: Option<Kept>, index: u64) -> io::Result<Kept> {
        let slow = self.has_slow_line(index);
        if let Some(mut kept) = kept
            && !slow
            && kept.connection.is_ready().await
        {
            return Ok(kept);
        }
        let resume = Random::at(!self.run.seed, index).unit() < self.run.how.resume;
        let connection = match slow {
            true => self.run.target.connect_slow(resume).await?,
            false => self.run.target.connect(resume).await?,
        };
        Ok(Kept {
            connection,
            given: Arc::new(AtomicU64::new(1)),
        })
    }

    /// Requests that one connection may carry.
    fn most(&self) -> u64 {
        let most = self.run.how.requests_per_connection;
        most.unwrap_or(u64::MAX)
    }

    /// Gives it one more request, unless it has had them all.
    fn give(&self, kept: &Kept) -> bool {
        kept.given.fetch_add(1, Ordering::Relaxed) < self.most()
    }

    fn reading(&self, index: u64) -> Reading {
        Reading {
            sum: self.run.how.check_bodies,
            slowly: self.slowly(index),
        }
    }

    /// Bytes a second that request `index` reads its answer with, if it is a slow one.
    fn slowly(&self, index: u64) -> Option<u64> {
        let (share, per_second) = self.run.how.slow?;
        (Random::at(index, 1).unit() < share).then_some(per_second)
    }

    /// A slow reader has a connection of its own; of HTTP/2 it is one stream among others.
    fn has_slow_line(&self, index: u64) -> bool {
        !self.run.how.http2 && self.slowly(index).is_some()
    }

    /// The one used last is used next, so that few stay warm. Of an HTTP/2 connection each stream stands for itself.
    fn take(&self) -> Option<Kept> {
        let mut free = self.free();
        loop {
            let kept = free.pop()?;
            if self.give(&kept) {
                return Some(kept);
            }
        }
    }

    fn put(&self, kept: Option<Kept>) {
        let Some(kept) = kept else { return };
        let mut free = self.free();
        // Of a new one: from now on it takes as many at a time as it has streams.
        if kept.given.load(Ordering::Relaxed) == 1 {
            let others = 1..self.run.how.streams;
            free.extend(others.filter_map(|_| kept.another()));
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
