//! Tasks beside the loop: each is joined when it has ended, and none outlives the shell.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// Tasks that run now.
#[derive(Debug, Default)]
pub(in crate::shell) struct Crew {
    tasks: Mutex<JoinSet<()>>,
}

impl Crew {
    /// Runs a task; those that have ended are joined.
    pub(in crate::shell) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "work was lost");
            }
        }
        tasks.spawn(task);
    }

    /// Ends all tasks that still run.
    pub(in crate::shell) async fn dismiss(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}
