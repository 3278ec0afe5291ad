//! A file of a node's queue, fuzzed: `cargo xtask fuzz segment`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::segment(bytes));
