//! The store: what was written is there, also after it was closed and opened again.

use types::NodeId;

use super::{Outcome, Scratch};
use crate::state::{RECORD_BYTES_MAX, StateError, StateService, StoreConfig};

/// The record that is written.
const RECORD: &str = "selftest";
/// Room enough for it.
const QUOTA_BYTES: u64 = 16 * 1024 * 1024;

/// Writes a record of the largest size, reads it, opens the store again, and reads it again.
pub(super) fn test(scratch: &Scratch) -> Outcome {
    let config =
        StoreConfig { dir: scratch.dir.join("store"), quota_bytes: QUOTA_BYTES, audit_log: None };
    // Every byte value, and no two pages alike.
    let bytes: Vec<u8> = (0..RECORD_BYTES_MAX)
        .map(|at| at.to_le_bytes().into_iter().fold(0, |byte, part| byte ^ part))
        .collect();
    round(&config, &bytes).map_err(|error| error.to_string()).and_then(|same| same).into()
}

fn round(config: &StoreConfig, bytes: &[u8]) -> Result<Result<String, String>, StateError> {
    let node = NodeId::new("selftest").expect("a name by the rules");
    let store = StateService::open(config, node.clone())?;
    store.save_record(RECORD, bytes)?;
    let first = store.load_record(RECORD)?;
    drop(store);
    let again = StateService::open(config, node)?.load_record(RECORD)?;
    for (read, when) in [(first, "after it was written"), (again, "after it was opened again")] {
        if read.as_deref() != Some(bytes) {
            let found = read
                .map_or_else(|| "nothing".to_owned(), |read| format!("{} other bytes", read.len()));
            return Ok(Err(format!("{when} it has {found}")));
        }
    }
    let (kib, place) = (bytes.len() / 1024, config.dir.display());
    Ok(Ok(format!("{kib} KiB written, read, and read again once reopened, in {place}")))
}
