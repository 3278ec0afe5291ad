//! Objects that come with a call and that go on: checks names and keys, and leaves to the host what is not in memory.
//!
//! Linked by hand, not by generated code: bytes go straight from the memory of one guest into that of another.

use types::{StateKey, TaskId};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

use super::part;
use super::piece::{Part, Piece};
use super::wire::{key, task, to_guest};
use crate::HostFault;
use crate::bindings::objects::Input;
use crate::bindings::types::Fault;
use crate::carried::NotTaken;
use crate::context::Context;
use crate::memfd::Sealed;

const INTERFACE: &str = "starbelt:function/objects@0.2.0";

/// From here on a part is worth the memory: it would travel as sealed memory itself.
const SEALED_FROM_BYTES: u32 = 64 * 1024;

type Calling<'a> = StoreContextMut<'a, Context>;
/// What a function of the contract answers.
type Answer<T> = wasmtime::Result<(Result<T, Fault>,)>;

/// Offers the interface to guests.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut objects = linker.instance(INTERFACE)?;
    objects.func_wrap("inputs", |mut store: Calling<'_>, ()| Ok((inputs(store.data_mut()),)))?;
    objects.func_wrap("read", |mut store: Calling<'_>, (task, key, offset, len)| -> Answer<_> {
        Ok((read(store.data_mut(), task, key, offset, len),))
    })?;
    objects.func_wrap("write", |mut store: Calling<'_>, (key, bytes)| -> Answer<_> {
        Ok((write(store.data_mut(), key, bytes),))
    })?;
    objects.func_wrap("write-at", |mut store: Calling<'_>, (key, at, bytes)| -> Answer<_> {
        Ok((write_at(store.data_mut(), key, at, bytes),))
    })?;
    objects.func_wrap("hand", |mut store: Calling<'_>, (key, bytes)| -> Answer<_> {
        Ok((hand(store.data_mut(), key, bytes),))
    })?;
    objects.func_wrap("forward", |mut store: Calling<'_>, (task, key, to)| -> Answer<_> {
        Ok((forward(store.data_mut(), task, key, to),))
    })
}

fn inputs(context: &mut Context) -> Vec<Input> {
    let carried = context.carried.inputs.iter().map(|input| Input {
        task: input.task.clone().into(),
        key: input.key.clone().into(),
        bytes: input.bytes.get().len() as u64,
    });
    let mut inputs: Vec<Input> = carried.collect();
    if context.carried.back.is_none() {
        inputs.extend(context.host().inputs().into_iter().map(|input| Input {
            task: input.task.into(),
            key: input.key.into(),
            bytes: input.bytes,
        }));
    }
    inputs
}

/// Bytes for a guest: copied into its memory by the engine, before anything else can happen to them.
fn read(
    context: &mut Context,
    task_name: String,
    key_text: String,
    offset: u64,
    len: u32,
) -> Result<Piece, Fault> {
    let (task, key) = (task(&task_name)?, key(&key_text)?);
    if let Some(memory) = sealed(context, &task, &key, len)? {
        return Ok(Piece::Sealed(Part::of(memory, offset, len)));
    }
    if context.carried.input(&task, &key).is_none() {
        context.carried.reading = from_host(context, &task, &key, offset, len)?;
    }
    let bytes = match context.carried.input(&task, &key) {
        Some(bytes) => part(bytes.get(), offset, len),
        None => &context.carried.reading,
    };
    #[expect(unsafe_code, reason = "the linker takes only values that borrow nothing")]
    // SAFETY: the slice lies in the memory of a waiting guest, in an `Arc` of the inputs or in `reading`, all of which stay
    // as they are until this guest runs again. It is copied into this guest's memory before that: while it makes room for
    // the copy (`cabi_realloc`), a guest cannot call its host.
    let bytes = unsafe { std::mem::transmute::<&[u8], &'static [u8]>(bytes) };
    Ok(Piece::Here(bytes))
}

/// An input in memory that is shared with the host, which is asked for it with the first large part.
fn sealed<'a>(
    context: &'a mut Context,
    task: &TaskId,
    key: &StateKey,
    len: u32,
) -> Result<Option<&'a Sealed>, Fault> {
    let is_wanted = context.runner.is_apart && SEALED_FROM_BYTES <= len;
    let carried = &context.carried;
    if is_wanted && carried.back.is_none() && carried.sealed(task, key).is_none() {
        let found = context.host().input_sealed(task, key).map_err(to_guest)?;
        context.carried.sealed.push((task.clone(), key.clone(), found));
    }
    Ok(context.carried.sealed(task, key).flatten())
}

fn from_host(
    context: &mut Context,
    task: &TaskId,
    key: &StateKey,
    offset: u64,
    len: u32,
) -> Result<Vec<u8>, Fault> {
    if context.carried.back.is_some() {
        return Err(Fault::NotFound);
    }
    context.host().input_read(task, key, offset, len).map_err(to_guest)
}

fn write(context: &mut Context, key_text: String, bytes: Vec<u8>) -> Result<(), Fault> {
    let key = unhanded(context, &key_text)?;
    match &mut context.carried.back {
        Some(back) => back.append(&key, &bytes).map_err(not_taken),
        None => context.host().output_write(&key, bytes).map_err(to_guest),
    }
}

fn write_at(
    context: &mut Context,
    key_text: String,
    offset: u64,
    bytes: Vec<u8>,
) -> Result<(), Fault> {
    let key = unhanded(context, &key_text)?;
    match &mut context.carried.back {
        Some(back) => back.write_at(&key, offset, &bytes).map_err(not_taken),
        None => context.host().output_write_at(&key, offset, bytes).map_err(to_guest),
    }
}

fn hand(context: &mut Context, key_text: String, bytes: WasmList<u8>) -> Result<(), Fault> {
    let key = unhanded(context, &key_text)?;
    let length = bytes.len();
    let is_written = match &mut context.carried.back {
        Some(back) => back.get(&key).is_some(),
        None => context.host().output_read(&key).is_some(),
    };
    if is_written {
        return Err(Fault::BadInput(format!("object {key} was written in this call already")));
    }
    match &mut context.carried.back {
        Some(back) => back.admit(&key, length).map_err(not_taken)?,
        None => context.host().output_admit(&key, length as u64).map_err(to_guest)?,
    }
    context.carried.handed.insert(key, bytes);
    Ok(())
}

fn forward(
    context: &mut Context,
    task_name: String,
    key_text: String,
    to: String,
) -> Result<(), Fault> {
    let (task, from, to) = (task(&task_name)?, key(&key_text)?, unhanded(context, &to)?);
    let carried = context.carried.input(&task, &from).cloned();
    match (carried, &mut context.carried.back) {
        (Some(bytes), Some(back)) => back.append(&to, bytes.get()).map_err(not_taken),
        (Some(bytes), None) => {
            context.host().output_write(&to, bytes.get().to_vec()).map_err(to_guest)
        }
        (None, Some(_)) => Err(Fault::NotFound),
        (None, None) => context.host().output_forward(&task, &from, &to).map_err(to_guest),
    }
}

/// The key of an object that was not handed over as a whole.
fn unhanded(context: &Context, text: &str) -> Result<StateKey, Fault> {
    let key = key(text)?;
    if context.carried.handed.contains_key(&key) {
        return Err(Fault::BadInput(format!("object {key} was handed over in this call already")));
    }
    Ok(key)
}

fn not_taken(why: NotTaken) -> Fault {
    match why {
        NotTaken::TooLarge => to_guest(HostFault::TooLarge),
        NotTaken::Hole => {
            Fault::BadInput("the offset lies beyond the end of the object".to_owned())
        }
    }
}
