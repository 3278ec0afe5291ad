//! Code at hand: each function is compiled once, and calls wait for it as long as they may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use protocol::desired::FunctionRef;
use protocol::report::CodeMode;
use runtime::{Function, MeasureState, PoolMode, Runtime, RuntimeConfig};
use tokio::sync::watch;

use super::locked;
use super::module::{ModuleStore, Modules, fetch};
use super::processes::default_tenant;

/// A function: still on its way, at hand, or of no use.
type Slot = watch::Sender<Option<Result<Function, String>>>;

/// All functions of a node; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct CodeBook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: ModuleStore,
    config: RuntimeConfig,
    /// Started with the first function: a node without one does not pay for an engine.
    runtime: OnceLock<Result<Runtime, String>>,
    slots: Mutex<BTreeMap<[u8; 32], Arc<Slot>>>,
    /// Compiling takes memory and all of a core: one at a time.
    compiling: tokio::sync::Mutex<()>,
}

impl CodeBook {
    /// No code yet.
    pub fn new(store: ModuleStore, config: RuntimeConfig) -> Self {
        let inner = Inner {
            store,
            config,
            runtime: OnceLock::new(),
            slots: Mutex::new(BTreeMap::new()),
            compiling: tokio::sync::Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Gets a function from disk or from `source`, and compiles it. Takes as long as the source is out of reach.
    ///
    /// # Errors
    /// What is wrong with the module, in words.
    pub async fn load(&self, source: &impl Modules, function: &FunctionRef) -> Result<(), String> {
        let slot = self.slot(&function.sha256);
        let loaded = self.load_anew(source, function).await;
        let result = loaded.as_ref().map(|_| ()).map_err(Clone::clone);
        slot.send_replace(Some(loaded));
        result
    }

    async fn load_anew(
        &self,
        source: &impl Modules,
        function: &FunctionRef,
    ) -> Result<Function, String> {
        if let Some(function) = self.cached(function).await? {
            return Ok(function);
        }
        let (sha256, store) = (function.sha256, self.inner.store.clone());
        let on_disk = blocking(move || store.read(&sha256)).await?;
        let bytes = match on_disk {
            Some(bytes) => bytes,
            None => {
                let bytes = fetch(source, function).await.map_err(|error| error.to_string())?;
                let store = self.inner.store.clone();
                let write = move || store.write(&sha256, &bytes).map(|()| bytes);
                blocking(write).await?.map_err(|error| error.to_string())?
            }
        };
        let _one_at_a_time = self.inner.compiling.lock().await;
        let this = self.clone();
        let compile = move || this.runtime()?.load(&bytes).map_err(|error| words(&error));
        let loaded = blocking(compile).await??;
        let compiled_ms = u64::try_from(loaded.compiled_in().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(function = %function.name, compiled_ms, "function at hand");
        Ok(loaded)
    }

    /// The function as an earlier start compiled it.
    async fn cached(&self, function: &FunctionRef) -> Result<Option<Function>, String> {
        let (this, sha256) = (self.clone(), function.sha256);
        let cached = blocking(move || Ok(this.runtime()?.load_cached(&sha256))).await?;
        if let Ok(Some(loaded)) = &cached {
            let loaded_us = u64::try_from(loaded.compiled_in().as_micros()).unwrap_or(u64::MAX);
            tracing::info!(function = %function.name, loaded_us, "function at hand, compiled before");
        }
        cached
    }

    /// The function, as soon as it is at hand.
    ///
    /// # Errors
    /// Why it never will be, in words.
    pub async fn at_hand(&self, sha256: &[u8; 32]) -> Result<Function, String> {
        let mut slot = self.slot(sha256).subscribe();
        match slot.wait_for(Option::is_some).await {
            Ok(loaded) => loaded.clone().unwrap_or_else(|| Err("it is gone".to_owned())),
            Err(_closed) => Err("it is not wanted any more".to_owned()),
        }
    }

    /// Forgets code; its module stays on disk.
    pub fn unload(&self, sha256: &[u8; 32]) {
        locked(&self.inner.slots).remove(sha256);
    }

    /// How code is executed; `None` while the engine has not started.
    pub fn mode(&self) -> Option<CodeMode> {
        let runtime = self.inner.runtime.get()?.as_ref().ok()?;
        Some(match runtime.pool_mode() {
            PoolMode::Pooling { .. } => CodeMode::Pooled,
            PoolMode::OnDemand => CodeMode::OnDemand,
            PoolMode::Pulley => CodeMode::Pulley,
        })
    }

    /// The engine, which is started if it is not.
    ///
    /// # Errors
    /// Why it does not start, in words.
    pub fn runtime(&self) -> Result<&Runtime, String> {
        let start = || {
            let runtime = Runtime::new(self.inner.config.clone()).map_err(|error| words(&error))?;
            log_jail(&runtime);
            Ok(runtime)
        };
        self.inner.runtime.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    fn slot(&self, sha256: &[u8; 32]) -> Arc<Slot> {
        let mut slots = locked(&self.inner.slots);
        Arc::clone(slots.entry(*sha256).or_insert_with(|| Arc::new(watch::Sender::new(None))))
    }
}

/// Starts the first runner, and says what holds it.
fn log_jail(runtime: &Runtime) {
    match runtime.jail(&default_tenant()) {
        Some(Ok(jail)) => {
            tracing::info!(kernel = %jail.kernel, "functions run in a runner of their own");
            for measure in &jail.measures {
                match &measure.state {
                    MeasureState::InForce(_) => tracing::debug!("{measure}"),
                    MeasureState::Missing { .. } => tracing::warn!("{measure}"),
                }
            }
        }
        // Calls will try again, and say so.
        Some(Err(error)) => tracing::error!(%error, "no runner for functions"),
        None => tracing::warn!(
            "functions run in the agent itself: nothing holds what breaks out of them"
        ),
    }
}

/// An error and what it stems from, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Does work that blocks off the reactor.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("work was lost: {error}"))
}
