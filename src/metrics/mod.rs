//! The figures the daemon keeps: one table of names, units and meaning, and a counter for each row.
//!
//! Counters only grow and cost one relaxed atomic addition; gauges go up and down. Export formats are built from the
//! same table, so that a figure cannot be counted under one name and shown under another.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! table {
    ($($(#[doc = $meaning:literal])* $variant:ident = $name:literal, $kind:ident, $unit:literal;)*) => {
        /// A figure the daemon keeps.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Metric { $($(#[doc = $meaning])* $variant),* }

        /// Every figure: its key, name, kind, unit and meaning.
        pub const TABLE: &[Row] = &[$(Row {
            metric: Metric::$variant, name: $name, kind: Kind::$kind, unit: $unit, meaning: concat!($($meaning),*),
        }),*];
    };
}

table! {
    /// Requests sent to the store, each try counted.
    Requests = "requests", Counter, "requests";
    /// GET requests sent, each try counted.
    GetRequests = "get_requests", Counter, "requests";
    /// Requests for the facts of an object (HEAD, the target of a symlink), each try counted.
    HeadRequests = "head_requests", Counter, "requests";
    /// List pages asked for, each try counted.
    ListRequests = "list_requests", Counter, "requests";
    /// Requests sent that change the bucket, each try counted.
    WriteRequests = "write_requests", Counter, "requests";
    /// Tries after the first, for any cause.
    Retries = "retries", Counter, "requests";
    /// GETs sent a second time because the first answer was late.
    Hedges = "hedges", Counter, "requests";
    /// GETs sent a second time whose second answer came first.
    HedgesWon = "hedges_won", Counter, "requests";
    /// Answers that told us to slow down.
    Throttled = "throttled", Counter, "answers";
    /// Response bodies resumed after they broke, stalled or ended early.
    BodyResumes = "body_resumes", Counter, "bodies";
    /// Requests that failed for good, after all tries.
    RequestErrors = "request_errors", Counter, "requests";
    /// Body bytes received from the store.
    BytesFetched = "bytes_fetched", Counter, "bytes";
    /// Body bytes received before a program asked for them.
    PrefetchedBytes = "prefetched_bytes", Counter, "bytes";
    /// Body bytes received before a program asked for them, and let go before one did.
    PrefetchedUnread = "prefetched_unread_bytes", Counter, "bytes";
    /// Objects of a recorded load that have changed, are gone or may not be read.
    ReplaySkipped = "replay_skipped", Counter, "objects";
    /// Bytes that programs read through the mount.
    BytesRead = "bytes_read", Counter, "bytes";
    /// Read requests answered.
    Reads = "reads", Counter, "reads";
    /// Read requests answered at once from a buffer.
    ReadsBuffered = "reads_buffered", Counter, "reads";
    /// Reads that failed.
    ReadErrors = "read_errors", Counter, "reads";
    /// Bytes of read buffers held now.
    BufferBytes = "buffer_bytes", Gauge, "bytes";
    /// Bytes of read buffers that may be held now; less than configured while memory is short.
    MemoryLimit = "memory_limit", Gauge, "bytes";
    /// Times that memory became short.
    MemoryShortages = "memory_shortages", Counter, "times";
    /// Whole objects whose CRC-64 was compared and matched.
    Verified = "objects_verified", Counter, "objects";
    /// Whole objects whose CRC-64 differed from the store's.
    VerifyFailures = "verify_failures", Counter, "objects";
    /// Look-ups of a name, by the kernel.
    Lookups = "lookups", Counter, "lookups";
    /// Entries held in the tree now.
    TreeEntries = "tree_entries", Gauge, "entries";
    /// Keys left out of the tree because no safe name exists for them.
    OddKeys = "odd_keys", Counter, "keys";
    /// Files open now.
    OpenFiles = "open_files", Gauge, "files";
}

/// How a figure moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key in code.
    pub metric: Metric,
    /// The name in every export.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What one step is.
    pub unit: &'static str,
    /// What it counts.
    pub meaning: &'static str,
}

/// The figures of one daemon (or of one test), all zero at first.
#[derive(Debug)]
pub struct Metrics {
    values: [AtomicU64; TABLE.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics { values: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Metrics {
    /// Adds to a figure.
    pub fn add(&self, metric: Metric, by: u64) {
        self.values[metric as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Takes from a gauge.
    pub fn subtract(&self, metric: Metric, by: u64) {
        self.values[metric as usize].fetch_sub(by, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, to: u64) {
        self.values[metric as usize].store(to, Ordering::Relaxed);
    }

    /// The present value of a figure.
    pub fn value(&self, metric: Metric) -> u64 {
        self.values[metric as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_keys() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.metric as usize, index, "{}", row.name);
            assert!(!row.meaning.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn gauges_come_back() {
        let metrics = Metrics::default();
        metrics.add(Metric::BufferBytes, 5);
        metrics.subtract(Metric::BufferBytes, 2);
        assert_eq!(metrics.value(Metric::BufferBytes), 3);
    }
}
