//! Followers of the feed, and the snapshot for those who cannot follow on.

use std::sync::Arc;

use bytes::Bytes;
use seawall_config::feed::{Frame, SNAPSHOT_BYTES_MAX};
use seawall_config::{Epoch, Revision, Token};
use tokio::sync::watch;

use super::{Plane, PlaneError, lock};
use crate::feed::{Gone, line};

/// Followers of one plane: twice the edges, since the connection of one that went is noticed late.
const SUBSCRIBERS_MAX: i64 = 2 * super::fleet::EDGES_MAX as i64;
/// What a follower is given at once; more waits until it has taken that.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// One follower's place in the log.
pub struct Subscription {
    plane: Arc<Plane>,
    /// Of the history it follows.
    epoch: Epoch,
    /// It has everything up to here.
    cursor: Revision,
    /// Nothing has been sent yet.
    new: bool,
    lines: watch::Receiver<Revision>,
}

/// The follower was too slow, or the plane lost the thread: it comes again and is told where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what comes next is no longer kept")]
pub struct Cut;

impl Plane {
    /// Everything after `after`, if the follower's last beacon shows that it followed this history.
    pub async fn subscribe(
        self: &Arc<Self>,
        after: Token,
        beacon: Option<(Revision, &str)>,
    ) -> Result<Subscription, PlaneError> {
        if after.epoch != self.epoch() {
            return Err(PlaneError::HistoryDiffers);
        }
        let newest = beacon.map_or(after.revision, |(revision, _)| revision.max(after.revision));
        self.must_exist(newest).await?;
        let lines = self.signals.lines.subscribe();
        self.state()
            .tail
            .resume(after.revision, beacon)
            .map_err(|gone| match gone {
                Gone::History { begins } => PlaneError::HistoryGone { begins },
                Gone::Differs => PlaneError::HistoryDiffers,
            })?;
        if self.metrics.feed_subscribers.inc() >= SUBSCRIBERS_MAX {
            self.metrics.feed_subscribers.dec();
            return Err(PlaneError::Busy);
        }
        Ok(Subscription {
            plane: self.clone(),
            epoch: after.epoch,
            cursor: after.revision,
            new: true,
            lines,
        })
    }

    /// [`seawall_config::feed::Snapshot`] as JSON. Asked for by many at once, it is made once.
    pub fn snapshot(&self) -> Result<Bytes, PlaneError> {
        let mut newest = lock(&self.snapshot);
        let line = self.state().tail.newest();
        if let Some((_, bytes)) = newest.as_ref().filter(|(at, _)| *at == line) {
            return Ok(bytes.clone());
        }
        let snapshot = self.state().snapshot();
        let bytes = Bytes::from(serde_json::to_vec(&snapshot).unwrap_or_default());
        if bytes.len() > SNAPSHOT_BYTES_MAX {
            return Err(PlaneError::Full(format!(
                "a snapshot would have {} bytes",
                bytes.len()
            )));
        }
        *newest = Some((line, bytes.clone()));
        Ok(bytes)
    }
}

impl Subscription {
    /// The next whole lines. None when the plane stops. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            if *self.plane.signals.stopped.borrow() {
                return None;
            }
            self.lines.mark_unchanged();
            match self.take() {
                Ok(chunk) if chunk.is_empty() => {}
                taken => return Some(taken),
            }
            tokio::select! {
                _ = self.lines.changed() => {}
                () = self.plane.stopping() => return None,
            }
        }
    }

    fn take(&mut self) -> Result<Bytes, Cut> {
        let state = self.plane.state();
        if state.epoch != self.epoch {
            return Err(Cut);
        }
        let (chunk, reached) = state.tail.after(self.cursor, CHUNK_BYTES_MAX).ok_or(Cut)?;
        self.cursor = reached;
        if !std::mem::take(&mut self.new) || !chunk.is_empty() {
            return Ok(chunk);
        }
        // The first line comes at once, so that a follower knows that it is one.
        self.cursor = state.followed.max(reached);
        Ok(line(&Frame {
            epoch: state.epoch,
            revision: self.cursor,
            changes: Vec::new(),
        }))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.plane.metrics.feed_subscribers.dec();
    }
}
