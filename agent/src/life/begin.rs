//! What a start does before anything else: counts itself, and becomes the program that is to run.
//!
//! The packaged program does this. The program that it becomes, by `exec` in the same process, finds in a variable what was decided, and does not
//! decide again. A program that is run from its slot by hand does not either.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exec;
use super::file;
use super::program;
use super::slots::{Choice, Program, Slot, Slots};
use super::starts::{Limits, Mode, Starts};
use crate::agent::cut;
use crate::config::early::Early;

/// The variable that tells a program in a slot what the packaged one decided.
const DECIDED: &str = "STARBELT_LIFE";
/// What the kernel adds to the path of a program whose file was replaced.
const DELETED: &str = " (deleted)";

/// What a start has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The directory of the store.
    pub dir: PathBuf,
    /// When a node goes into safe mode.
    pub limits: Limits,
    /// With functions or without.
    pub mode: Mode,
    /// Where this program is; absent: it is the packaged one.
    pub slot: Option<Slot>,
    /// The packaged program.
    pub packaged: PathBuf,
    /// Its number.
    pub packaged_number: u64,
}

/// What is told to the program in a slot. Later versions may add, and leave nothing out.
#[derive(Serialize, Deserialize)]
struct Decided {
    slot: Slot,
    /// Starts that failed before, if this one is in safe mode.
    safe: Option<u32>,
    packaged: PathBuf,
    packaged_number: u64,
}

/// How a start goes on.
#[derive(Debug)]
pub struct Begun {
    /// What was decided.
    pub life: Life,
    /// The counter of starts as it was before, for a start that is refused before it began.
    before: Option<Starts>,
}

impl Begun {
    /// This start was refused for its configuration, before it began: it does not count.
    pub fn take_back(&self) {
        if let Some(before) = &self.before
            && let Err(error) = file::replace(&starts_file(&self.life.dir), before)
        {
            tracing::warn!(%error, "this start stays counted");
        }
    }
}

impl Begun {
    /// This program refuses the configuration, which another start would not change. If it is on trial, that is its end: the one before
    /// runs again, and may take it. Comes back where none is on trial, or where that does not work.
    pub fn refused(&self, reason: &str) {
        if self.life.give_up(reason) {
            let error = self.life.anew();
            tracing::error!(%error, "the program before cannot be started");
        }
    }
}

/// The counter of starts.
pub(super) fn starts_file(dir: &Path) -> PathBuf {
    dir.join("starts")
}

/// The folder of the slots.
pub(super) fn slots_dir(dir: &Path) -> PathBuf {
    dir.join("slots")
}

/// What lasts of programs.
pub(super) fn slots_file(dir: &Path) -> PathBuf {
    slots_dir(dir).join("state")
}

/// Begins a start. Does not come back where this process becomes the program in a slot.
pub fn begin(early: &Early) -> Begun {
    let (_, own_number) = super::own();
    let this = own_path();
    let life = |mode, slot, packaged, packaged_number| Life {
        dir: early.dir.clone(),
        limits: early.limits,
        mode,
        slot,
        packaged,
        packaged_number,
    };
    if let Some(decided) = decided() {
        let mode = decided.safe.map_or(Mode::Normal, |failed| Mode::Safe { failed });
        let Decided { slot, packaged, packaged_number, .. } = decided;
        return Begun { life: life(mode, Some(slot), packaged, packaged_number), before: None };
    }
    if std::env::var_os(DECIDED).is_some() || is_in_slot(&this, &early.dir) {
        tracing::warn!(
            "started from a slot by hand: no other program is chosen, and no start counted"
        );
        return Begun { life: life(Mode::Normal, None, this, own_number), before: None };
    }
    if let Err(error) = std::fs::create_dir_all(&early.dir) {
        // The store will say the same, with its words.
        tracing::error!(dir = %early.dir.display(), %error, "starts cannot be counted");
    }
    let (before, mode) = become_chosen(early, &this, own_number);
    Begun { life: life(mode, None, this, own_number), before }
}

/// Becomes the program in a slot, if one is to run; comes back where the packaged one is.
fn become_chosen(early: &Early, this: &Path, own: u64) -> (Option<Starts>, Mode) {
    let path = slots_file(&early.dir);
    let mut slots: Slots = file::read(&path).or_new(&path);
    loop {
        let (next, choice) = slots.choose(own);
        // Without updates there is nothing to remember.
        let is_durable = next == slots || slots == Slots::default() || keep(&path, &next);
        let choice = match choice {
            // What cannot be counted is not tried.
            Choice::Trial(_) if !is_durable => {
                next.active.as_ref().map_or(Choice::Packaged, |(slot, _)| Choice::Active(*slot))
            }
            other => other,
        };
        slots = next;
        let Some((slot, program)) = chosen(&slots, choice) else { break };
        let (_, mode) = count(early, program.number);
        if matches!(mode, Mode::SafePackaged { .. }) {
            tracing::error!(
                version = program.version,
                "fails in safe mode, too: the packaged program runs"
            );
            return (None, mode);
        }
        let reason = match program::check(&slots_dir(&early.dir), slot, program) {
            Ok(()) => become_program(early, (slot, program), mode, (this, own)),
            Err(reason) => reason,
        };
        tracing::error!(slot = slot.as_str(), reason, "the program in this slot is not started");
        slots = slots.unusable(slot, &reason);
        keep(&path, &slots);
    }
    count(early, own)
}

fn chosen(slots: &Slots, choice: Choice) -> Option<(Slot, &Program)> {
    match choice {
        Choice::Packaged => None,
        Choice::Active(_) => slots.active.as_ref().map(|(slot, program)| (*slot, program)),
        Choice::Trial(_) => slots.trial.as_ref().map(|trial| (trial.slot, &trial.program)),
    }
}

/// Says whether it is durable.
fn keep(path: &Path, slots: &Slots) -> bool {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let kept = made.and_then(|()| file::replace(path, slots));
    kept.inspect_err(|error| tracing::error!(path = %path.display(), %error, "not kept")).is_ok()
}

/// Counts a start of a program, durably; what there was before, and how the start goes on.
fn count(early: &Early, program: u64) -> (Option<Starts>, Mode) {
    let path = starts_file(&early.dir);
    let before: Starts = file::read(&path).or_new(&path);
    let (counted, mode) = before.begin(program, &early.limits);
    if let Err(error) = file::replace(&path, &counted) {
        // A disk that takes nothing is no reason to be out of reach.
        tracing::error!(path = %path.display(), %error, "this start is not counted");
    }
    (Some(before), mode)
}

/// Becomes the program in a slot; comes back with the reason if that does not work.
fn become_program(
    early: &Early,
    (slot, program): (Slot, &Program),
    mode: Mode,
    (packaged, packaged_number): (&Path, u64),
) -> String {
    let packaged = packaged.to_owned();
    let decided = Decided { slot, safe: mode.failed(), packaged, packaged_number };
    let decided = match serde_json::to_string(&decided) {
        Ok(text) => text,
        Err(error) => return error.to_string(),
    };
    let path = program::path(&slots_dir(&early.dir), slot);
    tracing::info!(
        slot = slot.as_str(),
        version = program.version,
        number = program.number,
        "becomes"
    );
    let error = exec::exec(&path, (DECIDED, Some(decided)));
    format!("{} cannot be started: {error}", path.display())
}

/// Becomes the program that was kept, for a look at a configuration: nothing is counted, and what is wrong is left to a start.
pub fn look_with_kept(early: &Early) {
    if std::env::var_os(DECIDED).is_some() || is_in_slot(&own_path(), &early.dir) {
        return;
    }
    let file::Kept::Value(slots) = file::read::<Slots>(&slots_file(&early.dir)) else { return };
    let ((_, own_number), this) = (super::own(), own_path());
    if let (slots, Choice::Active(slot)) = slots.choose(own_number)
        && let Some((_, program)) = &slots.active
        && program::check(&slots_dir(&early.dir), slot, program).is_ok()
    {
        become_program(early, (slot, program), Mode::Normal, (this.as_path(), own_number));
    }
}

/// What the packaged program decided, if it started this one.
fn decided() -> Option<Decided> {
    let text = std::env::var(DECIDED).ok()?;
    let read = serde_json::from_str(&text);
    read.inspect_err(|error| tracing::error!(%error, text, "{DECIDED} cannot be read")).ok()
}

/// Whether a program is one of those in the slots.
fn is_in_slot(program: &Path, dir: &Path) -> bool {
    // Without slots there is none.
    slots_dir(dir).canonicalize().is_ok_and(|slots| program.starts_with(slots))
}

/// Where this program is; where its file was replaced, the new one is.
fn own_path() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("starbelt-agent"));
    match path.to_str().and_then(|text| text.strip_suffix(DELETED)) {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

impl Life {
    /// A life without counting and slots, for who runs an agent otherwise.
    pub fn apart(dir: PathBuf, limits: Limits) -> Self {
        let (_, packaged_number) = super::own();
        Self { dir, limits, mode: Mode::Normal, slot: None, packaged: own_path(), packaged_number }
    }

    /// How long this start may take, if this program is on trial. Blocks.
    pub fn trial_time(&self) -> Option<Duration> {
        let slot = self.slot?;
        let file::Kept::Value(slots) = file::read::<Slots>(&slots_file(&self.dir)) else {
            return None;
        };
        let trial = slots.trial.filter(|trial| trial.slot == slot)?;
        Some(Duration::from_secs(trial.within_s.into()))
    }

    /// Gives this program up, if it is on trial; says whether it was, and that is durable. Blocks.
    pub fn give_up(&self, reason: &str) -> bool {
        let Some(slot) = self.slot else { return false };
        let path = slots_file(&self.dir);
        let slots: Slots = file::read(&path).or_new(&path);
        slots.rolled_back(slot, &cut(reason.to_owned())).is_some_and(|next| keep(&path, &next))
    }

    /// Begins anew: becomes the packaged program, which decides again; comes back only when that fails.
    pub fn anew(&self) -> io::Error {
        exec::exec(&self.packaged, (DECIDED, None))
    }
}
