//! Keeping what is followed on disk: never more often than needed, never on the threads that serve, and
//! again after a failure. Traffic does not notice any of it. Frames are appended to what is there; the whole is
//! written twice first, so that there are two generations; and after a whole new picture, after a failure, once an hour,
//! and when what was appended has outgrown it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use seawall_config::Problem;
use seawall_config::feed::{Applied, Change, Frame};
use tokio::task::JoinHandle;

use super::Followed;
use crate::clock;
use crate::snapshot::disk::{self, Generation, Kept};

/// The word that says where the snapshot is kept.
const PATH: &str = "state";
/// Between two saves.
const PAUSE_MS: u64 = 1_000;
/// The pause is also so many times as long as the last save took: saving costs a small share of one core.
const PAUSE_TIMES: u64 = 20;
/// The position alone is saved this often: what comes after it is only followed once more.
const POSITION_MS: u64 = 30_000;

/// So often the whole is saved, so that the older generation is no older than twice that.
const WHOLE_MS: u64 = 3_600_000;
/// Bytes of frames that wait for a save; with more, the whole is saved.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is appended may always have so many bytes, however small the whole is.
const APPENDED_BYTES: u64 = 1024 * 1024;

pub struct Saver {
    folder: PathBuf,
    /// What came since the last save began; None: the whole is to be saved.
    pending: Option<Pending>,
    /// The bytes of the newest generation, when it was saved whole and now.
    whole_bytes: u64,
    bytes: u64,
    whole_due_ms: u64,
    /// More than the position has changed since the last save began.
    wanted: bool,
    saved: Option<Applied>,
    /// No save begins before, by CLOCK_BOOTTIME.
    pause_until_ms: u64,
    /// Nor one that somebody waits for.
    hurried_until_ms: u64,
    position_due_ms: u64,
    running: Option<Running>,
    /// 1 while the newest save has failed.
    failing: Gauge,
    /// What was found at the start, or why the newest save failed; none once there is a new generation.
    problem: Option<Problem>,
}

/// Frames as JSON.
#[derive(Default)]
struct Pending {
    frames: Vec<String>,
    bytes: usize,
    /// The last of them says no more than how far it is.
    light: bool,
}

struct Running {
    position: Applied,
    done: JoinHandle<io::Result<Done>>,
}

struct Done {
    /// How long it took.
    took_ms: u64,
    bytes: u64,
    whole: bool,
}

impl Saver {
    /// `notes`: what was wrong with what is there.
    pub fn new(folder: PathBuf, saved: Option<Applied>, notes: &[String], failing: Gauge) -> Self {
        let begun = named(saved);
        let message = format!("{}; this edge began with {begun}", notes.join("; "));
        let problem = (!notes.is_empty()).then(|| Problem::new(PATH, message));
        let position_due_ms = clock::boottime_ms() + POSITION_MS;
        Self {
            folder,
            pending: None,
            whole_bytes: 0,
            bytes: 0,
            whole_due_ms: 0,
            wanted: false,
            saved,
            pause_until_ms: 0,
            hurried_until_ms: 0,
            position_due_ms,
            running: None,
            failing,
            problem,
        }
    }

    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// The next save waits no longer than saving may cost.
    pub fn hurry(&mut self) {
        self.wanted = true;
        self.pause_until_ms = self.hurried_until_ms;
    }

    /// What the edge would begin with, restarted now.
    pub fn saved(&self) -> Option<Applied> {
        self.saved
    }

    /// This frame was applied.
    pub fn saw(&mut self, frame: &Frame) {
        if let Some(pending) = &mut self.pending {
            pending.push(frame);
            if pending.bytes > PENDING_BYTES_MAX {
                self.pending = None;
            }
        }
    }

    /// There is a whole new picture.
    pub fn saw_all(&mut self) {
        self.pending = None;
    }

    /// Until a save is to begin. Cancel-safe.
    pub async fn due(&mut self) {
        if let Some(running) = &mut self.running {
            let done = (&mut running.done)
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic)));
            let position = running.position;
            self.running = None;
            self.finished(position, done);
        }
        let due_ms = if self.wanted {
            self.pause_until_ms
        } else {
            self.position_due_ms
        };
        let wait_ms = due_ms.saturating_sub(clock::boottime_ms());
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    /// `kept`: the good versions that are in force of refused sites.
    pub fn begin(&mut self, followed: Option<&Arc<Followed>>, kept: impl FnOnce() -> Vec<Kept>) {
        self.position_due_ms = clock::boottime_ms() + POSITION_MS;
        let wanted = std::mem::take(&mut self.wanted);
        let Some(followed) =
            followed.filter(|followed| wanted || Some(followed.applied()) != self.saved)
        else {
            return;
        };
        let (folder, position) = (self.folder.clone(), followed.applied());
        let generation = Generation {
            followed: followed.clone(),
            kept: kept(),
        };
        let (bytes, room) = (self.bytes, self.room());
        let pending = self.pending.replace(Pending::default());
        let kept_bytes: usize = generation
            .kept
            .iter()
            .map(|kept| kept.document.weight())
            .sum();
        let due = clock::boottime_ms() >= self.whole_due_ms;
        let fits = |pending: &Pending| !due && (pending.bytes + kept_bytes) as u64 <= room;
        let pending = pending.filter(fits);
        let done = tokio::task::spawn_blocking(move || {
            let began_ms = clock::boottime_ms();
            let whole = pending.is_none();
            let bytes = match pending {
                Some(pending) => disk::append(&folder, bytes, &pending.frames, &generation.kept)?,
                None => disk::save(&folder, &generation)?,
            };
            let took_ms = clock::boottime_ms() - began_ms;
            Ok(Done {
                took_ms,
                bytes,
                whole,
            })
        });
        self.running = Some(Running { position, done });
    }

    /// How many bytes may be appended still.
    fn room(&self) -> u64 {
        let appended = self.bytes.saturating_sub(self.whole_bytes);
        let most = self
            .whole_bytes
            .clamp(APPENDED_BYTES, disk::LOG_BYTES_MAX / 2);
        most.saturating_sub(appended)
    }

    fn finished(&mut self, position: Applied, done: io::Result<Done>) {
        let took_ms = done.as_ref().map_or(0, |done| done.took_ms);
        let (now_ms, pause_ms) = (clock::boottime_ms(), took_ms.saturating_mul(PAUSE_TIMES));
        self.hurried_until_ms = now_ms + pause_ms;
        self.pause_until_ms = now_ms + PAUSE_MS.max(pause_ms);
        let failed_before = self.failing.set(i64::from(done.is_err())) != 0;
        match done {
            Ok(done) => {
                self.saved = Some(position);
                self.bytes = done.bytes;
                if done.whole {
                    // The second one comes soon.
                    let first = self.whole_bytes == 0;
                    let after_ms = if first { 0 } else { WHOLE_MS };
                    self.whole_due_ms = clock::boottime_ms() + after_ms;
                    self.whole_bytes = done.bytes;
                }
                self.problem = None;
                if failed_before {
                    tracing::info!(folder = %self.folder.display(), "the snapshot is kept on disk again");
                }
            }
            Err(error) => {
                (self.wanted, self.pending) = (true, None);
                let saved = named(self.saved);
                let folder = self.folder.display();
                let message = format!(
                    "the snapshot cannot be kept in {folder}: {error}; restarted now, this edge begins with {saved}"
                );
                if !failed_before {
                    tracing::error!("{message}");
                }
                self.problem = Some(Problem::new(PATH, message));
            }
        }
    }
}

impl Pending {
    fn push(&mut self, frame: &Frame) {
        let is_beacon = |change: &Change| matches!(change, Change::Beacon(_));
        let light = frame.changes.iter().all(is_beacon);
        // Of two beacons in a row the later says it all.
        if self.light && light && !frame.changes.is_empty() {
            let before = self.frames.pop();
            self.bytes -= before.map_or(0, |before| before.len());
        }
        // What was read as a frame is written as one.
        let frame = serde_json::to_string(frame).unwrap_or_default();
        self.bytes += frame.len();
        self.light = light;
        self.frames.push(frame);
    }
}

fn named(saved: Option<Applied>) -> String {
    saved.map_or("nothing".to_owned(), |saved| {
        format!("revision {}", saved.revision)
    })
}
