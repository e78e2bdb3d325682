//! The one memory limit of the daemon: every read buffer is charged here before it exists.
//!
//! Four priorities, and each may fill less of the limit than the one before it, so that a guess never takes the room
//! of a promise: demand (a program waits for these bytes; never refused), the next window of a proven stream,
//! speculation (a first window), warm-up (files opened and not read yet). What to give up when the limit is reached is
//! decided in `shortage`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pool::Pool;
use crate::cache::Rests;
use crate::metrics::{Metric, Metrics};

/// Recycled memory that is kept although nothing is about to use it, at most, in bytes.
const POOL_BYTES: u64 = 64 << 20;

/// Why memory is wanted, most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Priority {
    /// A program waits for these bytes.
    Demand,
    /// Ahead of a reader that has proved to be sequential.
    Window,
    /// Ahead of a reader that may turn out to be sequential.
    Speculation,
    /// Files opened and not read yet.
    WarmUp,
}

/// How much may be held, and how much is.
pub(super) struct Budget {
    /// Changes with what the machine can spare.
    limit_bytes: AtomicU64,
    pool: Pool,
    metrics: Arc<Metrics>,
    /// What files in memory take besides what was granted for them.
    rests: Arc<Rests>,
    /// What was charged, in bytes: all grants that are held.
    used_bytes: AtomicU64,
    /// Of that, what buffers have taken: a GET holds its grant for a round trip before bytes need memory.
    taken_bytes: AtomicU64,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {} bytes)", self.used_bytes(), self.limit_bytes())
    }
}

impl Budget {
    /// A budget that also counts what files in memory take beyond the bytes that they hold.
    pub(super) fn new(limit_bytes: u64, rests: Arc<Rests>, metrics: Arc<Metrics>) -> Arc<Self> {
        let (used_bytes, taken_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let limit_bytes = AtomicU64::new(limit_bytes);
        Arc::new(Budget { limit_bytes, pool: Pool::default(), metrics, rests, used_bytes, taken_bytes })
    }

    /// The limit, in bytes.
    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Where what it holds is counted.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Sets the limit and returns the one before. Recycled memory that would pass it goes back to the system; what is
    /// charged beyond it is for the caller to give up.
    pub(super) fn set_limit_bytes(&self, bytes: u64) -> u64 {
        let before = self.limit_bytes.swap(bytes, Ordering::Relaxed);
        self.pool.trim(self.pool_bytes());
        before
    }

    /// How many bytes are charged now.
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed) + self.rests.bytes()
    }

    /// Bytes that must be given up before `bytes` more fit at this priority; 0 when they fit now.
    pub(super) fn lacking(&self, bytes: u64, priority: Priority) -> u64 {
        (self.used_bytes() + bytes).saturating_sub(self.share(priority))
    }

    /// Charges `bytes`, or refuses where they do not fit.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64, priority: Priority) -> Option<Grant> {
        let share = self.share(priority).saturating_sub(self.rests.bytes());
        let fits = |used: u64| (used + bytes <= share).then_some(used + bytes);
        self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(self.granted(bytes))
    }

    /// Charges `bytes` though they may not fit: a program waits for them. The caller sees to it that what is overdrawn
    /// stays small (no more than the reads in flight) and is given back first.
    pub(super) fn overdraw(self: &Arc<Self>, bytes: u64) -> Grant {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.granted(bytes)
    }

    /// Where freed buffers wait for reuse.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A buffer has taken this much of what was granted. Recycled memory that would pass the limit together with what
    /// is in use goes back to the system.
    pub(super) fn taken(&self, bytes: u64) {
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.pool.trim(self.pool_bytes());
    }

    /// A buffer is no longer used; its memory goes to the pool next.
    pub(super) fn returned(&self, bytes: u64) {
        self.taken_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How much the pool may keep: what was granted and will soon be taken, and a reserve, while all memory in use or
    /// kept stays within the limit.
    pub(super) fn pool_bytes(&self) -> u64 {
        let taken = self.taken_bytes.load(Ordering::Relaxed);
        let awaited = self.used_bytes.load(Ordering::Relaxed).saturating_sub(taken);
        self.limit_bytes().saturating_sub(taken + self.rests.bytes()).min(awaited + POOL_BYTES)
    }

    fn granted(self: &Arc<Self>, bytes: u64) -> Grant {
        self.metrics.add(Metric::BufferBytes, bytes);
        Grant { budget: self.clone(), bytes }
    }

    fn share(&self, priority: Priority) -> u64 {
        match priority {
            Priority::Demand | Priority::Window => self.limit_bytes(),
            Priority::Speculation => self.limit_bytes() / 8 * 7,
            Priority::WarmUp => self.limit_bytes() / 4 * 3,
        }
    }
}

/// Memory charged to the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Grant {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Grant {
    /// The budget that it was charged to.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.metrics.subtract(Metric::BufferBytes, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_refused_before_promises_and_demand_never() {
        let metrics = Arc::new(Metrics::default());
        let budget = Budget::new(1600, Arc::default(), metrics.clone());
        let warm = budget.reserve(1200, Priority::WarmUp).unwrap();
        assert!(budget.reserve(1, Priority::WarmUp).is_none());
        let _speculation = budget.reserve(200, Priority::Speculation).unwrap();
        assert!(budget.reserve(1, Priority::Speculation).is_none());
        let _window = budget.reserve(200, Priority::Window).unwrap();
        assert!(budget.reserve(1, Priority::Window).is_none());
        assert_eq!(budget.lacking(100, Priority::Window), 100);
        let demand = budget.overdraw(50);
        assert_eq!(metrics.value(Metric::BufferBytes), 1650);
        drop((demand, warm));
        assert_eq!(budget.used_bytes(), 400);
        assert_eq!(metrics.value(Metric::BufferBytes), 400);
        assert_eq!(budget.lacking(100, Priority::Window), 0);
    }
}
