//! The manifest of a function, fuzzed: `cargo xtask fuzz manifest`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::manifest(bytes));
