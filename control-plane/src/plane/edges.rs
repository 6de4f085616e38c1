//! Edges: what they say, who is there, and who is no more.

use std::time::Duration;

use seawall_config::feed::{EdgeState, HEARTBEAT_MS, Heartbeat, Renewal};
use seawall_config::{Epoch, Problem, Problems, Revision, roles};
use serde::Serialize;
use tokio::sync::oneshot;

use super::fleet::{Party, Registered};
use super::records::RefusalRecord;
use super::refusals::Refusal;
use super::rounds::Heard;
use super::{Plane, PlaneError};
use crate::keys;
use crate::store::{Commit, Guard, Txn, Write};

/// Bytes of a name an edge gives: of its boot, its place, its version.
const NAME_BYTES_MAX: usize = 64;
/// Counts one heartbeat may bring.
const COUNTED_MAX: usize = 1_000;
/// An edge that has missed two heartbeats is silent.
const SILENT_MS_MAX: u64 = 3 * HEARTBEAT_MS;
/// Longer than a write of renewals and its reads may take.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(20);

/// `GET /v1/edges`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgesStatus {
    pub epoch: Epoch,
    /// How far this plane has followed the store; what is newer it does not know yet.
    pub revision: Revision,
    /// Why what follows may be out of date: the store does not answer.
    pub problem: Option<String>,
    /// Those of all planes.
    pub edges: Vec<EdgeStatus>,
}

/// One registered edge, as this plane knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgeStatus {
    pub id: String,
    pub place: String,
    pub boot: String,
    /// What it says of itself; `fenced` also when it has not been renewed for too long.
    pub state: EdgeState,
    /// In this plane's epoch; None before an edge has followed it.
    pub applied: Option<Revision>,
    /// How old the newest beacon was that it has, as it says; once it is silent, what passed since as well.
    pub lag_ms: Option<u64>,
    /// Since a plane renewed it last.
    pub silent_ms: u64,
    pub version: String,
    pub problems: Vec<Problem>,
    /// Milliseconds since 1970, by the clock of the plane that registered it.
    pub first_seen_ms: u64,
}

impl Plane {
    /// Hears what an edge says, and answers once a write that began after that has been committed.
    pub async fn heartbeat(&self, id: &str, heartbeat: Heartbeat) -> Result<Renewal, PlaneError> {
        check(id, &heartbeat)?;
        if let Some(applied) = heartbeat
            .applied
            .filter(|applied| applied.epoch == self.epoch())
        {
            // What a restored backup has lost must not count as applied when its numbers come again.
            self.must_exist(applied.revision).await?;
        }
        let urgent = self.hear(id, &heartbeat);
        let (answer, answered) = oneshot::channel();
        let heard = Heard {
            id: id.to_owned(),
            heartbeat,
            urgent,
            answer,
        };
        self.rounds.try_send(heard).map_err(|_| PlaneError::Busy)?;
        match tokio::time::timeout(RENEWAL_TIMEOUT, answered).await {
            Ok(Ok(renewal)) => renewal,
            Ok(Err(_)) => Err(PlaneError::Unavailable("the control plane stops".into())),
            Err(_) => Err(PlaneError::Unavailable(
                "no renewal could be written in time".into(),
            )),
        }
    }

    /// Everyone who is registered, in the order of ids.
    pub fn edges(&self) -> EdgesStatus {
        let now_ms = self.clock.now_ms();
        let state = self.state();
        let edges = state.fleet.parties().map(|(registered, party)| {
            let refusal = state.fleet.refusal(&party.record.id, now_ms);
            let mut status = status(registered, party, now_ms);
            status.problems.extend(refusal.map(duplicate));
            status
        });
        EdgesStatus {
            epoch: state.epoch,
            revision: state.followed,
            problem: self.ready().err(),
            edges: edges.collect(),
        }
    }

    /// The operator says that an edge is gone for good, and is believed: receipts no longer wait for it.
    /// One that runs on registers again with its next heartbeat, and until then no receipt speaks for it.
    pub async fn deregister(&self, id: &str) -> Result<Revision, PlaneError> {
        let key = keys::edge(id);
        let view = self.read(&key).await?;
        let Some(there) = view.entries.iter().find(|entry| entry.key == key) else {
            return Err(PlaneError::NoSuchEdge(id.to_owned()));
        };
        let txn = Txn {
            guards: vec![Guard::ChangedAt(key.clone(), there.changed)],
            writes: vec![Write::Delete(key)],
        };
        match self
            .commit(txn)
            .await
            .map_err(|error| PlaneError::writing(id, error))?
        {
            Commit::Done(revision) => {
                self.followed(revision).await;
                tracing::info!(edge = id, "deregistered");
                Ok(revision)
            }
            // It registered anew in between, so it is not gone.
            Commit::Refused { .. } => Err(PlaneError::Busy),
        }
    }

    /// Rule 1: it counts at once. Whether a receipt waits for it.
    pub(super) fn hear(&self, id: &str, heartbeat: &Heartbeat) -> bool {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        if state
            .fleet
            .holder(id)
            .is_none_or(|holder| holder.boot != heartbeat.boot)
        {
            return false;
        }
        let moved = state.fleet.hear(id, heartbeat);
        if let Some(moved) = &moved {
            state.moved(moved, now_ms);
        }
        for counted in &heartbeat.counted {
            state.tally.heard(id, counted);
        }
        let urgent = moved.is_some_and(|moved| state.purges.is_awaited(&moved));
        drop(state);
        self.signals.edges.send_replace(());
        urgent
    }
}

fn status(registered: &Registered, party: &Party, now_ms: u64) -> EdgeStatus {
    let (record, silent_ms) = (party.record.clone(), party.silent_ms(now_ms));
    EdgeStatus {
        state: party.state(now_ms),
        id: record.id,
        place: record.place,
        boot: record.boot,
        applied: party.applied,
        lag_ms: record.lag_ms.map(|said_ms| lag_ms(said_ms, silent_ms)),
        silent_ms,
        version: record.version,
        problems: record.problems,
        first_seen_ms: registered.registration.first_seen_ms,
    }
}

/// Nobody knows how far an edge is that says nothing: as far as it was, is the safe assumption.
fn lag_ms(said_ms: u64, silent_ms: u64) -> u64 {
    match silent_ms > SILENT_MS_MAX {
        true => said_ms.saturating_add(silent_ms),
        false => said_ms,
    }
}

fn duplicate(refusal: &Refusal) -> Problem {
    let RefusalRecord { boot, place } = &refusal.record;
    let message = format!(
        "another start of this edge, {boot:?} in {place:?}, is refused while this one may still vouch: \
         it was restarted, or two machines have one id"
    );
    Problem::new("id", message)
}

fn check(id: &str, heartbeat: &Heartbeat) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if let Err(message) = roles::edge_id(id) {
        problems.add("id", message);
    }
    let names = [
        ("boot", &heartbeat.boot),
        ("place", &heartbeat.place),
        ("version", &heartbeat.version),
    ];
    for (path, text) in names {
        let fine = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
        if !fine {
            problems.add(
                path,
                format!("1 to {NAME_BYTES_MAX} visible ASCII characters"),
            );
        }
    }
    if heartbeat.counted.len() > COUNTED_MAX {
        problems.add(
            "counted",
            format!("more than {COUNTED_MAX}: send the rest with the next heartbeat"),
        );
    }
    problems.or(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_config::Revision;
    use seawall_config::feed::{Counted, Load};

    #[test]
    fn an_edge_is_not_trusted_to_be_brief() {
        let fine = Heartbeat {
            boot: "b".into(),
            place: "p".into(),
            version: "1".into(),
            state: EdgeState::Live,
            applied: None,
            lag_ms: None,
            problems: Vec::new(),
            refused: Vec::new(),
            load: Load::default(),
            counted: Vec::new(),
            origins: Vec::new(),
        };
        let check = |id: &str, heartbeat: &Heartbeat, expect: &[&str]| {
            let found = check(id, heartbeat).err().unwrap_or_default();
            let paths: Vec<_> = found
                .0
                .iter()
                .map(|problem| problem.path.as_str())
                .collect();
            assert_eq!(paths, expect, "{id} {heartbeat:?}");
        };
        check("e1", &fine, &[]);
        check("../e", &fine, &["id"]);
        check(
            "e1",
            &Heartbeat {
                boot: String::new(),
                ..fine.clone()
            },
            &["boot"],
        );
        check(
            "e1",
            &Heartbeat {
                place: "a\nb".into(),
                ..fine.clone()
            },
            &["place"],
        );
        check(
            "e1",
            &Heartbeat {
                version: "v".repeat(65),
                ..fine.clone()
            },
            &["version"],
        );
        let counted = Counted {
            revision: Revision(1),
            objects: 0,
            bytes: 0,
        };
        let counted = vec![counted; COUNTED_MAX + 1];
        check("e1", &Heartbeat { counted, ..fine }, &["counted"]);
    }
}
