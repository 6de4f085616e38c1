//! Talking to control planes: the shell around the [`Follower`].
//!
//! One task that survives everything. It asks the follower what to ask for, reads lines, hands each revision
//! to the [`State`], keeps the last-known-good snapshot on disk, and starts over with the next control plane
//! when one falls silent.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use seawall_config::feed::{Applied, FRAME_BYTES_MAX, Frame, SNAPSHOT_BYTES_MAX, Snapshot};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Ask, Disbelief, Follower, Heard, Lost};
use crate::clock;
use crate::edge::EdgeOptions;
use crate::heartbeat::sender::{self, Sender};
use crate::snapshot::disk;
use crate::state::State;

/// Until a control plane has accepted a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Until it has answered a question; a snapshot of ten thousand sites takes a moment.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Beacons come each second: three missed are a dead link, whatever TCP thinks.
const SILENCE: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// The wait before the next try is drawn from zero to a bound that doubles between these.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Changes are on disk at most this much later.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// How often the position is saved when nothing changes.
const SAVE_POSITION_EVERY: Duration = Duration::from_secs(30);
/// Bytes of an error answer worth reading.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

pub type Http = Client<HttpConnector, Full<Bytes>>;

/// Whom to follow, and where to remember.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    pub id: String,
    pub place: String,
    pub control_planes: Vec<String>,
    pub folder: PathBuf,
}

/// What the heartbeat tells of the feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    pub applied: Option<Applied>,
    /// A control plane has answered since this edge started.
    pub followed: bool,
    pub lag_ms: Option<u64>,
    /// Counts purges: a change means that a heartbeat is due at once.
    pub purges: u64,
    /// Why no control plane is believed at present.
    pub disbelief: Option<Disbelief>,
}

/// What an edge counts of its following.
#[derive(Clone, Default)]
struct FeedMetrics {
    revision: Gauge,
    lag: Gauge<f64, AtomicU64>,
    reconnects: Counter,
    rejected: Gauge,
    save_failures: Counter,
}

struct Shell {
    state: Arc<State>,
    config: FollowConfig,
    http: Http,
    follower: Follower,
    position: watch::Sender<Position>,
    metrics: FeedMetrics,
    changed: bool,
    saved: Instant,
    save_fails: bool,
}

/// Why a control plane was left.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("what it sent cannot be read: {0}")]
    Unreadable(String),
    #[error("it fell silent")]
    Silent,
    #[error("it ended the feed")]
    Ended,
    #[error(transparent)]
    Disbelieved(#[from] Disbelief),
}

impl FollowConfig {
    pub fn new(options: &EdgeOptions) -> Self {
        let EdgeOptions { id, place, control_planes, state, .. } = options;
        let (id, place, control_planes) = (id.clone(), place.clone(), control_planes.clone());
        Self { id, place, control_planes, folder: state.clone() }
    }
}

/// Serves from what is on disk before it returns, then follows until `stop`.
pub fn follow(state: Arc<State>, config: FollowConfig, registry: &mut Registry, stop: watch::Receiver<bool>) {
    let loaded = disk::load(&config.folder);
    for note in &loaded.notes {
        tracing::warn!("{note}");
    }
    let follower = Follower::new(loaded.snapshot);
    let mut position = Position::default();
    if let Some(followed) = follower.followed() {
        state.reset(followed);
        position.applied = Some(followed.applied());
        tracing::info!(revision = %followed.revision, sites = followed.sites.len(), "serving from the last snapshot on disk");
    }
    let (position, seen) = watch::channel(position);
    let http = http();
    let sender = Sender::new(state.clone(), config.clone(), http.clone(), seen);
    tokio::spawn(sender::run(sender, stop.clone()));
    let metrics = FeedMetrics::register(registry);
    let (changed, saved, save_fails) = (false, clock::instant(), false);
    let shell = Shell { state, config, http, follower, position, metrics, changed, saved, save_fails };
    tokio::spawn(shell.run(stop));
}

impl Shell {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0u32;
        for turn in 0usize.. {
            let Some(plane) = self.config.control_planes.get(turn % self.config.control_planes.len().max(1)).cloned() else { return };
            let before = self.follower.followed().map(|followed| followed.revision);
            let left = tokio::select! {
                left = self.visit(&plane) => left,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let came_further = self.follower.followed().map(|followed| followed.revision) > before;
            failures = if came_further { 0 } else { failures.saturating_add(1) };
            if let Err(left) = left {
                self.tell(&plane, &left, failures);
            }
            self.metrics.reconnects.inc();
            tokio::select! {
                () = sleep(backoff(failures, random())) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if self.changed {
            self.save().await;
        }
    }

    /// One control plane, until it cannot be followed any more.
    async fn visit(&mut self, plane: &str) -> Result<(), Left> {
        loop {
            match self.follower.ask() {
                Ask::Snapshot => {
                    let snapshot = self.fetch_snapshot(plane).await?;
                    self.follower.snapshot(snapshot)?;
                    if let Some(followed) = self.follower.followed() {
                        self.state.reset(followed);
                        tracing::info!(%plane, revision = %followed.revision, sites = followed.sites.len(), "took a snapshot");
                    }
                    self.changed = true;
                    self.tell_position(true, true);
                    self.save_if_due().await;
                }
                Ask::Feed(query) => match self.open_feed(plane, &query).await? {
                    Ok(body) => return self.read_feed(body).await,
                    Err(lost) => self.follower.lose(lost),
                },
            }
        }
    }

    async fn fetch_snapshot(&self, plane: &str) -> Result<Snapshot, Left> {
        let answer = self.get(&format!("{plane}/v1/snapshot")).await?;
        if answer.status() != StatusCode::OK {
            return Err(Left::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), SNAPSHOT_BYTES_MAX).collect();
        let body = timeout(ANSWER_TIMEOUT, body).await.map_err(|_| Left::Silent)?;
        let body = body.map_err(|error| Left::Unreadable(error.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| Left::Unreadable(error.to_string()))
    }

    /// The feed, or why it cannot be continued from here.
    async fn open_feed(&self, plane: &str, query: &str) -> Result<Result<Incoming, Lost>, Left> {
        let answer = self.get(&format!("{plane}/v1/feed?{query}")).await?;
        match answer.status() {
            StatusCode::OK => Ok(Ok(answer.into_body())),
            StatusCode::GONE => {
                let body = timeout(ANSWER_TIMEOUT, Limited::new(answer.into_body(), PROBLEM_BYTES_MAX).collect());
                let body = body.await.map_err(|_| Left::Silent)?;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let differs = problem.get("type").and_then(|kind| kind.as_str()).is_some_and(|kind| kind.ends_with("history-differs"));
                Ok(Err(if differs { Lost::Differs } else { Lost::Gone }))
            }
            status => Err(Left::Status(status)),
        }
    }

    async fn read_feed(&mut self, mut body: Incoming) -> Result<(), Left> {
        self.tell_position(true, false);
        let mut buffer = BytesMut::new();
        loop {
            let piece = timeout(SILENCE, body.frame()).await.map_err(|_| Left::Silent)?;
            let piece = piece.ok_or(Left::Ended)?.map_err(|error| Left::Unreachable(error.to_string()))?;
            let Ok(piece) = piece.into_data() else { continue };
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                let frame: Frame = serde_json::from_slice(&line).map_err(|error| Left::Unreadable(error.to_string()))?;
                self.take(&frame)?;
            }
            if buffer.len() > FRAME_BYTES_MAX {
                return Err(Left::Unreadable(format!("a line of more than {FRAME_BYTES_MAX} bytes")));
            }
            self.save_if_due().await;
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<(), Left> {
        let heard = self.follower.frame(frame)?;
        let Some(followed) = self.follower.followed() else { return Ok(()) };
        if heard == Heard::Known {
            return Ok(());
        }
        self.state.advance(frame, followed);
        self.changed |= heard != Heard::Progress;
        self.tell_position(true, heard == Heard::Changed { purged: true });
        Ok(())
    }

    fn tell_position(&self, followed: bool, purged: bool) {
        let position = self.follower.followed();
        let beacon = position.and_then(|position| position.beacon.as_ref());
        let lag_ms = beacon.map(|(_, beacon)| clock::unix_ms().saturating_sub(beacon.at_ms));
        self.position.send_modify(|told| {
            told.applied = position.map(super::Followed::applied);
            // Only what has just come tells how long it was under way.
            told.lag_ms = lag_ms;
            told.followed |= followed;
            told.purges += u64::from(purged);
            told.disbelief = None;
        });
        self.metrics.revision.set(position.map_or(0, |position| position.revision.0 as i64));
        self.metrics.lag.set(lag_ms.unwrap_or_default() as f64 / 1000.0);
        self.metrics.rejected.set(self.state.snapshot.load().sites.values().filter(|served| served.kept).count() as i64);
    }

    fn tell(&self, plane: &str, left: &Left, failures: u32) {
        if let Left::Disbelieved(disbelief) = left {
            self.position.send_modify(|told| told.disbelief = Some(*disbelief));
            tracing::error!(%plane, "not followed: {left}");
        } else if failures.is_power_of_two() || failures == 0 {
            // The first, then ever more rarely: a long outage is no reason to fill a disk.
            tracing::warn!(%plane, "left the control plane: {left}");
        }
    }

    async fn get(&self, url: &str) -> Result<http::Response<Incoming>, Left> {
        let unreachable = |error: &dyn std::error::Error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            Left::Unreachable(format!("{error}{cause}"))
        };
        let request = Request::get(url).body(Full::default()).map_err(|error| unreachable(&error))?;
        let answer = timeout(ANSWER_TIMEOUT, self.http.request(request)).await.map_err(|_| Left::Silent)?;
        answer.map_err(|error| unreachable(&error))
    }

    async fn save_if_due(&mut self) {
        let since = clock::instant().duration_since(self.saved);
        if since >= SAVE_POSITION_EVERY || self.changed && since >= SAVE_AFTER {
            self.save().await;
        }
    }

    async fn save(&mut self) {
        let Some(followed) = self.follower.followed().cloned() else { return };
        let folder = self.config.folder.clone();
        let saved = tokio::task::spawn_blocking(move || disk::save(&folder, &followed.into())).await;
        let failed = match saved {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        (self.changed, self.saved) = (self.changed && failed.is_some(), clock::instant());
        match &failed {
            Some(why) if !self.save_fails => {
                tracing::error!(folder = %self.config.folder.display(), "the snapshot cannot be saved; traffic is not affected: {why}");
            }
            None if self.save_fails => tracing::info!("the snapshot can be saved again"),
            _ => {}
        }
        self.metrics.save_failures.inc_by(u64::from(failed.is_some()));
        self.save_fails = failed.is_some();
    }
}

impl FeedMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = metrics.clone();
        registry.register("config_revision", "The store's revision this edge has applied", m.revision);
        registry.register_with_unit("feed_lag", "How long the newest beacon was under way", Unit::Seconds, m.lag);
        registry.register("feed_reconnects", "Times a control plane was left", m.reconnects);
        registry.register("config_rejected", "Sites kept at an older version because the newer does not validate here", m.rejected);
        registry.register("snapshot_save_failures", "Times the last-known-good snapshot could not be written", m.save_failures);
        metrics
    }
}

fn http() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(true).timer(TokioTimer::new());
    builder.http2_keep_alive_interval(KEEP_ALIVE).http2_keep_alive_timeout(SILENCE).http2_keep_alive_while_idle(true);
    builder.build(connector)
}

/// Full jitter: anything from nothing to the bound, so that a thousand edges do not come back at once.
fn backoff(failures: u32, random: u64) -> Duration {
    let bound = BACKOFF_MIN.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    let ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % (ms + 1))
}

fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_and_is_bounded() {
        let longest = |failures| backoff(failures, u64::MAX - 1).max(backoff(failures, 10_000)).max(backoff(failures, 100));
        assert!(longest(0) <= Duration::from_millis(50));
        assert_eq!(backoff(1, 100), Duration::from_millis(100));
        assert_eq!(backoff(40, 10_000), BACKOFF_MAX);
    }
}
