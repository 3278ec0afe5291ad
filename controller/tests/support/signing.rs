//! Functions that are signed.

use controller::api::TrustRequest;
use controller::deploy;
use controller::function_file::FunctionFile;
use controller::keys::SigningKey;
use protocol::manifest::Manifest;
use types::KeyName;

use super::component;

/// A key that nobody trusts yet.
pub(crate) fn key() -> SigningKey {
    SigningKey::draw(KeyName::new("test").expect("a name")).expect("randomness")
}

/// The body that makes a key trusted.
pub(crate) fn trust_body(key: &SigningKey) -> Vec<u8> {
    let public_key = key.public().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = TrustRequest { name: key.name().clone(), public_key };
    serde_json::to_vec(&request).expect("JSON")
}

/// The text of a `function.toml`.
pub(crate) fn function_toml(name: &str, version: u64) -> String {
    format!(
        "[function]\nname = \"{name}\"\nversion = {version}\nworld = \"{}\"\n\
         limits = {{ linear_memory_mib = 8, deadline_ms = 1000 }}\n",
        controller::world::NAME
    )
}

/// What its author says about a function.
pub(crate) fn said(name: &str, version: u64) -> FunctionFile {
    toml::from_str(&function_toml(name, version)).expect("a good file")
}

/// The manifest of [`component`] with that salt, to be signed with `key`.
pub(crate) fn manifest(name: &str, version: u64, salt: u8, key: &SigningKey) -> Manifest {
    said(name, version).manifest(&component(salt), key.id()).expect("a manifest")
}

/// The body of an upload of [`component`] with that salt.
pub(crate) fn upload(name: &str, version: u64, salt: u8, key: &SigningKey) -> Vec<u8> {
    deploy::upload(&said(name, version), &component(salt), key).expect("an upload")
}
