//! The state directory: epoch, running table, components and signed manifests. Everything is durable before it is acted upon.
//!
//! Files are replaced, never changed: written beside, synced, renamed, and the directory synced too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use types::LeaderEpoch;

use crate::controller::{Saved, SavedFunction};
use crate::deploy::sha256;
use crate::hex::hex;

/// The version of the format of `state.json`.
const FORMAT: u32 = 2;
/// That of controllers whose functions were not signed.
const FORMAT_UNSIGNED: u32 = 1;
/// Of an older state, so many names are said.
const NAMES_MAX: usize = 64;

/// What went wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {rule}; restore it from a copy, or move the directory away to start anew", path.display())]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        rule: String,
    },
    /// The state is of a controller whose functions were not signed, so that no node would run them.
    #[error(
        "{file} is of an earlier version, whose functions were not signed, so that no node runs them. Move it away (mv {file} {file}.old), and nothing \
         else: the file epoch beside it must stay, or no node obeys. Then start the controller, make and trust a key (starbelt key new, \
         starbelt key trust), push {functions} again (starbelt fn push NAME COMPONENT --manifest function.toml), and submit {workflows} again \
         (starbelt workflow submit FILE)",
        file = path.display()
    )]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// The functions that it holds.
        functions: String,
        /// The workflows that it holds.
        workflows: String,
    },
    /// Another controller uses the directory.
    #[error("{} is in use by another controller; stop that one first", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

/// The state directory of one running controller.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Held for as long as this process lives.
    _lock: File,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StateFile {
    format: u32,
    state: Saved,
}

/// What is read first: the rest means what its format says.
#[derive(serde::Deserialize)]
struct Format {
    format: u32,
}

/// What a state holds that is not carried over.
fn unsigned(path: PathBuf, bytes: &[u8]) -> StoreError {
    let state = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
    let names = |kind: &str, name: fn(&serde_json::Value) -> Option<&str>| {
        let listed = state["state"][kind].as_array();
        let names: Vec<&str> =
            listed.into_iter().flatten().filter_map(name).take(NAMES_MAX).collect();
        if names.is_empty() { format!("what {kind} you had") } else { names.join(", ") }
    };
    StoreError::Unsigned {
        functions: names("functions", |function| function["name"].as_str()),
        workflows: names("workflows", |workflow| workflow["workflow"]["id"].as_str()),
        path,
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

impl Store {
    /// Opens (or makes) the directory for this process alone.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be made or is in use.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let modules = dir.join("modules");
        fs::create_dir_all(&modules).map_err(failed("making", &modules))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(failed("opening", &path))?;
        let only = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(&lock, only)
            .map_err(|_in_use| StoreError::InUse { path: dir.to_owned() })?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The next epoch, durable before anyone hears of it.
    ///
    /// # Errors
    /// [`StoreError`] when the file is no number or cannot be replaced.
    pub fn next_epoch(&self) -> Result<LeaderEpoch, StoreError> {
        let path = self.dir.join("epoch");
        let last = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().map_err(|_malformed| StoreError::Corrupt {
                path: path.clone(),
                rule: format!("{:?} is not the number of an epoch", text.trim()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed("reading", &path)(error)),
        };
        let next = LeaderEpoch(last).next();
        self.replace("epoch", format!("{next}\n").as_bytes())?;
        Ok(next)
    }

    /// What the last controller left; nothing at the first start.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read or understood.
    pub fn load(&self) -> Result<Saved, StoreError> {
        let path = self.dir.join("state.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(failed("reading", &path)(error)),
        };
        let corrupt = |rule| StoreError::Corrupt { path: path.clone(), rule };
        let Format { format } =
            serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if format == FORMAT_UNSIGNED {
            return Err(unsigned(path, &bytes));
        }
        if format != FORMAT {
            return Err(corrupt(format!("format {format} is not {FORMAT}")));
        }
        let file: StateFile =
            serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        Ok(file.state)
    }

    /// Leaves everything to the next controller.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn save(&self, state: Saved) -> Result<(), StoreError> {
        let file = StateFile { format: FORMAT, state };
        let bytes = serde_json::to_vec(&file).map_err(|error| StoreError::Corrupt {
            path: self.dir.join("state.json"),
            rule: error.to_string(),
        })?;
        self.replace("state.json", &bytes)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where modules lie.
    pub fn modules_dir(&self) -> PathBuf {
        self.dir.join("modules")
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        replace(&self.dir, name, bytes)
    }
}

/// Writes a file so that after a crash either the old or the new content is there, whole.
pub(super) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let (path, beside) = (dir.join(name), dir.join(format!(".{name}.new")));
    let mut file = File::create(&beside).map_err(failed("writing", &beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("writing", &beside))?;
    fs::rename(&beside, &path).map_err(failed("replacing", &path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("syncing", dir))
}

type Held = BTreeMap<[u8; 32], Arc<[u8]>>;

/// Components and signed manifests by their hash, on disk and at hand.
#[derive(Clone, Debug)]
pub struct Modules {
    dir: PathBuf,
    held: Arc<RwLock<Held>>,
}

/// What a file in the folder of modules is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A component.
    Component,
    /// A signed manifest.
    Manifest,
}

impl Modules {
    /// Reads what `functions` need; answers what is wrong with those that cannot be served. What none of them needs is
    /// removed, also what a push left that was broken off.
    pub fn open(dir: PathBuf, functions: &[SavedFunction]) -> (Self, Vec<String>) {
        let mut held = BTreeMap::new();
        let mut problems = Vec::new();
        let mut needed = BTreeSet::new();
        for function in functions {
            for (hash, kind) in
                [(function.sha256, Kind::Component), (function.manifest, Kind::Manifest)]
            {
                let name = file_name(&hash, kind);
                let path = dir.join(&name);
                needed.insert(name);
                let problem = match fs::read(&path) {
                    Ok(bytes) if sha256(&bytes) == hash => {
                        held.insert(hash, Arc::from(bytes));
                        continue;
                    }
                    Ok(_) => "the bytes do not hash to the name".to_owned(),
                    Err(error) => error.to_string(),
                };
                let name = &function.name;
                problems.push(format!("{}: {problem}; push function {name} again", path.display()));
            }
        }
        problems.extend(remove_others(&dir, &needed));
        (Self { dir, held: Arc::new(RwLock::new(held)) }, problems)
    }

    /// The bytes of a component or a signed manifest.
    pub fn get(&self, sha256: &[u8; 32]) -> Option<Arc<[u8]>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned()
    }

    /// Makes bytes durable and serves them from now on; answers their hash. Blocks for one sync.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be written.
    pub fn add(&self, kind: Kind, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        let sha256 = sha256(bytes);
        if self.get(&sha256).is_none() {
            replace(&self.dir, &file_name(&sha256, kind), bytes)?;
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            held.insert(sha256, Arc::from(bytes));
        }
        Ok(sha256)
    }
}

/// Removes the files whose names nobody needs; answers what could not be.
fn remove_others(dir: &Path, needed: &BTreeSet<String>) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_needed =
        |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| needed.contains(name));
    let others = entries.filter(|entry| !is_needed(entry)).map(|entry| entry.path());
    let remove = |path: PathBuf| {
        fs::remove_file(&path).err().map(|error| format!("{}: {error}", path.display()))
    };
    others.filter_map(remove).collect()
}

fn file_name(sha256: &[u8; 32], kind: Kind) -> String {
    let ending = match kind {
        Kind::Component => "wasm",
        Kind::Manifest => "manifest",
    };
    format!("{}.{ending}", hex(sha256))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::manifest::default_tenant;
    use protocol::signed::KeyId;
    use types::FunctionId;

    #[test]
    fn each_start_has_a_higher_epoch_and_what_the_last_one_left() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(store.next_epoch().unwrap(), LeaderEpoch(1));
            assert_eq!(store.load().unwrap(), Saved::default());
            store.save(Saved::default()).unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.next_epoch().unwrap(), LeaderEpoch(2));
        assert_eq!(store.load().unwrap(), Saved::default());
    }

    #[test]
    fn two_controllers_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(dir.path()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn what_is_no_state_is_refused_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs::write(dir.path().join("epoch"), "many").unwrap();
        let message = store.next_epoch().unwrap_err().to_string();
        assert!(message.contains("epoch") && message.contains("many"), "{message}");
        fs::write(dir.path().join("state.json"), "{").unwrap();
        assert!(matches!(store.load(), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_state_without_signatures_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        // As a controller of format 1 left it.
        let state = r#"{"format":1,"state":{"workflows":[{"workflow":{"id":"flood","tasks":[]},"is_driving":true}],
            "functions":[{"name":"ingest","sha256":"00","bytes":4,"imports":[]},{"name":"extract","sha256":"00","bytes":4,"imports":[]}],
            "hosting":{}}}"#;
        let path = dir.path().join("state.json");
        fs::write(&path, state).unwrap();
        let epoch = store.next_epoch().unwrap();
        let said = store.load().unwrap_err().to_string();
        let file = path.display();
        for words in [
            format!("mv {file} {file}.old"),
            "the file epoch beside it must stay".to_owned(),
            "starbelt key trust".to_owned(),
            "push ingest, extract again".to_owned(),
            "submit flood again".to_owned(),
        ] {
            assert!(said.contains(&words), "{said}");
        }
        // Nothing was changed, and what it says to do works: empty, and in a later epoch.
        assert_eq!(fs::read_to_string(&path).unwrap(), state);
        fs::rename(&path, dir.path().join("state.json.old")).unwrap();
        assert_eq!(store.load().unwrap(), Saved::default());
        assert_eq!(store.next_epoch().unwrap(), epoch.next());
    }

    fn function(sha256: [u8; 32], manifest: [u8; 32]) -> SavedFunction {
        SavedFunction {
            name: FunctionId::new("f").unwrap(),
            version: 1,
            manifest,
            key: KeyId([1; 8]),
            tenant: default_tenant(),
            sha256,
            bytes: 4,
            imports: vec![],
            calls: vec![],
            code: protocol::manifest::Code::default(),
        }
    }

    #[test]
    fn what_was_added_is_found_again_and_what_was_changed_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let open = |functions: &[SavedFunction]| Modules::open(dir.path().to_owned(), functions);
        let (modules, _) = open(&[]);
        let hash = modules.add(Kind::Component, b"code").unwrap();
        let manifest = modules.add(Kind::Manifest, b"said").unwrap();
        let function = [function(hash, manifest)];
        let (found, problems) = open(&function);
        assert_eq!(found.get(&hash).as_deref(), Some(b"code".as_slice()));
        assert_eq!(found.get(&manifest).as_deref(), Some(b"said".as_slice()));
        assert_eq!(problems, Vec::<String>::new());
        fs::write(dir.path().join(file_name(&hash, Kind::Component)), b"cod3").unwrap();
        fs::remove_file(dir.path().join(file_name(&manifest, Kind::Manifest))).unwrap();
        let (found, problems) = open(&function);
        assert_eq!((found.get(&hash), found.get(&manifest)), (None, None));
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("push function f again"), "{problems:?}");
    }

    #[test]
    fn what_no_function_needs_is_gone_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let (modules, _) = Modules::open(dir.path().to_owned(), &[]);
        let hash = modules.add(Kind::Component, b"code").unwrap();
        let manifest = modules.add(Kind::Manifest, b"said").unwrap();
        modules.add(Kind::Component, b"of a function that was removed").unwrap();
        // A push that was broken off.
        fs::write(dir.path().join(".x.wasm.new"), b"par").unwrap();
        let (_, problems) = Modules::open(dir.path().to_owned(), &[function(hash, manifest)]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
