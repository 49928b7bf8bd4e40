//! What lines have in common with those before, so that it is not made anew for each: dates, the client, and what is the
//! same for all requests of an application.

use super::appending::{Prepared, push_ipv4};
use super::date::Dates;
use super::record::ServedBy;
use std::io::Write as _;
use std::net::IpAddr;

/// Of the latest lines of one format.
#[derive(Default)]
pub struct Repeated {
    /// Dates.
    pub dates: Dates,
    /// The client, and how it is written.
    client: Option<IpAddr>,
    client_text: Prepared,
    /// What the runs are of.
    worker: usize,
    process: u32,
    application: String,
    /// Parts of a line that are the same for all requests of that application in that process, as far as there was one.
    runs: Vec<Prepared>,
}

impl Repeated {
    /// Appends an address: requests of one connection have the same.
    pub fn push_address(&mut self, line: &mut Vec<u8>, address: IpAddr) {
        if self.client != Some(address) {
            self.client_text = Prepared::new(address_text(address));
            self.client = Some(address);
        }
        self.client_text.push(line);
    }

    /// The next line is of a request that was served so: what is known of others is forgotten.
    pub fn begin(&mut self, served_by: &ServedBy<'_>) {
        let ServedBy { worker, process, application, .. } = *served_by;
        if self.process != process || self.worker != worker || self.application != application {
            (self.worker, self.process) = (worker, process);
            application.clone_into(&mut self.application);
            self.runs.clear();
        }
    }

    /// Appends the run with this number, which `push` makes if there is none yet.
    pub fn push_run(&mut self, line: &mut Vec<u8>, number: usize, push: impl FnOnce(&mut Vec<u8>, &mut Repeated)) {
        if let Some(run) = self.runs.get(number).filter(|run| !run.is_empty()) {
            run.push(line);
            return;
        }
        let start = line.len();
        push(line, self);
        let text = String::from_utf8_lossy(line.get(start..).unwrap_or_default()).into_owned();
        if self.runs.len() <= number {
            self.runs.resize_with(number + 1, Prepared::default);
        }
        if let Some(run) = self.runs.get_mut(number) {
            *run = Prepared::new(text);
        }
    }
}

fn address_text(address: IpAddr) -> String {
    let mut text = Vec::new();
    match address {
        IpAddr::V4(address) => push_ipv4(&mut text, address),
        // Writing to a Vec cannot fail.
        IpAddr::V6(_) => drop(write!(text, "{address}")),
    }
    String::from_utf8(text).unwrap_or_default()
}
