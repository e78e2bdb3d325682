//! The option `prefetch` for one object: that of the mount, unless another one was set for the object.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU8, Ordering};

use lru::LruCache;
use parking_lot::Mutex;

use super::Prefetch;
use crate::base::Ino;

/// Objects for which something else is remembered, those set last.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// What holds for an object, which may change while it is open.
#[derive(Debug)]
pub(super) struct Mode(AtomicU8);

impl Mode {
    /// What holds when the object is opened.
    pub(super) fn new(prefetch: Prefetch) -> Self {
        Mode(AtomicU8::new(prefetch as u8))
    }

    /// Changes what holds from now on.
    pub(super) fn set(&self, prefetch: Prefetch) {
        self.0.store(prefetch as u8, Ordering::Relaxed);
    }

    /// Whether this holds now.
    pub(super) fn is(&self, prefetch: Prefetch) -> bool {
        self.0.load(Ordering::Relaxed) == prefetch as u8
    }

    fn now(&self) -> Prefetch {
        let all = [Prefetch::Auto, Prefetch::Open, Prefetch::Off];
        all.into_iter().find(|prefetch| self.is(*prefetch)).unwrap_or_default()
    }
}

/// What was set for single objects.
#[derive(Debug)]
pub(super) struct Modes {
    of_others: Mode,
    set: Mutex<LruCache<Ino, Prefetch>>,
}

impl Modes {
    /// Nothing was set for any object yet.
    pub(super) fn new(of_others: Prefetch) -> Self {
        Modes { of_others: Mode::new(of_others), set: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// Sets what holds for one object.
    pub(super) fn set(&self, ino: Ino, prefetch: Prefetch) {
        self.set.lock().put(ino, prefetch);
    }

    /// What holds for an object that is opened now.
    pub(super) fn of(&self, ino: Ino) -> Prefetch {
        self.set.lock().peek(&ino).copied().unwrap_or_else(|| self.of_others.now())
    }

    /// What holds where nothing else was set.
    pub(super) fn of_others(&self) -> &Mode {
        &self.of_others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_for_one_object_outlives_a_change_of_the_option() {
        let modes = Modes::new(Prefetch::Auto);
        modes.set(Ino(7), Prefetch::Off);
        assert_eq!((modes.of(Ino(7)), modes.of(Ino(8))), (Prefetch::Off, Prefetch::Auto));
        for option in [Prefetch::Open, Prefetch::Off, Prefetch::Auto] {
            modes.of_others().set(option);
            assert_eq!((modes.of(Ino(7)), modes.of(Ino(8))), (Prefetch::Off, option));
        }
    }
}
