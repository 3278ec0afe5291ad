//! A node with models in a folder of its own, and the events that it saw.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use infer::backend::Backend;
use infer::health::Standing;
use infer::{Answer, Config, Event, Fault, Inference, Job, Tensor};
use sha2::{Digest as _, Sha256};
use types::ExecutionMode;

pub(crate) type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Longer than any test needs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A node under test.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) infer: Inference,
    pub(crate) folder: tempfile::TempDir,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Node {
    /// A node with these back ends, all of which have been probed.
    pub(crate) fn with(backends: Vec<Arc<dyn Backend>>) -> Result<Self> {
        Self::limited(backends, |_| ())
    }

    /// The same, with other limits.
    pub(crate) fn limited(
        backends: Vec<Arc<dyn Backend>>,
        limit: impl FnOnce(&mut Config),
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let sink = move |event| told.lock().expect("no test panics with it").push(event);
        let mut config = Config::new(folder.path().to_owned());
        limit(&mut config);
        let infer = Inference::start(config, backends, Arc::new(sink))?;
        let node = Self { infer, folder, events };
        node.wait_until(|node| {
            node.infer.backends().iter().all(|status| status.standing != Standing::Probing)
        });
        Ok(node)
    }

    /// Puts a model into the folder and the catalog.
    pub(crate) fn hold(&self, name: &str, model: &[u8]) -> Result {
        std::fs::write(self.folder.path().join(format!("{name}.onnx")), model)?;
        self.infer.insert_model(name, Sha256::digest(model).into())?;
        Ok(())
    }

    pub(crate) fn run(
        &self,
        model: &str,
        inputs: Vec<Tensor>,
        mode: ExecutionMode,
    ) -> Result<Answer, Fault> {
        let deadline = Instant::now() + LONG;
        self.infer.run(&Job { model: model.to_owned(), inputs, mode, deadline })
    }

    pub(crate) fn standing(&self, backend: &str) -> Standing {
        let status = self.infer.backends().into_iter().find(|status| status.name == backend);
        status.expect("a back end of the test").standing
    }

    pub(crate) fn is_advertised(&self, backend: &str) -> bool {
        matches!(self.standing(backend), Standing::Advertised { .. })
    }

    /// The events so far, which are forgotten.
    pub(crate) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().expect("no test panics with it"))
    }

    /// Looks again and again, for a time that only a broken node needs.
    pub(crate) fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LONG;
        while !is_so(self) {
            assert!(Instant::now() < end, "waited {LONG:?} in vain");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

pub(crate) fn f32s(name: &str, dims: &[u32], values: &[f32]) -> Tensor {
    Tensor::from_f32(name, dims.to_vec(), values).expect("a sound tensor")
}

/// The values of the only output.
#[track_caller]
pub(crate) fn values(answer: &Answer) -> Vec<f32> {
    assert_eq!(answer.outputs.len(), 1);
    answer.outputs[0].to_f32().expect("single precision")
}
