//! Recent failures: no program waits a second time for a request that has just failed.
//!
//! The kernel asks again by itself: for a name whose old answer it could not have confirmed, and where several programs
//! look one up, for each of them in turn. What has just failed after all retries is answered alike then, for
//! [`Tuning::shared_failure_ms`]; a wait takes one budget of retries, not one for each time the kernel asks.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;

use super::{Errno, Failure, Tried, Tuning, ms};
use crate::base::Ino;

/// So many names are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Names that could not be looked up, lately.
pub(super) struct Failures {
    /// How long a failure is shared, and from which length on.
    moment: Duration,
    long: Duration,
    /// When the last of them failed, in milliseconds; 0 for never.
    last_ms: AtomicU64,
    names: Mutex<LruCache<(Ino, Vec<u8>), Failed>>,
}

#[derive(Clone)]
struct Failed {
    failure: Failure,
    at: Duration,
}

impl Failures {
    pub(super) fn new(tuning: &Tuning) -> Self {
        let (moment, long) = (ms(tuning.shared_failure_ms), ms(tuning.costly_failure_ms));
        Failures { moment, long, last_ms: AtomicU64::new(0), names: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// Fails where the name has just failed.
    pub(super) fn check(&self, parent: Ino, name: &[u8], now: Duration) -> Tried<()> {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        if last_ms == 0 || now.saturating_sub(Duration::from_millis(last_ms)) > self.moment {
            return Ok(());
        }
        let failed = self.names.lock().peek(&(parent, name.to_vec())).cloned();
        match failed {
            Some(failed) if now.saturating_sub(failed.at) <= self.moment => Err(failed.failure),
            _ => Ok(()),
        }
    }

    /// Takes in how a look-up ended that began at `since`.
    pub(super) fn note<T>(&self, parent: Ino, name: &[u8], result: &Tried<T>, since: Duration, now: Duration) {
        let Err(failure) = result else { return };
        if failure.errno == Errno::EIO && now.saturating_sub(since) >= self.long {
            self.names.lock().put((parent, name.to_vec()), Failed { failure: failure.clone(), at: now });
            self.last_ms.store((now.as_millis() as u64).max(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_waited_for_in_vain_is_not_waited_for_again_at_once() {
        let failures = Failures::new(&Tuning::default());
        let (eio, enoent): (Tried<()>, Tried<()>) = (Err(Failure::EIO), Err(Failure::ENOENT));
        failures.note(Ino(1), b"name", &eio, at(100), at(170));
        assert_eq!(failures.check(Ino(1), b"name", at(170)), eio);
        assert_eq!(failures.check(Ino(1), b"name", at(170) + failures.moment), eio);
        assert_eq!(failures.check(Ino(1), b"name", at(172)), Ok(()));
        // Others are asked for.
        assert_eq!(failures.check(Ino(1), b"other", at(170)), Ok(()));
        assert_eq!(failures.check(Ino(2), b"name", at(170)), Ok(()));
        // Which failed, but not for the store's silence; and which failed at once.
        failures.note(Ino(3), b"name", &enoent, at(100), at(170));
        failures.note(Ino(4), b"name", &eio, at(170) - failures.long + Duration::from_millis(1), at(170));
        failures.note(Ino(5), b"name", &Ok(()), at(100), at(170));
        for ino in 3..=5 {
            assert_eq!(failures.check(Ino(ino), b"name", at(170)), Ok(()), "{ino}");
        }
        // A later failure of one name does not keep that of another.
        failures.note(Ino(6), b"name", &eio, at(100), at(172));
        assert_eq!(failures.check(Ino(1), b"name", at(172)), Ok(()));
        assert_eq!(failures.check(Ino(6), b"name", at(172)), eio);
    }
}
