//! `starbelt fn`.

use std::path::Path;

use protocol::module::MODULE_BYTES_MAX;
use types::FunctionId;

use super::client::Client;
use super::output::{UNKNOWN, table};
use super::{CliError, Format, Printed};
use crate::api::{FunctionInfo, FunctionList};
use crate::exit_code;
use crate::function_file::FunctionFile;

pub(super) fn list(client: &Client, format: Format) -> Result<Printed, CliError> {
    let answer = client.get::<FunctionList>("/functions", &[])?;
    Ok(answer.print(format, |list| {
        let rows: Vec<[String; 4]> = list.functions.iter().map(row).collect();
        table(HEADER, &rows)
    }))
}

pub(super) fn push(
    client: &Client,
    format: Format,
    name: &FunctionId,
    (file, manifest): (&Path, Option<&Path>),
) -> Result<Printed, CliError> {
    let bytes = std::fs::read(file).map_err(|error| {
        let message = format!("{} cannot be read: {error}", file.display());
        CliError::new(exit_code::FAILURE, message)
    })?;
    if u32::try_from(bytes.len()).map_or(true, |size| MODULE_BYTES_MAX < size) {
        let message = format!(
            "{} has {} bytes, a function has at most {MODULE_BYTES_MAX}; strip it, or optimise for size",
            file.display(),
            bytes.len()
        );
        return Err(CliError::new(exit_code::FAILURE, message));
    }
    if let Some(manifest) = manifest {
        check(name, &bytes, manifest)?;
    }
    let answer =
        client.post::<FunctionInfo>(&format!("/functions/{name}"), "application/wasm", &bytes)?;
    Ok(answer.print(format, |function| table(HEADER, &[row(function)])))
}

/// Checks what the author says about a function, together with its component.
fn check(name: &FunctionId, component: &[u8], file: &Path) -> Result<(), CliError> {
    let bad = |reason: String| CliError::new(exit_code::BAD_CONFIG, reason);
    let said = FunctionFile::load(file).map_err(|error| bad(error.to_string()))?;
    if said.function.name != *name {
        let rule =
            format!("{}: function.name: {} is not {name}", file.display(), said.function.name);
        return Err(bad(rule));
    }
    let made = said.manifest(component).map(|_manifest| ());
    made.map_err(|error| bad(format!("{}: {error}", file.display())))
}

const HEADER: [&str; 4] = ["FUNCTION", "BYTES", "SHA-256", "USED BY"];

fn row(function: &FunctionInfo) -> [String; 4] {
    let users = &function.workflows;
    [
        function.name.to_string(),
        function.bytes.to_string(),
        function.sha256.chars().take(16).collect(),
        if users.is_empty() { UNKNOWN.to_owned() } else { users.join(", ") },
    ]
}
