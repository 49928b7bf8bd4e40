//! The disconnect watcher, without a server.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::disconnect::{DisconnectListener, DisconnectWatcher};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

struct Telling(Sender<u64>);

impl DisconnectListener for Telling {
    fn on_disconnect(self: Arc<Self>, token: u64) {
        self.0.send(token).unwrap();
    }
}

/// The threads of this process that are disconnect watchers.
fn watcher_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.as_ref().unwrap().path().join("comm")).unwrap_or_default() == "portico-leave\n"
        })
        .count()
}

/// A call may outlive its server, and then no thread may be started that nobody ends.
#[test]
fn a_watch_that_comes_after_the_end_fails() {
    let watcher = DisconnectWatcher::default();
    let (client, socket) = UnixStream::pair().unwrap();
    let (sender, tokens) = channel();
    let listener = Arc::new(Telling(sender));
    let token = watcher.watch(&socket, None, &listener).unwrap();
    drop(client);
    assert_eq!(tokens.recv_timeout(Duration::from_secs(10)), Ok(token));

    assert!(watcher.stop(Duration::from_secs(10)));
    let late = watcher.watch(&socket, None, &listener);
    assert_eq!(late.unwrap_err().to_string(), "the server has ended");
    while watcher_threads() > 0 {
        std::thread::yield_now();
    }
    watcher.forget(Some(&socket), token);
    assert!(watcher.stop(Duration::ZERO));
}
