//! Huge pages for what a guest uses beyond the first 2 MiB of its memory: large data is touched once and in a row, and the system takes
//! ten times as long to bring it in by pages of 4 KiB.

use rustix::mm::{Advice, madvise};
use wasmtime::{Engine, Instance, Store};

use crate::compile::built_in;
use crate::pool::PoolMode;

/// The start of a memory that keeps small pages: most functions touch a few of them, and clearing a huge one takes longer than their
/// calls.
const SMALL_BYTES: usize = 2 * 1024 * 1024;

/// The smallest module with a memory: of no pages, exported as `m`.
const MODULE: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\0\0\x07\x05\x01\x01m\x02\0";

/// Asks the system for huge pages in all slots of the pool, which an engine keeps as long as it lives. Answers in how many it will; none
/// without a pool, and where the kernel has no huge pages: then memory comes as it always does.
///
/// # Errors
/// When the pool does not have the slots that its mode says.
pub(crate) fn ask(engine: &Engine, mode: PoolMode) -> wasmtime::Result<u32> {
    let PoolMode::Pooling { slots, .. } = mode else { return Ok(0) };
    let largest = usize::try_from(u64::from(mode.linear_memory_mib_max()) << 20)?;
    let Some(length) = largest.checked_sub(SMALL_BYTES) else { return Ok(0) };
    let module = built_in::module(engine, MODULE)?;
    // Instances of one store live at once, so that each has a slot of its own.
    let mut store = Store::new(engine, ());
    let mut asked = 0;
    for _ in 0..slots {
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&mut store, "m");
        let Some(base) = memory.map(|memory| memory.data_ptr(&store)) else { continue };
        #[expect(unsafe_code, reason = "memory advice has no safe form")]
        // SAFETY: the range lies in the reservation of the slot, which holds the largest memory, and the advice changes no contents.
        let advised = unsafe {
            madvise(base.wrapping_add(SMALL_BYTES).cast(), length, Advice::LinuxHugepage)
        };
        asked += u32::from(advised.is_ok());
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use wasmtime::Module;

    use super::*;
    use crate::config::Execution;
    use crate::engine;
    use crate::pool::Memory;

    /// Whether the kernel gives huge pages to who asks.
    fn has_huge_pages() -> bool {
        let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        enabled.is_ok_and(|text| !text.contains("[never]"))
    }

    /// Huge pages of this process, KiB.
    fn huge_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Memory of this process for which somebody has asked for huge pages.
    fn asked_for() -> usize {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = text.lines().filter_map(|line| line.strip_prefix("VmFlags:"));
        flags.filter(|flags| flags.split_whitespace().any(|flag| flag == "hg")).count()
    }

    #[test]
    fn large_memories_get_huge_pages_and_small_ones_do_not() {
        let memory = Memory { mib: 1_024, keep_mib: 0 };
        let made = engine::engine(Execution::Native, memory).unwrap();
        let asked = ask(&made.engine, made.mode).unwrap();
        let PoolMode::Pooling { slots, .. } = made.mode else {
            assert_eq!(asked, 0);
            return;
        };
        if !has_huge_pages() {
            assert!(asked <= slots);
            return;
        }
        assert_eq!(asked, slots);
        assert_ne!(asked_for(), 0);
        let text = r#"(module (memory 512)
            (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 7) (local.get 0))))"#;
        let module = Module::new(&made.engine, wat::parse_str(text).unwrap()).unwrap();
        let fill = |bytes: i32| {
            let mut store = Store::new(&made.engine, ());
            store.set_epoch_deadline(1);
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let before = huge_kib();
            let run = instance.get_typed_func::<i32, ()>(&mut store, "fill").unwrap();
            run.call(&mut store, bytes).unwrap();
            huge_kib().saturating_sub(before)
        };
        assert_eq!(fill(2 << 20), 0);
        // All but the first 2 MiB and what does not fill a huge page at both ends; a machine without free ones gives fewer.
        let gained = fill(32 << 20);
        assert!(gained <= 30 << 10 && gained % 2_048 == 0, "{gained} KiB");
    }
}
