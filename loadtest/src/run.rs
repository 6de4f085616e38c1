//! One run: finds the server, starts the workers, takes what they record second by second.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use tokio::sync::watch;

use crate::address::Address;
use crate::clock;
use crate::memory::Memory;
use crate::plan::{Error, Mode, Plan};
use crate::record::{Recorder, Recorders, histogram};
use crate::report::{Interval, Report};
use crate::target::Target;
use crate::worker::{Done, Pace, Phase, Run, Worker};
use crate::workload::{Ask, Workload};

/// How often what was recorded is taken.
const INTERVAL: Duration = Duration::from_secs(1);

/// Everything of a run, from which the report is made.
pub(crate) struct Measured {
    pub(crate) began: SystemTime,
    /// How long requests were sent and counted, after the cold phase, and how many had been answered by its end.
    pub(crate) sending: Duration,
    pub(crate) answered: u64,
    pub(crate) total: Recorder,
    pub(crate) cold: Option<Recorder>,
    pub(crate) intervals: Vec<Interval>,
    pub(crate) pace: Option<Pace>,
    /// Of all workers.
    pub(crate) cpu: Duration,
    pub(crate) workers: usize,
}

/// What is known while a run goes on.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    pub elapsed: Duration,
    pub duration: Duration,
    /// The last of the report's intervals.
    pub interval: &'a Interval,
    pub requests: u64,
}

/// Runs the plan to its end, or until `stop`, and reports in both cases.
pub async fn run(plan: Plan, stop: impl Future<Output = ()>) -> Result<Report, Error> {
    run_watched(plan, stop, |_| ()).await
}

/// The same; `watcher` hears of each second.
pub async fn run_watched(
    mut plan: Plan,
    stop: impl Future<Output = ()>,
    watcher: impl FnMut(&Progress<'_>),
) -> Result<Report, Error> {
    plan.check()?;
    let address = Address::parse(&plan.url)?;
    let (trust, mine) = (plan.trust.as_ref(), &plan.i_own_this);
    let target = Target::find(&address, plan.how.http2, trust, mine).await?;
    let workload = plan
        .workload
        .take()
        .unwrap_or_else(|| Arc::new(Workload::one(address.path_and_query)));
    let always = workload.always().map(|path| Ask::plain(path.to_owned()));
    let always = match always.map(|ask| target.request(&ask, None)) {
        Some(None) => {
            let why = "its path is none".to_owned();
            return Err(Error::Url { url: plan.url, why });
        }
        request => request.flatten(),
    };
    let workers = plan.workers();
    let run = Arc::new(Run {
        target,
        workload,
        seed: plan.seed,
        always,
        how: plan.how.clone(),
        workers,
        recorders: Recorders::new(workers),
        memory: Memory::default(),
    });
    let measured = measure(&plan, &run, stop, watcher).await?;
    Ok(Report::new(&plan, &measured))
}

async fn measure(
    plan: &Plan,
    run: &Arc<Run>,
    stop: impl Future<Output = ()>,
    watcher: impl FnMut(&Progress<'_>),
) -> Result<Measured, Error> {
    let (phase, _) = watch::channel(Phase::Running);
    let (start, began) = (clock::now(), clock::wall());
    let mut working = Vec::new();
    for number in 0..run.workers {
        let worker = Worker::new(run.clone(), number);
        let phase = phase.subscribe();
        let done = match (&plan.mode, plan.schedule()) {
            (Mode::Closed { connections }, _) => {
                // The first of them take what does not divide.
                let share = (connections + run.workers - 1 - number) / run.workers;
                Worker::start(move || async move {
                    worker.closed(share, phase).await;
                    None
                })
            }
            (_, Some(schedule)) => Worker::start(move || async move {
                // Without a timer nothing was sent: the report says that it was too few.
                worker.open(schedule, start, phase).await.ok()
            }),
            (_, None) => continue, // only a closed loop has no schedule
        };
        working.push(done.map_err(Error::Thread)?);
    }
    let mut collected = Collected::new(plan, start, began);
    let ended = collected.until(run, stop, watcher).await;
    let end = clock::now();
    phase.send_replace(ended);
    let mut done = Vec::new();
    for worker in working {
        done.extend(worker.await);
    }
    collected.rest(run, end);
    Ok(collected.measured(end, done, run.workers))
}

/// What was taken so far.
struct Collected {
    start: Instant,
    began: SystemTime,
    duration: Duration,
    cold_ends: Option<Duration>,
    total: Recorder,
    cold: Option<Recorder>,
    answered: u64,
    intervals: Vec<Interval>,
}

impl Collected {
    fn new(plan: &Plan, start: Instant, began: SystemTime) -> Self {
        Self {
            start,
            began,
            duration: plan.duration,
            cold_ends: Some(plan.cold).filter(|cold| !cold.is_zero()),
            total: Recorder::default(),
            cold: None,
            answered: 0,
            intervals: Vec::new(),
        }
    }

    /// Takes an interval each second, and one where the cold phase ends, until the run's time is over or it is stopped.
    async fn until(
        &mut self,
        run: &Run,
        stop: impl Future<Output = ()>,
        mut watcher: impl FnMut(&Progress<'_>),
    ) -> Phase {
        let mut stop = pin!(stop);
        let mut from = Duration::ZERO;
        loop {
            let mut to = (from + INTERVAL).min(self.duration);
            if let Some(cold) = self.cold_ends.filter(|cold| *cold > from) {
                to = to.min(cold);
            }
            let stopped = tokio::select! {
                () = &mut stop => true,
                () = tokio::time::sleep_until((self.start + to).into()) => false,
            };
            let now = clock::now().saturating_duration_since(self.start);
            self.take(run, from, now);
            if let Some(interval) = self.intervals.last() {
                watcher(&Progress {
                    elapsed: now,
                    duration: self.duration,
                    interval,
                    requests: self
                        .total
                        .classes
                        .values()
                        .map(|class| class.from_send.len())
                        .sum(),
                });
            }
            match (stopped, to == self.duration) {
                (true, _) => return Phase::Stopped,
                (false, true) => return Phase::Ended,
                (false, false) => from = to,
            }
        }
    }

    fn take(&mut self, run: &Run, from: Duration, to: Duration) {
        let taken = run.recorders.take();
        self.intervals
            .push(Interval::new(from, to.saturating_sub(from), &taken));
        match self.cold_ends {
            Some(cold) if from < cold => self.cold.get_or_insert_default().add(&taken),
            _ => {
                self.answered += taken.answered();
                self.total.add(&taken);
            }
        }
    }

    /// What was under way at the end.
    fn rest(&mut self, run: &Run, end: Instant) {
        let taken = run.recorders.take();
        let from = end.saturating_duration_since(self.start);
        let now = clock::now().saturating_duration_since(self.start);
        if !taken.classes.is_empty() {
            self.intervals
                .push(Interval::new(from, now.saturating_sub(from), &taken));
        }
        self.total.add(&taken);
    }

    fn measured(self, end: Instant, done: Vec<Done>, workers: usize) -> Measured {
        let sending = end.saturating_duration_since(self.start);
        let cold = self.cold_ends.unwrap_or_default().min(sending);
        let cpu = done.iter().map(|done| done.cpu).sum();
        let paces: Vec<_> = done.into_iter().filter_map(|done| done.pace).collect();
        Measured {
            began: self.began,
            sending: sending.saturating_sub(cold),
            answered: self.answered,
            total: self.total,
            cold: self.cold,
            intervals: self.intervals,
            pace: (!paces.is_empty()).then(|| all(&paces)),
            cpu,
            workers,
        }
    }
}

fn all(paces: &[Pace]) -> Pace {
    let mut lag: Histogram<u64> = histogram();
    for pace in paces {
        // The same bounds.
        let _ = lag.add(&pace.lag);
    }
    Pace {
        planned: paces.iter().map(|pace| pace.planned).sum(),
        sent: paces.iter().map(|pace| pace.sent).sum(),
        held_back: paces.iter().map(|pace| pace.held_back).sum(),
        lag,
    }
}
