//! `starbelt fn`.

use std::path::{Path, PathBuf};

use clap::Args;
use protocol::module::MODULE_BYTES_MAX;
use types::FunctionId;

use super::client::Client;
use super::folder::{Folder, MANIFEST};
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
#[derive(Debug, Args)]
pub(super) struct Push {
    /// The folder of the function; with a component, its name.
    #[arg(default_value = ".", value_name = "DIR|NAME")]
    what: PathBuf,
    /// The component, if it is not the one that `fn build` made in the folder.
    component: Option<PathBuf>,
    /// Its function.toml, which becomes the manifest that is signed, if that is not beside the component; checked together with
    /// the component before anything is sent.
    #[arg(long, value_name = "FILE", requires = "component")]
    manifest: Option<PathBuf>,
    /// The key to sign with: a file, or the name of a key that `key new` made; without it the only one there is.
    #[arg(long, value_name = "FILE|NAME")]
    key: Option<String>,
}

pub(super) fn push(client: &Client, format: Format, asked: &Push) -> Result<Printed, CliError> {
    let Pushed { component, said, file } = match &asked.component {
        None => folder(&asked.what)?,
        Some(component) => component_and_manifest(component, asked)?,
    };
    let component = component.map_or_else(|| Ok(Vec::new()), |file| read_component(&file))?;
    let bad = |reason: String| CliError::new(exit_code::BAD_CONFIG, reason);
    let key = signing_key(asked.key.as_deref(), None)?;
    let body = upload(&said, &component, &key).map_err(|error| match error {
        UploadError::Manifest(error) => bad(format!("{}: {error}", file.display())),
        UploadError::Encode(error) => bad(format!("{}: {error}", file.display())),
    })?;
    let answer = client.post::<FunctionInfo>("/functions", UPLOAD_TYPE, &body)?;
    Ok(answer.print(format, |function| table(HEADER, &[row(function)])))
}

/// What goes out, and the file that says what it is.
#[derive(Debug)]
struct Pushed {
    /// A component or a model; `None`: nodes have the code.
    component: Option<PathBuf>,
    said: FunctionFile,
    file: PathBuf,
}

/// What `fn build` made in a folder.
fn folder(dir: &Path) -> Result<Pushed, CliError> {
    let folder = Folder::open(dir)?;
    let component = folder.built(dir)?;
    let file = dir.join(MANIFEST);
    Ok(Pushed { component, said: folder.manifest, file })
}

fn component_and_manifest(component: &Path, asked: &Push) -> Result<Pushed, CliError> {
    let beside = || component.parent().unwrap_or_else(|| Path::new("")).join(MANIFEST);
    let file = asked.manifest.clone().unwrap_or_else(beside);
    let bad = |reason: String| CliError::new(exit_code::BAD_CONFIG, reason);
    let said = FunctionFile::load(&file).map_err(|error| bad(error.to_string()))?;
    let (named, name) = (&said.function.name, asked.what.display());
    if Path::new(named.as_str()) != asked.what {
        return Err(bad(format!("{}: function.name: {named} is not {name}", file.display())));
    }
    Ok(Pushed { component: Some(component.to_owned()), said, file })
}

pub(super) fn remove(
    client: &Client,
    format: Format,
    name: &FunctionId,
) -> Result<Printed, CliError> {
    let answer = client.delete::<FunctionInfo>(&format!("/functions/{name}"))?;
    Ok(answer.print(format, |function| table(HEADER, &[row(function)])))
}

fn read_component(file: &Path) -> Result<Vec<u8>, CliError> {
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
