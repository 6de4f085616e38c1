//! Sends heartbeats, hears the answers, and keeps the right to vouch where the request path reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use seawall_config::feed::{Counted, HEARTBEAT_MS, Heartbeat, Renewal, VOUCH_MS};
use seawall_config::{Problem, Problems};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};

use super::{Heartbeats, Sent, Verdict};
use crate::clock;
use crate::feed::Position;
use crate::feed::credentials::Credentials;
use crate::feed::wire::{Client, Failure, Refusal};
use crate::state::State;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Counts that go with one heartbeat; the others go with the next.
const COUNTED_MAX: usize = 1_000;
/// Characters of a problem's path, and of its message.
const PROBLEM_CHARS_MAX: usize = 500;
/// Longer than an earlier start of this edge can hold its id.
const EARLIER_START_MS: u64 = 2 * VOUCH_MS;
/// How often a duplicate id is shouted about.
const DUPLICATE_TOLD_EVERY_MS: u64 = 60_000;

/// Who this edge is, and to whom it says so.
#[derive(Clone, Debug)]
pub struct Who {
    pub id: String,
    pub place: String,
    pub control_planes: Vec<String>,
    pub credentials: Credentials,
}

/// What the follower tells the heartbeat.
pub struct News {
    pub position: watch::Receiver<Position>,
    /// Notified when a purge has been applied, after `position` says so.
    pub now: Arc<Notify>,
}

struct Sender {
    state: Arc<State>,
    who: Who,
    news: News,
    boot: String,
    client: Client,
    heartbeats: Heartbeats,
    /// Counts up: whom to tell.
    plane: usize,
    posts: JoinSet<Post>,
    /// The last was answered.
    answered: bool,
    /// Not before: a restarted edge is refused, too, until the time of its earlier start is over.
    shout_at_ms: u64,
}

/// A heartbeat that has landed.
struct Post {
    sent: Sent,
    plane: usize,
    counted: Vec<Counted>,
    answer: Result<(StatusCode, Bytes), Failure>,
}

/// Until `stop`. Takes nothing for granted: whatever goes wrong, the next heartbeat is sent.
pub async fn run(state: Arc<State>, who: Who, news: News, mut stop: watch::Receiver<bool>) {
    let client = Client::new(&who.credentials);
    let mut sender = Sender {
        state,
        who,
        news,
        boot: boot_id(),
        client,
        heartbeats: Heartbeats::default(),
        plane: 0,
        posts: JoinSet::new(),
        answered: true,
        shout_at_ms: clock::boottime_ms() + EARLIER_START_MS,
    };
    if sender.who.control_planes.is_empty() {
        return;
    }
    let state = sender.state.clone();
    loop {
        let wait = sender.wait();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            // The follower lives as long as this; without it, the heartbeat goes on by the clock.
            Ok(()) = sender.news.position.changed() => sender.look(),
            () = sender.news.now.notified() => sender.heartbeats.hurry(),
            () = state.sweeper.counted.notified() => sender.heartbeats.hurry(),
            Some(post) = sender.posts.join_next() => sender.land(post),
            () = async { tokio::time::sleep(wait.unwrap_or_default()).await }, if wait.is_some() => sender.send(),
        }
        let heard = sender.news.position.borrow().heard;
        state.vouching.set(sender.heartbeats.deadline_ms(), heard);
    }
}

impl Sender {
    /// How long until the next is to be sent; None while too many are under way.
    fn wait(&self) -> Option<Duration> {
        let due_ms = self.heartbeats.due_ms()?;
        Some(Duration::from_millis(
            due_ms
                .saturating_sub(clock::boottime_ms())
                .min(HEARTBEAT_MS),
        ))
    }

    fn look(&mut self) {
        if let Some(applied) = self.news.position.borrow_and_update().applied {
            self.heartbeats.applied(applied, clock::boottime_ms());
        }
    }

    fn send(&mut self) {
        self.look();
        let Some(address) = self
            .who
            .control_planes
            .get(self.plane % self.who.control_planes.len().max(1))
        else {
            return;
        };
        let mut counted = self.state.take_counted();
        self.state
            .put_back_counted(counted.split_off(counted.len().min(COUNTED_MAX)));
        let sent = self.heartbeats.send(clock::boottime_ms());
        let body = serde_json::to_vec(&self.heartbeat(sent, counted.clone())).unwrap_or_default();
        let (client, plane, address) = (self.client.clone(), self.plane, address.clone());
        let path = format!("/v1/edges/{}/heartbeat", self.who.id);
        self.posts.spawn(async move {
            let answer =
                tokio::time::timeout(ANSWER_TIMEOUT, client.post(&address, &path, body)).await;
            Post {
                sent,
                plane,
                counted,
                answer: answer.unwrap_or(Err(Failure::Timeout)),
            }
        });
    }

    fn heartbeat(&self, sent: Sent, counted: Vec<Counted>) -> Heartbeat {
        let position = self.news.position.borrow();
        let snapshot = self.state.snapshot.load();
        let mut problems = Problems::default();
        let all = position
            .problem
            .iter()
            .chain(&position.disk)
            .chain(snapshot.problems());
        all.for_each(|problem| problems.push(brief(problem)));
        Heartbeat {
            boot: self.boot.clone(),
            place: self.who.place.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            state: self.heartbeats.state(position.heard, sent.at_ms),
            applied: sent.applied,
            lag_ms: position.lag_ms(clock::wall_ms()),
            problems: problems.0,
            refused: snapshot.sites.refusals.clone(),
            load: self.state.load(),
            counted,
            origins: self.state.origins(),
        }
    }

    fn land(&mut self, post: Result<Post, JoinError>) {
        let Ok(post) = post else {
            return self.heartbeats.failed();
        };
        // Read after the answer, so that a machine that was suspended in between knows it.
        let now_ms = clock::boottime_ms();
        let why = match post.answer {
            Ok((StatusCode::OK, body)) => match serde_json::from_slice::<Renewal>(&body) {
                Ok(renewal) => {
                    self.state.set_registered();
                    let verdict = self.heartbeats.answered(post.sent, renewal, now_ms);
                    return self.answered(verdict);
                }
                Err(error) => format!("its answer does not read: {error}"),
            },
            Ok((status, body)) => {
                let Refusal { kind, detail } = Refusal::read(&body);
                if kind == "duplicate-edge" {
                    self.state.set_registered();
                    self.state.put_back_counted(post.counted);
                    self.heartbeats.refused(now_ms);
                    return self.refused(&detail, now_ms);
                }
                format!("it answered {status} {detail}")
            }
            Err(failure) => failure.to_string(),
        };
        self.state.put_back_counted(post.counted);
        self.heartbeats.failed();
        self.failed(post.plane, &why);
    }

    fn answered(&mut self, verdict: Verdict) {
        self.shout_at_ms = 0;
        if !std::mem::replace(&mut self.answered, true) {
            tracing::info!(?verdict, "heartbeats are answered again");
        }
        tracing::trace!(?verdict, "a heartbeat was answered");
    }

    /// The next goes to another control plane, unless one that was sent since has moved on already.
    fn failed(&mut self, plane: usize, why: &str) {
        if plane == self.plane {
            self.plane += 1;
            self.client = self.client.anew();
        }
        self.unanswered(why);
    }

    fn refused(&mut self, detail: &str, now_ms: u64) {
        self.unanswered(detail);
        self.state.metrics.heartbeat_refused();
        if now_ms >= self.shout_at_ms {
            self.shout_at_ms = now_ms + DUPLICATE_TOLD_EVERY_MS;
            let edge = &self.who.id;
            tracing::error!(
                edge,
                detail,
                "ANOTHER MACHINE USES THIS EDGE'S ID: until that ends, this edge may not vouch for what it stored"
            );
        }
    }

    /// Told once, until one is answered.
    fn unanswered(&mut self, why: &str) {
        if std::mem::replace(&mut self.answered, false) {
            tracing::warn!(why, "a heartbeat was not answered");
        }
    }
}

/// A site's problems may be long, and a heartbeat that is too long would not be heard.
fn brief(problem: &Problem) -> Problem {
    let cut = |text: &str| text.chars().take(PROBLEM_CHARS_MAX).collect::<String>();
    Problem::new(cut(&problem.path), cut(&problem.message))
}

/// 128 random bits: no two starts of any edge share it.
fn boot_id() -> String {
    let mut bits = [0; 16];
    if let Err(error) = getrandom::fill(&mut bits) {
        tracing::error!(%error, "no random numbers; the boot id is made of the time and the process");
        bits = (u128::from(clock::wall_ms()) << 64 | u128::from(std::process::id())).to_be_bytes();
    }
    format!("{:032x}", u128::from_be_bytes(bits))
}
