//! Content codings: a response's body, compressed as it comes by.
//!
//! What has been written is given on when a piece is full, and at the latest when the upstream
//! pauses: a stream of events stays one.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compress, Compression as Level, FlushCompress, Status};

use crate::model::policy::Compression;

/// Compressed bytes that are given on together.
const PIECE: usize = 16 * 1024;

/// Bytes that are taken in at most before something is given on: a body that shrinks to nothing
/// must not keep the worker.
const MAX_INPUT: usize = 128 * 1024;

/// Brotli's quality where none is asked for: about gzip's time, and smaller.
const BROTLI_QUALITY: u32 = 4;

/// Zstandard's level where none is asked for: the library's own.
const ZSTD_LEVEL: i32 = 3;

/// The window of Brotli and Zstandard, as a power of two: what one response holds in memory.
const WINDOW_BITS: u32 = 18;

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// `gzip`, RFC 1952.
    Gzip,
    /// `br`, RFC 7932.
    Brotli,
    /// `zstd`, RFC 8878.
    Zstd,
}

impl Coding {
    /// Its name in headers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Compresses one body.
pub(crate) struct Coder {
    encoder: Encoder,
    out: Vec<u8>,
    /// Bytes taken in since something was given on.
    input: usize,
    /// The encoder may hold bytes that it hasn't given on.
    holds: bool,
}

enum Encoder {
    Gzip(Compress),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Ended,
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coder").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Coder {
    /// One that writes `coding` as the policy says.
    pub(crate) fn new(coding: Coding, policy: &Compression) -> io::Result<Self> {
        let level = policy.level.map(u32::from);
        let encoder = match coding {
            Coding::Gzip => {
                let level = level.map_or_else(Level::default, Level::new);
                // zlib's bounds, outside of which the library panics.
                Encoder::Gzip(Compress::new_gzip(level, policy.window_bits.clamp(9, 15)))
            }
            Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                PIECE,
                level.unwrap_or(BROTLI_QUALITY),
                WINDOW_BITS,
            ))),
            Coding::Zstd => {
                let level = policy.level.map_or(ZSTD_LEVEL, i32::from);
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                encoder.window_log(WINDOW_BITS)?;
                Encoder::Zstd(encoder)
            }
        };
        Ok(Self { encoder, out: Vec::new(), input: 0, holds: false })
    }

    /// Takes bytes in, and gives on what makes a piece.
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<Option<Bytes>> {
        self.input += data.len();
        self.holds |= !data.is_empty();
        match &mut self.encoder {
            Encoder::Gzip(gzip) => deflate(gzip, data, &mut self.out, FlushCompress::None)?,
            Encoder::Brotli(brotli) => {
                brotli.write_all(data)?;
                self.out.append(brotli.get_mut());
            }
            Encoder::Zstd(zstd) => {
                zstd.write_all(data)?;
                self.out.append(zstd.get_mut());
            }
            Encoder::Ended => {}
        }
        if self.out.len() >= PIECE {
            return Ok(self.take());
        }
        if self.input >= MAX_INPUT { self.flush() } else { Ok(None) }
    }

    /// Gives on all that has been taken in, if anything has been since the last time.
    pub(crate) fn flush(&mut self) -> io::Result<Option<Bytes>> {
        if !std::mem::take(&mut self.holds) {
            return Ok(None);
        }
        match &mut self.encoder {
            Encoder::Gzip(gzip) => deflate(gzip, &[], &mut self.out, FlushCompress::Sync)?,
            Encoder::Brotli(brotli) => {
                brotli.flush()?;
                self.out.append(brotli.get_mut());
            }
            Encoder::Zstd(zstd) => {
                zstd.flush()?;
                self.out.append(zstd.get_mut());
            }
            Encoder::Ended => {}
        }
        Ok(self.take())
    }

    /// Ends the body.
    pub(crate) fn finish(&mut self) -> io::Result<Option<Bytes>> {
        match std::mem::replace(&mut self.encoder, Encoder::Ended) {
            Encoder::Gzip(mut gzip) => {
                deflate(&mut gzip, &[], &mut self.out, FlushCompress::Finish)?;
            }
            Encoder::Brotli(brotli) => self.out.append(&mut brotli.into_inner()),
            Encoder::Zstd(zstd) => self.out.append(&mut zstd.finish()?),
            Encoder::Ended => {}
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Option<Bytes> {
        self.input = 0;
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out).into())
    }
}

/// Runs zlib until it has taken all in and has no more to give.
fn deflate(
    gzip: &mut Compress,
    mut data: &[u8],
    out: &mut Vec<u8>,
    flush: FlushCompress,
) -> io::Result<()> {
    loop {
        out.reserve(data.len().clamp(256, PIECE));
        let before = gzip.total_in();
        let status = gzip.compress_vec(data, out, flush).map_err(io::Error::other)?;
        let taken = usize::try_from(gzip.total_in() - before).unwrap_or(data.len());
        data = data.get(taken..).unwrap_or_default();
        let ended = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // Room that is left says that zlib had no more.
            _ => data.is_empty() && out.len() < out.capacity(),
        };
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn policy(level: Option<u8>) -> Compression {
        Compression {
            min_length: 0,
            level,
            content_types: vec![],
            skip_etag: false,
            remove_accept_encoding: false,
            brotli: true,
            zstd: true,
            window_bits: 12,
        }
    }

    fn read(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // What is not complete yet ends in an error; what came before it counts.
        let _ = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes)
                .and_then(|mut decoder| decoder.read_to_end(&mut out)),
        };
        out
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn what_goes_in_comes_out(
            pieces in proptest::collection::vec((proptest::collection::vec(0_u8..8, 0..70_000), proptest::bool::ANY), 0..6),
            which in 0_usize..3,
            level in proptest::option::of(1_u8..=9),
        ) {
            let coding = [Coding::Gzip, Coding::Brotli, Coding::Zstd][which];
            let mut coder = Coder::new(coding, &policy(level)).expect("begins");
            let (mut sent, mut out) = (Vec::new(), Vec::new());
            for (piece, flush) in &pieces {
                sent.extend_from_slice(piece);
                out.extend(coder.write(piece).expect("writes").unwrap_or_default());
                if *flush {
                    out.extend(coder.flush().expect("flushes").unwrap_or_default());
                    // All that was sent can be read now.
                    let so_far = read(coding, &out);
                    proptest::prop_assert_eq!(so_far, sent.as_slice());
                }
            }
            out.extend(coder.finish().expect("ends").unwrap_or_default());
            proptest::prop_assert_eq!(read(coding, &out), sent);
            proptest::prop_assert!(coder.finish().expect("ends once").is_none());
        }
    }

    #[test]
    fn a_body_that_shrinks_to_nothing_is_given_on() {
        let zeros = vec![0; MAX_INPUT];
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let mut coder = Coder::new(coding, &policy(None)).expect("begins");
            assert!(coder.write(&zeros).expect("writes").is_some(), "{coding:?}");
            assert!(coder.flush().expect("flushes").is_none(), "{coding:?}: nothing is left");
        }
    }
}
