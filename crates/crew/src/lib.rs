//! The crew: the threads that call an application, and who of them drives I/O. A leader/follower pool (Schmidt et al.,
//! "Leader/Followers", 2000) with a watchdog.
//!
//! Whoever parses requests pushes jobs into the queue. The *leader* drives I/O until a job comes out, and calls the
//! application on the same thread: no hand-off, no wake-up. The other threads are *parked*. The *watchdog* is a plain
//! thread that never calls the application: it finds a leader stuck in a call and gives the lead to a parked thread (or
//! to a new one, up to the limit); when nobody is free it drives I/O itself, so bodies arrive and responses leave while
//! all threads are in the application. It also flushes coalesced response bytes that nobody else has sent (PEP 3333
//! "Buffering and Streaming": another thread may go on transmitting).
//!
//! ```text
//!               next job            slow route, or found stuck by the watchdog
//!   parked <------------- leader ----------------------------------------------.
//!     ^  \__ made leader __/  ^                                                v
//!     |                       '---- nobody leads -------- former leader, still in its call
//!     '-------------------------- somebody leads ---------------'
//! ```
//!
//! Modules in reading order:
//!
//! 1. `model`, `sync`: locks, atomics and pauses, those of the standard library or loom's.
//! 2. `driver`: who is asked to drive I/O; the engine is one.
//! 3. `queue`: the jobs that wait for a thread, bounded in time.
//! 4. `routes`: which routes wait long, by a moving average.
//! 5. `calls`: the one word that the leader and the watchdog share; `watchdog` is how the watchdog is woken.
//! 6. `lead`: which thread leads, parks, or is in a call; how the lead changes hands.
//! 7. `watch`: the watchdog's life.
//! 8. `crew`: all of that together, and a crew thread's life.
//!
//! Generic over what is queued and over who drives I/O. No sockets, no interpreter, no clock of its own. The hand-over
//! of the lead is checked with loom (`tests/hand_over.rs`).

#![forbid(unsafe_code)]

mod calls;
mod crew;
mod driver;
mod lead;
#[cfg(loom)]
mod model;
mod queue;
mod routes;
pub mod sync;
mod watch;
mod watchdog;

pub use crew::{Called, Crew, JobHandler, Running, Taken, Terms};
pub use driver::Driver;
pub use lead::Spawn;
pub use queue::Job;
