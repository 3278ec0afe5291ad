//! Watches whether this start is well: so that it counts as a good one, so that a program on trial is kept or given up, and so that safe mode
//! comes to its end.
//!
//! Well is: the store takes a record durably, all tasks answer, and, on trial, the tasks that ran before and are still desired run again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::event::{EventKind, UpdateStep};
use protocol::report::Line;
use tokio::sync::oneshot;

use super::fetching::{AskStanding, blocking};
use super::work::Work;
use crate::event::Input;
use crate::life::LifeBook;
use crate::life::slots::Trial;
use crate::life::trial::{Look, Verdict, Watch};
use crate::plan::{Outlook, PlanBook};

/// Between two looks at most.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// The same, at least.
const LOOK_MIN: Duration = Duration::from_millis(100);
/// How long the loop may take to answer, and the store to keep a record.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Between two times that the stay in safe mode is counted on disk.
const SAFE_STEP: Duration = Duration::from_secs(10);
/// The record that shows that the store keeps something.
const ALIVE: &str = "alive";

/// What watching needs.
pub(super) struct Wellness {
    pub(super) work: Arc<Work>,
    pub(super) life: LifeBook,
    pub(super) plan: PlanBook,
    pub(super) standing: AskStanding,
}

impl Wellness {
    /// Watches until nothing more is to be decided.
    pub(super) async fn run(self) {
        let started = Instant::now();
        self.tell_end().await;
        let trial = self.life.trial();
        if let Some(Trial { program, .. }) = &trial {
            let (number, version) = (program.number, program.version.clone());
            let (step, reason) = (UpdateStep::OnTrial, String::new());
            let told = EventKind::Update { number, version, step, reason };
            self.work.tell(Input::Happened(told)).await;
        }
        if let Some(trial) = trial
            && !self.watch_trial(&trial, started).await
        {
            return;
        }
        tokio::join!(self.prove(started), self.stay_in_safe_mode());
    }

    /// Counts the stay in safe mode, until it is over.
    async fn stay_in_safe_mode(&self) {
        while self.life.safe_mode().is_some() && self.work.is_wanted() {
            // Short back-offs are not overslept.
            let left_s = self.life.safe_mode().map_or(0, |safe| u64::from(safe.left_s));
            let step = SAFE_STEP.min(Duration::from_secs(left_s.max(1)));
            tokio::time::sleep(step).await;
            let life = self.life.clone();
            if let Ok(Err(error)) = blocking(move || life.waited(step.as_secs())).await {
                tracing::warn!(%error, "the stay in safe mode is not counted");
            }
        }
    }

    /// Tells how the last update ended, if nobody did.
    async fn tell_end(&self) {
        let Some(told) = self.life.untold() else { return };
        self.work.tell(Input::Happened(told)).await;
        let life = self.life.clone();
        if let Ok(Err(error)) = blocking(move || life.told()).await {
            tracing::warn!(%error, "what was told will be told again");
        }
    }

    /// Watches a program on trial until it is kept; `false` when it was given up or could not be kept.
    async fn watch_trial(&self, trial: &Trial, started: Instant) -> bool {
        let within = Duration::from_secs(u64::from(trial.within_s));
        let settle = self.life.healthy().min(within / 3);
        let (version, number) = (&trial.program.version, trial.program.number);
        tracing::info!(version, number, ?within, ?settle, "this program is on trial");
        let mut watch = Watch::default();
        while self.work.is_wanted() {
            let is_well = self.is_well(&trial.ran).await;
            let look = Look {
                up: started.elapsed(),
                is_well: is_well.is_ok(),
                is_heard: self.is_heard(),
                outlook: self.outlook(),
            };
            if let Err(reason) = &is_well {
                tracing::warn!(reason, "on trial and not well");
            }
            let life = self.life.clone();
            match watch.look(&look, (within, settle)) {
                Verdict::Wait => {}
                Verdict::Commit => match flat(blocking(move || life.commit()).await) {
                    Ok(true) => {
                        tracing::info!(version, number, "this program is well and stays");
                        self.tell_end().await;
                        return true;
                    }
                    Ok(false) => return true,
                    Err(error) => tracing::error!(error, "it cannot be kept; again later"),
                },
                Verdict::RollBack(reason) => {
                    let detail = is_well.err().unwrap_or_default();
                    let reason = if detail.is_empty() {
                        reason.to_owned()
                    } else {
                        format!("{reason}: {detail}")
                    };
                    tracing::error!(version, number, reason, "this program is given up");
                    if let Err(error) = flat(blocking(move || life.roll_back(&reason)).await) {
                        // Its starts are counted: the last one ends it.
                        tracing::error!(error, "that cannot be made durable");
                    }
                    self.life.begin_anew();
                    return false;
                }
            }
            tokio::time::sleep((settle / 4).clamp(LOOK_MIN, LOOK_MAX)).await;
        }
        false
    }

    /// Counts this start as a good one once it was well for long enough.
    async fn prove(&self, started: Instant) {
        let healthy = self.life.healthy();
        let step = (healthy / 4).clamp(LOOK_MIN, LOOK_MAX);
        let mut since = started;
        while self.work.is_wanted() {
            match self.is_well(&[]).await {
                Err(reason) => {
                    tracing::warn!(reason, "not well");
                    since = Instant::now();
                }
                Ok(()) if healthy <= since.elapsed() => {
                    let life = self.life.clone();
                    match flat(blocking(move || life.proved()).await) {
                        Ok(()) => return tracing::debug!("this start counts as a good one"),
                        Err(error) => tracing::warn!(error, "this start is not counted as good"),
                    }
                }
                Ok(()) => {}
            }
            tokio::time::sleep(step).await;
        }
    }

    /// Whether all local checks pass; else what does not.
    async fn is_well(&self, ran: &[String]) -> Result<(), String> {
        let state = self.work.state().clone();
        let keep = blocking(move || state.save_record(ALIVE, b"1"));
        match tokio::time::timeout(ANSWER_PATIENCE, keep).await {
            Err(_late) => return Err(format!("the store took longer than {ANSWER_PATIENCE:?}")),
            Ok(kept) => flat(kept).map_err(|reason| format!("the store: {reason}"))?,
        }
        let health = self.work.health();
        if tokio::time::timeout(ANSWER_PATIENCE, health.round()).await.is_err() {
            return Err(format!("these do not answer: {}", health.silent().join(", ")));
        }
        let (tell, standing) = oneshot::channel();
        let asked = async {
            self.standing.send(tell).await.ok()?;
            standing.await.ok()
        };
        let answered = tokio::time::timeout(ANSWER_PATIENCE, asked).await;
        let Ok(Some((desired, running))) = answered else {
            return Err("the loop does not answer".to_owned());
        };
        let is_missing = |task: &&String| desired.contains(task) && !running.contains(task);
        match ran.iter().find(is_missing) {
            Some(task) => Err(format!("{task} ran before and does not run yet")),
            None => Ok(()),
        }
    }

    /// Whether the controller gave a receipt in this start.
    fn is_heard(&self) -> bool {
        self.work.keeping().report().is_some_and(|backlog| backlog.line == Line::Heard)
    }

    fn outlook(&self) -> Outlook {
        let now = self.work.clock().now();
        let controller = self.work.controller();
        controller.map_or(Outlook::Unknown, |node| self.plan.outlook(&node, &now))
    }
}

/// Work that was lost, and work that failed, alike.
fn flat<T, E: ToString>(done: Result<Result<T, E>, String>) -> Result<T, String> {
    done.and_then(|done| done.map_err(|error| error.to_string()))
}
