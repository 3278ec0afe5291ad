//! Native programs as back ends: their files are read, their processes confined.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use infer::backend::Backend;
use infer::native::{Config, JOB_BYTES_MAX, Native};
use infer::{Tensor, safetensors};
use runtime::{GroupLimits, MeasureState, join_group};

use super::ModelsError;
use crate::config::ProgramConfig;
use crate::exec::processes::NATIVE_VERB;

/// Processes and threads of a program: libraries of graphics processors start some tens.
const PIDS_MAX: u32 = 256;

/// All of them, started by the agent in this file.
///
/// # Errors
/// [`ModelsError::Program`] where a file cannot be used.
pub(super) fn back_ends(
    agent: &Path,
    programs: &[ProgramConfig],
) -> Result<Vec<Arc<dyn Backend>>, ModelsError> {
    let back_end = |program: &ProgramConfig| {
        let native = native(agent, program);
        let refused = |reason| ModelsError::Program { name: program.name.clone(), reason };
        native.map(|native| Arc::new(native) as Arc<dyn Backend>).map_err(refused)
    };
    programs.iter().map(back_end).collect()
}

fn native(agent: &Path, config: &ProgramConfig) -> Result<Native, String> {
    // It runs in another folder.
    let program = std::path::absolute(&config.program).map_err(|error| error.to_string())?;
    if !program.is_file() {
        return Err(format!("program {} is no file", program.display()));
    }
    let limits = GroupLimits {
        memory_mib: u64::from(config.memory_mib),
        milli_cpu: config.milli_cpu,
        pids: PIDS_MAX,
    };
    let group = format!("native-{}", config.name);
    let confine = move |process| {
        let measure = join_group(Some(process), &group, limits);
        match measure.state {
            MeasureState::InForce(_) => format!("memory {} MiB by cgroup", limits.memory_mib),
            MeasureState::Missing { why, .. } => format!("no cgroup ({why})"),
        }
    };
    let environment = config.environment.iter().map(|(key, value)| (key.into(), value.into()));
    Native::new(Config {
        name: config.name.clone(),
        launcher: (agent.to_owned(), vec![NATIVE_VERB.into()]),
        program,
        arguments: config.arguments.iter().map(Into::into).collect(),
        environment: environment.collect(),
        gpu_memory_bytes: u64::from(config.gpu_memory_mib) << 20,
        probe_input: tensors(&config.probe_input)?,
        probe_output: tensors(&config.probe_output)?,
        fallback: config.fallback.clone(),
        confine: Arc::new(confine),
    })
    .map_err(|error| error.to_string())
}

fn tensors(file: &Path) -> Result<Vec<Tensor>, String> {
    let shown = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut bytes = Vec::new();
    let most = JOB_BYTES_MAX as u64;
    let read = File::open(file).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| shown(&error))?;
    if JOB_BYTES_MAX < bytes.len() {
        return Err(shown(&format_args!("more than {most} bytes, as many as a job may have")));
    }
    let tensors = safetensors::decode(&bytes).map_err(|error| shown(&error))?;
    match tensors.is_empty() {
        true => Err(shown(&"no tensors: an example without them proves nothing")),
        false => Ok(tensors),
    }
}
