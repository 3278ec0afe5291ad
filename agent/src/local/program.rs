//! One call of a function that is a model or kernel, here: as on a node there is no guest, and so no engine and no runner.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::module::MODULE_BYTES_MAX;
use runtime::{HostFault, thread_cpu_time};
use sha2::{Digest as _, Sha256};
use types::ExecutionMode;

use super::{DEADLINE, FAILURE, FAULT, LocalRun, REFUSED, RunError, TRAP, read, told};
use crate::config::InferenceConfig;
use crate::exec::inference::{Models, Program, Ran};

/// Answers a call with this body, and says what it cost.
pub(super) fn call(asked: &LocalRun, body: Vec<u8>) -> Result<Vec<u8>, RunError> {
    let models = Models::start(&InferenceConfig::default(), |_news| ());
    let models = models.map_err(|error| RunError::new(FAILURE, told::chain(&error)))?;
    let program = program(asked, &models)?;
    let mode = if asked.gpu { ExecutionMode::Gpu } else { ExecutionMode::GpuPreferred };
    let deadline = Instant::now() + Duration::from_millis(u64::from(asked.deadline_ms));
    let before = thread_cpu_time();
    let ran = models.execute(&program, &[body], mode, deadline);
    let cpu = thread_cpu_time().saturating_sub(before);
    match ran {
        Ok(ran) => {
            usage(asked, &ran, cpu);
            Ok(ran.body)
        }
        Err(fault) => {
            told::line(&format!("{}: did not answer", asked.name));
            Err(failed(&fault))
        }
    }
}

fn program(asked: &LocalRun, models: &Models) -> Result<Program, RunError> {
    let refused =
        |reason: String| RunError::new(REFUSED, format!("a node would refuse it: {reason}"));
    match (&asked.onnx, &asked.runs) {
        (Some(file), _) => model(asked, models, file)?.map_err(refused),
        (None, name) => models.named(name.as_deref().unwrap_or_default()).map_err(refused),
    }
}

fn model(
    asked: &LocalRun,
    models: &Models,
    file: &Path,
) -> Result<Result<Program, String>, RunError> {
    let bytes = read(file, (u64::from(MODULE_BYTES_MAX), REFUSED))?;
    let opened = File::open(file).map_err(|error| {
        RunError::new(FAILURE, format!("{} cannot be read: {error}", file.display()))
    })?;
    Ok(models.model(&asked.name, opened, Sha256::digest(&bytes).into()))
}

fn usage(asked: &LocalRun, ran: &Ran, cpu: Duration) {
    let Ran { body, device, queue, load, run, .. } = ran;
    let time = |time: Duration| told::time(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let load = time(load.unwrap_or_default());
    told::line(&format!("{}: answered {} bytes", asked.name, body.len()));
    told::line(&format!(
        "  time     load {load}, wait {}, run {}, processor {}",
        time(*queue),
        time(*run),
        time(cpu)
    ));
    told::line(&format!("  on       {device}"));
}

/// Why there is no answer, with the codes of a component that meets the same.
fn failed(fault: &HostFault) -> RunError {
    match fault {
        HostFault::Deadline => RunError::new(DEADLINE, "it was stopped at its deadline"),
        HostFault::TooLarge => {
            RunError::new(TRAP, "it needs more memory than a back end has, or answers too much")
        }
        HostFault::Busy => RunError::new(FAILURE, "no back end has room: try again"),
        HostFault::BadInput(text) => RunError::new(FAULT, format!("bad input: {text}")),
        HostFault::Internal(text) => RunError::new(FAULT, text.clone()),
        HostFault::NotFound | HostFault::Denied | HostFault::Conflict(_) => {
            RunError::new(FAULT, "the node has it no more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_call_has_its_code() {
        for (fault, code) in [
            (HostFault::Deadline, DEADLINE),
            (HostFault::TooLarge, TRAP),
            (HostFault::Busy, FAILURE),
            (HostFault::BadInput("x".to_owned()), FAULT),
            (HostFault::Internal("x".to_owned()), FAULT),
            (HostFault::NotFound, FAULT),
        ] {
            assert_eq!(failed(&fault).code, code, "{fault:?}");
        }
    }
}
