//! A report that somebody hands in, judged before it is added up or drawn. Pure.

use super::{ClassReport, Interval, Report, SCHEMA_VERSION};

/// The last second of the year 9999: no date is later.
const UNIX_S_MAX: f64 = 253_402_300_799.0;
/// Of a run; the longest is an hour.
const SECONDS_MAX: f64 = 1e6;
/// Of anything counted: a thousand reports of seven classes still have a sum.
const COUNT_MAX: u64 = 1 << 50;

impl Report {
    /// From its JSON, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let report: Self =
            serde_json::from_str(text).map_err(|error| format!("no report: {error}"))?;
        report.judge()?;
        Ok(report)
    }

    fn judge(&self) -> Result<(), String> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "schema_version is {}; this program reads {SCHEMA_VERSION}",
                self.schema_version
            ));
        }
        number("began_unix_s", self.began_unix_s, UNIX_S_MAX)?;
        number("duration_s", self.duration_s, SECONDS_MAX)?;
        number("generator_cpu_s", self.generator_cpu_s, f64::MAX)?;
        number("requests_per_second", self.requests_per_second, f64::MAX)?;
        let workers = u64::try_from(self.workers).unwrap_or(u64::MAX);
        let lags = self.send_lag_us.map(|lag| [lag.p50, lag.p99]);
        let counts = [self.wrong, self.held_back, workers].into_iter();
        let counts = counts
            .chain(self.planned)
            .chain(lags.into_iter().flatten())
            .chain(self.statuses.values().copied())
            .chain(self.failures.values().copied());
        all_counts(counts)?;
        classes(self.classes.values())?;
        classes(self.cold.iter().flat_map(|cold| cold.values()))?;
        self.intervals.iter().try_for_each(Interval::judge)
    }
}

impl Interval {
    fn judge(&self) -> Result<(), String> {
        number("intervals.at_s", self.at_s, SECONDS_MAX)?;
        number("intervals.length_s", self.length_s, SECONDS_MAX)?;
        classes(self.classes.values())
    }
}

fn classes<'a>(classes: impl Iterator<Item = &'a ClassReport>) -> Result<(), String> {
    all_counts(classes.flat_map(|class| [class.count, class.bytes]))
}

fn all_counts(mut counts: impl Iterator<Item = u64>) -> Result<(), String> {
    match counts.find(|count| *count > COUNT_MAX) {
        Some(count) => Err(format!("it counts {count}: at most {COUNT_MAX}")),
        None => Ok(()),
    }
}

fn number(word: &str, found: f64, most: f64) -> Result<(), String> {
    match (0.0..=most).contains(&found) {
        true => Ok(()),
        false => Err(format!("{word} is {found}: 0 to {most}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;
    use crate::report::tests::some_report;
    use crate::report::{hdr, html};

    #[test]
    fn a_report_that_cannot_be_drawn_is_refused() {
        let check = |pointer: &str, value: serde_json::Value, expect: Option<&str>| {
            let mut json = serde_json::to_value(some_report()).expect("JSON");
            *json.pointer_mut(pointer).expect(pointer) = value;
            match (Report::parse(&json.to_string()), expect) {
                (Ok(report), None) => {
                    assert!(html::page(&report).ends_with("</html>\n"));
                    assert!(hdr::hlog(&report).contains("Tag=hit"));
                }
                (Err(why), Some(expect)) => assert!(why.contains(expect), "{pointer}: {why}"),
                (found, _) => panic!("{pointer}: {:?}", found.map(drop)),
            }
        };
        check("/seed", 7.into(), None);
        check("/schema_version", 2.into(), Some("schema_version is 2"));
        check("/began_unix_s", UNIX_S_MAX.into(), None);
        check("/began_unix_s", 1e300.into(), Some("began_unix_s is 1000"));
        check("/began_unix_s", (-1.0).into(), Some("began_unix_s is -1"));
        check("/duration_s", 1e300.into(), Some("duration_s"));
        check("/intervals/0/at_s", 1e300.into(), Some("intervals.at_s"));
        check("/intervals/0/length_s", 1e300.into(), Some("length_s"));
        let count = "/classes/hit/count";
        check(
            count,
            u64::MAX.into(),
            Some("it counts 18446744073709551615"),
        );
        check("/planned", u64::MAX.into(), Some("it counts"));
        check("/workers", u64::MAX.into(), Some("it counts"));
        check("/url", 7.into(), Some("no report"));
    }
}
