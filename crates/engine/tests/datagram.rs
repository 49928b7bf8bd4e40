//! Datagrams to a service manager: whole, with their descriptors, and never waiting.

#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use portico_engine::{datagram, orders};
use std::io::{ErrorKind, Read as _, Write as _, pipe};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

fn abstract_socket(name: &str) -> UnixDatagram {
    let name = format!("{name}-{}", std::process::id());
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
}

fn address_of(name: &str) -> Vec<u8> {
    format!("@{name}-{}", std::process::id()).into_bytes()
}

#[test]
fn a_datagram_reaches_a_socket_of_either_kind() {
    let path = std::env::temp_dir().join(format!("portico-datagram-{}", std::process::id()));
    let file = UnixDatagram::bind(&path).unwrap();
    let abstract_one = abstract_socket("portico-kind");
    for (socket, address) in [(file, path.to_str().unwrap().as_bytes()), (abstract_one, &*address_of("portico-kind"))] {
        datagram::send(address, b"READY=1", &[]).unwrap();
        let mut received = [0; 64];
        let count = socket.recv(&mut received).unwrap();
        assert_eq!(&received[..count], b"READY=1");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn descriptors_travel_with_it_and_stay_open_here() {
    let socket = abstract_socket("portico-descriptors");
    let (mut reader, mut writer) = pipe().unwrap();
    datagram::send(&address_of("portico-descriptors"), b"FDSTORE=1", &[writer.as_raw_fd()]).unwrap();
    writer.write_all(b"kept").unwrap();
    drop(writer);
    let mut bytes = [0; 64];
    let (count, received) = orders::receive(socket.as_raw_fd(), &mut bytes).unwrap();
    assert_eq!((&bytes[..count], received.len()), (b"FDSTORE=1".as_slice(), 1));
    let mut theirs = std::fs::File::from(received.into_iter().next().unwrap() as OwnedFd);
    theirs.write_all(b" and passed").unwrap();
    drop(theirs);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept and passed");
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let socket = abstract_socket("portico-full");
    let address = address_of("portico-full");
    let mut sent = 0;
    let error = loop {
        match datagram::send(&address, b"STATUS=busy", &[]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(sent > 0);
    drop(socket);
    let error = datagram::send(&address, b"STATUS=busy", &[]).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    assert!(datagram::send(b"", b"READY=1", &[]).is_err());
    assert!(datagram::send(&[b'a'; 200], b"READY=1", &[]).is_err());
    assert!(datagram::send(b"@portico-none", b"FDSTORE=1", &[-1]).is_err());
    let socket = abstract_socket("portico-many");
    assert!(datagram::send(&address_of("portico-many"), b"FDSTORE=1", &[socket.as_raw_fd(); 64]).is_err());
}
