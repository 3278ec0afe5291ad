//! What the queue needs of a directory. The shell has one of files, tests have one that tears, flips and fills up.

/// Files of one directory, by plain names.
pub trait Storage {
    /// All files, with their sizes; half-made ones that [`Storage::replace`] has left are none.
    ///
    /// # Errors
    /// [`StorageError`] when the directory cannot be read.
    fn list(&mut self) -> Result<Vec<(String, u64)>, StorageError>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// [`StorageError`] when it cannot be read.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, StorageError>;

    /// Adds bytes to the end of a file, which is made if it is not there. Nothing is durable before [`Storage::sync`].
    ///
    /// # Errors
    /// [`StorageError`]; any part of the bytes may be in the file nevertheless.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes a file durable with its name.
    ///
    /// # Errors
    /// [`StorageError`]; then what was added since the last sync may be lost, also if a later sync succeeds.
    fn sync(&mut self, name: &str) -> Result<(), StorageError>;

    /// Puts other bytes in place of a file, durable when it returns; after a crash either all old or all new ones are there.
    ///
    /// # Errors
    /// [`StorageError`]; then the old ones are there.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError>;

    /// Removes a file. After a crash it may be there again.
    ///
    /// # Errors
    /// [`StorageError`] when it is still there.
    fn remove(&mut self, name: &str) -> Result<(), StorageError>;

    /// How much room the file system has.
    ///
    /// # Errors
    /// [`StorageError`] when it does not say.
    fn room(&mut self) -> Result<Room, StorageError>;
}

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What may still be written.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// Why storage does not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name}: {reason}")]
pub struct StorageError {
    /// What was tried.
    pub what: &'static str,
    /// With which file.
    pub name: String,
    /// What kind of failure.
    pub cause: Cause,
    /// The failure in words.
    pub reason: String,
}

/// Kinds of failures that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No room is left.
    Full,
    /// Nothing may be written.
    ReadOnly,
    /// Anything else.
    Other,
}
