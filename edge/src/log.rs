//! The access log: one JSON line a request, written by a thread of its own. The request path never waits for
//! it: when the writer is behind, lines are dropped, and counted. And it seldom wakes it: what is told within a few
//! milliseconds is written together.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::metrics::Metrics;

/// Threads that tell of requests at once, before two of them share what they write to.
const SHARDS: usize = 32;
/// Bytes that may wait for the writer, of one shard.
const SHARD_BYTES_MAX: usize = 1024 * 1024;
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
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub at: SystemTime,
    pub site: &'a str,
    pub client: Option<SocketAddr>,
    pub method: &'a str,
    pub scheme: &'static str,
    pub host: &'a str,
    pub target: &'a str,
    pub protocol: &'static str,
    pub status: u16,
    pub bytes: u64,
    pub cache: &'static str,
    /// The member of `Cache-Status`.
    pub cache_status: &'a str,
    pub ttfb: Duration,
    pub total: Duration,
    pub user_agent: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
}

/// One end of the queue; the other is the writer's.
pub struct Log {
    queue: Option<Arc<Queue>>,
    edge: String,
    metrics: Metrics,
}

#[derive(Default)]
struct Queue {
    shards: [Mutex<Shard>; SHARDS],
    /// There are lines in some of them that the writer has not begun to take.
    news: AtomicBool,
    writer: Mutex<Writer>,
    /// There is a first line, or there will be no more; or all are written.
    turn: Condvar,
}

/// Lines that wait, whole.
#[derive(Default)]
struct Shard {
    text: Vec<u8>,
    stamp: Stamp,
}

#[derive(Default)]
struct Writer {
    /// Some are being written.
    busy: bool,
    closed: bool,
}

impl Log {
    /// Opens the log and starts its writer, which ends when the log is dropped.
    pub fn open(to: &AccessLog, edge: &str, metrics: Metrics) -> io::Result<Self> {
        let edge = edge.to_owned();
        let out: Box<dyn Write + Send> = match to {
            AccessLog::Off => {
                return Ok(Self {
                    queue: None,
                    edge,
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
        let written = queue.clone();
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&written, out))?;
        Ok(Self {
            queue: Some(queue),
            edge,
            metrics,
        })
    }

    /// Whether anybody writes it down.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    pub fn write(&self, line: &Line<'_>) {
        let Some(queue) = &self.queue else {
            return;
        };
        if !queue.put(line, &self.edge) {
            self.metrics.log_line_dropped();
        }
    }

    /// Waits until everything is written, but not for long. It blocks.
    pub fn flush(&self) {
        if let Some(queue) = &self.queue {
            let is_behind = |writer: &mut Writer| writer.busy || queue.has_news();
            let writer = lock(&queue.writer);
            let _ = queue.turn.wait_timeout_while(writer, LAST_MAX, is_behind);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            lock(&queue.writer).closed = true;
            queue.turn.notify_all();
        }
    }
}

impl Queue {
    /// False: the line is dropped, for the writer is behind.
    fn put(&self, line: &Line<'_>, edge: &str) -> bool {
        let Some(shard) = self.shards.get(shard_of_this_thread()) else {
            return false;
        };
        let mut shard = lock(shard);
        if shard.text.len() >= SHARD_BYTES_MAX {
            return false;
        }
        let Shard { text, stamp } = &mut *shard;
        let whole = text.len();
        if serde_json::to_writer(&mut *text, &line.written(edge, stamp.at(line.at))).is_err() {
            text.truncate(whole);
            return false;
        }
        text.push(b'\n');
        drop(shard);
        if !self.has_news() && !self.news.swap(true, Ordering::AcqRel) {
            // Held, so that a writer that has just looked waits already.
            let _writer = lock(&self.writer);
            self.turn.notify_all();
        }
        true
    }

    fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// Waits until there is something to write, and a moment longer; false: there will be nothing any more.
    fn await_news(&self) -> bool {
        let mut writer = lock(&self.writer);
        writer.busy = false;
        self.turn.notify_all();
        let is_idle = |writer: &mut Writer| !self.has_news() && !writer.closed;
        let writer = self.turn.wait_while(writer, is_idle);
        let writer = writer.unwrap_or_else(PoisonError::into_inner);
        let gathers = |writer: &mut Writer| !writer.closed;
        let waited = self.turn.wait_timeout_while(writer, GATHER, gathers);
        let (mut writer, _) = waited.unwrap_or_else(PoisonError::into_inner);
        writer.busy = true;
        self.news.swap(false, Ordering::AcqRel) || !writer.closed
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // std Mutex: nothing awaits while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each thread has its own as long as there are enough.
fn shard_of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
    }
    SHARD.get()
}

/// A full disk or a closed pipe costs log lines, never requests.
fn write(queue: &Queue, mut out: impl Write) {
    let mut lines = Vec::new();
    while queue.await_news() {
        for shard in &queue.shards {
            std::mem::swap(&mut lock(shard).text, &mut lines);
            let _ = out.write_all(&lines);
            lines.clear();
        }
        let _ = out.flush();
    }
}

#[derive(Serialize)]
struct Written<'a> {
    ts: &'a str,
    edge: &'a str,
    site: &'a str,
    #[serde(serialize_with = "address")]
    client: Option<SocketAddr>,
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
    #[serde(serialize_with = "text")]
    user_agent: Option<&'a [u8]>,
    #[serde(serialize_with = "text")]
    referer: Option<&'a [u8]>,
}

fn address<S: Serializer>(client: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
    match client {
        Some(client) => to.collect_str(&client.ip().to_canonical()),
        None => to.serialize_none(),
    }
}

fn text<S: Serializer>(bytes: &Option<&[u8]>, to: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => to.serialize_str(&String::from_utf8_lossy(bytes)),
        None => to.serialize_none(),
    }
}

impl<'a> Line<'a> {
    fn written(&self, edge: &'a str, ts: &'a str) -> Written<'a> {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Written {
            ts,
            edge,
            site: self.site,
            client: self.client,
            method: self.method,
            scheme: self.scheme,
            host: self.host,
            target: self.target,
            proto: self.protocol,
            status: self.status,
            bytes: self.bytes,
            cache: self.cache,
            cache_status: self.cache_status,
            ttfb_ms: ms(self.ttfb),
            total_ms: ms(self.total),
            user_agent: self.user_agent,
            referer: self.referer,
        }
    }
}

/// `2026-11-23T05:20:00.123456Z`; what stands before the point is spelt once a second.
#[derive(Default)]
struct Stamp {
    second: Option<u64>,
    text: String,
    /// Where the point stands.
    point: usize,
}

impl Stamp {
    fn at(&mut self, at: SystemTime) -> &str {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            let whole = UNIX_EPOCH + Duration::from_secs(since.as_secs());
            let spelt = OffsetDateTime::from(whole).format(&Rfc3339);
            self.text = spelt.unwrap_or_default().replace('Z', ".");
            (self.second, self.point) = (Some(since.as_secs()), self.text.len());
        }
        self.text.truncate(self.point);
        let _ = std::fmt::Write::write_fmt(
            &mut self.text,
            format_args!("{:06}Z", since.subsec_micros()),
        );
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_spelt_as_rfc_3339_has_it() {
        let mut stamp = Stamp::default();
        let mut check = |us: u64, expect: &str| {
            assert_eq!(stamp.at(UNIX_EPOCH + Duration::from_micros(us)), expect);
        };
        check(1_795_411_200_000_123, "2026-11-23T05:20:00.000123Z");
        check(1_795_411_200_999_999, "2026-11-23T05:20:00.999999Z");
        check(1_795_411_201_000_000, "2026-11-23T05:20:01.000000Z");
        check(0, "1970-01-01T00:00:00.000000Z");
    }
}
