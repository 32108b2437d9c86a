//! Owned tasks: every spawned task is joined at shutdown, and its panic becomes an error.
//!
//! A [`Stop`] asks; a [`TaskSet`] waits. Async code here is cancelled by asking, never by dropping a future in the
//! middle of a durable write.

use std::future::Future;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The request to stop, cheap to clone and to wait for.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: watch::Receiver<bool>,
}

/// Asks everybody who holds the [`Stop`] to stop. Dropping it asks too.
#[derive(Debug)]
pub struct StopSource {
    ask: watch::Sender<bool>,
}

impl StopSource {
    /// A request not yet made.
    pub fn new() -> Self {
        Self { ask: watch::channel(false).0 }
    }

    /// What to hand to tasks.
    pub fn stop(&self) -> Stop {
        Stop { asked: self.ask.subscribe() }
    }

    /// Makes the request; idempotent.
    pub fn ask(&self) {
        self.ask.send_replace(true);
    }
}

impl Default for StopSource {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow() || self.asked.has_changed().is_err()
    }

    /// Returns when it is asked.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        // An error means the source is gone, which asks as well.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}

/// A task that panicked or was aborted.
#[derive(Debug, thiserror::Error)]
#[error("task '{name}' ended abnormally: {reason}")]
pub struct TaskDied {
    /// Its name.
    pub name: String,
    /// The panic's text.
    pub reason: String,
}

/// Tasks with names, all joined before the set is gone.
#[derive(Debug, Default)]
pub struct TaskSet {
    tasks: JoinSet<()>,
    names: std::collections::HashMap<tokio::task::Id, String>,
}

impl TaskSet {
    /// Spawns `work` on the current runtime.
    pub fn spawn(&mut self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.names.insert(handle.id(), name.into());
    }

    /// Waits for the next task to end. `None` when there is none.
    pub async fn join_next(&mut self) -> Option<Result<(), TaskDied>> {
        Some(match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => {
                self.names.remove(&id);
                Ok(())
            }
            Err(error) => {
                Err(TaskDied { name: self.names.remove(&error.id()).unwrap_or_default(), reason: panic_text(error) })
            }
        })
    }

    /// Waits for all; returns those that died.
    pub async fn join_all(&mut self) -> Vec<TaskDied> {
        let mut died = Vec::new();
        while let Some(ended) = self.join_next().await {
            died.extend(ended.err());
        }
        died
    }

    /// Tasks not yet joined.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_message(panic.as_ref()),
        Err(error) => error.to_string(),
    }
}

/// The text of a caught panic.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic without a text".to_owned()
    }
}
