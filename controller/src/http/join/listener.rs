//! Connections of strangers: so many at once, each for so long, with or without a certificate of the fleet.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use secure::identity::{self, Identity, IdentityError};
use secure::x509::{Facts, facts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may last, handshake included: a request takes seconds over the slowest link.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// After the system gave no connection, for example because no file is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why nobody can be let in there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error("cannot listen on {address} (identity.join): {source}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The controller's own identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS.
    #[error("the join endpoint cannot speak TLS: {0}")]
    Tls(String),
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// What its certificate says, if it showed one; it was checked.
    pub facts: Option<Facts>,
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Accepts connections; handshakes go on side by side, so that a slow one delays nobody.
#[derive(Debug)]
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, Peer)>,
    accepting: JoinHandle<()>,
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TlsListener {
    /// Listens with the certificate of `own`.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(address: SocketAddr, own: &Identity) -> Result<Self, ListenError> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(own)?));
        let failed = |source| ListenError::Address { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (sender, ready) = mpsc::channel(CONNECTIONS_MAX);
        let accepting = tokio::spawn(accept(listener, acceptor, sender));
        Ok(Self { address, ready, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn server_config(own: &Identity) -> Result<ServerConfig, ListenError> {
    let tls = |error: &dyn std::fmt::Display| ListenError::Tls(error.to_string());
    let provider = Arc::new(secure::revoked::provider());
    let mut roots = RootCertStore::empty();
    roots.add(own.authority.clone()).map_err(|error| tls(&error))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    // Who joins has none yet.
    let verifier = verifier.allow_unauthenticated().build().map_err(|error| tls(&error))?;
    let (_, certificate) = identity::read_certificate(&own.paths.certificate)?;
    let key = identity::read_key(&own.paths.key)?.serialize_pem();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| tls(&error))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate, own.authority.clone()], key);
    let mut config = config.map_err(|error| tls(&error))?;
    // A session that is resumed shows no certificate, which might have been revoked meanwhile.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(Connection, Peer)>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed: it is ours.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let end = Box::pin(tokio::time::sleep(CONNECTION_TIME));
            let shaken = tokio::time::timeout(CONNECTION_TIME, acceptor.accept(stream)).await;
            let stream = match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "handshake failed"),
                Err(_) => return tracing::debug!(%address, "handshake took too long"),
            };
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let facts = shown.and_then(|certificate| facts(certificate).ok());
            let connection = Connection { stream, end, _permit: permit };
            // Who served may have ended.
            ready.send((connection, Peer { address, facts })).await.ok();
        });
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // Only when the runtime ends.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { address: self.address, facts: None })
    }
}

/// A connection that ends in time, and counts while it lasts.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
