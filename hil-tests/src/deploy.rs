//! Pushes the functions of a workflow as a platform engineer would: with a key of the bed's own, which the fleet trusts.

use std::path::{Path, PathBuf};

use controller::api;
use controller::config::ConfigError;
use controller::deploy::{UPLOAD_TYPE, UploadError, upload};
use controller::function_file::FunctionFile;
use controller::keys::{KeyError, SigningKey};
use placement::Workflow;
use types::KeyName;

use crate::client::{Api, ClientError};

/// Why functions were not pushed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The controller refused or vanished.
    #[error("the controller's API: {0}")]
    Api(#[from] ClientError),
    /// The key cannot be made or kept.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A `function.toml` is malformed.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A function cannot be signed.
    #[error("function {name}: {source}")]
    Upload {
        /// Which.
        name: String,
        /// Why.
        source: UploadError,
    },
    /// A file cannot be read, or there is no randomness.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Makes a key in `dir/keys`, has it trusted, and pushes every function of a workflow; answers what the controller says.
///
/// # Errors
/// [`DeployError`] with the first that fails.
///
/// # Panics
/// Never: the name of the key is one.
pub fn push_functions(
    api: &Api,
    dir: &Path,
    workflow: &Workflow,
) -> Result<Vec<api::FunctionInfo>, DeployError> {
    let io = |what: String| move |source| DeployError::Io { what, source };
    let name = KeyName::new("bed").expect("a name");
    let key = SigningKey::draw(name).map_err(io("drawing a key".to_owned()))?;
    key.save(&dir.join("keys"))?;
    let public_key = key.public().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = api::TrustRequest { name: key.name().clone(), public_key };
    let body = serde_json::to_vec(&request)
        .map_err(|error| io("writing the key".to_owned())(error.into()))?;
    let _trusted: api::KeyInfo = api.post("/keys", "application/json", &body)?;
    let mut pushed = Vec::new();
    for task in &workflow.tasks {
        let name = task.function.as_str();
        let path = artifacts::component_path(name);
        let component = std::fs::read(&path).map_err(io(format!("reading {}", path.display())))?;
        let said = FunctionFile::load(&function_file(name))?;
        let body = upload(&said, &component, &key)
            .map_err(|source| DeployError::Upload { name: name.to_owned(), source })?;
        pushed.push(api.post("/functions", UPLOAD_TYPE, &body)?);
    }
    Ok(pushed)
}

/// What the author of an example says about it.
fn function_file(name: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/examples");
    examples.join(name).join("function.toml")
}
