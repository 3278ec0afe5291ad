//! Calls placement on what is known now. Performs no I/O and reads no clock.

use std::sync::Arc;

use placement::{
    Decision, Declined, NodeView, Options, Prediction, Running, Snapshot, Successor, Workflow,
    WorldView, nodes_at,
};
use protocol::report::Reading;
use topology::ContactPlan;
use types::{Capacity, Epoch};

use crate::config::PlanSection;
use crate::event::Moment;
use crate::fleet::{Fleet, Node};
use crate::hosting::{Hosting, Step, TaskKey, World};

/// A hand-over starts so long before its window closes (wall), unless the configuration says otherwise: freezing,
/// the last changes and the grant.
const GUARD_WALL_S: f64 = 1.5;

/// How placement is to decide, in sky time.
pub fn options(section: &PlanSection, rate: f64) -> Options {
    Options {
        horizon_s: f64::from(section.horizon_s),
        guard_s: section.guard_s.unwrap_or(GUARD_WALL_S * rate),
        prepare_s: f64::from(section.prepare_ms) / 1000.0 * rate,
        seed: section.seed,
    }
}

/// What placement rests on, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// All nodes, by name.
    pub nodes: Vec<NodeView>,
    /// All that runs.
    pub running: Vec<Running>,
}

impl Picture {
    /// Draws it from inventory and running table.
    pub fn draw<'a>(
        fleet: &Fleet,
        hosting: &Hosting,
        workflows: impl Iterator<Item = &'a Workflow> + Clone,
        world: &World,
    ) -> Self {
        let nodes = fleet.nodes().map(|node| node_view(node, world)).collect();
        let running = workflows
            .flat_map(|workflow| workflow.tasks.iter().map(move |task| (workflow, task)))
            .filter_map(|(workflow, task)| {
                let key = TaskKey { workflow: workflow.id.clone(), task: task.id.clone() };
                let host = hosting.host(&key)?;
                let announced = |step: &Step| Successor {
                    node: step.to.clone(),
                    // What waits for its preparation comes as soon as it can.
                    at: step.at.unwrap_or(world.moment.sky),
                };
                Some(Running {
                    workflow: key.workflow,
                    task: key.task,
                    node: host.node.clone(),
                    priority: workflow.priority,
                    owner_epoch: host.owner_epoch,
                    replica: host.replica.clone(),
                    successor: host.step.as_ref().map(announced),
                    milli_cpu: task.milli_cpu,
                    memory_mib: task.memory_mib,
                    watts: task.watts,
                })
            })
            .collect();
        Self { nodes, running }
    }

    /// Decides for one workflow.
    pub fn decide(
        &self,
        moment: &Moment,
        plan: &ContactPlan,
        workflow: &Workflow,
        section: &PlanSection,
    ) -> Decision {
        let view = self.view(moment, plan, section);
        placement::plan(&view, workflow, &options(section, moment.rate))
    }

    /// In which order to decide about workflows that run nowhere yet, as positions in the list.
    pub fn order(
        &self,
        moment: &Moment,
        plan: &ContactPlan,
        waiting: &[&Workflow],
        section: &PlanSection,
    ) -> Vec<usize> {
        let view = self.view(moment, plan, section);
        placement::batch::order(&view, waiting, &options(section, moment.rate))
    }

    fn view<'a>(
        &'a self,
        moment: &Moment,
        plan: &'a ContactPlan,
        section: &PlanSection,
    ) -> WorldView<'a> {
        WorldView {
            now: moment.sky,
            plan,
            nodes: &self.nodes,
            running: &self.running,
            prediction: prediction(section),
        }
    }
}

impl Picture {
    /// The same picture with all else that [`Picture::decide`] rests on, to be recorded and repeated elsewhere.
    pub fn snapshot(
        &self,
        moment: &Moment,
        plan: &ContactPlan,
        workflow: &Workflow,
        section: &PlanSection,
    ) -> Snapshot {
        Snapshot {
            now: moment.sky,
            plan: plan.clone(),
            nodes: self.nodes.clone(),
            running: self.running.clone(),
            prediction: prediction(section),
            options: options(section, moment.rate),
            workflow: workflow.clone(),
        }
    }
}

/// A question that changes nothing: where a workflow would be placed at some moment, on what is known now.
#[derive(Clone, Debug)]
pub struct Question {
    /// Now.
    pub moment: Moment,
    /// The newest contact plan.
    pub plan: Arc<ContactPlan>,
    /// The fleet as it is.
    pub picture: Picture,
    /// What is to be placed.
    pub workflow: Workflow,
    /// How placement is to decide.
    pub section: PlanSection,
}

/// A moment about which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at:.0} is not between now, {now:.0}, and {end:.0}, where the contact plan ends")]
pub struct UnknownMoment {
    /// The moment.
    pub at: Epoch,
    /// The sky now.
    pub now: Epoch,
    /// The end of the contact plan.
    pub end: Epoch,
}

impl Question {
    /// The decision at a moment, now unless one is given, with what would help if nothing can be placed. It takes up to
    /// some hundred decisions.
    ///
    /// # Errors
    /// [`UnknownMoment`] for one that has passed or that the contact plan does not reach.
    pub fn answer(&self, at: Option<Epoch>) -> Result<(Epoch, Decision), UnknownMoment> {
        let (now, end) = (self.moment.sky, self.plan.end());
        let at = at.unwrap_or(now);
        if at < now || (end < at && now < at) {
            return Err(UnknownMoment { at, now, end });
        }
        let today = self.picture.view(&self.moment, &self.plan, &self.section);
        let nodes = nodes_at(&today, at);
        let view = WorldView { now: at, nodes: &nodes, ..today };
        let options = options(&self.section, self.moment.rate);
        Ok((at, placement::advise(&view, &self.workflow, &options)))
    }
}

const fn prediction(section: &PlanSection) -> Prediction {
    if section.prediction { Prediction::On } else { Prediction::Off }
}

fn node_view(node: &Node, world: &World) -> NodeView {
    let section = &node.section;
    let declined = world.declined.iter().filter(|((_, by), _)| by == node.id());
    let declined = declined.map(|((key, _), reason)| Declined {
        workflow: key.workflow.clone(),
        task: key.task.clone(),
        reason: reason.clone(),
    });
    let arch = node.facts.as_ref().map_or(section.arch, |facts| facts.arch);
    let power = node.readings.power.as_ref();
    let thermal = node.readings.thermal.as_ref();
    NodeView {
        id: section.name.clone(),
        kind: section.kind,
        arch,
        capacity: capacity(node),
        region: section.region.clone(),
        trust: section.trust,
        // A node that has not said what it is cannot be told what to do.
        alive: world.is_alive(node.id()) && node.facts.is_some(),
        declined: declined.collect(),
        state_of_charge: power.and_then(|power| number(power.state_of_charge)),
        battery_wh: power.and_then(|power| number(power.capacity_wh)),
        idle_w: section.idle_w,
        solar_w: section.solar_w,
        reserve: section.reserve,
        temperature_c: thermal.and_then(|thermal| number(thermal.hottest_c)),
        temperature_max_c: section.temperature_max_c,
        ambient_c: section.ambient_c,
        heat_capacity_j_k: section.heat_capacity_j_k,
        conductance_w_k: section.conductance_w_k,
    }
}

/// What a node offers: what it says itself, but no more than the configuration allows.
pub fn capacity(node: &Node) -> Capacity {
    let allowed = node.section.capacity();
    let Some(facts) = &node.facts else { return allowed };
    Capacity {
        milli_cpu: allowed.milli_cpu.min(facts.capacity.milli_cpu),
        memory_mib: allowed.memory_mib.min(facts.capacity.memory_mib),
    }
}

/// A reading as a number.
pub fn number(reading: Reading) -> Option<f64> {
    reading.value().map(f64::from)
}
