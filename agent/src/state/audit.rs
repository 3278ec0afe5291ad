//! The audit log: one line for each acknowledged object, written before the answer goes out.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Mutex;

use protocol::belt::ObjectMeta;
use serde::Serialize;
use types::{Epoch, NodeId, RunId, StateKey, TaskId, WorkflowId};

use super::groups::locked;
use crate::store::StateError;

/// More than the lines of one acknowledgement have.
const TAIL_BYTES: u64 = 1024 * 1024;

/// A line. An independent checker reads it and asks the nodes in `copies` for the object.
#[derive(Debug, Serialize)]
struct Line<'a> {
    at: Epoch,
    node: &'a NodeId,
    object: String,
    workflow: &'a WorkflowId,
    run: Option<RunId>,
    task: &'a TaskId,
    key: &'a StateKey,
    version: u64,
    owner_epoch: u64,
    hash: String,
    bytes: u64,
    copies: &'a [NodeId],
}

/// A line that a crash cut short was never answered: the next one must not be glued to it.
fn cut_torn_line(file: &mut File) -> std::io::Result<()> {
    let len = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
    file.read_to_end(&mut tail)?;
    let torn = tail.iter().rev().take_while(|byte| **byte != b'\n').count();
    file.set_len(len - torn as u64)
}

#[derive(Debug)]
pub(super) struct Audit {
    file: Mutex<File>,
}

impl Audit {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError::new(&format!("open {}", path.display()), error);
        let file = OpenOptions::new().create(true).append(true).read(true).open(path);
        let mut file = file.map_err(failed)?;
        cut_torn_line(&mut file).map_err(failed)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Appends the lines of one acknowledgement. They are out of this process when this returns, so a kill does not
    /// take them.
    pub(super) fn acknowledge(
        &self,
        at: Epoch,
        node: &NodeId,
        objects: &[(&ObjectMeta, &[NodeId])],
    ) -> Result<(), StateError> {
        let failed = |error: String| StateError::new("write the audit log", error);
        let mut text = Vec::new();
        for (meta, copies) in objects {
            let line = Line {
                at,
                node,
                object: meta.id.to_string(),
                workflow: &meta.id.workflow,
                run: meta.id.run,
                task: &meta.id.task,
                key: &meta.id.key,
                version: meta.version.0,
                owner_epoch: meta.owner_epoch.0,
                hash: blake3::Hash::from_bytes(meta.hash).to_hex().to_string(),
                bytes: meta.bytes,
                copies,
            };
            serde_json::to_writer(&mut text, &line).map_err(|error| failed(error.to_string()))?;
            text.push(b'\n');
        }
        locked(&self.file).write_all(&text).map_err(|error| failed(error.to_string()))
    }
}
