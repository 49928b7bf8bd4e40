//! Who drives I/O. The crew says when and until when; the engine knows how.

use std::future::Future;
use std::time::Duration;

/// Drives I/O on the calling thread.
pub trait Driver: Sync {
    /// Drives I/O until `until` is ready. A second caller waits until the first has left, then takes over.
    fn drive<F: Future + Send>(&self, until: F) -> F::Output
    where
        F::Output: Send;

    /// As `drive`, at most for `at_most`.
    fn drive_for<F: Future<Output = ()> + Send>(&self, until: F, at_most: Duration);

    /// Drives I/O that is ready, without waiting.
    fn poll(&self);

    /// Sends coalesced bytes that nobody else has sent; true if there were any.
    fn flush(&self) -> bool;

    /// Whether coalesced bytes wait to be sent.
    fn has_unflushed(&self) -> bool;

    /// Called by a leader before it waits for a job: what was put off while there was more to do.
    fn before_wait(&self);
}
