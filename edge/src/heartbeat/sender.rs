//! Sending heartbeats: each second, and at once when a purge was applied or counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use seawall_config::Problem;
use seawall_config::feed::{Counted, HEARTBEAT_MS, Heartbeat, Renewal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Standing;
use crate::clock;
use crate::feed::client::{FollowConfig, Http, Position};
use crate::state::State;

/// Until a heartbeat is answered; its answer waits for a write of the store.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Heartbeats under way at once: one may wait for the store while the next has news.
const UNDER_WAY_MAX: usize = 4;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub struct Sender {
    state: Arc<State>,
    config: FollowConfig,
    http: Http,
    position: watch::Receiver<Position>,
    boot: String,
    standing: Standing,
    /// Which control plane is asked; the next one after a failure.
    turn: usize,
    /// Another machine uses this edge's id.
    duplicate: bool,
}

/// What came of one heartbeat.
enum Sent {
    Answered { sent_ms: u64, renewal: Renewal },
    /// 409: another boot of this id may still vouch.
    Duplicate,
    Failed(Vec<Counted>),
}

impl Sender {
    pub fn new(state: Arc<State>, config: FollowConfig, http: Http, position: watch::Receiver<Position>) -> Self {
        let boot = format!("{:016x}{:016x}", random(), random());
        Self { state, config, http, position, boot, standing: Standing::default(), turn: 0, duplicate: false }
    }

    fn send(&self, under_way: &mut JoinSet<Sent>) {
        let Some(plane) = self.config.control_planes.get(self.turn % self.config.control_planes.len().max(1)) else { return };
        if under_way.len() >= UNDER_WAY_MAX {
            return;
        }
        let url = format!("{plane}/v1/edges/{}/heartbeat", self.config.id);
        let counted = self.state.take_counted();
        let heartbeat = self.heartbeat(counted.clone());
        let (http, sent_ms) = (self.http.clone(), clock::boottime_ms());
        under_way.spawn(async move {
            match timeout(ANSWER_TIMEOUT, post(&http, &url, &heartbeat)).await {
                Ok(Ok(renewal)) => Sent::Answered { sent_ms, renewal },
                Ok(Err(StatusCode::CONFLICT)) => Sent::Duplicate,
                Ok(Err(_)) | Err(_) => Sent::Failed(counted),
            }
        });
    }

    fn heartbeat(&self, counted: Vec<Counted>) -> Heartbeat {
        let position = self.position.borrow().clone();
        let mut problems = self.state.problems();
        problems.extend(position.disbelief.map(|why| Problem::new("feed", why.to_string())));
        Heartbeat {
            boot: self.boot.clone(),
            place: self.config.place.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: self.standing.state(position.followed, clock::boottime_ms()),
            applied: position.applied,
            lag_ms: position.lag_ms,
            problems,
            load: self.state.load(),
            counted,
        }
    }

    fn take(&mut self, sent: Sent) {
        let applied = self.position.borrow().applied.map(|applied| applied.revision);
        match sent {
            Sent::Answered { sent_ms, renewal } => {
                self.standing.answered(sent_ms, renewal, applied, clock::boottime_ms());
                if std::mem::take(&mut self.duplicate) {
                    tracing::info!(id = %self.config.id, "this edge's id is its own again");
                }
            }
            Sent::Duplicate => {
                if !std::mem::replace(&mut self.duplicate, true) {
                    tracing::error!(id = %self.config.id, "another edge with this id is alive, or was until seconds ago; two edges must not share an id");
                }
            }
            Sent::Failed(counted) => {
                self.state.put_back_counted(counted);
                self.turn = self.turn.wrapping_add(1);
            }
        }
        self.publish();
    }

    fn publish(&self) {
        self.state.vouching.set(self.standing.until_ms());
    }
}

/// Until `stop`.
pub async fn run(mut sender: Sender, mut stop: watch::Receiver<bool>) {
    let mut under_way = JoinSet::new();
    let mut ticks = interval(Duration::from_millis(HEARTBEAT_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = sender.position.borrow().clone();
    let state = sender.state.clone();
    loop {
        tokio::select! {
            _ = ticks.tick() => sender.send(&mut under_way),
            () = state.sweeper.counted.notified() => sender.send(&mut under_way),
            Some(sent) = under_way.join_next() => {
                if let Ok(sent) = sent {
                    sender.take(sent);
                }
            }
            moved = sender.position.changed() => {
                if moved.is_err() {
                    return;
                }
                let now = sender.position.borrow_and_update().clone();
                let epoch = |position: &Position| position.applied.map(|applied| applied.epoch);
                if epoch(&told) != epoch(&now) {
                    sender.standing.forget();
                }
                if let Some(applied) = now.applied {
                    sender.standing.applied(applied.revision, clock::boottime_ms());
                }
                sender.publish();
                if now.purges != told.purges {
                    sender.send(&mut under_way);
                }
                told = now;
            }
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// The answer, or the status of what is none (0xx does not exist: a connection that failed is 503 here).
async fn post(http: &Http, url: &str, heartbeat: &Heartbeat) -> Result<Renewal, StatusCode> {
    let failed = StatusCode::SERVICE_UNAVAILABLE;
    let body = serde_json::to_vec(heartbeat).map_err(|_| failed)?;
    let request = Request::post(url).header(http::header::CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body))).map_err(|_| failed)?;
    let answer = http.request(request).await.map_err(|_| failed)?;
    if answer.status() != StatusCode::OK {
        return Err(answer.status());
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|_| failed)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| failed)
}

fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}
