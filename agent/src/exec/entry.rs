//! Calls that functions of other nodes or tenants make of a function of this node: what entitles to them, and what they used.
//!
//! Of a call only its signed manifest is believed. The node that sends it can say what it wants of its budget and its place in a
//! chain: it then deceives itself, within what functions of that manifest may do.

use std::sync::Arc;
use std::time::Instant;

use protocol::call::{Call, Called, Waiting};
use protocol::invoke::{Budget, Fault, InvocationRecord, Outcome};
use types::FunctionId;

use super::elsewhere::Bus;
use super::grants::Grants;
use super::module::Modules;
use super::{Counted, Inner, failed, invoke, locked};
use crate::state::{GroupId, Peers, are_parcels};

/// Who calls, as its signed manifest says.
#[derive(Debug)]
pub(super) struct Caller {
    /// Its rights.
    pub(super) grants: Grants,
    /// The function that it wants.
    pub(super) function: FunctionId,
    /// The tasks whose calls wait for this one.
    pub(super) through: Vec<Waiting>,
}

impl Caller {
    /// Whether it may call that function, by both manifests.
    pub(super) fn may_call(&self, callee: &Grants, group: &GroupId) -> Result<(), Fault> {
        let denied = |denied: super::grants::Denied| Fault::Denied(denied.to_string());
        if callee.name != self.function {
            let now = format!("{group} runs {} here, not {}", callee.name, self.function);
            return Err(Fault::NotFound(now));
        }
        self.grants.call(&callee.name).map_err(denied)?;
        callee.called_by(&self.grants.tenant).map_err(denied)
    }

    /// Whether a call of that task waits for this one.
    pub(super) fn waits_in(&self, group: &GroupId) -> bool {
        let is_it = |one: &Waiting| one.workflow == group.workflow && one.task == group.task;
        self.through.iter().any(is_it)
    }
}

/// Executes a call of a function by another one, and answers it in any case.
pub(super) async fn call<P: Peers + Modules + Bus + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    call: Call,
    received: Instant,
) -> Called {
    let _in_flight = Counted::one(&inner.in_flight);
    let Call { invoke: sent, function, caller, through } = call;
    let nothing = Budget { calls: 0, cpu_us: 0 };
    let refused =
        |fault| Called { invoked: failed(fault, InvocationRecord::default()), used: nothing };
    if !are_parcels(&sent) {
        let rule = "objects that go along with a call are its own, and with who calls".to_owned();
        return refused(Fault::BadInput(rule));
    }
    let grants = match inner.code.vouched(caller).await {
        Ok(grants) => grants,
        Err(why) => return refused(Fault::Denied(crate::agent::cut(why))),
    };
    let group = GroupId { workflow: sent.workflow.clone(), task: sent.task.clone() };
    let caller = Caller { grants, function, through };
    let (state, along) = (inner.state.clone(), sent.clone());
    let (invoked, used) = invoke::run(inner, &group, (sent, Some(caller)), received).await;
    let forgotten = tokio::task::spawn_blocking(move || state.forget_parcels(&along)).await;
    if !matches!(forgotten, Ok(Ok(()))) {
        tracing::warn!(%group, ?forgotten, "objects of a call stay until they are old");
    }
    inner.functions_cpu_ns.fetch_add(invoked.record.cpu_ns, std::sync::atomic::Ordering::Relaxed);
    locked(&inner.stats).count(&group, &invoked, received, Instant::now());
    if let Outcome::Failed(fault) = &invoked.outcome {
        tracing::debug!(%group, ?fault, "call of a function failed");
    }
    Called { invoked, used }
}
