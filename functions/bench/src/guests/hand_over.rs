//! Two guests of which one hands an object to the other, which looks whether it has come.

use anyhow::Result;

use super::Contract;

/// What the object is full of.
pub(crate) const FILL: u8 = 7;
/// A page of Wasm; the object lies behind the first one.
const PAGE_BYTES: usize = 65_536;
/// Who the consumer is for the producer, and the key of the object: 6 and 4 bytes, the latter as a list of one, too.
const NAMES: &str = r#"(data (i32.const 256) "caller") (data (i32.const 272) "copy")
    (data (i32.const 288) "\10\01\00\00\04\00\00\00")"#;
/// Answers what the host has answered at 128 if that is a fault: it lies there as it does in an answer.
const NO_FAULT: &str = "(if (i32.load8_u (i32.const 128)) (then (return (i32.const 128))))";

/// Fills an object of so many bytes and calls the other one with it, so many times.
///
/// # Errors
/// When the contract is another one.
pub(crate) fn producer(contract: &Contract, bytes: usize, times: usize) -> Result<Vec<u8>> {
    let (hand, _) = contract.import("objects", "hand")?;
    let (call, _) = contract.import("calls", "call")?;
    let one = format!(
        "(call $call (i32.const 256) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 288) (i32.const 1) (i32.const 128))
        {NO_FAULT}"
    );
    let body = format!(
        "(memory.fill (i32.const {PAGE_BYTES}) (i32.const {FILL}) (i32.const {bytes}))
        (call $hand (i32.const 272) (i32.const 4) (i32.const {PAGE_BYTES}) (i32.const {bytes}) (i32.const 128))
        {NO_FAULT} {calls}",
        calls = one.repeat(times)
    );
    contract.guest(&format!("{hand} {call} {}", memory(bytes)), &body)
}

/// Reads an object of so many bytes that came with its call, and traps if it is not the producer's.
///
/// # Errors
/// When the contract is another one.
pub(crate) fn consumer(contract: &Contract, bytes: usize) -> Result<Vec<u8>> {
    let (read, _) = contract.import("objects", "read")?;
    if bytes == 0 {
        return contract.guest(&format!("{read} {}", memory(0)), "");
    }
    let body = format!(
        "(call $read (i32.const 256) (i32.const 6) (i32.const 272) (i32.const 4)
            (i64.const 0) (i32.const {bytes}) (i32.const 128))
        {NO_FAULT}
        (if (i32.ne (i32.load (i32.const 140)) (i32.const {bytes})) (then (unreachable)))
        (if (i32.ne (i32.const {FILL})
                (i32.load8_u (i32.add (i32.load (i32.const 136)) (i32.const {last}))))
            (then (unreachable)))",
        last = bytes - 1
    );
    contract.guest(&format!("{read} {}", memory(bytes)), &body)
}

/// Memory for names, stack and an object.
fn memory(bytes: usize) -> String {
    let pages = 2 + bytes.div_ceil(PAGE_BYTES);
    format!(r#"(memory (export "memory") {pages}) {NAMES}"#)
}
