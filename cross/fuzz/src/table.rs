//! The first sectors of an image that goes to a card: what is read there says where the card is written.

use crc::{CRC_32_ISO_HDLC, Crc};
use onboard::flash::table::{HEAD_BYTES, SECTOR, boot, end, read};

use crate::{check_memory, peak_of};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// A table has 132 entries at most, and lists of them double while they grow.
const MEMORY_FIXED: usize = 64 * 1024;
/// Entries of a GPT.
const ENTRIES: std::ops::Range<usize> = 1024..HEAD_BYTES;

/// Bytes of the first sectors: as they are, as the entries of an MBR, and as those of a GPT whose sums are right.
///
/// # Panics
/// When something does not hold for them.
pub fn table(bytes: &[u8]) {
    check(bytes);
    check(&mbr(bytes));
    check(&gpt(bytes));
}

/// Partitions lie behind the first sector, one behind another, and end where numbers do not.
fn check(head: &[u8]) {
    let (partitions, peak) = peak_of(|| read(head));
    check_memory(peak, 0, 0, MEMORY_FIXED);
    let Ok(mut partitions) = partitions else { return };
    assert!(!partitions.is_empty() && partitions.len() <= 132, "{} partitions", partitions.len());
    assert!(partitions.windows(2).all(|pair| pair[0].number < pair[1].number), "numbers");
    if let Ok(boot) = boot(&partitions) {
        assert!(boot.is_fat && partitions.contains(&boot), "it starts from what is not there");
    }
    let size = end(&partitions);
    partitions.sort_by_key(|partition| partition.start);
    let mut free_from = SECTOR;
    for partition in &partitions {
        assert!(free_from <= partition.start && 0 < partition.size, "{partition:?}");
        free_from = partition.start + partition.size;
    }
    assert_eq!(size, free_from, "what the card has to hold");
}

fn mbr(bytes: &[u8]) -> Vec<u8> {
    let mut head = vec![0; HEAD_BYTES];
    head[446..510].iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    head[510..512].copy_from_slice(&[0x55, 0xaa]);
    head
}

/// The first byte says how many entries there are, the others are what is in them.
fn gpt(bytes: &[u8]) -> Vec<u8> {
    let (count, rest) = bytes.split_first().unwrap_or((&128, bytes));
    let mut protective = [0; 64];
    protective[4] = 0xee;
    let mut head = mbr(&protective);
    head[ENTRIES].iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let mut put = |at: usize, word: u32| head[at..at + 4].copy_from_slice(&word.to_le_bytes());
    put(512, u32::from_le_bytes(*b"EFI "));
    put(516, u32::from_le_bytes(*b"PART"));
    put(524, 92);
    put(584, 2);
    put(592, u32::from(*count));
    put(596, 128);
    let until = (ENTRIES.start + usize::from(*count) * 128).min(ENTRIES.end);
    let entries = CRC.checksum(&head[ENTRIES.start..until]);
    head[600..604].copy_from_slice(&entries.to_le_bytes());
    let header = CRC.checksum(&head[512..604]);
    head[528..532].copy_from_slice(&header.to_le_bytes());
    head
}
