//! Short pieces are written as one: `writev` costs the kernel a quarter of a microsecond more than
//! `send`, and copying a head and a short body together some nanoseconds.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes up to which pieces are copied together.
const TOGETHER: usize = 4096;

/// Writes `pieces`, or the first of them.
pub(crate) fn poll_write_pieces<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [piece] = pieces {
        return stream.poll_write(cx, piece);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > TOGETHER {
        return stream.poll_write_vectored(cx, pieces);
    }
    let mut together: SmallVec<[u8; TOGETHER]> = SmallVec::new();
    pieces.iter().for_each(|piece| together.extend_from_slice(piece));
    stream.poll_write(cx, &together)
}

/// A stream that writes short pieces as one.
#[derive(Debug)]
pub(crate) struct Pieces<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Pieces<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pieces<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write_pieces(&mut self.0, cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Takes whole pieces only, and notes how long what it was given is.
    #[derive(Default)]
    struct Sink(Vec<Vec<usize>>, Vec<u8>);

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(vec![bytes.len()]);
            self.1.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0.push(pieces.iter().map(|piece| piece.len()).collect());
            pieces.iter().for_each(|piece| self.1.extend_from_slice(piece));
            Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn short_pieces_are_one() {
        let bytes: Vec<u8> = (0..9000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for (lengths, written) in [
            (vec![100], vec![100]),
            (vec![100, 200, 0, 5], vec![305]),
            (vec![4000, 96], vec![4096]),
            (vec![4000, 97], vec![4000, 97]),
            (vec![8000], vec![8000]),
        ] {
            let mut rest = &bytes[..];
            let pieces: Vec<IoSlice<'_>> = lengths
                .iter()
                .map(|length| IoSlice::new(rest.split_off(..*length).expect("enough")))
                .collect();
            let mut stream = Pieces(Sink::default());
            let count = stream.write_vectored(&pieces).await.expect("takes all");
            let Sink(calls, seen) = stream.0;
            assert_eq!((count, calls), (lengths.iter().sum(), vec![written]), "{lengths:?}");
            assert_eq!(seen, bytes[..count], "{lengths:?}");
        }
    }

    #[tokio::test]
    async fn reading_is_the_streams() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Pieces(near);
        far.write_all(b"abc").await.expect("writes");
        far.shutdown().await.expect("ends");
        let mut read = Vec::new();
        near.read_to_end(&mut read).await.expect("reads");
        assert_eq!(read, b"abc");
    }
}
