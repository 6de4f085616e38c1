//! What is said of a run: JSON for machines, a table for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::class::Class;
use crate::record::{ClassRecord, Failure, Recorder};
use crate::run::{Done, Pace};

/// Raised when a word changes its meaning or goes; new words may come without.
pub const SCHEMA_VERSION: u32 = 1;
/// A generator that is later than this with one request in a hundred measures itself.
pub const SEND_LAG_P99_US_MAX: u64 = 5_000;

/// One run. Latencies are whole microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub schema_version: u32,
    pub url: String,
    /// Whole responses without errors, while requests were sent, over that time.
    pub requests_per_second: f64,
    /// How long requests were sent.
    pub duration_s: f64,
    /// All that were sent, or tried to be; those answered after the end included.
    pub requests: u64,
    /// No whole response, or a status of 5xx.
    pub errors: u64,
    /// Of bodies.
    pub bytes: u64,
    /// What an open loop should have sent by the end; null for a closed loop.
    pub planned: Option<u64>,
    /// How late the generator itself was; null for a closed loop, which has no schedule.
    pub send_lag_us: Option<Lag>,
    /// The generator could not keep its schedule, or had no socket or connection left (see
    /// [`CONNECTIONS_MAX`](crate::plan::CONNECTIONS_MAX)): the figures say nothing of the server.
    pub saturated: bool,
    pub statuses: BTreeMap<u16, u64>,
    pub failures: BTreeMap<Failure, u64>,
    /// Always all of them.
    pub classes: BTreeMap<Class, ClassReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lag {
    pub p50: u64,
    pub p99: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClassReport {
    pub count: u64,
    pub bytes: u64,
    /// From when a request was meant to leave: what a user would have waited.
    #[serde(flatten)]
    pub from_intended: Latency,
    /// From when it left. The same for a closed loop, but for the time to connect.
    pub from_send: Latency,
}

/// Zeros when there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Report {
    pub(crate) fn new(url: String, done: &Done, total: &Recorder) -> Self {
        let classes: BTreeMap<_, _> = Class::ALL
            .map(|class| (class, ClassReport::new(total.classes.get(&class))))
            .into();
        let no_socket = total.failures.get(&Failure::NoSocket).copied().unwrap_or(0);
        let send_lag_us = done.pace.as_ref().map(|pace| Lag {
            p50: pace.lag.value_at_quantile(0.5),
            p99: pace.lag.value_at_quantile(0.99),
        });
        Self {
            schema_version: SCHEMA_VERSION,
            url,
            requests_per_second: per_second(done.answered, done.sending),
            duration_s: done.sending.as_secs_f64(),
            requests: classes.values().map(|class| class.count).sum(),
            errors: classes.get(&Class::Error).map_or(0, |class| class.count),
            bytes: classes.values().map(|class| class.bytes).sum(),
            planned: done.pace.as_ref().map(|pace| pace.planned),
            send_lag_us,
            saturated: no_socket > 0 || done.pace.as_ref().is_some_and(Pace::is_saturated),
            statuses: total.statuses.clone(),
            failures: total.failures.clone(),
            classes,
        }
    }
}

impl Pace {
    /// The self-check: too late, or too few.
    fn is_saturated(&self) -> bool {
        self.sent < self.planned || self.lag.value_at_quantile(0.99) > SEND_LAG_P99_US_MAX
    }
}

impl ClassReport {
    fn new(record: Option<&ClassRecord>) -> Self {
        Self {
            count: record.map_or(0, |record| record.from_send.len()),
            bytes: record.map_or(0, |record| record.bytes),
            from_intended: record
                .map(|record| Latency::new(&record.from_intended))
                .unwrap_or_default(),
            from_send: record
                .map(|record| Latency::new(&record.from_send))
                .unwrap_or_default(),
        }
    }
}

impl Latency {
    fn new(histogram: &Histogram<u64>) -> Self {
        Self {
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        writeln!(
            f,
            "{:.1} requests per second: {} in {:.2} s, {} errors, {}",
            self.requests_per_second,
            self.requests,
            self.duration_s,
            self.errors,
            Bytes(self.bytes),
        )?;
        writeln!(
            f,
            "\n{:<12}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "count", "share", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (class, report) in self.classes.iter().filter(|(_, report)| report.count > 0) {
            let share = 100.0 * report.count as f64 / self.requests.max(1) as f64;
            write!(f, "{:<12}{:>10}{share:>7.1}%", class.name(), report.count)?;
            let Latency {
                p50_us,
                p90_us,
                p99_us,
                p999_us,
                max_us,
            } = report.from_intended;
            for micros in [p50_us, p90_us, p99_us, p999_us, max_us] {
                write!(f, "{:>10}", Micros(micros).to_string())?;
            }
            writeln!(f)?;
        }
        for (status, count) in &self.statuses {
            if *status >= 400 {
                writeln!(f, "status {status}: {count}")?;
            }
        }
        for (failure, count) in &self.failures {
            writeln!(f, "{failure}: {count}")?;
        }
        if let (Some(lag), Some(planned)) = (self.send_lag_us, self.planned) {
            let (p50, p99) = (Micros(lag.p50), Micros(lag.p99));
            writeln!(
                f,
                "send lag p50 {p50}, p99 {p99}; {planned} requests planned"
            )?;
        }
        if self.saturated {
            writeln!(
                f,
                "SATURATED: this machine could not keep the schedule, the figures are void"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSocket => "no socket left on this machine",
            Self::Connect => "no connection",
            Self::CutShort => "cut short",
            Self::Malformed => "not HTTP",
            Self::Timeout => "no answer in time",
            Self::Unanswered => "unanswered when the run ended",
        })
    }
}

/// Microseconds, in the unit that reads best.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros @ ..1_000 => write!(f, "{micros} µs"),
            micros @ ..1_000_000 => write!(f, "{:.2} ms", micros as f64 / 1e3),
            micros => write!(f, "{:.2} s", micros as f64 / 1e6),
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ ..1_000 => write!(f, "{bytes} B"),
            bytes @ ..1_000_000 => write!(f, "{:.1} kB", bytes as f64 / 1e3),
            bytes @ ..1_000_000_000 => write!(f, "{:.1} MB", bytes as f64 / 1e6),
            bytes => write!(f, "{:.2} GB", bytes as f64 / 1e9),
        }
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count as f64 / time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing)]

    use super::*;
    use crate::record::{Outcome, histogram};

    #[test]
    fn a_generator_that_is_late_or_sends_too_few_is_saturated() {
        let check = |planned: u64, sent: u64, late_us: u64, late: u64, expect: bool| {
            let mut lag = histogram();
            lag.saturating_record_n(10, sent - late);
            lag.saturating_record_n(late_us, late);
            assert_eq!(Pace { planned, sent, lag }.is_saturated(), expect);
        };
        check(1_000, 1_000, 0, 0, false);
        check(1_000, 999, 0, 0, true);
        check(1_000, 1_000, 20_000, 10, false);
        check(1_000, 1_000, 20_000, 11, true);
        check(1_000, 1_000, 4_000, 500, false);
    }

    #[test]
    fn the_words_of_the_report_are_a_contract() {
        let mut total = Recorder::default();
        let hit = Outcome::Answered {
            class: Class::Hit,
            status: 200,
            bytes: 1_000,
        };
        total.record(hit, Duration::from_micros(200), Duration::from_micros(100));
        total.record(
            Outcome::Failed(Failure::CutShort),
            Duration::ZERO,
            Duration::ZERO,
        );
        let done = Done {
            sending: Duration::from_secs(2),
            answered: 1,
            pace: None,
        };
        let report = Report::new("http://localhost/".to_owned(), &done, &total);
        let json = serde_json::to_value(&report).expect("JSON");
        let at = |pointer: &str| json.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/schema_version"), 1);
        assert_eq!(at("/requests_per_second"), 0.5);
        assert_eq!(at("/requests"), 2);
        assert_eq!(at("/errors"), 1);
        assert_eq!(at("/bytes"), 1_000);
        assert_eq!(at("/saturated"), false);
        assert_eq!(at("/statuses/200"), 1);
        assert_eq!(at("/failures/cut_short"), 1);
        let latency = |us: u64| serde_json::json!({"p50_us": us, "p90_us": us, "p99_us": us, "p999_us": us, "max_us": us});
        let mut hit = latency(200);
        hit["count"] = 1.into();
        hit["bytes"] = 1_000.into();
        hit["from_send"] = latency(100);
        assert_eq!(at("/classes/hit"), hit);
        assert_eq!(at("/classes/stale/count"), 0);
        let text = report.to_string();
        assert!(
            text.contains("0.5 requests per second: 2 in 2.00 s, 1 errors, 1.0 kB"),
            "{text}"
        );
        assert!(text.contains("cut short: 1"), "{text}");
    }
}
