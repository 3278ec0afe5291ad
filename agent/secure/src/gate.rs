//! Sessions of Zenoh whose neighbours are known by certificate, and the hand on their links.
//!
//! Zenoh takes its access rules when a session opens and cannot close the link of one neighbour. Its transports can: a
//! handler hears of each before any message is read from it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use protocol::join::Members;
use tokio::runtime::Handle;
use zenoh::Session;
use zenoh::internal::runtime::{DynamicRuntime, RuntimeBuilder};
use zenoh_transport::multicast::TransportMulticast;
use zenoh_transport::unicast::TransportUnicast;
use zenoh_transport::{
    DummyTransportMulticastEventHandler, DummyTransportPeerEventHandler, TransportEventHandler,
    TransportMulticastEventHandler, TransportPeer, TransportPeerEventHandler,
};

use crate::revoked;

/// Knows the links of a session by the names of their neighbours, and closes those of who was revoked. Clones are
/// handles to the same.
#[derive(Clone)]
pub struct Gate {
    links: Arc<Mutex<Links>>,
    /// Where closing is waited for.
    reactor: Handle,
}

#[derive(Default)]
struct Links {
    open: Vec<(String, TransportUnicast)>,
    revoked: BTreeSet<String>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("neighbours", &self.neighbours()).finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that is open for everybody with a certificate.
    pub fn new(reactor: Handle) -> Self {
        Self { links: Arc::default(), reactor }
    }

    /// Closes the links of who was revoked, and lets none of them in again: neither by key nor by name.
    pub fn refuse(&self, members: &Members) {
        revoked::refuse(members.keys.iter().copied());
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.revoked.extend(members.revoked.iter().map(ToString::to_string));
        let Links { open, revoked } = &mut *links;
        let closed: Vec<_> = open.extract_if(.., |(name, _)| revoked.contains(name)).collect();
        drop(links);
        for (name, transport) in closed {
            self.close(name, async move { transport.close().await });
        }
    }

    /// The neighbours with open links; `""` for one without a certificate.
    pub fn neighbours(&self) -> Vec<String> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.open.retain(|(_, transport)| transport.get_zid().is_ok());
        links.open.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Nothing is read from the link any more when this returns; the rest of its end takes a while.
    fn close(&self, name: String, end: impl Future<Output = zenoh::Result<()>> + Send + 'static) {
        tracing::warn!(name, "link of a revoked member closed");
        let mut end = Box::pin(async move {
            if let Err(error) = end.await {
                tracing::debug!(name, %error, "link was closed already");
            }
        });
        // Up to where it first waits, which is for the reader that it has told to stop.
        let _in_reactor = self.reactor.enter();
        if end.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.reactor.spawn(end);
        }
    }
}

impl TransportEventHandler for Gate {
    fn new_unicast(
        &self,
        _peer: TransportPeer,
        transport: TransportUnicast,
    ) -> zenoh::Result<Arc<dyn TransportPeerEventHandler>> {
        let ids = transport.get_auth_ids()?;
        let name = ids.link_auth_ids().iter().find_map(|id| id.get_cert_common_name());
        let name = name.unwrap_or_default().to_owned();
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if !links.revoked.contains(&name) {
            links.open.retain(|(_, transport)| transport.get_zid().is_ok());
            links.open.push((name, transport));
            return Ok(Arc::new(DummyTransportPeerEventHandler));
        }
        drop(links);
        // Its reader starts when this has returned. Zenoh holds the transport until then, so that only its links can be closed.
        for link in transport.get_links()? {
            let transport = transport.clone();
            self.close(name.clone(), async move { transport.close_link(link).await });
        }
        Ok(Arc::new(DummyTransportPeerEventHandler))
    }

    fn new_multicast(
        &self,
        _transport: TransportMulticast,
    ) -> zenoh::Result<Arc<dyn TransportMulticastEventHandler>> {
        Ok(Arc::new(DummyTransportMulticastEventHandler))
    }
}

/// Opens a session; its links pass the gate before anything is read from them. Closing the session ends its runtime.
///
/// # Errors
/// Zenoh's, when an address cannot be listened on or the settings cannot be used.
pub async fn open(settings: zenoh::Config, gate: &Gate) -> zenoh::Result<Session> {
    let mut runtime = RuntimeBuilder::new(settings).build().await?;
    let shared = DynamicRuntime::from(runtime.clone());
    shared.new_handler(Arc::new(gate.clone()));
    let session = zenoh::session::init(shared).await?;
    runtime.start().await?;
    Ok(session)
}

#[cfg(test)]
mod tests;
