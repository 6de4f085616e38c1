//! The three content codings behind one face: bytes in, coded bytes out.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use seawall_config::site::ContentCoding;

// Chosen for work while a client waits: 60 (brotli) to 200 MB/s (zstd) on a slow core, to less than a quarter of the
// size of source code. The next steps of each cost more time than they save bytes.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
const BROTLI_QUALITY: u32 = 4;
/// Bytes that brotli and zstd look back, as a power of two. RFC 9659 allows zstd 8 MiB; most of that
/// would only be memory.
const ZSTD_WINDOW_BITS: u32 = 19;
const BROTLI_WINDOW_BITS: u32 = 18;
/// What brotli hands on at a time, in bytes.
const BROTLI_BUFFER_BYTES: usize = 8 * 1024;

/// One body on its way through a coding.
pub enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub fn new(coding: ContentCoding) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match coding {
            ContentCoding::Gzip => Self::Gzip(GzEncoder::new(out, Compression::new(GZIP_LEVEL))),
            ContentCoding::Brotli => Self::Brotli(Box::new(CompressorWriter::new(
                out,
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            ))),
            ContentCoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_BITS)?;
                Self::Zstd(encoder)
            }
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Brotli(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// After this everything written so far can be decoded from what was taken.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    /// Coded bytes that are ready to be taken.
    pub fn ready(&self) -> usize {
        match self {
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Brotli(encoder) => encoder.get_ref().len(),
            Self::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    pub fn take(&mut self) -> Bytes {
        let out = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    /// The end of the body: what was not taken yet.
    pub fn finish(self) -> io::Result<Bytes> {
        let out = match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.finish()?,
        };
        // No more memory than it has bytes: it may be kept.
        Ok(out.into_boxed_slice().into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use std::io::Read;

    /// What comes out at the other end; also of the beginning of a body.
    pub fn decoded(coding: ContentCoding, bytes: &[u8]) -> Vec<u8> {
        let mut decoder: Box<dyn Read> = match coding {
            ContentCoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            ContentCoding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
            ContentCoding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        };
        let mut plain = Vec::new();
        // An end that comes too early is an error, after all that could be read.
        let _ = decoder.read_to_end(&mut plain);
        plain
    }

    /// Text that packs well, and then a part that does not.
    pub fn text(bytes: usize) -> Vec<u8> {
        let mut random = 0x5eed_u64;
        let noise = std::iter::repeat_with(move || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 56) as u8
        });
        let words = b"A page of many words, and of the same words again. ".iter();
        let words = words.copied().cycle().take(bytes - bytes / 8);
        words.chain(noise).take(bytes).collect()
    }

    #[test]
    fn every_coding_gives_back_the_very_bytes() {
        let plain = text(300_000);
        for coding in ContentCoding::ALL {
            for (step, flush_every) in [(1, 999), (7, 1), (1000, 3), (65_536, 1), (300_000, 9)] {
                let (mut encoder, mut coded) = (Encoder::new(coding).unwrap(), Vec::new());
                // Byte by byte only the beginning: it takes its time.
                let plain = &plain[..plain.len().min(step * 20_000)];
                for (number, piece) in plain.chunks(step).enumerate() {
                    encoder.write(piece).unwrap();
                    if number % flush_every == 0 {
                        encoder.flush().unwrap();
                        coded.extend_from_slice(&encoder.take());
                        let here = plain.len().min((number + 1) * step);
                        if number < 20 {
                            let found = decoded(coding, &coded);
                            assert_eq!(found, plain[..here], "{coding:?} {step} {number}");
                        }
                    }
                }
                coded.extend_from_slice(&encoder.finish().unwrap());
                assert!(decoded(coding, &coded) == plain, "{coding:?} {step}");
            }
            let nothing = Encoder::new(coding).unwrap().finish().unwrap();
            assert!(!nothing.is_empty() && decoded(coding, &nothing).is_empty());
        }
    }
}
