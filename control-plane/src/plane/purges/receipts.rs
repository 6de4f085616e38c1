//! Receipts: how far a purge is at each edge, now or once that has changed.

use seawall_config::feed::BEACON_MS;
use seawall_config::{Revision, Token};
use serde::Serialize;

use crate::plane::records::Matched;
use crate::plane::state::State;
use crate::plane::{Plane, PlaneError};
use crate::receipt::{self, EdgeStanding, PurgeState};

/// The proof that a purge is complete, or how far it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PurgeReceipt {
    pub revision: Revision,
    /// What a client may carry to read its purge anywhere.
    pub token: Token,
    pub state: PurgeState,
    /// Nothing was purged: `matched` is what would be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
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

impl PurgeReceipt {
    /// Whether nothing that is awaited will change any more. Rule 6: a purge does not wait for counts; who only counts
    /// does.
    pub(in crate::plane) fn is_final(&self) -> bool {
        self.state != PurgeState::Pending && (self.counted || !self.dry_run)
    }

    /// Whether nothing in it will change any more.
    pub fn is_settled(&self) -> bool {
        self.state != PurgeState::Pending && self.counted
    }
}

impl Plane {
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

    /// How far it is once that is no longer as it was `last`, or as it is at `deadline_ms`.
    pub async fn next_receipt(
        &self,
        last: &PurgeReceipt,
        deadline_ms: u64,
    ) -> Result<PurgeReceipt, PlaneError> {
        self.receipt_when(last.revision, deadline_ms, |receipt| receipt != last)
            .await
    }

    /// The receipt once it is `enough`, or as it is at `deadline_ms`.
    pub(in crate::plane) async fn receipt_when(
        &self,
        revision: Revision,
        deadline_ms: u64,
        enough: impl Fn(&PurgeReceipt) -> bool,
    ) -> Result<PurgeReceipt, PlaneError> {
        let mut edges = self.signals.edges.subscribe();
        loop {
            edges.mark_unchanged();
            let (receipt, look_ms) = self.look(revision).await?;
            if enough(&receipt) || self.clock.now_ms() >= deadline_ms {
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

    /// What the state says now, and from when on a read may say more.
    fn judge(&self, revision: Revision) -> Result<(PurgeReceipt, Option<u64>), PlaneError> {
        let now_ms = self.clock.now_ms();
        judge(&self.state(), revision, now_ms).ok_or(PlaneError::NoSuchPurge(revision))
    }

    /// The store has it, and this plane has lost the store's log for the moment.
    pub(in crate::plane) fn unfollowed(&self, revision: Revision, dry_run: bool) -> PurgeReceipt {
        PurgeReceipt {
            revision,
            token: Token {
                epoch: self.epoch(),
                revision,
            },
            state: PurgeState::Pending,
            dry_run,
            counted: false,
            matched: None,
            edges: Vec::new(),
            warnings: vec!["this control plane lags behind the store: ask again".into()],
        }
    }
}

/// The receipt as it is, and from when on a linearizable read may say more. Pure.
pub(in crate::plane) fn judge(
    state: &State,
    purge: Revision,
    now_ms: u64,
) -> Option<(PurgeReceipt, Option<u64>)> {
    let record = &state.purges.get(purge)?.record;
    let parties: Vec<_> = state.fleet.parties().collect();
    let edges = parties.iter().map(|(registered, party)| {
        let id = &party.record.id;
        let (stopped_at, stances) = (party.applied.unwrap_or_default(), &state.stances);
        // Who only counts leaves nothing behind that could be served.
        let refused = !record.dry_run && stances.is_refused(&record.scopes, purge, &party.refused);
        receipt::Edge {
            applied: party.applied,
            registered: registered.revision,
            vouching: state.fleet.vouching(party),
            refused,
            may_serve: refused
                || !record.dry_run
                    && stopped_at < purge
                    && stances.may_serve(&record.scopes, stopped_at, purge),
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
        dry_run: record.dry_run,
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
        false => "nothing matched: no edge held an object of these scopes that is older; check host, scheme, path and query, \
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
