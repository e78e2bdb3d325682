//! What can be seen of a process that opens a file.

use crate::fs::{Opener, Program, ReadCalls};

/// A process, by one of its threads. There is nothing to see of those in a name space that we do not see into.
pub(super) struct Process(pub(super) u32);

impl Opener for Process {
    fn program(&self) -> Option<Program> {
        let name = std::fs::read(format!("/proc/{}/comm", self.0)).ok()?;
        Some(name.into())
    }

    fn calls(&self) -> Option<ReadCalls> {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.0)).ok()?;
        let count = |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(ReadCalls { calls: count("syscr:")?, bytes: count("rchar:")? })
    }
}
