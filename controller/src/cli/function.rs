//! `starbelt fn`.

use std::path::Path;

use protocol::module::MODULE_BYTES_MAX;
use types::FunctionId;

use super::client::Client;
use super::key::signing_key;
use super::output::{UNKNOWN, table};
use super::{CliError, Format, Printed};
use crate::api::{FunctionInfo, FunctionList};
use crate::deploy::{UPLOAD_TYPE, UploadError, upload};
use crate::exit_code;
use crate::function_file::FunctionFile;

pub(super) fn list(client: &Client, format: Format) -> Result<Printed, CliError> {
    let answer = client.get::<FunctionList>("/functions", &[])?;
    Ok(answer.print(format, |list| {
        let rows: Vec<[String; 6]> = list.functions.iter().map(row).collect();
        table(HEADER, &rows)
    }))
}

/// What is pushed, and with what it is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pushed<'a> {
    pub(super) name: &'a FunctionId,
    pub(super) component: &'a Path,
    pub(super) manifest: &'a Path,
    pub(super) key: Option<&'a str>,
}

pub(super) fn push(
    client: &Client,
    format: Format,
    pushed: Pushed<'_>,
) -> Result<Printed, CliError> {
    let component = component(pushed.component)?;
    let file = pushed.manifest;
    let bad = |reason: String| CliError::new(exit_code::BAD_CONFIG, reason);
    let said = FunctionFile::load(file).map_err(|error| bad(error.to_string()))?;
    if said.function.name != *pushed.name {
        let (named, name) = (&said.function.name, pushed.name);
        return Err(bad(format!("{}: function.name: {named} is not {name}", file.display())));
    }
    let key = signing_key(pushed.key, None)?;
    let body = upload(&said, &component, &key).map_err(|error| match error {
        UploadError::Manifest(error) => bad(format!("{}: {error}", file.display())),
        UploadError::Encode(error) => bad(format!("{}: {error}", file.display())),
    })?;
    let answer = client.post::<FunctionInfo>("/functions", UPLOAD_TYPE, &body)?;
    Ok(answer.print(format, |function| table(HEADER, &[row(function)])))
}

pub(super) fn remove(
    client: &Client,
    format: Format,
    name: &FunctionId,
) -> Result<Printed, CliError> {
    let answer = client.delete::<FunctionInfo>(&format!("/functions/{name}"))?;
    Ok(answer.print(format, |function| table(HEADER, &[row(function)])))
}

fn component(file: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::new(exit_code::FAILURE, format!("{} cannot be read: {error}", file.display()))
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if u64::from(MODULE_BYTES_MAX) < size {
        let rule =
            format!("a function has at most {MODULE_BYTES_MAX}; strip it, or optimise for size");
        let message = format!("{} has {size} bytes, {rule}", file.display());
        return Err(CliError::new(exit_code::FAILURE, message));
    }
    std::fs::read(file).map_err(unreadable)
}

const HEADER: [&str; 6] = ["FUNCTION", "VERSION", "SIGNED BY", "BYTES", "SHA-256", "USED BY"];

fn row(function: &FunctionInfo) -> [String; 6] {
    let users = &function.workflows;
    let revoked = if function.trusted { "" } else { " (revoked)" };
    [
        function.name.to_string(),
        function.version.to_string(),
        format!("{}{revoked}", function.key),
        function.bytes.to_string(),
        function.sha256.chars().take(16).collect(),
        if users.is_empty() { UNKNOWN.to_owned() } else { users.join(", ") },
    ]
}
