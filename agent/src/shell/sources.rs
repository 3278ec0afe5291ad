//! Data sources: the objects that their nodes list for them, and those that come to this node ahead of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use protocol::belt::{Inventory, InventoryQuery, ObjectMeta};
use protocol::desired::SourceRef;
use protocol::invoke::Input;
use protocol::key::BeltService;
use protocol::{decode, encode};
use tokio::time::{Instant, sleep};
use types::{NodeId, TaskId, WorkflowId};

use super::work::{Work, locked};
use crate::state::Peers as _;

/// The workflow under which standing objects of data sources are kept.
const SOURCE_WORKFLOW: &str = "source";
/// How long a node may take to list what it holds.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(2);
/// Pages of an inventory that are read: as many objects as a call takes.
const INVENTORY_PAGES_MAX: usize = 4;
/// Tries to fetch the objects of a data source ahead of calls, and the pause between them: half a minute in all. Nodes that start
/// together find each other in less, and what is out of reach for longer is left to the calls.
const AHEAD_TRIES: u32 = 6;
const AHEAD_PAUSE: Duration = Duration::from_secs(5);
/// Longest time that one try takes: what may come for one data source, at 10 Mbit/s.
const AHEAD_TIME_MAX: Duration = Duration::from_secs(120);

/// A data source on a node.
type Name = (TaskId, NodeId);

/// Objects of data sources, as their nodes listed them; asked again when one of them is missed.
#[derive(Debug, Default)]
pub(super) struct SourceBook {
    known: Mutex<BTreeMap<Name, Vec<ObjectMeta>>>,
    /// Those that are being fetched ahead: a desired state that says so again does not fetch them twice.
    coming: Mutex<BTreeSet<Name>>,
}

impl SourceBook {
    pub(super) async fn objects(
        &self,
        work: &Work,
        source: &SourceRef,
    ) -> Result<Vec<ObjectMeta>, String> {
        if let Some(objects) = locked(&self.known).get(&name(source)) {
            return Ok(objects.clone());
        }
        let objects = listed(work, source).await?;
        locked(&self.known).insert(name(source), objects.clone());
        Ok(objects)
    }

    pub(super) fn forget(&self, sources: &[SourceRef]) {
        let mut known = locked(&self.known);
        for source in sources {
            known.remove(&name(source));
        }
    }
}

/// Fetches the objects of data sources that a task on this node takes, ahead of its calls. What does not come is left to them: a node
/// that cannot be reached now may be near when it counts.
pub(super) async fn fetch_ahead(work: &Work, sources: &[SourceRef]) {
    let coming = &work.source_book().coming;
    for source in sources.iter().filter(|source| source.node != *work.me()) {
        if locked(coming).insert(name(source)) {
            fetch_one(work, source).await;
            locked(coming).remove(&name(source));
        }
    }
}

async fn fetch_one(work: &Work, source: &SourceRef) {
    let SourceRef { name, node } = source;
    for tries in 1..=AHEAD_TRIES {
        match try_once(work, source).await {
            Ok(0) => return,
            Ok(bytes) => {
                return tracing::info!(source = %name, holder = %node, bytes, "fetched ahead of calls");
            }
            Err(reason) => {
                tracing::debug!(source = %name, holder = %node, tries, reason, "not fetched ahead");
            }
        }
        if tries < AHEAD_TRIES {
            sleep(AHEAD_PAUSE).await;
        }
    }
}

/// How many bytes came; none if all were here.
async fn try_once(work: &Work, source: &SourceRef) -> Result<u64, String> {
    let objects = listed(work, source).await?.into_iter();
    let inputs = objects.map(|object| Input { object, holder: source.node.clone() }).collect();
    let deadline = Instant::now() + AHEAD_TIME_MAX;
    let fetched = work.state().fetch_ahead(work.fleet(), inputs, deadline).await;
    fetched.map_err(|fault| format!("{fault:?}"))
}

/// Asks a node for the objects of a data source, of which there is one at least.
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
    if objects.is_empty() {
        return Err(format!("{} holds nothing of data source {}", source.node, source.name));
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

fn name(source: &SourceRef) -> Name {
    (source.name.clone(), source.node.clone())
}
