//! The stacks of the crew's threads, and of the tasks of an event loop: where in the application they are. Who knows is
//! whatever calls that, and it may have to wait for an interpreter that never comes free: so it is asked on a thread of its
//! own, and not for long.

use crate::log::{Level, log};
use crate::timer::timeout;
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long it may take.
const PATIENCE: Duration = Duration::from_millis(200);
/// The same for all tasks of a loop, of which there may be a thousand. A worker that is replaced is left that much
/// (`portico.process.overdue`).
const PATIENCE_FOR_TASKS: Duration = Duration::from_millis(800);

/// Returns the stacks of these threads of the crew, each as some lines of text, as far as there are such.
pub type Teller = Arc<dyn Fn(&[usize]) -> Vec<Option<String>> + Send + Sync>;

/// Returns where the tasks of an event loop stand that have given its thread up, as one text; nothing if there are none.
pub type TellerOfTasks = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Who knows the stacks, if anybody does.
#[derive(Default)]
pub struct Stacks {
    of_calls: OnceLock<Teller>,
    of_tasks: OnceLock<TellerOfTasks>,
}

impl Stacks {
    /// Sets who knows them, once.
    pub fn show_by(&self, of_calls: Teller, of_tasks: TellerOfTasks) {
        // A second one would be a second server in this one's place.
        let _ = self.of_calls.set(of_calls);
        let _ = self.of_tasks.set(of_tasks);
    }

    /// The stacks of these threads, in this order; none where they could not be had.
    pub async fn of(&self, threads: Vec<usize>) -> Vec<Option<String>> {
        let Some(teller) = self.of_calls.get().cloned() else { return Vec::new() };
        ask(PATIENCE, move || teller(&threads)).await.unwrap_or_default()
    }

    /// Logs where the tasks of the event loop stand, or that this cannot be told.
    pub async fn log_tasks(&self) {
        let Some(teller) = self.of_tasks.get().cloned() else { return };
        match ask(PATIENCE_FOR_TASKS, move || teller()).await {
            Some(Some(stacks)) => log(Level::Warning, &stacks),
            Some(None) => {}
            None => log(
                Level::Warning,
                "where greenlets stand cannot be told: the interpreter does not come free, so that only the stacks of \
                 threads are written",
            ),
        }
    }
}

/// What `teller` says, on a thread of its own; none if it does not within `patience`.
async fn ask<T: Send + 'static>(patience: Duration, teller: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, reply) = oneshot::channel();
    let asked = Builder::new().name("portico-stacks".into()).spawn(move || {
        // Where time is up nobody takes it.
        let _ = sender.send(teller());
    });
    asked.ok()?;
    timeout(patience, reply).await.and_then(Result::ok)
}
