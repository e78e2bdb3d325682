//! Counts of requests by operation, of bytes sent, and of requests at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::operation::Operation;

/// A snapshot of the counters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Requests by operation; operations never asked for are absent.
    pub requests: BTreeMap<Operation, u64>,
    /// Answers with status 400 or above.
    pub errors: u64,
    /// Faults that have struck a request.
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
    /// Connections that were accepted.
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

/// The counters that requests add to.
#[derive(Debug)]
pub(super) struct Tally {
    requests: Vec<AtomicU64>,
    pub(super) errors: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) body_bytes: AtomicU64,
    pub(super) wire_bytes: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) connections: AtomicU64,
    concurrency: AtomicU64,
    peak: AtomicU64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Tally {
            requests: Operation::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            errors: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
            wire_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            concurrency: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    /// Counts a request until what is given back is dropped.
    pub(super) fn begin(self: &Arc<Self>, operation: Operation) -> UnderWay {
        self.requests[operation as usize].fetch_add(1, Relaxed);
        let now = self.concurrency.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        UnderWay(self.clone())
    }

    /// Stands for a request that is not counted.
    pub(super) fn begin_uncounted(self: &Arc<Self>) -> UnderWay {
        self.concurrency.fetch_add(1, Relaxed);
        UnderWay(self.clone())
    }

    pub(super) fn snapshot(&self) -> Counters {
        let counted = Operation::ALL.iter().map(|operation| {
            let count = self.requests[*operation as usize].load(Relaxed);
            (*operation, count)
        });
        Counters {
            requests: counted.filter(|(_, count)| *count > 0).collect(),
            errors: self.errors.load(Relaxed),
            faults: self.faults.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
            wire_bytes: self.wire_bytes.load(Relaxed),
            received_bytes: self.received_bytes.load(Relaxed),
            concurrency: self.concurrency.load(Relaxed),
            peak_concurrency: self.peak.load(Relaxed),
            connections: self.connections.load(Relaxed),
        }
    }

    pub(super) fn reset(&self) {
        let figures =
            [&self.errors, &self.faults, &self.body_bytes, &self.wire_bytes, &self.received_bytes, &self.connections];
        for figure in self.requests.iter().chain(figures) {
            figure.store(0, Relaxed);
        }
        self.peak.store(self.concurrency.load(Relaxed), Relaxed);
    }
}

/// A request being answered.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Tally>);

impl UnderWay {
    pub(super) fn tally(&self) -> &Tally {
        &self.0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.concurrency.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_of_requests_at_once() {
        let tally = Arc::new(Tally::new());
        let (first, second) = (tally.begin(Operation::GetObject), tally.begin(Operation::HeadObject));
        drop(first);
        drop(tally.begin(Operation::GetObject));
        let seen = tally.snapshot();
        assert_eq!((seen.of(Operation::GetObject), seen.total()), (2, 3));
        assert_eq!((seen.concurrency, seen.peak_concurrency), (1, 2));
        tally.reset();
        drop(second);
        let seen = tally.snapshot();
        assert_eq!((seen.total(), seen.concurrency, seen.peak_concurrency), (0, 0, 1));
    }
}
