//! What the origin sends: a text, or bytes that are computed where they are needed.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

/// Bytes handed to a connection at a time.
const CHUNK_BYTES: u64 = 64 * 1024;

pub(super) enum OriginBody {
    Text(Bytes),
    /// The bytes of [`byte_at`] in this range.
    Computed(Range<u64>),
}

impl OriginBody {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Computed(range) => range.end - range.start,
        }
    }

    /// The part of it in `range`, which must lie inside.
    pub(super) fn part(self, range: Range<u64>) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.slice(range.start as usize..range.end as usize)),
            Self::Computed(whole) => {
                Self::Computed(whole.start + range.start..whole.start + range.end)
            }
        }
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut *self {
            Self::Text(text) => std::mem::take(text),
            Self::Computed(range) => {
                let end = range.end.min(range.start + CHUNK_BYTES);
                let chunk = computed(range.start..end);
                range.start = end;
                chunk
            }
        };
        Poll::Ready((!chunk.is_empty()).then(|| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

/// The byte every large file has at `offset`: the same for all, looking random, easy to check.
pub fn byte_at(offset: u64) -> u8 {
    let word = word_at(offset / 8).to_le_bytes();
    word.into_iter()
        .nth((offset % 8) as usize)
        .unwrap_or_default()
}

fn computed(range: Range<u64>) -> Bytes {
    let first = range.start / 8;
    let words = range.end.div_ceil(8) - first;
    let mut bytes = BytesMut::with_capacity(words as usize * 8);
    for word in first..first + words {
        bytes.extend_from_slice(&word_at(word).to_le_bytes());
    }
    let skipped = (range.start % 8) as usize;
    bytes
        .freeze()
        .slice(skipped..skipped + (range.end - range.start) as usize)
}

/// A number times an odd constant, its high half folded into its low one: cheap, and no two near
/// words are alike.
fn word_at(index: u64) -> u64 {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_bytes_are_the_same_however_they_are_cut() {
        let whole: Vec<u8> = (0..100).map(byte_at).collect();
        for start in 0..40 {
            for end in start..100 {
                let range = start as usize..end as usize;
                assert_eq!(
                    Some(&computed(start..end)[..]),
                    whole.get(range),
                    "{start}..{end}"
                );
            }
        }
    }
}
