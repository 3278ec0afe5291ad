//! Native programs that functions of the node may run: `[[inference.program]]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use infer::native::{PROGRAM_NAME_MAX, is_program_name};

use super::read::Section;
use super::{PROGRAMS_MAX, ProgramConfig};

/// A machine with more memory or more processors than this is no node of ours.
const MEMORY_MIB_MAX: u64 = 1 << 20;
const MILLI_CPU_MAX: u64 = 1_024_000;
/// One processor, which feeds a graphics processor.
const MILLI_CPU: u64 = 1000;

/// Reads all of them; problems go where those of `inference` go.
pub(super) fn read(
    inference: &mut Section<'_>,
    base: &Path,
    budget_mib: u64,
) -> Vec<ProgramConfig> {
    let tables = inference.tables("program");
    if PROGRAMS_MAX < tables.len() {
        let rule = format!("{} programs, at most {PROGRAMS_MAX} are handled", tables.len());
        inference.refuse("program", rule);
    }
    let mut names = BTreeSet::new();
    let mut programs = Vec::new();
    for (table, origin) in tables {
        let section = Section::new("inference.program", origin, table, inference.problems());
        programs.extend(program(section, base, budget_mib, &mut names));
    }
    programs
}

fn program(
    mut section: Section<'_>,
    base: &Path,
    budget_mib: u64,
    names: &mut BTreeSet<String>,
) -> Option<ProgramConfig> {
    for key in ["name", "program", "memory_mib", "gpu_memory_mib", "probe_input", "probe_output"] {
        section.require(key);
    }
    let name = section.converted("name", |name| match is_program_name(name) {
        true if names.contains(name) => Err(format!("two programs are named {name:?}")),
        true => Ok(name.to_owned()),
        false => Err(format!("{name:?} is not 1 to {PROGRAM_NAME_MAX} of a-z, 0-9, - and _")),
    });
    let mut path = |key| section.parsed::<PathBuf>(key).map(|path| base.join(path));
    let (program, probe_input, probe_output) =
        (path("program"), path("probe_input"), path("probe_output"));
    let arguments = section.list("arguments", |text| Ok::<_, String>(text.to_owned()));
    let environment = section.list("environment", |entry| match entry.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{entry:?} is not NAME=VALUE")),
    });
    let memory = section.integer("memory_mib", 1..=MEMORY_MIB_MAX, 1);
    let milli_cpu = section.integer("milli_cpu", 1..=MILLI_CPU_MAX, MILLI_CPU);
    let gpu_memory = section.integer("gpu_memory_mib", 0..=budget_mib, 0);
    let fallback = section.parsed("fallback");
    section.finish();
    let name = name?;
    names.insert(name.clone());
    Some(ProgramConfig {
        name,
        program: program?,
        arguments,
        environment,
        // All are in range, or a problem is noted and nothing starts.
        memory_mib: u32::try_from(memory).ok()?,
        milli_cpu: u32::try_from(milli_cpu).ok()?,
        gpu_memory_mib: u32::try_from(gpu_memory).ok()?,
        probe_input: probe_input?,
        probe_output: probe_output?,
        fallback,
    })
}
