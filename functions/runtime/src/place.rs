//! Where functions run: in this process, or in runners. Both look the same from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use accel::ModuleFacts;

use crate::function;
use crate::function::Loader;
use crate::remote::{RemoteFunction, Runners};
use crate::run::Runner;
use crate::warm::shelf::Shelf;

/// A loaded function. Cloning shares it.
#[derive(Clone)]
pub struct Function(pub(crate) Handle);

/// A function in one of the places.
#[derive(Clone)]
pub(crate) enum Handle {
    /// In this process, ready to be called.
    Here(function::Function),
    /// For runners, which load it when they are called.
    Elsewhere(Arc<RemoteFunction>),
}

/// What runs functions.
pub(crate) enum Place {
    /// This process.
    Here(Loader, Arc<Runner>, Shelf),
    /// Child processes.
    Elsewhere(Runners),
}

impl Function {
    /// What the pre-scan found in it.
    pub fn facts(&self) -> &ModuleFacts {
        match &self.0 {
            Handle::Here(function) => function.facts(),
            Handle::Elsewhere(function) => &function.facts,
        }
    }

    /// Whether it has the hooks of a function that may be kept between calls.
    pub fn has_hooks(&self) -> bool {
        self.facts().exports.contains(accel::contract::LIFECYCLE)
    }

    /// How long compiling took, of wall time.
    pub fn compiled_in(&self) -> Duration {
        match &self.0 {
            Handle::Here(function) => function.compiled_in(),
            Handle::Elsewhere(function) => function.compiled_in,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("bytes", &self.facts().bytes)
            .field("compiled_in", &self.compiled_in())
            .finish_non_exhaustive()
    }
}

impl From<function::Function> for Function {
    fn from(function: function::Function) -> Self {
        Self(Handle::Here(function))
    }
}

impl From<RemoteFunction> for Function {
    fn from(function: RemoteFunction) -> Self {
        Self(Handle::Elsewhere(Arc::new(function)))
    }
}
