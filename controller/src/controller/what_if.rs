//! Questions that change nothing: what would be decided.

use std::sync::Arc;

use placement::{Alternative, Assignment, Decision, Workflow};
use types::{Epoch, TaskId, WorkflowId};

use super::view::ViewError;
use super::view::place::refusals;
use super::{Controller, SubmitError};
use crate::api::{AlternativeInfo, WhatIf, WhatIfHost};
use crate::event::Now;
use crate::planner::Question;

impl Controller {
    /// The question where a workflow of the fleet would be placed.
    ///
    /// # Errors
    /// [`ViewError`] for one that was never submitted, or while clock or contact plan are missing.
    pub fn question(&self, now: Now, id: &WorkflowId) -> Result<Question, ViewError> {
        self.ask(now, self.deployment(id)?.workflow.clone())
    }

    /// Whether a workflow is refused now.
    pub fn is_refused(&self, id: &WorkflowId) -> bool {
        let decision = self.deployments.get(id).and_then(|one| one.decision.as_ref());
        matches!(decision, Some(Decision::Refused(_)))
    }

    /// Whether a workflow would be taken; nothing is changed.
    ///
    /// # Errors
    /// As [`Controller::submit`].
    pub fn check(&self, workflow: &Workflow) -> Result<(), SubmitError> {
        workflow.check()?;
        self.check_references(workflow)?;
        self.check_place(workflow)
    }

    /// The question where any workflow would be placed.
    ///
    /// # Errors
    /// [`ViewError::NotYet`] while clock or contact plan are missing.
    pub fn ask(&self, now: Now, workflow: Workflow) -> Result<Question, ViewError> {
        let world = self.world(now).ok_or(ViewError::NotYet("the sky clock"))?;
        let plan = self.plan.as_ref().ok_or(ViewError::NotYet("the contact plan"))?;
        Ok(Question {
            moment: world.moment,
            plan: Arc::clone(plan),
            picture: self.picture(&world),
            workflow,
            section: self.config.plan.clone(),
        })
    }
}

/// A decision as an answer.
pub fn what_if(workflow: &WorkflowId, at: Epoch, decision: &Decision) -> WhatIf {
    let (hosts, sets_aside, refusals) = match decision {
        Decision::Placed(plan) => {
            (plan.assignments.iter().map(host).collect(), plan.sets_aside.clone(), vec![])
        }
        Decision::Refused(refusal) => (vec![], vec![], refusals(&refusal.task, &refusal.nodes)),
    };
    WhatIf {
        workflow: workflow.clone(),
        at,
        is_feasible: matches!(decision, Decision::Placed(_)),
        hosts,
        refusals,
        alternatives: alternatives(decision),
        sets_aside,
        text: decision.to_string(),
    }
}

/// What would help where a decision is a refusal.
pub fn alternatives(decision: &Decision) -> Vec<AlternativeInfo> {
    match decision {
        Decision::Placed(_) => vec![],
        Decision::Refused(refusal) => {
            refusal.alternatives.iter().map(|one| alternative(&refusal.task, one)).collect()
        }
    }
}

fn host(assignment: &Assignment) -> WhatIfHost {
    let next = assignment.next.as_ref();
    WhatIfHost {
        task: assignment.task.clone(),
        node: assignment.node.clone(),
        because: assignment.because.clone(),
        next: next.map(|next| next.node.clone()),
        next_at: next.map(|next| next.at),
        replica: assignment.replica.clone(),
    }
}

fn alternative(task: &TaskId, one: &Alternative) -> AlternativeInfo {
    let percent = |ppm: u32| f64::from(ppm) / 1e4;
    let (kind, to, numbers, unit) = match one {
        Alternative::From { .. } => ("from", None, None, ""),
        Alternative::Latency { to, limit_ms, asked_ms } => {
            ("latency", Some(to), Some((*limit_ms, *asked_ms)), "ms")
        }
        Alternative::Bandwidth { to, limit_kbps, asked_kbps } => {
            let numbers = (f64::from(*limit_kbps), f64::from(*asked_kbps));
            ("bandwidth", Some(to), Some(numbers), "kbit/s")
        }
        Alternative::Arrival { to, limit_ms, asked_ms } => {
            ("arrival", Some(to), Some((*limit_ms, *asked_ms)), "ms")
        }
        Alternative::Loss { to, limit_ppm, asked_ppm } => {
            ("loss", Some(to), Some((percent(*limit_ppm), percent(*asked_ppm))), "%")
        }
    };
    let at = match one {
        Alternative::From { at } => Some(*at),
        Alternative::Latency { .. }
        | Alternative::Bandwidth { .. }
        | Alternative::Arrival { .. }
        | Alternative::Loss { .. } => None,
    };
    AlternativeInfo {
        task: task.clone(),
        kind: kind.to_owned(),
        to: to.cloned(),
        at,
        limit: numbers.map(|(limit, _)| limit),
        asked: numbers.map(|(_, asked)| asked),
        unit: unit.to_owned(),
        text: one.to_string(),
    }
}
