//! What is written over HTTP/2 goes out when its writer turns to reading again: frames that are made one after another
//! leave in one write, and in few records of TLS. The h2 crate writes and flushes every frame of a body alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// So much waits: as much as one record of TLS holds (RFC 8446 §5.1).
const GATHERED_BYTES_MAX: usize = 16 * 1024;
/// To copy more than this costs more than a write of its own.
const SMALL_BYTES_MAX: usize = 4 * 1024;
/// Slices that go out in one write.
const SLICES_MAX: usize = 8;

/// What is written and has not gone out.
#[derive(Debug, Default)]
pub struct Gathered {
    bytes: BytesMut,
    /// Something was written since the last time that all had gone out.
    is_new: bool,
    /// It was flushed, and is to go out soon.
    is_due: bool,
}

impl Gathered {
    /// What is too large to wait goes out from where it is, behind what waits.
    pub fn poll_write(
        &mut self,
        wire: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_new = true;
        let come = slices.iter().map(|slice| slice.len()).sum();
        if come <= SMALL_BYTES_MAX && self.bytes.len() + come <= GATHERED_BYTES_MAX {
            self.bytes.reserve(GATHERED_BYTES_MAX - self.bytes.len());
            for slice in slices {
                self.bytes.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(come));
        }
        loop {
            match ready!(self.poll_pass(wire, cx, slices))? {
                // Only of what waited.
                0 => {}
                written => return Poll::Ready(Ok(written)),
            }
        }
    }

    /// It goes out with the next read, for which the writer's task is woken. The h2 crate flushes each time it has looked
    /// for something to do: where nothing was written it would be woken for ever.
    pub fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.is_new && !self.is_due {
            self.is_due = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is due, as far as that is possible.
    pub fn poll_due(
        &mut self,
        wire: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.is_due {
            true => self.poll_out(wire, cx),
            false => Poll::Ready(Ok(())),
        }
    }

    /// Sends everything.
    pub fn poll_out(
        &mut self,
        wire: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            ready!(self.poll_pass(wire, cx, &[]))?;
        }
        // A connection that has nothing to say holds no buffer.
        self.bytes = BytesMut::new();
        ready!(Pin::new(wire).poll_flush(cx))?;
        (self.is_new, self.is_due) = (false, false);
        Poll::Ready(Ok(()))
    }

    /// One write of what waits and of `slices`; how much of these went out.
    fn poll_pass(
        &mut self,
        wire: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut all = [IoSlice::new(&[]); SLICES_MAX];
        let waiting = self.bytes.len();
        let ahead = (waiting > 0).then(|| IoSlice::new(&self.bytes));
        let mut count = 0;
        for (slot, slice) in all
            .iter_mut()
            .zip(ahead.into_iter().chain(slices.iter().copied()))
        {
            *slot = slice;
            count += 1;
        }
        let all = all.get(..count).unwrap_or_default();
        let written = ready!(Pin::new(wire).poll_write_vectored(cx, all))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.bytes.advance(written.min(waiting));
        Poll::Ready(Ok(written.saturating_sub(waiting)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    /// What is written and its other end.
    struct Written {
        gathered: Gathered,
        wire: DuplexStream,
    }

    impl Written {
        /// To a pipe that takes at most `room` bytes at once.
        fn to(room: usize) -> (Self, DuplexStream) {
            let (wire, client) = duplex(room);
            let gathered = Gathered::default();
            (Self { gathered, wire }, client)
        }

        async fn write(&mut self, mut piece: &[u8]) -> io::Result<()> {
            let Self { gathered, wire } = self;
            while !piece.is_empty() {
                let (one, other) = piece.split_at(piece.len() / 2);
                let slices = [IoSlice::new(one), IoSlice::new(other)];
                let written = poll_fn(|cx| gathered.poll_write(wire, cx, &slices)).await?;
                (_, piece) = piece.split_at(written);
            }
            Ok(())
        }

        async fn flush(&mut self) -> io::Result<()> {
            poll_fn(|cx| self.gathered.poll_flush(cx)).await
        }

        /// The writer reads.
        async fn send_due(&mut self) -> io::Result<()> {
            let Self { gathered, wire } = self;
            poll_fn(|cx| gathered.poll_due(wire, cx)).await
        }

        async fn send_all(&mut self) -> io::Result<()> {
            let Self { gathered, wire } = self;
            poll_fn(|cx| gathered.poll_out(wire, cx)).await
        }
    }

    async fn there(client: &mut DuplexStream) -> Option<usize> {
        let mut bytes = [0; 64 * 1024];
        poll_fn(|cx| {
            let mut buffer = tokio::io::ReadBuf::new(&mut bytes);
            let polled = tokio::io::AsyncRead::poll_read(Pin::new(&mut *client), cx, &mut buffer);
            Poll::Ready(polled.is_ready().then(|| buffer.filled().len()))
        })
        .await
    }

    #[tokio::test]
    async fn frames_wait_for_each_other_until_the_writer_reads() -> io::Result<()> {
        let (mut written, mut client) = Written::to(64 * 1024);
        for _ in 0..8 {
            written.write(&[7; 1000]).await?;
            written.flush().await?;
        }
        assert_eq!(there(&mut client).await, None);
        written.send_due().await?;
        assert_eq!(there(&mut client).await, Some(8000));
        assert_eq!(written.gathered.bytes.capacity(), 0);
        // What was not flushed waits, but not for ever.
        for _ in 0..8 {
            written.write(&[7; 2000]).await?;
            written.send_due().await?;
        }
        assert_eq!(there(&mut client).await, None);
        written.write(&[7; 2000]).await?;
        assert_eq!(there(&mut client).await, Some(18_000));
        // What is large goes out at once, behind what waits.
        written.write(&[7; 9]).await?;
        written.write(&[7; 5000]).await?;
        assert_eq!(there(&mut client).await, Some(5009));
        Ok(())
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_writer_is_woken_once_for_what_it_wrote_and_never_for_nothing() {
        let (mut wire, _client) = duplex(64 * 1024);
        let mut gathered = Gathered::default();
        let wakes = Arc::new(Wakes::default());
        let waker = wakes.clone().into();
        let cx = &mut Context::from_waker(&waker);
        for written in 1..=3 {
            let slices = [IoSlice::new(&[7; 1000]), IoSlice::new(&[7; 10_000])];
            assert!(
                gathered
                    .poll_write(&mut wire, cx, &slices[..written % 2 + 1])
                    .is_ready()
            );
            for _ in 0..3 {
                assert!(gathered.poll_flush(cx).is_ready());
            }
            for _ in 0..3 {
                assert!(gathered.poll_due(&mut wire, cx).is_ready());
                assert!(gathered.poll_flush(cx).is_ready());
            }
            assert_eq!(wakes.0.load(Ordering::Relaxed), written);
        }
    }

    #[tokio::test]
    async fn who_reads_nothing_is_sent_no_more_than_waits() {
        const ROOM: usize = 100;
        let (mut written, client) = Written::to(ROOM);
        let all = [7; GATHERED_BYTES_MAX + ROOM];
        let mut taken = 0;
        for piece in all.chunks(1000) {
            if poll_once(written.write(piece)).await.is_none() {
                break;
            }
            taken += piece.len();
        }
        assert!(taken > 0 && taken < all.len(), "{taken}");
        assert!(poll_once(written.send_all()).await.is_none());
        drop(client);
        let failed = written.send_all().await.map_err(|error| error.kind());
        assert_eq!(failed, Err(io::ErrorKind::BrokenPipe));
    }

    /// None: it has to wait.
    async fn poll_once<T>(attempt: impl Future<Output = T>) -> Option<T> {
        let mut attempt = pin!(attempt);
        poll_fn(|cx| match attempt.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn everything_comes_in_order() -> io::Result<()> {
        const PIECES: [usize; 12] = [
            9, 1000, 4096, 4097, 0, 40_000, 1, 16_383, 4000, 4000, 16_385, 300,
        ];
        let all: Vec<u8> = (0..PIECES.iter().sum())
            .map(|at| (at % 251) as u8)
            .collect();
        for room in [1, 7, 1000, 16_384, 50_000] {
            for turns in 0..=PIECES.len() {
                let (mut written, mut client) = Written::to(room);
                let writing = async {
                    let mut rest = &all[..];
                    for (at, size) in PIECES.into_iter().enumerate() {
                        let (piece, after) = rest.split_at(size);
                        rest = after;
                        written.write(piece).await?;
                        if turns > 0 && at % turns == 0 {
                            written.flush().await?;
                            written.send_due().await?;
                        }
                    }
                    written.send_all().await?;
                    drop(written);
                    io::Result::Ok(())
                };
                let mut read = Vec::new();
                tokio::try_join!(writing, client.read_to_end(&mut read))?;
                assert!(read == all, "{room} {turns}");
            }
        }
        Ok(())
    }
}
