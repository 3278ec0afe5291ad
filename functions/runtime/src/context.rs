//! What the store of one call holds.

use std::sync::Arc;
use std::time::Instant;

use crate::carried::{Back, Carried};
use crate::chain::Chain;
use crate::fused::Fused;
use crate::host::Host;
use crate::lend::Lent;
use crate::limits::Limiter;
use crate::log::LogBudget;
use crate::run::Runner;
use crate::wasi::Wasi;
use crate::{CallFault, HandOver};

/// The data of one store; the interfaces of the contract are implemented on it.
pub(crate) struct Context {
    /// The host of the call; a called function has it while it runs.
    host: Option<Lent>,
    pub(crate) limiter: Limiter,
    pub(crate) log: LogBudget,
    /// Messages that were emitted.
    pub(crate) emitted: u32,
    pub(crate) state_ops: u32,
    /// How data went to functions that this one called; the farthest.
    pub(crate) hand_over: Option<HandOver>,
    /// Why the guest was stopped, if it was.
    pub(crate) stopped: Option<CallFault>,
    /// When it is stopped.
    pub(crate) deadline: Instant,
    /// Its place in the chain of calls.
    pub(crate) place: Place,
    /// What the chain may still use.
    pub(crate) chain: Chain,
    /// What it has of WASI.
    pub(crate) wasi: Wasi,
    /// Objects in memory.
    pub(crate) carried: Carried,
    /// Functions that were called in this store.
    pub(crate) fused: Fused,
    /// Runs what the guest calls.
    pub(crate) runner: Arc<Runner>,
}

/// Where a call stands in its chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) root: u64,
    pub(crate) hops: u8,
}

impl Context {
    pub(crate) fn new(
        host: Lent,
        runner: Arc<Runner>,
        chain: Chain,
        place: Place,
        (wasi, carried): (Wasi, Carried),
        (granted_bytes, deadline): (usize, Instant),
    ) -> Self {
        Self {
            host: Some(host),
            limiter: Limiter::new(granted_bytes),
            log: LogBudget::new(),
            emitted: 0,
            state_ops: 0,
            hand_over: None,
            stopped: None,
            deadline,
            place,
            chain,
            wasi,
            carried,
            fused: Fused::default(),
            runner,
        }
    }

    /// The host of the call.
    pub(crate) fn host(&mut self) -> &mut dyn Host {
        self.host.as_mut().expect("a guest asks only while it runs").get()
    }

    /// Takes the host away, for a function that this one calls.
    pub(crate) fn take_host(&mut self) -> Lent {
        self.host.take().expect("a guest calls one function at a time")
    }

    /// Gives it back.
    pub(crate) fn give_host(&mut self, host: Lent) {
        self.host = Some(host);
    }

    /// Nothing of a call is left: the store can wait for the next one.
    pub(crate) fn rest(&mut self) {
        self.host = None;
        self.carried = Carried::default();
    }

    /// Another instance takes the place of the first one, which has come to nothing.
    pub(crate) fn begin_anew(&mut self, granted_bytes: usize) {
        self.limiter = Limiter::new(granted_bytes);
        self.carried = Carried::default();
        let seed = self.wasi.seed();
        self.wasi = Wasi::new(self.deadline, seed);
    }

    /// Begins another call of the same instance: all is of that one, but the memory that it holds and its handles.
    pub(crate) fn renew(&mut self, next: Self) {
        let Self { limiter, wasi, .. } = std::mem::replace(self, next);
        self.limiter.go_on(&limiter);
        self.wasi.go_on(wasi);
    }

    /// The host and what goes back, when the store is gone.
    pub(crate) fn into_parts(self) -> (Lent, Option<Back>) {
        let host = self.host.expect("a call that was made has given the host back");
        (host, self.carried.back)
    }

    /// Notes how data went to a called function.
    pub(crate) fn went(&mut self, mode: HandOver) {
        self.hand_over = self.hand_over.max(Some(mode));
    }
}
