//! What a function may use and how much, as its signed manifest says. What is not granted is denied.

use std::sync::Arc;
use std::time::Duration;

use protocol::desired::TaskSpec;
use protocol::manifest::slots::{Budgets, Sharing, Warm};
use protocol::manifest::{self, Code, Limits, Manifest};
use protocol::signed::KeyId;
use runtime::{Budget, CallLimits};
use sha2::{Digest as _, Sha256};
use types::{Epoch, ExecutionMode, FunctionId, MiB, StateKey, TenantId};

/// The rights of a loaded function.
#[derive(Clone, Debug, PartialEq)]
pub struct Grants {
    /// The function.
    pub name: FunctionId,
    /// Its version.
    pub version: u64,
    /// On what its models run.
    pub mode: ExecutionMode,
    /// Whose function it is.
    pub tenant: TenantId,
    /// Who signed it.
    pub key: KeyId,
    /// When it may run.
    pub validity: Validity,
    /// How its instances are kept between calls, if they are.
    pub warm: Option<Warm>,
    /// What it consists of.
    pub code: Code,
    budgets: Budgets,
    limits: Limits,
    granted: manifest::Grants,
    sharing: Sharing,
    /// The frame of the signed manifest, for nodes that want to see it.
    pub signed: Arc<[u8]>,
}

/// When a function may run, by the wall clock; `None`: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before: Option<Epoch>,
    /// Until when.
    pub not_after: Option<Epoch>,
}

impl Validity {
    /// As a manifest says.
    pub const fn of(manifest: &Manifest) -> Self {
        Self { not_before: manifest.not_before, not_after: manifest.not_after }
    }
}

/// What a function wanted and its manifest does not grant, and where that would be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the manifest of {function} (version {version}) does not grant {what} {value:?}; it would be said in {said_in}"
)]
pub struct Denied {
    function: FunctionId,
    version: u64,
    what: &'static str,
    value: String,
    said_in: &'static str,
}

impl Grants {
    /// The rights that a manifest gives, which was signed in that frame.
    pub fn of(manifest: &Manifest, signed: Arc<[u8]>) -> Self {
        Self {
            name: manifest.name.clone(),
            version: manifest.version,
            mode: manifest.exec.mode(),
            tenant: manifest.tenant.clone(),
            key: manifest.key,
            validity: Validity::of(manifest),
            warm: manifest.warm,
            code: manifest.code.clone(),
            budgets: manifest.budgets,
            limits: manifest.limits,
            granted: manifest.grants.clone(),
            sharing: manifest.sharing.clone(),
            signed,
        }
    }

    /// Whether it may use a key of its state, by whole segments: `app` grants `app` and `app/x`, not `app2`.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn state(&self, key: &StateKey) -> Result<(), Denied> {
        let is_granted = self.granted.state_prefixes.iter().any(|prefix| key.is_within(prefix));
        self.check(is_granted, ("state key", key.as_str()), "function.grants.state_prefixes")
    }

    /// Those of some keys that it may use.
    pub fn visible(&self, mut keys: Vec<StateKey>) -> Vec<StateKey> {
        keys.retain(|key| self.state(key).is_ok());
        keys
    }

    /// Whether it may emit on a topic.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn topic(&self, topic: &str) -> Result<(), Denied> {
        let is_granted = self.granted.topics.iter().any(|known| known == topic);
        self.check(is_granted, ("topic", topic), "function.grants.topics")
    }

    /// Whether it may run a model.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn model(&self, model: &str) -> Result<(), Denied> {
        let is_granted = self.granted.models.iter().any(|known| known == model);
        self.check(is_granted, ("model", model), "function.grants.models")
    }

    /// Whether it may call a function.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn call(&self, function: &FunctionId) -> Result<(), Denied> {
        let is_granted = self.granted.calls.contains(function);
        self.check(is_granted, ("call", function.as_str()), "function.grants.calls")
    }

    /// Whether functions of a tenant may call it: those of its own, and of those that it names.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn called_by(&self, tenant: &TenantId) -> Result<(), Denied> {
        let is_granted = self.tenant == *tenant || self.sharing.tenants.contains(tenant);
        let value = ("calls to functions of tenant", tenant.as_str());
        self.check(is_granted, value, "function.sharing.tenants")
    }

    /// Whether it may share a store with a function of its task that it calls: same tenant, same signer, and both say so.
    pub fn fuses_with(&self, callee: &Self) -> bool {
        let is_alike = self.tenant == callee.tenant && self.key == callee.key;
        is_alike && self.sharing.fuse && callee.sharing.fuse
    }

    /// The limits of a call of its task: those of the task, but no more than was signed.
    pub fn bound(&self, spec: &TaskSpec) -> Limits {
        let Limits { linear_memory_mib: MiB(memory_mib), deadline_ms } = self.limits;
        Limits {
            linear_memory_mib: MiB(spec.linear_memory_mib.0.min(memory_mib)),
            deadline_ms: spec.deadline_ms.min(deadline_ms),
        }
    }

    /// The limits of a call that another function makes of it.
    pub fn limits(&self) -> CallLimits {
        CallLimits {
            linear_memory_mib: self.limits.linear_memory_mib.0,
            deadline: Duration::from_millis(u64::from(self.limits.deadline_ms)),
            budget: self.budget(),
        }
    }

    /// SHA-256 of its signed manifest, by which tasks name it.
    pub fn manifest(&self) -> [u8; 32] {
        Sha256::digest(&self.signed).into()
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

    fn check(
        &self,
        is_granted: bool,
        (what, value): (&'static str, &str),
        said_in: &'static str,
    ) -> Result<(), Denied> {
        if is_granted {
            return Ok(());
        }
        let value = value.chars().take(VALUE_CHARS_MAX).collect();
        Err(Denied { function: self.name.clone(), version: self.version, what, value, said_in })
    }
}

/// Of what was wanted, so much is repeated: the longest key of state.
const VALUE_CHARS_MAX: usize = 256;

#[cfg(test)]
pub(super) mod tests {
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
        Grants { granted, ..grants_of("detect") }
    }

    /// A function that may use nothing.
    pub(in crate::exec) fn grants_of(name: &str) -> Grants {
        Grants {
            name: FunctionId::new(name).unwrap(),
            version: 3,
            mode: ExecutionMode::Cpu,
            tenant: manifest::default_tenant(),
            key: KeyId([1; 8]),
            validity: Validity::default(),
            warm: None,
            code: Code::Component,
            budgets: Budgets::default(),
            limits: Limits { linear_memory_mib: MiB(32), deadline_ms: 1_000 },
            granted: manifest::Grants::default(),
            sharing: Sharing::default(),
            signed: Arc::from([]),
        }
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
            assert!(grants.state(&key(bad)).is_err(), "{bad}");
        }
        let all = ["app/x", "app2", "runs/today/1", "other"].map(key).to_vec();
        assert_eq!(grants.visible(all), ["app/x", "runs/today/1"].map(key));
    }

    #[test]
    fn what_is_not_listed_is_denied_and_said() {
        let none = grants(&[]);
        let said = none.state(&key("app")).unwrap_err().to_string();
        assert_eq!(
            said,
            "the manifest of detect (version 3) does not grant state key \"app\"; it would be said in function.grants.state_prefixes"
        );
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

    #[test]
    fn other_tenants_call_what_names_them_and_like_functions_fuse_if_both_say_so() {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let mut shared = grants_of("f");
        assert_eq!(shared.called_by(&shared.tenant), Ok(()));
        let said = shared.called_by(&tenant("other")).unwrap_err().to_string();
        assert!(said.contains("\"other\"") && said.contains("function.sharing.tenants"), "{said}");
        shared.sharing.tenants.push(tenant("other"));
        assert!(shared.called_by(&tenant("other")).is_ok());
        assert!(shared.called_by(&tenant("others")).is_err());

        let closed = grants_of("g");
        let open =
            Grants { sharing: Sharing { fuse: true, ..Sharing::default() }, ..grants_of("g") };
        assert!(open.fuses_with(&open));
        assert!(!open.fuses_with(&closed) && !closed.fuses_with(&open));
        for other in [
            Grants { tenant: tenant("other"), ..open.clone() },
            Grants { key: KeyId([2; 8]), ..open.clone() },
        ] {
            assert!(!open.fuses_with(&other) && !other.fuses_with(&open));
        }
    }

    #[test]
    fn a_budget_that_was_not_signed_is_the_usual_one() {
        assert_eq!(grants_of("f").budget(), Budget::USUAL);
        let budgets = Budgets { calls: Some(3), cpu_ms: Some(20), joules: None };
        let signed = Grants { budgets, ..grants_of("f") };
        assert_eq!(signed.budget(), Budget { calls: 3, cpu: Duration::from_millis(20) });
        assert_eq!(signed.limits().deadline, Duration::from_secs(1));
    }
}
