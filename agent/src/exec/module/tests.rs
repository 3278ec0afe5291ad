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
    /// From here on it does not answer.
    silent_from: u32,
}

impl Controller {
    fn with(module: &[u8], script: Vec<Result<ModuleChunk, PeerError>>) -> Self {
        let (script, asked) = (Mutex::new(script), Mutex::new(Vec::new()));
        Self { module: module.to_vec(), part_bytes: 4, script, asked, silent_from: u32::MAX }
    }
}

impl Modules for Controller {
    async fn part(&self, _: &FunctionId, query: ModuleQuery) -> Result<ModuleChunk, PeerError> {
        self.asked.lock().unwrap().push(query.offset);
        if self.silent_from <= query.offset {
            return std::future::pending().await;
        }
        if let Some(answer) = self.script.lock().unwrap().pop() {
            return answer;
        }
        let from = usize::try_from(query.offset).unwrap();
        let to = (from + self.part_bytes).min(self.module.len());
        let total = u32::try_from(self.module.len()).unwrap();
        Ok(ModuleChunk::Part { total, bytes: self.module[from..to].to_vec() })
    }

    async fn signers(&self) -> Result<Signers, PeerError> {
        Err(silence())
    }
}

fn silence() -> PeerError {
    let node = NodeId::new("controller").unwrap();
    PeerError::Unreachable { node, reason: "cut".to_owned() }
}

fn function(module: &[u8]) -> Wanted {
    Wanted {
        function: FunctionId::new("detect").unwrap(),
        sha256: sha256_of(module),
        size: Size::Exactly(u32::try_from(module.len()).unwrap()),
    }
}

fn reactor() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn fetched_to(
    store: &ModuleStore,
    controller: &Controller,
    wanted: &Wanted,
) -> Result<Vec<u8>, String> {
    let fetched = reactor().block_on(fetch(controller, store, wanted));
    fetched.map_err(|error| error.to_string())
}

fn fetched(controller: &Controller, wanted: &Wanted) -> Result<Vec<u8>, String> {
    let dir = tempfile::tempdir().unwrap();
    let store = ModuleStore::open(dir.path().to_owned()).unwrap();
    fetched_to(&store, controller, wanted)
}

/// Keeps something as a fetch does.
fn keep(store: &ModuleStore, bytes: &[u8]) {
    let sha256 = sha256_of(bytes);
    store.add(&sha256, 0, bytes).unwrap();
    store.finish(&sha256).unwrap();
}

#[test]
fn a_module_is_fetched_part_by_part() {
    let controller = Controller::with(b"0123456789", Vec::new());
    assert_eq!(fetched(&controller, &function(b"0123456789")).unwrap(), b"0123456789");
    assert_eq!(*controller.asked.lock().unwrap(), [0, 4, 8]);
}

#[test]
fn functions_that_share_a_component_fetch_it_once() {
    let controller = Controller::with(b"0123456789", vec![Err(silence())]);
    let dir = tempfile::tempdir().unwrap();
    let store = ModuleStore::open(dir.path().to_owned()).unwrap();
    let one = function(b"0123456789");
    let other = Wanted { function: FunctionId::new("track").unwrap(), ..one };
    let (first, second) = reactor().block_on(async {
        let fetch = |wanted| fetch(&controller, &store, wanted);
        tokio::join!(fetch(&one), fetch(&other))
    });
    assert_eq!((first.unwrap(), second.unwrap()), (b"0123456789".to_vec(), b"0123456789".to_vec()));
    assert_eq!(*controller.asked.lock().unwrap(), [0, 0, 4, 8]);
    assert_eq!(locked(&store.fetching).len(), 1, "bounded by what is under way");
}

#[test]
fn a_broken_link_is_resumed_where_it_broke() {
    let part = Ok(ModuleChunk::Part { total: 10, bytes: b"0123".to_vec() });
    let script = vec![Ok(ModuleChunk::NotFound), Err(silence()), part];
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
    let large = Wanted { size: Size::AtMost(MODULE_BYTES_MAX + 1), ..function(b"") };
    assert!(fetched(&controller, &large).unwrap_err().contains("more than a module may have"));
    assert!(controller.asked.lock().unwrap().is_empty());
}

#[test]
fn what_is_on_disk_is_what_its_name_says_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModuleStore::open(dir.path().join("functions")).unwrap();
    let sha256 = sha256_of(b"module");
    assert_eq!(store.read(&sha256), None);
    keep(&store, b"module");
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
        keep(&store, module);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), MODULES_KEPT);
    assert!(store.read(&sha256_of(&modules[139])).is_some());
}

#[test]
fn what_came_before_the_process_was_killed_is_not_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let open = || ModuleStore::open(dir.path().to_owned()).unwrap();
    let wanted = function(b"0123456789");
    // Two parts come, then nothing any more: the process ends in the middle, without a word to the store.
    let first = Controller { silent_from: 8, ..Controller::with(b"0123456789", Vec::new()) };
    let cut = async {
        let store = open();
        let fetch = fetch(&first, &store, &wanted);
        let two_parts = async {
            while first.asked.lock().unwrap().len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = two_parts => {}
            _ = fetch => panic!("three questions are needed"),
        }
    };
    reactor().block_on(cut);
    assert_eq!(*first.asked.lock().unwrap(), [0, 4, 8]);
    let second = Controller::with(b"0123456789", Vec::new());
    assert_eq!(fetched_to(&open(), &second, &wanted).unwrap(), b"0123456789");
    assert_eq!(*second.asked.lock().unwrap(), [8]);
    let third = Controller::with(b"", Vec::new());
    assert_eq!(fetched_to(&open(), &third, &wanted).unwrap(), b"0123456789");
    assert!(third.asked.lock().unwrap().is_empty(), "it is on disk as a whole");
}

#[test]
fn what_a_kill_left_torn_is_fetched_anew() {
    for (left, asked) in [
        // A hole where a part was, all of it, and more than there is.
        (&b"01\0\0"[..], &[4, 8, 0, 4, 8][..]),
        (b"01234\x006789", &[10, 0, 4, 8]),
        (b"0123456789x", &[0, 4, 8]),
        // Only the last step was missing.
        (b"0123456789", &[]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = ModuleStore::open(dir.path().to_owned()).unwrap();
        let wanted = function(b"0123456789");
        std::fs::write(store.aside(&wanted.sha256), left).unwrap();
        let controller = Controller::with(b"0123456789", Vec::new());
        assert_eq!(fetched_to(&store, &controller, &wanted).unwrap(), b"0123456789");
        assert_eq!(*controller.asked.lock().unwrap(), asked, "{left:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(store.read(&wanted.sha256).unwrap(), b"0123456789");
    }
}

#[test]
fn the_size_of_a_signed_manifest_comes_with_it_and_is_bounded() {
    let wanted = |max| Wanted { size: Size::AtMost(max), ..function(b"0123456789") };
    let controller = Controller::with(b"0123456789", Vec::new());
    assert_eq!(fetched(&controller, &wanted(10)).unwrap(), b"0123456789");
    let huge = Ok(ModuleChunk::Part { total: 11, bytes: b"0123".to_vec() });
    let controller = Controller::with(b"0123456789", vec![huge]);
    assert_eq!(fetched(&controller, &wanted(10)).unwrap(), b"0123456789");
    assert_eq!(*controller.asked.lock().unwrap(), [0, 0, 4, 8]);
}

#[test]
fn links_in_the_folder_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModuleStore::open(dir.path().join("functions")).unwrap();
    let (elsewhere, sha256) = (dir.path().join("elsewhere"), sha256_of(b"module"));
    std::fs::write(&elsewhere, b"module").unwrap();
    // Good bytes, but not here: the link goes, what it leads to stays.
    std::os::unix::fs::symlink(&elsewhere, store.path(&sha256)).unwrap();
    assert_eq!(store.read(&sha256), None);
    assert!(store.path(&sha256).symlink_metadata().is_err());
    // Nothing is written through one either.
    std::os::unix::fs::symlink(&elsewhere, store.aside(&sha256)).unwrap();
    assert_eq!(store.begun(&sha256, 100), b"");
    assert!(matches!(store.add(&sha256, 0, b"MODULE"), Err(ModuleError::Disk { .. })));
    assert!(matches!(store.finish(&sha256), Err(ModuleError::Disk { .. })));
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"module");
}
