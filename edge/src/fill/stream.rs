//! A body on its way: one writer, any number of readers, each at its own pace.
//!
//! A body that will be kept is retained whole, so a slow reader holds up nobody. One that will not be kept
//! is a window: what every reader has taken is dropped, and the writer waits while the slowest is too far
//! behind.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{End, Fill, Progress, Stage};
use crate::origin::Failure;

/// How far the slowest reader of a window may be behind, in bytes.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// The pieces that are here, and who still needs them.
#[derive(Default)]
pub struct Flow {
    pieces: VecDeque<Bytes>,
    /// How many pieces have been dropped, and the bytes they had.
    dropped: usize,
    dropped_bytes: u64,
    received: u64,
    /// The piece that completes a body of known length, until that is stored.
    last: Option<Bytes>,
    windowed: bool,
    readers: HashMap<u64, Place>,
    next_reader: u64,
}

/// How far a reader has come, and where it stops.
#[derive(Clone, Copy)]
struct Place {
    taken: u64,
    end: u64,
}

/// One request's view of a fill. Dropping it is leaving.
pub struct Reader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    id: u64,
    /// The number of the next piece, counted from the start of the body.
    piece: usize,
    position: u64,
    /// Where it stops; the end of the body where not set.
    end: u64,
    /// What it skips before it.
    first: u64,
}

impl Flow {
    pub fn push(&mut self, piece: Bytes) {
        self.received += piece.len() as u64;
        self.pieces.push_back(piece);
        self.drop_taken();
    }

    /// Takes the last piece, which no reader gets before [`Self::show_last`].
    pub fn hold_last(&mut self, piece: Bytes) {
        self.received += piece.len() as u64;
        self.last = Some(piece);
    }

    pub fn show_last(&mut self) {
        self.pieces.extend(self.last.take());
        self.drop_taken();
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn is_unread(&self) -> bool {
        self.readers.is_empty()
    }

    pub fn is_windowed(&self) -> bool {
        self.windowed
    }

    /// The body will not be kept after all.
    pub fn become_window(&mut self) {
        self.windowed = true;
        self.drop_taken();
    }

    /// Whether the writer has to wait for the slowest reader.
    pub fn is_full(&self) -> bool {
        self.windowed && self.received.saturating_sub(self.slowest()) > WINDOW_BYTES
    }

    /// Where the last of the readers stops; the end of the body where one wants all of it, or none is left.
    pub fn wanted(&self) -> u64 {
        let ends = self.readers.values().map(|reader| reader.end);
        ends.max().unwrap_or(u64::MAX)
    }

    /// Every piece that came; only of a body that was retained.
    pub fn retained(&self) -> Option<impl Iterator<Item = Bytes>> {
        let all = self.pieces.iter().chain(&self.last).cloned();
        (!self.windowed && self.dropped == 0).then_some(all)
    }

    fn slowest(&self) -> u64 {
        let taken = self.readers.values().map(|reader| reader.taken);
        taken.min().unwrap_or(self.received)
    }

    fn drop_taken(&mut self) {
        if !self.windowed {
            return;
        }
        let slowest = self.slowest();
        while let Some(piece) = self.pieces.front() {
            let end = self.dropped_bytes + piece.len() as u64;
            if end > slowest {
                break;
            }
            (self.dropped, self.dropped_bytes) = (self.dropped + 1, end);
            self.pieces.pop_front();
        }
    }
}

impl Reader {
    pub(super) fn new(fill: Arc<Fill>) -> Self {
        let progress = fill.progress.subscribe();
        let id = {
            let mut flow = fill.flow();
            let id = flow.next_reader;
            flow.next_reader += 1;
            let (taken, end) = (0, u64::MAX);
            flow.readers.insert(id, Place { taken, end });
            id
        };
        Self {
            fill,
            progress,
            id,
            piece: 0,
            position: 0,
            first: 0,
            end: u64::MAX,
        }
    }

    pub fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// What became of the question. Cancel-safe.
    pub async fn stage(&mut self) -> Stage {
        match self
            .progress
            .wait_for(|progress| !matches!(progress.stage, Stage::Asking))
            .await
        {
            Ok(progress) => progress.stage.clone(),
            // The fill holds its sender as long as we hold the fill.
            Err(_) => Stage::Failed(Failure::NoAnswer),
        }
    }

    /// Only the bytes from `first` up to, not including, `end` are wanted.
    pub fn narrow(&mut self, first: u64, end: u64) {
        (self.first, self.end) = (first, end);
        self.mark(&mut self.fill.flow());
    }

    /// Says how far it has come. What was given before counts as taken: its reader has come back for more.
    fn mark(&self, flow: &mut Flow) {
        let (taken, end) = (self.position, self.end);
        flow.readers.insert(self.id, Place { taken, end });
    }

    /// The next piece; None at the end. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            // Looked at before the pieces: what arrives in between is announced by the next change.
            let end = self.progress.borrow_and_update().end;
            if let Some(piece) = self.take()? {
                return Ok(Some(piece));
            }
            if self.position >= self.end {
                return Ok(None);
            }
            match end {
                End::Whole => return Ok(None),
                End::Cut(failure) => return Err(failure),
                End::Open => self
                    .progress
                    .changed()
                    .await
                    .map_err(|_| Failure::BodyCut)?,
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut flow = self.fill.flow();
        self.mark(&mut flow);
        let windowed = flow.windowed;
        let mut given = None;
        while self.position < self.end && given.is_none() {
            let Some(number) = self.piece.checked_sub(flow.dropped) else {
                return Err(Failure::BodyCut);
            };
            let Some(piece) = flow.pieces.get(number) else {
                break;
            };
            let (start, stop) = (self.position, self.position + piece.len() as u64);
            if stop > self.first {
                let from = self.first.saturating_sub(start) as usize;
                let to = (self.end.min(stop) - start) as usize;
                given = Some(piece.slice(from..to));
            }
            (self.piece, self.position) = (self.piece + 1, stop);
        }
        if given.is_none() {
            // What was skipped is taken as well: the writer may be waiting for it.
            self.mark(&mut flow);
        }
        drop(flow);
        if windowed {
            self.fill.moved.notify_waiters();
        }
        Ok(given)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.fill.flow().readers.remove(&self.id);
        self.fill.moved.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::Birth;

    fn fill(kept: bool) -> Arc<Fill> {
        let fill = Fill::new(Birth::default(), true, None);
        if !kept {
            fill.flow().become_window();
        }
        fill
    }

    fn push(fill: &Fill, piece: &'static [u8]) {
        fill.flow().push(Bytes::from_static(piece));
        fill.progress.send_modify(|_| ());
    }

    async fn rest(reader: &mut Reader) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        while let Some(piece) = reader.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn every_reader_gets_every_byte_however_late_it_joins() {
        let fill = fill(true);
        let mut early = Reader::new(fill.clone());
        push(&fill, b"abc");
        assert_eq!(early.next().await.unwrap().unwrap(), "abc");
        let mut late = Reader::new(fill.clone());
        let mut part = Reader::new(fill.clone());
        part.narrow(2, 4);
        assert_eq!(fill.flow().wanted(), u64::MAX, "somebody wants all of it");
        push(&fill, b"def");
        assert_eq!(
            rest(&mut part).await.unwrap(),
            b"cd",
            "a range ends without the end of the body"
        );
        fill.finish(End::Whole);
        assert_eq!(rest(&mut early).await.unwrap(), b"def");
        assert_eq!(rest(&mut late).await.unwrap(), b"abcdef");
        assert_eq!(fill.flow().retained().unwrap().flatten().count(), 6);
    }

    #[tokio::test]
    async fn what_a_range_skips_holds_up_nobody() {
        let fill = fill(false);
        let mut reader = Reader::new(fill.clone());
        reader.narrow(3 * 1024 * 1024, u64::MAX);
        push(&fill, &[7; 2 * 1024 * 1024]);
        assert!(fill.flow().is_full());
        assert!(reader.take().unwrap().is_none());
        assert!(!fill.flow().is_full());
    }

    #[tokio::test]
    async fn the_last_piece_is_shown_only_after_it_is_stored() {
        let fill = fill(true);
        let mut reader = Reader::new(fill.clone());
        push(&fill, b"abc");
        fill.flow().hold_last(Bytes::from_static(b"d"));
        assert_eq!(reader.next().await.unwrap().unwrap(), "abc");
        assert!(reader.take().unwrap().is_none());
        assert_eq!(fill.flow().retained().unwrap().flatten().count(), 4);
        fill.flow().show_last();
        fill.finish(End::Whole);
        assert_eq!(rest(&mut reader).await.unwrap(), b"d");
    }

    #[tokio::test]
    async fn a_cut_body_never_looks_whole() {
        let fill = fill(true);
        let mut reader = Reader::new(fill.clone());
        push(&fill, b"abc");
        fill.finish(End::Cut(Failure::BodyCut));
        fill.finish(End::Whole);
        assert_eq!(rest(&mut reader).await, Err(Failure::BodyCut));
    }

    #[tokio::test]
    async fn a_window_keeps_only_what_the_slowest_needs() {
        let fill = fill(false);
        let (mut fast, mut slow) = (Reader::new(fill.clone()), Reader::new(fill.clone()));
        let mib: &'static [u8] = &[7; 1024 * 1024];
        push(&fill, mib);
        assert!(!fill.flow().is_full());
        push(&fill, b"x");
        assert!(fill.flow().is_full());
        for _ in 0..2 {
            fast.next().await.unwrap();
        }
        assert!(fill.flow().is_full(), "the slow one has taken nothing");
        slow.next().await.unwrap();
        slow.next().await.unwrap();
        assert!(
            !fill.flow().is_full(),
            "it came back for more, so the first piece is taken"
        );
        push(&fill, b"y");
        assert!(fill.flow().retained().is_none());
        drop((fast, slow));
        assert!(fill.flow().is_unread());
        fill.abandoned().await;
        let mut late = Reader::new(fill.clone());
        assert_eq!(
            late.next().await,
            Err(Failure::BodyCut),
            "what was dropped cannot be read"
        );
    }
}
