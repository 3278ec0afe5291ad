//! What comes over a serial line, fuzzed: `cargo xtask fuzz serial`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::serial(bytes));
