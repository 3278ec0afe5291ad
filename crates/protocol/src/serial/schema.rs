//! The table of kinds as a number, so that a board and a node know at the first word whether they were built from the same one.

/// Every kind with its fields, in order. A test holds it to the types and to `WIRE.md`.
pub const TABLE: &str = "\
0 Hello{proto u16, schema u64, uid [u8;8], fw text16, caps u32}
1 Power{t_ms u32, bus_mv u16, cur_ma i16, temp_dc i16, soc_pm u16?, energy_mwh i32, flags u8}
2 Temp[(u8, i16)8]
3 Event{code u16, sev u8, text text48}
4 Ping{t_ms u32}
5 Cmd{id u16, op Identify|Status|PowerCycle{ch u8, off_ms u32}|ResetEnergy|Restart}
6 Ack{id u16, res i8}
7 Log[u8 238]
8 Time{unix_ms u64, sigma_us u32}
9 Relay{ch u8, on bool}
10 SetRate{kind u8, period_ms u32}
";

/// The table of this version: FNV-1a, 64 bits, over [`TABLE`].
pub const SCHEMA: u64 = fnv1a(TABLE.as_bytes());

/// FNV-1a with 64 bits (draft-eastlake-fnv): small enough for any board, and nobody gains by a collision.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01B3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }
}
