//! Which machine the numbers are of.

/// Processor, cores, kernel, in words.
pub(crate) fn name() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |text| text.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let arch = std::env::consts::ARCH;
    format!("{model}, {cores} cores, {arch}, Linux {}", kernel.trim())
}

/// A line `name: 1234 kB` of a file of the system, in bytes.
///
/// # Errors
/// When the file or the line is not there.
pub(crate) fn bytes_in(path: &str, name: &str) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| std::io::Error::other(format!("{path} has no line {name} with kB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_this_machine_a_name() {
        assert!(1 << 20 < bytes_in("/proc/self/status", "VmHWM").unwrap());
        assert!(bytes_in("/proc/self/status", "VmNothing").is_err());
        assert!(name().contains("cores"));
    }
}
