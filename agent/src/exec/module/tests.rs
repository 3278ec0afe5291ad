//! Modules over bad links and bad disks.

use std::sync::Mutex;

use types::NodeId;

use super::*;

/// A controller that answers from a script, then truthfully.
struct Controller {
    module: Vec<u8>,
    part_bytes: usize,
    script: Mutex<Vec<Result<ModuleChunk, PeerError>>>,
    asked: Mutex<Vec<u32>>,
}

impl Controller {
    fn with(module: &[u8], script: Vec<Result<ModuleChunk, PeerError>>) -> Self {
        let (script, asked) = (Mutex::new(script), Mutex::new(Vec::new()));
        Self { module: module.to_vec(), part_bytes: 4, script, asked }
    }
}

impl Modules for Controller {
    async fn part(&self, _: &FunctionId, query: ModuleQuery) -> Result<ModuleChunk, PeerError> {
        self.asked.lock().unwrap().push(query.offset);
        if let Some(answer) = self.script.lock().unwrap().pop() {
            return answer;
        }
        let from = usize::try_from(query.offset).unwrap();
        let to = (from + self.part_bytes).min(self.module.len());
        let total = u32::try_from(self.module.len()).unwrap();
        Ok(ModuleChunk::Part { total, bytes: self.module[from..to].to_vec() })
    }
}

fn function(module: &[u8]) -> FunctionRef {
    FunctionRef {
        name: FunctionId::new("detect").unwrap(),
        sha256: sha256_of(module),
        bytes: u32::try_from(module.len()).unwrap(),
    }
}

fn fetched(controller: &Controller, function: &FunctionRef) -> Result<Vec<u8>, String> {
    let reactor = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let fetched = reactor.block_on(fetch(controller, function));
    fetched.map_err(|error| error.to_string())
}

#[test]
fn a_module_is_fetched_part_by_part() {
    let controller = Controller::with(b"0123456789", Vec::new());
    assert_eq!(fetched(&controller, &function(b"0123456789")).unwrap(), b"0123456789");
    assert_eq!(*controller.asked.lock().unwrap(), [0, 4, 8]);
}

#[test]
fn a_broken_link_is_resumed_where_it_broke() {
    let node = NodeId::new("controller").unwrap();
    let silence = Err(PeerError::Unreachable { node, reason: "cut".to_owned() });
    let part = Ok(ModuleChunk::Part { total: 10, bytes: b"0123".to_vec() });
    let script = vec![Ok(ModuleChunk::NotFound), silence, part];
    let controller = Controller::with(b"0123456789", script);
    assert_eq!(fetched(&controller, &function(b"0123456789")).unwrap(), b"0123456789");
    assert_eq!(*controller.asked.lock().unwrap(), [0, 4, 4, 4, 8]);
}

#[test]
fn parts_of_something_else_are_not_taken_and_a_wrong_hash_starts_anew() {
    let foreign = Ok(ModuleChunk::Part { total: 11, bytes: b"xxxx".to_vec() });
    let endless = Ok(ModuleChunk::Part { total: 10, bytes: b"01234567890".to_vec() });
    let forged = Ok(ModuleChunk::Part { total: 10, bytes: b"x123456789".to_vec() });
    let controller = Controller::with(b"0123456789", vec![forged, endless, foreign]);
    assert_eq!(fetched(&controller, &function(b"0123456789")).unwrap(), b"0123456789");
    assert_eq!(*controller.asked.lock().unwrap(), [0, 0, 0, 0, 4, 8]);
}

#[test]
fn a_module_that_is_too_large_is_not_even_asked_for() {
    let controller = Controller::with(b"", Vec::new());
    let large = FunctionRef { bytes: MODULE_BYTES_MAX + 1, ..function(b"") };
    assert!(fetched(&controller, &large).unwrap_err().contains("more than a module may have"));
    assert!(controller.asked.lock().unwrap().is_empty());
}

#[test]
fn what_is_on_disk_is_what_its_name_says_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModuleStore::open(dir.path().join("functions")).unwrap();
    let sha256 = sha256_of(b"module");
    assert_eq!(store.read(&sha256), None);
    store.write(&sha256, b"module").unwrap();
    let again = ModuleStore::open(dir.path().join("functions")).unwrap();
    assert_eq!(again.read(&sha256).as_deref(), Some(&b"module"[..]));
    let path = store.path(&sha256);
    assert!(path.exists());
    std::fs::write(&path, b"modulf").unwrap();
    assert_eq!(store.read(&sha256), None);
    assert!(!path.exists());
}

#[test]
fn the_oldest_modules_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModuleStore::open(dir.path().to_owned()).unwrap();
    let modules: Vec<[u8; 4]> = (0..140_u32).map(u32::to_le_bytes).collect();
    for module in &modules {
        store.write(&sha256_of(module), module).unwrap();
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), MODULES_KEPT);
    assert!(store.read(&sha256_of(&modules[139])).is_some());
}
