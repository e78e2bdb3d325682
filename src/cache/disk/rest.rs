//! When a cache directory is left alone because its disk fails, and when it is tried again. Readers see none of it.

use std::time::Duration;

/// So many failures within [`WINDOW`] are too many.
const MOST_FAILURES: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// How long a directory is left alone.
const REST: Duration = Duration::from_secs(60);
/// How long nothing is written after the file system was full.
const FULL: Duration = Duration::from_secs(1);

/// What has failed on a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// An operation, with an error of the disk.
    Error,
    /// An operation that took far too long.
    Slow,
    /// There is no space left.
    Full,
}

/// What changed by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Nothing that is worth a line in the log.
    None,
    /// The directory is left alone from now on.
    Rests,
    /// It is used again.
    Returns,
}

/// How well a directory works. Times are those of a monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Rest {
    failures: Vec<Duration>,
    until: Option<Duration>,
    /// Whether it was told that the directory rests.
    was_told: bool,
    full_until: Duration,
}

impl Rest {
    /// Whether the directory may be used now. After a rest one failure begins the next.
    pub(super) fn is_up(&self, now: Duration) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// Whether something may be written now.
    pub(super) fn may_write(&self, now: Duration) -> bool {
        self.is_up(now) && now >= self.full_until
    }

    /// Takes in a failure.
    pub(super) fn failed(&mut self, failure: Failure, now: Duration) -> Change {
        if failure == Failure::Full {
            self.full_until = now + FULL;
            return Change::None;
        }
        self.failures.retain(|at| *at + WINDOW > now);
        self.failures.push(now);
        let is_tried_again = self.until.is_some_and(|until| now >= until);
        let is_too_much = failure == Failure::Slow || self.failures.len() >= MOST_FAILURES || is_tried_again;
        if !is_too_much {
            return Change::None;
        }
        self.until = Some(now + REST);
        match std::mem::replace(&mut self.was_told, true) {
            true => Change::None,
            false => Change::Rests,
        }
    }

    /// Takes in that something has worked.
    pub(super) fn worked(&mut self, now: Duration) -> Change {
        if self.until.is_none_or(|until| now < until) {
            return Change::None;
        }
        *self = Rest { full_until: self.full_until, ..Rest::default() };
        Change::Returns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_that_are_far_apart_are_borne() {
        let mut rest = Rest::default();
        for second in [0, 30, 61, 120] {
            assert_eq!(rest.failed(Failure::Error, at(second)), Change::None);
            assert!(rest.is_up(at(second)));
        }
    }

    #[test]
    fn a_disk_that_fails_rests_and_comes_back_once_it_works() {
        let mut rest = Rest::default();
        rest.failed(Failure::Error, at(0));
        rest.failed(Failure::Error, at(1));
        assert_eq!(rest.failed(Failure::Error, at(2)), Change::Rests);
        assert!(!rest.is_up(at(61)) && rest.is_up(at(62)));
        assert_eq!(rest.worked(at(30)), Change::None, "what was begun before");
        assert_eq!(rest.failed(Failure::Error, at(62)), Change::None, "it was told already");
        assert!(!rest.is_up(at(121)) && rest.is_up(at(122)));
        assert_eq!(rest.worked(at(122)), Change::Returns);
        assert_eq!(rest.failed(Failure::Error, at(123)), Change::None);
        assert!(rest.is_up(at(123)));
    }

    #[test]
    fn one_slow_operation_is_enough() {
        assert_eq!(Rest::default().failed(Failure::Slow, at(0)), Change::Rests);
    }

    #[test]
    fn a_full_disk_is_read_from_and_not_written_to() {
        let mut rest = Rest::default();
        for second in 0..10 {
            assert_eq!(rest.failed(Failure::Full, at(second)), Change::None);
            assert!(rest.is_up(at(second)) && !rest.may_write(at(second)));
        }
        assert!(rest.may_write(at(10)));
    }
}
