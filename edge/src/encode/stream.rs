//! A body that is encoded while it is sent.
//!
//! Nothing waits in here for the end of the body: whenever the source has nothing ready, what came so far is flushed.

use bytes::Bytes;
use futures::FutureExt;

use super::Lent;
use crate::fill::stream::Reader;
use crate::object::Body;
use crate::origin::Failure;

/// Plain bytes encoded without letting others have the thread, and coded ones that are sent without waiting for more.
const STEP_BYTES_MAX: usize = 64 * 1024;

pub struct Stream {
    source: Source,
    /// None once the body has ended.
    lent: Option<Lent>,
    /// What came from the source and is not encoded yet.
    plain: Bytes,
    /// Whether something is in the encoder that a flush would bring out.
    unflushed: bool,
}

pub enum Source {
    Arriving(Reader),
    Stored(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Stream {
    pub fn new(lent: Lent, source: Source) -> Self {
        Self {
            source,
            lent: Some(lent),
            plain: Bytes::new(),
            unflushed: false,
        }
    }

    /// The next coded piece; None at the end. A body that breaks off has none.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(Lent { encoder, .. }) = &mut self.lent {
            if !self.plain.is_empty() {
                let step = self.plain.split_to(self.plain.len().min(STEP_BYTES_MAX));
                encoder.write(&step).map_err(broken)?;
                self.unflushed = true;
                if encoder.ready() >= STEP_BYTES_MAX {
                    return Ok(Some(encoder.take()));
                }
                tokio::task::yield_now().await;
                continue;
            }
            let piece = match self.unflushed {
                true => self.source.next().now_or_never(),
                false => Some(self.source.next().await),
            };
            match piece {
                None => {
                    encoder.flush().map_err(broken)?;
                    self.unflushed = false;
                    return Ok(Some(encoder.take()));
                }
                Some(Ok(Some(piece))) => self.plain = piece,
                Some(Ok(None)) => {
                    let rest = self.lent.take().map(|lent| lent.encoder.finish());
                    return rest.transpose().map_err(broken);
                }
                Some(Err(failure)) => return Err(failure),
            }
        }
        Ok(None)
    }
}

impl Source {
    pub fn stored(body: &Body) -> Self {
        Self::Stored(Box::new(body.slice(0, body.total())))
    }

    /// Cancel-safe.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Arriving(reader) => reader.next().await,
            Self::Stored(pieces) => Ok(pieces.next()),
        }
    }
}

/// Writing to memory does not fail. If it did, the body would be cut: it never looks whole.
fn broken(_: std::io::Error) -> Failure {
    Failure::BodyCut
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use seawall_config::site::ContentCoding;

    use super::super::Encoders;
    use super::super::encoder::tests::{decoded, text};
    use super::*;

    #[tokio::test]
    async fn a_stored_body_comes_out_in_pieces_that_are_bounded() {
        let plain = text(1_000_000);
        let body = Body::new(plain.chunks(300_000).map(Bytes::copy_from_slice));
        for coding in ContentCoding::ALL {
            let lent = Encoders::default().lend(coding).unwrap();
            let mut stream = Stream::new(lent, Source::stored(&body));
            let mut coded = Vec::new();
            while let Some(piece) = stream.next().await.unwrap() {
                assert!(piece.len() <= 3 * STEP_BYTES_MAX, "{}", piece.len());
                coded.extend_from_slice(&piece);
            }
            assert!(coded.len() < plain.len() / 4);
            assert!(decoded(coding, &coded) == plain, "{coding:?}");
        }
    }
}
