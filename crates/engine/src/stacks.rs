//! The stacks of the crew's threads: where in the application they are. Who knows is whatever calls that, and it may have to
//! wait for an interpreter that never comes free: so it is asked on a thread of its own, and not for long.

use crate::timer::timeout;
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long it may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Returns the stacks of these threads of the crew, each as some lines of text, as far as there are such.
pub type Teller = Arc<dyn Fn(&[usize]) -> Vec<Option<String>> + Send + Sync>;

/// Who knows the stacks, if anybody does.
#[derive(Default)]
pub struct Stacks(OnceLock<Teller>);

impl Stacks {
    /// Sets who knows them, once.
    pub fn show_by(&self, teller: Teller) {
        // A second one would be a second server in this one's place.
        let _ = self.0.set(teller);
    }

    /// The stacks of these threads, in this order; none where they could not be had.
    pub async fn of(&self, threads: Vec<usize>) -> Vec<Option<String>> {
        let Some(teller) = self.0.get().cloned() else { return Vec::new() };
        let (sender, stacks) = oneshot::channel();
        let asked = Builder::new().name("portico-stacks".into()).spawn(move || {
            // Where time is up nobody takes it.
            let _ = sender.send(teller(&threads));
        });
        if asked.is_err() {
            return Vec::new();
        }
        timeout(PATIENCE, stacks).await.and_then(Result::ok).unwrap_or_default()
    }
}
