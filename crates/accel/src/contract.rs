//! The names of the guest contract `functions/wit/world.wit`, and of the interfaces of WASI 0.2 that nodes offer besides
//! (`functions/wit/wasi/world.wit`): what a function may import and must export.

/// What a function must export.
pub const HANDLER: &str = "starbelt:function/handler@0.2.0";
/// What a function exports besides that may be kept warm between calls.
pub const LIFECYCLE: &str = "starbelt:function/lifecycle@0.2.0";

/// All that a function may import of the contract.
pub const IMPORTS: [&str; 8] = [
    "starbelt:function/calls@0.2.0",
    "starbelt:function/infer@0.2.0",
    "starbelt:function/node@0.2.0",
    "starbelt:function/objects@0.2.0",
    "starbelt:function/output@0.2.0",
    "starbelt:function/sky@0.2.0",
    "starbelt:function/state@0.2.0",
    "starbelt:function/types@0.2.0",
];

/// The interfaces of WASI that a function may import, in any version 0.2.
pub const WASI: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Whether a node offers an interface of that name.
pub fn offers(import: &str) -> bool {
    IMPORTS.contains(&import) || offers_wasi(import)
}

fn offers_wasi(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    // All patch versions are compatible, those before a release are with none, and what was built says nothing.
    let release = version.split('+').next().unwrap_or_default();
    let patch = release.strip_prefix("0.2.").unwrap_or_default();
    let is_number = !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
    is_number && WASI.contains(&interface)
}

#[cfg(test)]
mod tests {
    use super::offers;

    #[test]
    fn every_patch_of_wasi_0_2_is_offered_and_nothing_else_of_wasi() {
        for version in ["0.2.0", "0.2.12", "0.2.99", "0.2.3+build-5"] {
            assert!(offers(&format!("wasi:cli/stdout@{version}")), "{version}");
            assert!(!offers(&format!("wasi:sockets/tcp@{version}")), "{version}");
            assert!(!offers(&format!("wasi:http/types@{version}")), "{version}");
        }
        for version in ["0.2.0-rc-2023-11-10", "0.3.0", "0.2", "1.2.0", "0.20.1", "0.2.", ""] {
            assert!(!offers(&format!("wasi:cli/stdout@{version}")), "{version}");
        }
        assert!(!offers("wasi:cli/stdout"));
    }
}
