//! Questions of other nodes: decoded, and sent where they are answered. What does not decode is counted and dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::belt::{Chunk, Fetch, InventoryQuery, Offer};
use protocol::call::{Call, Called};
use protocol::command::Command;
use protocol::desired::Desired;
use protocol::event::EventQuery;
use protocol::invoke::{Budget, Fault, InvocationRecord, Invoke, Invoked, Outcome};
use protocol::key::BeltService;
use protocol::{DecodeError, Message, decode, encode};
use tokio::sync::OwnedSemaphorePermit;

use super::Shell;
use super::work::Work;
use super::zenoh::{Question, Service, Way};
use crate::event::{Input, Ticket};
use crate::state::GroupEvent;

/// Takes a question.
pub(super) fn take(shell: &mut Shell, question: Question) {
    match question.service {
        Service::Desired if question.frame.is_empty() => {
            let ticket = ticket(shell, question.answer);
            shell.handle(Input::StatusAsked(ticket));
        }
        Service::Desired => ask(shell, question, |desired: Desired, ticket| Input::Desired {
            desired: Box::new(desired),
            ticket,
        }),
        Service::Command => {
            ask(shell, question, |command: Command, ticket| Input::Command { command, ticket });
        }
        Service::Events => {
            ask(shell, question, |query: EventQuery, ticket| Input::EventsAsked { query, ticket });
        }
        Service::Invoke => {
            let work = Arc::clone(&shell.work);
            match room_for(&work, &question) {
                Some(room) => shell.work.crew().spawn(invoke(work, question, room)),
                None => shell.work.crew().spawn(refuse_call(question.answer)),
            }
        }
        Service::Call => {
            let work = Arc::clone(&shell.work);
            match room_for(&work, &question) {
                Some(room) => shell.work.crew().spawn(call(work, question, room)),
                None => shell.work.crew().spawn(send(question.answer, refused(Fault::Busy))),
            }
        }
        Service::Belt(service) => {
            let work = Arc::clone(&shell.work);
            match room_for(&work, &question) {
                Some(room) => shell.work.crew().spawn(belt(work, service, question, room)),
                None => question.answer.refuse(),
            }
        }
    }
}

/// Hands a question to the machine.
fn ask<M: Message>(shell: &mut Shell, question: Question, input: impl Fn(M, Ticket) -> Input) {
    match decode::<M>(&question.frame) {
        Ok(message) => {
            let ticket = ticket(shell, question.answer);
            shell.handle(input(message, ticket));
        }
        Err(error) => drop_frame(&shell.work, &question, &error),
    }
}

fn ticket(shell: &mut Shell, way: Way) -> Ticket {
    let ticket = Ticket(shell.next_ticket);
    shell.next_ticket += 1;
    shell.waiting.insert(ticket, way);
    ticket
}

/// Memory for a frame that is being worked on, if there is any left.
fn room_for(work: &Work, question: &Question) -> Option<OwnedSemaphorePermit> {
    let kib = u32::try_from(question.frame.len() / 1024 + 1).ok()?;
    Arc::clone(work.frames_kib()).try_acquire_many_owned(kib).ok()
}

fn drop_frame(work: &Work, question: &Question, error: &DecodeError) {
    work.frames_dropped().fetch_add(1, Ordering::Relaxed);
    tracing::warn!(service = ?question.service, %error, "frame dropped");
    question.answer.refuse();
}

/// Executes a call. Large frames are read and written off the reactor.
async fn invoke(work: Arc<Work>, question: Question, _room: OwnedSemaphorePermit) {
    let decoded = tokio::task::spawn_blocking(move || {
        let call = decode::<Invoke>(&question.frame);
        (call, question)
    });
    let Ok((call, question)) = decoded.await else { return };
    let call = match call {
        Ok(call) => call,
        Err(error) => return drop_frame(&work, &question, &error),
    };
    let named = (call.workflow.clone(), call.task.clone());
    let invoked = if question.task.as_ref() == Some(&named) {
        work.invoke(call, question.received).await
    } else {
        failed(Fault::BadInput("the call and its key name different tasks".to_owned()))
    };
    send(question.answer, invoked).await;
}

/// Executes a call of a function by one of another node.
async fn call(work: Arc<Work>, question: Question, _room: OwnedSemaphorePermit) {
    let decoded = tokio::task::spawn_blocking(move || {
        let call = decode::<Call>(&question.frame);
        (call, question)
    });
    let Ok((call, question)) = decoded.await else { return };
    let call = match call {
        Ok(call) => call,
        Err(error) => return drop_frame(&work, &question, &error),
    };
    let named = (call.invoke.workflow.clone(), call.invoke.task.clone());
    let called = if question.task.as_ref() == Some(&named) {
        work.called(call, question.received).await
    } else {
        refused(Fault::BadInput("the call and its key name different tasks".to_owned()))
    };
    send(question.answer, called).await;
}

fn refused(fault: Fault) -> Called {
    Called { invoked: failed(fault), used: Budget { calls: 0, cpu_us: 0 } }
}

async fn refuse_call(way: Way) {
    send(way, failed(Fault::Busy)).await;
}

fn failed(fault: Fault) -> Invoked {
    Invoked { outcome: Outcome::Failed(fault), record: InvocationRecord::default() }
}

async fn send<M: Message + Send + 'static>(way: Way, answer: M) {
    let send = move || match encode(&answer) {
        Ok(frame) => way.send_blocking(frame),
        Err(error) => tracing::error!(%error, "answer cannot be sent"),
    };
    if let Err(error) = tokio::task::spawn_blocking(send).await {
        tracing::error!(%error, "answer was lost");
    }
}

/// Serves the belt, off the reactor since it commits to disk.
async fn belt(
    work: Arc<Work>,
    service: BeltService,
    question: Question,
    _room: OwnedSemaphorePermit,
) {
    let this = Arc::clone(&work);
    let served = tokio::task::spawn_blocking(move || {
        let (answer, event) = match serve(&this, service, &question.frame) {
            Ok(served) => served,
            Err(error) => {
                drop_frame(&this, &question, &error);
                return None;
            }
        };
        if let Some(answer) = answer {
            question.answer.send_blocking(answer);
        }
        event
    });
    match served.await {
        Ok(Some(event)) => work.group_changed(event).await,
        Ok(None) => {}
        Err(error) => tracing::error!(%error, ?service, "answer was lost"),
    }
}

type Served = (Option<Vec<u8>>, Option<GroupEvent>);

fn serve(work: &Work, service: BeltService, frame: &[u8]) -> Result<Served, DecodeError> {
    let state = work.state();
    Ok(match service {
        BeltService::Offer => {
            let (reply, event) = state.on_offer(decode::<Offer>(frame)?);
            (frame_of(&reply), event)
        }
        BeltService::Chunk => {
            let (reply, event) = state.on_chunk(decode::<Chunk>(frame)?);
            (frame_of(&reply), event)
        }
        BeltService::Fetch => (frame_of(&state.on_fetch(decode::<Fetch>(frame)?)), None),
        BeltService::Inventory => {
            (frame_of(&state.on_inventory(decode::<InventoryQuery>(frame)?)), None)
        }
    })
}

fn frame_of<M: Message>(message: &M) -> Option<Vec<u8>> {
    match encode(message) {
        Ok(frame) => Some(frame),
        Err(error) => {
            tracing::error!(%error, "answer cannot be sent");
            None
        }
    }
}
