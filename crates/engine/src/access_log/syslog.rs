//! What stands before the text of a record of syslog.
//!
//! A daemon of this host gets what syslog(3) writes, `<PRI>TAG[PID]: ` (RFC 3164 4.1), but for the date: rsyslog and
//! journald take their own, and one that does not would take this one for local time. Over the network it is RFC 5424.

use super::date::{DateForm, Dates};
use super::record::AccessRecord;
use std::io::Write as _;

/// The facilities by their numbers (RFC 5424 6.2.1).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
/// Bytes of a name of a host at most (RFC 5424 6).
const HOST_BYTES: usize = 255;

/// By whom a record is, in the words of syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The number of the facility.
    pub facility: u8,
    /// The program.
    pub tag: String,
}

impl Source {
    /// What the settings say.
    ///
    /// # Errors
    /// A sentence: there is no such facility.
    pub fn read(facility: &str, tag: &str) -> Result<Source, String> {
        let number = FACILITIES.iter().position(|name| *name == facility).and_then(|index| u8::try_from(index).ok());
        let facility = number
            .ok_or_else(|| format!("syslog_facility: expected one of {}, got {facility}", FACILITIES.join(", ")))?;
        Ok(Source { facility, tag: tag.to_owned() })
    }
}

/// What stands before each text.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    source: Source,
    /// The name of this host; none where the daemon is on it.
    host: Option<String>,
}

impl Header {
    /// For the daemon of this host.
    pub fn local(source: Source) -> Header {
        Header { source, host: None }
    }

    /// For one elsewhere.
    pub fn remote(source: Source, host: &str) -> Header {
        let is_fine = (1..=HOST_BYTES).contains(&host.len()) && host.bytes().all(|byte| byte.is_ascii_graphic());
        Header { source, host: Some(if is_fine { host } else { "-" }.to_owned()) }
    }

    /// Appends it for `record`, whose end is the moment `wall_ns`.
    pub fn push(&self, line: &mut Vec<u8>, record: &AccessRecord<'_>, wall_ns: u64, dates: &mut Dates) {
        let Source { facility, tag } = &self.source;
        let (priority, process) = (u32::from(*facility) * 8 + record.severity() as u32, record.served_by.process);
        // Writing to a Vec cannot fail.
        let _ = match &self.host {
            None => write!(line, "<{priority}>{tag}[{process}]: "),
            Some(host) => {
                let _ = write!(line, "<{priority}>1 ");
                dates.push(line, DateForm::Iso, wall_ns);
                // Neither a message id nor structured data.
                write!(line, " {host} {tag} {process} - - ")
            }
        };
    }
}
