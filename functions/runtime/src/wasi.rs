//! WASI 0.2 for guests of languages whose standard library imports it: clocks, randomness, a log for what they print, and
//! otherwise an empty machine. No files, no arguments, no input, no sockets; why it is ours: docs/decisions/0010-wasi.md.
//!
//! A call whose guest imports none of it pays nothing: what it needs is made when it is first used.

mod cli;
mod clocks;
mod filesystem;
mod random;
mod streams;

use std::time::Instant;

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable, ResourceTableError};

use crate::context::Context;
use crate::wasi::random::Random;
pub(crate) use crate::wasi::random::Seed;
use crate::wasi::streams::Printed;

/// Handles of streams and timers that a call can hold at once. Each takes memory of the node, not of the guest; the library
/// of a language holds less than ten.
const HANDLES_MAX: usize = 1_024;

mod bindings {
    //! The interfaces as Rust. `../wit/wasi/world.wit` lists what is linked; `accel::contract` lists the same for those without
    //! an engine.
    wasmtime::component::bindgen!({
        path: ["../wit", "../wit/wasi/world.wit"],
        world: "starbelt:wasi/wasi",
        imports: {
            "wasi:cli/exit": trappable,
            "wasi:cli/stderr": trappable,
            "wasi:cli/stdin": trappable,
            "wasi:cli/stdout": trappable,
            "wasi:clocks/monotonic-clock": trappable,
            "wasi:io/poll": trappable,
            "wasi:io/streams": trappable,
            "wasi:random": trappable,
        },
        with: {
            "wasi:cli/terminal-input.terminal-input": crate::wasi::Nothing,
            "wasi:cli/terminal-output.terminal-output": crate::wasi::Nothing,
            "wasi:filesystem/types.descriptor": crate::wasi::Nothing,
            "wasi:filesystem/types.directory-entry-stream": crate::wasi::Nothing,
            "wasi:io/error.error": crate::wasi::Nothing,
            "wasi:io/poll.pollable": crate::wasi::clocks::Timer,
            "wasi:io/streams.input-stream": crate::wasi::streams::Input,
            "wasi:io/streams.output-stream": crate::wasi::streams::Output,
        },
    });
}

/// What this machine has none of: files, terminals, errors of streams. No handle to one is ever given out.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated interfaces publish it among themselves")]
pub enum Nothing {}

/// WASI of one call.
pub(crate) struct Wasi {
    /// When the call ends; nobody sleeps longer.
    deadline: Instant,
    /// Where randomness comes from unless the host has some.
    seed: Seed,
    used: Option<Box<Used>>,
}

/// What a guest that uses WASI needs.
struct Used {
    /// Zero of the monotonic clock, so that it tells nothing of the node.
    started: Instant,
    handles: ResourceTable,
    random: Option<Random>,
    printed: Printed,
}

/// Offers the interfaces to all functions.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    bindings::Wasi::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)
}

impl Wasi {
    pub(crate) fn new(deadline: Instant, seed: Seed) -> Self {
        Self { deadline, seed, used: None }
    }

    /// The same for another call, which ends then: a guest that is called again still holds its handles.
    pub(crate) fn until(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// Where its randomness comes from.
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// Keeps the handles and the clock of an instance over its calls; randomness is that of each call.
    pub(crate) fn go_on(&mut self, before: Self) {
        self.used = before.used.map(|used| {
            let Used { started, handles, .. } = *used;
            Box::new(Used { started, handles, random: None, printed: Printed::default() })
        });
    }

    fn used(&mut self) -> &mut Used {
        self.used.get_or_insert_with(|| Box::new(Used::new()))
    }

    fn handles(&mut self) -> &mut ResourceTable {
        &mut self.used().handles
    }

    fn give<T: Send + 'static>(&mut self, what: T) -> wasmtime::Result<Resource<T>> {
        self.handles().push(what).map_err(|error| match error {
            ResourceTableError::Full => {
                wasmtime::Error::msg(format!("more than {HANDLES_MAX} streams and timers at once"))
            }
            other => other.into(),
        })
    }

    fn take_back<T: 'static>(&mut self, handle: Resource<T>) -> wasmtime::Result<()> {
        self.handles().delete(handle)?;
        Ok(())
    }
}

impl Used {
    fn new() -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(HANDLES_MAX);
        Self { started: Instant::now(), handles, random: None, printed: Printed::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;

    #[test]
    fn a_call_that_does_not_ask_for_wasi_holds_next_to_nothing_of_it() {
        assert!(size_of::<Wasi>() <= 72, "{}", size_of::<Wasi>());
        let mut wasi = Wasi::new(Instant::now(), Seed { module: [0; 32], id: 1, attempt: 1 });
        assert!(wasi.used.is_none());
        wasi.handles();
        assert!(wasi.used.is_some());
    }
}
