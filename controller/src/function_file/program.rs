//! Functions that are no component: a model, or a kernel or native program that the node has itself. What a file may say of them,
//! and what their manifest says.

use std::path::{Component, Path, PathBuf};

use infer::kernel::Kernel;
use infer::onnx::{self, Facts};
use protocol::manifest::{Code, Exec, ExecFacts, KERNEL};
use serde::Deserialize;
use types::ExecutionMode;

use super::{FunctionSection, ManifestError};
use crate::config::{Layers, Problem};
use crate::world;

/// The model of a folder, unless `module` says otherwise.
const MODEL: &str = "model.onnx";

/// What a function consists of, as its author says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Wasm component that `fn build` makes of sources.
    #[default]
    Component,
    /// A model.
    Onnx,
    /// A kernel or native program of the node.
    Named,
}

impl FunctionSection {
    /// What its manifest says that it consists of.
    pub fn code(&self) -> Code {
        match self.kind {
            Kind::Component => Code::Component,
            Kind::Onnx => Code::Onnx,
            Kind::Named => Code::Named(self.runs.clone().unwrap_or_default()),
        }
    }

    /// Where its bytes are in its folder, or would be; `None` for what has none.
    pub fn module(&self) -> Option<PathBuf> {
        match self.kind {
            Kind::Component => Some(PathBuf::from(format!("{}.wasm", self.name))),
            Kind::Onnx => Some(self.module.clone().unwrap_or_else(|| MODEL.into())),
            Kind::Named => None,
        }
    }

    /// What does not fit what it consists of.
    pub(super) fn problems_of_kind(&self, layers: &Layers) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |section: &str, key: &str, rule: String| {
            problems.push(layers.problem(section, 0, key, rule));
        };
        match (self.kind, &self.module) {
            (Kind::Onnx, Some(module)) if !is_within(module) => {
                say("function", "module", format!("{} leads out of the folder", module.display()));
            }
            (Kind::Component, Some(_)) => {
                let rule = "only a model is a file by itself (kind = \"onnx\"); `fn build` makes the component";
                say("function", "module", rule.to_owned());
            }
            (Kind::Named, Some(_)) => {
                say("function", "module", "what a node has itself has no file here".to_owned());
            }
            _ => {}
        }
        match (self.kind, &self.runs) {
            (Kind::Named, None) => {
                let rule = "is missing: the kernel or native program, like \"kernel/matmul\"";
                say("function", "runs", rule.to_owned());
            }
            (Kind::Named, Some(_)) => {
                if let Err(rule) = checked(&self.code()) {
                    say("function", "runs", rule);
                }
            }
            (_, Some(runs)) => {
                let rule = format!("{runs:?} is of the node itself: it needs kind = \"named\"");
                say("function", "runs", rule);
            }
            (_, None) => {}
        }
        if self.kind == Kind::Component {
            self.missing_of_component(&mut say);
        } else {
            self.only_of_components(&mut say);
        }
        problems
    }

    fn missing_of_component(&self, say: &mut impl FnMut(&str, &str, String)) {
        if self.world.is_none() {
            let rule = format!("is missing: the contract of a component, like {:?}", world::NAME);
            say("function", "world", rule);
        }
        if self.limits.linear_memory_mib.is_none() {
            let rule = "is missing: the most memory of one call of a component, in MiB";
            say("function.limits", "linear_memory_mib", rule.to_owned());
        }
    }

    /// What would be without effect: nobody is to believe that it holds.
    fn only_of_components(&self, say: &mut impl FnMut(&str, &str, String)) {
        let grants = &self.grants;
        let kind = if self.kind == Kind::Onnx { "a model" } else { "a kernel or native program" };
        for (is_there, section, key, why) in [
            (self.world.is_some(), "function", "world", "knows no contract"),
            (
                self.limits.linear_memory_mib.is_some(),
                "function.limits",
                "linear_memory_mib",
                "has no linear memory",
            ),
            (
                !grants.state_prefixes.is_empty(),
                "function.grants",
                "state_prefixes",
                "has no state",
            ),
            (!grants.topics.is_empty(), "function.grants", "topics", "emits nothing"),
            (!grants.models.is_empty(), "function.grants", "models", "runs no other models"),
            (!grants.calls.is_empty(), "function.grants", "calls", "calls nothing"),
            (self.warm.is_some(), "function.warm", "idle_ms", "has no instance to keep"),
            (self.sharing.fuse, "function.sharing", "fuse", "has no store to share"),
            (self.budget.calls.is_some(), "function.budget", "calls", "calls nothing"),
        ] {
            if is_there {
                say(section, key, format!("{kind} {why}: leave it out"));
            }
        }
    }
}

/// Whether a path stays in the folder of the function.
fn is_within(path: &Path) -> bool {
    path.file_name().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Checks a name of what nodes have: kernels are the same on all of this version, native programs are installed on each.
fn checked(code: &Code) -> Result<(), String> {
    code.validate().map_err(str::to_owned)?;
    let Code::Named(name) = code else { return Ok(()) };
    if name.starts_with(KERNEL) && Kernel::named(name).is_none() {
        let known: Vec<_> = Kernel::ALL.into_iter().map(Kernel::name).collect();
        return Err(format!("{name:?} is no kernel; there are {}", known.join(", ")));
    }
    Ok(())
}

/// Checks what is not a component, as a node does before it runs it: `bytes` is all that travels of it.
///
/// # Errors
/// [`ManifestError`] with the reason against it; also for a component, which is checked elsewhere.
pub fn check(code: &Code, bytes: &[u8]) -> Result<Option<Facts>, ManifestError> {
    match code {
        Code::Onnx => Ok(Some(onnx::check(bytes)?)),
        Code::Named(_) if !bytes.is_empty() => Err(ManifestError::Rule(
            "what a node has itself comes without bytes: leave the file out",
        )),
        code => checked(code).map(|()| None).map_err(ManifestError::Named),
    }
}

/// How it executes: on a graphics processor first, for that is what such code is made for; `infer` takes the processor where there is none.
pub(super) fn identified(facts: Option<&Facts>) -> Exec {
    let (reason, facts) = match facts {
        None => ("a kernel or program of the node".to_owned(), ExecFacts::default()),
        Some(Facts { macs, weight_bytes, .. }) => (
            format!("a model of {macs} multiply-accumulates and {weight_bytes} bytes of weights"),
            ExecFacts {
                weighted_flops: macs.saturating_mul(2),
                data_bytes: *weight_bytes,
                ..ExecFacts::default()
            },
        ),
    };
    Exec {
        chosen: None,
        identified: ExecutionMode::GpuPreferred,
        reason: format!("{reason}: a graphics processor first, else the processor"),
        facts,
        switch: protocol::manifest::Switch::default(),
    }
}
