//! The bytes of a stored response: all of them, or the runs that ranges have brought so far.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::encode::kept::Kept;

/// Bodies and runs up to this size are made one piece: one write serves them.
const ONE_PIECE_BYTES_MAX: u64 = 1024 * 1024;
/// Runs of one body; past it the newest part replaces what is stored.
pub const RUNS_MAX: usize = 64;

/// A body, or the runs of it that are here, in pieces that readers share.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// In order; between two of them something is missing.
    runs: Arc<[Run]>,
    total: u64,
    /// The same in other codings, where it is whole.
    pub kept: Kept,
}

/// Bytes that follow each other.
#[derive(Clone, Debug)]
struct Run {
    first: u64,
    end: u64,
    pieces: Arc<[Bytes]>,
}

impl Body {
    /// A whole body.
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let run = Run::new(0, pieces);
        Self {
            total: run.end,
            runs: [run].into(),
            kept: Kept::default(),
        }
    }

    /// What begins at `first`, of `total` bytes.
    pub fn part(first: u64, total: u64, pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self {
            total,
            runs: [Run::new(first, pieces)].into(),
            kept: Kept::default(),
        }
    }

    /// Bytes of the whole.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are here.
    pub fn here(&self) -> u64 {
        self.runs.iter().map(|run| run.end - run.first).sum()
    }

    pub fn is_whole(&self) -> bool {
        self.here() == self.total
    }

    /// Whether all bytes from `first` up to, not including, `end` are here.
    pub fn has(&self, first: u64, end: u64) -> bool {
        first >= end
            || self
                .runs
                .iter()
                .any(|run| run.first <= first && end <= run.end)
    }

    /// From the first byte that is missing up to, not including, the first after which none is.
    pub fn missing(&self) -> Option<(u64, u64)> {
        let (head, tail) = (self.runs.first()?, self.runs.last()?);
        let first = if head.first == 0 { head.end } else { 0 };
        let end = if tail.end == self.total {
            tail.first
        } else {
            self.total
        };
        (first < end).then_some((first, end))
    }

    /// Both together; what both have is taken from `self`. None where they are not parts of one whole, or would be
    /// too many runs.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let mut all: Vec<&Run> = self.runs.iter().chain(other.runs.iter()).collect();
        all.sort_by_key(|run| run.first);
        let mut runs: Vec<Run> = Vec::new();
        for run in all {
            match runs.last_mut() {
                Some(before) if run.first <= before.end => before.extend(run),
                _ => runs.push(run.clone()),
            }
        }
        (self.total == other.total && runs.len() <= RUNS_MAX).then(|| Self {
            runs: runs.into(),
            total: self.total,
            kept: Kept::default(),
        })
    }

    /// The bytes from `first` up to, not including, `end`, as far as they are here.
    pub fn slice(&self, first: u64, end: u64) -> impl Iterator<Item = Bytes> + use<> {
        let runs = self.runs.clone();
        (0..runs.len()).flat_map(move |number| {
            let run = runs.get(number).cloned();
            run.into_iter().flat_map(move |run| run.slice(first, end))
        })
    }
}

impl Run {
    fn new(first: u64, pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let pieces: Vec<_> = pieces.collect();
        let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let pieces = match pieces.len() > 1 && len <= ONE_PIECE_BYTES_MAX {
            true => {
                let mut all = BytesMut::with_capacity(len as usize);
                pieces.iter().for_each(|piece| all.extend_from_slice(piece));
                [all.freeze()].into()
            }
            false => pieces.into(),
        };
        Self {
            first,
            end: first + len,
            pieces,
        }
    }

    /// Adds what `later`, which begins within this run or right behind it, has beyond its end.
    fn extend(&mut self, later: &Self) {
        if later.end <= self.end {
            return;
        }
        let pieces = self.pieces.iter().cloned();
        *self = Self::new(self.first, pieces.chain(later.slice(self.end, later.end)));
    }

    fn slice(&self, first: u64, end: u64) -> impl Iterator<Item = Bytes> + use<> {
        let pieces = self.pieces.clone();
        let (mut at, mut number) = (self.first, 0);
        std::iter::from_fn(move || {
            while at < end {
                let piece = pieces.get(number)?;
                let (start, stop) = (at, at + piece.len() as u64);
                (number, at) = (number + 1, stop);
                if stop > first {
                    let from = first.saturating_sub(start) as usize;
                    let to = (end.min(stop) - start) as usize;
                    return Some(piece.slice(from..to));
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(first: u64, end: u64) -> Bytes {
        (first..end).map(|n| n as u8).collect::<Vec<_>>().into()
    }

    fn taken(body: &Body, first: u64, end: u64) -> Vec<u8> {
        body.slice(first, end).flatten().collect()
    }

    #[test]
    fn a_slice_is_exact_however_the_body_came() {
        for pieces in [vec![256], vec![1, 255], vec![100, 0, 100, 56], vec![1; 256]] {
            let mut at = 0;
            let cut = pieces.iter().map(|len| {
                at += len;
                bytes(at - len, at)
            });
            let run = Run {
                first: 0,
                end: 256,
                pieces: cut.collect(),
            };
            let body = Body {
                runs: [run].into(),
                total: 256,
                kept: Kept::default(),
            };
            for (first, end) in [(0, 256), (0, 1), (255, 256), (99, 101), (50, 250), (7, 7)] {
                let got = taken(&body, first, end);
                assert_eq!(got, bytes(first, end), "{pieces:?} {first}..{end}");
            }
        }
    }

    #[test]
    fn small_bodies_become_one_piece() {
        let body = Body::new(["ab".into(), Bytes::new(), "c".into()]);
        assert_eq!((body.total(), body.slice(0, 3).count()), (3, 1));
    }

    #[test]
    fn parts_of_one_whole_become_it() {
        let check = |parts: &[(u64, u64)], missing: Option<(u64, u64)>, runs: usize| {
            let mut parts = parts.iter();
            let part = |&(first, end): &(u64, u64)| Body::part(first, 10, [bytes(first, end)]);
            let first = parts.next().map(part).unwrap();
            let body = parts.fold(first, |body, next| body.joined(&part(next)).unwrap());
            assert_eq!((body.missing(), body.runs.len()), (missing, runs));
            assert_eq!(body.is_whole(), missing.is_none());
            for run in body.runs.iter() {
                assert!(body.has(run.first, run.end) && !body.has(run.first, run.end + 1));
                assert_eq!(taken(&body, run.first, run.end), bytes(run.first, run.end));
            }
        };
        check(&[(0, 4)], Some((4, 10)), 1);
        check(&[(6, 10)], Some((0, 6)), 1);
        check(&[(2, 4)], Some((0, 10)), 1);
        check(&[(0, 4), (6, 10)], Some((4, 6)), 2);
        check(&[(6, 10), (0, 4), (4, 6)], None, 1);
        check(&[(0, 4), (2, 10)], None, 1);
        check(&[(0, 4), (1, 3)], Some((4, 10)), 1);
        check(&[(0, 2), (4, 6), (8, 10)], Some((2, 8)), 3);
        check(&[(0, 2), (4, 6), (8, 10), (1, 9)], None, 1);
    }

    #[test]
    fn parts_of_different_wholes_and_crumbs_are_not_joined() {
        let part = |first: u64, total: u64| Body::part(first, total, [bytes(0, 1)]);
        assert!(part(0, 10).joined(&part(1, 11)).is_none());
        let crumbs = (1..RUNS_MAX as u64).fold(part(0, 1000), |body, n| {
            body.joined(&part(2 * n, 1000)).unwrap()
        });
        assert!(crumbs.joined(&part(999, 1000)).is_none());
        assert!(crumbs.joined(&part(1, 1000)).is_some());
    }
}
