//! Makes reality match the plan: one desired state per node, sent until it is acknowledged.
//!
//! Performs no I/O and reads no clock. Each change of what a node is to do is a new generation; an answer to an
//! older one changes nothing; silence and refusals are retried for ever, a command is never dropped. A node that
//! comes (back) is first asked how it stands: what it runs already is adopted, never restarted.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::desired::{CalleeSpec, Desired, DesiredReply, DriveSpec, TaskSpec, Verdict};
use types::{Epoch, Generation, Instant, LeaderEpoch, NodeId, PlanVersion};

/// First and longest pause after a question that was not answered.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// Pause after a refusal: something has to change on the node first.
const REFUSED_RETRY: Duration = Duration::from_secs(2);
/// An answer that is older than this is not coming: the shell's timeout, and some.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);
const FLIGHT_MAX: Duration = Duration::from_secs(4);

/// What to ask of the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Ask how a node stands.
    Ask(NodeId),
    /// Tell a node what to do.
    Tell(Box<Desired>),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdicts {
    /// The node runs what it is to run, or said how it stands.
    Fine,
    /// The answer belongs to an older generation.
    Old,
    /// The node would not; it is told again.
    Refused(String),
    /// A controller with a higher epoch commands this node.
    Deposed(LeaderEpoch),
}

/// What a node is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The tasks to hold.
    pub tasks: Vec<TaskSpec>,
    /// The workflows to drive.
    pub drives: Vec<DriveSpec>,
    /// Where what their functions may call is.
    pub callees: Vec<CalleeSpec>,
}

/// The line to one node.
#[derive(Clone, Debug, Default)]
struct Line {
    wanted: Option<Wanted>,
    plan: PlanVersion,
    decided_at: Option<Epoch>,
    generation: Generation,
    acknowledged: Generation,
    /// What the node answered to the acknowledged generation.
    digest: Option<[u8; 32]>,
    /// Whether it has said how it stands since it came (back).
    is_met: bool,
    /// What was sent last and is not answered: a generation, or `None` for a question.
    flight: Option<(Option<Generation>, Instant)>,
    retry_at: Instant,
    failures: u32,
}

/// The lines to all nodes.
#[derive(Clone, Debug)]
pub struct Executor {
    epoch: LeaderEpoch,
    lines: BTreeMap<NodeId, Line>,
    deposed_by: Option<LeaderEpoch>,
}

impl Executor {
    /// Commands in the name of `epoch`, which must be higher than that of any controller before.
    pub fn new(epoch: LeaderEpoch, nodes: impl Iterator<Item = NodeId>) -> Self {
        Self { epoch, lines: nodes.map(|n| (n, Line::default())).collect(), deposed_by: None }
    }

    /// The epoch of this controller.
    pub const fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The higher epoch that a node has obeyed, if one was seen: then this controller keeps quiet.
    pub const fn deposed_by(&self) -> Option<LeaderEpoch> {
        self.deposed_by
    }

    /// The newest generation for a node, and the one that it acknowledged.
    pub fn generations(&self, node: &NodeId) -> (Generation, Generation) {
        self.lines.get(node).map(|l| (l.generation, l.acknowledged)).unwrap_or_default()
    }

    /// What a node is to do.
    pub fn wanted(&self, node: &NodeId) -> Option<&Wanted> {
        self.lines.get(node)?.wanted.as_ref()
    }

    /// Whether a node runs what it is to run, as far as is known.
    pub fn is_settled(&self, node: &NodeId) -> bool {
        self.lines.get(node).is_some_and(|line| {
            line.is_met && line.wanted.is_some() && line.acknowledged == line.generation
        })
    }

    /// Whether a node has said how it stands since it came (back).
    pub fn is_met(&self, node: &NodeId) -> bool {
        self.lines.get(node).is_some_and(|line| line.is_met)
    }

    /// A node came (back), or was started anew: it is asked before it is told.
    pub fn came(&mut self, node: &NodeId) {
        if let Some(line) = self.lines.get_mut(node) {
            line.is_met = false;
            line.flight = None;
            line.retry_at = Instant(0);
            line.failures = 0;
        }
    }

    /// Sets what a node is to do and answers the generation that says so.
    pub fn want(
        &mut self,
        node: &NodeId,
        wanted: Wanted,
        plan: PlanVersion,
        now: Epoch,
    ) -> Generation {
        let Some(line) = self.lines.get_mut(node) else { return Generation(0) };
        if line.wanted.as_ref() != Some(&wanted) {
            line.wanted = Some(wanted);
            line.plan = plan;
            line.decided_at = Some(now);
            line.generation = line.generation.next();
            // What is under way is overtaken by this; the node refuses the older one.
            line.flight = None;
            line.retry_at = Instant(0);
            line.failures = 0;
        }
        line.generation
    }

    /// Asks a node how it stands, in addition to what is due.
    pub fn ask(&mut self, now: Instant, node: &NodeId) -> Option<Order> {
        let line = self.lines.get_mut(node)?;
        if line.flight.is_some() {
            return None;
        }
        line.flight = Some((None, now));
        Some(Order::Ask(node.clone()))
    }

    /// What is to be sent now to the nodes that can be reached.
    pub fn due(&mut self, now: Instant, is_reachable: impl Fn(&NodeId) -> bool) -> Vec<Order> {
        if self.deposed_by.is_some() {
            return Vec::new();
        }
        let epoch = self.epoch;
        let mut orders = Vec::new();
        for (node, line) in &mut self.lines {
            if line.flight.is_some_and(|(_, sent)| sent.plus(FLIGHT_MAX) <= now) {
                line.flight = None;
            }
            if line.flight.is_some() || now < line.retry_at || !is_reachable(node) {
                continue;
            }
            if !line.is_met {
                line.flight = Some((None, now));
                orders.push(Order::Ask(node.clone()));
            } else if let Some(desired) = line.open(node, epoch) {
                line.flight = Some((Some(line.generation), now));
                orders.push(Order::Tell(Box::new(desired)));
            }
        }
        orders
    }

    /// Nothing came back.
    pub fn unanswered(&mut self, now: Instant, node: &NodeId, told: Option<Generation>) {
        let Some(line) = self.lines.get_mut(node) else { return };
        if line.flight.is_some_and(|(flown, _)| flown == told) {
            let (first, longest) = RETRY;
            let pause = first.saturating_mul(1 << line.failures.min(8)).min(longest);
            line.failures += 1;
            line.rest(now, pause);
        }
    }

    /// Takes an answer and says what it means.
    pub fn answered(
        &mut self,
        now: Instant,
        node: &NodeId,
        told: Option<Generation>,
        reply: &DesiredReply,
    ) -> Verdicts {
        let ours = self.epoch;
        let Some(line) = self.lines.get_mut(node) else { return Verdicts::Old };
        if ours < reply.facts.epoch {
            self.deposed_by = self.deposed_by.max(Some(reply.facts.epoch));
            return Verdicts::Deposed(reply.facts.epoch);
        }
        if line.flight.is_some_and(|(flown, _)| flown == told) {
            line.flight = None;
            line.failures = 0;
        }
        match &reply.verdict {
            Verdict::Reported => line.met(ours, reply),
            Verdict::Accepted | Verdict::Adopted if told == Some(line.generation) => {
                line.acknowledged = line.generation;
                line.digest = Some(reply.digest);
            }
            Verdict::Accepted | Verdict::Adopted => return Verdicts::Old,
            Verdict::Stale { epoch, .. } if ours < *epoch => {
                self.deposed_by = self.deposed_by.max(Some(*epoch));
                return Verdicts::Deposed(*epoch);
            }
            Verdict::Stale { epoch, generation } => {
                // The node obeyed a newer one of ours that this process does not remember, or that flew past.
                if *epoch == ours && line.generation < *generation {
                    line.generation = generation.next();
                } else if told != Some(line.generation) {
                    return Verdicts::Old;
                }
                line.rest(now, RETRY.0);
                return Verdicts::Refused(format!(
                    "generation {told:?} is stale, the node has obeyed {epoch}/{generation}"
                ));
            }
            Verdict::Denied { reason } => {
                if told == Some(line.generation) {
                    line.rest(now, REFUSED_RETRY);
                }
                return Verdicts::Refused(reason.clone());
            }
        }
        Verdicts::Fine
    }
}

impl Line {
    fn rest(&mut self, now: Instant, pause: Duration) {
        self.flight = None;
        self.retry_at = now.plus(pause);
    }

    /// The node said how it stands.
    fn met(&mut self, ours: LeaderEpoch, reply: &DesiredReply) {
        self.is_met = true;
        let runs_it = reply.facts.epoch == ours
            && reply.facts.generation == self.generation
            && self.digest == Some(reply.digest);
        if !runs_it && self.wanted.is_some() && self.acknowledged == self.generation {
            // It lost what it had acknowledged, or something else was told since: say it again.
            self.acknowledged = Generation(0);
        }
        if reply.facts.epoch == ours && self.generation < reply.facts.generation {
            self.generation = reply.facts.generation.next();
        }
    }

    /// What the node still has to be told.
    fn open(&self, node: &NodeId, epoch: LeaderEpoch) -> Option<Desired> {
        let wanted = self.wanted.as_ref()?;
        if self.acknowledged == self.generation {
            return None;
        }
        Some(Desired {
            node: node.clone(),
            epoch,
            generation: self.generation,
            decided_at: self.decided_at?,
            plan: self.plan,
            tasks: wanted.tasks.clone(),
            drives: wanted.drives.clone(),
            callees: wanted.callees.clone(),
        })
    }
}
