//! How instances get their memory: from a pool whose size follows the address space, or one by one.

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::LINEAR_MEMORY_MIB_MAX;
use crate::limits::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Linear memory that a call is granted by default: what a slot is expected to take.
pub(crate) const LINEAR_MEMORY_MIB_DEFAULT: u32 = 32;

/// Fewest and most slots of a pool.
const SLOTS_MIN: u32 = 8;
const SLOTS_MAX: u32 = 256;

/// A slot that spans all that 32-bit addresses reach: guests need no bounds checks.
const WIDE_BYTES: u64 = 4 * GIB;
/// The unreachable range after a wide slot.
const WIDE_GUARD_BYTES: u64 = 32 * MIB;
/// A slot that holds the largest grant; guests check bounds, which costs tight loops up to 2.5 times.
const BOUNDED_BYTES: u64 = LINEAR_MEMORY_MIB_MAX as u64 * MIB;
/// A slot for least address space; larger grants are cut to it.
const NARROW_BYTES: u64 = 64 * MIB;
/// The unreachable range after a slot with bounds checks.
const BOUNDED_GUARD_BYTES: u64 = 64 * 1024;

/// Memory that a slot keeps where the system cannot say which pages were written, so that all of it is cleared after each call:
/// cheaper than giving it back below about 30 written pages.
const KEEP_BLINDLY_BYTES: usize = 128 * 1024;

/// Linear memory of all calls of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Granted to calls in flight together, in MiB.
    pub(crate) mib: u32,
    /// What a slot keeps of what a call has written in it, at most, in MiB.
    pub(crate) keep_mib: u32,
}

impl Memory {
    /// Slots of a pool: as many as have room with what is expected of each. All together keep at most half of the memory.
    fn slots(self) -> u32 {
        let expected = LINEAR_MEMORY_MIB_DEFAULT.max(self.keep_mib.saturating_mul(2));
        (self.mib / expected).clamp(SLOTS_MIN, SLOTS_MAX)
    }

    /// What each of so many slots keeps: a page that is written again costs no fault, which takes five times as long as its copy.
    fn keep_bytes(self, slots: u32) -> usize {
        if !PoolingAllocationConfig::is_pagemap_scan_available() {
            return KEEP_BLINDLY_BYTES;
        }
        let share = u64::from(self.mib) * MIB / 2 / u64::from(slots.max(1));
        let bytes = (u64::from(self.keep_mib) * MIB).min(share);
        usize::try_from(bytes).unwrap_or(KEEP_BLINDLY_BYTES)
    }
}

/// How instances get their memory. Part of telemetry, since it changes what a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolMode {
    /// From a pool made in advance.
    Pooling {
        /// Instances that can live at once.
        slots: u32,
        /// Address space of each linear memory, in bytes; below 4 GiB guests check bounds.
        reservation: u64,
    },
    /// Mapped and unmapped for each call.
    OnDemand,
    /// On demand, and interpreted: 10 to 20 times slower. Where there is no compiler for the processor.
    Pulley,
}

/// What to try, in this order, for so much address space and memory; the last always works.
pub(crate) fn candidates(address_space: u64, memory: Memory) -> Vec<PoolMode> {
    let slots = memory.slots();
    let fits = |reservation: u64| {
        u64::from(slots) * (reservation + guard_bytes(reservation)) <= address_space / 2
    };
    [WIDE_BYTES, BOUNDED_BYTES, NARROW_BYTES]
        .into_iter()
        .filter(|reservation| fits(*reservation))
        .map(|reservation| PoolMode::Pooling { slots, reservation })
        .chain([PoolMode::OnDemand])
        .collect()
}

const fn guard_bytes(reservation: u64) -> u64 {
    if reservation < WIDE_BYTES { BOUNDED_GUARD_BYTES } else { WIDE_GUARD_BYTES }
}

impl PoolMode {
    /// Largest linear memory of a call in this mode, in MiB.
    pub(crate) fn linear_memory_mib_max(self) -> u32 {
        match self {
            Self::Pooling { reservation, .. } => u32::try_from(reservation / MIB)
                .map_or(LINEAR_MEMORY_MIB_MAX, |mib| mib.min(LINEAR_MEMORY_MIB_MAX)),
            Self::OnDemand | Self::Pulley => LINEAR_MEMORY_MIB_MAX,
        }
    }

    /// How memories lie in address space, which compiled code relies on.
    pub(crate) fn shape_memory(self, config: &mut Config) {
        match self {
            Self::Pooling { reservation, .. } => {
                config.memory_reservation(reservation).memory_guard_size(guard_bytes(reservation));
            }
            Self::OnDemand | Self::Pulley => {
                config
                    .memory_reservation(NARROW_BYTES)
                    .memory_reservation_for_growth(NARROW_BYTES)
                    .memory_guard_size(BOUNDED_GUARD_BYTES);
            }
        }
    }

    /// Where they come from, which it does not.
    pub(crate) fn allocate(self, config: &mut Config, memory: Memory) {
        let strategy = match self {
            Self::Pooling { slots, .. } => {
                let bytes_max = u64::from(self.linear_memory_mib_max()) * MIB;
                let mut pool = pool(slots, usize::try_from(bytes_max).unwrap_or(usize::MAX));
                pool.linear_memory_keep_resident(memory.keep_bytes(slots));
                InstanceAllocationStrategy::Pooling(pool)
            }
            Self::OnDemand | Self::Pulley => InstanceAllocationStrategy::OnDemand,
        };
        config.allocation_strategy(strategy);
    }
}

fn pool(slots: u32, memory_bytes_max: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        // A function is one core instance for its code and two or three for its imports.
        .total_core_instances(slots * 4)
        .total_memories(slots)
        .total_tables(slots * 2)
        .max_core_instances_per_component(INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .max_memories_per_module(1)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(memory_bytes_max)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of which slots keep what is usual.
    fn memory(mib: u32) -> Memory {
        Memory { mib, keep_mib: crate::config::KEEP_MIB }
    }

    #[track_caller]
    fn check(address_bits: u32, memory_mib: u32, slots: u32, reservation: u64) {
        let first = candidates(1 << address_bits, memory(memory_mib))[0];
        assert_eq!(first, PoolMode::Pooling { slots, reservation });
    }

    #[test]
    fn the_pool_follows_address_space_and_memory() {
        // A server: more memory than slots.
        check(47, 64_000, 256, WIDE_BYTES);
        // A board with 4 GiB of memory and 39 bits of addresses: 40 % are 1,638 MiB.
        check(39, 1_638, 51, WIDE_BYTES);
        // With 8 GiB of memory the wide slots no longer fit into 39 bits.
        check(39, 3_276, 102, BOUNDED_BYTES);
        // At least eight slots, however small the board.
        check(47, 100, 8, WIDE_BYTES);
        // 128 GiB of address space.
        check(37, 64_000, 256, NARROW_BYTES);
    }

    #[test]
    fn without_address_space_instances_are_made_on_demand() {
        assert_eq!(candidates(0, memory(64_000)), [PoolMode::OnDemand]);
    }

    #[test]
    fn a_narrow_slot_cuts_the_largest_grant() {
        let narrow = PoolMode::Pooling { slots: 8, reservation: NARROW_BYTES };
        assert_eq!(narrow.linear_memory_mib_max(), 64);
        let wide = PoolMode::Pooling { slots: 8, reservation: WIDE_BYTES };
        assert_eq!(wide.linear_memory_mib_max(), LINEAR_MEMORY_MIB_MAX);
    }

    #[test]
    fn slots_keep_at_most_half_of_the_memory() {
        for mib in [64, 256, 1_638, 9_600, 64_000] {
            for keep_mib in [0, 1, 16, 128, 4_096] {
                let memory = Memory { mib, keep_mib };
                let slots = memory.slots();
                let kept = u64::from(slots) * memory.keep_bytes(slots) as u64;
                let blind = u64::from(slots) * KEEP_BLINDLY_BYTES as u64;
                assert!(kept <= (u64::from(mib) * MIB / 2).max(blind), "{memory:?}: {kept}");
            }
        }
        assert_eq!(Memory { mib: 9_600, keep_mib: 128 }.slots(), 37);
    }
}
