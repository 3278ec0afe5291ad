//! Guard rails: which devices are never written, and which only when asked for by name. Pure.

/// What is known of a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// `sdb`, `mmcblk0`
    pub name: String,
    /// Its maker's name for it.
    pub model: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Whether it is a partition of another.
    pub is_partition: bool,
    /// Whether it can be taken out, as the kernel says, or is a card, or hangs on USB.
    pub is_removable: bool,
    /// Whether it refuses to be written.
    pub is_read_only: bool,
    /// Where it or one of its partitions is mounted.
    pub mounts: Vec<String>,
    /// Which of it and its partitions are swap.
    pub swaps: Vec<String>,
    /// What else of the kernel holds it or one of its partitions: LVM, dm-crypt, RAID.
    pub holders: Vec<String>,
}

/// What an operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Devices that cannot be taken out.
    pub fixed: bool,
    /// Largest device, bytes.
    pub bytes_max: u64,
}

/// Larger devices are rather disks with data than cards.
pub const BYTES_MAX: u64 = 256 << 30;

impl Default for Allowed {
    fn default() -> Self {
        Self { fixed: false, bytes_max: BYTES_MAX }
    }
}

/// Mounted here, a device is the system's.
const SYSTEM: [&str; 10] =
    ["/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "/opt", "/srv", "/nix"];

/// All reasons not to write a device; none if it may be written.
pub fn refusals(device: &DeviceFacts, image_bytes: u64, allowed: &Allowed) -> Vec<String> {
    let mut reasons = Vec::new();
    let name = &device.name;
    if device.is_partition {
        reasons.push(format!("{name} is a partition; give the whole device"));
    }
    let system: Vec<_> = device.mounts.iter().filter(|at| SYSTEM.contains(&at.as_str())).collect();
    if !system.is_empty() || !device.swaps.is_empty() {
        let at = system.iter().map(|at| at.as_str()).chain(device.swaps.first().map(|_| "swap"));
        let at = at.collect::<Vec<_>>().join(", ");
        reasons.push(format!("{name} is a disk of this system ({at})"));
    } else if !device.mounts.is_empty() {
        let at = device.mounts.join(", ");
        reasons.push(format!("{name} is mounted at {at}; unmount it: umount {at}"));
    }
    if !device.holders.is_empty() {
        reasons.push(format!("{name} is part of {}", device.holders.join(", ")));
    }
    if device.is_read_only {
        reasons.push(format!("{name} is read-only; some cards have a switch for that"));
    }
    if !device.is_removable && !allowed.fixed {
        reasons.push(format!(
            "{name} ({}) cannot be taken out, so it is rather a disk than a card; --fixed-disk allows it",
            device.model
        ));
    }
    if device.bytes == 0 {
        reasons.push(format!("{name} has no size; is a card in the reader?"));
    } else if device.bytes < image_bytes {
        reasons
            .push(format!("{name} has {} bytes, and the image needs {image_bytes}", device.bytes));
    }
    if allowed.bytes_max < device.bytes {
        reasons.push(format!(
            "{name} has {} GiB, more than the {} GiB of a card; --size-max-gib allows more",
            device.bytes >> 30,
            allowed.bytes_max >> 30
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes a card dangerous.
    type Danger = fn(&mut DeviceFacts);

    fn card() -> DeviceFacts {
        DeviceFacts {
            name: "sdb".to_owned(),
            model: "SD Reader".to_owned(),
            bytes: 32 << 30,
            is_partition: false,
            is_removable: true,
            is_read_only: false,
            mounts: vec![],
            swaps: vec![],
            holders: vec![],
        }
    }

    #[test]
    fn a_card_may_be_written() {
        assert_eq!(refusals(&card(), 3 << 30, &Allowed::default()), Vec::<String>::new());
    }

    #[test]
    fn each_danger_has_a_reason_of_its_own() {
        let change = |change: Danger| {
            let mut device = card();
            change(&mut device);
            refusals(&device, 3 << 30, &Allowed::default())
        };
        let cases: [(Danger, &str); 10] = [
            (|d| d.is_partition = true, "whole device"),
            (|d| d.mounts = vec!["/".to_owned()], "disk of this system (/)"),
            (|d| d.mounts = vec!["/media/x".to_owned()], "umount /media/x"),
            (|d| d.swaps = vec!["sdb2".to_owned()], "disk of this system (swap)"),
            (|d| d.holders = vec!["dm-0".to_owned()], "part of dm-0"),
            (|d| d.is_read_only = true, "read-only"),
            (|d| d.is_removable = false, "--fixed-disk"),
            (|d| d.bytes = 0, "no size"),
            (|d| d.bytes = 1 << 30, "the image needs"),
            (|d| d.bytes = 1 << 40, "--size-max-gib"),
        ];
        for (danger, reason) in cases {
            let reasons = change(danger);
            assert!(reasons.len() == 1 && reasons[0].contains(reason), "{reason}: {reasons:?}");
        }
    }

    #[test]
    fn what_may_be_allowed_is_size_and_place_never_the_system() {
        let all = Allowed { fixed: true, bytes_max: u64::MAX };
        let mut disk = DeviceFacts { is_removable: false, bytes: 1 << 40, ..card() };
        assert!(refusals(&disk, 1, &all).is_empty());
        disk.mounts.push("/home".to_owned());
        disk.holders.push("md0".to_owned());
        assert_eq!(refusals(&disk, 1, &all).len(), 2);
    }
}
