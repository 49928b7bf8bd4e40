//! Memory that a start has needed and nothing after it.

use crate::{heap, program_files, unused_stack};

/// Gives it back to the system: pages of program and libraries that may not be needed again, what is free of the heap,
/// and the stack that no call of this thread is using.
pub fn give_back() {
    program_files::let_go();
    unused_stack::let_go();
    heap::trim();
}
