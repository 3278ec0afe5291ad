//! The receiver's side: copies and grants of other nodes, checked when offered and again when they have arrived.

use types::OwnerEpoch;

use super::{Group, Incoming, Kind, Output, Part, Raised, With};

impl Group {
    pub(super) fn offered(&mut self, incoming: &Incoming) -> Vec<Output> {
        match incoming.kind {
            Kind::Copy => self.copy_offered(incoming),
            Kind::Grant => self.grant_offered(incoming),
        }
    }

    pub(super) fn arrived(&mut self, incoming: &Incoming) -> Vec<Output> {
        // The same questions again: epochs and roles may have changed while the chunks were on their way.
        let mut outputs = self.offered(incoming);
        let Some(at) = outputs.iter().position(|output| *output == Output::Take) else {
            return outputs;
        };
        // What changed already becomes durable with the bundle.
        outputs.truncate(at);
        outputs.retain(|output| !matches!(output, Output::Persist { .. }));
        let mut installed = match incoming.kind {
            Kind::Copy => self.install_copy(incoming),
            Kind::Grant => self.take_grant(incoming, true),
        };
        installed.append(&mut outputs);
        installed
    }

    fn copy_offered(&mut self, incoming: &Incoming) -> Vec<Output> {
        let fence = self.record.fence;
        let owned_here = self.owner_epoch() == Some(incoming.epoch);
        if incoming.epoch < fence || owned_here || incoming.stamp.epoch != incoming.epoch {
            return vec![Output::ReplyFenced { epoch: fence }];
        }
        // What the owner has committed under its epoch is in what it committed later.
        let held = incoming.stamp <= self.record.stamp;
        let mut outputs = match self.raise_fence(incoming.epoch) {
            Raised::OwnerFell => vec![self.persist(With::Nothing), Output::SteppedDown],
            // Before any bytes: from here on this node helps no older owner to acknowledge anything.
            Raised::Yes => vec![self.persist(With::Nothing)],
            Raised::Not => Vec::new(),
        };
        outputs.push(match (held, incoming.room) {
            (true, _) => Output::ReplyDurable,
            (false, true) => Output::Take,
            (false, false) => Output::ReplyNoRoom,
        });
        outputs
    }

    fn install_copy(&mut self, incoming: &Incoming) -> Vec<Output> {
        let keep_old = self.record.confirmed < self.record.stamp;
        self.record.fence = incoming.epoch;
        self.record.stamp = incoming.stamp;
        self.record.confirmed = incoming.stamp;
        vec![self.persist(With::Bundle { keep_old }), Output::ReplyDurable]
    }

    fn grant_offered(&mut self, incoming: &Incoming) -> Vec<Output> {
        if self.record.owned == incoming.epoch {
            return vec![Output::ReplyDurable];
        }
        if self.record.declined == Some(incoming.epoch) {
            return vec![Output::ReplyDeclined];
        }
        if incoming.epoch <= self.record.fence {
            return vec![Output::ReplyFenced { epoch: self.record.fence }];
        }
        let expected =
            matches!(&self.record.part, Part::Standby { owner } if *owner == incoming.from);
        let held = incoming.stamp <= self.record.stamp;
        match (expected, held) {
            (true, true) => self.take_grant(incoming, false),
            (true, false) if incoming.room => vec![Output::Take],
            _ => self.decline(incoming.epoch),
        }
    }

    fn take_grant(&mut self, incoming: &Incoming, with_bundle: bool) -> Vec<Output> {
        let keep_old = self.record.confirmed < self.record.stamp;
        if with_bundle {
            self.record.stamp = incoming.stamp;
        }
        self.record.confirmed = self.record.stamp;
        let from = Some(incoming.from.clone());
        self.become_owner(incoming.epoch, from.clone());
        let with = if with_bundle { With::Bundle { keep_old } } else { With::Nothing };
        let took_over = Output::TookOver { epoch: incoming.epoch, from };
        vec![self.persist(with), Output::ReplyDurable, took_over]
    }

    fn decline(&mut self, epoch: OwnerEpoch) -> Vec<Output> {
        let fell = self.raise_fence(epoch) == Raised::OwnerFell;
        self.record.declined = Some(epoch);
        let mut outputs = vec![self.persist(With::Nothing), Output::ReplyDeclined];
        if fell {
            outputs.push(Output::SteppedDown);
        }
        outputs
    }
}
