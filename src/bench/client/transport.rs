//! Bytes to and from a server, encrypted or not, with the time they arrived.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::socket::Socket;

/// An open connection's bytes.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Bytes into `buffer`, none at the end, and when the last of them arrived. Behind TLS that is when the
    /// last encrypted bytes did.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, Instant)>> {
        match self {
            Transport::Plain(socket) => {
                let size = ready!(socket.poll_receive(cx, buffer))?;
                Poll::Ready(Ok((size, socket.arrived())))
            }
            Transport::Tls(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                    Ok(()) => Poll::Ready(Ok((buffer.filled().len(), stream.get_ref().0.arrived()))),
                    // Many servers close without TLS's goodbye. Whether the answer was whole, HTTP says.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        Poll::Ready(Ok((0, stream.get_ref().0.arrived())))
                    }
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
        }
    }

    /// Send what is left of `bytes`, which is shortened by what was sent; ready once all of it is on its way.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &mut &[u8]) -> Poll<io::Result<()>> {
        let stream: &mut (dyn AsyncWrite + Unpin) = match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream,
        };
        let mut stream = Pin::new(stream);
        while !bytes.is_empty() {
            let size = ready!(stream.as_mut().poll_write(cx, bytes))?;
            *bytes = bytes.get(size..).unwrap_or_default();
        }
        stream.poll_flush(cx)
    }
}
