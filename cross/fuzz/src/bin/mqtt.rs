//! What comes from an MQTT broker, fuzzed: `cargo xtask fuzz mqtt`.
#![no_main]

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::mqtt(bytes));
