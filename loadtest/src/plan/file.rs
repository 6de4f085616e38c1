//! A plan in a TOML file: words to a [`Plan`], all problems with the word they are about.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::{Error, How, Mode, Plan};
use crate::schedule::{Arrivals, Segment};
use crate::threshold::Threshold;
use crate::workload::Workload;

mod asked;

use asked::WorkloadFile;

/// A plan, a list, a log.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A plan as it stands in its file, before it is judged.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    pub url: Option<String>,
    pub duration: Option<String>,
    cold: Option<String>,
    seed: Option<u64>,
    connections: Option<usize>,
    rate: Option<f64>,
    #[serde(default)]
    poisson: bool,
    ramp: Option<Ramp>,
    steps: Option<Vec<f64>>,
    herd: Option<Herd>,
    workers: Option<usize>,
    #[serde(default)]
    http2: bool,
    streams: Option<usize>,
    requests_per_connection: Option<u64>,
    resume: Option<f64>,
    slow: Option<Slow>,
    #[serde(default)]
    check_bodies: bool,
    /// `p99<20ms`, and the like: what makes the run a failure when it does not hold.
    #[serde(default)]
    thresholds: Vec<String>,
    #[serde(default)]
    workload: WorkloadFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ramp {
    from: f64,
    to: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Herd {
    clients: u64,
    every: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slow {
    share: f64,
    bytes_per_second: u64,
}

impl PlanFile {
    pub fn read(file: &Path) -> Result<Self, Error> {
        toml::from_str(&text(file)?).map_err(|error| problem(file, &error))
    }

    /// As long as `time`, after its cold phase. A cold phase that is no time is told by [`Self::plan`].
    pub fn last(&mut self, time: Duration) {
        let cold = self.cold.as_deref().and_then(duration);
        let whole = time.saturating_add(cold.unwrap_or_default());
        self.duration = Some(format!("{}us", whole.as_micros()));
    }

    /// The plan and its thresholds. Files it names lie beside it.
    pub fn plan(mut self, file: &Path) -> Result<(Plan, Vec<Threshold>), Error> {
        let wrong = |why: String| problem(file, &why);
        let time = |word: &str, text: &str| {
            duration(text)
                .ok_or_else(|| wrong(format!("{word} = {text:?} is no time: 500ms, 30s, 5m")))
        };
        let url = self
            .url
            .clone()
            .ok_or_else(|| wrong("url is missing: here, or on the command line".to_owned()))?;
        let seed = self.seed.unwrap_or(1);
        let length = time("duration", self.duration.as_deref().unwrap_or("10s"))?;
        let cold = time("cold", self.cold.as_deref().unwrap_or("0s"))?;
        let path = crate::address::Address::parse(&url)?.path_and_query;
        let (workload, recorded) = std::mem::take(&mut self.workload).judge(file, path)?;
        let herd = match &self.herd {
            Some(herd) => Some((herd.clients, time("herd.every", &herd.every)?)),
            None => None,
        };
        let mode = mode(&self, herd, recorded, length).map_err(&wrong)?;
        let length = match &mode {
            // A log is as long as it is.
            Mode::Recorded(times) => {
                let last = times.last().copied().unwrap_or_default();
                // What is too long is refused below, with all other limits.
                last.saturating_add(Duration::from_millis(1))
            }
            _ => length,
        };
        let thresholds = self.thresholds.iter().map(|text| text.parse());
        let thresholds = thresholds.collect::<Result<_, _>>().map_err(&wrong)?;
        let plan = Plan {
            cold,
            workload: Some(Arc::new(Workload {
                herd: herd.map(|(clients, _)| clients),
                ..workload
            })),
            seed,
            how: self.how(&wrong)?,
            ..Plan::new(url, mode, length)
        };
        plan.check()?;
        Ok((plan, thresholds))
    }

    fn how(&self, wrong: &impl Fn(String) -> Error) -> Result<How, Error> {
        let resume = share("resume", self.resume.unwrap_or(1.0)).map_err(wrong)?;
        let slow = self
            .slow
            .as_ref()
            .map(|slow| (slow.share, slow.bytes_per_second));
        if let Some((of, _)) = slow {
            share("slow.share", of).map_err(wrong)?;
        }
        Ok(How {
            workers: self.workers,
            http2: self.http2,
            streams: self.streams.unwrap_or(1),
            requests_per_connection: self.requests_per_connection,
            resume,
            slow,
            check_bodies: self.check_bodies,
        })
    }
}

/// One of the ways to send, and only one.
fn mode(
    file: &PlanFile,
    herd: Option<(u64, Duration)>,
    recorded: Option<Vec<Duration>>,
    length: Duration,
) -> Result<Mode, String> {
    let arrivals = match file.poisson {
        true => Arrivals::Poisson,
        false => Arrivals::Even,
    };
    let segment = |from, to, duration| Segment { from, to, duration };
    let mut modes = Vec::new();
    modes.extend(
        file.connections
            .map(|connections| Mode::Closed { connections }),
    );
    modes.extend(file.rate.map(|rate| Mode::Segments {
        segments: vec![segment(rate, rate, length)],
        arrivals,
    }));
    modes.extend(file.ramp.as_ref().map(|ramp| Mode::Segments {
        segments: vec![segment(ramp.from, ramp.to, length)],
        arrivals,
    }));
    modes.extend(
        file.steps
            .as_ref()
            .filter(|steps| !steps.is_empty())
            .map(|steps| {
                let each = length / u32::try_from(steps.len()).unwrap_or(u32::MAX);
                let segments = steps.iter().map(|rate| segment(*rate, *rate, each));
                Mode::Segments {
                    segments: segments.collect(),
                    arrivals,
                }
            }),
    );
    modes.extend(herd.map(|(clients, every)| Mode::Herd { clients, every }));
    modes.extend(recorded.map(Mode::Recorded));
    match (modes.pop(), modes.is_empty()) {
        (Some(mode), true) => Ok(mode),
        _ => Err("say one of connections, rate, ramp, steps, herd, workload.replay".to_owned()),
    }
}

/// A share is a number from 0 to 1.
fn share(word: &str, share: f64) -> Result<f64, String> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(format!("{word} = {share} is no share: 0 to 1")),
    }
}

fn problem(file: &Path, why: &impl ToString) -> Error {
    Error::File {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

/// All of a file.
pub(crate) fn text(file: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let opened = File::open(file).map(|file| file.take(FILE_BYTES_MAX));
    opened
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(|error| problem(file, &error))?;
    Ok(text)
}

/// A number and its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ')?;
    let (number, unit) = text.split_at_checked(unit)?;
    let seconds = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_plan_is_read_or_says_what_is_wrong() {
        let check = |text: &str, expect: &str| {
            let file = Path::new("plan.toml");
            let read = toml::from_str::<PlanFile>(&format!("url = \"http://localhost/\"\n{text}"));
            let found = match read
                .map_err(|error| problem(file, &error))
                .and_then(|read| read.plan(file))
            {
                Ok((plan, thresholds)) => format!("{plan:?} {thresholds:?}"),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expect), "{text}: {found}");
        };
        check("connections = 3", "Closed { connections: 3 }");
        check("rate = 5.0\npoisson = true", "arrivals: Poisson");
        check(
            "steps = [1.0, 2.0]\nduration = \"4s\"",
            "from: 2.0, to: 2.0, duration: 2s",
        );
        check(
            "ramp = { from = 0.0, to = 9.0 }",
            "from: 0.0, to: 9.0, duration: 10s",
        );
        check("herd = { clients = 9, every = \"1s\" }", "herd: Some(9)");
        check("rate = 5.0\nthresholds = [\"p99<20ms\"]", "Threshold");
        check("rate = 5.0\nthresholds = [\"p99\"]", "p99");
        check("", "say one of connections, rate");
        check("rate = 1.0\nconnections = 1", "say one of");
        check("rat = 1.0", "unknown field `rat`");
        check("rate = 1.0\nduration = \"soon\"", "\"soon\" is no time");
        check("rate = 1.0\nresume = 2.0", "resume = 2 is no share");
        check("rate = 1.0\nworkload.list = \"missing.txt\"", "missing.txt");
        check("rate = 1.0\nworkload.paths = []", "list of paths is empty");
        check(
            "rate = 1.0\nworkload.paths = [\"/a\", \"b\"]",
            "\"b\" is no path",
        );
        let vary = |words: &str| format!("rate = 1.0\nworkload.vary = {{ {words} }}");
        check(
            &vary("field = \"a b\", values = [\"x\"]"),
            "is no field name",
        );
        check(&vary("field = \"a\", values = []"), "values is empty");
        check(
            &vary("field = \"a\", values = [\"x\\ny\"]"),
            "is no field value",
        );
        let ranges = "workload.ranges = { share = 0.5, bytes = 9, within = 5 }";
        check(&format!("rate = 1.0\n{ranges}"), "bytes is 1 to within");
        let sizes = "workload.catalogue = { objects = 1, alpha = 1.0, path = \"/\", sizes = [{ bytes = 1, share = -1.0 }] }";
        check(&format!("rate = 1.0\n{sizes}"), "is no share");
    }

    #[test]
    fn a_block_lasts_its_time_after_the_cold_phase() {
        let text = "url = \"http://localhost/\"\nrate = 1.0\nduration = \"10s\"\ncold = \"1s\"";
        let mut file = toml::from_str::<PlanFile>(text).unwrap();
        file.last(Duration::from_secs(1));
        let (plan, _) = file.plan(Path::new("plan.toml")).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!((plan.cold, plan.duration), (second, 2 * second));
    }

    #[test]
    fn a_log_without_end_is_refused() {
        let folder = std::env::temp_dir().join(format!("lt-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("plan.toml");
        let check = |log: &str, speed: &str| {
            std::fs::write(folder.join("a.log"), log).unwrap();
            let replay = format!("workload.replay = {{ file = \"a.log\", speed = {speed} }}");
            let text = format!("url = \"http://localhost/\"\n{replay}");
            let read = toml::from_str::<PlanFile>(&text).unwrap();
            let refused = read.plan(&file).unwrap_err().to_string();
            assert!(refused.contains("the length of the log is"), "{refused}");
        };
        let line = |time: &str| format!("{{\"time\":{time},\"url\":\"/\"}}\n");
        check(&(line("1") + &line("2")), "1e-20");
        check(&(line("1") + &line("1e300")), "1.0");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(duration("250us"), Some(Duration::from_micros(250)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "-1s", "1d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
