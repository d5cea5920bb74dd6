//! A TCP socket that says when what it reads arrived.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use self::stamped::{ask_for_stamps, receive};
use super::arrival::Stamps;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    stamps: Arc<Stamps>,
    /// When the bytes read last arrived.
    arrived: Instant,
}

impl Socket {
    /// Connect to the first of `addresses` that answers.
    pub(super) async fn connect(addresses: &[SocketAddr], stamps: Arc<Stamps>) -> io::Result<Self> {
        let tcp = TcpStream::connect(addresses).await?;
        // A request is one write; waiting for more to send would only add to its latency.
        tcp.set_nodelay(true)?;
        ask_for_stamps(&tcp);
        Ok(Self { tcp, stamps, arrived: Instant::now() })
    }

    /// When the bytes read last arrived; when it was connected, before the first.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Bytes into `buffer`; none at the end.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            match self.tcp.try_io(Interest::READABLE, || receive(&self.tcp, buffer)) {
                Ok((size, stamp)) => {
                    if (1..buffer.len()).contains(&size) {
                        // There was no more. Saying so spares the system call that would find it out, as
                        // tokio's own reads do: what comes from now on is another event.
                        let _ = self
                            .tcp
                            .try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
                    }
                    if size > 0 {
                        self.stamps.count(stamp.is_some());
                        // Packets are read in order, whatever a clock says.
                        self.arrived = stamp.unwrap_or_else(Instant::now).max(self.arrived);
                    }
                    return Poll::Ready(Ok(size));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// For TLS, which reads what it decrypts through this.
impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = ready!(self.get_mut().poll_receive(cx, buffer.initialize_unfilled()))?;
        buffer.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(target_os = "linux")]
mod stamped {
    use std::io::{self, IoSliceMut};
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
    use tokio::net::TcpStream;

    use crate::bench::client::arrival::arrived;

    /// Room for one stamp: a header of 16 bytes and a `timespec`. On the stack, which is in the cache; thousands
    /// of buffers would not be.
    #[repr(align(8))]
    struct Control([u8; 64]);

    /// Ask the kernel for stamps. Where it refuses, reads have none, which is what each of them looks for.
    pub(super) fn ask_for_stamps(tcp: &TcpStream) {
        let _ = setsockopt(tcp, sockopt::ReceiveTimestampns, &true);
    }

    /// Read what there is, and when it arrived where the kernel says.
    pub(super) fn receive(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Option<Instant>)> {
        let (mut pieces, mut control) = ([IoSliceMut::new(buffer)], Control([0; 64]));
        let read = recvmsg::<()>(tcp.as_raw_fd(), &mut pieces, Some(&mut control.0), MsgFlags::empty())?;
        let stamp = read.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        Ok((read.bytes, stamp.map(|stamp| arrived(stamp, wall(), Instant::now()))))
    }

    /// The clock that stamps are made by, since 1970.
    fn wall() -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }
}

#[cfg(not(target_os = "linux"))]
mod stamped {
    use std::io;
    use std::time::Instant;

    use tokio::net::TcpStream;

    pub(super) fn ask_for_stamps(_: &TcpStream) {}

    pub(super) fn receive(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Option<Instant>)> {
        Ok((tcp.try_read(buffer)?, None))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [listener.local_addr().unwrap()];
        let (socket, other) = tokio::join!(Socket::connect(&addresses, Arc::default()), listener.accept());
        (socket.unwrap(), other.unwrap().0)
    }

    /// A reader that comes late says when the bytes came, not when it came.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn bytes_that_lay_unread_have_the_time_they_came() {
        let (mut socket, mut other) = pair().await;
        // The kernel begins to stamp a moment after the first socket asks for it.
        for _ in 0..100 {
            other.write_all(b"x").await.unwrap();
            assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 1);
            if socket.stamps.kernel_share().is_some_and(|share| share > 0.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let before = Instant::now();
        other.write_all(b"late").await.unwrap();
        let after = Instant::now();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 4);
        assert!(after.elapsed() >= Duration::from_millis(60));
        // The two clocks are read one after the other, and a busy machine may put something between.
        let slack = Duration::from_millis(20);
        let arrived = socket.arrived();
        assert!(
            before <= arrived + slack && arrived <= after + slack,
            "{:?} after sending",
            arrived - before
        );
    }

    #[tokio::test]
    async fn everything_is_read_in_order_also_where_it_fills_the_buffer() {
        let (mut socket, mut other) = pair().await;
        let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let copy = sent.clone();
        let writing = tokio::spawn(async move {
            for piece in copy.chunks(977) {
                other.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (mut read, mut buffer) = (Vec::new(), [0; 512]);
        let mut last = socket.arrived();
        loop {
            let size = socket.read(&mut buffer).await.unwrap();
            assert!(socket.arrived() >= last, "time goes forward");
            last = socket.arrived();
            match size {
                0 => break,
                size => read.extend_from_slice(&buffer[..size]),
            }
        }
        writing.await.unwrap();
        assert_eq!(read, sent);
    }
}
