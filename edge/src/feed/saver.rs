//! Keeping what is followed on disk: never more often than needed, never on the threads that serve, and
//! again after a failure. Traffic does not notice any of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use seawall_config::Problem;
use seawall_config::feed::Applied;
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

pub struct Saver {
    folder: PathBuf,
    /// More than the position has changed since the last save began.
    wanted: bool,
    saved: Option<Applied>,
    /// No save begins before, by CLOCK_BOOTTIME.
    pause_until_ms: u64,
    position_due_ms: u64,
    running: Option<Running>,
    /// 1 while the newest save has failed.
    failing: Gauge,
    /// What was found at the start, or why the newest save failed; none once there is a new generation.
    problem: Option<Problem>,
}

struct Running {
    position: Applied,
    /// How long it took, in milliseconds.
    done: JoinHandle<io::Result<u64>>,
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
            wanted: false,
            saved,
            pause_until_ms: 0,
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
        let done = tokio::task::spawn_blocking(move || {
            let began_ms = clock::boottime_ms();
            disk::save(&folder, &generation)?;
            Ok(clock::boottime_ms() - began_ms)
        });
        self.running = Some(Running { position, done });
    }

    fn finished(&mut self, position: Applied, done: io::Result<u64>) {
        let took_ms = *done.as_ref().unwrap_or(&0);
        self.pause_until_ms =
            clock::boottime_ms() + PAUSE_MS.max(took_ms.saturating_mul(PAUSE_TIMES));
        let failed_before = self.failing.set(i64::from(done.is_err())) != 0;
        match done {
            Ok(_) => {
                self.saved = Some(position);
                self.problem = None;
                if failed_before {
                    tracing::info!(folder = %self.folder.display(), "the snapshot is kept on disk again");
                }
            }
            Err(error) => {
                self.wanted = true;
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

fn named(saved: Option<Applied>) -> String {
    saved.map_or("nothing".to_owned(), |saved| {
        format!("revision {}", saved.revision)
    })
}
