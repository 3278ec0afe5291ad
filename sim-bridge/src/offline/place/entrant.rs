//! Who decides in a run: a policy of the catalog, or a program that somebody brings.

use placement::Policy;
use placement::policy::catalog;

use super::program::Program;
use super::program::policy::ProgramPolicy;
use super::program::stage::Stage;

/// Who decides. Each run has a policy of its own, each with a child process of its own where it is a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrant {
    /// A policy of the catalog, by its name.
    BuiltIn(String),
    /// A program.
    Program(Program),
}

/// Why a policy decides no more, or never did: the whole run counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

impl Entrant {
    /// All policies of the catalog, ours first.
    pub fn built_in() -> Vec<Self> {
        catalog::NAMES.into_iter().map(|name| Self::BuiltIn(name.to_owned())).collect()
    }

    /// Its name on the command line and in results.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(name) => name,
            Self::Program(program) => program.name(),
        }
    }

    /// Makes it ready to decide.
    ///
    /// # Errors
    /// [`Broken`] where the catalog has no such policy, or where the program does not start or does not say that it is ready.
    pub fn enter(&self, stage: &Stage<'_>) -> Result<Box<dyn Policy>, Broken> {
        match self {
            Self::BuiltIn(name) => catalog::of_name(name, stage.seed)
                .ok_or_else(|| Broken(format!("no policy is called {name}"))),
            Self::Program(program) => match ProgramPolicy::start(program, stage) {
                Ok(policy) => Ok(Box::new(policy)),
                Err(error) => Err(Broken(error.to_string())),
            },
        }
    }
}
