//! What a function may use and how much, as its signed manifest says. What is not granted is denied.

use std::time::Duration;

use protocol::desired::TaskSpec;
use protocol::manifest::slots::Budgets;
use protocol::manifest::{self, Limits, Manifest};
use runtime::{Budget, HostFault};
use types::{ExecutionMode, FunctionId, MiB, StateKey, TenantId};

/// The rights of a loaded function.
#[derive(Clone, Debug, PartialEq)]
pub struct Grants {
    /// On what its models run.
    pub mode: ExecutionMode,
    /// Whose function it is.
    pub tenant: TenantId,
    budgets: Budgets,
    limits: Limits,
    granted: manifest::Grants,
}

impl Grants {
    /// The rights that a manifest gives.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            mode: manifest.exec.mode(),
            tenant: manifest.tenant.clone(),
            budgets: manifest.budgets,
            limits: manifest.limits,
            granted: manifest.grants.clone(),
        }
    }

    /// Whether it may use a key of its state, by whole segments: `app` grants `app` and `app/x`, not `app2`.
    ///
    /// # Errors
    /// [`HostFault::Denied`].
    pub fn state(&self, key: &StateKey) -> Result<(), HostFault> {
        granted(self.granted.state_prefixes.iter().any(|prefix| key.is_within(prefix)))
    }

    /// Those of some keys that it may use.
    pub fn visible(&self, mut keys: Vec<StateKey>) -> Vec<StateKey> {
        keys.retain(|key| self.state(key).is_ok());
        keys
    }

    /// Whether it may emit on a topic.
    ///
    /// # Errors
    /// [`HostFault::Denied`].
    pub fn topic(&self, topic: &str) -> Result<(), HostFault> {
        granted(self.granted.topics.iter().any(|known| known == topic))
    }

    /// Whether it may run a model.
    ///
    /// # Errors
    /// [`HostFault::Denied`].
    pub fn model(&self, model: &str) -> Result<(), HostFault> {
        granted(self.granted.models.iter().any(|known| known == model))
    }

    /// Whether it may call a function.
    ///
    /// # Errors
    /// [`HostFault::Denied`].
    pub fn call(&self, function: &FunctionId) -> Result<(), HostFault> {
        granted(self.granted.calls.contains(function))
    }

    /// The limits of a call: those of its task, but no more than was signed.
    pub fn bound(&self, spec: &TaskSpec) -> Limits {
        let Limits { linear_memory_mib: MiB(memory_mib), deadline_ms } = self.limits;
        Limits {
            linear_memory_mib: MiB(spec.linear_memory_mib.0.min(memory_mib)),
            deadline_ms: spec.deadline_ms.min(deadline_ms),
        }
    }

    /// What one of its calls and all that this causes may use up: what was signed, or the usual.
    pub fn budget(&self) -> Budget {
        let Budgets { calls, cpu_ms, .. } = self.budgets;
        let cpu = cpu_ms.map(|ms| Duration::from_millis(u64::from(ms)));
        Budget {
            calls: calls.unwrap_or(Budget::USUAL.calls),
            cpu: cpu.unwrap_or(Budget::USUAL.cpu),
        }
    }
}

fn granted(is_granted: bool) -> Result<(), HostFault> {
    if is_granted { Ok(()) } else { Err(HostFault::Denied) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StateKey {
        StateKey::new(text).unwrap()
    }

    fn grants(state: &[&str]) -> Grants {
        let granted = manifest::Grants {
            state_prefixes: state.iter().map(|prefix| key(prefix)).collect(),
            topics: vec!["alerts".to_owned()],
            models: vec!["resnet-18".to_owned()],
            calls: vec![FunctionId::new("prepare-ds").unwrap()],
        };
        let limits = Limits { linear_memory_mib: MiB(32), deadline_ms: 1_000 };
        let (tenant, budgets) = (manifest::default_tenant(), Budgets::default());
        Grants { mode: ExecutionMode::Cpu, tenant, budgets, limits, granted }
    }

    #[test]
    fn a_prefix_grants_whole_segments_only() {
        let grants = grants(&["app", "runs/today"]);
        for good in ["app", "app/x", "app/x/y", "runs/today", "runs/today/1"] {
            assert_eq!(grants.state(&key(good)), Ok(()), "{good}");
        }
        for bad in
            ["app2", "ap", "app.x", "apps/x", "runs", "runs/yesterday", "runs/today2", "x/app"]
        {
            assert_eq!(grants.state(&key(bad)), Err(HostFault::Denied), "{bad}");
        }
        let all = ["app/x", "app2", "runs/today/1", "other"].map(key).to_vec();
        assert_eq!(grants.visible(all), ["app/x", "runs/today/1"].map(key));
    }

    #[test]
    fn what_is_not_listed_is_denied() {
        let none = grants(&[]);
        assert_eq!(none.state(&key("app")), Err(HostFault::Denied));
        for (topic, is_granted) in [("alerts", true), ("alerts/x", false), ("", false)] {
            assert_eq!(none.topic(topic).is_ok(), is_granted, "{topic}");
        }
        for (model, is_granted) in [("resnet-18", true), ("resnet", false)] {
            assert_eq!(none.model(model).is_ok(), is_granted, "{model}");
        }
        for (name, is_granted) in [("prepare-ds", true), ("prepare", false)] {
            assert_eq!(none.call(&FunctionId::new(name).unwrap()).is_ok(), is_granted, "{name}");
        }
    }
}
