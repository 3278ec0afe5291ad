//! Calls of stages that this node drives: the trigger from the input directory, the objects of data sources ([`super::sources`]), the call.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::invoke::{self, BODY_BYTES_MAX, Budget, Fault, Invoke, Invoked, Outcome};
use protocol::{decode, encode};
use types::NodeId;

use super::work::Work;
use crate::event::{Answer, StageCall};

/// What links may add to the time that a call may take on its node.
const LINK_SLACK: Duration = Duration::from_secs(1);
/// Media type of what the input directory holds.
const CONTENT_TYPE: &str = "application/octet-stream";

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
