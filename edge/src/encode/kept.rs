//! A stored body encoded once for each coding, and kept beside it.
//!
//! It lives and dies with the body: it is in no cache of its own, so a purge, an eviction and a 304 need know nothing of
//! it. Whoever comes first has it made, off the threads that serve; who comes meanwhile waits for the same.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use seawall_config::site::ContentCoding;
use tokio::sync::OnceCell;

use super::encoder::Encoder;
use crate::key::Key;
use crate::object::Body;
use crate::state::State;

/// Bodies up to this size are encoded once and kept: a slow core takes some 70 ms for it.
pub const KEPT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A body in other codings, as far as somebody asked for them. Every copy of the body shares them.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<OnceLock<Box<Slots>>>);

#[derive(Debug, Default)]
struct Slots {
    zstd: OnceCell<Coded>,
    brotli: OnceCell<Coded>,
    gzip: OnceCell<Coded>,
}

/// What became of a body in one coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coded {
    Smaller(Bytes),
    /// It is as long as before, or longer.
    NotSmaller,
}

impl Kept {
    pub fn get(&self, coding: ContentCoding) -> Option<&Coded> {
        self.0.get()?.slot(coding).get()
    }

    /// What it weighs in memory, in bytes.
    pub fn weight(&self) -> u64 {
        let Some(slots) = self.0.get() else {
            return 0;
        };
        let coded = |coding| match slots.slot(coding).get() {
            Some(Coded::Smaller(bytes)) => bytes.len() as u64,
            Some(Coded::NotSmaller) | None => 0,
        };
        size_of::<Slots>() as u64 + ContentCoding::ALL.into_iter().map(coded).sum::<u64>()
    }

    fn slot(&self, coding: ContentCoding) -> &OnceCell<Coded> {
        self.0.get_or_init(Box::default).slot(coding)
    }
}

impl Slots {
    fn slot(&self, coding: ContentCoding) -> &OnceCell<Coded> {
        match coding {
            ContentCoding::Zstd => &self.zstd,
            ContentCoding::Brotli => &self.brotli,
            ContentCoding::Gzip => &self.gzip,
        }
    }
}

/// The stored `body` of `key` in a coding; None where too many are being encoded already.
pub async fn encoded(
    state: &Arc<State>,
    key: &Key,
    body: &Body,
    coding: ContentCoding,
) -> Option<Coded> {
    if let Some(coded) = body.kept.get(coding) {
        return Some(coded.clone());
    }
    let (state, key, body) = (state.clone(), key.clone(), body.clone());
    // A task of its own: what was begun is finished also when the client leaves.
    let task = tokio::spawn(async move {
        let mut mine = false;
        let encode = async || {
            let permit = state.encoders.to_keep().ok_or(())?;
            mine = true;
            let plain = body.clone();
            let task = tokio::task::spawn_blocking(move || {
                let coded = encode(&plain, coding);
                drop(permit);
                coded
            });
            task.await.map_err(drop)
        };
        let coded = body
            .kept
            .slot(coding)
            .get_or_try_init(encode)
            .await
            .ok()
            .cloned();
        if mine {
            state.storage.weigh_again(&key);
        }
        coded
    });
    task.await.ok().flatten()
}

fn encode(body: &Body, coding: ContentCoding) -> Coded {
    let coded = || {
        let mut encoder = Encoder::new(coding).ok()?;
        for piece in body.slice(0, body.total()) {
            encoder.write(&piece).ok()?;
        }
        encoder.finish().ok()
    };
    match coded() {
        Some(bytes) if (bytes.len() as u64) < body.total() => Coded::Smaller(bytes),
        _ => Coded::NotSmaller,
    }
}

#[cfg(test)]
mod tests {
    use super::super::encoder::tests::{decoded, text};
    use super::*;

    #[test]
    fn what_does_not_get_smaller_is_not_kept() {
        let plain = text(100_000);
        let noise = Bytes::copy_from_slice(&plain[90_000..]);
        for coding in ContentCoding::ALL {
            let body = Body::new([Bytes::copy_from_slice(&plain)]);
            let Coded::Smaller(coded) = encode(&body, coding) else {
                panic!("{coding:?} makes text smaller");
            };
            assert!(decoded(coding, &coded) == plain);
            assert_eq!(
                encode(&Body::new([noise.clone()]), coding),
                Coded::NotSmaller
            );
            assert_eq!(encode(&Body::default(), coding), Coded::NotSmaller);
        }
    }

    #[test]
    fn copies_of_a_body_share_what_is_kept_and_its_weight_is_known() {
        let body = Body::new([Bytes::from_static(b"abc")]);
        let copy = body.clone();
        assert_eq!(body.kept.weight(), 0);
        let coded = Coded::Smaller(Bytes::from_static(b"ab"));
        assert!(
            body.kept
                .slot(ContentCoding::Gzip)
                .set(coded.clone())
                .is_ok()
        );
        assert_eq!(copy.kept.get(ContentCoding::Gzip), Some(&coded));
        assert_eq!(copy.kept.get(ContentCoding::Zstd), None);
        assert_eq!(copy.kept.weight(), 2 + size_of::<Slots>() as u64);
    }
}
