//! The access log: one JSON line a request, written by a thread of its own. The request path never waits for
//! it: when the writer is behind, lines are dropped, and counted.

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::metrics::Metrics;

/// Lines that may wait for the writer.
const QUEUE_LINES_MAX: usize = 8 * 1024;

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    #[default]
    Off,
    Stdout,
    /// Appended to.
    File(PathBuf),
}

/// What is known of one request when it is over.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: SystemTime,
    pub site: String,
    pub client: Option<SocketAddr>,
    pub method: String,
    pub scheme: &'static str,
    pub host: String,
    pub target: String,
    pub protocol: &'static str,
    pub status: u16,
    pub bytes: u64,
    pub cache: &'static str,
    /// The member of `Cache-Status`, without the edge's name.
    pub cache_status: String,
    pub ttfb: Duration,
    pub total: Duration,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
}

/// One end of the queue; the other is the writer's.
pub struct Log {
    lines: Option<SyncSender<Line>>,
    metrics: Metrics,
}

impl Log {
    /// Opens the log and starts its writer, which ends when the log is dropped.
    pub fn open(to: &AccessLog, edge: &str, metrics: Metrics) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match to {
            AccessLog::Off => {
                return Ok(Self {
                    lines: None,
                    metrics,
                });
            }
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::File(path) => Box::new(
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)?,
            ),
        };
        let (lines, queue) = sync_channel(QUEUE_LINES_MAX);
        let edge = edge.to_owned();
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&queue, &edge, BufWriter::new(out)))?;
        Ok(Self {
            lines: Some(lines),
            metrics,
        })
    }

    pub fn write(&self, line: impl FnOnce() -> Line) {
        if let Some(lines) = &self.lines
            && lines.try_send(line()).is_err()
        {
            self.metrics.log_line_dropped();
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    ts: String,
    edge: &'a str,
    site: &'a str,
    client: Option<String>,
    method: &'a str,
    scheme: &'a str,
    host: &'a str,
    target: &'a str,
    proto: &'a str,
    status: u16,
    bytes: u64,
    cache: &'a str,
    cache_status: &'a str,
    ttfb_ms: f64,
    total_ms: f64,
    user_agent: Option<&'a str>,
    referer: Option<&'a str>,
}

fn write(queue: &Receiver<Line>, edge: &str, mut out: impl Write) {
    while let Ok(first) = queue.recv() {
        // Everything that waits is written before anything is flushed.
        for line in std::iter::once(first).chain(std::iter::from_fn(|| queue.try_recv().ok())) {
            // A full disk or a closed pipe costs log lines, never requests.
            if serde_json::to_writer(&mut out, &line.written(edge)).is_ok() {
                let _ = out.write_all(b"\n");
            }
        }
        let _ = out.flush();
    }
}

impl Line {
    fn written<'a>(&'a self, edge: &'a str) -> Written<'a> {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Written {
            ts: rfc3339(self.at),
            edge,
            site: &self.site,
            client: self
                .client
                .map(|client| client.ip().to_canonical().to_string()),
            method: &self.method,
            scheme: self.scheme,
            host: &self.host,
            target: &self.target,
            proto: self.protocol,
            status: self.status,
            bytes: self.bytes,
            cache: self.cache,
            cache_status: &self.cache_status,
            ttfb_ms: ms(self.ttfb),
            total_ms: ms(self.total),
            user_agent: self.user_agent.as_deref(),
            referer: self.referer.as_deref(),
        }
    }
}

/// `2026-11-23T05:20:00.123Z`.
fn rfc3339(at: SystemTime) -> String {
    OffsetDateTime::from(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}
