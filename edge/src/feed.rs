//! Following the control plane: what to do with each thing that one says, or does not say.
//!
//! Pure: messages and the time go in, [`Effect`]s come out; the shell in [`client`] carries them out, in
//! order. The edge never goes back: it stays with what it has rather than take another history for its own.

use std::sync::Arc;

use seawall_config::feed::{Applied, Beacon, Change, Frame, Snapshot};
use seawall_config::{Problem, Revision, Token};

mod acknowledging;
pub mod client;
pub mod credentials;
mod document;
pub mod followed;
mod history;
mod metrics;
mod saver;
pub mod wire;

use history::{Refusal, Verdict, judge};

pub use document::Document;
pub use followed::{Followed, Unsound};

/// A control plane that says nothing for so long is taken for gone: a beacon comes each second.
pub const SILENCE_MS: u64 = 3_000;
/// A retry waits between nothing and this,
pub const BACKOFF_FIRST_MS: u64 = 50;
/// or with each that fails twice as long, up to this.
pub const BACKOFF_MS_MAX: u64 = 10_000;
/// Characters of a reason that are passed on.
const REASON_CHARS_MAX: usize = 300;

/// Where the edge stands, and what it waits for.
#[derive(Debug)]
pub struct Follower {
    followed: Option<Arc<Followed>>,
    phase: Phase,
    /// What was asked in vain since the feed last said something.
    retries: u32,
    /// Counts up: whom of the list to ask.
    plane: usize,
    /// A control plane has said something since the edge started.
    heard: bool,
    lag_ms: Option<u64>,
    problem: Option<Problem>,
}

/// What the follower waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// That the feed goes on from what it has.
    Asking,
    /// The next frame.
    Following { heard_ms: u64 },
    /// A whole picture.
    NeedSnapshot { differs: bool },
    /// That the feed goes on after all, or that an operator raises the epoch: it was offered another history.
    Refused,
}

/// Something was said, or nothing was.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The feed answers; frames are to come.
    Opened,
    Frame(Frame),
    Snapshot(Snapshot),
    /// The feed cannot be continued.
    Gone(Gone),
    /// A line or a document that is not what it should be.
    Unreadable(String),
    /// The answer ended, or there was none.
    Ended,
    /// Time has passed.
    Tick,
}

/// Why a control plane cannot continue from where this edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It no longer keeps what comes next.
    History,
    /// It knows another history.
    Differs,
}

/// The time, and a random number: what a pure decision must be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Of CLOCK_BOOTTIME.
    pub boot_ms: u64,
    /// Since 1970.
    pub wall_ms: u64,
    pub random: u64,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// One revision to apply; [`Follower::followed`] is there already.
    Apply(Frame),
    /// [`Follower::followed`] is a whole new picture.
    Reset,
    /// Leave the conversation there is, wait, and begin this one.
    Ask {
        ask: Ask,
        plane: usize,
        delay_ms: u64,
    },
    /// What is on disk is behind in more than its position.
    Persist,
    HeartbeatNow,
    /// Tell the operator.
    Problem(Problem),
}

/// What to ask a control plane for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What comes after, if it knows the beacon at that revision.
    Feed {
        after: Token,
        beacon: Option<(Revision, String)>,
    },
    Snapshot,
}

/// Where an edge stands, for its heartbeats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    pub applied: Option<Applied>,
    /// How long the newest beacon was under way.
    pub lag_ms: Option<u64>,
    /// When it was written, by the clock of a control plane.
    pub beacon_at_ms: Option<u64>,
    /// A control plane has said something since the edge started.
    pub heard: bool,
    pub problem: Option<Problem>,
    /// What is wrong with what is kept on disk; the follower does not know it.
    pub disk: Option<Problem>,
}

impl Position {
    /// How far behind the edge is: how long the newest beacon was under way; once others should have come, how old it is.
    pub fn lag_ms(&self, wall_ms: u64) -> Option<u64> {
        let age_ms = wall_ms.saturating_sub(self.beacon_at_ms?);
        match self.lag_ms {
            Some(lag_ms) if age_ms <= lag_ms.saturating_add(SILENCE_MS) => Some(lag_ms),
            _ => Some(age_ms),
        }
    }
}

impl Follower {
    /// Begins with what was kept, if anything was; its effects are the first to be carried out.
    pub fn new(kept: Option<Arc<Followed>>) -> (Self, Vec<Effect>) {
        let phase = if kept.is_some() {
            Phase::Asking
        } else {
            Phase::NeedSnapshot { differs: false }
        };
        let follower = Self {
            followed: kept,
            phase,
            retries: 0,
            plane: 0,
            heard: false,
            lag_ms: None,
            problem: None,
        };
        let reset = follower.followed.is_some().then_some(Effect::Reset);
        let effects = reset.into_iter().chain([follower.ask(0)]).collect();
        (follower, effects)
    }

    pub fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        match input {
            Input::Opened => {
                self.phase = Phase::Following {
                    heard_ms: now.boot_ms,
                };
                Vec::new()
            }
            Input::Frame(frame) => self.frame(frame, now),
            Input::Snapshot(snapshot) => self.snapshot(snapshot, now),
            Input::Gone(gone) => {
                self.phase = Phase::NeedSnapshot {
                    differs: gone == Gone::Differs,
                };
                // The one that said so has a snapshot that is no older.
                self.retries += 1;
                vec![self.ask(backoff_ms(self.retries, now.random))]
            }
            Input::Unreadable(reason) => self.unreadable(&reason, now),
            Input::Ended => self.retry(now),
            Input::Tick => match self.phase {
                Phase::Following { heard_ms } if now.boot_ms >= heard_ms + SILENCE_MS => {
                    self.retry(now)
                }
                _ => Vec::new(),
            },
        }
    }

    fn frame(&mut self, frame: Frame, now: Now) -> Vec<Effect> {
        let Some(followed) = &mut self.followed else {
            return self.retry(now);
        };
        if frame.epoch != followed.epoch {
            let reason = format!(
                "a frame of epoch {} came where epoch {} is followed",
                frame.epoch, followed.epoch
            );
            return self.unreadable(&reason, now);
        }
        if let Err(unsound) = followed.check(&frame) {
            return self.unreadable(
                &format!("the frame of revision {}: {unsound}", frame.revision),
                now,
            );
        }
        if followed.contradicts(&frame) {
            let mut effects = self.complain(&format!(
                "the frame of revision {}: {}",
                frame.revision,
                Refusal::HistoryDiffers
            ));
            // This one lost the thread in the middle of a feed; each is asked anew.
            self.phase = Phase::NeedSnapshot { differs: true };
            effects.extend(self.retry(now));
            return effects;
        }
        self.phase = Phase::Following {
            heard_ms: now.boot_ms,
        };
        (self.heard, self.retries, self.problem) = (true, 0, None);
        // What comes twice was applied the first time.
        if frame.revision <= followed.revision {
            return Vec::new();
        }
        // Whoever saves what was there before keeps that; else nothing is copied.
        Arc::make_mut(followed).advance(&frame);
        let (mut purges, mut keeps) = (false, false);
        for change in &frame.changes {
            match change {
                Change::Beacon(beacon) => {
                    self.lag_ms = Some(now.wall_ms.saturating_sub(beacon.at_ms))
                }
                Change::Purge { .. } => (purges, keeps) = (true, true),
                Change::Count { .. } => purges = true,
                Change::PutSite(_) | Change::DeleteSite { .. } | Change::Drain(_) => keeps = true,
            }
        }
        let after = [(purges, Effect::HeartbeatNow), (keeps, Effect::Persist)];
        let after = after
            .into_iter()
            .filter_map(|(due, effect)| due.then_some(effect));
        [Effect::Apply(frame)].into_iter().chain(after).collect()
    }

    fn snapshot(&mut self, snapshot: Snapshot, now: Now) -> Vec<Effect> {
        let differs = self.phase == Phase::NeedSnapshot { differs: true };
        if let Verdict::Refuse(why) = judge(self.followed.as_deref(), &snapshot, differs) {
            let mut effects = self.complain(&format!(
                "the snapshot of epoch {} is refused: {why}",
                snapshot.epoch
            ));
            self.phase = Phase::Refused;
            effects.extend(self.retry(now));
            return effects;
        }
        let taken = match Followed::from_snapshot(snapshot) {
            Ok(taken) => taken,
            Err(unsound) => return self.unreadable(&format!("the snapshot: {unsound}"), now),
        };
        self.followed = Some(Arc::new(taken));
        self.phase = Phase::Asking;
        (self.heard, self.problem) = (true, None);
        vec![
            Effect::Reset,
            Effect::HeartbeatNow,
            Effect::Persist,
            self.ask(0),
        ]
    }

    fn unreadable(&mut self, reason: &str, now: Now) -> Vec<Effect> {
        let mut effects =
            self.complain(&format!("the control plane cannot be understood: {reason}"));
        // Said again and again it would hold up everything behind it; a snapshot goes around it.
        if self.retries > 0 && matches!(self.phase, Phase::Following { .. }) {
            self.phase = Phase::NeedSnapshot { differs: false };
        }
        effects.extend(self.retry(now));
        effects
    }

    /// Asks the next control plane, later.
    fn retry(&mut self, now: Now) -> Vec<Effect> {
        if matches!(self.phase, Phase::Following { .. }) {
            self.phase = Phase::Asking;
        }
        self.retries += 1;
        self.plane += 1;
        vec![self.ask(backoff_ms(self.retries, now.random))]
    }

    /// Told once, as long as it stays the same.
    fn complain(&mut self, message: &str) -> Vec<Effect> {
        let problem = Problem::new(
            "feed",
            message.chars().take(REASON_CHARS_MAX).collect::<String>(),
        );
        let told = self.problem.replace(problem.clone()) == Some(problem.clone());
        if told {
            Vec::new()
        } else {
            vec![Effect::Problem(problem)]
        }
    }

    fn ask(&self, delay_ms: u64) -> Effect {
        let ask = match (&self.followed, self.phase) {
            (None, _) | (_, Phase::NeedSnapshot { .. }) => Ask::Snapshot,
            (Some(followed), _) => Ask::Feed {
                after: Token {
                    epoch: followed.epoch,
                    revision: followed.revision,
                },
                beacon: followed
                    .beacon
                    .as_ref()
                    .map(|(revision, beacon)| (*revision, beacon.id.clone())),
            },
        };
        Effect::Ask {
            ask,
            plane: self.plane,
            delay_ms,
        }
    }

    pub fn followed(&self) -> Option<&Arc<Followed>> {
        self.followed.as_ref()
    }

    pub fn position(&self) -> Position {
        let (lag_ms, heard, problem) = (self.lag_ms, self.heard, self.problem.clone());
        Position {
            applied: self.followed.as_ref().map(|followed| followed.applied()),
            lag_ms,
            beacon_at_ms: self.beacon().map(|beacon| beacon.at_ms),
            heard,
            problem,
            disk: None,
        }
    }

    /// When to say that time has passed, by CLOCK_BOOTTIME.
    pub fn silent_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Following { heard_ms } => Some(heard_ms + SILENCE_MS),
            _ => None,
        }
    }

    /// How old the newest beacon is by now.
    pub fn beacon_age_ms(&self, wall_ms: u64) -> Option<u64> {
        Some(wall_ms.saturating_sub(self.beacon()?.at_ms))
    }

    fn beacon(&self) -> Option<&Beacon> {
        let (_, beacon) = self.followed.as_ref()?.beacon.as_ref()?;
        Some(beacon)
    }
}

/// Full jitter: between nothing and a bound that doubles with each retry, so that a fleet does not come back
/// all at once.
pub fn backoff_ms(retries: u32, random: u64) -> u64 {
    let doubled = 2u64
        .saturating_pow(retries.saturating_sub(1))
        .saturating_mul(BACKOFF_FIRST_MS);
    random % (doubled.min(BACKOFF_MS_MAX) + 1)
}

#[cfg(test)]
#[path = "feed/tests.rs"]
mod tests;
