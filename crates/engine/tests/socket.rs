//! Sockets: no client is read for so long that others wait.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::budget::Budget;
use portico_engine::connection::socket::Socket;
use portico_engine::message::buffers::Buffers;
use std::cell::Cell;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use tokio::task::{LocalSet, spawn_local};

/// What a read buffer takes at once.
const READ: usize = 16 * 1024;
/// What is sent; in one turn a client may have a quarter of it.
const SENT: usize = 1 << 20;

fn connect() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    (Socket::new(accepted.into()), client)
}

#[test]
fn who_sends_faster_than_it_is_read_leaves_others_their_turn() {
    let buffers = Rc::new(Buffers::new(&Budget::new(1 << 20)));
    let (fast, mut fast_client) = connect();
    let (other, mut other_client) = connect();
    let read = Rc::new(Cell::new(0));
    fast_client.write_all(&vec![b'b'; 3 * READ]).unwrap();

    let (pool, counted) = (buffers.clone(), read.clone());
    let reading = async move {
        let mut inbound = None;
        while counted.get() < SENT {
            counted.set(counted.get() + fast.fill(&mut inbound, &pool).await.unwrap());
            inbound.take().into_iter().for_each(|buffer| pool.give_back(buffer));
            // There is always more than is read at once.
            fast_client.write_all(&[b'b'; READ]).unwrap();
            if counted.get() == READ {
                other_client.write_all(b"one").unwrap();
            }
        }
    };
    let read_before_other = async move {
        other.fill(&mut None, &buffers).await.unwrap();
        read.get()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let read_before_other = runtime.block_on(LocalSet::new().run_until(async {
        let reading = spawn_local(reading);
        let read_before_other = spawn_local(read_before_other).await.unwrap();
        reading.await.unwrap();
        read_before_other
    }));

    assert!(read_before_other <= SENT / 4 + READ, "{read_before_other} bytes of one client before any of another");
}
