//! What the controller hears on the fleet's bus, and what it answers there: reports, events, plan, signers, modules.

use protocol::backlog::Backlog;
use protocol::key::{Keys, backlog_node, module_function};
use protocol::module::{MODULE_CHUNK_BYTES, ModuleChunk, ModuleQuery};
use protocol::plan::PlanQuery;
use protocol::report::Ping;
use protocol::{decode, encode};
use types::{FleetId, NodeId};

use super::logs::LogBook;
use super::programs::Programs;
use super::run::{Shared, Wake};
use super::store::Modules;
use super::zenoh::{Bus, BusError, Question};
use crate::event::Input;
use crate::topology_feed::{known, to_wire};

/// The parameter by which a node asks for its own pairs of the plan: `…/_topo/plan?node=sat-1`.
const NODE_PARAMETER: &str = "node=";

/// Subscribes to all reports, events and logs, and answers for plan, signers, modules and round-trip probes.
///
/// # Errors
/// [`BusError`] when a key cannot be declared.
pub async fn attend(
    bus: &Bus,
    fleet: &FleetId,
    me: &NodeId,
    shared: &Shared,
    (modules, programs, logs): (&Modules, &Programs, &LogBook),
) -> Result<(), BusError> {
    let keys = Keys::new(fleet);
    let sink = shared.clone();
    bus.subscribe(&keys.reports(), move |key, frame| {
        sink.offer(Input::Report { key: key.to_owned(), frame });
    })
    .await?;
    let sink = shared.clone();
    bus.subscribe(&keys.all_events(), move |key, frame| {
        sink.offer(Input::Event { key: key.to_owned(), frame });
    })
    .await?;
    let book = logs.clone();
    bus.subscribe(&keys.all_logs(), move |key, frame| book.take(key, &frame)).await?;
    let plans = shared.clone();
    bus.serve(&keys.plan(), move |question| plan_answer(&plans, question)).await?;
    bus.serve(&keys.ping(me), pong).await?;
    let receipts = shared.clone();
    bus.hand_on(&keys.backlogs(), move |key, frame, answer| {
        let backlog = match decode::<Backlog>(&frame) {
            Ok(backlog) if backlog_node(key).as_ref() == Some(&backlog.node) => backlog,
            Ok(backlog) => {
                return tracing::warn!(key, node = %backlog.node, "backlog under another key");
            }
            Err(error) => return tracing::warn!(key, %error, "backlog refused"),
        };
        receipts.ask(Wake::Backlog(Box::new(backlog), answer));
    })
    .await?;
    let trusting = shared.clone();
    bus.serve(&keys.signers(), move |_| signers_answer(&trusting)).await?;
    let programs = programs.clone();
    bus.serve(&keys.programs(), move |question| program_answer(&programs, question)).await?;
    let modules = modules.clone();
    bus.serve(&keys.modules(), move |question| module_answer(&modules, question)).await
}

/// Nodes measure the way to the controller as they do to each other.
fn pong(question: &Question<'_>) -> Option<Vec<u8>> {
    decode::<Ping>(question.frame).ok().and_then(|ping| encode(&ping).ok())
}

fn plan_answer(shared: &Shared, question: &Question<'_>) -> Option<Vec<u8>> {
    let have = match question.frame {
        [] => None,
        frame => match decode::<PlanQuery>(frame) {
            Ok(query) => query.have,
            Err(error) => {
                tracing::debug!(%error, "question for the plan refused");
                return None;
            }
        },
    };
    // No plan yet: the asker tries again.
    let plan = shared.read(|controller, _| controller.contact_plan())?;
    let message = if have == Some(plan.version) {
        known(&plan)
    } else {
        let asker = question
            .parameters
            .split(';')
            .find_map(|parameter| parameter.strip_prefix(NODE_PARAMETER))
            .and_then(|name| NodeId::new(name).ok());
        to_wire(&plan, asker.as_ref(), shared.read(|controller, _| controller.kinds()))
    };
    encode(&message).inspect_err(|error| tracing::warn!(%error, "plan not answered")).ok()
}

/// Whose signatures count now.
fn signers_answer(shared: &Shared) -> Option<Vec<u8>> {
    let signers = shared.read(|controller, _| controller.signers());
    encode(&signers).inspect_err(|error| tracing::error!(%error, "signers not answered")).ok()
}

/// A part of a program of the agent.
fn program_answer(programs: &Programs, question: &Question<'_>) -> Option<Vec<u8>> {
    let query = decode::<ModuleQuery>(question.frame)
        .inspect_err(|error| tracing::debug!(%error, "question for a program refused"))
        .ok()?;
    let answer = encode(&programs.part(&query));
    answer.inspect_err(|error| tracing::warn!(%error, "program not answered")).ok()
}

/// A part of a component or of a signed manifest.
fn module_answer(modules: &Modules, question: &Question<'_>) -> Option<Vec<u8>> {
    let query = match decode::<ModuleQuery>(question.frame) {
        Ok(query) => query,
        Err(error) => {
            tracing::debug!(key = question.key, %error, "question for a module refused");
            return None;
        }
    };
    // The hash decides; the name in the key is for people and for access rules.
    let held = module_function(question.key).and_then(|_| modules.get(&query.sha256));
    let chunk = held.map_or(ModuleChunk::NotFound, |bytes| {
        let from = usize::try_from(query.offset).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(MODULE_CHUNK_BYTES).min(bytes.len());
        ModuleChunk::Part {
            total: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            bytes: bytes[from..to].to_vec(),
        }
    });
    encode(&chunk).inspect_err(|error| tracing::warn!(%error, "module not answered")).ok()
}
