//! `mcu`: builds the firmware of boards for its chip. What it decides is in the package `board`, which all tests run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toolchain::command::{self, print, say};
use toolchain::rust::Toolchain;
use toolchain::{NoCompiler, Site};

use crate::functions;
use crate::workspace::Workspace;

/// The firmware's own workspace.
const FOLDER: &str = "cross/mcu/rp2040";
/// What it is built for: the Cortex-M0+ of an RP2040.
const TARGET: &str = "thumbv6m-none-eabi";
const PROFILE: &str = "release";
const PROGRAM: &str = "rp2040-board";
/// Flash and RAM of the chip with which the firmware is to have room to grow, bytes: half of a Pico's.
const FLASH_MAX: u64 = 1024 * 1024;
const RAM_MAX: u64 = 132 * 1024;

/// Builds it, and says how large it is; `args` may say `--compiler installed|rustup|debian`.
///
/// # Errors
/// When it does not build, is not for the chip, or is too large; on machines of CI also when there is no compiler.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let ways = functions::ways("mcu", args)?;
    let root = workspace.site()?;
    let site =
        Site { folder: workspace.path(FOLDER), target: workspace.target.join("mcu"), ..root };
    command::run(site.cargo().args(["fmt", "--check"]))?;
    let toolchain = match Toolchain::find(&site, TARGET, &ways) {
        Ok(toolchain) => toolchain,
        // In CI nothing may go missing unseen.
        Err(error)
            if error.downcast_ref::<NoCompiler>().is_some() && std::env::var_os("CI").is_none() =>
        {
            say(&format!("skipped: firmware: {error:#}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    say(&format!("mcu: building {PROGRAM} with {}", toolchain.label));
    let mut cargo = toolchain.cargo_build(&site, PROFILE);
    command::run(cargo.args(["--locked", "--quiet"]))?;
    let program = toolchain.output_dir(&site, PROFILE).join(PROGRAM);
    let image = Image::read(&program)?;
    let Image { flash, ram } = image;
    if FLASH_MAX < flash || RAM_MAX < ram {
        bail!(
            "{PROGRAM} takes {flash} bytes of flash and {ram} of RAM, at most {FLASH_MAX} and {RAM_MAX} are right"
        );
    }
    print(&format!("mcu {PROGRAM}: {flash} bytes of flash, {ram} of RAM: {}\n", program.display()))
}

/// What a program takes of the chip.
#[derive(Debug, PartialEq, Eq)]
struct Image {
    /// Bytes of flash: code, constants, and what RAM begins with.
    flash: u64,
    /// Bytes of RAM, without the stack.
    ram: u64,
}

impl Image {
    fn read(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        let bytes = fs::read(path).with_context(shown)?;
        Self::parse(&bytes).with_context(shown)
    }

    /// Adds up the segments that are loaded, by the header of a 32-bit little-endian ELF file for ARM.
    fn parse(bytes: &[u8]) -> Result<Self> {
        let half =
            |at: usize| Some(u64::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
        let word =
            |at: usize| Some(u64::from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
        let magic = bytes.starts_with(b"\x7fELF\x01\x01");
        // e_machine: EM_ARM.
        if !magic || half(18) != Some(40) {
            bail!("it is no 32-bit program for ARM");
        }
        let table = || Some((word(28)?, half(42)?, half(44)?));
        let (start, size, count) = table().context("it has no table of segments")?;
        let mut image = Self { flash: 0, ram: 0 };
        for number in 0..count {
            let at = usize::try_from(start + number * size)?;
            let segment = || Some((word(at)?, word(at + 8)?, word(at + 16)?, word(at + 20)?));
            let (kind, address, in_file, in_memory) = segment().context("a segment is cut off")?;
            // PT_LOAD; what is in the file lies in flash, whatever its address is when it runs.
            if kind == 1 {
                image.flash += in_file;
                // From here on is RAM (RP2040 datasheet, 2.2).
                image.ram += if 0x2000_0000 <= address { in_memory } else { 0 };
            }
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    /// A file with segments: where each lies, and its bytes in file and memory.
    fn elf(machine: u16, segments: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x01\x01".to_vec();
        bytes.resize(52, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[28..32].copy_from_slice(&52_u32.to_le_bytes());
        bytes[42..44].copy_from_slice(&32_u16.to_le_bytes());
        bytes[44..46].copy_from_slice(&u16::try_from(segments.len()).unwrap().to_le_bytes());
        for (address, in_file, in_memory) in segments {
            for word in [1, 0, *address, *address, *in_file, *in_memory, 0, 0] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn segments_are_added_up_by_where_they_lie() {
        let file =
            elf(40, &[(0x1000_0000, 256, 256), (0x2000_0000, 100, 100), (0x2000_0064, 0, 4000)]);
        assert_eq!(Image::parse(&file).unwrap(), Image { flash: 356, ram: 4100 });
        let cut = Image::parse(&file[..100]).unwrap_err().to_string();
        assert_eq!(cut, "a segment is cut off");
        for other in [elf(62, &[]), b"\x7fELF\x02\x01".to_vec(), Vec::new()] {
            assert_eq!(
                Image::parse(&other).unwrap_err().to_string(),
                "it is no 32-bit program for ARM"
            );
        }
    }
}
