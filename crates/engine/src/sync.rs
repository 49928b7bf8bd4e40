//! The lock and the atomics of what is model-checked: the standard library's. `tests/wheel_order.rs` and `turn_order.rs`
//! read those files with loom's in their place.

pub use crate::lock::lock;
pub use std::sync::{
    Mutex,
    atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
};
