//! Functions and signers: what is taken, and what follows from it.

use protocol::desired::FunctionRef;
use protocol::signed::{KeyId, Signers};
use types::{Epoch, FunctionId, KeyName};

use super::signers::{SignerBook, SignerError};
use super::{Controller, SavedFunction, Seen};
use crate::deploy::{Gate, PushError};
use crate::event::{Now, Output};
use crate::hosting::{FunctionTable, KnownFunction};

/// Most functions of a fleet, also counting those that were removed: their versions are remembered.
pub const FUNCTIONS_MAX: usize = 1_024;

/// Why a function is not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// There is none.
    #[error("there is no function {name}; known: {known}")]
    NotFound {
        /// Which.
        name: FunctionId,
        /// Those that are there.
        known: String,
    },
    /// A workflow needs it.
    #[error("function {name} is used by {users}; submit those without it, or remove them, first")]
    Used {
        /// Which.
        name: FunctionId,
        /// The workflows.
        users: String,
    },
}

impl Controller {
    /// What an upload of a function is checked against now.
    pub fn gate(&self, now: Now, name: &FunctionId) -> Gate {
        let seen = self.seen.get(name).copied();
        Gate { signers: self.signers.clone(), seen, now: Epoch::from_unix_ns(now.wall.0) }
    }

    /// Takes a function that passed the gate, whose bytes are durable already. Looks again at what may have changed since.
    ///
    /// # Errors
    /// [`PushError`] when its key was revoked or a newer version came meanwhile, or there is no room for another name.
    pub fn push(&mut self, now: Now, function: SavedFunction) -> Result<Vec<Output>, PushError> {
        self.signers.key(function.key)?;
        let seen = Seen { version: function.version, manifest: function.manifest };
        match self.seen.get(&function.name) {
            Some(highest) => highest.admits(&function.name, &seen)?,
            None if FUNCTIONS_MAX <= self.seen.len() => {
                return Err(PushError::TooMany(FUNCTIONS_MAX));
            }
            None => {}
        }
        let name = function.name.clone();
        self.seen.insert(name.clone(), seen);
        if self.functions.insert(name.clone(), function.clone()) != Some(function) {
            self.ask_again_of(&name);
            self.outputs.push(Output::Save);
            self.is_stirred = true;
        }
        Ok(self.think(now))
    }

    /// Forgets a function that nothing uses. Its highest version stays known.
    ///
    /// # Errors
    /// [`RemoveError`] when it is not there, or is used.
    pub fn remove(&mut self, now: Now, name: &FunctionId) -> Result<Vec<Output>, RemoveError> {
        if !self.functions.contains_key(name) {
            let names: Vec<&str> = self.functions.keys().map(FunctionId::as_str).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(RemoveError::NotFound { name: name.clone(), known });
        }
        let users = self.users_of(name);
        if !users.is_empty() {
            return Err(RemoveError::Used { name: name.clone(), users: users.join(", ") });
        }
        self.functions.remove(name);
        self.outputs.push(Output::Save);
        Ok(self.think(now))
    }

    /// Forgets who declined tasks of a function: it is another one now.
    fn ask_again_of(&mut self, name: &FunctionId) {
        let all = self.deployments.values().map(|deployment| &deployment.workflow);
        for workflow in all.filter(|one| one.tasks.iter().any(|task| task.function == *name)) {
            self.declines.forget_workflow(&workflow.id);
        }
    }

    /// The workflows with a task of that function.
    pub(super) fn users_of(&self, name: &FunctionId) -> Vec<String> {
        let uses = |deployment: &&super::Deployment| {
            deployment.workflow.tasks.iter().any(|task| task.function == *name)
        };
        let users = self.deployments.values().filter(uses);
        users.map(|deployment| deployment.workflow.id.to_string()).collect()
    }

    /// Trusts a key.
    ///
    /// # Errors
    /// [`SignerError`]; nothing has changed then.
    pub fn trust(
        &mut self,
        now: Now,
        name: KeyName,
        key: [u8; 32],
    ) -> Result<(KeyId, Vec<Output>), SignerError> {
        let (id, is_new) = self.signers.trust(Epoch::from_unix_ns(now.wall.0), name, key)?;
        Ok((id, self.signers_changed(now, is_new)))
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// [`SignerError`]; nothing has changed then.
    pub fn revoke(&mut self, now: Now, id: KeyId) -> Result<Vec<Output>, SignerError> {
        let is_new = self.signers.revoke(Epoch::from_unix_ns(now.wall.0), id)?;
        Ok(self.signers_changed(now, is_new))
    }

    fn signers_changed(&mut self, now: Now, is_changed: bool) -> Vec<Output> {
        if is_changed {
            self.outputs.extend([Output::Save, Output::Signers]);
        }
        self.think(now)
    }

    /// Whose signatures count now.
    pub const fn signer_book(&self) -> &SignerBook {
        &self.signers
    }

    /// The signers as nodes take them.
    pub fn signers(&self) -> Signers {
        self.signers.list(self.executor.epoch())
    }

    pub(super) fn function_table(&self) -> FunctionTable {
        let known = |function: &SavedFunction| KnownFunction {
            code: FunctionRef {
                name: function.name.clone(),
                sha256: function.sha256,
                bytes: function.bytes,
                manifest: function.manifest,
            },
            calls: function.calls.clone(),
        };
        self.functions.iter().map(|(name, function)| (name.clone(), known(function))).collect()
    }
}
