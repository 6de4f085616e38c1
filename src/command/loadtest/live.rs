//! What is seen while a run goes on: a picture that is drawn anew each second on a terminal, now and then a line elsewhere.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use seawall_loadtest::Class;
use seawall_loadtest::report::{Bytes, ClassReport, Count, Interval, Micros};
use seawall_loadtest::run::Progress;

use crate::print;

/// Elsewhere than on a terminal, one of so many seconds is told.
const SECONDS_TOLD: u32 = 10;
/// Cells of the progress bar.
const BAR_CELLS: usize = 40;
/// Seconds that a trace shows.
const TRACE_SECONDS: usize = 56;
/// Eighths of a cell.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const BOLD: &str = "\x1b[1m";
const SOFT: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

pub(super) struct Live {
    quiet: bool,
    terminal: bool,
    shown: u32,
    /// Lines on the terminal that the next picture goes over.
    lines: usize,
    trace: Trace,
}

impl Live {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            shown: 0,
            lines: 0,
            trace: Trace::default(),
        }
    }

    /// `what` is under way.
    pub(super) fn show(&mut self, what: &str, progress: &Progress<'_>) {
        self.shown += 1;
        if self.quiet {
            return;
        }
        self.trace.add(progress.interval);
        if self.terminal {
            let picture = picture(what, progress, &self.trace);
            self.draw(&picture);
        } else if self.shown.is_multiple_of(SECONDS_TOLD) {
            print::note(line(progress));
        }
    }

    /// Leaves the place on a terminal empty, and begins anew.
    pub(super) fn end(&mut self) {
        self.draw("");
        self.trace = Trace::default();
    }

    fn draw(&mut self, picture: &str) {
        let mut text = String::new();
        if self.lines > 0 {
            // Up to the first line, and everything below away.
            let _ = write!(text, "\x1b[{}F\x1b[0J", self.lines);
        }
        // A line that is too long is cut, not folded: it would be one more line than is counted.
        let _ = write!(text, "\x1b[?7l{picture}\x1b[?7h");
        let is_new = self.lines > 0 || !picture.is_empty();
        self.lines = picture.matches('\n').count();
        if self.terminal && !self.quiet && is_new {
            let mut terminal = std::io::stderr().lock();
            let _ = terminal.write_all(text.as_bytes());
            let _ = terminal.flush();
        }
    }
}

/// What the last seconds were like, the newest last.
#[derive(Default)]
struct Trace {
    rates: Vec<f64>,
    hit_ratios: Vec<f64>,
    p99s_us: Vec<f64>,
}

impl Trace {
    fn add(&mut self, second: &Interval) {
        let good = || {
            let classes = second.classes.iter();
            classes.filter(|(class, _)| **class != Class::Error)
        };
        // Of each class alone: a picture of all together needs no more than the slowest.
        let p99 = good().map(|(_, report)| report.from_intended.p99_us).max();
        let new = [
            (&mut self.rates, requests(second) as f64 / length(second)),
            (&mut self.hit_ratios, hit_ratio(second).unwrap_or(0.0)),
            (&mut self.p99s_us, p99.unwrap_or(0) as f64),
        ];
        for (trace, value) in new {
            trace.push(value);
            if trace.len() > TRACE_SECONDS {
                trace.remove(0);
            }
        }
    }
}

fn picture(what: &str, progress: &Progress<'_>, trace: &Trace) -> String {
    let second = progress.interval;
    let share = progress.elapsed.as_secs_f64() / progress.duration.as_secs_f64();
    let cells = (share.clamp(0.0, 1.0) * BAR_CELLS as f64) as usize;
    let bar = "█".repeat(cells) + &"░".repeat(BAR_CELLS - cells);
    let mut text = format!("{BOLD}{what}{PLAIN}\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{bar}  {:.0} s of {:.0} s  {} requests  Ctrl-C ends it\n",
        progress.elapsed.as_secs_f64(),
        progress.duration.as_secs_f64(),
        Count(progress.requests),
    );
    let _ = writeln!(
        text,
        "{SOFT}{:<12}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{PLAIN}",
        "last second", "a second", "p50", "p90", "p99", "p99.9", "most"
    );
    for (class, report) in &second.classes {
        let latency = &report.from_intended;
        let rate = Count((report.count as f64 / length(second)).round() as u64);
        let colour = if *class == Class::Error { RED } else { "" };
        let _ = write!(text, "{colour}{:<12}{rate:>11}", class.name());
        for micros in [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ] {
            let _ = write!(text, "{:>11}", Micros(micros).to_string());
        }
        let _ = writeln!(text, "{PLAIN}");
    }
    let most = |trace: &[f64]| trace.iter().copied().fold(0.0, f64::max);
    let rows = [
        (
            "requests",
            blocks(&trace.rates, most(&trace.rates)),
            format!("{} a second at most", Count(most(&trace.rates) as u64)),
        ),
        (
            "p99",
            blocks(&trace.p99s_us, most(&trace.p99s_us)),
            format!("{} at most", Micros(most(&trace.p99s_us) as u64)),
        ),
        (
            "hit ratio",
            blocks(&trace.hit_ratios, 1.0),
            match hit_ratio(second) {
                Some(ratio) => format!("{:.1} % now", 100.0 * ratio),
                None => "none now".to_owned(),
            },
        ),
    ];
    text.push('\n');
    for (name, blocks, says) in rows {
        let _ = writeln!(text, "{SOFT}{name:<12}{PLAIN}{blocks}  {says}");
    }
    text
}

/// A column for each value, a full one for `most`.
fn blocks(trace: &[f64], most: f64) -> String {
    let top = BLOCKS.len() - 1;
    let block = |value: &f64| {
        let height = (value / most.max(f64::MIN_POSITIVE) * top as f64).round() as usize;
        BLOCKS.get(height.min(top)).copied().unwrap_or(' ')
    };
    trace.iter().map(block).collect()
}

/// `12 s of 30 s  1,003 a second  1.2 MB/s  hit 97.1 %  hit 180 µs / 2.1 ms  miss 31 ms / 40 ms`
fn line(progress: &Progress<'_>) -> String {
    let second = progress.interval;
    let bytes = second.classes.values().map(|class| class.bytes).sum();
    let mut line = format!(
        "{:.0} s of {:.0} s  {:.0} req/s  {}/s  hit {:.1} %",
        progress.elapsed.as_secs_f64(),
        progress.duration.as_secs_f64(),
        requests(second) as f64 / length(second),
        Bytes(bytes),
        100.0 * hit_ratio(second).unwrap_or(0.0)
    );
    for (class, report) in &second.classes {
        let latency = &report.from_intended;
        let (p50, p99) = (Micros(latency.p50_us), Micros(latency.p99_us));
        let _ = write!(line, "  {} {p50} / {p99}", class.name());
    }
    line
}

fn requests(second: &Interval) -> u64 {
    second.classes.values().map(|class| class.count).sum()
}

fn length(second: &Interval) -> f64 {
    second.length_s.max(1e-3)
}

/// None: nothing was answered.
fn hit_ratio(second: &Interval) -> Option<f64> {
    let count = |class: Class| {
        let report: Option<&ClassReport> = second.classes.get(&class);
        report.map_or(0, |report| report.count)
    };
    let good = requests(second) - count(Class::Error);
    let hits = count(Class::Hit) + count(Class::Stale);
    (good > 0).then(|| hits as f64 / good as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_as_high_as_its_values() {
        let check = |trace: &[f64], most: f64, expect: &str| {
            assert_eq!(blocks(trace, most), expect);
        };
        check(&[0.0, 0.5, 1.0], 1.0, "▁▅█");
        check(&[0.0, 0.0], 0.0, "▁▁");
        check(&[7.0, 1.0], 7.0, "█▂");
        check(&[], 1.0, "");
    }
}
