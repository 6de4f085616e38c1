//! The receipt of a purge: which edges have applied it, which may no longer vouch, and what follows.
//! Pure: what is known of the edges in, states out. The rules are those of ARCHITECTURE.md,
//! "Vouching, fencing, receipts".

use seawall_config::Revision;
use serde::Serialize;

use crate::plane::Matched;
use crate::renewal::Vouching;

/// One boot of an edge, as this plane knows it now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// The newest revision it says it has applied, in the store's epoch.
    pub(crate) applied: Option<Revision>,
    /// The revision that registered it.
    pub(crate) registered: Revision,
    pub(crate) vouching: Vouching,
    /// It refuses the newest document of a site that the purge covers, and does as an older one says.
    pub(crate) refused: bool,
    /// Whether, cut off, it goes on serving some site that the purge covers: judged by the
    /// configuration of the last revision it acknowledged.
    pub(crate) may_serve: bool,
    /// What it counted, once it has.
    pub(crate) matched: Option<Matched>,
}

/// How far the purge is at one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeStanding {
    Applied,
    Pending,
    /// It has been cut off for so long that it may not vouch for what it holds.
    Fenced,
    /// It has applied the purge, and refuses the newest document of a site that the purge covers: an older one
    /// says what is fetched, and which hosts are whose.
    Refused,
}

/// How far the purge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeState {
    Pending,
    /// No edge vouches for what it covers.
    Complete,
    /// Every edge that can be reached has applied it; a fenced one may still serve old copies, and one that refused
    /// does as an older configuration says.
    CompleteReachable,
}

/// The states, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) state: PurgeState,
    /// One for each edge; None where the receipt is not about it.
    pub(crate) edges: Vec<Option<EdgeStanding>>,
    /// Rule 6: what was matched in all; None until every edge that applied it has counted.
    pub(crate) matched: Option<Matched>,
    /// From when on a linearizable read may turn a pending edge into a fenced one.
    pub(crate) read_due_ms: Option<u64>,
}

pub(crate) fn judge(purge: Revision, edges: &[Edge]) -> Judgement {
    let standings: Vec<_> = edges.iter().map(|edge| standing(purge, edge)).collect();
    let is_pending = |standing: &Option<EdgeStanding>| *standing == Some(EdgeStanding::Pending);
    let both = || edges.iter().zip(&standings);
    // Rule 3: a fenced edge counts as complete only where it would not go on serving.
    let may_serve = both().any(|(edge, standing)| match standing {
        Some(EdgeStanding::Fenced) => edge.may_serve,
        Some(EdgeStanding::Refused) => true,
        _ => false,
    });
    let state = match (standings.iter().any(is_pending), may_serve) {
        (true, _) => PurgeState::Pending,
        (false, true) => PurgeState::CompleteReachable,
        (false, false) => PurgeState::Complete,
    };
    let matched = match state {
        PurgeState::Pending => None,
        _ => both()
            .filter(|(_, standing)| {
                matches!(
                    standing,
                    Some(EdgeStanding::Applied | EdgeStanding::Refused)
                )
            })
            .try_fold(Matched::default(), |sum, (edge, _)| {
                edge.matched.map(|matched| sum.plus(matched))
            }),
    };
    let silent = both().filter(|(_, standing)| is_pending(standing));
    let read_due_ms = silent.map(|(edge, _)| edge.vouching.ends_ms()).min();
    Judgement {
        state,
        edges: standings,
        matched,
        read_due_ms,
    }
}

fn standing(purge: Revision, edge: &Edge) -> Option<EdgeStanding> {
    if edge.applied.is_some_and(|applied| applied >= purge) {
        return Some(match edge.refused {
            true => EdgeStanding::Refused,
            false => EdgeStanding::Applied,
        });
    }
    // Rule 2: one that registered after the purge vouches only from a revision later than it. But where it serves without
    // vouching, it may have begun to before it could register.
    if edge.registered > purge && !edge.may_serve {
        return None;
    }
    Some(match edge.vouching.ended() {
        true => EdgeStanding::Fenced,
        false => EdgeStanding::Pending,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::FENCED_AFTER_MS;
    use EdgeStanding::{Applied, Fenced, Pending, Refused};
    use PurgeState::{Complete, CompleteReachable};

    const PURGE: Revision = Revision(100);

    /// An edge that registered long ago, was renewed at 0 and is behind.
    const BEHIND: Edge = Edge {
        applied: Some(Revision(99)),
        registered: Revision(1),
        vouching: Vouching {
            renewed_ms: 0,
            read_ms: None,
        },
        refused: false,
        may_serve: true,
        matched: None,
    };
    const DONE: Edge = Edge {
        applied: Some(PURGE),
        ..BEHIND
    };
    const GONE: Edge = Edge {
        vouching: Vouching {
            renewed_ms: 0,
            read_ms: Some(FENCED_AFTER_MS),
        },
        ..BEHIND
    };

    #[test]
    fn a_receipt_obeys_the_rules() {
        let check =
            |rule: &str, edges: &[Edge], state: PurgeState, expect: &[Option<EdgeStanding>]| {
                let judgement = judge(PURGE, edges);
                assert_eq!(
                    (judgement.state, &judgement.edges[..]),
                    (state, expect),
                    "{rule}"
                );
            };
        let pending = PurgeState::Pending;
        check("no edge: nothing vouches", &[], Complete, &[]);
        check(
            "1: applied counts when heard",
            &[DONE],
            Complete,
            &[Some(Applied)],
        );
        let later = Edge {
            applied: Some(Revision(101)),
            ..BEHIND
        };
        check(
            "1: later is applied, too",
            &[later],
            Complete,
            &[Some(Applied)],
        );
        let none = Edge {
            applied: None,
            ..BEHIND
        };
        check("1: nothing applied yet", &[none], pending, &[Some(Pending)]);
        let young = Edge {
            registered: Revision(101),
            may_serve: false,
            ..none
        };
        check(
            "2: registered after it, and serves nothing that it cannot vouch for",
            &[DONE, young],
            Complete,
            &[Some(Applied), None],
        );
        let lkg = Edge {
            registered: Revision(101),
            ..BEHIND
        };
        check(
            "2: registered after it, and has served from what is older",
            &[DONE, lkg],
            pending,
            &[Some(Applied), Some(Pending)],
        );
        let of_before = Edge {
            applied: None,
            ..lkg
        };
        check(
            "2: registered after it, with what it serves from in another history",
            &[of_before],
            pending,
            &[Some(Pending)],
        );
        let young = Edge {
            registered: Revision(101),
            ..later
        };
        check(
            "2: registered after it, and past it",
            &[young],
            Complete,
            &[Some(Applied)],
        );
        check(
            "3: every edge must",
            &[DONE, BEHIND],
            pending,
            &[Some(Applied), Some(Pending)],
        );
        let early = Vouching {
            renewed_ms: 0,
            read_ms: Some(FENCED_AFTER_MS - 1),
        };
        let early = Edge {
            vouching: early,
            ..BEHIND
        };
        check(
            "3: a read that began too early",
            &[early],
            pending,
            &[Some(Pending)],
        );
        let back = Vouching {
            renewed_ms: 5_000,
            read_ms: Some(FENCED_AFTER_MS),
        };
        let back = Edge {
            vouching: back,
            ..BEHIND
        };
        check("3: a newer renewal", &[back], pending, &[Some(Pending)]);
        let strict = Edge {
            may_serve: false,
            ..GONE
        };
        check(
            "3: fenced, and does not serve",
            &[DONE, strict],
            Complete,
            &[Some(Applied), Some(Fenced)],
        );
        check(
            "4: fenced, and goes on",
            &[DONE, GONE],
            CompleteReachable,
            &[Some(Applied), Some(Fenced)],
        );
        check(
            "4: pending comes first",
            &[GONE, BEHIND],
            pending,
            &[Some(Fenced), Some(Pending)],
        );
        let gone = Edge {
            applied: Some(PURGE),
            ..GONE
        };
        check("3: applied, then gone", &[gone], Complete, &[Some(Applied)]);
        let refused = Edge {
            refused: true,
            ..DONE
        };
        check(
            "it does as an older document says",
            &[DONE, refused],
            CompleteReachable,
            &[Some(Applied), Some(Refused)],
        );
        let refused = Edge {
            refused: true,
            ..BEHIND
        };
        check(
            "what it refuses says nothing before it has applied",
            &[refused],
            pending,
            &[Some(Pending)],
        );
    }

    #[test]
    fn complete_does_not_wait_for_counts_and_counts_wait_for_all() {
        let counted = |objects| Edge {
            matched: Some(Matched {
                objects,
                bytes: objects * 10,
            }),
            ..DONE
        };
        let check = |edges: &[Edge], state: PurgeState, objects: Option<u64>| {
            let judgement = judge(PURGE, edges);
            assert_eq!(judgement.state, state, "{edges:?}");
            let expect = objects.map(|objects| Matched {
                objects,
                bytes: objects * 10,
            });
            assert_eq!(judgement.matched, expect, "{edges:?}");
        };
        check(&[counted(1), DONE], Complete, None);
        check(&[counted(1), counted(2)], Complete, Some(3));
        check(&[counted(1), GONE], CompleteReachable, Some(1));
        let refused = Edge {
            refused: true,
            ..counted(2)
        };
        check(&[counted(1), refused], CompleteReachable, Some(3));
        check(&[counted(1), BEHIND], PurgeState::Pending, None);
        check(
            &[counted(u64::MAX / 20), counted(u64::MAX / 20)],
            Complete,
            Some(u64::MAX / 20 * 2),
        );
        check(&[], Complete, Some(0));
    }

    #[test]
    fn the_next_read_is_due_when_the_first_silent_edge_may_be_fenced() {
        let check = |edges: &[Edge], expect: Option<u64>| {
            assert_eq!(judge(PURGE, edges).read_due_ms, expect, "{edges:?}");
        };
        let fresh = Edge {
            vouching: Vouching {
                renewed_ms: 500,
                read_ms: None,
            },
            ..BEHIND
        };
        check(&[], None);
        check(&[DONE, GONE], None);
        check(&[fresh], Some(500 + FENCED_AFTER_MS));
        check(&[fresh, BEHIND, DONE], Some(FENCED_AFTER_MS));
    }
}
