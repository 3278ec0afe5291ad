//! `starbelt fn build` of what is not built: a model is checked, and so is what the node should have itself.

use std::fs;
use std::path::{Path, PathBuf};

use infer::kernel::Kernel;
use infer::onnx::{Facts, Port};
use protocol::module::MODULE_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use super::build::UNSIGNED;
use super::{Folder, MANIFEST};
use crate::cli::output::fields;
use crate::cli::{CliError, Format, Printed};
use crate::exit_code;
use crate::function_file::check_program;
use crate::hex::hex;

/// Checks it as a node does, and says what it takes and gives.
pub(super) fn check(format: Format, folder: &Folder, dir: &Path) -> Result<Printed, CliError> {
    let said = &folder.manifest.function;
    let refused = |reason: String| {
        let message = format!("a node would refuse {}: {reason}", said.name);
        CliError::new(exit_code::REFUSED, message)
    };
    let file = folder.built(dir)?;
    let bytes = file.as_deref().map_or_else(|| Ok(Vec::new()), read)?;
    let facts = check_program(&said.code(), &bytes);
    let facts = facts.map_err(|error| refused(error.to_string()))?;
    let made = folder.manifest.manifest(&bytes, UNSIGNED).map(|_manifest| ());
    made.map_err(|error| refused(error.to_string()))?;
    Ok(match (file, facts) {
        (Some(file), Some(facts)) => model(format, folder, (&file, &bytes), &facts),
        _ => named(format, folder),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::new(exit_code::FAILURE, format!("{} cannot be read: {error}", file.display()))
    };
    let size = fs::metadata(file).map_err(unreadable)?.len();
    if u64::from(MODULE_BYTES_MAX) < size {
        let rule = format!(
            "as a function it has at most {MODULE_BYTES_MAX}; quantise it, or let a component run it from the folder of models of a node"
        );
        let message = format!("{} has {size} bytes, {rule}", file.display());
        return Err(CliError::new(exit_code::REFUSED, message));
    }
    fs::read(file).map_err(unreadable)
}

fn model(
    format: Format,
    folder: &Folder,
    (file, bytes): (&PathBuf, &[u8]),
    facts: &Facts,
) -> Printed {
    let said = &folder.manifest.function;
    let sha256 = hex(&Sha256::digest(bytes));
    if format == Format::Json {
        let port = |port: &Port| serde_json::json!({ "name": port.name, "dims": port.dims, "kind": port.kind.name() });
        let ports = |all: &[Port]| all.iter().map(port).collect::<Vec<_>>();
        let made = serde_json::json!({
            "name": said.name, "model": file, "bytes": bytes.len(), "sha256": sha256,
            "inputs": ports(&facts.inputs), "outputs": ports(&facts.outputs),
            "weight_bytes": facts.weight_bytes, "value_bytes": facts.value_bytes, "macs": facts.macs,
        });
        return format!("{made}\n").into();
    }
    let port = |port: &Port| format!("{} {} {:?}", port.name, port.kind, port.dims);
    let ports = |all: &[Port]| all.iter().map(port).collect::<Vec<_>>().join(", ");
    fields(&[
        ("function", format!("{}, version {}", said.name, said.version)),
        ("model", file.display().to_string()),
        ("size", format!("{} bytes, of them {} of weights", bytes.len(), facts.weight_bytes)),
        ("inputs", ports(&facts.inputs)),
        ("outputs", ports(&facts.outputs)),
        (
            "work",
            format!("{} multiply-accumulates, {} bytes of values", facts.macs, facts.value_bytes),
        ),
        ("sha-256", sha256),
    ])
    .into()
}

fn named(format: Format, folder: &Folder) -> Printed {
    let said = &folder.manifest.function;
    let name = said.runs.clone().unwrap_or_default();
    let kernel = Kernel::named(&name);
    if format == Format::Json {
        let made = serde_json::json!({
            "name": said.name, "runs": name,
            "inputs": kernel.map(Kernel::inputs), "output": kernel.map(Kernel::output),
        });
        return format!("{made}\n").into();
    }
    let mut rows = vec![
        ("function", format!("{}, version {}", said.name, said.version)),
        ("runs", format!("{name}, which the node has: {MANIFEST} is all that is deployed")),
    ];
    if let Some(kernel) = kernel {
        rows.push(("inputs", kernel.inputs().join(", ")));
        rows.push(("output", kernel.output().to_owned()));
    }
    fields(&rows).into()
}
