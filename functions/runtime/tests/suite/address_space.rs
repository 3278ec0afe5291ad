//! The runtime starts and works where addresses are scarce, as on boards with 39 bits of them.

use std::process::Command;

use runtime::{PoolMode, Runtime, RuntimeConfig};

use crate::puppet::{Result, call, order, puppet};

/// Set in the process that runs under the limit; the kind of pool to expect there.
const EXPECT: &str = "STARBELT_TEST_EXPECT_POOL";

/// Runs this very test again under a limit on address space.
#[track_caller]
fn check(test: &str, limit_kib: u64, memory_mib: u32, expected: &str) {
    if std::env::var(EXPECT).is_ok_and(|kind| kind == expected) {
        return under_the_limit(memory_mib, expected).expect("it works under the limit");
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let script =
        format!("ulimit -v {limit_kib} && exec \"$0\" --exact address_space::{test} --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .env(EXPECT, expected)
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn under_the_limit(memory_mib: u32, expected: &str) -> Result {
    let runtime = Runtime::new(RuntimeConfig { memory_mib, ..RuntimeConfig::default() })?;
    let kind = match runtime.pool_mode() {
        PoolMode::Pooling { slots, reservation } => format!("{slots} of {} MiB", reservation >> 20),
        PoolMode::OnDemand => "on demand".to_owned(),
        PoolMode::Pulley => "pulley".to_owned(),
    };
    assert_eq!(kind, expected);
    let function = runtime.load(&puppet()?)?;
    let stage = (runtime, function);
    assert_eq!(call(&stage, "Echo").outcome?, b"Echo");
    assert_eq!(call(&stage, order(b't', 100)).outcome?, 100_u64.to_le_bytes());
    assert!(call(&stage, "o").outcome.is_err());
    Ok(())
}

#[test]
fn a_board_of_4_gib_with_39_bits_gets_wide_slots() {
    let test = "a_board_of_4_gib_with_39_bits_gets_wide_slots";
    check(test, 512 << 20, 1_638, "51 of 4096 MiB");
}

#[test]
fn a_large_pool_in_39_bits_checks_bounds() {
    check("a_large_pool_in_39_bits_checks_bounds", 512 << 20, 64_000, "256 of 256 MiB");
}

#[test]
fn without_room_for_a_pool_instances_are_made_on_demand() {
    let test = "without_room_for_a_pool_instances_are_made_on_demand";
    check(test, 16 << 20, 64_000, "on demand");
}
