//! The partition tables of an image, fuzzed: `cargo xtask fuzz table`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::table(bytes));
