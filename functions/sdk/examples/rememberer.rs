//! A function that is kept warm between calls: it answers how many calls it remembers.

use core::sync::atomic::{AtomicU64, Ordering};

use sdk::{Fault, Guest, Request, Stateful};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// The function.
#[derive(Debug)]
pub struct Rememberer;

impl Guest for Rememberer {
    fn handle(_request: Request) -> Result<Vec<u8>, Fault> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(calls.to_le_bytes().to_vec())
    }
}

impl Stateful for Rememberer {
    fn suspend() -> Vec<u8> {
        CALLS.load(Ordering::Relaxed).to_le_bytes().to_vec()
    }

    fn resume(memory: Vec<u8>) {
        // Of another version it may be something else: then it starts anew.
        CALLS.store(memory.try_into().map_or(0, u64::from_le_bytes), Ordering::Relaxed);
    }
}

sdk::export_stateful!(Rememberer);
