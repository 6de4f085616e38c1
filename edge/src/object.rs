//! A stored response: its head, its body, and what must be known to reuse it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use crate::key::Key;
use crate::ledger::shared::SharedLedger;
use crate::ledger::{Birth, Fingerprint, Life};
use crate::rules::directives;
use crate::rules::freshness::Freshness;
use crate::rules::variants::Selection;

/// What an object weighs beyond key, head, body and tags: this struct, its shelf, moka's own bookkeeping.
const BOOKKEEPING_BYTES: usize = 700;
/// What one field of a head weighs beyond its name and value.
const FIELD_BYTES: usize = 48;
/// Bodies up to this size are made one piece: one write serves them.
const ONE_PIECE_BYTES_MAX: u64 = 1024 * 1024;

/// Immutable but for the memory of its last check. A 304 makes a new one around the same body.
#[derive(Debug)]
pub struct Object {
    /// Unique in this process: a validation updates only the very object it validated.
    pub id: u64,
    pub site: Arc<str>,
    pub key: Key,
    pub birth: Birth,
    pub status: StatusCode,
    /// As the origin sent it, less what belongs to the hop. Tags are still in it.
    pub head: HeaderMap,
    pub body: Body,
    pub tags: Box<[Fingerprint]>,
    pub selection: Selection,
    pub directives: directives::Response,
    pub freshness: Freshness,
    /// The ledger's generation at which it was last found alive, plus one; 0 before.
    alive_at: AtomicU64,
}

/// What goes into an object.
#[derive(Debug)]
pub struct Parts {
    pub site: Arc<str>,
    pub key: Key,
    pub birth: Birth,
    pub status: StatusCode,
    pub head: HeaderMap,
    pub body: Body,
    pub tags: Box<[Fingerprint]>,
    pub selection: Selection,
    pub directives: directives::Response,
    pub freshness: Freshness,
}

impl Object {
    pub fn new(parts: Parts) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let Parts {
            site,
            key,
            birth,
            status,
            head,
            body,
            tags,
            selection,
            directives,
            freshness,
        } = parts;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let alive_at = AtomicU64::new(0);
        Self {
            id,
            site,
            key,
            birth,
            status,
            head,
            body,
            tags,
            selection,
            directives,
            freshness,
            alive_at,
        }
    }

    /// What the ledger says of it now: one compare while nothing was purged since the last look.
    pub fn life(&self, ledger: &SharedLedger) -> Life {
        let generation = ledger.generation() + 1;
        if self.alive_at.load(Ordering::Relaxed) == generation {
            return Life::Alive;
        }
        let life =
            ledger.read(|ledger| ledger.judge(&self.site, &self.key, Some(&self.tags), self.birth));
        if life == Life::Alive {
            self.alive_at.store(generation, Ordering::Relaxed);
        }
        life
    }

    /// What it weighs in memory, in bytes.
    pub fn weight(&self) -> u64 {
        let head: usize = self
            .head
            .iter()
            .map(|(n, v)| n.as_str().len() + v.len() + FIELD_BYTES)
            .sum();
        let tags = self.tags.len() * size_of::<Fingerprint>();
        let rest = self.key.weight() + head + tags + self.selection.weight() + BOOKKEEPING_BYTES;
        self.body.len() + rest as u64
    }
}

/// A whole body, in pieces that readers share.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pieces: Arc<[Bytes]>,
    len: u64,
}

impl Body {
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: Vec<_> = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let pieces = match pieces.len() > 1 && len <= ONE_PIECE_BYTES_MAX {
            true => vec![
                pieces
                    .iter()
                    .fold(BytesMut::with_capacity(len as usize), |mut all, piece| {
                        all.extend_from_slice(piece);
                        all
                    })
                    .freeze(),
            ],
            false => pieces,
        };
        Self {
            pieces: pieces.into(),
            len,
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The bytes from `first` up to, not including, `end`.
    pub fn slice(&self, first: u64, end: u64) -> impl Iterator<Item = Bytes> + use<> {
        let pieces = self.pieces.clone();
        let mut at = 0u64;
        let mut number = 0;
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

    #[test]
    fn a_slice_is_exact_however_the_body_came() {
        let whole: Vec<u8> = (0..=255).collect();
        for pieces in [vec![256], vec![1, 255], vec![100, 0, 100, 56], vec![1; 256]] {
            let mut at = 0;
            let body = Body {
                pieces: pieces
                    .iter()
                    .map(|len| {
                        at += len;
                        Bytes::copy_from_slice(&whole[at - len..at])
                    })
                    .collect(),
                len: 256,
            };
            for (first, end) in [(0, 256), (0, 1), (255, 256), (99, 101), (50, 250), (7, 7)] {
                let got: Vec<u8> = body.slice(first, end).flatten().collect();
                assert_eq!(
                    got,
                    whole[first as usize..end as usize],
                    "{pieces:?} {first}..{end}"
                );
            }
        }
    }

    #[test]
    fn small_bodies_become_one_piece() {
        let body = Body::new(["ab".into(), Bytes::new(), "c".into()]);
        assert_eq!((body.len(), body.slice(0, 3).count()), (3, 1));
    }
}
