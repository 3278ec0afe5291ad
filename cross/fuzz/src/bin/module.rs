//! The pre-scan of a component, fuzzed: `cargo xtask fuzz module`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::module(bytes));
