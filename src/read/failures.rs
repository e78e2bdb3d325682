//! Recent failures, so that a read which the kernel repeats fails at once.
//!
//! When a readahead fails, the kernel asks once more for the page that the program waits for, before it tells the
//! program. That read would wait for as long as the first one did, so it gets the same error at once. Each failure is
//! told so only once: a program that reads again has all of the time again.

use std::time::Duration;

use parking_lot::Mutex;

use crate::base::ByteRange;
use crate::store::{Error, ErrorKind};

/// How soon the kernel asks once more.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Failures remembered: more reads of one file are hardly on their way at once.
const REMEMBERED: usize = 64;

/// The reads of one file that failed a moment ago.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Vec<Failure>>);

#[derive(Debug)]
struct Failure {
    read: ByteRange,
    at: Duration,
    error: Error,
}

impl Failures {
    /// A read has failed. Only failures that took their time are worth remembering.
    pub(super) fn add(&self, read: ByteRange, at: Duration, error: &Error) {
        if !matches!(error.kind(), ErrorKind::Server | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Throttled) {
            return;
        }
        let mut failures = self.0.lock();
        if failures.len() == REMEMBERED {
            failures.remove(0);
        }
        failures.push(Failure { read, at, error: error.clone() });
    }

    /// The error of a read that shares bytes with this one and failed a moment ago.
    pub(super) fn take(&self, read: ByteRange, now: Duration) -> Option<Error> {
        let mut failures = self.0.lock();
        failures.retain(|failure| now.saturating_sub(failure.at) < AT_ONCE);
        let at = failures.iter().position(|failure| !failure.read.intersect(read).is_empty())?;
        Some(failures.remove(at).error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{Clock, Ino, Key, Timestamp};
    use crate::metrics::Metrics;
    use crate::read::{Object, Options, Reader};
    use crate::store::layers::{Fault, FaultStore, LayerOptions, layered};
    use crate::store::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn the_read_behind_a_failed_readahead_is_not_waited_for_again() {
        let bucket = Arc::new(MemoryStore::new());
        let meta = bucket.put("k", vec![1; 1 << 20]);
        let faults = Arc::new(FaultStore::new(bucket).randomly(1, [(1.0, Fault::Error(ErrorKind::Server))]));
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::runtime(Timestamp::from_unix(0)));
        let store = layered(faults, &LayerOptions::default(), &metrics, &clock);
        let reader = Reader::with_clock(store, Options::default(), metrics, clock.clone());
        let object = Object {
            ino: Ino(7),
            key: Key::new("k"),
            version: None,
            etag: meta.etag,
            size: 1 << 20,
            mtime: None,
            archived: false,
        };
        let file = reader.open(object);
        for (len, least, most) in [(131_072, 60.0, 75.1), (4096, 0.0, 0.1), (4096, 60.0, 75.1)] {
            let began = clock.elapsed();
            assert_eq!(file.read(0, len).await.unwrap_err().kind(), ErrorKind::Server);
            let took = (clock.elapsed() - began).as_secs_f64();
            assert!((least..most).contains(&took), "{len} bytes after {took} s");
        }
    }

    #[test]
    fn a_failure_is_told_once_more_at_once_to_a_read_of_the_same_bytes() {
        let failures = Failures::default();
        let at = Duration::from_millis;
        let (read, page) = (ByteRange::new(0, 131_072), ByteRange::new(4096, 8192));
        let error = |kind| Error::new(kind, "");
        for kind in [ErrorKind::Server, ErrorKind::Network, ErrorKind::Timeout, ErrorKind::Throttled] {
            failures.add(read, at(500), &error(kind));
            assert!(failures.take(ByteRange::new(131_072, 131_073), at(600)).is_none(), "other bytes");
            assert_eq!(failures.take(page, at(1499)).unwrap().kind(), kind);
            assert!(failures.take(page, at(1499)).is_none(), "only once");
        }
        failures.add(read, at(500), &error(ErrorKind::Server));
        assert!(failures.take(page, at(1500)).is_none(), "not later");
        failures.add(read, at(500), &error(ErrorKind::Corrupt));
        assert!(failures.take(page, at(500)).is_none(), "others cost no time");
        for _ in 0..2 * REMEMBERED {
            failures.add(read, at(500), &error(ErrorKind::Server));
        }
        assert_eq!(failures.0.lock().len(), REMEMBERED);
    }
}
