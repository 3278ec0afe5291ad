//! What outlives the process.

use std::collections::BTreeMap;

use placement::Workflow;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{FunctionId, WorkflowId};

use super::{Controller, Deployment};
use crate::hosting::{Hosting, SavedHosting};

/// Everything that a controller leaves to the next one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The workflows.
    pub workflows: Vec<SavedWorkflow>,
    /// The functions.
    pub functions: Vec<SavedFunction>,
    /// Where everything runs.
    pub hosting: SavedHosting,
}

/// A workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedWorkflow {
    /// Itself.
    pub workflow: Workflow,
    /// Whether its runs are being started.
    pub is_driving: bool,
}

/// A function; its bytes lie in a file that is named after their hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFunction {
    /// Its name.
    pub name: FunctionId,
    /// SHA-256 of the component.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub sha256: [u8; 32],
    /// Size of the component.
    pub bytes: u32,
    /// What the component imports.
    pub imports: Vec<String>,
}

impl Saved {
    pub(super) fn unpack(
        self,
    ) -> (BTreeMap<WorkflowId, Deployment>, BTreeMap<FunctionId, SavedFunction>, Hosting) {
        let deployments = self.workflows.into_iter().map(|saved| {
            let name = saved.workflow.id.clone();
            (name, Deployment::new(saved.workflow, saved.is_driving))
        });
        let functions = self.functions.into_iter().map(|f| (f.name.clone(), f));
        (deployments.collect(), functions.collect(), Hosting::restore(self.hosting))
    }
}

impl Controller {
    /// What the next controller has to know.
    pub fn save(&self) -> Saved {
        let workflows = self.deployments.values().map(|deployment| SavedWorkflow {
            workflow: deployment.workflow.clone(),
            is_driving: deployment.is_driving,
        });
        Saved {
            workflows: workflows.collect(),
            functions: self.functions.values().cloned().collect(),
            hosting: self.hosting.save(),
        }
    }
}

/// Bytes as hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Hexadecimal text of 64 digits as bytes.
fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (slot, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *slot = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn write_hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

fn read_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    unhex(&text).ok_or_else(|| serde::de::Error::custom("a SHA-256 has 64 hexadecimal digits"))
}
