//! The lock and the atomics of deadlines and the wheel: the standard library's. `tests/wheel_order.rs` reads these two
//! files with loom's in their place.

pub use crate::lock::lock;
pub use std::sync::{
    Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
