//! `starbelt workflow`.

use std::path::Path;

use placement::Workflow;
use types::{Epoch, WorkflowId};

use super::client::Client;
use super::output::{UNKNOWN, fields, known, span, table};
use super::place::print_what_if;
use super::{CliError, Format, Printed};
use crate::api::{PlacementState, RunInfo, WhatIf, WorkflowInfo, WorkflowList};
use crate::config::{ConfigError, Layers};
use crate::exit_code;

pub(super) fn submit(client: &Client, format: Format, file: &Path) -> Result<Printed, CliError> {
    let text = read(file)?;
    let answer = client.post::<WorkflowInfo>("/workflows", "application/toml", text.as_bytes())?;
    let mut printed = answer.print(format, details);
    printed.end = infeasible(&answer.value);
    Ok(printed)
}

/// What would be decided about a workflow, without submitting it.
pub(super) fn try_out(
    client: &Client,
    format: Format,
    file: &Path,
    at: Option<Epoch>,
) -> Result<Printed, CliError> {
    let text = read(file)?;
    let path = at.map_or_else(|| "/what-if".to_owned(), |at| format!("/what-if?at={at}"));
    let answer = client.post::<WhatIf>(&path, "application/toml", text.as_bytes())?;
    Ok(print_what_if(&answer, format))
}

/// A workflow as text, which makes sense.
fn read(file: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("{} cannot be read: {error}", file.display());
        CliError::new(exit_code::FAILURE, message)
    })?;
    // Here the file has lines to point at.
    let bad = |error: ConfigError| CliError::new(exit_code::BAD_CONFIG, error.to_string());
    let workflow: Workflow =
        Layers::read(file, std::iter::empty()).and_then(|layers| layers.decode()).map_err(bad)?;
    workflow.check().map_err(|error| {
        CliError::new(exit_code::BAD_CONFIG, format!("{}: {error}", file.display()))
    })?;
    Ok(text)
}

pub(super) fn status(
    client: &Client,
    format: Format,
    workflow: &WorkflowId,
) -> Result<Printed, CliError> {
    let answer = client.get::<WorkflowInfo>(&format!("/workflows/{workflow}"), &[])?;
    Ok(answer.print(format, details))
}

pub(super) fn remove(
    client: &Client,
    format: Format,
    workflow: &WorkflowId,
) -> Result<Printed, CliError> {
    let answer = client.delete::<WorkflowInfo>(&format!("/workflows/{workflow}"))?;
    Ok(answer.print(format, |info| format!("{} is removed from all nodes\n", info.id)))
}

pub(super) fn list(client: &Client, format: Format) -> Result<Printed, CliError> {
    let answer = client.get::<WorkflowList>("/workflows", &[])?;
    Ok(answer.print(format, |list| {
        let rows: Vec<[String; 7]> = list.workflows.iter().map(row).collect();
        let header =
            ["WORKFLOW", "PRIORITY", "PLACEMENT", "RUNS", "COMPLETED", "FAILED", "LAST RUN"];
        table(header, &rows)
    }))
}

fn infeasible(workflow: &WorkflowInfo) -> Option<CliError> {
    let has_none = matches!(workflow.placement, PlacementState::Refused | PlacementState::SetAside);
    has_none.then(|| {
        let message = format!(
            "{} is taken, but has no feasible placement now; it is tried again every second \
             (starbelt place explain {})",
            workflow.id, workflow.id
        );
        CliError::new(exit_code::INFEASIBLE, message)
    })
}

fn placement(workflow: &WorkflowInfo) -> String {
    let aside = workflow.set_aside_for.as_ref().map(|by| format!("set aside for {by}"));
    match workflow.placement {
        PlacementState::Pending => "pending".to_owned(),
        PlacementState::Placed => "placed".to_owned(),
        PlacementState::Refused => "refused".to_owned(),
        PlacementState::SetAside => aside.unwrap_or_else(|| "set aside".to_owned()),
    }
}

fn runs(workflow: &WorkflowInfo) -> String {
    match (workflow.driving, workflow.every_ms) {
        (_, 0) => "never".to_owned(),
        (false, _) => "not yet".to_owned(),
        (true, every_ms) => {
            format!(
                "every {}",
                span(std::time::Duration::from_millis(every_ms.into()).as_secs_f64())
            )
        }
    }
}

fn wall(run: &RunInfo) -> String {
    let took = span(std::time::Duration::from_micros(run.wall_us).as_secs_f64());
    match &run.failure {
        None => took,
        Some(failure) => format!("failed after {took}: {failure}"),
    }
}

fn row(workflow: &WorkflowInfo) -> [String; 7] {
    [
        workflow.id.to_string(),
        workflow.priority.as_str().to_owned(),
        placement(workflow),
        runs(workflow),
        workflow.completed.to_string(),
        workflow.failed.to_string(),
        known(workflow.last_run.as_ref(), wall),
    ]
}

fn details(workflow: &WorkflowInfo) -> String {
    let tasks: Vec<&str> = workflow.tasks.iter().map(types::TaskId::as_str).collect();
    let mut text = fields(&[
        ("workflow", workflow.id.to_string()),
        ("priority", workflow.priority.as_str().to_owned()),
        ("placement", placement(workflow)),
        ("tasks", tasks.join(" -> ")),
        ("runs", runs(workflow)),
        ("completed", workflow.completed.to_string()),
        ("failed", workflow.failed.to_string()),
        ("placed for", format!("{} of the sky", span(workflow.placed_s))),
        ("SLO violated", format!("{} of the sky", span(workflow.slo_violation_s))),
        ("last run", known(workflow.last_run.as_ref(), wall)),
    ]);
    if let Some(run) = workflow.last_run.as_ref().filter(|run| !run.stages.is_empty()) {
        text.push('\n');
        text.push_str(&stages(run));
    }
    let refused = workflow.refusals.iter();
    text.extend(refused.map(|one| format!("{} is not possible on {}\n", one.task, one.text)));
    text
}

fn stages(run: &RunInfo) -> String {
    let ms = |ns: u64| span(std::time::Duration::from_nanos(ns).as_secs_f64());
    let rows: Vec<[String; 7]> = run
        .stages
        .iter()
        .map(|stage| {
            let copies: Vec<&str> = stage.copies.iter().map(types::NodeId::as_str).collect();
            [
                stage.task.to_string(),
                stage.node.to_string(),
                stage.attempts.to_string(),
                ms(stage.cost.fetch_ns),
                ms(stage.cost.run_ns),
                ms(stage.cost.commit_ns),
                if copies.is_empty() { UNKNOWN.to_owned() } else { copies.join(", ") },
            ]
        })
        .collect();
    table(["TASK", "NODE", "TRIES", "FETCH", "RUN", "COMMIT", "DURABLE ON"], &rows)
}
