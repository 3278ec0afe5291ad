//! `starbelt key`: keys on this machine, and whose signatures the fleet takes.

use std::path::{Path, PathBuf};

use protocol::signed::KeyId;
use types::KeyName;

use super::client::Client;
use super::output::{UNKNOWN, table};
use super::{CliError, Format, Printed};
use crate::api::{KeyInfo, KeyList, TrustRequest};
use crate::exit_code;
use crate::hex::{hex, unhex};
use crate::keys::{KeyError, PublicKey, SigningKey, default_dir, key_id, secret_keys};

/// Makes a key on this machine; asks no controller.
pub(super) fn new(format: Format, name: &KeyName, dir: Option<&Path>) -> Result<Printed, CliError> {
    let dir = folder(dir)?;
    let key = SigningKey::draw(name.clone()).map_err(|error| {
        CliError::new(exit_code::FAILURE, format!("no randomness for a key: {error}"))
    })?;
    let file = key.save(&dir).map_err(refused)?;
    let (id, public_key) = (key.id(), hex(&key.public()));
    Ok(match format {
        Format::Json => {
            let made = serde_json::json!({
                "id": id, "name": name, "public_key": public_key, "file": file,
            });
            format!("{made}\n").into()
        }
        Format::Table => format!(
            "key id      {id}\npublic key  {public_key}\nsecret      {file}\n\
             next        starbelt key trust {public}\n",
            file = file.display(),
            public = file.with_extension("pub").display(),
        )
        .into(),
    })
}

pub(super) fn trust(
    client: &Client,
    format: Format,
    key: &str,
    name: Option<&KeyName>,
) -> Result<Printed, CliError> {
    let key = public_key(key, name)?;
    let request = TrustRequest { name: key.name, public_key: hex(&key.key) };
    let body = serde_json::to_vec(&request)
        .map_err(|error| CliError::new(exit_code::FAILURE, error.to_string()))?;
    let answer = client.post::<KeyInfo>("/keys", "application/json", &body)?;
    Ok(answer.print(format, |key| table(HEADER, &[row(key)])))
}

/// A key by its file, or by its digits and a name.
fn public_key(text: &str, name: Option<&KeyName>) -> Result<PublicKey, CliError> {
    let Some(key) = unhex(text) else {
        let mut key = PublicKey::load(Path::new(text)).map_err(refused)?;
        if let Some(name) = name {
            key.name = name.clone();
        }
        return Ok(key);
    };
    // Without a name it is called by its id, which is one.
    let by_id = || KeyName::new(&key_id(&key).to_string()).expect("16 digits are a name");
    Ok(PublicKey { name: name.cloned().unwrap_or_else(by_id), key })
}

pub(super) fn revoke(client: &Client, format: Format, id: KeyId) -> Result<Printed, CliError> {
    let answer = client.post::<KeyInfo>(&format!("/keys/{id}/revoke"), "application/json", &[])?;
    Ok(answer.print(format, |key| {
        let told = table(HEADER, &[row(key)]);
        if key.functions.is_empty() {
            return told;
        }
        let functions = key.functions.join(", ");
        let next = "push again, signed with a trusted key and a higher version";
        format!("{told}nodes stop running {functions}: {next}\n")
    }))
}

pub(super) fn list(client: &Client, format: Format) -> Result<Printed, CliError> {
    let answer = client.get::<KeyList>("/keys", &[])?;
    Ok(answer.print(format, |list| {
        let rows: Vec<[String; 5]> = list.keys.iter().map(row).collect();
        table(HEADER, &rows)
    }))
}

/// The key to sign with: a file, the name of a key in the folder of keys, or the only one that is there.
pub(super) fn signing_key(asked: Option<&str>, dir: Option<&Path>) -> Result<SigningKey, CliError> {
    let file = match asked {
        Some(asked) if is_name(asked) && !Path::new(asked).exists() => {
            named_key(&folder(dir)?, asked)?
        }
        Some(file) => PathBuf::from(file),
        None => only_key(&folder(dir)?)?,
    };
    SigningKey::load(&file).map_err(refused)
}

fn is_name(text: &str) -> bool {
    KeyName::new(text).is_ok()
}

fn named_key(dir: &Path, name: &str) -> Result<PathBuf, CliError> {
    let file = dir.join(format!("{name}.key"));
    if file.exists() {
        return Ok(file);
    }
    let known = secret_keys(dir);
    let known = known.iter().filter_map(|key| key.file_stem()?.to_str()).collect::<Vec<_>>();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let next = format!("make it: starbelt key new {name}, then: starbelt key trust FILE");
    let message = format!("there is no key {name} in {} (there: {known}); {next}", dir.display());
    Err(CliError::new(exit_code::NOT_FOUND, message))
}

fn only_key(dir: &Path) -> Result<PathBuf, CliError> {
    let mut keys = secret_keys(dir);
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (None, _) => {
            let next = "make one: starbelt key new NAME, then: starbelt key trust FILE";
            let message = format!("there is no key to sign with in {}; {next}", dir.display());
            Err(CliError::new(exit_code::NOT_FOUND, message))
        }
        (Some(_), more) => {
            let count = more + 1;
            let message =
                format!("there are {count} keys in {}; choose one with --key", dir.display());
            Err(CliError::new(exit_code::USAGE, message))
        }
    }
}

fn folder(dir: Option<&Path>) -> Result<PathBuf, CliError> {
    dir.map(Path::to_owned).or_else(default_dir).ok_or_else(|| {
        let message = "neither XDG_CONFIG_HOME nor HOME is set; say where keys are with --dir";
        CliError::new(exit_code::USAGE, message)
    })
}

fn refused(error: KeyError) -> CliError {
    let code = match &error {
        KeyError::Disk { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            exit_code::NOT_FOUND
        }
        KeyError::Disk { .. } => exit_code::FAILURE,
        KeyError::Exists { .. } => exit_code::CONFLICT,
        KeyError::Invalid { .. } => exit_code::BAD_CONFIG,
    };
    CliError::new(code, error.to_string())
}

const HEADER: [&str; 5] = ["KEY", "NAME", "STATE", "PUBLIC KEY", "FUNCTIONS"];

fn row(key: &KeyInfo) -> [String; 5] {
    let unknown = || UNKNOWN.to_owned();
    [
        key.id.to_string(),
        key.name.as_ref().map_or_else(unknown, KeyName::to_string),
        if key.revoked { "revoked" } else { "trusted" }.to_owned(),
        key.public_key.clone().unwrap_or_else(unknown),
        if key.functions.is_empty() { unknown() } else { key.functions.join(", ") },
    ]
}
