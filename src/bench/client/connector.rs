//! Connections to one server: TCP, and TLS where its URL says so.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

use super::arrival::Stamps;
use super::connection::Connection;
use super::socket::Socket;
use super::transport::Transport;
use crate::bench::record::FailureClass;
use crate::bench::target::ServerTarget;
use crate::failure::{Failure, Kind};

/// Opens connections to one server. Its name is looked up once, so no request pays for it.
#[derive(Debug)]
pub(crate) struct Connector {
    addresses: Vec<SocketAddr>,
    tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    stamps: Arc<Stamps>,
}

/// Why no connection can be opened to a server at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    /// Its name has no address.
    #[error("cannot find `{host}`: {source}")]
    Lookup {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// TLS cannot be set up on this machine, or the name cannot be in a certificate.
    #[error("cannot speak TLS with `{host}`: {why}")]
    Tls {
        /// The server's name.
        host: String,
        /// Why not.
        why: String,
    },
}

impl Failure for ConnectorError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// Why one connection was not made.
#[derive(Debug)]
pub(super) struct NotConnected {
    pub(super) class: FailureClass,
    pub(super) message: String,
}

impl Connector {
    /// Look the server's name up and read the machine's trusted certificates where they are needed.
    /// `ca` is one more certificate to trust, DER.
    pub(crate) async fn new(target: &ServerTarget, ca: Option<Vec<u8>>) -> Result<Self, ConnectorError> {
        let (host, port) = target.host_and_port();
        let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(|source| ConnectorError::Lookup { host: host.clone(), source })?
            .collect();
        let tls = match target.is_tls() {
            true => Some(tls(&host, ca)?),
            false => None,
        };
        Ok(Self { addresses, tls, stamps: Arc::default() })
    }

    /// Open a connection.
    pub(super) async fn open(&self) -> Result<Connection, NotConnected> {
        let connect = |error: io::Error| NotConnected {
            class: FailureClass::Connect,
            message: format!("cannot connect: {error}"),
        };
        let socket = Socket::connect(&self.addresses, self.stamps.clone()).await.map_err(connect)?;
        let transport = match &self.tls {
            None => Transport::Plain(socket),
            Some((config, name)) => {
                let connector = TlsConnector::from(config.clone());
                let stream = connector.connect(name.clone(), socket).await.map_err(|error| NotConnected {
                    class: FailureClass::Tls,
                    message: format!("no TLS: {error}"),
                })?;
                Transport::Tls(Box::new(stream))
            }
        };
        Ok(Connection::new(transport))
    }

    /// Whose clock the times of what its connections read are by.
    pub(crate) fn stamps(&self) -> &Arc<Stamps> {
        &self.stamps
    }
}

fn tls(
    host: &str,
    ca: Option<Vec<u8>>,
) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), ConnectorError> {
    let refused = |why: String| ConnectorError::Tls { host: host.to_owned(), why };
    let provider = crate::tls::provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?;
    let config = match ca {
        None => builder.with_platform_verifier().map_err(|error| refused(error.to_string()))?,
        Some(der) => {
            let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots([der.into()], provider)
                .map_err(|error| refused(error.to_string()))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(|error| refused(error.to_string()))?;
    Ok((Arc::new(config), name))
}
