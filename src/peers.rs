//! What control planes and edges show each other: read at the start, on SIGHUP and every hour, so that a certificate
//! that was replaced does not end in use; and told of in time where nobody replaces it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_certs::Peers;
use tokio::task::block_in_place;

use crate::clock;
use crate::exit::{Exit, Failure};

const REREAD_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How long before the end each reading warns.
const WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How near the end is.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Far,
    Near,
    Past,
}

pub(crate) fn open(folder: &Path) -> Result<Arc<Peers>, Failure> {
    let opened = Peers::open(folder);
    let opened =
        opened.map_err(|error| Exit::BadConfiguration.because(format!("peer_certs: {error}")))?;
    let peers = Arc::new(opened);
    tell_end(&peers);
    let reread = Arc::downgrade(&peers);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REREAD_INTERVAL).await;
            let Some(peers) = reread.upgrade() else {
                return;
            };
            reload_or_keep(&peers);
        }
    });
    Ok(peers)
}

/// For every connection from now on; where the folder is no good, what was read before stays.
pub(crate) fn reload_or_keep(peers: &Peers) {
    match block_in_place(|| peers.reload()) {
        Ok(()) => tell_end(peers),
        Err(error) => {
            tracing::error!(%error, "peer_certs is not read again; what was read before stays")
        }
    }
}

fn tell_end(peers: &Peers) {
    let ends = seawall_certs::date(peers.ends());
    match end(peers.ends(), clock::now()) {
        End::Far => tracing::info!(ends, "peer_certs was read"),
        End::Near => tracing::warn!(
            ends,
            "peer_certs ends soon: make new ones with seawall certs"
        ),
        End::Past => {
            tracing::error!(
                ends,
                "PEER_CERTS HAS ENDED: nobody trusts it; make new ones with seawall certs"
            );
        }
    }
}

fn end(ends: SystemTime, now: SystemTime) -> End {
    match ends.duration_since(now) {
        Ok(left) if left > WARNING => End::Far,
        Ok(left) if left > Duration::ZERO => End::Near,
        _ => End::Past,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_a_month_before() {
        let day = Duration::from_secs(24 * 60 * 60);
        let now = SystemTime::UNIX_EPOCH + 20_000 * day;
        assert_eq!(end(now + 31 * day, now), End::Far);
        assert_eq!(end(now + 30 * day, now), End::Near);
        assert_eq!(end(now, now), End::Past);
        assert_eq!(end(now - day, now), End::Past);
    }
}
