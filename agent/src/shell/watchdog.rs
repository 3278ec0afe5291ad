//! What the service manager is told: that the node serves, that it lives, that it ends. Without one, nothing is told, and tasks that
//! hang are only logged.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use super::work::Work;

/// Between two rounds where nobody waits for them.
const ROUND: Duration = Duration::from_secs(10);
/// Rounds in the time after which the service manager ends the process: a task may be at work for two of three.
const ROUNDS: u32 = 3;

/// The configuration is good, the store is open and the first sample is taken. Not that there is a link: a satellite starts without.
pub(super) fn ready(work: &Work) {
    tell(&[NotifyState::Ready, NotifyState::Status(&status(work))]);
}

/// Calls in flight come to their end, then the process does.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending")]);
}

/// Asks all tasks again and again, and tells the service manager that the process lives each time that all have answered.
pub(super) async fn watch_over(work: Arc<Work>) {
    let every = sd_notify::watchdog_enabled().map_or(ROUND, |limit| limit / ROUNDS);
    let health = work.health();
    while work.is_wanted() {
        tokio::time::sleep(every).await;
        while tokio::time::timeout(every, health.round()).await.is_err() {
            let tasks = health.silent().join(", ");
            tracing::error!(tasks, "these do not answer; the watchdog is not fed");
        }
        tell(&[NotifyState::Watchdog, NotifyState::Status(&status(&work))]);
    }
}

/// One line for `systemctl status`.
fn status(work: &Work) -> String {
    let (heard, peers) = work.links();
    format!("serves; {heard} of {peers} peers heard")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
