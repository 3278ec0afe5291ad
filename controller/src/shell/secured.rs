//! What a fleet with certificates needs besides: the controller's identity, its rules, the list of members on the bus,
//! and the endpoint where members join.

use std::net::SocketAddr;
use std::path::Path;

use protocol::access::policies;
use protocol::encode;
use protocol::join::Members;
use protocol::key::Keys;
use secure::gate::Gate;
use secure::identity::Identity;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use types::LeaderEpoch;

use super::keeper::{Keeper, now_s};
use super::run::RunError;
use super::zenoh::{Bus, Class, Security};
use crate::config::Config;
use crate::http::join::{self, TlsListener};

/// What keeps strangers out.
#[derive(Debug)]
pub struct Secured {
    /// Lets members in.
    pub keeper: Keeper,
    /// Of the fleet's session.
    pub fleet: Security,
    /// Of the session of the emulation.
    pub sim: Security,
    own: Identity,
    join: Option<SocketAddr>,
}

impl Secured {
    /// Opens the keeper and makes the controller's identity; `None` in an insecure fleet. Must be called within the
    /// runtime, and before any session opens.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn open(
        config: &Config,
        (config_file, state_dir): (&Path, &Path),
        epoch: LeaderEpoch,
    ) -> Result<Option<Self>, RunError> {
        let Some(section) = &config.identity else { return Ok(None) };
        secure::revoked::install()?;
        let base = config_file.parent().unwrap_or_else(|| Path::new(""));
        let keeper = Keeper::open(config, section, (base, state_dir), epoch)?;
        let own = keeper.own(&section.addresses)?;
        let (members, gate) = (keeper.members(), Gate::new(Handle::current()));
        gate.refuse(&members);
        let (fleet, me) = (&config.controller.fleet, &config.controller.name);
        let paths = own.paths.clone();
        let rules = policies(fleet, &members, me);
        let sim = Security { paths: paths.clone(), policies: None, gate: gate.clone() };
        let fleet = Security { paths, policies: Some((fleet.clone(), rules)), gate };
        Ok(Some(Self { keeper, fleet, sim, own, join: section.join }))
    }

    /// Tells the fleet who belongs to it, closes links of who was revoked, and lets members join, until the answer is
    /// dropped; does nothing in an insecure fleet.
    ///
    /// # Errors
    /// [`RunError`] when a key cannot be declared or the join address cannot be had.
    pub async fn serve(
        secured: Option<&Self>,
        bus: &Bus,
        keys: &Keys,
    ) -> Result<JoinSet<()>, RunError> {
        let mut tasks = JoinSet::new();
        let Some(this) = secured else { return Ok(tasks) };
        let keeper = this.keeper.clone();
        bus.serve(&keys.members(), move |_| frame(&keeper.members())).await?;
        let telling = (bus.clone(), keys.members());
        tasks.spawn(tell(this.keeper.clone(), this.fleet.gate.clone(), telling));
        if let Some(address) = this.join {
            let listener = TlsListener::bind(address, &this.own).await?;
            tracing::info!(address = %listener.address(), "members join here");
            tasks.spawn(join::serve(listener, this.keeper.clone(), std::future::pending()));
        }
        Ok(tasks)
    }

    /// Whether the controller's own certificate is to be renewed by now. Of the wall clock, which may jump.
    pub fn is_due(&self) -> bool {
        self.own.life().due_s(0) <= now_s()
    }
}

fn frame(members: &Members) -> Option<Vec<u8>> {
    encode(members).inspect_err(|error| tracing::error!(%error, "members cannot be sent")).ok()
}

/// Refuses who was revoked as soon as that is known, here and, by telling it, everywhere.
async fn tell(keeper: Keeper, gate: Gate, (bus, key): (Bus, String)) {
    let mut changes = keeper.changes();
    loop {
        let members = changes.borrow_and_update().clone();
        gate.refuse(&members);
        if let Some(frame) = frame(&members)
            && let Err(error) = bus.put(&key, frame, Class::Command).await
        {
            tracing::warn!(%error, "members not put");
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
