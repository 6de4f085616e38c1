//! What becomes of requests while this edge is cut off, or behind what they ask for.

use std::time::Duration;

use seawall_config::site::OnPartition;

use super::{Journey, Verdict};
use crate::clock;
use crate::rules::cache_status::Handling;

/// Whether the origin is asked though what is stored may be as good: only that this edge may not say so.
pub(super) fn is_refetch(journey: &Journey, verdict: &Verdict, vouches: bool) -> bool {
    let policy = journey.policy();
    let cut_off = !vouches && policy.on_partition == OnPartition::Revalidate;
    let is_fetched = matches!(verdict, Verdict::Fetch { .. } | Verdict::Alone { .. });
    is_fetched && policy.cache && (cut_off || journey.wanted.is_some())
}

/// Waits for the site's turn; false: it would be too long.
pub(super) async fn has_its_turn(journey: &Journey) -> bool {
    let served = &journey.served;
    let turn = served
        .refetching
        .take(served.site.refetch_rate, clock::boottime_ms());
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
