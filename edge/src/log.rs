//! The access log: one JSON line a request, written by a thread of its own. The request path never waits for
//! it: when the writer is behind, lines are dropped, and counted. And it seldom wakes it: what is told within a few
//! milliseconds is written together.

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::metrics::Metrics;

/// Lines that may wait for the writer.
const QUEUE_LINES_MAX: usize = 16 * 1024;
/// How long the first of some lines waits for the others.
const GATHER: Duration = Duration::from_millis(10);
/// At the end, how long the last lines may take.
const LAST_MAX: Duration = Duration::from_secs(1);

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
    queue: Option<Arc<Queue>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There is a first line, or there will be no more; or all are written.
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    /// Some are being written.
    busy: bool,
    closed: bool,
}

impl Log {
    /// Opens the log and starts its writer, which ends when the log is dropped.
    pub fn open(to: &AccessLog, edge: &str, metrics: Metrics) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match to {
            AccessLog::Off => {
                return Ok(Self {
                    queue: None,
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
        let queue = Arc::new(Queue::default());
        let (written, edge) = (queue.clone(), edge.to_owned());
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&written, &edge, BufWriter::new(out)))?;
        Ok(Self {
            queue: Some(queue),
            metrics,
        })
    }

    pub fn write(&self, line: impl FnOnce() -> Line) {
        let Some(queue) = &self.queue else {
            return;
        };
        let line = line();
        let mut waiting = queue.lock();
        if waiting.lines.len() >= QUEUE_LINES_MAX {
            drop(waiting);
            return self.metrics.log_line_dropped();
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.push(line);
        drop(waiting);
        if is_first {
            queue.news.notify_all();
        }
    }

    /// Waits until everything is written, but not for long. It blocks.
    pub fn flush(&self) {
        if let Some(queue) = &self.queue {
            let is_behind = |waiting: &mut Waiting| waiting.busy || !waiting.lines.is_empty();
            let waiting = queue.lock();
            let _ = queue.news.wait_timeout_while(waiting, LAST_MAX, is_behind);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.lock().closed = true;
            queue.news.notify_all();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, once something has for a moment; None: nothing will any more.
    fn take(&self) -> Option<Vec<Line>> {
        let mut waiting = self.lock();
        waiting.busy = false;
        self.news.notify_all();
        let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
        let waiting = self.news.wait_while(waiting, is_idle);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let (waiting, _) = self
            .news
            .wait_timeout_while(waiting, GATHER, |waiting| !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut waiting = waiting;
        waiting.busy = true;
        let lines = std::mem::take(&mut waiting.lines);
        (!lines.is_empty()).then_some(lines)
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

fn write(queue: &Queue, edge: &str, mut out: impl Write) {
    while let Some(lines) = queue.take() {
        // Everything that waits is written before anything is flushed.
        for line in lines {
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
