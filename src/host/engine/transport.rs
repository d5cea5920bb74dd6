//! HTTP to an engine: one connection a request, which lives as long as its answer.
//!
//! bollard's own ways to connect limit neither time nor size, trust every public authority besides the one that was
//! named, and panic where no TLS provider is installed. Here each failure keeps its kind, and a link over TCP that was
//! cut is noticed by its keep-alive.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::address::{Certificates, EngineAddress, Tcp};
use crate::tls::{self, BadCertificate};

/// How long a connection may take, its handshake included.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// After how long without a sign of life the far end is asked for one, and how often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How many of these may go unanswered.
const KEEP_ALIVE_RETRIES: u32 = 3;

/// The way to an engine.
pub(super) struct Transport {
    address: EngineAddress,
    tls: Option<TlsConnector>,
}

/// The bytes of a connection.
trait Wire: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Wire for T {}

impl Transport {
    /// The way to `address`. Nothing is connected yet.
    ///
    /// # Errors
    /// Certificates that cannot be read, or are none.
    pub(super) fn new(address: EngineAddress) -> Result<Self, BadCertificate> {
        let tls = match &address {
            EngineAddress::Tls { certificates: Certificates { ca, cert, key }, .. } => {
                Some(TlsConnector::from(Arc::new(tls::mutual(ca, cert, key)?)))
            }
            EngineAddress::Unix(_) | EngineAddress::Plain(_) => None,
        };
        Ok(Self { address, tls })
    }

    pub(super) fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Send `request` and return its answer's head. No more than `most` bytes are read; more than that are an error.
    pub(super) async fn send(&self, request: BollardRequest, most: u64) -> Result<Response<Incoming>, Error> {
        let bytes = match tokio::time::timeout(CONNECT_LIMIT, self.connect()).await {
            Ok(connected) => connected?,
            Err(_) => {
                let why = format!("no connection within {} s", CONNECT_LIMIT.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why).into());
            }
        };
        let bytes = TokioIo::new(Bounded { bytes, left: most });
        let (mut sender, connection) = http1::handshake(bytes).await?;
        // It ends with the answer, or with whoever waits for it; what it could say, the answer says.
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(self.by_path(request)?).await?)
    }

    /// `request` as a server expects it, without the address that bollard puts before the path.
    fn by_path(&self, mut request: BollardRequest) -> Result<BollardRequest, Error> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = path.parse::<Uri>()?;
        let host = match &self.address {
            // Servers want one.
            EngineAddress::Unix(_) => HeaderValue::from_static("localhost"),
            EngineAddress::Tls { at, .. } | EngineAddress::Plain(at) => {
                HeaderValue::from_str(&at.to_string()).unwrap_or(HeaderValue::from_static("localhost"))
            }
        };
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }

    async fn connect(&self) -> io::Result<Pin<Box<dyn Wire>>> {
        let at = match &self.address {
            EngineAddress::Unix(path) => return Ok(Box::pin(UnixStream::connect(path).await?)),
            EngineAddress::Tls { at, .. } | EngineAddress::Plain(at) => at,
        };
        let stream = connect_tcp(at).await?;
        match &self.tls {
            Some(connector) => {
                let name = ServerName::try_from(at.host.clone()).map_err(io::Error::other)?;
                Ok(Box::pin(connector.connect(name, stream).await?))
            }
            None => Ok(Box::pin(stream)),
        }
    }
}

async fn connect_tcp(at: &Tcp) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((at.host.as_str(), at.port)).await?;
    stream.set_nodelay(true)?;
    let keep_alive =
        TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE).with_retries(KEEP_ALIVE_RETRIES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keep_alive)?;
    // While bytes of ours are on their way no sign of life is asked for: those themselves must arrive.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(KEEP_ALIVE * (KEEP_ALIVE_RETRIES + 1)))?;
    Ok(stream)
}

/// A connection of which so much is read and no more.
struct Bounded {
    bytes: Pin<Box<dyn Wire>>,
    left: u64,
}

/// What an answer longer than its bound ends with.
#[derive(Debug, thiserror::Error)]
#[error("an answer without end")]
pub(super) struct Endless;

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other(Endless)));
        }
        let before = buffer.filled().len();
        ready!(self.bytes.as_mut().poll_read(context, buffer))?;
        self.left = self.left.saturating_sub((buffer.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bytes.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_shutdown(context)
    }
}
