//! Code at hand: each function is checked and, if it is a component, compiled once, and calls wait for it as long as they may. A function is known
//! by the hash of its signed manifest: the same code with other rights is another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use protocol::Message as _;
use protocol::desired::FunctionRef;
use protocol::manifest::{self, default_tenant};
use protocol::report::CodeMode;
use protocol::signed::SignedManifest;
use runtime::{Function, Isolation, MeasureState, PoolMode, Runtime, RuntimeConfig};
use tokio::sync::watch;
use types::FunctionId;

use super::grants::Grants;
use super::inference::{Models, Program};
use super::locked;
use super::module::{ModuleStore, Modules, Size, Wanted, fetch};
use super::trust::{Refusal, TrustBook};
use crate::clock::Clock;

/// Largest signed manifest.
const MANIFEST_BYTES_MAX: u32 = 132 * 1024;
const _: () = assert!(SignedManifest::BYTES_MAX < MANIFEST_BYTES_MAX as usize);
/// Between two questions for the signers, as long as nobody answers.
const SIGNERS_PAUSE: Duration = Duration::from_secs(1);

/// A function that may run here, and what it may do.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The code.
    pub code: Code,
    /// Its rights.
    pub grants: Arc<Grants>,
}

/// What is at hand of a function.
#[derive(Clone, Debug)]
pub enum Code {
    /// A component, compiled.
    Component(Function),
    /// A model or kernel, which runs without a guest.
    Program(Program),
}

/// Why a function cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAtHand {
    /// Nobody who counts wants it to run, or not now.
    #[error("{0}")]
    Refused(String),
    /// It is not here, or of no use.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for NotAtHand {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// A function: still on its way, at hand, or of no use.
type Slot = watch::Sender<Option<Result<Loaded, NotAtHand>>>;

/// All functions of a node; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct CodeBook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stores: Stores,
    trust: TrustBook,
    clock: Clock,
    models: Models,
    config: RuntimeConfig,
    is_apart: bool,
    /// Started with the first function: a node without one does not pay for an engine.
    runtime: OnceLock<Result<Runtime, String>>,
    slots: Mutex<BTreeMap<[u8; 32], Arc<Slot>>>,
    /// Compiling takes memory and all of a core: one at a time.
    compiling: tokio::sync::Mutex<()>,
}

/// Where code is kept.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Components and models.
    pub modules: ModuleStore,
    /// Signed manifests.
    pub manifests: ModuleStore,
}

impl CodeBook {
    /// No code yet.
    pub fn new(
        stores: Stores,
        trust: TrustBook,
        clock: Clock,
        models: Models,
        config: RuntimeConfig,
    ) -> Self {
        let is_apart = !matches!(config.isolation, Isolation::None);
        let inner = Inner {
            stores,
            trust,
            clock,
            models,
            config,
            is_apart,
            runtime: OnceLock::new(),
            slots: Mutex::new(BTreeMap::new()),
            compiling: tokio::sync::Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Gets a function from disk or from `source`, checks who signed it and what it may, and compiles it. Takes as long as
    /// the source is out of reach. A function that is at hand already is only checked again.
    ///
    /// # Errors
    /// What is wrong with it, in words; nothing runs it then.
    pub async fn load(&self, source: &impl Modules, function: &FunctionRef) -> Result<(), String> {
        let slot = self.slot(&function.manifest);
        let at_hand = slot.borrow().clone().and_then(Result::ok).map(|loaded| loaded.code);
        let loaded = self.load_anew(source, function, at_hand).await;
        let result = loaded.as_ref().map(|_| ()).map_err(ToString::to_string);
        slot.send_replace(Some(loaded));
        result
    }

    async fn load_anew(
        &self,
        source: &impl Modules,
        function: &FunctionRef,
        at_hand: Option<Code>,
    ) -> Result<Loaded, NotAtHand> {
        let grants = Arc::new(self.admitted(source, function).await?);
        let code = match (at_hand, &grants.code) {
            (Some(code), _) => code,
            (None, manifest::Code::Component) => {
                Code::Component(self.code(source, function).await?)
            }
            (None, manifest::Code::Onnx) => self.model(source, function).await?,
            (None, manifest::Code::Named(name)) => {
                let found = self.inner.models.named(name);
                found.map(Code::Program).map_err(NotAtHand::Refused)?
            }
        };
        if let Code::Component(component) = &code {
            if grants.warm.is_some() && !component.has_hooks() {
                let why = "its manifest says [function.warm], and its component has no hooks for that: build it for the world stateful-function";
                return Err(NotAtHand::Refused(why.to_owned()));
            }
            self.prepare(component, &grants).await;
        }
        Ok(Loaded { code, grants })
    }

    /// The model of a function that may run: fetched like a component, and checked instead of compiled.
    async fn model(
        &self,
        source: &impl Modules,
        function: &FunctionRef,
    ) -> Result<Code, NotAtHand> {
        self.fetched(source, function).await?;
        let (this, function) = (self.clone(), function.clone());
        let open = move || {
            let file = this.inner.stores.modules.open_file(&function.sha256);
            let file = file.map_err(|error| NotAtHand::Failed(error.to_string()))?;
            let model = this.inner.models.model(&function.name, file, function.sha256);
            let model = model.map_err(NotAtHand::Refused)?;
            tracing::info!(function = %function.name, bytes = function.bytes, "model at hand");
            Ok(Code::Program(model))
        };
        blocking(open).await?
    }

    /// The bytes of a function, which are kept on disk.
    async fn fetched(
        &self,
        source: &impl Modules,
        function: &FunctionRef,
    ) -> Result<Vec<u8>, String> {
        let wanted = Wanted {
            function: function.name.clone(),
            sha256: function.sha256,
            size: Size::Exactly(function.bytes),
        };
        let bytes = fetch(source, &self.inner.stores.modules, &wanted).await;
        bytes.map_err(|error| error.to_string())
    }

    /// Has the code where it will run, before the first call. If that does not work now, the call tries again and says why not.
    async fn prepare(&self, code: &Function, grants: &Grants) {
        let (this, code, tenant) = (self.clone(), code.clone(), grants.tenant.clone());
        let prepare = move || {
            let prepared = this.runtime()?.prepare(&code, &tenant);
            prepared.map_err(|fault| fault.to_string())
        };
        if let Err(reason) = blocking(prepare).await.flatten() {
            tracing::warn!(function = %grants.name, %reason, "function not prepared");
        }
    }

    /// The rights of a function whose signed manifest passes the checks of [`TrustBook::admit`].
    async fn admitted(
        &self,
        source: &impl Modules,
        function: &FunctionRef,
    ) -> Result<Grants, NotAtHand> {
        let wanted = Wanted {
            function: function.name.clone(),
            sha256: function.manifest,
            size: Size::AtMost(MANIFEST_BYTES_MAX),
        };
        let signed = fetch(source, &self.inner.stores.manifests, &wanted).await;
        let signed: Arc<[u8]> = signed.map_err(|error| error.to_string())?.into();
        let check = || {
            let (this, function, signed) = (self.clone(), function.clone(), Arc::clone(&signed));
            blocking(move || {
                let wall = this.inner.clock.now().wall;
                this.inner.trust.admit(&function, &signed, wall)
            })
        };
        let checked = match check().await? {
            // It may have been trusted just now.
            Err(Refusal::UnknownKey(_)) => {
                self.ask_signers(source).await?;
                check().await?
            }
            checked => checked,
        };
        match checked {
            Ok(manifest) => Ok(Grants::of(&manifest, signed)),
            Err(refusal) => {
                tracing::warn!(function = %function.name, %refusal, "function refused");
                Err(NotAtHand::Refused(refusal.to_string()))
            }
        }
    }

    /// Asks whose signatures count, until somebody answers.
    async fn ask_signers(&self, source: &impl Modules) -> Result<(), String> {
        loop {
            match source.signers().await {
                Ok(list) => {
                    let trust = self.inner.trust.clone();
                    if let Err(error) = blocking(move || trust.take(list)).await? {
                        tracing::warn!(%error, "list of signers not taken");
                    }
                    return Ok(());
                }
                Err(error) => tracing::debug!(%error, "signers"),
            }
            tokio::time::sleep(SIGNERS_PAUSE).await;
        }
    }

    /// Whose signatures count here.
    pub fn trust(&self) -> &TrustBook {
        &self.inner.trust
    }

    /// The code of a function that may run.
    async fn code(
        &self,
        source: &impl Modules,
        function: &FunctionRef,
    ) -> Result<Function, String> {
        if let Some(function) = self.cached(function).await? {
            return Ok(function);
        }
        let bytes = self.fetched(source, function).await?;
        let _one_at_a_time = self.inner.compiling.lock().await;
        // Another function of the same component may have been first.
        if let Some(function) = self.cached(function).await? {
            return Ok(function);
        }
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
    pub async fn at_hand(&self, manifest: &[u8; 32]) -> Result<Loaded, NotAtHand> {
        let mut slot = self.slot(manifest).subscribe();
        match slot.wait_for(Option::is_some).await {
            Ok(loaded) => loaded.clone().unwrap_or_else(|| Err("it is gone".to_owned().into())),
            Err(_closed) => Err("it is not wanted any more".to_owned().into()),
        }
    }

    /// The newest version at hand of a function that another one calls.
    ///
    /// # Errors
    /// Why there is none, or why it must not run.
    pub fn callee(&self, name: &FunctionId) -> Result<Loaded, NotAtHand> {
        let slots = locked(&self.inner.slots);
        let at_hand = slots.values().filter_map(|slot| slot.borrow().clone()?.ok());
        let versions = at_hand.filter(|loaded| loaded.grants.name == *name);
        let newest = versions.max_by_key(|loaded| loaded.grants.version).ok_or_else(|| {
            "no version of it is at hand on this node; place a task that runs it here".to_owned()
        })?;
        drop(slots);
        self.may_start(&newest.grants)?;
        Ok(newest)
    }

    /// The rights of a function of another node, by its signed manifest.
    ///
    /// # Errors
    /// Why it does not count here, in words.
    pub async fn vouched(&self, signed: Vec<u8>) -> Result<Grants, String> {
        let this = self.clone();
        let check = move || {
            let wall = this.inner.clock.now().wall;
            let manifest = this.inner.trust.vouch(&signed, wall);
            manifest.map(|manifest| Grants::of(&manifest, signed.into()))
        };
        blocking(check).await?.map_err(|refusal| refusal.to_string())
    }

    /// Whether functions run in processes of their own.
    pub fn is_apart(&self) -> bool {
        self.inner.is_apart
    }

    /// Whether a function at hand may still be started: nobody has revoked its key, and its time is not over.
    ///
    /// # Errors
    /// [`NotAtHand::Refused`] with the reason.
    pub fn may_start(&self, grants: &Grants) -> Result<(), NotAtHand> {
        let wall = self.inner.clock.now().wall;
        let checked = self.inner.trust.may_start(grants, wall);
        checked.map_err(|refusal| NotAtHand::Refused(refusal.to_string()))
    }

    /// Whether a function at hand must not run any more.
    pub fn is_over(&self, manifest: &[u8; 32]) -> bool {
        let slot = locked(&self.inner.slots).get(manifest).cloned();
        let loaded = slot.and_then(|slot| slot.borrow().clone()?.ok());
        loaded.is_some_and(|loaded| self.may_start(&loaded.grants).is_err())
    }

    /// Whether the instances of a function at hand are kept between calls.
    pub fn is_warm(&self, manifest: &[u8; 32]) -> bool {
        let slot = locked(&self.inner.slots).get(manifest).cloned();
        let loaded = slot.and_then(|slot| slot.borrow().clone()?.ok());
        loaded.is_some_and(|loaded| loaded.grants.warm.is_some())
    }

    /// Memory of all calls together in one process, in MiB.
    pub fn memory_mib(&self) -> u32 {
        match &self.inner.config.isolation {
            Isolation::None => self.inner.config.memory_mib,
            Isolation::Process(program) | Isolation::Tenant(program) => program.memory_mib,
        }
    }

    /// Forgets code; its module stays on disk.
    pub fn unload(&self, manifest: &[u8; 32]) {
        locked(&self.inner.slots).remove(manifest);
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

    fn slot(&self, manifest: &[u8; 32]) -> Arc<Slot> {
        let mut slots = locked(&self.inner.slots);
        Arc::clone(slots.entry(*manifest).or_insert_with(|| Arc::new(watch::Sender::new(None))))
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
