//! The line of workers that wait at a listening socket: a new connection wakes the first that sleeps there, not all
//! (EPOLLEXCLUSIVE, epoll_ctl(2)).
//!
//! The runtime's reactor has no such option, so its own registration is made anew with it: in the same epoll instance,
//! with the same data, so that the reactor never knows. Where the instance cannot be found (no /proc), every idle
//! worker wakes, and all else stays as it is.

use crate::descriptor;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

/// A place in the line.
pub struct Place {
    epoll: OwnedFd,
    data: u64,
}

impl Place {
    /// Makes the reactor's registration of `socket` one that waits in line.
    pub fn take(socket: &OwnedFd) -> Option<Place> {
        let (epoll, data) = registration(socket.as_raw_fd())?;
        let place = Place { epoll: descriptor::duplicate(epoll).ok()?, data };
        place.go_to_the_end(socket);
        Some(place)
    }

    /// Lets all others be woken before this worker. What has come meanwhile is an event at once.
    pub fn go_to_the_end(&self, socket: &OwnedFd) {
        let Place { epoll, data } = self;
        let add = |flags| epoll::add(epoll, socket, EventData::new_u64(*data), EventFlags::IN | EventFlags::ET | flags);
        let added = epoll::delete(epoll, socket).and_then(|()| add(EventFlags::EXCLUSIVE));
        if added.is_err() {
            // A kernel that has no such line (before 4.5).
            let _ = add(EventFlags::empty());
        }
    }
}

/// The epoll instance of this process that watches `socket`, and the data of that registration (proc_pid_fdinfo(5)).
fn registration(socket: RawFd) -> Option<(RawFd, u64)> {
    let numbers =
        fs::read_dir("/proc/self/fd").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.into_iter().find_map(|fd: RawFd| {
        let kind = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        if kind.as_os_str() != "anon_inode:[eventpoll]" {
            return None;
        }
        let watched = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        let data = watched.lines().find_map(|line| data_of(line, socket))?;
        Some((fd, data))
    })
}

/// The data in a line such as `tfd:  19 events: 80000019 data: 55d0  pos:0 ino:1f sdev:9`, if it is about `socket`.
fn data_of(line: &str, socket: RawFd) -> Option<u64> {
    let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
    if words.next()?.parse() != Ok(socket) {
        return None;
    }
    u64::from_str_radix(words.skip_while(|word| *word != "data:").nth(1)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_a_registration_is_read() {
        let line = "tfd:       19 events: 80000019 data:     55d0f00d0010  pos:0 ino:1f sdev:9";
        assert_eq!(data_of(line, 19), Some(0x55d0_f00d_0010));
        assert_eq!(data_of(line, 1), None);
        assert_eq!(data_of("pos:\t0", 19), None);
    }
}
