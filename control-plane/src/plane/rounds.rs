//! The task that writes renewals: one transaction for everyone who asked since the last one began.

use std::sync::Arc;

use bytes::Bytes;
use seawall_config::Revision;
use seawall_config::feed::{Heartbeat, Renewal};
use tokio::sync::{mpsc, oneshot};

use super::fleet::EDGES_MAX;
use super::records::{EdgeRecord, PlaneRecord, RefusalRecord, Registration, encode};
use super::state::State;
use super::{Plane, PlaneError};
use crate::keys;
use crate::renewal::{Batch, Verdict, judge};
use crate::store::{Commit, Txn, Write};

/// Heartbeats that wait to be renewed.
pub(super) const HEARD_MAX: usize = 4 * EDGES_MAX;
/// How often a round is planned anew: because records had to be read, or another plane was faster.
const ATTEMPTS_MAX: usize = 4;
/// Of one round, so that no transaction has more than 128 operations; the others wait for the next.
const REGISTRATIONS_MAX: usize = 50;
const COUNTS_MAX: usize = 50;
const COUNTS_BYTES_MAX: usize = 128 * 1024;
/// Of what one plane records of its edges; a transaction takes a megabyte.
const RECORD_BYTES_MAX: usize = 640 * 1024;

/// A heartbeat that waits for its answer.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) id: String,
    pub(super) heartbeat: Heartbeat,
    /// A receipt waits for it.
    pub(super) urgent: bool,
    pub(super) answer: oneshot::Sender<Result<Renewal, PlaneError>>,
}

/// What a round is to write, and what becomes of each heartbeat if it is written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) txn: Txn,
    /// The ids and boots it registers.
    registering: Vec<(String, String)>,
    pub(super) outcomes: Vec<Outcome>,
    /// Purges whose counts it stores.
    counts: Vec<Revision>,
    /// No verdict before the records of all planes have been read as of this time.
    pub(super) read_from_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Renewed,
    Refused(PlaneError),
    /// It waits for the next round.
    Later,
}

/// Until the plane stops.
pub(super) async fn run(plane: Arc<Plane>, mut heard: mpsc::Receiver<Heard>) {
    let mut batch = Batch::new();
    loop {
        let due = async {
            match batch.due_ms() {
                Some(due_ms) => plane.clock.reach(due_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = plane.stopping() => return,
            () = due => {
                // Whoever is here by now needs not wait for another round.
                while let Ok(one) = heard.try_recv() {
                    batch.hear(one, false);
                }
                let round = batch.begin(plane.clock.now_ms());
                for later in plane.renew(round).await {
                    batch.hear(later, true);
                }
            }
            Some(one) = heard.recv() => {
                let urgent = one.urgent;
                batch.hear(one, urgent);
            }
        }
    }
}

impl Plane {
    /// One round. Returns who has to wait for the next.
    async fn renew(&self, round: Vec<Heard>) -> Vec<Heard> {
        let (outcomes, head) = match self.write_round(&round).await {
            Ok(written) => written,
            Err(error) => (
                vec![Outcome::Refused(error); round.len()],
                Revision::default(),
            ),
        };
        let mut later = Vec::new();
        for (heard, outcome) in round.into_iter().zip(outcomes) {
            // Whoever went away before the answer is told with the next heartbeat.
            match outcome {
                Outcome::Renewed => {
                    let renewal = renewal(&self.state(), &heard.id, &heard.heartbeat, head);
                    drop(heard.answer.send(renewal));
                }
                Outcome::Refused(error) => {
                    self.note_refusal(&heard, &error);
                    drop(heard.answer.send(Err(error)));
                }
                Outcome::Later => later.push(heard),
            }
        }
        later
    }

    /// What becomes of each heartbeat, and the revision that renews.
    async fn write_round(&self, round: &[Heard]) -> Result<(Vec<Outcome>, Revision), PlaneError> {
        let mut is_sure = false;
        for _ in 0..ATTEMPTS_MAX {
            let now_ms = self.clock.now_ms();
            let said = round
                .iter()
                .map(|heard| (heard.id.as_str(), &heard.heartbeat));
            let plan = plan(&self.state(), &self.id, said, now_ms, self.clock.wall_ms());
            if let Some(from_ms) = plan.read_from_ms {
                self.read_records(from_ms).await?;
                continue;
            }
            if plan.refuses() && !is_sure {
                if !self.followed(self.head().await?).await {
                    return Err(lags());
                }
                is_sure = true;
                continue;
            }
            if plan.txn.writes.is_empty() {
                return Ok((plan.outcomes, Revision::default()));
            }
            match self.commit(plan.txn).await? {
                Commit::Done(revision) => {
                    self.state().tally.stored_ours(&plan.counts);
                    // The next round is planned with what this one wrote.
                    if !self.followed(revision).await {
                        return Err(lags());
                    }
                    self.hear_again(round, &plan.registering);
                    return Ok((plan.outcomes, revision));
                }
                // Another plane registered one of them first.
                Commit::Refused { revision, .. } => drop(self.followed(revision).await),
            }
        }
        Err(PlaneError::Busy)
    }

    /// What an edge said before it was registered went unheard.
    fn hear_again(&self, round: &[Heard], registered: &[(String, String)]) {
        let is_new = |heard: &&Heard| registered.iter().any(|(id, _)| *id == heard.id);
        for heard in round.iter().filter(is_new) {
            self.hear(&heard.id, &heard.heartbeat);
        }
    }

    /// Rule 5: shown and logged.
    fn note_refusal(&self, heard: &Heard, error: &PlaneError) {
        if let PlaneError::DuplicateEdge { id, .. } = error {
            let (boot, place) = (&heard.heartbeat.boot, &heard.heartbeat.place);
            let record = RefusalRecord {
                boot: boot.clone(),
                place: place.clone(),
            };
            let now_ms = self.clock.now_ms();
            let mut state = self.state();
            // Said once, while it goes on.
            if state.fleet.refusal(id, now_ms).is_none() {
                tracing::warn!(edge = id, boot, place, "refused: {error}");
            }
            state.fleet.refused(id, record, now_ms);
            drop(state);
            self.metrics.edges_refused.inc();
            self.signals.edges.send_replace(());
        }
    }
}

fn lags() -> PlaneError {
    PlaneError::Unavailable("this plane lags behind it".into())
}

/// What a heartbeat is answered that was renewed at `head`. Whoever was deregistered meanwhile is not in the receipts
/// again before it has registered again.
pub(super) fn renewal(
    state: &State,
    id: &str,
    heartbeat: &Heartbeat,
    head: Revision,
) -> Result<Renewal, PlaneError> {
    let holder = state.fleet.holder(id);
    let registered = holder
        .filter(|holder| holder.boot == heartbeat.boot)
        .map(|holder| holder.registered);
    match registered {
        Some(_) => Ok(Renewal { head, registered }),
        None => Err(PlaneError::Busy),
    }
}

/// `round`: who said what. Pure.
pub(super) fn plan<'a>(
    state: &State,
    me: &str,
    round: impl IntoIterator<Item = (&'a str, &'a Heartbeat)>,
    now_ms: u64,
    wall_ms: u64,
) -> Plan {
    let mut plan = Plan::default();
    let mut record: Vec<EdgeRecord> = state.fleet.of_plane(me).cloned().collect();
    // Another number than any before: that is how others know a renewal.
    let newest_ms = record
        .iter()
        .map(|entry| entry.at_ms)
        .max()
        .unwrap_or_default();
    let at_ms = wall_ms.max(newest_ms + 1);
    for (id, heartbeat) in round {
        let outcome = plan.decide(state, id, heartbeat, now_ms, wall_ms);
        if let Outcome::Renewed = outcome {
            record.retain(|entry| entry.id != id);
            record.push(EdgeRecord::new(id, heartbeat, at_ms));
        }
        plan.outcomes.push(outcome);
    }
    if plan
        .outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Renewed))
    {
        plan.txn
            .writes
            .push(Write::Put(keys::plane(me), encode_bounded(record)));
        plan.store_counts(state, me);
    }
    plan
}

impl Plan {
    /// Rule 5: whoever is refused takes it that receipts wait for its id, and may serve. Only a plane that has followed
    /// all there was when the heartbeat came can say so: the id may have been deregistered meanwhile.
    pub(super) fn refuses(&self) -> bool {
        let is_duplicate = |outcome: &Outcome| {
            matches!(outcome, Outcome::Refused(PlaneError::DuplicateEdge { .. }))
        };
        self.outcomes.iter().any(is_duplicate)
    }

    /// What becomes of one heartbeat; if that is a registration, it is written.
    fn decide(
        &mut self,
        state: &State,
        id: &str,
        heartbeat: &Heartbeat,
        now_ms: u64,
        wall_ms: u64,
    ) -> Outcome {
        if let Some((_, boot)) = self.registering.iter().find(|(of, _)| of == id) {
            // Two boots of one id in one round: the first holds it, and the other is judged in the next.
            return if *boot == heartbeat.boot {
                Outcome::Renewed
            } else {
                Outcome::Later
            };
        }
        let holder = state.fleet.holder(id);
        let guard = match judge(&heartbeat.boot, holder, now_ms) {
            Verdict::Renew => return Outcome::Renewed,
            Verdict::Register if state.fleet.is_full() => {
                let message = format!(
                    "{EDGES_MAX} edges are registered, and that is all there can be: deregister those that are gone"
                );
                return Outcome::Refused(PlaneError::Full(message));
            }
            Verdict::Register | Verdict::Supersede => state.unchanged(keys::edge(id)),
            Verdict::ReadFirst => {
                let from_ms = holder.map(|holder| holder.vouching.ends_ms());
                self.read_from_ms = self.read_from_ms.max(from_ms);
                return Outcome::Later;
            }
            Verdict::Refuse { for_ms } => {
                let holder = holder
                    .map(|holder| holder.boot.to_owned())
                    .unwrap_or_default();
                return Outcome::Refused(PlaneError::DuplicateEdge {
                    id: id.to_owned(),
                    holder,
                    for_ms,
                });
            }
        };
        if self.registering.len() >= REGISTRATIONS_MAX {
            return Outcome::Later;
        }
        self.registering
            .push((id.to_owned(), heartbeat.boot.clone()));
        self.txn.guards.push(guard);
        let before = state
            .fleet
            .registered(id)
            .map(|before| before.registration.first_seen_ms);
        let registration = Registration {
            boot: heartbeat.boot.clone(),
            place: heartbeat.place.clone(),
            first_seen_ms: before.unwrap_or(wall_ms),
        };
        self.txn
            .writes
            .push(Write::Put(keys::edge(id), encode(&registration)));
        Outcome::Renewed
    }

    fn store_counts(&mut self, state: &State, me: &str) {
        let mut bytes = 0;
        for (purge, record) in state.tally.unstored().take(COUNTS_MAX) {
            let value = encode(&record);
            bytes += value.len();
            if bytes > COUNTS_BYTES_MAX {
                break;
            }
            self.counts.push(purge);
            self.txn
                .writes
                .push(Write::Put(keys::counted(purge, me), value));
        }
    }
}

/// Renewals matter more than what edges complain about, of themselves and of origins.
fn encode_bounded(mut record: Vec<EdgeRecord>) -> Bytes {
    let mut value = encode(&PlaneRecord(record.clone()));
    if value.len() > RECORD_BYTES_MAX {
        record.iter_mut().for_each(|entry| {
            entry.problems.clear();
            entry.origins.clear();
        });
        value = encode(&PlaneRecord(record));
    }
    value
}
