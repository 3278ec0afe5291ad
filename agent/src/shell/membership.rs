//! This node as a member of a fleet with certificates: its identity, who belongs to the fleet, and renewal.
//!
//! Zenoh takes its access rules and the certificate of a listener when a session opens. So when somebody was added to
//! the fleet, or the certificate of this node was renewed, the agent starts anew: what it obeys, knows and holds is on its disk.
//! A revocation needs none of this: it takes effect where it is heard.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::access::policies;
use protocol::join::Members;
use secure::client::{ClientError, keep, next};
use secure::gate::Gate;
use secure::identity::{Identity, IdentityError};
use secure::revoked::OtherProvider;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use types::NodeId;

use super::work::Work;
use super::zenoh::Security;
use crate::config::{Config, IdentityConfig};
use crate::exec::trust::built_at;
use crate::health::Pulse;

/// Lists that wait to be read.
const LISTS_MAX: usize = 2;
/// Between two looks for a newer list: every one is also put, so this only fills gaps.
const LIST_INTERVAL: Duration = Duration::from_secs(30);
/// Between two looks at the clock, where it is behind the build of this program, or for whether it is time to renew: it may jump.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for the time to renew, for the same reason.
const DUE_INTERVAL: Duration = Duration::from_secs(3600);

/// Why this node is no member.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Its files.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// They are another's.
    #[error(
        "the certificate in {dir} is that of {is}, and this node is {should}; join as {should}, or correct node.name"
    )]
    OtherName {
        /// The folder.
        dir: String,
        /// Whose it is.
        is: NodeId,
        /// Whose it should be.
        should: NodeId,
    },
    /// Other cryptography.
    #[error(transparent)]
    Provider(#[from] OtherProvider),
}

/// A member. Clones are handles to the same.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    identity: Arc<Mutex<Identity>>,
    gate: Gate,
    controller: Option<String>,
    listens: bool,
    /// Told when the agent has to start anew.
    anew: Arc<Notify>,
}

impl Membership {
    /// Reads the identity of this node; `None` in an insecure fleet. Within the runtime, before any session opens.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub(super) fn open(config: &Config) -> Result<Option<Self>, MembershipError> {
        let Some(IdentityConfig { dir, controller }) = &config.identity else { return Ok(None) };
        secure::revoked::install()?;
        let identity = Identity::load(dir)?;
        if identity.facts.name != config.node {
            let (is, should) = (identity.facts.name, config.node.clone());
            return Err(MembershipError::OtherName { dir: dir.display().to_string(), is, should });
        }
        let gate = Gate::new(Handle::current());
        gate.refuse(&identity.members);
        Ok(Some(Self {
            identity: Arc::new(Mutex::new(identity)),
            gate,
            controller: controller.clone(),
            listens: !config.bus.listen.is_empty(),
            anew: Arc::default(),
        }))
    }

    /// What the session of the fleet needs; on the emulation's network without rules, since the bridge has them.
    pub(super) fn security(&self, config: &Config, is_fleet: bool) -> Security {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = policies(&config.fleet, &identity.members, &config.node);
        Security {
            paths: identity.paths.clone(),
            policies: is_fleet.then(|| (config.fleet.clone(), rules)),
            gate: self.gate.clone(),
        }
    }

    /// Waits until the clock of this machine is not behind the build of this program: certificates are checked with it.
    pub(super) async fn sane_clock(&self) {
        let mut is_told = false;
        while now_s() < built_at().unix_ns() / 1_000_000_000 {
            if !is_told {
                is_told = true;
                let built = built_at();
                tracing::error!(%built, "clock_unsane: no links before the clock of this machine is set");
            }
            tokio::time::sleep(CLOCK_INTERVAL).await;
        }
    }

    /// What is done all the time.
    pub(super) fn attend(&self, work: &Arc<Work>) -> [JoinHandle<()>; 2] {
        [
            tokio::spawn(self.clone().follow_members(Arc::clone(work))),
            tokio::spawn(self.clone().keep_renewed(work.health().pulse("certificate"))),
        ]
    }

    /// Resolves when the agent has to start anew.
    pub(super) async fn anew(&self) {
        self.anew.notified().await;
    }

    /// Closes the links of who was revoked at once, then keeps the list.
    async fn take(&self, members: Members) {
        self.gate.refuse(&members);
        let identity = Arc::clone(&self.identity);
        let kept = tokio::task::spawn_blocking(move || {
            identity.lock().unwrap_or_else(PoisonError::into_inner).keep_members(members)
        });
        match kept.await {
            Ok(Ok(true)) => {
                tracing::info!("the members of the fleet have changed: starting anew");
                self.anew.notify_one();
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "list of members is not kept"),
            Err(error) => tracing::error!(%error, "list of members was lost"),
        }
    }

    fn due_s(&self) -> i64 {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        // Of the key of each, so that nodes which joined together do not come back together.
        identity.life().due_s(identity.facts.key[0])
    }

    /// Renews the certificate of this node whenever two thirds of its life are over; again and again until it succeeds.
    #[expect(clippy::infinite_loop, reason = "its task is aborted when the agent ends")]
    async fn keep_renewed(self, mut pulse: Pulse) {
        let Some(url) = self.controller.clone() else {
            tracing::warn!(
                "identity.controller is not given: the certificate of this node will end"
            );
            return pulse.during(std::future::pending()).await;
        };
        let mut failures = 0;
        loop {
            let left_s = u64::try_from(self.due_s().saturating_sub(now_s())).unwrap_or_default();
            if 0 < left_s {
                let pause = Duration::from_secs(left_s).min(DUE_INTERVAL);
                pulse.during(tokio::time::sleep(pause)).await;
                continue;
            }
            let (identity, url) = (Arc::clone(&self.identity), url.clone());
            let renewed = tokio::task::spawn_blocking(move || {
                let before = identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let issued = next(&before, &url)?;
                // A list of members may have come meanwhile: the identity of now takes both.
                let mut identity = identity.lock().unwrap_or_else(PoisonError::into_inner);
                let is_other = keep(&mut identity, issued)?;
                Ok::<_, ClientError>((identity.members.clone(), is_other))
            });
            match pulse.during(renewed).await {
                Ok(Ok((members, is_other))) => {
                    failures = 0;
                    tracing::info!("certificate renewed");
                    self.gate.refuse(&members);
                    // Links that this node dials take the new certificate by themselves, a listener keeps the old one.
                    if self.listens || is_other {
                        self.anew.notify_one();
                    }
                    continue;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, failures, "certificate is not renewed yet");
                }
                Err(error) => tracing::error!(%error, "renewal was lost"),
            }
            let life = self.identity.lock().unwrap_or_else(PoisonError::into_inner).life();
            pulse.during(tokio::time::sleep(life.pause(failures))).await;
            failures += 1;
        }
    }

    /// Follows who belongs to the fleet: what is put, and what was missed.
    async fn follow_members(self, work: Arc<Work>) {
        let (frames, mut put) = mpsc::channel(LISTS_MAX);
        let mut pulse = work.health().pulse("members");
        if let Err(error) = work.fleet().follow_members(frames).await {
            tracing::error!(%error, "the list of members is only asked for");
        }
        while work.is_wanted() {
            match pulse.during(work.fleet().members()).await {
                Ok(members) => self.take(members).await,
                Err(error) => tracing::debug!(%error, "members"),
            }
            let next = tokio::time::Instant::now() + LIST_INTERVAL;
            while let Ok(Some(frame)) =
                pulse.during(tokio::time::timeout_at(next, put.recv())).await
            {
                match protocol::decode::<Members>(&frame) {
                    Ok(members) => self.take(members).await,
                    Err(error) => tracing::warn!(%error, "list of members dropped"),
                }
            }
            pulse.during(tokio::time::sleep_until(next)).await;
        }
    }
}

/// The wall clock, seconds since 1970.
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
