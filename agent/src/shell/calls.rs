//! Calls of stages that this node drives: the trigger from the input directory, the objects of data sources, the call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::belt::{Inventory, InventoryQuery, ObjectMeta};
use protocol::desired::SourceRef;
use protocol::invoke::{self, BODY_BYTES_MAX, Budget, Fault, Invoke, Invoked, Outcome};
use protocol::key::BeltService;
use protocol::{decode, encode};
use types::{NodeId, TaskId, WorkflowId};

use super::work::Work;
use crate::event::{Answer, StageCall};
use crate::state::Peers as _;

/// The workflow under which standing objects of data sources are kept.
const SOURCE_WORKFLOW: &str = "source";
/// What links may add to the time that a call may take on its node.
const LINK_SLACK: Duration = Duration::from_secs(1);
/// How long a node may take to list what it holds.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(2);
/// Pages of an inventory that are read: as many objects as a call takes.
const INVENTORY_PAGES_MAX: usize = 4;
/// Tries to fetch the objects of a data source ahead of calls, and the pause between them: half a minute, as long as a node may be
/// silent before it counts as lost.
const BRING_TRIES: u32 = 6;
const BRING_PAUSE: Duration = Duration::from_secs(5);
/// Longest time that fetching the objects of one data source ahead of calls takes.
const BRING_TIME_MAX: Duration = Duration::from_secs(120);
/// Media type of what the input directory holds.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Objects of data sources, as their nodes listed them; asked again when one of them is missed.
#[derive(Debug, Default)]
pub(super) struct SourceBook {
    known: Mutex<BTreeMap<(TaskId, NodeId), Vec<ObjectMeta>>>,
}

impl SourceBook {
    fn known(&self) -> MutexGuard<'_, BTreeMap<(TaskId, NodeId), Vec<ObjectMeta>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn objects(&self, work: &Work, source: &SourceRef) -> Result<Vec<ObjectMeta>, String> {
        let name = (source.name.clone(), source.node.clone());
        if let Some(objects) = self.known().get(&name) {
            return Ok(objects.clone());
        }
        let objects = listed(work, source).await?;
        if objects.is_empty() {
            return Err(format!("{} holds nothing of data source {}", source.node, source.name));
        }
        self.known().insert(name, objects.clone());
        Ok(objects)
    }

    fn forget(&self, sources: &[SourceRef]) {
        let mut known = self.known();
        for source in sources {
            known.remove(&(source.name.clone(), source.node.clone()));
        }
    }
}

/// Fetches the objects of data sources that a task on this node takes, ahead of its calls. What does not come is left to them: a node
/// that cannot be reached now may be near when it counts.
pub(super) async fn bring(work: &Work, sources: Vec<SourceRef>) {
    for source in sources.iter().filter(|source| source.node != *work.me()) {
        for _ in 0..BRING_TRIES {
            match brought(work, source).await {
                Ok(0) => break,
                Ok(bytes) => {
                    tracing::info!(source = %source.name, holder = %source.node, bytes, "fetched ahead of calls");
                    break;
                }
                Err(reason) => {
                    tracing::debug!(source = %source.name, holder = %source.node, reason, "not fetched ahead");
                    tokio::time::sleep(BRING_PAUSE).await;
                }
            }
        }
    }
}

async fn brought(work: &Work, source: &SourceRef) -> Result<u64, String> {
    let holder = &source.node;
    let objects = listed(work, source).await?;
    let input = |object| invoke::Input { object, holder: holder.clone() };
    let inputs: Vec<_> = objects.into_iter().map(input).collect();
    if inputs.is_empty() {
        return Err("it holds nothing of it".to_owned());
    }
    let deadline = tokio::time::Instant::now() + BRING_TIME_MAX;
    let brought = work.state().fetch_ahead(work.fleet(), inputs, deadline).await;
    brought.map_err(|fault| format!("{fault:?}"))
}

/// Asks a node for the objects of a data source.
async fn listed(work: &Work, source: &SourceRef) -> Result<Vec<ObjectMeta>, String> {
    let workflow = WorkflowId::new(SOURCE_WORKFLOW).expect("a valid name");
    let mut objects: Vec<ObjectMeta> = Vec::new();
    let mut after = None;
    for _ in 0..INVENTORY_PAGES_MAX {
        let query = InventoryQuery { workflow: workflow.clone(), after };
        let page = page(work, &source.node, query).await?;
        after = page.objects.last().map(|object| object.id.clone());
        objects.extend(page.objects.into_iter().filter(|object| object.id.task == source.name));
        if !page.more {
            break;
        }
    }
    Ok(objects)
}

async fn page(work: &Work, node: &NodeId, query: InventoryQuery) -> Result<Inventory, String> {
    if node == work.me() {
        let state = work.state().clone();
        let listed = tokio::task::spawn_blocking(move || state.on_inventory(query));
        return listed.await.map_err(|error| error.to_string());
    }
    let frame = encode(&query).map_err(|error| error.to_string())?;
    let asked = work.fleet().belt(node, BeltService::Inventory, frame, INVENTORY_TIMEOUT);
    let answer = asked.await.map_err(|error| error.to_string())?;
    decode(&answer).map_err(|error| error.to_string())
}

/// Calls a stage and says what came of it.
pub(super) async fn call(work: &Work, call: StageCall) -> Answer {
    let (node, sources) = (call.node.clone(), call.sources.clone());
    let (task, run, attempt) = (call.task.clone(), call.run, call.attempt);
    tracing::debug!(%task, %run, attempt, %node, "stage called");
    let invoked = match invoke_of(work, call).await {
        Ok(invoke) => invoked(work, &node, invoke).await,
        Err(reason) => Err(reason),
    };
    match invoked {
        Ok(invoked) => {
            if let Outcome::Failed(fault) = &invoked.outcome {
                tracing::info!(%task, %run, attempt, %node, ?fault, "stage failed");
                if matches!(fault, Fault::InputMissing(_)) {
                    work.source_book().forget(&sources);
                }
            }
            Answer::Invoked(Box::new(invoked))
        }
        Err(reason) => {
            tracing::info!(%task, %run, attempt, %node, reason, "stage was not answered");
            Answer::Silence(reason)
        }
    }
}

async fn invoke_of(work: &Work, call: StageCall) -> Result<Invoke, String> {
    let mut inputs = call.inputs;
    for source in &call.sources {
        for object in work.source_book().objects(work, source).await? {
            inputs.push(invoke::Input { object, holder: source.node.clone() });
        }
    }
    let (content_type, body) = match (call.trigger, work.input_dir()) {
        (Some(count), Some(dir)) => {
            let dir = dir.to_owned();
            let read = tokio::task::spawn_blocking(move || trigger(&dir, count));
            (CONTENT_TYPE.to_owned(), read.await.map_err(|error| error.to_string())??)
        }
        _ => (String::new(), Vec::new()),
    };
    Ok(Invoke {
        workflow: call.workflow,
        task: call.task,
        run: call.run,
        attempt: call.attempt,
        root: call.run,
        hops: call.hops,
        source: work.me().clone(),
        deadline_ms: call.deadline_ms,
        budget: Budget::default(),
        inputs,
        outputs_to: call.outputs_to,
        content_type,
        body,
    })
}

async fn invoked(work: &Work, node: &NodeId, call: Invoke) -> Result<Invoked, String> {
    if node == work.me() {
        return Ok(work.invoke(call, Instant::now()).await);
    }
    let timeout = Duration::from_millis(u64::from(call.deadline_ms)) + LINK_SLACK;
    let task = (call.workflow.clone(), call.task.clone());
    let frame = tokio::task::spawn_blocking(move || encode(&call));
    let frame = frame.await.map_err(|error| error.to_string())?;
    let frame = frame.map_err(|error| error.to_string())?;
    let asked = work.fleet().invoke(node, (&task.0, &task.1), frame, timeout);
    let answer = asked.await.map_err(|error| error.to_string())?;
    let decoded = tokio::task::spawn_blocking(move || decode::<Invoked>(&answer));
    decoded.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// The file of a directory that a count names, going round.
fn trigger(dir: &Path, count: u64) -> Result<Vec<u8>, String> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let files_count = u64::try_from(files.len()).unwrap_or(u64::MAX);
    let Some(index) = count.checked_rem(files_count) else {
        return Err(format!("{} holds no file to trigger a run", dir.display()));
    };
    let path = &files[usize::try_from(index).expect("less than the number of files")];
    let bytes = std::fs::metadata(path).map_err(failed(path))?.len();
    if usize::try_from(bytes).map_or(true, |bytes| BODY_BYTES_MAX < bytes) {
        return Err(format!("{}: {bytes} bytes are more than a body has", path.display()));
    }
    std::fs::read(path).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_round_the_files_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(trigger(dir.path(), 0).unwrap_err().contains("no file"));
        for name in ["b", "a", "c"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::create_dir(dir.path().join("aa")).unwrap();
        let read: Vec<_> = (3..7).map(|count| trigger(dir.path(), count).unwrap()).collect();
        assert_eq!(read, [b"a", b"b", b"c", b"a"]);
        assert!(trigger(&dir.path().join("none"), 0).unwrap_err().contains("none"));
    }
}
