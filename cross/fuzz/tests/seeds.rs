//! The targets hold for the seeds, and for what they once did not hold for: `cargo xtask fuzz` starts from the same files.

use std::error::Error;
use std::fs;
use std::path::Path;

use protocol::invoke::{BODY_BYTES_MAX, Invoke};
use protocol::{Schema, WIRE_VERSION, decode, encode};

#[global_allocator]
static MEMORY: fuzz::Counting = fuzz::Counting;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// The files of a folder, in order.
fn files(folder: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        files.push((path.display().to_string(), fs::read(&path)?));
    }
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    Ok(files)
}

/// Frames of the golden files of the wire: hexadecimal digits, of a frame, or in each line of a file of variants.
fn golden() -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for (name, text) in files("../../crates/protocol/tests/golden")? {
        let text = String::from_utf8(text)?;
        let lines =
            if name.ends_with("_variants.hex") { text.lines().collect() } else { vec![&*text] };
        for line in lines {
            let digits: Vec<u32> = line.chars().filter_map(|digit| digit.to_digit(16)).collect();
            let frame = digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]));
            frames.push(
                frame
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|error| format!("{name}: {error}"))?,
            );
        }
    }
    Ok(frames)
}

#[test]
fn frames_and_manifests_hold() -> Result {
    let mut frames = golden()?;
    assert!(28 <= frames.len(), "there is one of each kind at least");
    frames.extend(files("seeds/frames")?.into_iter().map(|(_, bytes)| bytes));
    for frame in &frames {
        fuzz::frames(frame);
        fuzz::manifest(frame);
        for cut in 0..frame.len().min(64) {
            fuzz::frames(&frame[..cut]);
        }
    }
    Ok(())
}

#[test]
fn serial_lines_hold() -> Result {
    let frames = golden()?;
    for frame in &frames {
        fuzz::serial(frame);
        // As a payload: the bytes of a frame of the bus are as good as any.
        for kind in 0..=u8::MAX {
            fuzz::serial(&[&[kind][..], frame].concat());
        }
    }
    fuzz::serial(&frames.concat());
    Ok(())
}

/// A body grows by doubling when it is long, and the block before is there until it is copied.
#[test]
fn the_largest_bodies_take_three_times_their_length_at_most() -> Result {
    let is_invoke = |frame: &Vec<u8>| frame.starts_with(&[WIRE_VERSION, Schema::Invoke as u8]);
    let golden = golden()?.into_iter().find(is_invoke).ok_or("a call is among them")?;
    let mut invoke: Invoke = decode(&golden)?;
    for bytes in [BODY_BYTES_MAX, BODY_BYTES_MAX / 2 + 1] {
        invoke.body = vec![7; bytes];
        let frame = encode(&invoke)?;
        let (read, peak) = fuzz::peak_of(|| decode::<Invoke>(&frame));
        assert_eq!(read?.body.len(), bytes);
        assert!(peak <= 3 * frame.len(), "{peak} for {}", frame.len());
    }
    Ok(())
}

/// A segment with a report, a sum of eight, and an event.
fn a_segment() -> Vec<u8> {
    use queue::{Column, Content, Record, segment};
    let at = types::Epoch::from_unix_ns(1_700_000_000_000_000_000);
    let name = segment::Name { start: 3, stream: 1, number: 2 };
    let mut bytes = segment::Header { name, boot: 7, level: 1 }.to_bytes().to_vec();
    let columns = vec![Column::over([1.0, 2.0, 3.0]), Column::UNKNOWN];
    let contents =
        [Content::Whole(vec![1, 1, 9]), Content::Summary(columns), Content::Whole(vec![])];
    for (id, content) in (1..).zip(contents) {
        let (stamp_ms, series) = (id * 1_000, 4);
        Record { id, stamp_ms, from: at, to: at, stands_for: 1, series, content }.write(&mut bytes);
    }
    bytes
}

#[test]
fn segments_of_the_queue_hold() -> Result {
    let whole = a_segment();
    for (_, bytes) in files("seeds/segment")? {
        fuzz::segment(&bytes);
    }
    for at in 0..whole.len() {
        fuzz::segment(&whole[..at]);
        let mut turned = whole.clone();
        turned[at] ^= 0xff;
        fuzz::segment(&turned);
    }
    fuzz::segment(&whole);
    Ok(())
}

#[test]
fn modules_hold() -> Result {
    for (_, bytes) in files("seeds/module")? {
        fuzz::module(&bytes);
        for at in 0..bytes.len() {
            let mut turned = bytes.clone();
            turned[at] ^= 0xff;
            fuzz::module(&turned);
        }
    }
    Ok(())
}

#[test]
fn messages_of_brokers_hold() -> Result {
    for (_, bytes) in files("seeds/mqtt")? {
        for first in 0..=u8::MAX {
            let mut other = bytes.clone();
            other[0] = first;
            fuzz::mqtt(&other);
        }
        for at in 0..bytes.len() {
            fuzz::mqtt(&bytes[..at]);
        }
    }
    // The longest list of the shortest metrics.
    fuzz::mqtt(&[&[1][..], &[0x12, 0].repeat(2048)].concat());
    Ok(())
}

#[test]
fn partition_tables_hold() -> Result {
    for (_, bytes) in files("seeds/table")? {
        for at in 0..bytes.len() {
            fuzz::table(&bytes[..at]);
            for turn in [0x01, 0x80, 0xff] {
                let mut turned = bytes.clone();
                turned[at] ^= turn;
                fuzz::table(&turned);
            }
        }
        fuzz::table(&bytes);
    }
    Ok(())
}

#[test]
fn the_seeds_are_what_their_texts_say() -> Result {
    for (name, text) in files("texts")? {
        let file = Path::new(&name).with_extension("wasm");
        let file = file.file_name().ok_or("a text has a name")?;
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/module").join(file);
        assert_eq!(fs::read(seed)?, wat::parse_bytes(&text)?.as_ref(), "{name}");
    }
    Ok(())
}

#[test]
fn memory_is_counted() {
    let (bytes, peak) = fuzz::peak_of(|| {
        drop(vec![1_u8; 10_000]);
        vec![2_u8; 3_000]
    });
    assert_eq!((bytes.len(), peak), (3_000, 10_000));
    let (_, peak) = fuzz::peak_of(|| ());
    assert_eq!(peak, 0);
}
