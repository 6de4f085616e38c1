//! The task that follows: hears a control plane, asks the [`Follower`] what to do, and does it. It survives
//! everything a control plane can say, and every way of not being one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use seawall_config::feed::{Change, Frame};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, watch};

use super::acknowledging::Acknowledging;
use super::credentials::Credentials;
use super::metrics::FeedMetrics;
use super::saver::Saver;
use super::wire::{Client, Conversation, Failure};
use super::{Ask, Effect, Follower, Input, Now, Position};
use crate::clock;
use crate::edge::EdgeOptions;
use crate::heartbeat::sender::{self, News, Who};
use crate::snapshot::disk::{self, Generation};
use crate::state::State;

/// After a fault of its own the task begins anew; not faster than this.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Whom to follow, as whom, and where to keep what was followed.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    pub id: String,
    pub place: String,
    pub control_planes: Vec<String>,
    pub credentials: Credentials,
    pub state_folder: PathBuf,
}

impl FollowConfig {
    pub fn new(options: &EdgeOptions) -> Self {
        Self {
            id: options.id.clone(),
            place: options.place.clone(),
            control_planes: options.control_planes.clone(),
            credentials: options.credentials.clone(),
            state_folder: options.state.clone(),
        }
    }
}

/// Boots from what is on disk, at once; then follows, and sends heartbeats, until `stop`.
pub fn follow(
    state: Arc<State>,
    config: FollowConfig,
    registry: &mut Registry,
    stop: watch::Receiver<bool>,
) {
    let (position, seen) = watch::channel(Position::default());
    let parts = Parts {
        config,
        position,
        metrics: FeedMetrics::register(registry),
        state,
        heartbeat: Arc::default(),
    };
    let news = News {
        position: seen,
        now: parts.heartbeat.clone(),
    };
    let FollowConfig {
        id,
        place,
        control_planes,
        credentials,
        ..
    } = parts.config.clone();
    tokio::spawn(sender::run(
        parts.state.clone(),
        Who {
            id,
            place,
            control_planes,
            credentials,
        },
        news,
        stop.clone(),
    ));
    let parts = Arc::new(parts);
    let booted = Following::boot(parts.clone());
    tokio::spawn(keep_following(parts, booted, stop));
}

/// A fault of our own, a panic, ends one run and not the following: the next begins from what is on disk.
async fn keep_following(parts: Arc<Parts>, booted: Following, stop: watch::Receiver<bool>) {
    let mut run = tokio::spawn(booted.run(stop.clone()));
    while let Err(error) = run.await {
        if error.is_cancelled() {
            return;
        }
        tracing::error!(%error, "following failed by a fault of its own, and begins anew");
        tokio::time::sleep(RESTART_PAUSE).await;
        let (parts, stop) = (parts.clone(), stop.clone());
        run = tokio::spawn(async move { Following::boot(parts).run(stop).await });
    }
}

/// What outlives a run.
struct Parts {
    config: FollowConfig,
    state: Arc<State>,
    metrics: FeedMetrics,
    position: watch::Sender<Position>,
    heartbeat: Arc<Notify>,
}

struct Following {
    parts: Arc<Parts>,
    follower: Follower,
    client: Client,
    talk: Talk,
    saver: Saver,
    acknowledging: Acknowledging,
    /// Whether the feed has been open; and whether it has failed since then, and that was told.
    opened: bool,
    failing: bool,
}

/// What goes on with a control plane.
enum Talk {
    /// The next question is not due yet.
    Later { at_ms: u64, ask: Ask, plane: usize },
    Open {
        plane: String,
        conversation: Conversation,
    },
}

impl Following {
    fn boot(parts: Arc<Parts>) -> Self {
        let mut loaded = disk::load(&parts.config.state_folder);
        for note in &loaded.notes {
            tracing::error!("last-known-good snapshot: {note}");
        }
        let passed_over = i64::try_from(loaded.notes.len()).unwrap_or(i64::MAX);
        parts.metrics.snapshot_passed_over.set(passed_over);
        // Begun anew after a fault of its own, the edge has what it serves from.
        if let Some(Generation { followed, kept }) = &loaded.generation
            && !parts.state.is_configured()
        {
            parts.state.keep(followed, kept);
        }
        let kept = loaded
            .generation
            .take()
            .map(|generation| generation.followed);
        let saved = kept.as_ref().map(|kept| kept.applied());
        let saver = Saver::new(
            parts.config.state_folder.clone(),
            saved,
            &loaded.notes,
            parts.metrics.snapshot_unsaved.clone(),
        );
        let (follower, effects) = Follower::new(kept);
        let client = Client::new(&parts.config.credentials);
        let talk = Talk::Later {
            at_ms: 0,
            ask: Ask::Snapshot,
            plane: 0,
        };
        let mut following = Self {
            parts,
            follower,
            client,
            talk,
            saver,
            acknowledging: Acknowledging::default(),
            opened: false,
            failing: false,
        };
        following.carry_out(effects);
        loaded.survived();
        following
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let silent_ms = self.follower.silent_ms();
            let input = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                input = self.talk.hear(&self.parts, &self.client) => self.note(input),
                () = sleep_until(silent_ms.unwrap_or_default()), if silent_ms.is_some() => Input::Tick,
                () = self.saver.due() => {
                    self.publish();
                    let state = &self.parts.state;
                    self.saver.begin(self.follower.followed(), || state.snapshot.load().kept());
                    continue;
                }
            };
            let whole = matches!(input, Input::Snapshot(_));
            let work = || {
                let effects = self.follower.on(input, now());
                self.carry_out(effects);
            };
            if whole {
                aside(work);
            } else {
                work();
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Apply(frame) => self.apply(&frame),
                Effect::Reset => self.reset(),
                Effect::Ask {
                    ask,
                    plane,
                    delay_ms,
                } => {
                    self.talk = Talk::Later {
                        at_ms: clock::boottime_ms() + delay_ms,
                        ask,
                        plane,
                    };
                    self.measure_lag(self.follower.beacon_age_ms(clock::wall_ms()));
                }
                Effect::Persist => self.saver.want(),
                // What it will say is there already: see `publish`.
                Effect::HeartbeatNow => self.parts.heartbeat.notify_one(),
                Effect::Problem(problem) => {
                    tracing::error!("{}: {}", problem.path, problem.message)
                }
            }
        }
        self.publish();
    }

    fn apply(&mut self, frame: &Frame) {
        let Some(followed) = self.follower.followed() else {
            return;
        };
        self.parts.state.advance(frame, followed);
        self.saver.saw(frame);
        if frame
            .changes
            .iter()
            .any(|change| matches!(change, Change::PutSite(_) | Change::DeleteSite { .. }))
        {
            self.parts.metrics.sites(&self.parts.state.snapshot.load());
            self.keep_first();
        }
        self.publish();
        self.measure_lag(self.follower.position().lag_ms);
    }

    fn reset(&mut self) {
        let Some(followed) = self.follower.followed() else {
            return;
        };
        self.parts.state.reset(followed);
        self.saver.saw_all();
        let (epoch, revision, sites) = (followed.epoch, followed.revision, followed.sites.len());
        let heard = self.follower.position().heard;
        let from = match heard {
            true => "a snapshot of the control plane",
            false => "the last-known-good snapshot on disk",
        };
        tracing::info!(%epoch, %revision, sites, from, "serves");
        self.parts.metrics.feed_snapshots.inc_by(u64::from(heard));
        self.parts.metrics.sites(&self.parts.state.snapshot.load());
        if heard {
            self.keep_first();
        }
        self.publish();
    }

    fn keep_first(&mut self) {
        let applied = self.follower.position().applied;
        self.acknowledging.sites_changed(applied);
        self.saver.hurry();
    }

    /// Only now that the state has it may anyone say that it is applied.
    fn publish(&mut self) {
        let position = self.follower.position();
        let disk = self.saver.problem().cloned();
        let (applied, saved) = (position.applied, self.saver.saved());
        let position = Position {
            applied: self.acknowledging.may_say(applied, saved, disk.is_some()),
            disk,
            ..position
        };
        let revision = position.applied.map_or(0, |applied| applied.revision.0);
        let sites = self.parts.state.snapshot.load().problems().len();
        let others = [&position.problem, &position.disk].into_iter().flatten();
        self.parts
            .metrics
            .stands_at(revision, sites + others.count());
        self.parts.position.send_if_modified(|before| {
            let moved = *before != position;
            *before = position;
            moved
        });
    }

    fn measure_lag(&self, lag_ms: Option<u64>) {
        if let Some(lag_ms) = lag_ms {
            self.parts
                .metrics
                .feed_lag
                .set(Duration::from_millis(lag_ms).as_secs_f64());
        }
    }

    /// Logs and counts what was heard, or why nothing was.
    fn note(&mut self, heard: Result<Input, Failure>) -> Input {
        let plane = match &self.talk {
            Talk::Open { plane, .. } => plane.as_str(),
            Talk::Later { .. } => "none",
        };
        match heard {
            Ok(Input::Opened) => {
                tracing::info!(plane, "follows");
                self.failing = false;
                if std::mem::replace(&mut self.opened, true) {
                    self.parts.metrics.feed_reconnects.inc();
                }
                Input::Opened
            }
            Ok(input) => input,
            Err(why) => {
                match std::mem::replace(&mut self.failing, true) {
                    false => {
                        tracing::warn!(plane, %why, "no feed; serves on from what there is, and tries again")
                    }
                    true => tracing::debug!(plane, %why, "still no feed"),
                }
                self.client = self.client.anew();
                Input::Ended
            }
        }
    }
}

impl Talk {
    /// Begins the conversation when it is due. Cancel-safe.
    async fn hear(&mut self, parts: &Parts, client: &Client) -> Result<Input, Failure> {
        let planes = &parts.config.control_planes;
        loop {
            match self {
                Self::Open { conversation, .. } => return conversation.next().await,
                Self::Later { at_ms, ask, plane } => {
                    sleep_until(*at_ms).await;
                    // Whoever begins to serve from a snapshot must be in the receipt of every later purge.
                    if *ask == Ask::Snapshot {
                        parts.state.registered().await;
                    }
                    let Some(address) = planes.get(*plane % planes.len().max(1)) else {
                        return std::future::pending().await;
                    };
                    let conversation = client.begin(address, ask.clone());
                    *self = Self::Open {
                        plane: address.clone(),
                        conversation,
                    };
                }
            }
        }
    }
}

/// Work of many milliseconds: the requests that this thread would serve go on elsewhere.
fn aside(work: impl FnOnce()) {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn now() -> Now {
    // Without random numbers retries only come less evenly.
    let random = getrandom::u64().unwrap_or_else(|_| clock::wall_ms());
    Now {
        boot_ms: clock::boottime_ms(),
        wall_ms: clock::wall_ms(),
        random,
    }
}

async fn sleep_until(boot_ms: u64) {
    tokio::time::sleep(Duration::from_millis(
        boot_ms.saturating_sub(clock::boottime_ms()),
    ))
    .await;
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
