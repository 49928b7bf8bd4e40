//! Where the access log goes: lines to a descriptor, or records to the socket of a log daemon.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;

/// The socket of the local log daemon (syslog(3)).
const LOCAL_SYSLOG: &str = "/dev/log";
/// That of systemd-journald for its native protocol.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// The port of syslog over UDP (RFC 5426 3.3).
const SYSLOG_PORT: u16 = 514;
const EXPECTED: &str = "syslog, syslog:unix:/PATH, syslog:udp://HOST:PORT, journald or journald:unix:/PATH";

/// Where it goes, by the setting `access_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Lines, to a file, a pipe or a terminal.
    Stream,
    /// Datagrams to the log daemon of this host, which listens at this path.
    LocalSyslog(String),
    /// Datagrams over UDP to a host and its port.
    RemoteSyslog(String),
    /// Entries for systemd's journal, whose daemon listens at this path.
    Journal(String),
}

impl Destination {
    /// What `access_log` says.
    ///
    /// # Errors
    /// A sentence: what was expected.
    pub fn read(text: &str) -> Result<Destination, String> {
        let unexpected = || format!("access_log: expected {EXPECTED}, got {text}");
        let (daemon, place) = text.split_once(':').unwrap_or((text, ""));
        let path = place.strip_prefix("unix:").filter(|path| path.starts_with('/'));
        match (daemon, path) {
            ("syslog", _) if text == daemon => Ok(Destination::LocalSyslog(LOCAL_SYSLOG.to_owned())),
            ("journald", _) if text == daemon => Ok(Destination::Journal(JOURNAL.to_owned())),
            ("syslog", Some(path)) => Ok(Destination::LocalSyslog(path.to_owned())),
            ("journald", Some(path)) => Ok(Destination::Journal(path.to_owned())),
            ("syslog", None) => {
                let host = place.strip_prefix("udp://").and_then(with_port).ok_or_else(unexpected)?;
                Ok(Destination::RemoteSyslog(host))
            }
            ("journald", None) => Err(unexpected()),
            _ => Ok(Destination::Stream),
        }
    }

    /// The socket's own name, to be shown.
    pub fn name(&self) -> &str {
        match self {
            Destination::Stream => "",
            Destination::LocalSyslog(name) | Destination::RemoteSyslog(name) | Destination::Journal(name) => name,
        }
    }

    /// The address of a daemon on this host, which it has again after a restart.
    pub fn local_address(&self) -> Option<SocketAddrAny> {
        match self {
            Destination::Stream | Destination::RemoteSyslog(_) => None,
            Destination::LocalSyslog(path) | Destination::Journal(path) => {
                SocketAddrUnix::new(path.as_str()).ok().map(Into::into)
            }
        }
    }

    /// What ends a record.
    pub fn end_of_record(&self) -> &'static [u8] {
        // An entry of the journal is lines; none of them is empty.
        if matches!(self, Destination::Journal(_)) { b"\n\n" } else { b"\n" }
    }

    /// How many records `bytes` are.
    pub fn count(&self, bytes: &[u8]) -> u64 {
        let end = self.end_of_record();
        bytes.windows(end.len()).filter(|window| *window == end).count() as u64
    }

    /// A socket that waits for nobody, and why it is not connected, if the daemon does not listen at the moment.
    ///
    /// # Errors
    /// There can be none: the host has no address, or there are no more descriptors.
    pub fn open(&self) -> io::Result<(OwnedFd, Option<Errno>)> {
        let remote = match self {
            Destination::RemoteSyslog(host) => Some(resolve(host)?),
            _ => None,
        };
        let family = match remote {
            None => AddressFamily::UNIX,
            Some(SocketAddr::V4(_)) => AddressFamily::INET,
            Some(SocketAddr::V6(_)) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        if let Some(remote) = remote {
            // Nobody has to be there.
            connect(&socket, &remote)?;
            return Ok((socket, None));
        }
        let address = self.local_address().ok_or(Errno::NAMETOOLONG)?;
        let why = connect(&socket, &address).err();
        Ok((socket, why))
    }
}

fn resolve(host: &str) -> io::Result<SocketAddr> {
    host.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("it has no address"))
}

/// `HOST:PORT`, also of what has no port.
fn with_port(place: &str) -> Option<String> {
    let after_host = place.rfind(']').map_or(place, |end| place.get(end + 1..).unwrap_or_default());
    let place = match after_host.rsplit_once(':') {
        None => format!("{place}:{SYSLOG_PORT}"),
        Some((_, port)) => {
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            place.to_owned()
        }
    };
    let host = place.rsplit_once(':')?.0;
    let is_plain = |host: &str| !host.is_empty() && !host.contains([':', '/', '?', '#', '@', ' ']);
    let is_fine = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .map_or_else(|| is_plain(host), |host| host.parse::<std::net::Ipv6Addr>().is_ok());
    is_fine.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::Destination;

    #[test]
    fn what_the_setting_says() {
        let local = |path: &str| Ok(Destination::LocalSyslog(path.to_owned()));
        let remote = |host: &str| Ok(Destination::RemoteSyslog(host.to_owned()));
        let journal = |path: &str| Ok(Destination::Journal(path.to_owned()));
        for (text, expected) in [
            ("-", Ok(Destination::Stream)),
            ("/var/log/access.log", Ok(Destination::Stream)),
            ("syslog.log", Ok(Destination::Stream)),
            ("syslog", local("/dev/log")),
            ("syslog:unix:/run/log", local("/run/log")),
            ("syslog:udp://loghost", remote("loghost:514")),
            ("syslog:udp://192.0.2.1:1514", remote("192.0.2.1:1514")),
            ("syslog:udp://[2001:db8::1]", remote("[2001:db8::1]:514")),
            ("syslog:udp://[::1]:1514", remote("[::1]:1514")),
            ("journald", journal("/run/systemd/journal/socket")),
            ("journald:unix:/run/log", journal("/run/log")),
        ] {
            assert_eq!(Destination::read(text), expected, "{text}");
        }
        for text in [
            "syslog:",
            "syslog:unix:log",
            "syslog:tcp://loghost:514",
            "syslog:udp://",
            "syslog:udp://loghost:0",
            "syslog:udp://loghost:99999",
            "syslog:udp://::1",
            "syslog:udp://loghost:514?tag=x",
            "journald:",
            "journald:udp://loghost",
        ] {
            let sentence = Destination::read(text).map(drop);
            assert!(sentence.is_err_and(|why| why.ends_with(&format!(", got {text}"))), "{text}");
        }
    }
}
