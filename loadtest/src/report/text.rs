//! A report as a table for people, and its figures in the units that read best.

use std::collections::BTreeMap;
use std::fmt;

use super::{ClassReport, Report};
use crate::class::Class;
use crate::plan::CONNECTIONS_MAX;
use crate::record::Failure;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        writeln!(
            f,
            "{:.1} requests per second: {} in {:.2} s, {} error{}, {}",
            self.requests_per_second,
            self.requests,
            self.duration_s,
            self.errors,
            if self.errors == 1 { "" } else { "s" },
            Bytes(self.bytes),
        )?;
        writeln!(
            f,
            "\n{:<12}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "count", "share", "p50", "p90", "p99", "p99.9", "max"
        )?;
        rows(f, &self.classes)?;
        if let Some(cold) = &self.cold {
            writeln!(f, "the cold phase, in none of the figures here")?;
            rows(f, cold)?;
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
            let cold = self.planned_with();
            writeln!(
                f,
                "send lag p50 {p50}, p99 {p99}; {planned} requests planned{cold}"
            )?;
        }
        if let Some(held_back) = self.said_of_held_back() {
            writeln!(f, "HELD BACK: {held_back}")?;
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

impl Report {
    /// What else is among those planned.
    pub(super) fn planned_with(&self) -> &'static str {
        match self.cold {
            Some(_) => ", the cold phase included",
            None => "",
        }
    }

    /// None: the server answered in time to be asked more.
    pub(crate) fn said_of_held_back(&self) -> Option<String> {
        let most = Count(CONNECTIONS_MAX as u64);
        (self.held_back > 0).then(|| {
            format!(
                "{} requests were never sent: the server left {most} unanswered at a time",
                Count(self.held_back)
            )
        })
    }
}

/// A line for each class that came.
fn rows(f: &mut fmt::Formatter<'_>, classes: &BTreeMap<Class, ClassReport>) -> fmt::Result {
    let all: u64 = classes.values().map(|report| report.count).sum();
    for (class, report) in classes.iter().filter(|(_, report)| report.count > 0) {
        let share = 100.0 * report.count as f64 / all as f64;
        write!(f, "{:<12}{:>10}{share:>7.1}%", class.name(), report.count)?;
        let latency = &report.from_intended;
        for micros in [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ] {
            write!(f, "{:>10}", Micros(micros).to_string())?;
        }
        writeln!(f)?;
    }
    Ok(())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSocket => "no socket left on this machine",
            Self::Connect => "no connection",
            Self::NoAnswer => "closed without an answer",
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

/// Thousands apart: 1,234,567.
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
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
