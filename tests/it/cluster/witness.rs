//! Follows the feed of each control plane while things break, and tells at the end whether one left out a revision that
//! another told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// A follower asks anew after so long, and so resumes again and again.
const FOLLOW_S: &str = "5";
/// A control plane that was killed takes no connection for a while.
const AGAIN: Duration = Duration::from_millis(100);

/// How a control plane is asked.
#[derive(Clone)]
pub struct Asked {
    pub url: String,
    pub token: String,
    pub ca: String,
}

pub struct Witnesses {
    stop: Arc<AtomicBool>,
    all: Vec<JoinHandle<Seen>>,
}

/// An epoch and a revision.
type Place = (u64, u64);

/// What one of them saw.
#[derive(Default)]
struct Seen {
    changes: BTreeMap<Place, Value>,
    /// Everything after the first and up to the second was followed without a gap.
    spans: Vec<(Place, Place)>,
}

impl Witnesses {
    pub fn start(planes: impl IntoIterator<Item = Asked>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let all = planes.into_iter().map(|plane| {
            let stop = stop.clone();
            thread::spawn(move || Seen::follow(&plane, &stop))
        });
        Self {
            all: all.collect(),
            stop,
        }
    }

    /// Ends them: how many revisions more than one of them has told, all of them alike.
    pub fn agree(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let all: Vec<_> = self.all.into_iter().map(|it| it.join().unwrap()).collect();
        let mut compared = 0;
        for (n, one) in all.iter().enumerate() {
            for (m, other) in all.iter().enumerate().filter(|(m, _)| *m != n) {
                for (place, changes) in one.changes.iter().filter(|(at, _)| other.followed(**at)) {
                    let told = other.changes.get(place);
                    assert_eq!(Some(changes), told, "{place:?}: {n} told, {m} did not");
                    compared += 1;
                }
            }
        }
        compared
    }
}

impl Seen {
    fn follow(plane: &Asked, stop: &AtomicBool) -> Self {
        let mut seen = Self::default();
        while !stop.load(Ordering::Relaxed) {
            let Some(begin) = plane.snapshot() else {
                thread::sleep(AGAIN);
                continue;
            };
            seen.spans.push((begin, begin));
            while !stop.load(Ordering::Relaxed) && seen.resume(plane) {}
        }
        seen
    }

    /// False: this control plane cannot go on from here.
    fn resume(&mut self, plane: &Asked) -> bool {
        let Some((_, reached)) = self.spans.last_mut() else {
            return false;
        };
        let path = format!("/v1/feed?after={}-{}", reached.0, reached.1);
        let mut curl = plane.curl(&path, FOLLOW_S);
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let (mut begun, mut refused) = (false, false);
        for line in BufReader::new(curl.stdout.take().unwrap()).lines() {
            let Ok(frame) = serde_json::from_str::<Value>(&line.unwrap()) else {
                continue;
            };
            refused |= frame["status"] == 410;
            let (Some(epoch), Some(revision)) =
                (frame["epoch"].as_u64(), frame["revision"].as_u64())
            else {
                continue;
            };
            begun = true;
            let at = (epoch, revision);
            // Without changes it is the news that the store has come so far, which may be old.
            if frame["changes"].is_array() {
                assert!(*reached < at, "{reached:?}: {frame}");
                self.changes.insert(at, frame["changes"].clone());
            }
            *reached = at.max(*reached);
        }
        curl.wait().unwrap();
        if !begun {
            thread::sleep(AGAIN);
        }
        !refused
    }

    fn followed(&self, at: Place) -> bool {
        let mut spans = self.spans.iter();
        spans.any(|(begin, reached)| *begin < at && at <= *reached)
    }
}

impl Asked {
    fn curl(&self, path: &str, seconds: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--max-time", seconds])
            .args(["--cacert", &self.ca])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .arg(format!("{}{path}", self.url));
        curl
    }

    fn snapshot(&self) -> Option<Place> {
        let output = self.curl("/v1/snapshot", "5").output().unwrap();
        let snapshot: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some((snapshot["epoch"].as_u64()?, snapshot["revision"].as_u64()?))
    }
}
