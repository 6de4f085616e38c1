//! What becomes of requests while this edge is cut off, or behind what they ask for.

use std::time::Duration;

use seawall_config::site::OnPartition;

use super::{Journey, Verdict, would_join};
use crate::clock;
use crate::rules::cache_status::Handling;
use crate::state::State;

/// The detail of an answer to a request that wanted more than it could have.
pub(super) const BEHIND: &str = "older than Seawall-Min-Revision: refetch_rate is reached";

/// Why the origin is asked though what is stored may be as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refetch {
    /// This edge may not say so.
    CutOff,
    /// It is behind what the client asks for.
    Early,
}

/// None: not for such a reason, or nobody is asked for this request alone.
pub(super) fn refetch(
    state: &State,
    journey: &Journey,
    verdict: &Verdict,
    vouches: bool,
) -> Option<Refetch> {
    let policy = journey.policy();
    let shares = match verdict {
        Verdict::Fetch { .. } => true,
        Verdict::Alone { .. } => false,
        Verdict::Serve { .. } | Verdict::Refuse(_) => return None,
    };
    if !policy.cache {
        return None;
    }
    if !vouches && policy.on_partition == OnPartition::Revalidate {
        return Some(Refetch::CutOff);
    }
    let waits = shares && would_join(state, journey);
    (journey.wanted.is_some() && !waits).then_some(Refetch::Early)
}

/// Waits for the site's turn; false: it would be too long. What clients make up about revisions takes no turns from
/// those who have no choice.
pub(super) async fn has_its_turn(journey: &Journey, why: Refetch) -> bool {
    let served = &journey.served;
    let turns = match why {
        Refetch::CutOff => &served.refetching,
        Refetch::Early => &served.early,
    };
    let turn = turns.take(served.site.refetch_rate, clock::boottime_ms());
    match turn {
        Some(wait) if wait > Duration::ZERO => tokio::time::sleep(wait).await,
        _ => {}
    }
    turn.is_some()
}

/// Why an edge that vouches for nothing did what it did; None: it would have done so anyway.
pub(super) fn detail(on_partition: OnPartition, handling: Handling) -> Option<&'static str> {
    match (on_partition, handling) {
        (OnPartition::Serve, Handling::Hit { .. } | Handling::StoodIn(_)) => {
            Some("not vouched for: on_partition = serve")
        }
        (OnPartition::Serve, _) => None,
        (OnPartition::Revalidate, _) => Some("not vouched for: on_partition = revalidate"),
        (OnPartition::Refuse, _) => Some("not vouched for: on_partition = refuse"),
    }
}
