//! Loom's lock and atomics in the place of those of `src/sync.rs`.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub use loom::sync::{Mutex, MutexGuard};
use std::cell::Cell;
pub use std::sync::atomic::Ordering;

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Where the fence of a sequentially consistent access stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    Before,
    After,
}

thread_local! {
    /// That of the model that runs on this thread, with all threads of its own.
    pub static FENCE: Cell<Fence> = const { Cell::new(Fence::Before) };
}

/// Loom knows no order of all sequentially consistent accesses, but it knows fences: compilers make the former of
/// the latter, either way. Where only an access that should be consistent is not, one of the two ways shows it.
fn fence(order: Ordering, place: Fence) {
    if order == Ordering::SeqCst && FENCE.get() == place {
        loom::sync::atomic::fence(order);
    }
}

/// What is left of an order without its fence.
fn without_fence(order: Ordering, left: Ordering) -> Ordering {
    if order == Ordering::SeqCst { left } else { order }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Default)]
        pub struct $name(loom::sync::atomic::$name);

        impl $name {
            pub fn new(value: $value) -> $name {
                $name(loom::sync::atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                fence(order, Fence::Before);
                let value = self.0.load(without_fence(order, Ordering::Acquire));
                fence(order, Fence::After);
                value
            }

            pub fn store(&self, value: $value, order: Ordering) {
                fence(order, Fence::Before);
                // A mere store of loom's does not hide from later loads the exchange that it has overwritten.
                let _ = self.0.swap(value, without_fence(order, Ordering::Release));
                fence(order, Fence::After);
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                fence(success, Fence::Before);
                let success_without = without_fence(success, Ordering::AcqRel);
                let exchanged = self.0.compare_exchange(current, new, success_without, failure);
                fence(success, Fence::After);
                exchanged
            }
        }
    };
}

atomic!(AtomicU8, u8);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

/// Runs a model with either way to make a sequentially consistent access.
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    let model = std::sync::Arc::new(model);
    for fence in [Fence::Before, Fence::After] {
        FENCE.set(fence);
        let model = model.clone();
        loom::model(move || model());
    }
}
