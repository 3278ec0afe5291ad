//! Hand-over of a group: copy, freeze, grant, wait until the new owner has it.

use std::sync::Arc;

use belt::group::{Answer, Input, Output, Part};
use protocol::belt::Refusal;
use tokio::time::{Duration, Instant, timeout_at};
use types::{NodeId, OwnerEpoch};

use super::bundle::Sent;
use super::groups::Held;
use super::inner::{Inner, blocking, named};
use super::push::{End, push};
use super::{GroupId, Peers, TransferError};

/// Longest time that copying a whole group takes: 128 MiB at 20 Mbit/s.
const COPY_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest wait for calls in flight; those that take longer do not commit here, and run again at the new owner.
const FREEZE_WAIT: Duration = Duration::from_secs(2);
/// Longest time for a grant; it carries what changed since the copy just before.
const GRANT_TIME_MAX: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) async fn replicate(
        self: &Arc<Self>,
        peers: &impl Peers,
        group: &GroupId,
        to: &NodeId,
    ) -> Result<(), TransferError> {
        let held = self.group(group)?;
        if held.look(|machine| machine.owner_epoch()).is_none() {
            return Err(TransferError::NotOwner { group: group.clone() });
        }
        self.catch_up(peers, &held).await?;
        self.copy_group(peers, &held, to, Instant::now() + COPY_TIME_MAX).await.0
    }

    pub(super) async fn hand_over<T: Send>(
        self: &Arc<Self>,
        peers: &impl Peers,
        group: &GroupId,
        to: &NodeId,
        last: impl Future<Output = T> + Send,
    ) -> Result<OwnerEpoch, TransferError> {
        let held = self.group(group)?;
        let _one_at_a_time = held.handing_over.lock().await;
        let is_granted = held.look(|machine| matches!(machine.record().part, Part::Granted { .. }));
        let mut _held = None;
        if !is_granted {
            self.replicate(peers, group, to).await?;
            _held = Some(last.await);
        }
        let not_owner = || TransferError::NotOwner { group: group.clone() };
        let freeze = Input::Freeze { to: to.clone(), epoch: named(&held) };
        let mut outputs = self.stepped(&held, freeze).await?;
        if outputs.is_empty() {
            wait_until_quiet(&held).await;
        }
        if outputs.is_empty() || outputs.contains(&Output::Quiet) {
            outputs = self.stepped(&held, Input::Grant).await?;
        }
        match outputs.first() {
            Some(Output::Released { epoch, .. }) => Ok(*epoch),
            Some(Output::SendGrant { epoch, .. }) => {
                let epoch = *epoch;
                self.send_grant(peers, &held, to, epoch).await
            }
            _ => Err(not_owner()),
        }
    }

    async fn send_grant(
        self: &Arc<Self>,
        peers: &impl Peers,
        held: &Arc<Held>,
        to: &NodeId,
        epoch: OwnerEpoch,
    ) -> Result<OwnerEpoch, TransferError> {
        let bundle = self.group_bundle(held, Sent::AsGrant(epoch)).await?;
        let (end, _) = push(peers, to, bundle, Instant::now() + GRANT_TIME_MAX).await;
        let to = to.clone();
        let (answer, result) = match end {
            End::Durable => (Answer::Durable, Ok(epoch)),
            End::Refused(Refusal::Fenced { owner_epoch }) => (
                Answer::Fenced { epoch: owner_epoch },
                Err(TransferError::Fenced { to, owner_epoch }),
            ),
            // The only refusal that the other node has made durable: it never takes this grant.
            End::Refused(Refusal::Denied(reason)) => {
                (Answer::Declined, Err(TransferError::Refused { to, reason }))
            }
            End::Refused(refusal) => {
                let reason = format!("{refusal:?}");
                (Answer::Silence, Err(TransferError::Unanswered { to, reason }))
            }
            End::Silence(reason) => {
                (Answer::Silence, Err(TransferError::Unanswered { to, reason }))
            }
        };
        self.stepped(held, Input::GrantAnswered { epoch, answer }).await?;
        result
    }

    async fn stepped(
        self: &Arc<Self>,
        held: &Arc<Held>,
        input: Input,
    ) -> Result<Vec<Output>, TransferError> {
        let (this, held) = (Arc::clone(self), Arc::clone(held));
        let stepped = blocking(TransferError::Store, move || {
            held.plain_step(&this.store, input)
                .map_err(|error| TransferError::Store(error.to_string()))
        });
        stepped.await
    }
}

/// Waits for calls in flight, not for ever.
async fn wait_until_quiet(held: &Held) {
    let until = Instant::now() + FREEZE_WAIT;
    while 0 < held.look(|machine| machine.calls()) {
        if timeout_at(until, held.quiet.notified()).await.is_err() {
            tracing::warn!(group = %held.id, "calls in flight are left behind");
            return;
        }
    }
}
