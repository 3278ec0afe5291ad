//! Writes the file of a contact plan; `PLAN.md` describes it byte by byte.

use super::LinkPlan;

/// The first eight bytes.
pub(super) const MAGIC: [u8; 8] = *b"SBLTPLAN";
/// The version of the layout.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the first section: the header, and the table of sections.
pub(super) const HEAD_BYTES: usize = 128;
/// Where the table of sections begins.
pub(super) const TABLE_AT: usize = 56;
/// Bytes of an entry of the table.
pub(super) const ENTRY_BYTES: usize = 24;
/// Where the checksum of the head is.
pub(super) const HEAD_CRC_AT: usize = 52;
/// Sections begin at multiples of this: a cache line, so that any of its numbers is aligned in a memory map.
pub(super) const ALIGN: usize = 64;
/// Bytes of a window.
pub(super) const WINDOW_BYTES: usize = 48;
/// Bytes of a range segment.
pub(super) const SEGMENT_BYTES: usize = 32;
/// Names, windows, range segments, in this order.
pub(super) const SECTIONS: usize = 3;
pub(super) const OPEN_KNOWN: u32 = 1;
pub(super) const CLOSE_KNOWN: u32 = 2;

/// The bytes of a plan.
///
/// # Panics
/// Never: a plan has fewer windows, segments and bytes of names than the file can count.
pub fn encode(plan: &LinkPlan) -> Vec<u8> {
    let sections = [names(plan), windows(plan), segments(plan)];
    let mut out = vec![0; HEAD_BYTES];
    let mut table = Vec::with_capacity(SECTIONS * ENTRY_BYTES);
    for section in &sections {
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        table.extend((out.len() as u64).to_le_bytes());
        table.extend((section.len() as u64).to_le_bytes());
        table.extend(crc32fast::hash(section).to_le_bytes());
        table.extend(0_u32.to_le_bytes());
        out.extend(section);
    }
    let segments = plan.windows().iter().map(|window| window.range.len()).sum();
    let mut head = Vec::with_capacity(TABLE_AT);
    head.extend(MAGIC);
    head.extend(FORMAT_VERSION.to_le_bytes());
    head.extend(count(plan.nodes().len()).to_le_bytes());
    head.extend(plan.version().to_le_bytes());
    head.extend(plan.start().unix_ns().to_le_bytes());
    head.extend(plan.end().unix_ns().to_le_bytes());
    head.extend(count(plan.windows().len()).to_le_bytes());
    head.extend(count(segments).to_le_bytes());
    // Reserved; the checksum, put in last.
    head.extend([0; TABLE_AT - 48]);
    out[..TABLE_AT].copy_from_slice(&head);
    out[TABLE_AT..TABLE_AT + table.len()].copy_from_slice(&table);
    let crc = head_crc(&out[..HEAD_BYTES]);
    out[HEAD_CRC_AT..HEAD_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The checksum of the head, its own place left out.
pub(super) fn head_crc(head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..HEAD_CRC_AT]);
    hasher.update(&head[HEAD_CRC_AT + 4..]);
    hasher.finalize()
}

fn names(plan: &LinkPlan) -> Vec<u8> {
    let mut out = Vec::new();
    let mut end = 0;
    out.extend(count(end).to_le_bytes());
    for name in plan.nodes() {
        end += name.len();
        out.extend(count(end).to_le_bytes());
    }
    out.extend(plan.nodes().iter().flat_map(|name| name.bytes()));
    out
}

fn windows(plan: &LinkPlan) -> Vec<u8> {
    let mut out = Vec::with_capacity(plan.windows().len() * WINDOW_BYTES);
    let mut first = 0;
    for window in plan.windows() {
        let known = (OPEN_KNOWN * u32::from(window.open_known))
            | (CLOSE_KNOWN * u32::from(window.close_known));
        out.extend(window.open.unix_ns().to_le_bytes());
        out.extend(window.close.unix_ns().to_le_bytes());
        let numbers = [
            window.a.0,
            window.b.0,
            window.rate_kbps,
            window.confidence_ppm,
            count(first),
            count(window.range.len()),
            known,
            0,
        ];
        out.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
        first += window.range.len();
    }
    out
}

fn segments(plan: &LinkPlan) -> Vec<u8> {
    let segments = plan.windows().iter().flat_map(|window| &window.range);
    let numbers = segments.flat_map(|s| [s.c[0], s.c[1], s.c[2], s.error_km_max]);
    numbers.flat_map(f64::to_le_bytes).collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("a plan has fewer of everything than 2^32")
}
