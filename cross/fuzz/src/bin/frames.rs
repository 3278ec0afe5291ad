//! Any message that travels, fuzzed: `cargo xtask fuzz frames`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::frames(bytes));
