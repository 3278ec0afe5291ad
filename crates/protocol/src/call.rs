//! Calls of functions by functions of other nodes, or of other tenants: an invocation, and what entitles to it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{FunctionId, RunId, TaskId, WorkflowId};

use crate::codec::{Message, Schema};
use crate::invoke::{BODY_BYTES_MAX, Budget, HOPS_MAX, Invoke, Invoked, OUTPUTS_MAX};
use crate::signed::SignedManifest;

/// The first run that is a call and not a run of a workflow: the upper half, so that no count of runs gets there, and whoever
/// sorts by age can leave calls out.
pub const FIRST_CALL: RunId = RunId(1 << 63);
/// The task under which a called function finds the objects that its caller gave along.
pub const CALLER: &str = "caller";

/// Whether a run is a call of a function by another one.
pub fn is_call(run: RunId) -> bool {
    FIRST_CALL <= run
}

/// A function calls another one that does not run where it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The call, of a task that runs the function; [`is_call`] its run. Its inputs are objects of that run and of [`CALLER`],
    /// which the node that calls holds.
    pub invoke: Invoke,
    /// Which function is called; that task may run another one by now.
    pub function: FunctionId,
    /// The frame of the signed manifest of the function that calls: what it may call, whose it is.
    #[serde(with = "serde_bytes")]
    pub caller: Vec<u8>,
    /// The tasks whose calls wait for this one, from the trigger on.
    pub through: Vec<Waiting>,
}

/// A task with a call that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// What came of it.
    pub invoked: Invoked,
    /// What it and all calls that followed from it have used, also when it failed.
    pub used: Budget,
}

impl Message for Call {
    const SCHEMA: Schema = Schema::Call;
    const BYTES_MAX: usize = BODY_BYTES_MAX + 256 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        self.invoke.validate()?;
        if !is_call(self.invoke.run) {
            return Err("the run of a call is at least 2^63");
        }
        if OUTPUTS_MAX < self.invoke.inputs.len() {
            return Err("at most 64 objects go along with a call");
        }
        if SignedManifest::BYTES_MAX < self.caller.len() {
            return Err("a signed manifest has at most 131200 bytes");
        }
        let possible = (1..=usize::from(HOPS_MAX)).contains(&self.through.len());
        possible.then_some(()).ok_or("1 to 32 calls wait for one")
    }
}

impl Message for Called {
    const SCHEMA: Schema = Schema::Called;
    const BYTES_MAX: usize = Invoked::BYTES_MAX + 64;

    fn validate(&self) -> Result<(), &'static str> {
        self.invoked.validate()
    }
}
