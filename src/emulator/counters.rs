//! What the emulator has been asked and has sent: by operation, in bytes, at once.

use std::collections::BTreeMap;

use super::operation::Operation;

/// A snapshot of the counters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Requests by operation; operations never asked for are absent.
    pub requests: BTreeMap<Operation, u64>,
    /// Answers with status 400 or above.
    pub errors: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Body bytes given to connections.
    pub body_bytes: u64,
    /// Bytes written to sockets, headers included.
    pub wire_bytes: u64,
    /// Request body bytes received.
    pub received_bytes: u64,
    /// Requests being answered now.
    pub concurrency: u64,
    /// The most requests answered at once.
    pub peak_concurrency: u64,
    /// Connections accepted.
    pub connections: u64,
}

impl Counters {
    /// Requests of one operation.
    pub fn of(&self, operation: Operation) -> u64 {
        self.requests.get(&operation).copied().unwrap_or(0)
    }

    /// Requests of every operation.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}
