//! What the running agent does with its own life: takes orders for another program, keeps what comes of it, tries it, keeps it or gives it up;
//! proves its start, and leaves safe mode. All of it is durable before it counts; what blocks says so.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::command::CommandVerdict;
use protocol::event::{EventKind, UpdateStep};
use protocol::release::Release;
use protocol::report::{LifeReport, SafeMode, UpdateReport};
use tokio::sync::Notify;

use super::begin::{Life, slots_dir, slots_file, starts_file};
use super::file;
use super::program;
pub use super::program::{Part as PartFile, Unfit};
use super::release::{OWN_ARCH, Standing, admit, open};
use super::slots::{Order, Outcome, Program, Slots, Trial};
use super::starts::{Limits, Starts};
use crate::agent::cut;
use crate::config::{StartConfig, UpdateConfig};

/// An order for another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its command: epoch and number.
    pub command: (u64, u64),
    /// The frame of the signed release.
    pub release: Vec<u8>,
    /// How long one start of it may take to be well, in seconds.
    pub within_s: u32,
    /// Only say whether it would be taken.
    pub is_rehearsal: bool,
}

/// The book; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct LifeBook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    life: Life,
    start: StartConfig,
    update: UpdateConfig,
    slots: Mutex<Slots>,
    starts: Mutex<Starts>,
    /// Bytes that are here of what is ordered.
    have: AtomicU32,
    /// Why nothing comes, if so.
    waits: Mutex<String>,
    /// Told when something was ordered.
    ordered: Notify,
    /// Told when the agent has to begin anew, as another program or in another mode.
    anew: Notify,
    /// The counter of starts says how the next one begins, and the end of this one says nothing more.
    is_decided: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LifeBook {
    /// Opens what `begin` has left. Blocks.
    pub fn open(life: Life, start: StartConfig, update: UpdateConfig) -> Self {
        let (slots, starts) = (slots_file(&life.dir), starts_file(&life.dir));
        let inner = Inner {
            slots: Mutex::new(file::read(&slots).or_new(&slots)),
            starts: Mutex::new(file::read(&starts).or_new(&starts)),
            life,
            start,
            update,
            have: AtomicU32::new(0),
            waits: Mutex::default(),
            ordered: Notify::new(),
            anew: Notify::new(),
            is_decided: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the start decided.
    pub fn life(&self) -> &Life {
        &self.inner.life
    }

    /// How long a start must be well to count as a good one.
    pub fn healthy(&self) -> Duration {
        self.inner.start.healthy
    }

    /// In safe mode: how it came to that, and how long it lasts.
    pub fn safe_mode(&self) -> Option<SafeMode> {
        let failed = self.inner.life.mode.failed()?;
        let left_s = locked(&self.inner.starts).left_s(&self.inner.start.limits);
        Some(SafeMode { failed, left_s: u32::try_from(left_s).unwrap_or(u32::MAX) })
    }

    /// What is told of the agent's program; `None` while there is nothing to tell.
    pub fn report(&self) -> Option<LifeReport> {
        let slots = locked(&self.inner.slots).clone();
        let (safe_mode, update) = (self.safe_mode(), self.update_report(&slots));
        let is_packaged = self.inner.life.slot.is_none();
        let is_worth_it = safe_mode.is_some() || update.is_some() || !is_packaged;
        let (_, number) = super::own();
        is_worth_it.then_some(LifeReport { number, is_packaged, safe_mode, update })
    }

    fn update_report(&self, slots: &Slots) -> Option<UpdateReport> {
        let of = |program: &Program, step, have, reason: &str| UpdateReport {
            number: program.number,
            version: program.version.clone(),
            step,
            have,
            bytes: program.bytes,
            reason: cut(reason.to_owned()),
        };
        if let Some(order) = &slots.order {
            let have = self.inner.have.load(Ordering::Relaxed);
            let waits = locked(&self.inner.waits).clone();
            return Some(of(&order.program, UpdateStep::Ordered, have, &waits));
        }
        if let Some(trial) = &slots.trial {
            let is_running = self.inner.life.slot == Some(trial.slot);
            let step = if is_running { UpdateStep::OnTrial } else { UpdateStep::Fetched };
            return Some(of(&trial.program, step, trial.program.bytes, ""));
        }
        let ended = slots.ended.as_ref()?;
        let (step, have) = match ended.outcome {
            Outcome::Committed => (UpdateStep::Committed, ended.program.bytes),
            Outcome::RolledBack => (UpdateStep::RolledBack, ended.program.bytes),
            Outcome::Refused => (UpdateStep::Refused, 0),
        };
        Some(of(&ended.program, step, have, &ended.reason))
    }

    /// Takes an order, durably; the answer, and what is to be told. Blocks.
    pub fn order(&self, asked: &Asked) -> (CommandVerdict, Option<EventKind>) {
        match self.try_order(asked) {
            Ok(taken) => taken,
            Err(reason) => (CommandVerdict::Denied { reason: cut(reason) }, None),
        }
    }

    fn try_order(&self, asked: &Asked) -> Result<(CommandVerdict, Option<EventKind>), String> {
        let release = open(&asked.release, &self.inner.update.keys).map_err(|e| e.to_string())?;
        let mut slots = locked(&self.inner.slots);
        if let Some(known) = known(&slots, asked.command, &release) {
            return known.map(|verdict| (verdict, None));
        }
        let (_, running) = super::own();
        let standing = Standing { running, floor: slots.floor, arch: OWN_ARCH };
        admit(&release, &standing).map_err(|error| error.to_string())?;
        let program = Program {
            number: release.number,
            version: release.version.clone(),
            sha256: release.sha256,
            bytes: release.bytes,
            asked: asked.command,
        };
        let base = Slots { packaged: self.inner.life.packaged_number, ..slots.clone() };
        let next = base.ordered(program, asked.within_s)?;
        let dir = slots_dir(&self.inner.life.dir);
        let on_disk = |error: std::io::Error| format!("{}: {error}", dir.display());
        std::fs::create_dir_all(&dir).map_err(on_disk)?;
        program::has_room(&dir, release.bytes.into())?;
        if asked.is_rehearsal {
            return Ok((CommandVerdict::Done, None));
        }
        file::replace(&slots_file(&self.inner.life.dir), &next).map_err(on_disk)?;
        *slots = next;
        self.inner.have.store(0, Ordering::Relaxed);
        self.inner.ordered.notify_one();
        let Release { number, version, .. } = release;
        let step = UpdateStep::Ordered;
        let told = EventKind::Update { number, version, step, reason: String::new() };
        Ok((CommandVerdict::Scheduled, Some(told)))
    }

    /// What is to be fetched.
    pub fn ordered(&self) -> Option<Order> {
        locked(&self.inner.slots).order.clone()
    }

    /// Waits until something was ordered; may come back without.
    pub async fn until_ordered(&self) {
        self.inner.ordered.notified().await;
    }

    /// Opens what has come of an order. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn part(&self, order: &Order) -> std::io::Result<PartFile> {
        PartFile::open(&slots_dir(&self.inner.life.dir), order.slot, &order.program)
    }

    /// How far it has come, and why nothing comes, if so.
    pub fn note(&self, have: u32, waits: &str) {
        self.inner.have.store(have, Ordering::Relaxed);
        waits.clone_into(&mut locked(&self.inner.waits));
    }

    /// All of an order is here: it is tried at the next start. `None` if it is not ordered any more. Blocks.
    ///
    /// # Errors
    /// [`Unfit`]; the order stays.
    pub fn fetched(
        &self,
        order: &Order,
        part: &PartFile,
        ran: Vec<String>,
    ) -> Result<Option<EventKind>, Unfit> {
        part.finish(OWN_ARCH)?;
        let starts = self.inner.update.starts;
        let kept = self.change(|slots| slots.fetched(&order.program.sha256, starts, ran));
        let kept = kept.map_err(|error| Unfit::Disk(error.to_string()))?;
        Ok(kept.then(|| told(&order.program, UpdateStep::Fetched, "")))
    }

    /// An order is not tried. `None` if it is not ordered any more. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn refuse(&self, order: &Order, reason: &str) -> std::io::Result<bool> {
        self.change(|slots| slots.refused(&order.program.sha256, &cut(reason.to_owned())))
    }

    /// The program that runs, if it is on trial.
    pub fn trial(&self) -> Option<Trial> {
        let slot = self.inner.life.slot?;
        locked(&self.inner.slots).trial.clone().filter(|trial| trial.slot == slot)
    }

    /// The program that runs is well, and stays. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn commit(&self) -> std::io::Result<bool> {
        let Some(slot) = self.inner.life.slot else { return Ok(false) };
        self.change(|slots| slots.committed(slot))
    }

    /// The program that runs is not well: the next start is that of the one before. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn roll_back(&self, reason: &str) -> std::io::Result<bool> {
        let Some(slot) = self.inner.life.slot else { return Ok(false) };
        self.change(|slots| slots.rolled_back(slot, reason))
    }

    /// How the last update ended, if nobody has told of it.
    pub fn untold(&self) -> Option<EventKind> {
        let slots = locked(&self.inner.slots);
        let ended = slots.ended.as_ref().filter(|ended| !ended.is_told)?;
        let step = match ended.outcome {
            Outcome::Committed => UpdateStep::Committed,
            Outcome::RolledBack => UpdateStep::RolledBack,
            Outcome::Refused => UpdateStep::Refused,
        };
        Some(told(&ended.program, step, &ended.reason))
    }

    /// An event has told of it. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn told(&self) -> std::io::Result<bool> {
        self.change(|slots| Some(slots.told()))
    }

    /// Makes a change durable; says whether there was one.
    fn change(&self, change: impl FnOnce(&Slots) -> Option<Slots>) -> std::io::Result<bool> {
        let mut slots = locked(&self.inner.slots);
        let Some(next) = change(&slots) else { return Ok(false) };
        file::replace(&slots_file(&self.inner.life.dir), &next)?;
        *slots = next;
        Ok(true)
    }

    /// This start is well. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn proved(&self) -> std::io::Result<()> {
        let (mode, limits) = (self.inner.life.mode, self.inner.start.limits);
        self.count(|starts| starts.proved(mode, &limits))
    }

    /// This start ends as it was told to. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn ended(&self) -> std::io::Result<()> {
        if self.inner.is_decided.load(Ordering::Acquire) {
            return Ok(());
        }
        let (mode, limits) = (self.inner.life.mode, self.inner.start.limits);
        self.count(|starts| starts.ended(mode, &limits))
    }

    /// Safe mode has lasted so much longer; once it has lasted long enough, the agent begins anew. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn waited(&self, more_s: u64) -> std::io::Result<()> {
        let (starts, is_over) = locked(&self.inner.starts).waited(more_s, &self.inner.start.limits);
        self.count(|_| starts)?;
        if is_over {
            self.inner.is_decided.store(true, Ordering::Release);
            self.begin_anew();
        }
        Ok(())
    }

    /// An operator says that functions are to run again; the answer, and whether the agent has to begin anew for it. Blocks.
    pub fn resume(&self) -> (CommandVerdict, bool) {
        if self.inner.life.mode.failed().is_none() {
            return (CommandVerdict::Done, false);
        }
        match self.count(Starts::resumed) {
            Ok(()) => {
                self.inner.is_decided.store(true, Ordering::Release);
                (CommandVerdict::Done, true)
            }
            Err(error) => {
                let reason = cut(format!("it cannot be made durable: {error}"));
                (CommandVerdict::Denied { reason }, false)
            }
        }
    }

    fn count(&self, change: impl FnOnce(Starts) -> Starts) -> std::io::Result<()> {
        let mut starts = locked(&self.inner.starts);
        let next = change(*starts);
        if next != *starts {
            file::replace(&starts_file(&self.inner.life.dir), &next)?;
            *starts = next;
        }
        Ok(())
    }

    /// Has the agent end, in order, and begin anew.
    pub fn begin_anew(&self) {
        self.inner.anew.notify_one();
    }

    /// Waits until the agent has to begin anew.
    pub async fn anew(&self) {
        self.inner.anew.notified().await;
    }
}

fn told(program: &Program, step: UpdateStep, reason: &str) -> EventKind {
    let (number, version) = (program.number, program.version.clone());
    EventKind::Update { number, version, step, reason: cut(reason.to_owned()) }
}

/// What became of a release that was asked for before: by this command, or by another one that asked for the same.
fn known(
    slots: &Slots,
    command: (u64, u64),
    release: &Release,
) -> Option<Result<CommandVerdict, String>> {
    let is_same = |program: &Program| program.sha256 == release.sha256;
    let under_way = [
        slots.order.as_ref().map(|order| &order.program),
        slots.trial.as_ref().map(|trial| &trial.program),
    ];
    if under_way.into_iter().flatten().any(is_same) {
        return Some(Ok(CommandVerdict::Scheduled));
    }
    if slots.active.as_ref().is_some_and(|(_, program)| is_same(program)) {
        return Some(Ok(CommandVerdict::Done));
    }
    let ended = slots.ended.as_ref().filter(|ended| ended.program.asked == command)?;
    Some(match ended.outcome {
        Outcome::Committed => Ok(CommandVerdict::Done),
        Outcome::RolledBack => Err(format!("it was tried and given up: {}", ended.reason)),
        Outcome::Refused => Err(format!("it was not tried: {}", ended.reason)),
    })
}

/// What lasts of starts and programs below a directory, in words, for `doctor`.
pub fn words(dir: &Path, limits: &Limits) -> String {
    let (starts_path, slots_path) = (starts_file(dir), slots_file(dir));
    let starts = match file::read::<Starts>(&starts_path) {
        file::Kept::Value(starts) if starts.failed < limits.failures_max => {
            format!("{} of {} failed starts in a row", starts.failed, limits.failures_max)
        }
        file::Kept::Value(starts) => format!(
            "safe mode: {} failed starts in a row; functions run again in {} s at the latest, or after `starbelt node resume`",
            starts.failed,
            starts.left_s(limits)
        ),
        file::Kept::Nothing => "never started here".to_owned(),
        file::Kept::Damaged(reason) => format!("{}: {reason}", starts_path.display()),
    };
    let program = match file::read::<Slots>(&slots_path) {
        file::Kept::Value(Slots { trial: Some(trial), .. }) => format!(
            "{} (number {}) is on trial in slot {}, {} starts left",
            trial.program.version,
            trial.program.number,
            trial.slot.as_str(),
            trial.starts_left
        ),
        file::Kept::Value(Slots { active: Some((slot, program)), .. }) => {
            format!("{} (number {}) in slot {}", program.version, program.number, slot.as_str())
        }
        file::Kept::Value(_) | file::Kept::Nothing => "the packaged program".to_owned(),
        file::Kept::Damaged(reason) => format!("{}: {reason}", slots_path.display()),
    };
    format!("starts: {starts}\nprogram: {program}")
}

#[cfg(test)]
mod tests;
