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
    /// Requests sent to the store, retries included.
    Requests = "requests", Counter, "requests";
    /// GET requests sent, retries included.
    GetRequests = "get_requests", Counter, "requests" => r#"requests_total{op="get"}"#;
    /// Requests for the attributes of an object (HEAD, the target of a symlink), retries included.
    HeadRequests = "head_requests", Counter, "requests" => r#"requests_total{op="head"}"#;
    /// Pages of listings requested, retries included.
    ListRequests = "list_requests", Counter, "requests" => r#"requests_total{op="list"}"#;
    /// Requests sent that change the bucket, retries included.
    WriteRequests = "write_requests", Counter, "requests" => r#"requests_total{op="write"}"#;
    /// Requests in flight; a GET is in flight until its body has arrived.
    RequestsInFlight = "requests_in_flight", Gauge, "requests" => "requests_in_flight";
    /// Requests that may be in flight. With `max-connections=auto` more as long as more of them bring more bytes.
    MaxConnections = "max_connections", Gauge, "requests" => "max_connections";
    /// Retries, for any cause.
    Retries = "retries", Counter, "requests";
    /// Retries after connecting, sending or receiving failed.
    RetriesNetwork = "retries_network", Counter, "requests" => r#"retries_total{cause="network"}"#;
    /// Retries after a time-out.
    RetriesTimeout = "retries_timeout", Counter, "requests" => r#"retries_total{cause="timeout"}"#;
    /// Retries after a server error (5xx).
    RetriesServer = "retries_server", Counter, "requests" => r#"retries_total{cause="server"}"#;
    /// Retries after the service throttled the request.
    RetriesThrottled = "retries_throttled", Counter, "requests" => r#"retries_total{cause="throttled"}"#;
    /// Retries after an answer that was malformed or had wrong bytes.
    RetriesGarbled = "retries_garbled", Counter, "requests" => r#"retries_total{cause="garbled"}"#;
    /// Retries after the service refused the signature, because of the clock or of the access key.
    RetriesSignature = "retries_signature", Counter, "requests" => r#"retries_total{cause="signature"}"#;
    /// GETs sent a second time because the first answer was late.
    Hedges = "hedges", Counter, "requests" => "hedges_total";
    /// GETs sent a second time whose second answer came first.
    HedgesWon = "hedges_won", Counter, "requests" => "hedges_won_total";
    /// 1 after the store was found to have several entity tags for one version of an object, so that size and time are
    /// compared too.
    SeveralTags = "several_tags", Gauge, "stores" => "several_tags";
    /// 1 after the server was found to ignore the Range header, so that each GET of a part receives the object from its
    /// first byte.
    RangesIgnored = "ranges_ignored", Gauge, "stores" => "ranges_ignored";
    /// Answers with which the service throttled a request.
    Throttled = "throttled", Counter, "answers" => "throttled_total";
    /// Response bodies resumed after they broke, stalled or ended early.
    BodyResumes = "body_resumes", Counter, "bodies" => "body_resumes_total";
    /// Requests that failed after all retries.
    RequestErrors = "request_errors", Counter, "requests" => "request_errors_total";
    /// Body bytes received from the store.
    BytesFetched = "bytes_fetched", Counter, "bytes" => "fetched_bytes_total";
    /// Body bytes received before a program asked for them.
    PrefetchedBytes = "prefetched_bytes", Counter, "bytes" => "prefetched_bytes_total";
    /// Body bytes received before a program asked for them, and evicted before one did.
    PrefetchedUnread = "prefetched_unread_bytes", Counter, "bytes" => "prefetched_unread_bytes_total";
    /// Body bytes received that programs have read, each counted once.
    BytesUsed = "used_bytes", Counter, "bytes" => "used_bytes_total";
    /// Objects of a recorded load that were skipped because they have changed, do not exist or may not be read.
    ReplaySkipped = "replay_skipped", Counter, "objects" => "replay_skipped_total";
    /// Bytes that programs read through the mount.
    BytesRead = "bytes_read", Counter, "bytes" => "read_bytes_total";
    /// Read requests that were answered.
    Reads = "reads", Counter, "reads" => "reads_total";
    /// Read requests answered from a buffer without waiting.
    ReadsBuffered = "reads_buffered", Counter, "reads" => "reads_buffered_total";
    /// Read requests that failed.
    ReadErrors = "read_errors", Counter, "reads" => "read_errors_total";
    /// Read requests that are waiting for their bytes.
    ReadsWaiting = "reads_waiting", Gauge, "reads" => "reads_waiting";
    /// Read requests of the kernel around page faults that were refused, so that it asks for single pages.
    RefusedReadArounds = "refused_read_arounds", Counter, "reads" => "refused_read_arounds_total";
    /// Parts of files that were found in the disk cache.
    DiskHits = "disk_hits", Counter, "parts" => r#"disk_cache_lookups_total{result="hit"}"#;
    /// Parts of files that were not in the disk cache.
    DiskMisses = "disk_misses", Counter, "parts" => r#"disk_cache_lookups_total{result="miss"}"#;
    /// Parts that were waited for because another daemon with the same cache directory was fetching them.
    DiskWaits = "disk_waits", Counter, "parts" => "disk_cache_waits_total";
    /// Bytes read from the disk cache.
    DiskReadBytes = "disk_read_bytes", Counter, "bytes" => "disk_cache_read_bytes_total";
    /// Bytes written to the disk cache.
    DiskWrittenBytes = "disk_written_bytes", Counter, "bytes" => "disk_cache_written_bytes_total";
    /// Parts that were not written to the disk cache, because the disk was too slow, full or failing.
    DiskWritesDropped = "disk_writes_dropped", Counter, "parts" => "disk_cache_writes_dropped_total";
    /// Bytes evicted from the disk cache.
    DiskEvicted = "disk_evicted_bytes", Counter, "bytes" => "disk_cache_evicted_bytes_total";
    /// Parts read from the disk cache that were not what had been written; they were fetched again.
    DiskCorrupt = "disk_corrupt", Counter, "parts" => "disk_cache_corrupt_total";
    /// Operations of the disk cache that failed or took too long. No program sees them.
    DiskErrors = "disk_errors", Counter, "operations" => "disk_cache_errors_total";
    /// Bytes on disk that the disk cache uses.
    DiskUsed = "disk_used_bytes", Gauge, "bytes" => "disk_cache_bytes";
    /// Limit of the bytes that the disk cache uses; 0 where only the free space limits it.
    DiskLimit = "disk_limit_bytes", Gauge, "bytes" => "disk_cache_limit_bytes";
    /// Bytes that are free on the file systems of the disk cache.
    DiskFree = "disk_free_bytes", Gauge, "bytes" => "disk_cache_free_bytes";
    /// Answers of near caches that had the bytes.
    NearHits = "near_hits", Counter, "requests" => r#"near_requests_total{result="hit"}"#;
    /// Answers of near caches that fetched the bytes from the bucket first.
    NearMisses = "near_misses", Counter, "requests" => r#"near_requests_total{result="miss"}"#;
    /// Answers of near caches that do not say whether they had the bytes.
    NearUnknown = "near_unknown", Counter, "requests" => r#"near_requests_total{result="unknown"}"#;
    /// Requests that near caches did not answer as they should.
    NearErrors = "near_errors", Counter, "requests" => r#"near_requests_total{result="error"}"#;
    /// Requests that went to the bucket instead of near caches, because those rest or have sent wrong bytes of the
    /// object.
    NearSkipped = "near_skipped", Counter, "requests" => r#"near_requests_total{result="skipped"}"#;
    /// Bytes received from near caches.
    NearBytes = "near_bytes", Counter, "bytes" => "near_bytes_total";
    /// Bytes received from near caches that they fetched from the bucket for this mount.
    NearMissBytes = "near_miss_bytes", Counter, "bytes" => "near_miss_bytes_total";
    /// Slices, or rests of slices, that came from the bucket because no near cache sent them.
    NearFallbacks = "near_fallbacks", Counter, "slices" => "near_fallbacks_total";
    /// Near caches that served bytes of an object that did not match its checksum.
    NearCorrupt = "near_corrupt", Counter, "caches" => "near_corrupt_total";
    /// Near caches that are asked.
    NearMembersUp = "near_members_up", Gauge, "caches" => r#"near_members{state="up"}"#;
    /// Near caches that are left out for a while, because they failed.
    NearMembersOut = "near_members_out", Gauge, "caches" => r#"near_members{state="out"}"#;
    /// Bytes of read buffers in use.
    BufferBytes = "buffer_bytes", Gauge, "bytes" => r#"memory_bytes{consumer="read-buffers"}"#;
    /// Limit of the bytes of read buffers; less than configured while memory is short.
    MemoryLimit = "memory_limit", Gauge, "bytes" => r#"memory_limit_bytes{consumer="read-buffers"}"#;
    /// Bytes of cached names and attributes.
    TreeBytes = "tree_bytes", Gauge, "bytes" => r#"memory_bytes{consumer="names"}"#;
    /// Limit of the bytes of cached names and attributes.
    TreeBytesLimit = "tree_bytes_limit", Gauge, "bytes" => r#"memory_limit_bytes{consumer="names"}"#;
    /// Bytes of read buffers that are pinned.
    PinnedBytes = "pinned_bytes", Gauge, "bytes" => "pinned_bytes";
    /// Resident memory of the process.
    ResidentBytes = "resident_bytes", Gauge, "bytes" => "resident_bytes";
    /// Number of times that memory became short.
    MemoryShortages = "memory_shortages", Counter, "times" => "memory_shortages_total";
    /// Complete objects whose CRC-64 matched that of the store.
    Verified = "objects_verified", Counter, "objects" => r#"checksums_total{result="match"}"#;
    /// Complete objects whose CRC-64 differed from that of the store.
    VerifyFailures = "verify_failures", Counter, "objects" => r#"checksums_total{result="mismatch"}"#;
    /// Ranges of objects that differed when they were fetched again, because bytes were corrupted on their way.
    WrongRanges = "wrong_ranges", Counter, "ranges" => "wrong_ranges_total";
    /// Look-ups of names by the kernel.
    Lookups = "lookups", Counter, "lookups" => "lookups_total";
    /// Look-ups answered from the cache.
    LookupsKnown = "lookups_known", Counter, "lookups" => "lookups_known_total";
    /// Pages of listings received.
    ListPages = "list_pages", Counter, "pages" => "list_pages_total";
    /// Keys and common prefixes in those pages.
    ListedNames = "listed_names", Counter, "names" => "listed_names_total";
    /// Cached entries of directories.
    TreeEntries = "tree_entries", Gauge, "entries" => "tree_entries";
    /// Directories with more names than fit in metadata-memory: their names are not cached.
    LargeDirectories = "large_directories", Gauge, "directories" => "large_directories";
    /// Keys that are not shown because they cannot be file names.
    OddKeys = "odd_keys", Counter, "keys" => "odd_keys_total";
    /// Files that are open.
    OpenFiles = "open_files", Gauge, "files" => "open_files";
    /// Opens of files that the kernel reads directly from memory or from the disk cache, so that their reads are not
    /// counted.
    PassthroughOpens = "passthrough_opens", Counter, "opens" => "passthrough_opens_total";
    /// Open files that the kernel reads directly from memory or from the disk cache.
    PassthroughFiles = "passthrough_files", Gauge, "files" => "passthrough_files";
    /// Bytes of open files that the kernel reads directly from memory or from the disk cache.
    PassthroughBytes = "passthrough_bytes", Gauge, "bytes" => "passthrough_bytes";
    /// Files with bytes in memory, open or not.
    HeldFiles = "held_files", Gauge, "files" => "held_files";
    /// Streams: sequential readers of files, each at a position of its own.
    Streams = "streams", Gauge, "readers" => "streams";
    /// Copies that are queued.
    CopiesQueued = "copies_queued", Gauge, "copies" => r#"copies{state="queued"}"#;
    /// Copies that are running.
    CopiesRunning = "copies_running", Gauge, "copies" => r#"copies{state="running"}"#;
    /// Copies that are done, of those that the daemon remembers.
    CopiesDone = "copies_done", Gauge, "copies" => r#"copies{state="done"}"#;
    /// Copies that failed, of those that the daemon remembers.
    CopiesFailed = "copies_failed", Gauge, "copies" => r#"copies{state="failed"}"#;
    /// Copies that were cancelled, of those that the daemon remembers.
    CopiesCancelled = "copies_cancelled", Gauge, "copies" => r#"copies{state="cancelled"}"#;
    /// Bytes copied so far by the copies that the daemon remembers.
    CopiedBytes = "copied_bytes", Gauge, "bytes" => "copied_bytes";
    /// When the credentials in use were obtained, in seconds since 1970.
    CredentialsObtained = "credentials_obtained", Moment, "seconds" => "credentials_obtained_timestamp_seconds";
    /// When the credentials in use expire, in seconds since 1970; 0 if they do not.
    CredentialsExpire = "credentials_expire", Moment, "seconds" => "credentials_expire_timestamp_seconds";
    /// Requests that were not sent because no valid credentials could be obtained.
    CredentialFailures = "credential_failures", Counter, "requests" => "credential_failures_total";
    /// When the bucket last answered a request properly, in seconds since 1970.
    Answered = "answered", Moment, "seconds" => "last_answer_timestamp_seconds";
    /// How long the store has been silent, failing or throttling, or waiting reads have made no progress; 0 while there
    /// is no trouble.
    TroubleSeconds = "trouble_seconds", Gauge, "seconds" => "trouble_seconds";
    /// Number of times that a restarted daemon continued this mount.
    Restarts = "restarts", Counter, "times" => "restarts_total";
    /// When this daemon started to serve, in seconds since 1970.
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
