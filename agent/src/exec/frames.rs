//! The functions of one call, within each other: whose turn it is, what it may use, and where its state lies.
//!
//! State of the function that a task runs lies where its keys say. That of a function that it calls lies below
//! [`CALLED`] and the name of that function, in the same task: it commits with the caller, and neither reaches the other's.

use std::sync::Arc;

use runtime::HostFault;
use types::{FunctionId, StateKey};

use super::grants::Grants;
use crate::state::Mark;

/// Most functions within each other. The runtime stops at 8; a runner that was broken into could go on.
const DEPTH_MAX: usize = 8;
/// Below it lies the state of called functions; keys of a task's own function do not begin with it.
const CALLED: &str = "_called";

/// The functions of one call.
#[derive(Debug)]
pub(super) struct Frames {
    task: Arc<Grants>,
    called: Vec<Frame>,
}

/// A called function, and what goes back with it when it fails.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) grants: Arc<Grants>,
    pub(super) mark: Mark,
    /// Messages that were emitted before it began.
    pub(super) emitted: usize,
}

impl Frames {
    /// Only the function of the task.
    pub(super) fn of(task: Arc<Grants>) -> Self {
        Self { task, called: Vec::new() }
    }

    /// What the function whose turn it is may use.
    pub(super) fn grants(&self) -> &Arc<Grants> {
        self.called.last().map_or(&self.task, |frame| &frame.grants)
    }

    /// The function whose turn it is.
    pub(super) fn function(&self) -> &FunctionId {
        &self.grants().name
    }

    /// Whether it was called by another one.
    pub(super) fn is_called(&self) -> bool {
        !self.called.is_empty()
    }

    /// Whether one more may be called.
    pub(super) fn has_room(&self) -> bool {
        self.called.len() < DEPTH_MAX
    }

    /// It is the turn of a called function.
    pub(super) fn enter(&mut self, frame: Frame) {
        self.called.push(frame);
    }

    /// It is the turn of the caller again; `None` if nothing was called.
    pub(super) fn leave(&mut self) -> Option<Frame> {
        self.called.pop()
    }

    /// Where a value lies.
    pub(super) fn key(&self, key: &StateKey) -> Result<StateKey, HostFault> {
        match self.home() {
            Some(home) => below(&home, key),
            None if is_of_called(key) => {
                let rule = format!(
                    "key {key} begins with {CALLED}, where called functions keep their state"
                );
                Err(HostFault::BadInput(rule))
            }
            None => Ok(key.clone()),
        }
    }

    /// Below what the keys lie that a prefix stands for.
    pub(super) fn prefix(&self, prefix: Option<&StateKey>) -> Result<Option<StateKey>, HostFault> {
        match (self.home(), prefix) {
            (_, Some(prefix)) => self.key(prefix).map(Some),
            (home, None) => home.map(|home| stored(&home)).transpose(),
        }
    }

    /// A key as the function knows it, from where its value lies; `None` if that is another's.
    pub(super) fn shown(&self, lies_at: StateKey) -> Option<StateKey> {
        match self.home() {
            Some(home) => {
                let rest = lies_at.as_str().strip_prefix(&home)?.strip_prefix('/')?;
                StateKey::new(rest).ok()
            }
            None => Some(lies_at).filter(|key| !is_of_called(key)),
        }
    }

    /// Below what its state lies; `None` for the function of the task, also when it is called.
    fn home(&self) -> Option<String> {
        let function = self.function();
        (*function != self.task.name).then(|| format!("{CALLED}/{function}"))
    }
}

fn is_of_called(key: &StateKey) -> bool {
    key.as_str().split('/').next() == Some(CALLED)
}

fn below(home: &str, key: &StateKey) -> Result<StateKey, HostFault> {
    stored(&format!("{home}/{key}"))
}

fn stored(text: &str) -> Result<StateKey, HostFault> {
    StateKey::new(text).map_err(|error| HostFault::BadInput(format!("where it would lie: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::grants::tests::grants_of;

    fn key(text: &str) -> StateKey {
        StateKey::new(text).unwrap()
    }

    fn call(name: &str) -> Frame {
        Frame { grants: Arc::new(grants_of(name)), mark: Mark::default(), emitted: 0 }
    }

    #[test]
    fn functions_that_are_called_keep_their_state_apart() {
        let mut frames = Frames::of(Arc::new(grants_of("outer")));
        assert_eq!(frames.key(&key("a")), Ok(key("a")));
        assert_eq!(frames.prefix(None), Ok(None));
        for taken in ["_called", "_called/inner/a", "_called/x"] {
            assert!(matches!(frames.key(&key(taken)), Err(HostFault::BadInput(_))), "{taken}");
            assert_eq!(frames.shown(key(taken)), None, "{taken}");
        }
        assert_eq!(frames.key(&key("_called2/a")), Ok(key("_called2/a")));
        frames.enter(call("inner"));
        assert_eq!(frames.key(&key("a")), Ok(key("_called/inner/a")));
        assert_eq!(frames.prefix(None), Ok(Some(key("_called/inner"))));
        assert_eq!(frames.prefix(Some(&key("a"))), Ok(Some(key("_called/inner/a"))));
        assert_eq!(frames.shown(key("_called/inner/a/b")), Some(key("a/b")));
        for others in ["a", "_called/inner", "_called/inner2/a", "_called/other/a"] {
            assert_eq!(frames.shown(key(others)), None, "{others}");
        }
        // The function of the task, called by one that it called, finds its own.
        frames.enter(call("outer"));
        assert_eq!(frames.key(&key("a")), Ok(key("a")));
        frames.leave();
        frames.leave();
        assert!(frames.leave().is_none() && frames.function().as_str() == "outer");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let mut frames = Frames::of(Arc::new(grants_of("outer")));
        while frames.has_room() {
            frames.enter(call("inner"));
        }
        assert_eq!(frames.called.len(), DEPTH_MAX);
        let long = ["k".repeat(64), "k".repeat(64), "k".repeat(64), "k".repeat(61)].join("/");
        assert_eq!(key(&long).as_str().len(), 256);
        assert!(matches!(frames.key(&key(&long)), Err(HostFault::BadInput(_))));
    }
}
