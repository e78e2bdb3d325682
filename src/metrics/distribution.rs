//! How long things took and how large they were: histograms with few fixed buckets.
//!
//! Taking a value in is a search among a dozen bounds and two relaxed additions, on lines of memory that no other
//! histogram shares.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper ends of the buckets for times, in nanoseconds: 10 µs is an answer from memory, 20 s a try that was given
/// up.
const TIMES: [u64; 12] = [
    10_000,
    50_000,
    200_000,
    1_000_000,
    5_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
    20_000_000_000,
];

/// The upper ends of the buckets for sizes, in bytes: from a page to the most that the kernel asks for at once.
const SIZES: [u64; 7] = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20];

/// Buckets of a histogram, that without an end included.
const MOST_BUCKETS: usize = TIMES.len() + 1;

macro_rules! distributions {
    ($($(#[doc = $meaning:literal])* $variant:ident = $series:literal, $scale:ident;)*) => {
        /// Something of which not only the sum is of interest.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Distribution { $($(#[doc = $meaning])* $variant),* }

        /// Every distribution: its key, series, scale and meaning.
        pub const DISTRIBUTIONS: &[DistributionRow] = &[$(DistributionRow {
            distribution: Distribution::$variant,
            series: $series,
            scale: Scale::$scale,
            meaning: concat!($($meaning),*).trim_ascii(),
        }),*];
    };
}

distributions! {
    /// Time of reads that were answered from a buffer without waiting.
    BufferedReadTime = r#"read_duration_seconds{source="buffer"}"#, Times;
    /// Time of reads that waited for a request in flight.
    AwaitedReadTime = r#"read_duration_seconds{source="under-way"}"#, Times;
    /// Time of reads that caused a request.
    FetchedReadTime = r#"read_duration_seconds{source="store"}"#, Times;
    /// Bytes of reads that were answered from a buffer without waiting.
    BufferedReadSize = r#"read_size_bytes{source="buffer"}"#, Sizes;
    /// Bytes of reads that waited for a request in flight.
    AwaitedReadSize = r#"read_size_bytes{source="under-way"}"#, Sizes;
    /// Bytes of reads that caused a request.
    FetchedReadSize = r#"read_size_bytes{source="store"}"#, Sizes;
    /// Time from sending a GET to the beginning of its answer.
    GetTime = r#"request_duration_seconds{op="get"}"#, Times;
    /// Time of requests for the attributes of an object.
    HeadTime = r#"request_duration_seconds{op="head"}"#, Times;
    /// Time of requests for a page of a listing.
    ListTime = r#"request_duration_seconds{op="list"}"#, Times;
    /// Time of requests that change the bucket.
    WriteTime = r#"request_duration_seconds{op="write"}"#, Times;
    /// Time from sending a GET to a near cache to the beginning of its answer, which had the bytes.
    NearHitTime = r#"near_request_duration_seconds{result="hit"}"#, Times;
    /// The same of an answer whose bytes the near cache had to fetch from the bucket.
    NearMissTime = r#"near_request_duration_seconds{result="miss"}"#, Times;
}

/// What is measured, and so the bounds of the buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Nanoseconds; exported as seconds.
    Times,
    /// Sizes of things, in bytes.
    Sizes,
}

impl Scale {
    /// The upper ends of the buckets but the last, which has none.
    pub(super) fn bounds(self) -> &'static [u64] {
        match self {
            Scale::Times => &TIMES,
            Scale::Sizes => &SIZES,
        }
    }
}

/// One row of [`DISTRIBUTIONS`].
#[derive(Clone, Copy, Debug)]
pub struct DistributionRow {
    /// The key in code.
    pub distribution: Distribution,
    /// The series in Prometheus, after [`PREFIX`](super::PREFIX).
    pub series: &'static str,
    /// What is measured, and in which unit.
    pub scale: Scale,
    /// What one value is.
    pub meaning: &'static str,
}

/// Counts of values by size, and their sum.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Histogram {
    scale: Scale,
    counts: [AtomicU64; MOST_BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(scale: Scale) -> Self {
        Histogram { scale, counts: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }

    pub(super) fn take(&self, value: u64) {
        let bucket = self.scale.bounds().partition_point(|&bound| bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// How many values lie in each bucket: more than the bound before, at most its own; the last has those above all.
    pub(super) fn counts(&self) -> Vec<u64> {
        self.counts[..=self.scale.bounds().len()].iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_keys() {
        for (index, row) in DISTRIBUTIONS.iter().enumerate() {
            assert_eq!(row.distribution as usize, index, "{}", row.series);
        }
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let sizes = Histogram::new(Scale::Sizes);
        for value in [0, 4096, 4097, 1 << 20, (1 << 20) + 1, u64::MAX >> 1] {
            sizes.take(value);
        }
        assert_eq!(sizes.counts(), [2, 1, 0, 0, 0, 0, 1, 2]);
        let times = Histogram::new(Scale::Times);
        times.take(30_000_000_000);
        assert_eq!((times.counts().len(), times.counts()[12], times.sum()), (13, 1, 30_000_000_000));
    }
}
