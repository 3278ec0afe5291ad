//! `function.toml`: what the author of a function says about it. Read and checked completely, and with the component
//! turned into the manifest that is signed.

mod check;
mod program;
mod section;
mod slots;

use std::path::{Path, PathBuf};

use accel::{InspectError, ScanLimits};
use protocol::Message as _;
use protocol::manifest::slots::Preference;
use protocol::manifest::{Code, Exec, Limits, Manifest, NO_WORLD, default_tenant};
use protocol::signed::KeyId;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use types::{FunctionId, MiB, TenantId};

use crate::config::{ConfigError, Layers};
use crate::world;

pub use self::program::{Kind, check as check_program};
pub use self::section::{
    CapabilitySection, ExecSection, GrantsSection, LimitsSection, ModeChoice, ProbeSection,
    ProfileSection, SloSection, ValiditySection,
};
pub use self::slots::{
    BudgetSection, DataSection, DeviceSection, FailureSection, NeedsSection, PayloadSection,
    SharingSection, TriggerSection, VariantSection, WarmSection,
};

/// A `function.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionFile {
    /// All of it.
    pub function: FunctionSection,
}

/// `[function]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// Its name.
    pub name: FunctionId,
    /// Rises with each release, from 1.
    pub version: u64,
    /// What it consists of.
    #[serde(default)]
    pub kind: Kind,
    /// The file of a model in its folder; absent: `model.onnx`.
    pub module: Option<PathBuf>,
    /// The kernel or native program of the node that it runs.
    pub runs: Option<String>,
    /// The contract that a component is built against.
    pub world: Option<String>,
    /// Whose it is.
    #[serde(default = "default_tenant")]
    pub tenant: TenantId,
    /// When it may be loaded.
    #[serde(default)]
    pub validity: ValiditySection,
    /// Limits of one call.
    pub limits: LimitsSection,
    /// What it may use.
    #[serde(default)]
    pub grants: GrantsSection,
    /// How it executes.
    #[serde(default)]
    pub exec: ExecSection,
    /// What its calls must keep to.
    pub slo: Option<SloSection>,
    /// What it can do.
    pub capability: Option<CapabilitySection>,
    /// Resource profiles to choose from.
    #[serde(default)]
    pub profile: Vec<ProfileSection>,
    /// Other builds of it.
    #[serde(default)]
    pub variant: Vec<VariantSection>,
    /// What starts it.
    #[serde(default)]
    pub trigger: Vec<TriggerSection>,
    /// What its node must have.
    #[serde(default)]
    pub needs: NeedsSection,
    /// What a request looks like.
    pub input: Option<PayloadSection>,
    /// What an answer looks like.
    pub output: Option<PayloadSection>,
    /// What to do when it fails.
    #[serde(default)]
    pub failure: FailureSection,
    /// What a call and all that it causes may use up.
    #[serde(default)]
    pub budget: BudgetSection,
    /// What counts where several nodes will do, the most important first.
    #[serde(default)]
    pub prefer: Vec<Preference>,
    /// How its data are to be handled.
    #[serde(default)]
    pub data: DataSection,
    /// With whom it has to do beyond its own tenant and its own memory.
    #[serde(default)]
    pub sharing: SharingSection,
    /// How its instances are kept between calls; absent: each call has a new one.
    pub warm: Option<WarmSection>,
}

/// Why file and code make no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The component is refused.
    #[error(transparent)]
    Component(#[from] InspectError),
    /// The model is refused.
    #[error("the model is refused: {0}")]
    Model(#[from] infer::onnx::Reject),
    /// The node will not have what is named.
    #[error("{0}")]
    Named(String),
    /// It was said to be a stateful function, and is none.
    #[error(
        "the component does not export {}, which functions of world {} do; say world = {:?} or build it for the other",
        accel::contract::LIFECYCLE,
        world::STATEFUL,
        world::NAME
    )]
    NoLifecycle,
    /// A rule of manifests is broken.
    #[error("the manifest is not valid: {0}")]
    Rule(&'static str),
}

impl FunctionFile {
    /// Reads a file and checks it completely.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, field and rule of everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let layers = Layers::read(path, std::iter::empty())?;
        let file: Self = layers.decode()?;
        let problems = check::problems(&file.function, &layers);
        if problems.is_empty() { Ok(file) } else { Err(ConfigError(problems)) }
    }

    /// The manifest for this component or model, or for nothing where the node has the code; to be signed with the key of that id.
    ///
    /// # Errors
    /// [`ManifestError`] for code that is refused, or more than a manifest holds.
    pub fn manifest(&self, bytes: &[u8], key: KeyId) -> Result<Manifest, ManifestError> {
        let said = &self.function;
        let code = said.code();
        let (exec, world) = match code {
            Code::Component => (said.exec.with(self.identified(bytes)?), world::hash()),
            _ => {
                let facts = program::check(&code, bytes)?;
                (said.exec.with(program::identified(facts.as_ref())), NO_WORLD)
            }
        };
        let manifest = Manifest {
            name: said.name.clone(),
            version: said.version,
            sha256: Sha256::digest(bytes).into(),
            world,
            tenant: said.tenant.clone(),
            key,
            not_before: said.validity.not_before,
            not_after: said.validity.not_after,
            limits: Limits {
                linear_memory_mib: MiB(said.limits.linear_memory_mib.unwrap_or_default()),
                deadline_ms: said.limits.deadline_ms,
            },
            grants: said.grants.grants(),
            exec,
            slo: said.slo.map(SloSection::slo),
            capability: said.capability.as_ref().map(CapabilitySection::capability),
            variants: said.variant.iter().map(VariantSection::variant).collect(),
            profiles: said.profile.iter().map(ProfileSection::profile).collect(),
            triggers: said.trigger.iter().filter_map(TriggerSection::trigger).collect(),
            needs: said.needs.needs(),
            input: said.input.as_ref().map(PayloadSection::payload),
            output: said.output.as_ref().map(PayloadSection::payload),
            failure: said.failure.policy(),
            budgets: said.budget.budgets(),
            preferences: said.prefer.clone(),
            data: said.data.policy(),
            sharing: said.sharing.sharing(),
            warm: said.warm.map(WarmSection::warm),
            code,
        };
        manifest.validate().map_err(ManifestError::Rule)?;
        Ok(manifest)
    }

    /// How a component executes, as it looks.
    fn identified(&self, component: &[u8]) -> Result<Exec, ManifestError> {
        let facts = accel::inspect(component, &ScanLimits::default())?;
        let is_stateful = self.function.world.as_deref() == Some(world::STATEFUL);
        if is_stateful && !facts.exports.contains(accel::contract::LIFECYCLE) {
            return Err(ManifestError::NoLifecycle);
        }
        Ok(section::identified(&facts))
    }
}
