//! Where a report goes: the terminal while it runs and after, JSON, HdrHistogram's files, a page.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_loadtest::report::{Bytes, Micros, hdr, html};
use seawall_loadtest::run::Progress;
use seawall_loadtest::{Class, Report, Threshold};

use crate::exit::{Exit, Failure};
use crate::print;

/// Of a report that is read.
const REPORT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Cells of the progress bar.
const BAR_CELLS: usize = 24;

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write the report as JSON to a file, or to stdout with -
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Write one page of HTML that needs nothing else: percentiles, latency over time, hit ratio
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write HdrHistogram's interval log: latencies second by second, class by class
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Write HdrHistogram's percentiles as text
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Exit with 1 unless this holds: 'p99<20ms', 'errors<0.1%', 'hit_ratio>95%', 'rps>1000'. May be said again
    #[arg(long, value_name = "THRESHOLD")]
    pub(super) fail_unless: Vec<Threshold>,
    /// Show no progress
    #[arg(long)]
    pub(super) quiet: bool,
}

impl OutputArgs {
    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        json_or_words(report, self.json.as_deref())?;
        if let Some(file) = &self.hlog {
            write(file, hdr::hlog(report))?;
        }
        if let Some(file) = &self.hgrm {
            write(file, hdr::hgrm(report))?;
        }
        if let Some(file) = &self.html {
            write(file, html::page(report))?;
        }
        Ok(())
    }
}

/// JSON to a file, or to stdout in place of the words for people.
pub(super) fn json_or_words<R>(report: &R, json: Option<&Path>) -> Result<(), Failure>
where
    R: serde::Serialize + std::fmt::Display,
{
    let text = serde_json::to_string_pretty(report).map_err(|error| Exit::Failed.because(error))?;
    match json {
        Some(file) if file == Path::new("-") => print::result(text),
        Some(file) => {
            print::result(report);
            write(file, text + "\n")?;
        }
        None => print::result(report),
    }
    Ok(())
}

pub(super) fn write(file: &Path, text: String) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Exit::Failed.because(format_args!("{}: {error}", file.display())))
}

/// A report that was written as JSON.
pub(super) fn read(file: &Path) -> Result<Report, Failure> {
    let wrong = |why: String| Exit::Usage.because(format_args!("{}: {why}", file.display()));
    let mut text = String::new();
    let opened = File::open(file).map(|file| file.take(REPORT_BYTES_MAX));
    opened
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(format!("no report: {error}")))
}

/// What is seen while a run goes on: a line that is written over on a terminal, now and then one elsewhere.
pub(super) struct Live {
    quiet: bool,
    terminal: bool,
    shown: u32,
}

impl Live {
    /// Elsewhere than on a terminal, one of so many seconds is told.
    const SECONDS_TOLD: u32 = 10;

    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            shown: 0,
        }
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        self.shown += 1;
        let line = line(progress);
        if self.quiet {
        } else if self.terminal {
            let mut terminal = std::io::stderr().lock();
            let _ = write!(terminal, "\r\x1b[2K{line}");
            let _ = terminal.flush();
        } else if self.shown.is_multiple_of(Self::SECONDS_TOLD) {
            print::note(line);
        }
    }

    /// Leaves the line of a terminal empty.
    pub(super) fn end(&self) {
        if self.terminal && !self.quiet && self.shown > 0 {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

/// Of the last second: `[####----]  12 s of 30 s   1,003 req/s   p50 … p99 …   hit 97.1 %   3 errors   1.2 MB/s`
fn line(progress: &Progress<'_>) -> String {
    let share = progress.elapsed.as_secs_f64() / progress.duration.as_secs_f64();
    let cells = (share.clamp(0.0, 1.0) * BAR_CELLS as f64) as usize;
    let bar = "█".repeat(cells) + &"░".repeat(BAR_CELLS - cells);
    let second = progress.interval;
    let sum = |of: fn(&seawall_loadtest::report::ClassReport) -> u64| -> u64 {
        second.classes.values().map(of).sum()
    };
    let count = |class: Class| second.classes.get(&class).map_or(0, |class| class.count);
    let (requests, errors) = (sum(|class| class.count), count(Class::Error));
    let hits = 100.0 * (count(Class::Hit) + count(Class::Stale)) as f64
        / (requests - errors).max(1) as f64;
    let mut line = format!(
        "{bar} {:.0} s of {:.0} s  {:.0} req/s  {}/s  hit {hits:.1} %",
        progress.elapsed.as_secs_f64(),
        progress.duration.as_secs_f64(),
        requests as f64 / second.length_s.max(1e-3),
        Bytes(sum(|class| class.bytes)),
    );
    for (class, report) in &second.classes {
        let latency = &report.from_intended;
        let (p50, p99) = (Micros(latency.p50_us), Micros(latency.p99_us));
        line.push_str(&format!("  {} {p50} / {p99}", class.name()));
    }
    line
}
