//! A report as a table for people, and its figures in the units that read best.

use std::fmt;

use super::{Latency, Report};
use crate::record::Failure;

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
                ..
            } = report.from_intended;
            for micros in [p50_us, p90_us, p99_us, p999_us, max_us] {
                write!(f, "{:>10}", Micros(micros).to_string())?;
            }
            writeln!(f)?;
        }
        if let (Some(ratio), Some(bytes)) = (self.hit_ratio, self.byte_hit_ratio) {
            let (ratio, bytes) = (100.0 * ratio, 100.0 * bytes);
            writeln!(
                f,
                "hit ratio {ratio:.1} % of requests, {bytes:.1} % of bytes"
            )?;
        }
        if self.wrong > 0 {
            writeln!(f, "WRONG BODIES: {}", self.wrong)?;
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
        writeln!(f, "seed {}", self.seed)?;
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
pub struct Micros(pub u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros @ ..1_000 => write!(f, "{micros} µs"),
            micros @ ..1_000_000 => write!(f, "{:.2} ms", micros as f64 / 1e3),
            micros => write!(f, "{:.2} s", micros as f64 / 1e6),
        }
    }
}

/// In the unit that reads best.
pub struct Bytes(pub u64);

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
