//! One report of several: those of generators that ran at the same time against the same server. Pure.

use super::{ClassReport, Interval, Latency, Report, hdr};
use crate::record::histogram;

/// Reports of one merge.
pub const REPORTS_MAX: usize = 1_000;

/// Two intervals that begin no further apart are one, in seconds.
const SAME_S: f64 = 0.25;

/// Counts and rates are added, histograms too; times are those of the longest. None of none. Seconds are those of each
/// one's own run: clocks of several machines do not agree.
pub fn merge(reports: Vec<Report>) -> Option<Report> {
    let mut reports = reports.into_iter().take(REPORTS_MAX);
    let mut sum = reports.next()?;
    for report in reports {
        add(&mut sum, report);
    }
    sum.sum_up();
    Some(sum)
}

fn add(sum: &mut Report, other: Report) {
    sum.began_unix_s = sum.began_unix_s.min(other.began_unix_s);
    sum.duration_s = sum.duration_s.max(other.duration_s);
    sum.requests_per_second += other.requests_per_second;
    sum.wrong += other.wrong;
    sum.generator_cpu_s += other.generator_cpu_s;
    sum.workers += other.workers;
    sum.held_back += other.held_back;
    sum.saturated |= other.saturated;
    sum.planned = match (sum.planned, other.planned) {
        (Some(one), Some(two)) => Some(one + two),
        (one, two) => one.or(two),
    };
    sum.send_lag_us = match (sum.send_lag_us, other.send_lag_us) {
        // Their histograms are gone: the later one is the careful answer.
        (Some(one), Some(two)) => Some(if one.p99 > two.p99 { one } else { two }),
        (one, two) => one.or(two),
    };
    for (status, count) in other.statuses {
        *sum.statuses.entry(status).or_default() += count;
    }
    for (failure, count) in other.failures {
        *sum.failures.entry(failure).or_default() += count;
    }
    add_classes(&mut sum.classes, other.classes);
    match (&mut sum.cold, other.cold) {
        (Some(cold), Some(other)) => add_classes(cold, other),
        (cold, other) => *cold = cold.take().or(other),
    }
    add_intervals(&mut sum.intervals, other.intervals);
}

/// Each to the one that began at about the same time.
fn add_intervals(sum: &mut Vec<Interval>, other: Vec<Interval>) {
    for interval in other {
        // They are in order.
        let at = sum.partition_point(|own| own.at_s < interval.at_s - SAME_S);
        match sum.get_mut(at) {
            Some(own) if own.at_s <= interval.at_s + SAME_S => {
                own.length_s = own.length_s.max(interval.length_s);
                add_classes(&mut own.classes, interval.classes);
            }
            _ => sum.insert(at, interval),
        }
    }
}

type Classes = std::collections::BTreeMap<crate::Class, ClassReport>;

fn add_classes(sum: &mut Classes, other: Classes) {
    for (class, report) in other {
        match sum.entry(class) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(report);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.count += report.count;
                sum.bytes += report.bytes;
                sum.from_intended = together(&sum.from_intended, &report.from_intended);
                sum.from_send = together(&sum.from_send, &report.from_send);
            }
        }
    }
}

fn together(one: &Latency, two: &Latency) -> Latency {
    let mut all = histogram();
    for latency in [one, two] {
        if let Some(histogram) = hdr::decode(&latency.histogram) {
            // The same bounds, unless another program made it: what does not fit is the longest run.
            let _ = all.add(&histogram);
        }
    }
    Latency::new(&all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;
    use crate::Class;
    use crate::report::tests::some_report;

    #[test]
    fn what_two_generators_saw_is_added_up() {
        let merged = merge(vec![some_report(), some_report()]).expect("a report");
        assert_eq!(
            (merged.requests, merged.errors, merged.bytes),
            (4, 2, 2_000)
        );
        assert!((merged.requests_per_second - 1.0).abs() < 1e-9);
        assert_eq!(merged.statuses, [(200, 2)].into());
        let hits = merged.classes.get(&Class::Hit).expect("hits");
        assert_eq!((hits.count, hits.from_intended.p99_us), (2, 200));
        assert_eq!(hits.from_send.max_us, 100);
        let seconds: Vec<_> = merged
            .intervals
            .iter()
            .map(|interval| interval.classes.get(&Class::Hit).map(|hits| hits.count))
            .collect();
        assert_eq!(seconds, [Some(2)]);
        assert!(merge(Vec::new()).is_none());
    }
}
