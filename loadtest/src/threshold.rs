//! What must hold of a run: `p99<20ms`, `errors<0.1%`, `hit_ratio>95%`. Pure.

use std::fmt;
use std::str::FromStr;

use crate::plan::file::duration;
use crate::report::Report;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    of: Figure,
    below: bool,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// Of all answers, from the intended times; in microseconds.
    Latency(f64),
    /// Shares.
    Errors,
    Wrong,
    HitRatio,
    ByteHitRatio,
    /// A second.
    Requests,
}

impl Threshold {
    /// What was found, if it does not hold. A ratio of nothing never holds, nor does the latency of no answer.
    pub fn broken(&self, report: &Report) -> Option<String> {
        // What the server kept from being sent was not answered either.
        let asked = report.requests + report.held_back;
        let share = |part: u64| part as f64 / asked as f64;
        let found = match self.of {
            Figure::Latency(quantile) => latency(report, quantile).unwrap_or(f64::NAN),
            Figure::Errors => share(report.errors + report.held_back),
            Figure::Wrong => share(report.wrong),
            Figure::HitRatio => report.hit_ratio.unwrap_or(f64::NAN),
            Figure::ByteHitRatio => report.byte_hit_ratio.unwrap_or(f64::NAN),
            Figure::Requests => report.requests_per_second,
        };
        let holds = match self.below {
            true => found < self.bound,
            false => found > self.bound,
        };
        let shown = match self.of {
            _ if found.is_nan() => "of nothing".to_owned(),
            Figure::Latency(_) => format!("{:.3} ms", found / 1e3),
            Figure::Requests => format!("{found:.1} per second"),
            _ => format!("{:.3} %", found * 100.0),
        };
        (!holds).then(|| format!("{self}: it is {shown}"))
    }
}

/// None: not one good answer.
fn latency(report: &Report, quantile: f64) -> Option<f64> {
    let all = report.latency();
    (!all.is_empty()).then(|| all.value_at_quantile(quantile) as f64)
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no threshold: p99<20ms, errors<0.1%, wrong<1%, hit_ratio>95%, byte_hit_ratio>90%, rps>1000"
            )
        };
        let below = text.contains('<');
        let (name, bound) = text.split_once(['<', '>']).ok_or_else(wrong)?;
        let (name, bound) = (name.trim(), bound.trim());
        let of = match name {
            "errors" => Figure::Errors,
            "wrong" => Figure::Wrong,
            "hit_ratio" => Figure::HitRatio,
            "byte_hit_ratio" => Figure::ByteHitRatio,
            "rps" => Figure::Requests,
            "max" => Figure::Latency(1.0),
            _ => {
                let percent = name
                    .strip_prefix('p')
                    .and_then(|percent| percent.parse().ok());
                let percent = percent.filter(|percent: &f64| (0.0..=100.0).contains(percent));
                Figure::Latency(percent.ok_or_else(wrong)? / 100.0)
            }
        };
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|bound| *bound >= 0.0)
        };
        let bound = match of {
            Figure::Latency(_) => duration(bound).map(|bound| bound.as_secs_f64() * 1e6),
            Figure::Requests => number(bound),
            _ => match bound.strip_suffix('%') {
                Some(percent) => number(percent).map(|percent| percent / 100.0),
                None => number(bound),
            },
        };
        Ok(Self {
            text: text.to_owned(),
            of,
            below,
            bound: bound.ok_or_else(wrong)?,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;
    use crate::report::tests::{failures, report_of, some_report};

    #[test]
    fn a_threshold_holds_or_says_what_is() {
        // One hit of 200 µs and one error, in two seconds.
        let report = some_report();
        let check = |text: &str, expect: Option<&str>| {
            let found = match text.parse::<Threshold>() {
                Ok(threshold) => threshold.broken(&report),
                Err(wrong) => Some(wrong),
            };
            match (&found, expect) {
                (None, None) => {}
                (Some(found), Some(expect)) => assert!(found.contains(expect), "{text}: {found}"),
                _ => panic!("{text}: {found:?}"),
            }
        };
        check("p99<1ms", None);
        check("p99.9 < 150us", Some("it is 0.200 ms"));
        check("max>100us", None);
        check("errors<60%", None);
        check("errors<0.5", Some("it is 50.000 %"));
        check("wrong<1%", None);
        check("hit_ratio>99%", None);
        check("rps>10", Some("it is 0.5 per second"));
        for wrong in [
            "",
            "p99",
            "p101<1ms",
            "p99<20",
            "speed<1",
            "errors<-1",
            "rps<fast",
        ] {
            check(wrong, Some("is no threshold"));
        }
    }

    #[test]
    fn nothing_holds_of_no_answer() {
        for report in [report_of(&[]), failures(3)] {
            for text in ["p99<20ms", "max>1us", "hit_ratio<50%", "errors<0.1%"] {
                let threshold: Threshold = text.parse().expect(text);
                let broken = threshold.broken(&report);
                assert!(broken.is_some(), "{text}: {report}");
            }
            let threshold: Threshold = "p99<20ms".parse().expect("a threshold");
            let broken = threshold.broken(&report).unwrap_or_default();
            assert!(broken.contains("it is of nothing"), "{broken}");
        }
    }

    #[test]
    fn what_was_held_back_is_an_error() {
        let report = Report {
            held_back: 9,
            ..report_of(&[1])
        };
        let broken = |text: &str| text.parse::<Threshold>().expect(text).broken(&report);
        assert_eq!(broken("errors<91%"), None);
        let nine = broken("errors<10%").unwrap_or_default();
        assert!(nine.contains("it is 90.000 %"), "{nine}");
    }
}
