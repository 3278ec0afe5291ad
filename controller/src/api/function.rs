//! Functions: the modules that were pushed.

use serde::{Deserialize, Serialize};
use types::FunctionId;

/// `GET /api/v1/functions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionList {
    /// By name.
    pub functions: Vec<FunctionInfo>,
}

/// `POST /api/v1/functions/{name}` with the component as body answers this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Its name.
    pub name: FunctionId,
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
    /// Size of the component.
    pub bytes: u64,
    /// What the component imports.
    pub imports: Vec<String>,
    /// Workflows that use it.
    pub workflows: Vec<String>,
}
