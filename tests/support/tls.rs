//! TLS before a server that speaks none, with a certificate authority made on the spot.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Listens as long as the test runs.
pub struct TlsFront {
    address: SocketAddr,
    /// The authority's certificate, PEM.
    pub ca: String,
}

impl TlsFront {
    /// Stand before the server at `url` with a certificate for `names` alone.
    pub fn before(url: &str, names: &[&str]) -> Self {
        let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let (config, ca) = certified(names);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(pass(listener, TlsAcceptor::from(config), server));
        });
        Self { address, ca }
    }

    /// Its URL under a name of this machine.
    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }
}

async fn pass(listener: std::net::TcpListener, acceptor: TlsAcceptor, server: SocketAddr) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            client.set_nodelay(true).unwrap();
            // A client that does not trust it says so and leaves.
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let mut upstream = TcpStream::connect(server).await.unwrap();
            upstream.set_nodelay(true).unwrap();
            // Either side may leave when it likes.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        });
    }
}

fn certified(names: &[&str]) -> (Arc<rustls::ServerConfig>, String) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(spark::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (Arc::new(config), ca.pem())
}
