//! The highest rate a server sustains while what is asked of it holds: doubling, halving the gap, and a long trial that
//! confirms what was found.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Error, Mode, Plan, RATE_PER_SECOND_MAX};
use crate::report::{Report, SCHEMA_VERSION};
use crate::run::{Progress, run_watched};
use crate::threshold::Threshold;

pub mod page;

/// Where the search begins, in requests per second.
const RATE_FIRST: f64 = 100.0;
/// How near the bounds come to each other: 5 %.
const NEAR: f64 = 1.05;
/// What a rate that was not confirmed is lowered by.
const LOWER: f64 = 0.93;
/// Trials of one search; after them it ends with what it has.
const TRIALS_MAX: usize = 60;
/// Of a trial in which the generator could not keep its schedule.
const ATTEMPTS: u32 = 3;
/// Rates below are not looked for.
const RATE_MIN: f64 = 1.0;

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limit {
    pub schema_version: u32,
    pub url: String,
    pub slo: Vec<String>,
    /// Requests per second; null when no rate was confirmed.
    pub rate: Option<f64>,
    /// The next higher trial failed because this machine could not send more: the server may do more.
    pub generator_bound: bool,
    pub trials: Vec<Trial>,
    /// The long one.
    pub confirmed: Option<Report>,
}

/// One rate for a while: a point of the curve of latency by load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    pub rate: f64,
    pub long: bool,
    pub held: bool,
    /// Why it did not hold.
    pub why: Vec<String>,
    pub requests_per_second: f64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// What is heard of a search while it goes on.
pub enum Watched<'a> {
    /// A second of the trial under way.
    Progress(&'a Progress<'a>),
    Trial(&'a Trial),
}

/// What the search does next. Pure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Try(f64),
    Confirm(f64),
    Done(Option<f64>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// The highest that held, and the lowest that did not.
    held: Option<f64>,
    failed: Option<f64>,
    confirmed: Option<f64>,
}

impl Search {
    fn next(&self) -> Step {
        match (self.confirmed, self.held, self.failed) {
            (Some(rate), _, _) => Step::Done(Some(rate)),
            (None, Some(held), _) if held >= RATE_PER_SECOND_MAX => Step::Confirm(held),
            (None, Some(held), None) => Step::Try((2.0 * held).min(RATE_PER_SECOND_MAX)),
            (None, Some(held), Some(failed)) if failed / held > NEAR => {
                Step::Try((held * failed).sqrt())
            }
            (None, Some(held), Some(_)) => Step::Confirm(held),
            (None, None, None) => Step::Try(RATE_FIRST),
            (None, None, Some(failed)) if failed > RATE_MIN => {
                Step::Try((failed / 2.0).max(RATE_MIN))
            }
            (None, None, Some(_)) => Step::Done(None),
        }
    }

    fn heard(&mut self, step: Step, held: bool) {
        match (step, held) {
            (Step::Try(rate), true) => self.held = Some(rate),
            (Step::Try(rate), false) => self.failed = Some(rate),
            (Step::Confirm(rate), true) => self.confirmed = Some(rate),
            // Short trials were lucky. A little lower is asked for at length, not tried again.
            (Step::Confirm(rate), false) => {
                let lower = rate * LOWER;
                self.failed = Some(rate.min(lower * NEAR));
                self.held = Some(lower).filter(|rate| *rate >= RATE_MIN);
            }
            (Step::Done(_), _) => {}
        }
    }
}

/// Trials as long as the plan says, the last for `confirm`. None of them is told where `stop` came first: the limit is
/// then what was known.
pub async fn limit(
    plan: &Plan,
    slo: &[Threshold],
    confirm: Duration,
    stop: impl Future<Output = ()>,
    mut watcher: impl FnMut(Watched<'_>),
) -> Result<Limit, Error> {
    let mut stop = pin!(stop);
    let mut limit = Limit {
        schema_version: SCHEMA_VERSION,
        url: plan.url.clone(),
        slo: slo.iter().map(ToString::to_string).collect(),
        rate: None,
        generator_bound: false,
        trials: Vec::new(),
        confirmed: None,
    };
    let mut search = Search::default();
    while limit.trials.len() < TRIALS_MAX {
        let step = search.next();
        let (rate, duration) = match step {
            Step::Try(rate) => (rate, plan.duration),
            // As each short one, after the cold phase.
            Step::Confirm(rate) => (rate, plan.cold.saturating_add(confirm)),
            Step::Done(rate) => {
                limit.rate = rate;
                break;
            }
        };
        let trial = Plan {
            mode: Mode::Open { rate },
            duration,
            // What is new in one trial is known in the next.
            seed: plan.seed.wrapping_add(limit.trials.len() as u64),
            ..plan.clone()
        };
        let report = tokio::select! {
            () = &mut stop => break,
            report = patient(&trial, &mut watcher) => report,
        };
        let long = matches!(step, Step::Confirm(_));
        let (trial, report) = match report {
            Ok(report) => (Trial::new(rate, long, &report, slo), Some(report)),
            // It was never there.
            Err(error) if limit.trials.is_empty() => return Err(error),
            Err(error) => (Trial::without(rate, long, &error), None),
        };
        search.heard(step, trial.held);
        limit.generator_bound = match trial.held {
            true => limit.generator_bound,
            false => report.as_ref().is_some_and(|report| report.saturated),
        };
        watcher(Watched::Trial(&trial));
        if long && trial.held {
            limit.confirmed = report;
        }
        limit.trials.push(trial);
    }
    Ok(limit)
}

/// A generator that was disturbed tries again: only if it cannot at all, is that the limit.
async fn patient(trial: &Plan, watcher: &mut impl FnMut(Watched<'_>)) -> Result<Report, Error> {
    let mut attempt = 1;
    loop {
        let watch = |progress: &Progress<'_>| watcher(Watched::Progress(progress));
        let report = run_watched(trial.clone(), std::future::pending(), watch).await?;
        if !report.saturated || attempt == ATTEMPTS {
            return Ok(report);
        }
        attempt += 1;
    }
}

impl Trial {
    fn new(rate: f64, long: bool, report: &Report, slo: &[Threshold]) -> Self {
        let mut why: Vec<_> = slo.iter().filter_map(|one| one.broken(report)).collect();
        if report.saturated {
            why.push("the generator could not keep the schedule".to_owned());
        }
        why.extend(report.said_of_held_back());
        if report.errors == report.requests {
            why.push("not one good answer".to_owned());
        }
        let latency = report.latency();
        Self {
            rate,
            long,
            held: why.is_empty(),
            why,
            requests_per_second: report.requests_per_second,
            p50_us: latency.value_at_quantile(0.5),
            p99_us: latency.value_at_quantile(0.99),
        }
    }

    /// A server that does not come back does not hold.
    fn without(rate: f64, long: bool, error: &Error) -> Self {
        Self {
            rate,
            long,
            held: false,
            why: vec![error.to_string()],
            requests_per_second: 0.0,
            p50_us: 0,
            p99_us: 0,
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (
            crate::report::Micros(self.p50_us),
            crate::report::Micros(self.p99_us),
        );
        let long = if self.long { " at length" } else { "" };
        write!(
            f,
            "{:>10.0} per second{long}: p50 {p50}, p99 {p99}",
            self.rate
        )?;
        match self.held {
            true => write!(f, ", holds"),
            false => write!(f, "; {}", self.why.join("; ")),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.url, self.slo.join(", "))?;
        for trial in &self.trials {
            writeln!(f, "{trial}")?;
        }
        match self.rate {
            Some(rate) => write!(f, "sustains {rate:.0} requests per second")?,
            None => write!(f, "no rate was confirmed")?,
        }
        match (self.generator_bound, self.rate) {
            (true, Some(_)) => write!(f, ", or more: this machine could not send faster"),
            (true, None) => write!(f, ": this machine could not send on time"),
            (false, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{failures, report_of};

    #[test]
    fn a_trial_of_errors_does_not_hold() {
        let check = |report: &Report, slo: &str, expect: &str| {
            let slo: Vec<_> = slo.parse().into_iter().collect();
            let trial = Trial::new(100.0, false, report, &slo);
            assert_eq!(trial.held, expect.is_empty(), "{trial}");
            assert!(trial.why.join(", ").contains(expect), "{trial}");
        };
        check(&report_of(&[200]), "p99<20ms", "");
        check(&failures(9), "p99<20ms", "p99<20ms: it is of nothing");
        check(&failures(9), "wrong<1%", "not one good answer");
        let held_back = Report {
            held_back: 1,
            ..report_of(&[200])
        };
        check(&held_back, "p99<20ms", "1 requests were never sent");
    }

    #[test]
    fn a_page_shows_every_trial_and_what_was_confirmed() {
        let trial = |rate, held| Trial {
            rate,
            long: false,
            held,
            why: if held {
                vec![]
            } else {
                vec!["p99<20ms: it is 30 ms".to_owned()]
            },
            requests_per_second: rate,
            p50_us: 200,
            p99_us: 1_000,
        };
        let limit = Limit {
            schema_version: SCHEMA_VERSION,
            url: "http://localhost/".to_owned(),
            slo: vec!["p99<20ms".to_owned()],
            rate: Some(1_000.0),
            generator_bound: false,
            trials: vec![trial(1_000.0, true), trial(2_000.0, false)],
            confirmed: None,
        };
        let page = page::page(&limit);
        for word in ["<b>1,000</b>", "p99&lt;20ms: it is 30 ms", "2,000 a second"] {
            assert!(page.contains(word), "{word}: {page}");
        }
        assert_eq!(page.matches("<circle").count(), 4, "{page}");
    }

    #[test]
    fn the_search_ends_just_below_the_limit() {
        let check = |capacity: f64, at_length: f64| {
            let mut search = Search::default();
            for trials in 0..TRIALS_MAX {
                let step = search.next();
                match step {
                    Step::Try(rate) => search.heard(step, rate <= capacity),
                    Step::Confirm(rate) => search.heard(step, rate <= at_length),
                    Step::Done(found) => return (found, trials),
                }
            }
            (None, TRIALS_MAX)
        };
        for capacity in [1.0, 30.0, 1_000.0, 77_777.0] {
            let (found, trials) = check(capacity, capacity);
            let found = found.unwrap_or_default();
            assert!(
                found <= capacity && found > capacity * 0.9,
                "{capacity}: {found}"
            );
            assert!(trials < 30, "{capacity}: {trials}");
        }
        // Short trials flatter.
        let (found, _) = check(1_000.0, 800.0);
        let found = found.unwrap_or_default();
        assert!(found <= 800.0 && found > 700.0, "{found}");
        assert_eq!(check(0.5, 0.5).0, None);
        assert_eq!(check(f64::MAX, f64::MAX).0, Some(RATE_PER_SECOND_MAX));
    }
}
