//! A day's work at once: what a process holds after its calls is what it held after the first ones.

use std::fs;

use crate::host::{TestHost, request};
use crate::memory;
use crate::puppet::{LIMITS, Result, order, stage};

/// How many calls, unless the variable says how many: a leak of one byte a call is more than is allowed. A hundred calls each second for a day are
/// 8.6 million, which take minutes.
const CALLS: u32 = 1_000_000;
const CALLS_VARIABLE: &str = "SOAK_CALLS";
/// Until pools are filled and whatever is made once is made.
const WARM_UP: u32 = 200_000;
/// One call of so many ends in a trap, one of so many touches memory.
const TRAPS: u32 = 1_000;
const TOUCHES: u32 = 10;

#[test]
fn calls_leave_memory_and_files_as_they_were() -> Result {
    let (runtime, function) = stage()?;
    let call = |nth: u32| {
        let traps = nth.is_multiple_of(TRAPS);
        let body = match nth.is_multiple_of(TOUCHES) {
            _ if traps => b"u".to_vec(),
            true => order(b't', nth / TOUCHES % 8 + 1),
            false => b"Echo".to_vec(),
        };
        let report = runtime.call(&function, request(body), LIMITS, &mut TestHost::default());
        assert_eq!(report.outcome.is_err(), traps, "call {nth}: {:?}", report.outcome);
    };
    let calls = std::env::var(CALLS_VARIABLE).map_or(Ok(CALLS), |calls| calls.parse())?;
    (0..WARM_UP).for_each(call);
    let (memory_before, files_before) = (memory::resident()?, open_files()?);
    (0..calls).for_each(call);
    let (memory_after, files_after) = (memory::resident()?, open_files()?);
    let allowed = memory_before + memory_before / 50;
    assert!(
        memory_after <= allowed,
        "{memory_before} bytes became {memory_after}, more than 2 % over {calls} calls"
    );
    assert_eq!(files_after, files_before);
    Ok(())
}

fn open_files() -> std::io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}
