//! `starbelt place`.

use types::{Epoch, TaskId, WorkflowId};

use super::client::{Answer, Client};
use super::output::{fields, known};
use super::{CliError, Format, Printed};
use crate::api::{NextInfo, PlacementInfo, PlacementList, WhatIf, WindowInfo};
use crate::exit_code;

pub(super) fn explain(
    client: &Client,
    format: Format,
    workflow: &WorkflowId,
    task: Option<&TaskId>,
) -> Result<Printed, CliError> {
    let mut query = vec![("workflow", workflow.to_string()), ("alternatives", true.to_string())];
    query.extend(task.map(|task| ("task", task.to_string())));
    let answer = client.get::<PlacementList>("/placements", &query)?;
    let mut printed = answer.print(format, |list| {
        let parts: Vec<String> = list.placements.iter().map(details).collect();
        let helps = list.alternatives.iter().map(|one| format!("{}: {}\n", one.task, one.text));
        let helps: String = helps.collect();
        if helps.is_empty() { parts.join("\n") } else { format!("{}\n{helps}", parts.join("\n")) }
    });
    let homeless: Vec<&str> = answer
        .value
        .placements
        .iter()
        .filter(|placement| placement.node.is_none())
        .map(|placement| placement.task.as_str())
        .collect();
    if !homeless.is_empty() {
        let message = format!("{workflow}: no feasible node for: {}", homeless.join(", "));
        printed.end = Some(CliError::new(exit_code::INFEASIBLE, message));
    }
    Ok(printed)
}

/// What would be decided at a later moment.
pub(super) fn what_if(
    client: &Client,
    format: Format,
    workflow: &WorkflowId,
    at: Epoch,
) -> Result<Printed, CliError> {
    let query = [("at", at.to_string())];
    let answer = client.get::<WhatIf>(&format!("/what-if/{workflow}"), &query)?;
    Ok(print_what_if(&answer, format))
}

/// A decision that was not carried out.
pub(super) fn print_what_if(answer: &Answer<WhatIf>, format: Format) -> Printed {
    let mut printed = answer.print(format, |what_if| what_if.text.clone());
    let WhatIf { workflow, at, is_feasible, .. } = &answer.value;
    if !is_feasible {
        let message = format!("{workflow} would have no feasible placement at {at:.0}");
        printed.end = Some(CliError::new(exit_code::INFEASIBLE, message));
    }
    printed
}

fn details(placement: &PlacementInfo) -> String {
    let mut text = fields(&[
        ("task", placement.task.to_string()),
        ("node", known(placement.node.as_ref(), ToString::to_string)),
        ("because", placement.because.clone()),
        ("phase", known(placement.phase.clone(), |phase| phase)),
        ("since", known(placement.since, |at| format!("{at:.0}"))),
        ("latency", known(placement.latency_ms, |ms| format!("{ms:.1} ms"))),
        ("until", known(placement.window.as_ref(), until)),
        ("next", known(placement.next.as_ref(), next)),
        ("second copy", known(placement.replica.as_ref(), ToString::to_string)),
        ("owner epoch", placement.owner_epoch.to_string()),
    ]);
    let refused =
        placement.refused.iter().map(|refusal| format!("not on       {}\n", refusal.text));
    text.extend(refused);
    text
}

fn until(window: &WindowInfo) -> String {
    if window.close_known {
        format!("{:.0} (window {})", window.close, window.id)
    } else {
        format!("beyond {:.0}, the end of the plan", window.close)
    }
}

fn next(next: &NextInfo) -> String {
    let stage = match (next.decided, next.prepared) {
        (_, true) => "code and state are there",
        (true, false) => "both nodes are told",
        (false, false) => "not decided yet",
    };
    format!("{} at {:.0}, {stage}", next.node, next.at)
}
