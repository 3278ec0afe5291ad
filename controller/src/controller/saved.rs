//! What outlives the process.

use std::collections::BTreeMap;

use placement::Workflow;
use protocol::manifest::Code;
use protocol::signed::KeyId;
use serde::{Deserialize, Serialize};
use types::{FunctionId, TenantId, WorkflowId};

use super::signers::{Seen, SignerBook};
use super::{Controller, Deployment, SetAside};
use crate::hex::{read_hex, write_hex};
use crate::hosting::{Hosting, SavedHosting};

/// Everything that a controller leaves to the next one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The workflows.
    pub workflows: Vec<SavedWorkflow>,
    /// The functions.
    pub functions: Vec<SavedFunction>,
    /// The highest version of every function that there ever was.
    pub seen: BTreeMap<FunctionId, Seen>,
    /// Whose signatures count.
    pub signers: SignerBook,
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
    /// For whom it was set aside. Not in what a controller kept that set none aside.
    #[serde(default)]
    pub set_aside: Option<SetAside>,
}

/// A function; its code and signed manifest lie in files that are named after their hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFunction {
    /// Its name.
    pub name: FunctionId,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the signed manifest.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub manifest: [u8; 32],
    /// Who signed it.
    pub key: KeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// SHA-256 of the component.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub sha256: [u8; 32],
    /// Size of the component.
    pub bytes: u32,
    /// What the component imports.
    pub imports: Vec<String>,
    /// Functions that its manifest lets it call. Not in what a controller kept that did not tell nodes of them.
    #[serde(default)]
    pub calls: Vec<FunctionId>,
    /// What it consists of. Not in what a controller kept that knew components only.
    #[serde(default)]
    pub code: Code,
}

impl Saved {
    pub(super) fn unpack(
        self,
    ) -> (BTreeMap<WorkflowId, Deployment>, BTreeMap<FunctionId, SavedFunction>, Hosting) {
        let deployments = self.workflows.into_iter().map(|saved| {
            let name = saved.workflow.id.clone();
            let new = Deployment::new(saved.workflow, saved.is_driving);
            (name, Deployment { set_aside: saved.set_aside, ..new })
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
            set_aside: deployment.set_aside.clone(),
        });
        Saved {
            workflows: workflows.collect(),
            functions: self.functions.values().cloned().collect(),
            seen: self.seen.clone(),
            signers: self.signers.clone(),
            hosting: self.hosting.save(),
        }
    }
}
