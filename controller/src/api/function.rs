//! Functions: what was pushed.

use protocol::signed::KeyId;
use serde::{Deserialize, Serialize};
use types::{FunctionId, TenantId};

/// `GET /api/v1/functions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionList {
    /// By name.
    pub functions: Vec<FunctionInfo>,
}

/// A function. Answers `POST /api/v1/functions` with a body of type `application/vnd.starbelt.function` (4 bytes: the
/// length of the signed manifest, the highest first; the frame of the signed manifest; the component), and
/// `DELETE /api/v1/functions/{name}`, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Its name.
    pub name: FunctionId,
    /// Its version.
    pub version: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Who signed it.
    pub key: KeyId,
    /// Whether that key is trusted now; without that nodes do not run it.
    pub trusted: bool,
    /// SHA-256 of the component or model, hexadecimal; that of nothing where nodes have the code.
    pub sha256: String,
    /// SHA-256 of the signed manifest, hexadecimal.
    pub manifest_sha256: String,
    /// Size of the component or model.
    pub bytes: u64,
    /// What the component imports.
    pub imports: Vec<String>,
    /// What it consists of: `component`, `onnx`, or the name of a kernel or native program that nodes have.
    pub code: String,
    /// Workflows that use it.
    pub workflows: Vec<String>,
}
