//! Memory of a process, from the kernel.

/// What is told of a process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Addresses.
    Virtual,
    /// Pages that are in memory.
    Resident,
}

impl Memory {
    /// That of this process, in bytes.
    pub fn now(self) -> Option<u64> {
        self.of("self")
    }

    /// That of the process that has a thread with this number of the kernel's.
    pub fn of_thread(self, thread_id: u64) -> Option<u64> {
        self.of(&thread_id.to_string())
    }

    fn of(self, process: &str) -> Option<u64> {
        let pages = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
        let mut pages = pages.split(' ').filter_map(|count| count.parse::<u64>().ok());
        let count = match self {
            Memory::Virtual => pages.next(),
            Memory::Resident => pages.nth(1),
        };
        count.map(|count| count * rustix::param::page_size() as u64)
    }
}
