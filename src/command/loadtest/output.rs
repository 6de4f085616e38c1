//! Where a report goes: the terminal, JSON, HdrHistogram's files, a page.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_loadtest::report::{hdr, html};
use seawall_loadtest::{Report, Threshold};

use crate::exit::{Exit, Failure};
use crate::print;

/// Of a report that is read.
const REPORT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What every kind of report can be written as.
#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// Write the report as JSON to a file, or to stdout with -
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Write one page of HTML that needs nothing else, and prints
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    #[command(flatten)]
    pages: PageArgs,
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

impl PageArgs {
    /// Before a run that may be long: what cannot be written is told now.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let json = self.json.iter().filter(|file| !is_stdout(file));
        json.chain(&self.html).try_for_each(|file| can_write(file))
    }

    /// In words to stdout, unless JSON goes there; and to files.
    pub(super) fn write<R>(&self, report: &R, page: fn(&R) -> String) -> Result<(), Failure>
    where
        R: serde::Serialize + std::fmt::Display,
    {
        let text = || {
            let text = serde_json::to_string_pretty(report);
            text.map_err(|error| Exit::Failed.because(error))
        };
        match &self.json {
            Some(file) if is_stdout(file) => print::result(text()?),
            Some(file) => {
                print::result(report);
                write(file, text()? + "\n")?;
            }
            None => print::result(report),
        }
        match &self.html {
            Some(file) => write(file, page(report)),
            None => Ok(()),
        }
    }
}

impl OutputArgs {
    /// Before a run that may be long: what cannot be written is told now.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.pages.check()?;
        let logs = self.hlog.iter().chain(&self.hgrm);
        logs.into_iter().try_for_each(|file| can_write(file))
    }

    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        self.pages.write(report, html::page)?;
        if let Some(file) = &self.hlog {
            write(file, hdr::hlog(report))?;
        }
        if let Some(file) = &self.hgrm {
            write(file, hdr::hgrm(report))?;
        }
        Ok(())
    }
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// What is there already stays until there is something to put in its place.
fn can_write(file: &Path) -> Result<(), Failure> {
    let opened = File::options().append(true).create(true).open(file);
    opened
        .map(drop)
        .map_err(|error| Exit::Usage.because(format_args!("{}: {error}", file.display())))
}

fn write(file: &Path, text: String) -> Result<(), Failure> {
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
    Report::parse(&text).map_err(wrong)
}
