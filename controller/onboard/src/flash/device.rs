//! What the kernel says of a block device, for the guard rails.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::guard::DeviceFacts;

/// Where the kernel says things; elsewhere in tests.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `/sys`
    pub sys: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { sys: PathBuf::from("/sys"), proc: PathBuf::from("/proc") }
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block device with this number.
    Block(u32, u32),
    /// A file.
    File,
    /// Nothing yet.
    Nothing,
}

/// Tells devices from files.
///
/// # Errors
/// When it is neither, or cannot be looked at.
pub fn kind(path: &Path) -> io::Result<Kind> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kind::Nothing),
        Err(error) => return Err(error),
    };
    let number = metadata.rdev();
    if metadata.file_type().is_block_device() {
        return Ok(Kind::Block(rustix::fs::major(number), rustix::fs::minor(number)));
    }
    match metadata.is_file() {
        true => Ok(Kind::File),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is neither a block device nor a file",
        )),
    }
}

impl Kernel {
    /// What is known of the device with this number.
    ///
    /// # Errors
    /// When the kernel does not know it.
    pub fn facts(&self, (major, minor): (u32, u32)) -> io::Result<DeviceFacts> {
        let folder = fs::canonicalize(self.sys.join(format!("dev/block/{major}:{minor}")))?;
        let name = name(&folder);
        let parts = parts(&folder)?;
        let read = |file: &str| {
            fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_owned()
        };
        let sectors: u64 = read("size").parse().unwrap_or(0);
        let is_usb =
            folder.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
        let is_card = read("device/type") == "SD";
        let model = [read("device/vendor"), read("device/model"), read("device/name")];
        let model: Vec<String> = model.into_iter().filter(|word| !word.is_empty()).collect();
        let mut holders: Vec<String> =
            parts.iter().flat_map(|part| list(&part.join("holders"))).collect();
        holders.sort();
        holders.dedup();
        let numbers: BTreeSet<String> = parts
            .iter()
            .filter_map(|part| fs::read_to_string(part.join("dev")).ok())
            .map(|number| number.trim().to_owned())
            .collect();
        let names: BTreeSet<String> = parts.iter().map(|part| self::name(part)).collect();
        let mounts = fs::read_to_string(self.proc.join("self/mountinfo"))?;
        let swaps = fs::read_to_string(self.proc.join("swaps")).unwrap_or_default();
        Ok(DeviceFacts {
            is_partition: folder.join("partition").exists(),
            is_removable: read("removable") == "1" || is_usb || is_card,
            is_read_only: read("ro") == "1",
            mounts: mounted(&mounts, &numbers, &names),
            swaps: swaps
                .lines()
                .skip(1)
                .map(first_word)
                .filter(|path| is_one_of(path, &names))
                .map(str::to_owned)
                .collect(),
            bytes: sectors * 512,
            model: if model.is_empty() { "unknown model".to_owned() } else { model.join(" ") },
            holders,
            name,
        })
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn list(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The device and its partitions.
fn parts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut parts = vec![folder.to_owned()];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("partition").exists() {
            parts.push(path);
        }
    }
    Ok(parts)
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or("")
}

fn is_one_of(path: &str, names: &BTreeSet<String>) -> bool {
    path.strip_prefix("/dev/").is_some_and(|name| names.contains(name))
}

/// Where something of these devices is mounted: by number, and by source, since btrfs has numbers of its own.
fn mounted(mountinfo: &str, numbers: &BTreeSet<String>, names: &BTreeSet<String>) -> Vec<String> {
    let mut mounts: Vec<String> = mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let fields: Vec<&str> = left.split(' ').collect();
            let (number, at) = (fields.get(2)?, fields.get(4)?);
            let source = right.split(' ').nth(1).unwrap_or("");
            let is_ours = numbers.contains(*number) || is_one_of(source, names);
            is_ours.then(|| at.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\134", r"\"))
        })
        .collect();
    mounts.sort();
    mounts.dedup();
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A laptop with a disk under LVM and btrfs, and a reader on USB with a card.
    fn laptop() -> (tempfile::TempDir, Kernel) {
        let dir = tempfile::tempdir().unwrap();
        let sys = dir.path().join("sys");
        let nvme = sys.join("devices/pci0/nvme0/nvme0n1");
        put(&nvme.join("size"), "1000215216\n");
        put(&nvme.join("removable"), "0\n");
        put(&nvme.join("dev"), "259:0\n");
        put(&nvme.join("device/model"), "Disk 512\n");
        put(&nvme.join("nvme0n1p2/partition"), "2\n");
        put(&nvme.join("nvme0n1p2/dev"), "259:2\n");
        put(&nvme.join("nvme0n1p2/holders/dm-0/x"), "");
        let card = sys.join("devices/pci0/usb1/1-2/block/sdb");
        put(&card.join("size"), "62333952\n");
        put(&card.join("removable"), "0\n");
        put(&card.join("ro"), "1\n");
        put(&card.join("dev"), "8:16\n");
        put(&card.join("device/vendor"), "Generic \n");
        put(&card.join("device/model"), "SD Reader\n");
        put(&card.join("sdb1/partition"), "1\n");
        put(&card.join("sdb1/dev"), "8:17\n");
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        for (number, to) in [("259:0", &nvme), ("8:16", &card), ("8:17", &card.join("sdb1"))] {
            std::os::unix::fs::symlink(to, sys.join("dev/block").join(number)).unwrap();
        }
        let proc = dir.path().join("proc");
        let mounts = "22 1 0:30 /@ / rw - btrfs /dev/nvme0n1p2 rw\n\
            23 22 0:30 /@home /home rw - btrfs /dev/nvme0n1p2 rw\n\
            40 22 8:17 / /media/my\\040card rw - vfat /dev/sdb1 rw\n\
            41 22 0:5 / /proc rw - proc proc rw\n";
        put(&proc.join("self/mountinfo"), mounts);
        put(
            &proc.join("swaps"),
            "Filename Type Size Used Priority\n/dev/nvme0n1p2 partition 1 0 -2\n",
        );
        (dir, Kernel { sys, proc })
    }

    #[test]
    fn a_card_and_a_disk_are_known_for_what_they_are() {
        let (_dir, kernel) = laptop();
        let card = kernel.facts((8, 16)).unwrap();
        assert_eq!((card.name.as_str(), card.model.as_str()), ("sdb", "Generic SD Reader"));
        assert_eq!(
            (card.bytes, card.is_removable, card.is_read_only),
            (31_914_983_424, true, true)
        );
        assert_eq!(card.mounts, ["/media/my card"]);
        let disk = kernel.facts((259, 0)).unwrap();
        assert_eq!(disk.mounts, ["/", "/home"]);
        assert!(disk.swaps == ["/dev/nvme0n1p2"] && !disk.is_removable && !disk.is_partition);
        assert_eq!(disk.holders, ["dm-0"]);
        assert!(kernel.facts((8, 17)).unwrap().is_partition);
        assert!(kernel.facts((1, 1)).is_err());
    }

    #[test]
    fn a_path_is_a_file_a_device_or_nothing() {
        let (dir, _kernel) = laptop();
        assert_eq!(kind(&dir.path().join("proc/swaps")).unwrap(), Kind::File);
        assert_eq!(kind(&dir.path().join("none")).unwrap(), Kind::Nothing);
        assert!(kind(dir.path()).is_err() && kind(Path::new("/dev/null")).is_err());
    }
}
