//! What a function can ask of its node: the [`Host`] and the values that cross.

mod node;
mod objects;
mod state;
pub(crate) mod wire;

use types::{Epoch, NodeId, NodeKind, StateKey, TaskId};

/// Serves one call of one function. Caps on state and objects are the host's; the runtime checks keys and names.
pub trait Host: Send {
    /// Reads a value of lasting state and its version; sees the writes of this call.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault>;

    /// Writes a value, with `expect` only if that is its present version (0: no value yet), and answers its new version.
    ///
    /// # Errors
    /// The fault that the function gets to see; [`HostFault::Conflict`] with the present version.
    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault>;

    /// Removes a value.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault>;

    /// The keys at or below `prefix`, in order; all without one.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault>;

    /// The objects that came with the call.
    fn inputs(&mut self) -> Vec<InputInfo>;

    /// At most `len` bytes of an input from `offset` on; fewer only at its end.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn input_read(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, HostFault>;

    /// Writes an object for the stages after; appends if the key was written before in this call.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault>;

    /// The node, now.
    fn describe(&mut self) -> NodeInfo;

    /// The sky clock.
    fn sky_now(&mut self) -> Epoch;

    /// The present or next contact with `node`.
    fn next_contact(&mut self, node: &NodeId) -> Option<Contact>;

    /// Takes a line of the function's log: at most 8 KiB, 64 KiB in one call, free of control characters.
    fn log(&mut self, level: Level, message: &str);
}

/// Why something was not done, in either direction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// The input cannot be used.
    #[error("bad input: {0}")]
    BadInput(String),
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// Not granted.
    #[error("denied")]
    Denied,
    /// No room now; try later.
    #[error("busy")]
    Busy,
    /// Over a limit.
    #[error("over a limit")]
    TooLarge,
    /// Out of time.
    #[error("out of time")]
    Deadline,
    /// The expected version is not the present one, which is given.
    #[error("conflict: the present version is {0}")]
    Conflict(u64),
    /// The node or the function failed.
    #[error("internal: {0}")]
    Internal(String),
}

/// An object that came with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputInfo {
    /// The task or data source that wrote it.
    pub task: TaskId,
    /// Its key within that task.
    pub key: StateKey,
    /// Its size.
    pub bytes: u64,
}

/// What a function may know of its node; `None` means unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo {
    /// Its name.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Charge of the battery in per cent.
    pub battery_pct: Option<f32>,
    /// Temperature in degrees Celsius.
    pub temperature_c: Option<f32>,
    /// Share of the solar disc in sight, 0 to 1.
    pub sunlit: Option<f32>,
}

/// A contact with another node, in seconds of sky time from now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// Until it opens; 0 if it is open.
    pub opens_in_s: f64,
    /// Until it closes.
    pub closes_in_s: f64,
    /// Largest one-way latency while it lasts, in milliseconds.
    pub latency_max_ms: f64,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Finest.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What failed.
    Error,
}
