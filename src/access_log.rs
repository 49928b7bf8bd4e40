//! One line per finished request, without the interpreter.
//!
//! Lines are gathered in memory and written by the crew's leader before it waits for more work: one
//! write for a batch of requests under load, at once when there is little to do.

use crate::clock;
use crate::descriptor;
use crate::error_log::Seldom;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Mutex;

/// Bytes gathered before a line is written out at once.
const GATHER_BYTES: usize = 32 * 1024;

/// What is told of a request.
pub struct Record<'a> {
    /// The client's address; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// The request line as it was on the wire, or as far as it came.
    pub request_line: &'a [u8],
    /// The status code sent; 0 if none was.
    pub status: u16,
    /// Bytes of the response's body.
    pub body_bytes: u64,
    /// The `Referer` header.
    pub referer: Option<&'a [u8]>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a [u8]>,
    /// Time from the complete request to the end of the call.
    pub duration_ns: u64,
}

/// The access log of one worker.
pub struct AccessLog {
    fd: RawFd,
    colour: bool,
    gathered: Mutex<Gathered>,
}

struct Gathered {
    lines: Vec<u8>,
    second: u64,
    date: String,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl AccessLog {
    /// A log that writes to `fd`, which stays open for the worker's life.
    pub fn new(fd: RawFd, colour: bool) -> AccessLog {
        let gathered = Gathered { lines: Vec::new(), second: 0, date: String::new() };
        AccessLog { fd, colour, gathered: Mutex::new(gathered) }
    }

    /// Adds the line of one request (the combined format, then the duration in seconds).
    pub fn add(&self, record: &Record<'_>) {
        let Ok(mut gathered) = self.gathered.lock() else { return };
        let second = clock::wall_s();
        if gathered.second != second {
            gathered.second = second;
            gathered.date = date_text(second);
        }
        let Gathered { lines, date, .. } = &mut *gathered;
        let start = if self.colour { colour_of(record.status) } else { "" };
        lines.extend_from_slice(start.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = match record.client {
            Some(client) => write!(lines, "{}", client.to_canonical()),
            None => write!(lines, "-"),
        };
        lines.extend_from_slice(b" - - [");
        lines.extend_from_slice(date.as_bytes());
        lines.extend_from_slice(b"] \"");
        push_escaped(lines, if record.request_line.is_empty() { b"-" } else { record.request_line });
        lines.extend_from_slice(b"\" ");
        let mut digits = itoa::Buffer::new();
        lines.extend_from_slice(digits.format(record.status).as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(digits.format(record.body_bytes).as_bytes());
        for header in [record.referer, record.user_agent] {
            lines.extend_from_slice(b" \"");
            push_escaped(lines, header.unwrap_or(b"-"));
            lines.push(b'"');
        }
        let microseconds = record.duration_ns / 1_000;
        // Writing to a Vec cannot fail.
        let _ = write!(lines, " {}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
        lines.extend_from_slice(if self.colour { b"\x1b[0m\n" } else { b"\n" });
        if lines.len() >= GATHER_BYTES {
            self.write_out(lines);
        }
    }

    /// Writes what was gathered.
    pub fn flush(&self) {
        if let Ok(mut gathered) = self.gathered.lock()
            && !gathered.lines.is_empty()
        {
            self.write_out(&mut gathered.lines);
        }
    }

    fn write_out(&self, lines: &mut Vec<u8>) {
        static TOLD: Seldom = Seldom::new();
        let fd = descriptor::borrow(self.fd);
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            // A log that cannot be written must not stop the server: what does not fit is given up.
            match rustix::io::write(fd, rest) {
                Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => {
                    TOLD.warn(|| {
                        format!("cannot write the access log: {error}; lines are lost, requests are answered")
                    });
                    break;
                }
            }
        }
        lines.clear();
    }
}

fn date_text(second: u64) -> String {
    let now = clock::civil(second);
    let month = MONTHS[usize::try_from(now.month - 1).unwrap_or(0) % 12];
    let (hour, minute, second) = now.time;
    format!("{:02}/{month}/{:04}:{hour:02}:{minute:02}:{second:02} +0000", now.day, now.year)
}

fn colour_of(status: u16) -> &'static str {
    match status {
        0..300 => "\x1b[32m",
        300..400 => "\x1b[36m",
        400..500 => "\x1b[33m",
        _ => "\x1b[31m",
    }
}

/// Appends `field` so that no client can forge a line or a field: quotes, backslashes and all but
/// printable ASCII become `\xNN`.
fn push_escaped(line: &mut Vec<u8>, field: &[u8]) {
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b'"' && *byte != b'\\';
    if field.iter().all(plain) {
        line.extend_from_slice(field);
        return;
    }
    for byte in field {
        if plain(byte) {
            line.push(*byte);
        } else {
            // Writing to a Vec cannot fail.
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}
