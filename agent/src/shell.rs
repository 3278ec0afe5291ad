//! The shell: wires the machine to clocks, disk, sensors, guests and the bus. One task, one `select!`.
//!
//! ```text
//! bus ──Question──▶ ┌──────────┐ ──Input──▶ ┌───────┐
//! emulation ─Told─▶ │  Shell   │            │ Agent │
//! work ───Input───▶ │ (select) │ ◀─Outputs─ └───────┘
//! timer, signals ─▶ └──────────┘ ──▶ work: records and roles in order, everything else side by side
//! ```

mod backlog;
mod bridge;
mod calls;
mod chores;
mod fetching;
mod gnss;
mod membership;
mod questions;
pub mod signal;
mod sources;
mod start;
mod watchdog;
mod wellness;
mod work;
pub mod zenoh;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::desired::Verdict;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::fetching::Standing;
use self::membership::Membership;
pub use self::membership::MembershipError;
use self::signal::Signals;
pub use self::start::StartError;
use self::work::Work;
use self::zenoh::sim::Told;
use self::zenoh::{Question, Way};
use crate::agent::Agent;
use crate::config::Config;
use crate::event::{Input, Now, Output, Ticket};
use crate::health::Pulse;
use crate::life::{Life, LifeBook};

/// Questions that may wait for the shell; more are refused at once.
const QUESTIONS_MAX: usize = 256;
/// Finished work that may wait for the shell; who finishes more waits too.
const INPUTS_MAX: usize = 1024;
/// News of the emulation that may wait.
const NEWS_MAX: usize = 16;
/// How long calls in flight may take once the process is to end. With all that follows it ends within 11 s (the warm instances have one more,
/// what still blocks two); the service manager waits for 30.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// How long their answers may take to leave after that.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How long the rest of the work may take after that.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Runs an agent until it is told to end.
///
/// # Errors
/// [`StartError`] when store, sources or bus cannot be opened.
pub async fn run(config: Config, life: Life) -> Result<Ended, StartError> {
    let signals = Signals::listen()?;
    let shell = match life.trial_time() {
        None => start::start(config, life).await?,
        Some(within) => {
            let start = Box::pin(start::start(config, life.clone()));
            match tokio::time::timeout(within, start).await {
                Ok(shell) => shell?,
                // Nothing watches over it before it has started.
                Err(_late) => {
                    tracing::error!(?within, "this program is on trial and does not start");
                    life.give_up("it did not start in its time");
                    return Ok(Ended::Anew);
                }
            }
        }
    };
    Ok(shell.live(signals).await)
}

/// Why an agent has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// It has to start anew, with another certificate or other members, as another program, or in another mode.
    Anew,
}

/// Everything that the loop owns.
struct Shell {
    agent: Agent,
    work: Arc<Work>,
    questions: mpsc::Receiver<Question>,
    inputs: mpsc::Receiver<Input>,
    news: mpsc::Receiver<Told>,
    /// Who waits for the machine's answer.
    waiting: BTreeMap<Ticket, Way>,
    next_ticket: u64,
    /// In a fleet with certificates.
    membership: Option<Membership>,
    /// With what the loop answers that it comes round.
    pulse: Pulse,
    /// Which program this is, and how it starts.
    life: LifeBook,
    /// Who asks which tasks are desired and which run.
    standing: mpsc::Receiver<oneshot::Sender<Standing>>,
    /// Tasks that live as long as the shell.
    background: Vec<JoinHandle<()>>,
}

/// What woke the loop.
enum Woken {
    Question(Question),
    Input(Input),
    News(Told),
    Asked,
    Standing(oneshot::Sender<Standing>),
    Timer,
    End,
}

impl Shell {
    async fn live(mut self, mut signals: Signals) -> Ended {
        let (mut is_ready, mut is_ending, mut ended) = (false, false, Ended::Told);
        let (membership, life) = (self.membership.clone(), self.life.clone());
        let mut drained: Option<JoinHandle<u32>> = None;
        loop {
            let now = self.work.clock().now();
            let timer = self.agent.deadline(&now).map(|at| self.work.clock().system(at));
            let woken = tokio::select! {
                biased;
                // Told to end while it is about to start anew, it ends.
                () = signals.next(), if !is_ending || ended == Ended::Anew => {
                    ended = Ended::Told;
                    Woken::End
                }
                () = anew(membership.as_ref(), &life), if !is_ending => {
                    ended = Ended::Anew;
                    Woken::End
                }
                () = self.pulse.asked() => Woken::Asked,
                Some(input) = self.inputs.recv() => Woken::Input(input),
                Some(question) = self.questions.recv() => Woken::Question(question),
                Some(news) = self.news.recv() => Woken::News(news),
                Some(asked) = self.standing.recv() => Woken::Standing(asked),
                () = sleep_until(timer) => Woken::Timer,
                () = finished(&mut drained) => break,
            };
            match woken {
                Woken::End if is_ending => tell_of_end(ended),
                Woken::End => {
                    is_ending = true;
                    tell_of_end(ended);
                    tracing::info!("ending: calls in flight come to their end");
                    self.handle(Input::Stopping);
                    let exec = self.work.exec().clone();
                    drained = Some(tokio::spawn(async move { exec.drain(DRAIN_PATIENCE).await }));
                }
                Woken::Input(input) => {
                    let is_sample = matches!(input, Input::Sampled(_));
                    self.handle(input);
                    if is_sample && !is_ready {
                        is_ready = true;
                        watchdog::ready(&self.work);
                    }
                }
                Woken::Question(question) => questions::take(&mut self, question),
                Woken::News(news) => self.hear(news),
                Woken::Asked => {}
                // Who asked may have gone.
                Woken::Standing(asked) => asked.send(self.agent.standing()).unwrap_or_default(),
                Woken::Timer => self.handle(Input::Timer),
            }
        }
        self.end().await;
        // Told meanwhile, it does not start anew.
        let is_told = tokio::time::timeout(Duration::ZERO, signals.next()).await.is_ok();
        if is_told { Ended::Told } else { ended }
    }

    /// Lets the machine decide, and does what it says.
    fn handle(&mut self, input: Input) {
        let now = self.work.clock().now();
        let outputs = self.agent.handle(&now, input);
        self.perform(&now, outputs);
    }

    fn perform(&mut self, now: &Now, outputs: Vec<Output>) {
        let mut samples = Vec::new();
        for output in outputs {
            match output {
                Output::Sample(group) => samples.push(group),
                Output::AnswerDesired { ticket, reply } => {
                    if reply.verdict != Verdict::Reported {
                        let (epoch, generation) = (reply.facts.epoch, reply.facts.generation);
                        tracing::info!(%epoch, %generation, verdict = ?reply.verdict, "desired");
                    }
                    self.answer(ticket, &*reply);
                }
                Output::AnswerCommand { ticket, reply } => self.answer(ticket, &reply),
                Output::AnswerEvents { ticket, page } => self.answer(ticket, &page),
                other => self.work.perform(now, other),
            }
        }
        self.work.sample(samples);
    }

    fn answer<M: protocol::Message>(&mut self, ticket: Ticket, message: &M) {
        let Some(way) = self.waiting.remove(&ticket) else { return };
        // Whoever ends the process waits for what holds room.
        let room = Arc::clone(self.work.frames_kib()).try_acquire_owned();
        match protocol::encode(message) {
            Ok(frame) => self.work.crew().spawn(async move {
                way.send(frame).await;
                drop(room);
            }),
            Err(error) => tracing::error!(%error, "answer cannot be sent"),
        }
    }

    fn hear(&mut self, news: Told) {
        match news {
            Told::Clock(clock) => {
                if self.work.follow(clock) {
                    tracing::info!(sky = %self.work.clock().sky(), rate = clock.rate, "sky clock");
                }
            }
            Told::Env(env) => self.work.surround(env),
        }
        self.handle(Input::Timer);
    }

    async fn end(self) {
        if tokio::time::timeout(ANSWER_PATIENCE, self.work.all_answered()).await.is_err() {
            tracing::warn!("answers were cut off");
        }
        self.work.tap().end().await;
        let ended = tokio::time::timeout(FLUSH_PATIENCE, self.work.finish()).await;
        let life = self.life.clone();
        if let Ok(Err(error)) = fetching::blocking(move || life.ended()).await {
            tracing::warn!(%error, "this start is counted as one that failed");
        }
        for task in &self.background {
            task.abort();
        }
        tracing::info!(complete = ended.is_ok(), "ended");
    }
}

/// Who starts anew stays the same service for whoever manages it.
fn tell_of_end(ended: Ended) {
    if ended == Ended::Told {
        watchdog::stopping();
    }
}

async fn anew(membership: Option<&Membership>, life: &LifeBook) {
    let by_membership = async {
        match membership {
            Some(membership) => membership.anew().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = by_membership => {}
        () = life.anew() => {}
    }
}

async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn finished(task: &mut Option<JoinHandle<u32>>) {
    let Some(task) = task else { return std::future::pending().await };
    match task.await {
        Ok(0) => {}
        Ok(left) => tracing::warn!(left, "calls were cut off"),
        Err(error) => tracing::error!(%error, "calls were not waited for"),
    }
}
