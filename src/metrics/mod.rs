//! The figures the daemon keeps: one table of names, units and meaning, and a counter for each row; beside it, how long
//! things took and how large they were (`distribution`), and how well the store answers (`pulse`).
//!
//! Counters only grow and cost one relaxed atomic addition; gauges go up and down. Every export is made from the same
//! tables: the JSON of control requests has the names of the rows, [`prometheus()`] their series. What would be costly
//! to count all the time is a gauge that the exporter sets first.
//!
//! | file | what it owns |
//! |---|---|
//! | `distribution` | histograms with few fixed buckets |
//! | `prometheus` | the figures as Prometheus reads them |
//! | `pulse` | how well the store answers, judged in one place |

mod distribution;
mod prometheus;
mod pulse;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use distribution::{DISTRIBUTIONS, Distribution, DistributionRow, Scale};
pub use prometheus::{Family, PREFIX, Shape, families, prometheus};
pub use pulse::{Condition, Miss, Pulse, Trouble};

use distribution::Histogram;

macro_rules! table {
    ($($(#[doc = $meaning:literal])* $variant:ident = $name:literal, $kind:ident, $unit:literal $(=> $series:literal)?;)*) => {
        /// A figure the daemon keeps.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Metric { $($(#[doc = $meaning])* $variant),* }

        /// Every figure: its key, name, kind, unit, series and meaning.
        pub const TABLE: &[Row] = &[$(Row {
            metric: Metric::$variant,
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            series: table!(@series $($series)?),
            meaning: concat!($($meaning),*).trim_ascii(),
        }),*];
    };
    (@series) => { None };
    (@series $series:literal) => { Some($series) };
}

table! {
    /// Requests sent to the store, each try counted.
    Requests = "requests", Counter, "requests";
    /// GET requests sent, each try counted.
    GetRequests = "get_requests", Counter, "requests" => r#"requests_total{op="get"}"#;
    /// Requests for the facts of an object (HEAD, the target of a symlink), each try counted.
    HeadRequests = "head_requests", Counter, "requests" => r#"requests_total{op="head"}"#;
    /// List pages asked for, each try counted.
    ListRequests = "list_requests", Counter, "requests" => r#"requests_total{op="list"}"#;
    /// Requests sent that change the bucket, each try counted.
    WriteRequests = "write_requests", Counter, "requests" => r#"requests_total{op="write"}"#;
    /// Requests under way now; a GET until its body is in.
    RequestsInFlight = "requests_in_flight", Gauge, "requests" => "requests_in_flight";
    /// Tries after the first, for any cause.
    Retries = "retries", Counter, "requests";
    /// Tries after connecting, sending or receiving failed.
    RetriesNetwork = "retries_network", Counter, "requests" => r#"retries_total{cause="network"}"#;
    /// Tries after nothing came in time.
    RetriesTimeout = "retries_timeout", Counter, "requests" => r#"retries_total{cause="timeout"}"#;
    /// Tries after the service failed (5xx).
    RetriesServer = "retries_server", Counter, "requests" => r#"retries_total{cause="server"}"#;
    /// Tries after the service told us to slow down.
    RetriesThrottled = "retries_throttled", Counter, "requests" => r#"retries_total{cause="throttled"}"#;
    /// Tries after an answer that could not be understood, or whose bytes were wrong.
    RetriesGarbled = "retries_garbled", Counter, "requests" => r#"retries_total{cause="garbled"}"#;
    /// Tries after the service refused the signature, for the clock's sake or the key's.
    RetriesSignature = "retries_signature", Counter, "requests" => r#"retries_total{cause="signature"}"#;
    /// GETs sent a second time because the first answer was late.
    Hedges = "hedges", Counter, "requests" => "hedges_total";
    /// GETs sent a second time whose second answer came first.
    HedgesWon = "hedges_won", Counter, "requests" => "hedges_won_total";
    /// 1 once the store was found to have several entity tags for one version of an object, so that size and time are
    /// compared too.
    SeveralTags = "several_tags", Gauge, "stores" => "several_tags";
    /// Answers that told us to slow down.
    Throttled = "throttled", Counter, "answers" => "throttled_total";
    /// Response bodies resumed after they broke, stalled or ended early.
    BodyResumes = "body_resumes", Counter, "bodies" => "body_resumes_total";
    /// Requests that failed for good, after all tries.
    RequestErrors = "request_errors", Counter, "requests" => "request_errors_total";
    /// Body bytes received from the store.
    BytesFetched = "bytes_fetched", Counter, "bytes" => "fetched_bytes_total";
    /// Body bytes received before a program asked for them.
    PrefetchedBytes = "prefetched_bytes", Counter, "bytes" => "prefetched_bytes_total";
    /// Body bytes received before a program asked for them, and let go before one did.
    PrefetchedUnread = "prefetched_unread_bytes", Counter, "bytes" => "prefetched_unread_bytes_total";
    /// Objects of a recorded load that have changed, are gone or may not be read.
    ReplaySkipped = "replay_skipped", Counter, "objects" => "replay_skipped_total";
    /// Bytes that programs read through the mount.
    BytesRead = "bytes_read", Counter, "bytes" => "read_bytes_total";
    /// Read requests that were answered.
    Reads = "reads", Counter, "reads" => "reads_total";
    /// Read requests answered at once from a buffer.
    ReadsBuffered = "reads_buffered", Counter, "reads" => "reads_buffered_total";
    /// Read requests that have failed.
    ReadErrors = "read_errors", Counter, "reads" => "read_errors_total";
    /// Read requests that wait for their bytes now.
    ReadsWaiting = "reads_waiting", Gauge, "reads" => "reads_waiting";
    /// Bytes of read buffers held now.
    BufferBytes = "buffer_bytes", Gauge, "bytes" => r#"memory_bytes{consumer="read-buffers"}"#;
    /// Bytes of read buffers that may be held now; less than configured while memory is short.
    MemoryLimit = "memory_limit", Gauge, "bytes" => r#"memory_limit_bytes{consumer="read-buffers"}"#;
    /// Bytes of names and attributes held now.
    TreeBytes = "tree_bytes", Gauge, "bytes" => r#"memory_bytes{consumer="names"}"#;
    /// Bytes of names and attributes that may be held.
    TreeBytesLimit = "tree_bytes_limit", Gauge, "bytes" => r#"memory_limit_bytes{consumer="names"}"#;
    /// Bytes of read buffers that are pinned.
    PinnedBytes = "pinned_bytes", Gauge, "bytes" => "pinned_bytes";
    /// Memory of the process that lies in RAM now.
    ResidentBytes = "resident_bytes", Gauge, "bytes" => "resident_bytes";
    /// Times that memory became short.
    MemoryShortages = "memory_shortages", Counter, "times" => "memory_shortages_total";
    /// Whole objects whose CRC-64 was compared and matched.
    Verified = "objects_verified", Counter, "objects" => r#"checksums_total{result="match"}"#;
    /// Whole objects whose CRC-64 differed from the store's.
    VerifyFailures = "verify_failures", Counter, "objects" => r#"checksums_total{result="mismatch"}"#;
    /// Ranges of objects that came otherwise when they were fetched again: some bytes were wrong on their way.
    WrongRanges = "wrong_ranges", Counter, "ranges" => "wrong_ranges_total";
    /// Look-ups of a name, by the kernel.
    Lookups = "lookups", Counter, "lookups" => "lookups_total";
    /// Look-ups answered at once from what is known.
    LookupsKnown = "lookups_known", Counter, "lookups" => "lookups_known_total";
    /// Pages of listings taken in.
    ListPages = "list_pages", Counter, "pages" => "list_pages_total";
    /// Keys and directories that those pages had.
    ListedNames = "listed_names", Counter, "names" => "listed_names_total";
    /// Entries held in the tree now.
    TreeEntries = "tree_entries", Gauge, "entries" => "tree_entries";
    /// Directories with more names than there is memory for: they are read straight from the store.
    LargeDirectories = "large_directories", Gauge, "directories" => "large_directories";
    /// Keys left out of the tree because no safe name exists for them.
    OddKeys = "odd_keys", Counter, "keys" => "odd_keys_total";
    /// Files that are open now.
    OpenFiles = "open_files", Gauge, "files" => "open_files";
    /// Files of which bytes are held now, open or not.
    HeldFiles = "held_files", Gauge, "files" => "held_files";
    /// Readers that go through a file now, each at its own place.
    Streams = "streams", Gauge, "readers" => "streams";
    /// Copies that wait for others.
    CopiesQueued = "copies_queued", Gauge, "copies" => r#"copies{state="queued"}"#;
    /// Copies that go on.
    CopiesRunning = "copies_running", Gauge, "copies" => r#"copies{state="running"}"#;
    /// Copies done, of those remembered.
    CopiesDone = "copies_done", Gauge, "copies" => r#"copies{state="done"}"#;
    /// Copies that failed, of those remembered.
    CopiesFailed = "copies_failed", Gauge, "copies" => r#"copies{state="failed"}"#;
    /// Copies cancelled, of those remembered.
    CopiesCancelled = "copies_cancelled", Gauge, "copies" => r#"copies{state="cancelled"}"#;
    /// Bytes that the copies remembered have copied so far.
    CopiedBytes = "copied_bytes", Gauge, "bytes" => "copied_bytes";
    /// When the credentials in use were had, in seconds since 1970.
    CredentialsObtained = "credentials_obtained", Moment, "seconds" => "credentials_obtained_timestamp_seconds";
    /// When the credentials in use end, in seconds since 1970, if they do.
    CredentialsExpire = "credentials_expire", Moment, "seconds" => "credentials_expire_timestamp_seconds";
    /// Requests that were not sent because no valid credentials could be had.
    CredentialFailures = "credential_failures", Counter, "requests" => "credential_failures_total";
    /// When the bucket last answered a request as it should, in seconds since 1970.
    Answered = "answered", Moment, "seconds" => "last_answer_timestamp_seconds";
    /// For how long the store has been silent, failing or throttling, or no read that waits has gone on; 0 while all is
    /// well.
    TroubleSeconds = "trouble_seconds", Gauge, "seconds" => "trouble_seconds";
    /// Times that a daemon was started again and went on with this mount.
    Restarts = "restarts", Counter, "times" => "restarts_total";
    /// When this daemon began to serve, in seconds since 1970.
    Began = "began", Moment, "seconds" => "start_time_seconds";
}

/// How a figure moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A counter, which only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A point in time, in seconds since 1970; 0 while there is none.
    Moment,
}

/// One row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key in code.
    pub metric: Metric,
    /// The name in the JSON of control requests.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// What one step is.
    pub unit: &'static str,
    /// The series in Prometheus, after [`PREFIX`]; `None` for the sum of others.
    pub series: Option<&'static str>,
    /// What the figure counts, in one sentence.
    pub meaning: &'static str,
}

/// The figures of one daemon (or of one test), all zero at first.
#[derive(Debug)]
pub struct Metrics {
    values: [AtomicU64; TABLE.len()],
    distributions: [Histogram; DISTRIBUTIONS.len()],
    pulse: Pulse,
}

impl Default for Metrics {
    fn default() -> Self {
        let distributions = std::array::from_fn(|index| Histogram::new(DISTRIBUTIONS[index].scale));
        Metrics { values: std::array::from_fn(|_| AtomicU64::new(0)), distributions, pulse: Pulse::default() }
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

    /// Sets a gauge to a value.
    pub fn set(&self, metric: Metric, to: u64) {
        self.values[metric as usize].store(to, Ordering::Relaxed);
    }

    /// Takes in how long something took.
    pub fn took(&self, distribution: Distribution, time: Duration) {
        self.measured(distribution, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes in how large something was, in bytes, or nanoseconds of a time.
    pub fn measured(&self, distribution: Distribution, value: u64) {
        self.distributions[distribution as usize].take(value);
    }

    /// How much was taken in: how often, and the sum of it in bytes or nanoseconds.
    pub fn total(&self, distribution: Distribution) -> (u64, u64) {
        let histogram = &self.distributions[distribution as usize];
        (histogram.counts().iter().sum(), histogram.sum())
    }

    /// What requests to the store show.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// How well the store answers, at this time of the clock that requests are timed with.
    pub fn condition(&self, now: Duration) -> Condition {
        let gone_on = [Distribution::AwaitedReadTime, Distribution::FetchedReadTime].map(|reads| self.total(reads).0);
        let gone_on = gone_on.iter().sum::<u64>() + self.value(Metric::ReadErrors);
        self.pulse.look(now, self.value(Metric::ReadsWaiting), gone_on)
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
