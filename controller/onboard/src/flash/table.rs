//! Partition tables: where on a card the boot partition is. Pure; sectors have 512 bytes, as on all cards and in all images.

/// A sector.
pub const SECTOR: u64 = 512;
/// So much of the start of an image holds its tables: an MBR, a GPT header and 128 entries.
pub const HEAD_BYTES: usize = 34 * 512;
/// Most entries of a GPT that are looked at.
const GPT_ENTRIES_MAX: u32 = 128;

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Where it starts, bytes.
    pub start: u64,
    /// Its size, bytes.
    pub size: u64,
    /// Whether it may hold a FAT file system.
    pub is_fat: bool,
}

/// Why something is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no image of a card: {0}")]
pub struct NoTable(pub &'static str);

/// Reads the table from the first [`HEAD_BYTES`]. The MBR counts as long as it has a FAT partition, since that is what the
/// firmware of a Raspberry Pi reads; else a GPT behind a protective MBR.
///
/// # Errors
/// [`NoTable`]
pub fn read(head: &[u8]) -> Result<Vec<Partition>, NoTable> {
    if head.len() < HEAD_BYTES {
        return Err(NoTable("it is shorter than a partition table"));
    }
    if head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Err(NoTable("its first sector has no signature 55 aa"));
    }
    let mbr = mbr(head);
    let is_protective = mbr.iter().any(|(kind, _)| *kind == 0xee);
    let plain: Vec<Partition> =
        mbr.iter().filter(|(kind, _)| *kind != 0xee).map(|(_, partition)| *partition).collect();
    if plain.iter().any(|partition| partition.is_fat) || !is_protective {
        return checked(plain);
    }
    checked(gpt(head)?)
}

/// The first partition that may hold a FAT file system: that from which a Raspberry Pi starts.
///
/// # Errors
/// [`NoTable`]
pub fn boot(partitions: &[Partition]) -> Result<Partition, NoTable> {
    let boot = partitions.iter().find(|partition| partition.is_fat);
    boot.copied().ok_or(NoTable("it has no FAT partition, from which a Raspberry Pi would start"))
}

/// Where the last partition ends: what a card has to hold, bytes.
pub fn end(partitions: &[Partition]) -> u64 {
    partitions.iter().map(|partition| partition.start + partition.size).max().unwrap_or(0)
}

/// The four entries of an MBR that are used, with their types.
fn mbr(head: &[u8]) -> Vec<(u8, Partition)> {
    let entries = head.get(446..510).unwrap_or_default().chunks_exact(16);
    let used = entries.zip(1..).filter(|(entry, _)| entry[4] != 0);
    used.map(|(entry, number)| {
        let kind = entry[4];
        let is_fat = matches!(kind, 0x01 | 0x04 | 0x06 | 0x0b | 0x0c | 0x0e | 0xef);
        let (start, size) = (u64::from(le32(entry, 8)), u64::from(le32(entry, 12)));
        (kind, Partition { number, start: start * SECTOR, size: size * SECTOR, is_fat })
    })
    .collect()
}

/// Types of GPT that hold FAT on these images, as they lie on disk: EFI system, basic data.
const FAT_TYPES: [[u8; 16]; 2] = [
    [
        0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9,
        0x3b,
    ],
    [
        0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99,
        0xc7,
    ],
];

fn gpt(head: &[u8]) -> Result<Vec<Partition>, NoTable> {
    let header = head.get(512..604).unwrap_or_default();
    if !header.starts_with(b"EFI PART") {
        return Err(NoTable("its MBR protects a GPT that is not there"));
    }
    let mut blank = header.to_vec();
    blank[16..20].fill(0);
    if le32(header, 12) != 92 || crc32fast::hash(&blank) != le32(header, 16) {
        return Err(NoTable("the header of its GPT is damaged"));
    }
    let (first, count, size) = (le64(header, 72), le32(header, 80), le32(header, 84));
    if first != 2 || size != 128 || GPT_ENTRIES_MAX < count {
        return Err(NoTable("its GPT has another shape than that of a card"));
    }
    let length = usize::try_from(count * size).unwrap_or(usize::MAX);
    let entries = head.get(1024..).and_then(|rest| rest.get(..length));
    let entries = entries.ok_or(NoTable("its GPT is cut off"))?;
    if crc32fast::hash(entries) != le32(header, 88) {
        return Err(NoTable("the entries of its GPT are damaged"));
    }
    let used = entries.chunks_exact(128).zip(1..).filter(|(entry, _)| entry[..16] != [0; 16]);
    used.map(|(entry, number)| {
        let (start, last) = (le64(entry, 32), le64(entry, 40));
        let size = last.checked_sub(start).and_then(|size| size.checked_add(1));
        let bytes = |sectors: u64| sectors.checked_mul(SECTOR);
        let (start, size) = bytes(start)
            .zip(size.and_then(bytes))
            .ok_or(NoTable("a partition of its GPT ends before it starts"))?;
        let is_fat = FAT_TYPES.iter().any(|kind| entry.starts_with(kind));
        Ok(Partition { number, start, size, is_fat })
    })
    .collect()
}

/// Refuses tables that would make us write over tables or other partitions.
fn checked(mut partitions: Vec<Partition>) -> Result<Vec<Partition>, NoTable> {
    if partitions.is_empty() {
        return Err(NoTable("its partition table is empty"));
    }
    partitions.sort_by_key(|partition| partition.start);
    let mut free_from = SECTOR;
    for partition in &partitions {
        let end = partition.start.checked_add(partition.size);
        let end = end.ok_or(NoTable("a partition ends beyond all numbers"))?;
        if partition.start < free_from || partition.size == 0 {
            return Err(NoTable("its partitions overlap"));
        }
        free_from = end;
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(partitions)
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u32::from_le_bytes(four.unwrap_or_default())
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok());
    u64::from_le_bytes(eight.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mbr(entries: &[(u8, u32, u32)]) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        for (entry, (kind, start, size)) in head[446..510].chunks_exact_mut(16).zip(entries) {
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..16].copy_from_slice(&size.to_le_bytes());
        }
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        head
    }

    fn with_gpt(entries: &[([u8; 16], u64, u64)]) -> Vec<u8> {
        let mut head = with_mbr(&[(0xee, 1, u32::MAX)]);
        for (entry, (kind, start, last)) in head[1024..].chunks_exact_mut(128).zip(entries) {
            entry[..16].copy_from_slice(kind);
            entry[32..40].copy_from_slice(&start.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
        }
        let crc = crc32fast::hash(&head[1024..1024 + 128 * 128]);
        head[512..520].copy_from_slice(b"EFI PART");
        head[524..528].copy_from_slice(&92_u32.to_le_bytes());
        head[584..592].copy_from_slice(&2_u64.to_le_bytes());
        head[592..596].copy_from_slice(&128_u32.to_le_bytes());
        head[596..600].copy_from_slice(&128_u32.to_le_bytes());
        head[600..604].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&head[512..604]);
        head[528..532].copy_from_slice(&crc.to_le_bytes());
        head
    }

    #[test]
    fn the_table_of_raspberry_pi_os_is_read() {
        // 2024-11-19-raspios-bookworm-arm64-lite: 512 MiB of FAT32, then the root.
        let head = with_mbr(&[(0x0c, 8192, 1_048_576), (0x83, 1_056_768, 4_358_144)]);
        let partitions = read(&head).unwrap();
        let expected = Partition { number: 1, start: 4_194_304, size: 536_870_912, is_fat: true };
        assert_eq!(boot(&partitions), Ok(expected));
        assert_eq!(end(&partitions), (1_056_768 + 4_358_144) * SECTOR);
    }

    #[test]
    fn a_gpt_is_read_and_its_damage_seen() {
        let linux = [7; 16];
        let head = with_gpt(&[(linux, 4096, 8191), (FAT_TYPES[1], 2048, 4095)]);
        let partitions = read(&head).unwrap();
        assert_eq!((partitions.len(), boot(&partitions).unwrap().number), (2, 2));
        for at in [520, 528, 560, 600, 1030] {
            let mut damaged = head.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_hybrid_table_counts_by_its_mbr_as_the_firmware_does() {
        let mut head = with_gpt(&[(FAT_TYPES[0], 2048, 4095)]);
        head[446 + 16..446 + 32].copy_from_slice(&with_mbr(&[(0x0c, 2048, 2048)])[446..462]);
        assert_eq!(boot(&read(&head).unwrap()).unwrap().number, 2);
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let cases: [(Vec<u8>, &str); 7] = [
            (vec![0; 100], "shorter"),
            (vec![0; HEAD_BYTES], "signature"),
            (with_mbr(&[]), "empty"),
            (with_mbr(&[(0xee, 1, 9)]), "not there"),
            (with_mbr(&[(0x0c, 8, 8), (0x83, 12, 8)]), "overlap"),
            (with_mbr(&[(0x0c, 0, 8)]), "overlap"),
            (with_gpt(&[(FAT_TYPES[0], 4095, 2048)]), "ends before"),
        ];
        for (head, rule) in cases {
            assert!(read(&head).unwrap_err().to_string().contains(rule), "{rule}");
        }
        let none = read(&with_mbr(&[(0x83, 8, 8)])).unwrap();
        assert!(boot(&none).is_err());
    }

    #[test]
    fn whatever_is_in_the_first_sectors_reading_them_ends() {
        // A walk through all single bytes of the table, and a row of patterns.
        let good = with_gpt(&[(FAT_TYPES[0], 2048, 4095)]);
        for at in (446..610).chain(1024..1152) {
            for value in [0, 1, 0x7f, 0x80, 0xee, 0xff] {
                let mut head = good.clone();
                head[at] = value;
                read(&head).ok();
            }
        }
    }
}
