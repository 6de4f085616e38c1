//! What to do, as asked, and its limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::schedule::{Arrivals, Schedule, Segment};
use crate::workload::Workload;

pub mod file;

/// Connections of a closed loop, and the most an open loop opens.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Requests at a time on one HTTP/2 connection.
pub const STREAMS_MAX: usize = 1_000;
pub const WORKERS_MAX: usize = 64;
/// Requests per second of an open loop.
pub const RATE_PER_SECOND_MAX: f64 = 1_000_000.0;
/// The longest run.
pub const DURATION_MAX: Duration = Duration::from_secs(60 * 60);

/// One run against one server.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `http://host[:port]/path?query`, or `https://` with `trust`. The workload says what is asked for there.
    pub url: String,
    pub mode: Mode,
    pub duration: Duration,
    /// The beginning, which is reported apart: what is not cached yet.
    pub cold: Duration,
    /// None: requests for the URL itself.
    pub workload: Option<Arc<Workload>>,
    pub seed: u64,
    pub how: How,
    /// For `https://` only.
    pub trust: Option<Trust>,
    /// Hosts that are not this machine, and yet one's own: load is sent to no others.
    pub i_own_this: Vec<String>,
}

/// When the next request leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// As soon as one of the connections is free: as many as the server can answer.
    Closed { connections: usize },
    /// By a constant rate, whatever the server does: what users do. Requests per second.
    Open { rate: f64 },
    /// By a rate that changes.
    Segments {
        segments: Vec<Segment>,
        arrivals: Arrivals,
    },
    /// So many at once, again and again.
    Herd { clients: u64, every: Duration },
    /// When they were recorded; from the start, ascending.
    Recorded(Vec<Duration>),
}

/// How requests are carried.
#[derive(Clone, Debug, PartialEq)]
pub struct How {
    /// Threads; none says one for each core.
    pub workers: Option<usize>,
    pub http2: bool,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: usize,
    /// A connection is closed after so many requests.
    pub requests_per_connection: Option<u64>,
    /// The share of TLS connections that resume an earlier session where the server lets them.
    pub resume: f64,
    /// The share of requests whose answer is read slowly (HTTP/1.1), and how many bytes a second.
    pub slow: Option<(f64, u64)>,
    /// Bodies with the same URL and ETag are compared.
    pub check_bodies: bool,
}

impl Default for How {
    fn default() -> Self {
        Self {
            workers: None,
            http2: false,
            streams: 1,
            requests_per_connection: None,
            resume: 1.0,
            slow: None,
            check_bodies: false,
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities in this PEM file.
    CaFile(PathBuf),
    /// Anyone's (a test server's own certificate).
    Anyone,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{url:?} cannot be tested: {why}")]
    Url { url: String, why: String },
    #[error("{what} is {asked}; {allowed}")]
    Limit {
        what: &'static str,
        asked: String,
        allowed: String,
    },
    #[error(
        "{host} is not this machine. Load is sent to your own servers only: if it is yours, say --i-own-this {host}"
    )]
    NotYours { host: String },
    /// A CA file, a plan, a list, a log.
    #[error("{}: {why}", file.display())]
    File { file: PathBuf, why: String },
    /// The address does not resolve, or nobody answers there.
    #[error("{target} cannot be reached: {source}")]
    Unreachable {
        target: String,
        source: std::io::Error,
    },
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Why a report is not of all that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub why: String,
    /// A server was there and is so no more.
    pub unreachable: bool,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self {
            unreachable: matches!(error, Error::Unreachable { .. }),
            why: error.to_string(),
        }
    }
}

impl Plan {
    /// A run with nothing special about it.
    pub fn new(url: impl Into<String>, mode: Mode, duration: Duration) -> Self {
        Self {
            url: url.into(),
            mode,
            duration,
            cold: Duration::ZERO,
            workload: None,
            seed: 1,
            how: How::default(),
            trust: None,
            i_own_this: Vec::new(),
        }
    }

    /// The times of an open loop; None for a closed one.
    pub(crate) fn schedule(&self) -> Option<Schedule> {
        let (segments, arrivals) = match &self.mode {
            Mode::Closed { .. } => return None,
            Mode::Open { rate } => {
                let constant = Segment {
                    from: *rate,
                    to: *rate,
                    duration: self.duration,
                };
                (vec![constant], Arrivals::Even)
            }
            Mode::Segments { segments, arrivals } => (segments.clone(), *arrivals),
            Mode::Herd { clients, every } => {
                return Some(Schedule::Herd {
                    clients: *clients,
                    every: *every,
                    duration: self.duration,
                });
            }
            Mode::Recorded(times) => return Some(Schedule::Recorded(times.clone().into())),
        };
        Some(Schedule::Rate {
            segments: segments.into(),
            arrivals,
            seed: self.seed,
        })
    }

    /// The limits of the run; the URL is judged by [`Address::parse`](crate::address::Address::parse).
    pub(crate) fn check(&self) -> Result<(), Error> {
        let rate = |what, rate: f64, zero: bool| {
            // Written so that a rate that is no number is refused too.
            let within = rate > 0.0 && rate <= RATE_PER_SECOND_MAX || zero && rate == 0.0;
            let allowed = format!("more than 0 and at most {RATE_PER_SECOND_MAX}");
            limit(what, &rate, &allowed, within)
        };
        match &self.mode {
            Mode::Closed { connections } => {
                count("the number of connections", *connections, CONNECTIONS_MAX)?;
            }
            Mode::Open { rate: constant } => rate("the rate", *constant, false)?,
            Mode::Segments { segments, .. } => {
                for segment in segments {
                    rate("the rate", segment.from, true)?;
                    rate("the rate", segment.to, true)?;
                    time("the duration of a step", segment.duration)?;
                }
            }
            Mode::Herd { clients, every } => {
                let clients = usize::try_from(*clients).unwrap_or(usize::MAX);
                count("the number of a herd's clients", clients, CONNECTIONS_MAX)?;
                time("the time between two herds", *every)?;
            }
            Mode::Recorded(times) => {
                let last = times.last().copied().unwrap_or_default();
                time("the length of the log", last.max(Duration::from_nanos(1)))?;
            }
        }
        time("the duration", self.duration)?;
        let cold_ends = self.cold < self.duration;
        let allowed = "less than the duration";
        limit(
            "the cold phase",
            &format!("{:?}", self.cold),
            allowed,
            cold_ends,
        )?;
        count("the number of streams", self.how.streams, STREAMS_MAX)?;
        count(
            "the number of workers",
            self.how.workers.unwrap_or(1),
            WORKERS_MAX,
        )
    }

    pub(crate) fn workers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.how.workers.unwrap_or(cores).clamp(1, WORKERS_MAX);
        match self.mode {
            Mode::Closed { connections } => workers.min(connections),
            _ => workers,
        }
    }
}

fn count(what: &'static str, asked: usize, most: usize) -> Result<(), Error> {
    limit(
        what,
        &asked,
        &format!("1 to {most}"),
        (1..=most).contains(&asked),
    )
}

fn time(what: &'static str, asked: Duration) -> Result<(), Error> {
    let within = !asked.is_zero() && asked <= DURATION_MAX;
    let allowed = format!("more than 0 and at most {DURATION_MAX:?}");
    limit(what, &format!("{asked:?}"), &allowed, within)
}

fn limit(
    what: &'static str,
    asked: &impl ToString,
    allowed: &str,
    within: bool,
) -> Result<(), Error> {
    if within {
        return Ok(());
    }
    Err(Error::Limit {
        what,
        asked: asked.to_string(),
        allowed: format!("allowed is {allowed}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_limits() {
        let check = |mode: Mode, duration: Duration, expect: bool| {
            let plan = Plan::new("http://localhost/", mode, duration);
            assert_eq!(plan.check().is_ok(), expect, "{plan:?}");
        };
        let second = Duration::from_secs(1);
        let closed = |connections| Mode::Closed { connections };
        check(closed(1), second, true);
        check(closed(0), second, false);
        check(closed(10_001), second, false);
        check(Mode::Open { rate: 1_000_000.0 }, DURATION_MAX, true);
        check(Mode::Open { rate: 0.1 }, second, true);
        for rate in [0.0, -1.0, 1_000_001.0, f64::NAN, f64::INFINITY] {
            check(Mode::Open { rate }, second, false);
        }
        check(Mode::Open { rate: 1.0 }, Duration::ZERO, false);
        check(Mode::Open { rate: 1.0 }, DURATION_MAX + second, false);
        let ramp = |from, to, duration| Mode::Segments {
            segments: vec![Segment { from, to, duration }],
            arrivals: Arrivals::Poisson,
        };
        check(ramp(0.0, 100.0, second), second, true);
        check(ramp(-1.0, 100.0, second), second, false);
        check(ramp(1.0, 100.0, Duration::ZERO), second, false);
        let herd = |clients, every| Mode::Herd { clients, every };
        check(herd(100, second), second, true);
        check(herd(0, second), second, false);
        check(herd(1, Duration::ZERO), second, false);
    }
}
