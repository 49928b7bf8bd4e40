//! The engine of portico: sockets, protocols, deadlines, budgets and accounts of one server. What calls the application
//! is a trait: a bridge to an interpreter, or a plain Rust function.
//!
//! The modules in reading order; each uses only what stands before it (a test holds that):
//!
//! 1. `lock`, `sync`, `clock`, `line_writer`, `json_text`, `bounded`, `os_error`, `log`, `notices`, `descriptor`, `datagram`, `timer`,
//!    `runtime`, `process_title`, `fork`, `orphan`, `privileges`, `landlock`: for everybody.
//! 2. `pace`, `settings`, `budget`, `heap`, `program_files`, `unused_stack`, `spare_memory`: how much and how long.
//!    `blocking`: threads that wait for disks.
//! 3. `state`: what may follow what, as tables.
//! 4. `killed_write`, `unwritten`, `call_times`, `thread_cpu`, `durations`, `metrics`, `trace`, `scoreboard`: accounts that
//!    need no interpreter. `summons`: how a thread is told that there is something to do.
//! 5. `deadline`, `wheel`, `admission`, `coalescing`, `interrupts`, `call_orders`, `slow_calls`, `failed_requests`,
//!    `profiling`, `stacks`, `disconnect`: who is late, who may come in, who waits, who is where and does what, who has left.
//! 6. `message` and `listener`: what comes in and goes out; what there is to know of a listening socket. `files`: which
//!    file is sent, and with which head. `access_log`: a line for each request. `account_terms`: what is kept for its
//!    account. `spans`: a record for whoever follows traces.
//! 7. `resources`: all of that for one server. `connection`: a socket with its exchange.
//! 8. `upstream`: requests that other servers respond to. `routing`: what is done with which request.
//! 9. `exchange`: from a complete request to the end of its response. `gate`: who is asked before another may come in.
//!    `server` adds the crew.
//! 10. `protocol`: the lives of connections. `orders`: what it is told from outside. `accept`, `housekeeping`, `aborted_calls`,
//!     `drain`: the tasks of a server.
//! 11. `calls`: calls of the application. `loop_thread`: many of them at a time on one thread. `engine` puts all together;
//!     `function` serves a Rust function.

pub mod aborted_calls;
pub mod accept;
pub mod access_log;
pub mod account_terms;
pub mod admission;
pub mod blocking;
pub mod bounded;
pub mod budget;
pub mod call_orders;
pub mod call_times;
pub mod calls;
pub mod clock;
pub mod coalescing;
pub mod connection;
pub mod datagram;
pub mod deadline;
pub mod descriptor;
pub mod disconnect;
pub mod drain;
pub mod durations;
pub mod engine;
pub mod exchange;
pub mod failed_requests;
pub mod files;
pub mod fork;
pub mod function;
pub mod gate;
mod heap;
pub mod housekeeping;
pub mod interrupts;
mod json_text;
pub mod killed_write;
pub mod landlock;
pub mod line_writer;
pub mod listener;
pub mod lock;
pub mod log;
pub mod loop_thread;
pub mod message;
pub mod metrics;
pub mod notices;
pub mod orders;
pub mod orphan;
pub mod os_error;
pub mod pace;
pub mod privileges;
pub mod process_title;
pub mod profiling;
mod program_files;
pub mod protocol;
pub mod resources;
pub mod routing;
pub mod runtime;
pub mod scoreboard;
pub mod server;
pub mod settings;
pub mod slow_calls;
pub mod spans;
pub mod spare_memory;
pub mod stacks;
pub mod state;
pub mod summons;
mod sync;
pub mod thread_cpu;
pub mod timer;
pub mod trace;
mod unused_stack;
pub mod unwritten;
pub mod upstream;
pub mod wheel;
