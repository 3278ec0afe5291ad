//! Calls of other functions: finds the function, takes objects along, and brings back what it answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use types::{FunctionId, StateKey, TaskId};
use wasmtime::component::{ComponentType, Lift, Linker, WasmList};
use wasmtime::{AsContext as _, StoreContext, StoreContextMut};

use super::wire::to_guest;
use super::{Callee, Elsewhere, HostFault, Outgoing, Returned};
use crate::carried::{Back, Bytes, Carried, CarriedInput, Waiting};
use crate::chain::{HOPS_MAX, NoCall};
use crate::context::Context;
use crate::function::Function;
use crate::fused;
use crate::place::Handle;
use crate::run::{Ended, Job};
use crate::{BODY_BYTES_MAX, CallFault, CallHeader, CallProfile, CallReport, HandOver, Usage};

const INTERFACE: &str = "starbelt:function/calls@0.2.0";
/// Most objects that go along with a call.
const OBJECTS_MAX: usize = 64;

/// The record `outgoing` of the contract; its body stays in the memory of the guest.
#[derive(ComponentType, Lift)]
#[component(record)]
struct WireOutgoing {
    function: String,
    #[component(name = "content-type")]
    content_type: String,
    body: WasmList<u8>,
    objects: Vec<String>,
}

/// Offers the interface to guests.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap(
        "call",
        |mut store: StoreContextMut<'_, Context>, (what,): (WireOutgoing,)| {
            Ok((call(&mut store, &what).map_err(to_guest),))
        },
    )
}

type Store<'a> = StoreContextMut<'a, Context>;

fn call(store: &mut Store<'_>, what: &WireOutgoing) -> Result<Vec<u8>, HostFault> {
    let function = FunctionId::new(&what.function).map_err(bad_input)?;
    let objects = objects(store.data_mut(), &what.objects)?;
    let context = store.data_mut();
    if BODY_BYTES_MAX < what.body.len() || HOPS_MAX <= context.place.hops {
        return Err(HostFault::TooLarge);
    }
    let depth = context.chain.begin().map_err(|no: NoCall| match no {
        NoCall::Budget | NoCall::Depth => HostFault::TooLarge,
    })?;
    let header = header(context);
    match context.host().enter(&function)? {
        Callee::Here { function: code, profile, fused } => {
            let Handle::Here(code) = code.0 else {
                store
                    .data_mut()
                    .host()
                    .leave(&CallReport { outcome: Err(CallFault::Busy), usage: Usage::default() });
                return Err(HostFault::NotFound);
            };
            let along = Along { name: &function, header: &header, objects };
            if fused && is_fusible(store.data(), &code, &profile) {
                return within(store, what, along, (&code, &profile, depth));
            }
            here(store, what, along, (&code, &profile, depth))
        }
        Callee::Elsewhere => elsewhere(store, what, &function, &header, objects),
    }
}

/// An object that goes along: written before, or still in the memory of the guest.
enum Object {
    Written(Vec<u8>),
    Handed,
}

fn objects(context: &mut Context, keys: &[String]) -> Result<Vec<(StateKey, Object)>, HostFault> {
    if OBJECTS_MAX < keys.len() {
        return Err(HostFault::TooLarge);
    }
    let mut objects = Vec::with_capacity(keys.len());
    for text in keys {
        let key = StateKey::new(text).map_err(bad_input)?;
        let object = if context.carried.handed.contains_key(&key) {
            Object::Handed
        } else {
            let written = match &context.carried.back {
                Some(back) => back.get(&key).cloned(),
                None => context.host().output_read(&key),
            };
            Object::Written(written.ok_or(HostFault::NotFound)?)
        };
        objects.push((key, object));
    }
    Ok(objects)
}

fn header(context: &mut Context) -> CallHeader {
    let place = context.place;
    let source = context.host().name();
    CallHeader {
        id: child_id(place.id, context.chain.calls_made()),
        root: place.root,
        hops: place.hops + 1,
        attempt: 1,
        source,
        deadline: context.deadline.saturating_duration_since(Instant::now()),
        budget: context.chain.left(),
    }
}

/// What goes along with a call.
struct Along<'a> {
    name: &'a FunctionId,
    header: &'a CallHeader,
    objects: Vec<(StateKey, Object)>,
}

/// Whether a function can be called in the store of its caller, which its host allows.
fn is_fusible(context: &Context, code: &Function, profile: &CallProfile) -> bool {
    let runner = &context.runner;
    let is_backend = profile.backend.is_none_or(|wanted| wanted == runner.backend());
    is_backend && context.fused.takes(runner.engine(), code)
}

/// What a called function gets: objects that its caller wrote, and those that lie in the memory of that one, which waits.
fn carried_by(waiting: &StoreContext<'_, Context>, objects: Vec<(StateKey, Object)>) -> Carried {
    let caller = TaskId::new(CALLER).expect("a valid name");
    let bytes_of = |key: &StateKey, object: Object| match object {
        Object::Written(bytes) => Bytes::Ours(bytes.into()),
        Object::Handed => {
            let handed =
                waiting.data().carried.handed.get(key).map(|list| list.as_le_slice(waiting));
            Bytes::OfCaller(Waiting::new(handed.unwrap_or_default()))
        }
    };
    let input = |(key, object)| {
        let bytes = bytes_of(&key, object);
        CarriedInput { task: caller.clone(), key, bytes }
    };
    let inputs = objects.into_iter().map(input).collect();
    Carried { inputs, back: Some(Back::default()), ..Carried::default() }
}

/// Calls a function that is at hand in the store of its caller: what it brings is copied once, into memory that is there.
fn within(
    store: &mut Store<'_>,
    what: &WireOutgoing,
    along: Along<'_>,
    (code, profile, depth): (&Function, &CallProfile, u8),
) -> Result<Vec<u8>, HostFault> {
    let (carried, body) = {
        let waiting = store.as_context();
        let body = Bytes::OfCaller(Waiting::new(what.body.as_le_slice(&waiting)));
        (carried_by(&waiting, along.objects), body)
    };
    let job = Job {
        function: code,
        header: along.header,
        schema_id: "",
        content_type: &what.content_type,
        body: body.get(),
        profile,
        depth,
    };
    let (report, back) = fused::call(store, job, carried);
    let context = store.data_mut();
    context.host().leave(&report);
    answered(context, along.name, HandOver::Fused, report, back)
}

/// Calls a function that is at hand, in a store of its own: what it reads is copied once.
fn here(
    store: &mut Store<'_>,
    what: &WireOutgoing,
    along: Along<'_>,
    (code, profile, depth): (&Function, &CallProfile, u8),
) -> Result<Vec<u8>, HostFault> {
    let host = store.data_mut().take_host();
    let waiting = store.as_context();
    let carried = carried_by(&waiting, along.objects);
    let job = Job {
        function: code,
        header: along.header,
        schema_id: "",
        content_type: &what.content_type,
        body: what.body.as_le_slice(&waiting),
        profile,
        depth,
    };
    let Ended { report, host, back } = Arc::clone(&waiting.data().runner).admit(job, carried, host);
    let context = store.data_mut();
    context.give_host(host);
    context.host().leave(&report);
    answered(context, along.name, HandOver::Process, report, back)
}

/// What a function that has ended answers its caller, and costs it.
fn answered(
    context: &mut Context,
    function: &FunctionId,
    mode: HandOver,
    report: CallReport,
    back: Option<Back>,
) -> Result<Vec<u8>, HostFault> {
    let elsewhere = Duration::from_nanos(report.usage.cpu_elsewhere_ns);
    context.chain.ended(report.usage.calls, elsewhere);
    context.went(report.usage.hand_over.map_or(mode, |far| far.max(mode)));
    let body = report.outcome.map_err(fault_of_callee)?;
    take_back(context, function, back.unwrap_or_default().into_objects())?;
    Ok(body)
}

/// Has the host call a function that is not at hand.
fn elsewhere(
    store: &mut Store<'_>,
    what: &WireOutgoing,
    function: &FunctionId,
    header: &CallHeader,
    objects: Vec<(StateKey, Object)>,
) -> Result<Vec<u8>, HostFault> {
    let mut host = store.data_mut().take_host();
    let waiting = store.as_context();
    let lists = &waiting.data().carried.handed;
    let borrowed: Vec<(StateKey, &[u8])> = objects
        .iter()
        .map(|(key, object)| match object {
            Object::Written(bytes) => (key.clone(), bytes.as_slice()),
            Object::Handed => {
                let list = lists.get(key).map(|list| list.as_le_slice(&waiting));
                (key.clone(), list.unwrap_or_default())
            }
        })
        .collect();
    let call = Outgoing {
        header,
        function,
        content_type: &what.content_type,
        body: what.body.as_le_slice(&waiting),
        objects: &borrowed,
    };
    let answer = host.get().call_elsewhere(&call);
    let context = store.data_mut();
    context.give_host(host);
    let Elsewhere { outcome, used, mode } = answer;
    // Whatever came of it: who is called and fails has cost its caller as much.
    context.chain.ended(used.calls, used.cpu);
    if let Some(mode) = mode {
        context.went(mode);
    }
    let Returned { body, objects } = outcome?;
    take_back(context, function, objects.into_iter())?;
    Ok(body)
}

/// The name under which a called function finds what its caller gave along.
const CALLER: &str = "caller";

/// What a called function handed back becomes input of its caller, in place of what it had handed back before.
fn take_back(
    context: &mut Context,
    function: &FunctionId,
    objects: impl Iterator<Item = (StateKey, Vec<u8>)>,
) -> Result<(), HostFault> {
    let task = TaskId::new(function.as_str()).map_err(bad_input)?;
    let inputs = &mut context.carried.inputs;
    inputs.retain(|input| input.task != task);
    inputs.extend(objects.map(|(key, bytes)| CarriedInput {
        task: task.clone(),
        key,
        bytes: Bytes::Ours(bytes.into()),
    }));
    Ok(())
}

/// What the caller learns of a callee that has no answer.
fn fault_of_callee(fault: CallFault) -> HostFault {
    match fault {
        CallFault::Guest(fault) => fault,
        CallFault::Deadline => HostFault::Deadline,
        CallFault::Busy => HostFault::Busy,
        CallFault::Budget | CallFault::MemoryLimit | CallFault::TooLarge(_) => HostFault::TooLarge,
        CallFault::Trap(text) | CallFault::Runner(text) => HostFault::Internal(text),
        CallFault::NoBackend(_) => HostFault::NotFound,
    }
}

fn bad_input(error: impl std::fmt::Display) -> HostFault {
    HostFault::BadInput(error.to_string())
}

/// Names the nth call that another one makes. The steps of SplitMix64 (Steele, Lea, Flood 2014).
fn child_id(parent: u64, nth: u32) -> u64 {
    let mut z = parent.wrapping_add(u64::from(nth).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
