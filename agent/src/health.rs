//! Whether all tasks of the agent still come round: a round asks each of them, and ends when all have answered.
//!
//! A task answers while it waits for work ([`Pulse::during`]), so one that is stuck in its work does not, and neither does one that ended.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// Asks; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The number of the newest round.
    rounds: watch::Sender<u64>,
    /// The last round that each task has answered.
    answers: Mutex<BTreeMap<&'static str, u64>>,
    answered: Notify,
}

impl Health {
    /// Nobody has to answer yet.
    pub fn new() -> Self {
        let (rounds, _) = watch::channel(0);
        let (answers, answered) = (Mutex::default(), Notify::new());
        Self { inner: Arc::new(Inner { rounds, answers, answered }) }
    }

    /// With what a task answers, from now on and until the agent ends.
    pub fn pulse(&self, task: &'static str) -> Pulse {
        let rounds = self.inner.rounds.subscribe();
        let newest = *rounds.borrow();
        self.inner.answers().insert(task, newest);
        Pulse { task, rounds, inner: Arc::clone(&self.inner) }
    }

    /// Asks all tasks, and waits until all have answered.
    pub async fn round(&self) {
        self.inner.rounds.send_modify(|round| *round += 1);
        loop {
            // Before the look, so that an answer in between is not missed.
            let answered = self.inner.answered.notified();
            if self.silent().is_empty() {
                return;
            }
            answered.await;
        }
    }

    /// The tasks that have not answered the newest round.
    pub fn silent(&self) -> Vec<&'static str> {
        let newest = *self.inner.rounds.borrow();
        let answers = self.inner.answers();
        answers.iter().filter(|(_, round)| **round < newest).map(|(task, _)| *task).collect()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn answers(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With what a task answers. A task that ends without the agent is missed from then on.
#[derive(Debug)]
pub struct Pulse {
    task: &'static str,
    rounds: watch::Receiver<u64>,
    inner: Arc<Inner>,
}

impl Pulse {
    /// Waits for `what`, and answers meanwhile. What is work and not waiting does not belong in here.
    pub async fn during<F: Future>(&mut self, what: F) -> F::Output {
        let mut what = pin!(what);
        loop {
            tokio::select! {
                // Answers first, or a task that always finds work would never answer.
                biased;
                () = self.asked() => {}
                output = &mut what => return output,
            }
        }
    }

    /// Waits until it is asked, and answers. Nothing is lost if it is dropped before.
    pub async fn asked(&mut self) {
        if self.rounds.changed().await.is_err() {
            // Nobody asks any more; this handle holds who would.
            std::future::pending::<()>().await;
        }
        let round = *self.rounds.borrow_and_update();
        self.inner.answers().insert(self.task, round);
        self.inner.answered.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// One step of a future: whether it has ended.
    async fn is_over(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_round_ends_when_all_have_answered() {
        let health = Health::new();
        health.round().await;
        let (mut a, mut b) = (health.pulse("a"), health.pulse("b"));
        let mut round = pin!(health.round());
        assert!(!is_over(round.as_mut()).await);
        assert_eq!(health.silent(), ["a", "b"]);
        a.asked().await;
        assert!(!is_over(round.as_mut()).await);
        assert_eq!(health.silent(), ["b"]);
        b.asked().await;
        round.await;
        assert!(health.silent().is_empty());
    }

    #[tokio::test]
    async fn a_task_answers_while_it_waits_and_not_while_it_works() {
        let health = Health::new();
        let mut pulse = health.pulse("worker");
        let (begin, begun) = oneshot::channel::<()>();
        let (finish, finished) = oneshot::channel::<()>();
        let (started, has_started) = oneshot::channel::<()>();
        let worker = tokio::spawn(async move {
            pulse.during(begun).await.unwrap();
            started.send(()).unwrap();
            finished.await.unwrap();
            pulse.during(std::future::pending::<()>()).await;
        });
        health.round().await;
        begin.send(()).unwrap();
        has_started.await.unwrap();
        let mut round = pin!(health.round());
        assert!(!is_over(round.as_mut()).await);
        assert_eq!(health.silent(), ["worker"]);
        finish.send(()).unwrap();
        round.await;
        worker.abort();
    }

    #[tokio::test]
    async fn a_task_that_always_finds_work_answers_too() {
        let health = Health::new();
        let mut pulse = health.pulse("busy");
        let busy = tokio::spawn(async move {
            loop {
                pulse.during(std::future::ready(())).await;
                tokio::task::yield_now().await;
            }
        });
        health.round().await;
        health.round().await;
        busy.abort();
    }

    #[tokio::test]
    async fn a_task_that_has_ended_is_missed() {
        let health = Health::new();
        drop(health.pulse("gone"));
        let mut round = pin!(health.round());
        assert!(!is_over(round.as_mut()).await);
        assert_eq!(health.silent(), ["gone"]);
    }
}
