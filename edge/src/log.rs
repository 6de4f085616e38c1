//! The access log: one JSON line a request, written by a thread of its own. The request path never waits for
//! it: when the writer is behind, lines are dropped, and counted. And it seldom wakes it: what is told within a few
//! milliseconds is written together.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::metrics::Metrics;
use crate::threads;

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
        let Some(shard) = self.shards.get(threads::number() % SHARDS) else {
            return false;
        };
        let mut shard = lock(shard);
        if shard.text.len() >= SHARD_BYTES_MAX {
            return false;
        }
        let Shard { text, stamp } = &mut *shard;
        let whole = text.len();
        if line.write(edge, stamp.at(line.at), text).is_err() {
            text.truncate(whole);
            return false;
        }
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

impl Line<'_> {
    /// One object in one line. What is plain is copied as it is: that is almost everything.
    fn write(&self, edge: &str, ts: &str, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let client = self.client.map(|client| client.ip().to_canonical());
        let user_agent = self.user_agent.map(String::from_utf8_lossy);
        let referer = self.referer.map(String::from_utf8_lossy);
        string(text, "{\"ts\":", ts)?;
        string(text, ",\"edge\":", edge)?;
        string(text, ",\"site\":", self.site)?;
        other(text, ",\"client\":", &client)?;
        string(text, ",\"method\":", self.method)?;
        string(text, ",\"scheme\":", self.scheme)?;
        string(text, ",\"host\":", self.host)?;
        string(text, ",\"target\":", self.target)?;
        string(text, ",\"proto\":", self.protocol)?;
        other(text, ",\"status\":", &self.status)?;
        other(text, ",\"bytes\":", &self.bytes)?;
        string(text, ",\"cache\":", self.cache)?;
        string(text, ",\"cache_status\":", self.cache_status)?;
        millis(text, ",\"ttfb_ms\":", self.ttfb);
        millis(text, ",\"total_ms\":", self.total);
        other(text, ",\"user_agent\":", &user_agent)?;
        other(text, ",\"referer\":", &referer)?;
        text.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn string(text: &mut Vec<u8>, name: &str, value: &str) -> serde_json::Result<()> {
    let is_plain = |byte: &u8| !matches!(byte, ..0x20 | b'"' | b'\\' | 0x7f);
    if !value.as_bytes().iter().all(is_plain) {
        return other(text, name, &value);
    }
    text.extend_from_slice(name.as_bytes());
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
    Ok(())
}

/// With microseconds behind the point.
fn millis(text: &mut Vec<u8>, name: &str, time: Duration) {
    let micros = time.as_micros();
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(itoa::Buffer::new().format(micros / 1_000).as_bytes());
    let [tenths, hundredths, thousandths] =
        [100, 10, 1].map(|unit| b'0' + (micros / unit % 10) as u8);
    text.extend_from_slice(&[b'.', tenths, hundredths, thousandths]);
}

fn other(text: &mut Vec<u8>, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
    text.extend_from_slice(name.as_bytes());
    serde_json::to_writer(text, value)
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
#[allow(clippy::unwrap_used)]
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

    #[test]
    fn a_line_is_json_whatever_a_stranger_says() {
        let line = Line {
            at: UNIX_EPOCH,
            site: "a",
            client: Some(([127, 0, 0, 1], 9).into()),
            method: "GET",
            scheme: "http",
            host: "a\"\\\n.test",
            target: "/é\u{7f}",
            protocol: "HTTP/1",
            status: 200,
            bytes: 7,
            cache: "HIT",
            cache_status: "edge-1; hit; detail=\"x\"",
            ttfb: Duration::from_micros(1_500),
            total: Duration::from_millis(2),
            user_agent: Some(b"curl\xff\"\r\n"),
            referer: None,
        };
        let mut text = Vec::new();
        line.write("edge-1", "now", &mut text).unwrap();
        let (end, object) = text.split_last().unwrap();
        let read: serde_json::Value = serde_json::from_slice(object).unwrap();
        let expect = serde_json::json!({
            "ts": "now", "edge": "edge-1", "site": "a", "client": "127.0.0.1", "method": "GET", "scheme": "http",
            "host": "a\"\\\n.test", "target": "/é\u{7f}", "proto": "HTTP/1", "status": 200, "bytes": 7, "cache": "HIT",
            "cache_status": "edge-1; hit; detail=\"x\"", "ttfb_ms": 1.5, "total_ms": 2.0,
            "user_agent": "curl\u{fffd}\"\r\n", "referer": null,
        });
        assert_eq!((*end, read), (b'\n', expect));
        assert!(!object.contains(&b'\n'));
    }
}
