//! Purges: written as one transaction each, so that the revision is their order; and their receipts.

use std::time::Duration;

use seawall_config::feed::BEACON_MS;
use seawall_config::scope::PurgeRequest;
use seawall_config::{Problems, Revision, Token};
use serde::Serialize;

use super::records::{Matched, PurgeRecord, encode};
use super::state::State;
use super::{Plane, PlaneError, random_id};
use crate::clock::millis;
use crate::keys;
use crate::receipt::{self, EdgeStanding, PurgeState};
use crate::store::{Commit, Guard, StoreError, Txn, Write};

/// Purges whose senders wait for them to be complete.
pub(super) const WAITS_MAX: usize = 256;

/// How often a write is sent whose outcome the store does not tell.
const WRITES_MAX: usize = 3;

/// When a purge is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Once it is durable and has its place in the order.
    Accepted,
    /// Once every edge has applied it or is fenced, or after this long.
    Complete(Duration),
}

/// The proof that a purge is complete, or how far it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PurgeReceipt {
    pub revision: Revision,
    /// What a client may carry to read its purge anywhere.
    pub token: Token,
    pub state: PurgeState,
    /// Whether every edge that applied it has said what it matched.
    pub counted: bool,
    /// In all; None until `counted`.
    pub matched: Option<Matched>,
    /// In the order of ids.
    pub edges: Vec<EdgeReceipt>,
    pub warnings: Vec<String>,
}

/// How far a purge is at one edge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgeReceipt {
    pub id: String,
    pub place: String,
    pub state: EdgeStanding,
    /// The newest revision it has applied.
    pub applied: Option<Revision>,
    /// From the purge's acceptance until this plane heard that it was applied there, in milliseconds. None
    /// where that was before this plane or the edge started.
    pub ms: Option<u64>,
    pub matched: Option<Matched>,
}

impl Plane {
    /// Purges, and answers when `wait` says.
    pub async fn purge(
        &self,
        request: &PurgeRequest,
        wait: Wait,
    ) -> Result<PurgeReceipt, PlaneError> {
        let scopes = request.check()?;
        if request.dry_run {
            let message = "not supported yet: leave it out, and the purge is carried out";
            return Err(PlaneError::invalid("dry_run", message));
        }
        self.sites_exist(&request.sites).await?;
        let _slot = match wait {
            Wait::Accepted => None,
            Wait::Complete(_) => Some(self.waits.try_acquire().map_err(|_| PlaneError::Busy)?),
        };
        let began_ms = self.clock.now_ms();
        let awaited = matches!(wait, Wait::Complete(_));
        let (mode, at_ms) = (request.mode, self.clock.wall_ms());
        let record = PurgeRecord {
            scopes,
            mode,
            at_ms,
            awaited,
        };
        let revision = self.write_purge(&record).await?;
        let (first, count) = (
            record.scopes.first().map(ToString::to_string),
            record.scopes.len(),
        );
        tracing::info!(%revision, ?mode, first, count, "purge accepted");
        self.metrics.purged(mode);
        if !self.followed(revision).await {
            return Ok(self.unfollowed(revision));
        }
        let Wait::Complete(timeout) = wait else {
            return self.receipt(revision).await;
        };
        let receipt = self
            .completed(revision, began_ms.saturating_add(millis(timeout)))
            .await?;
        if receipt.state == PurgeState::Complete {
            self.metrics
                .completed(self.clock.now_ms().saturating_sub(began_ms));
        }
        Ok(receipt)
    }

    /// How far a purge is now.
    pub async fn receipt(&self, revision: Revision) -> Result<PurgeReceipt, PlaneError> {
        // It may have been sent to another plane just now.
        self.must_exist(revision)
            .await
            .map_err(|error| match error {
                PlaneError::HistoryDiffers => PlaneError::NoSuchPurge(revision),
                other => other,
            })?;
        Ok(self.look(revision).await?.0)
    }

    /// The receipt once it is no longer pending, or as it is at `deadline_ms`.
    async fn completed(
        &self,
        revision: Revision,
        deadline_ms: u64,
    ) -> Result<PurgeReceipt, PlaneError> {
        let mut edges = self.signals.edges.subscribe();
        loop {
            edges.mark_unchanged();
            let (receipt, look_ms) = self.look(revision).await?;
            if receipt.state != PurgeState::Pending || self.clock.now_ms() >= deadline_ms {
                return Ok(receipt);
            }
            tokio::select! {
                _ = edges.changed() => {}
                () = self.clock.reach(look_ms.min(deadline_ms)) => {}
                () = self.stopping() => return Ok(receipt),
            }
        }
    }

    /// The receipt as it is, and when time alone may change it.
    async fn look(&self, revision: Revision) -> Result<(PurgeReceipt, u64), PlaneError> {
        let now_ms = self.clock.now_ms();
        let (receipt, read_due_ms) = self.judge(revision)?;
        // Rule 3: only a linearizable read makes a silent edge a fenced one.
        let Some(due_ms) = read_due_ms.filter(|due_ms| *due_ms <= now_ms) else {
            return Ok((receipt, read_due_ms.unwrap_or(u64::MAX)));
        };
        if let Err(error) = self.read_records(due_ms).await {
            tracing::debug!(%error, "no receipt can call a silent edge fenced for now");
            return Ok((receipt, now_ms + BEACON_MS));
        }
        let (receipt, read_due_ms) = self.judge(revision)?;
        Ok((receipt, read_due_ms.unwrap_or(u64::MAX)))
    }

    /// One transaction; its revision.
    async fn write_purge(&self, record: &PurgeRecord) -> Result<Revision, PlaneError> {
        let id = random_id();
        let key = keys::purge(&id);
        let mut is_unknown = false;
        let txn = Txn {
            guards: vec![Guard::Absent(key.clone())],
            writes: vec![Write::Put(key.clone(), encode(record))],
        };
        // It may be sent again: its id makes that no second purge, and only a write can say that an earlier one will
        // not be done after all.
        for _ in 0..WRITES_MAX {
            match self.commit(txn.clone()).await {
                Ok(Commit::Done(revision)) => return Ok(revision),
                // Nobody else makes this id, so it was written and the answer was lost on its way.
                Ok(Commit::Refused { found, .. }) => {
                    let created = found.first().map(|entry| entry.created);
                    return created.ok_or(PlaneError::OutcomeUnknown { id });
                }
                Err(StoreError::OutcomeUnknown(_)) => is_unknown = true,
                Err(error) if !is_unknown => return Err(error.into()),
                Err(_) => {}
            }
        }
        Err(PlaneError::OutcomeUnknown { id })
    }

    async fn sites_exist(&self, names: &[String]) -> Result<(), PlaneError> {
        if names
            .iter()
            .all(|name| self.state().sites.contains_key(name))
        {
            return Ok(());
        }
        // One that is not here yet may have been put through another plane.
        let view = self.read(keys::SITES).await?;
        let mut problems = Problems::default();
        for (i, name) in names.iter().enumerate() {
            let key = keys::site(name);
            if !view.entries.iter().any(|entry| entry.key == key) {
                problems.add(format!("sites[{i}]"), format!("no site is named {name:?}"));
            }
        }
        Ok(problems.or(())?)
    }

    /// What the state says now, and from when on a read may say more.
    fn judge(&self, revision: Revision) -> Result<(PurgeReceipt, Option<u64>), PlaneError> {
        let now_ms = self.clock.now_ms();
        judge(&self.state(), revision, now_ms).ok_or(PlaneError::NoSuchPurge(revision))
    }

    /// The store has it, and this plane has lost the store's log for the moment.
    fn unfollowed(&self, revision: Revision) -> PurgeReceipt {
        PurgeReceipt {
            revision,
            token: Token {
                epoch: self.epoch(),
                revision,
            },
            state: PurgeState::Pending,
            counted: false,
            matched: None,
            edges: Vec::new(),
            warnings: vec!["this control plane lags behind the store: ask again".into()],
        }
    }
}

fn judge(state: &State, purge: Revision, now_ms: u64) -> Option<(PurgeReceipt, Option<u64>)> {
    let record = &state.purges.get(purge)?.record;
    let parties: Vec<_> = state.fleet.parties().collect();
    let edges = parties.iter().map(|(registered, party)| {
        let id = &party.record.id;
        let (stopped_at, stances) = (party.applied.unwrap_or_default(), &state.stances);
        let refused = stances.is_refused(&record.scopes, purge, &party.refused);
        receipt::Edge {
            applied: party.applied,
            registered: registered.revision,
            vouching: state.fleet.vouching(party),
            refused,
            may_serve: refused
                || stopped_at < purge && state.stances.may_serve(&record.scopes, stopped_at),
            matched: state.tally.said(purge, id).matched,
        }
    });
    let judgement = receipt::judge(purge, &edges.collect::<Vec<_>>());
    let epoch = state.epoch;
    let edges = parties
        .iter()
        .zip(judgement.edges)
        .filter_map(|((_, party), standing)| {
            let said = state.tally.said(purge, &party.record.id);
            Some(EdgeReceipt {
                id: party.record.id.clone(),
                place: party.record.place.clone(),
                state: standing?,
                applied: party.applied,
                ms: said.ms,
                matched: said.matched,
            })
        });
    let receipt = PurgeReceipt {
        revision: purge,
        token: Token {
            epoch,
            revision: purge,
        },
        state: judgement.state,
        counted: judgement.matched.is_some(),
        matched: judgement.matched,
        edges: edges.collect(),
        warnings: Vec::new(),
    };
    let mut warnings = warnings(&receipt);
    let doubled = |edge: &&EdgeReceipt| {
        edge.state == EdgeStanding::Pending && state.fleet.refusal(&edge.id, now_ms).is_some()
    };
    warnings.extend(named(
        &receipt,
        doubled,
        "is pending while another machine uses its id",
    ));
    Some((
        PurgeReceipt {
            warnings,
            ..receipt
        },
        judgement.read_due_ms,
    ))
}

fn warnings(receipt: &PurgeReceipt) -> Vec<String> {
    let nothing = receipt.matched == Some(Matched::default());
    let nothing = nothing.then(|| match receipt.edges.is_empty() {
        true => "nothing matched: no edge is registered".to_owned(),
        false => "nothing matched: no edge held an object of these scopes; check host, scheme, path and query, \
                  and how tags are spelt"
            .to_owned(),
    });
    let refused = named(
        receipt,
        |edge| edge.state == EdgeStanding::Refused,
        "refuses the newest version of a site that this purge covers, and answers with an older one: see its problems",
    );
    nothing.into_iter().chain(refused).collect()
}

/// One warning for all edges of a kind.
fn named(
    receipt: &PurgeReceipt,
    is_meant: impl Fn(&&EdgeReceipt) -> bool,
    what: &str,
) -> Option<String> {
    let ids: Vec<_> = receipt
        .edges
        .iter()
        .filter(is_meant)
        .map(|edge| edge.id.as_str())
        .collect();
    let (first, others) = ids.split_first()?;
    Some(match others.len() {
        0 => format!("edge {first} {what}"),
        others => format!("edge {first} {what}; and {others} more"),
    })
}
