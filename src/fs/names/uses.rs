//! Which directories have been used since they were last listed in the background. Pure: uses and ages in, directories
//! out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use tokio::sync::Notify;

use crate::base::Ino;

/// Directories that are watched: those used last.
const WATCHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// What has been used since it was last listed in the background.
#[derive(Debug)]
pub(super) struct Uses {
    pub(super) directories: LruCache<Ino, Use>,
    pub(super) any: bool,
    /// Wakes the background with the first use after none.
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
pub(super) struct Use {
    opened: bool,
    names: usize,
}

/// How old a listing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// It need not be listed again yet.
    Young,
    /// It should be made again now, if it is worth its pages.
    Old { pages: usize },
    /// The next program that wants it waits for a new one.
    Over,
}

impl Uses {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Uses { directories: LruCache::new(WATCHED), any: false, wake }
    }

    /// Notes that something was used.
    pub(super) fn used(&mut self) {
        if !std::mem::replace(&mut self.any, true) {
            self.wake.notify_one();
        }
    }

    /// A directory is about to be watched: the background sleeps while none is.
    fn watch(&self) {
        if self.directories.is_empty() {
            self.wake.notify_one();
        }
    }

    /// A directory was opened.
    pub(super) fn opened(&mut self, directory: Ino) {
        self.watch();
        self.directories.get_or_insert_mut(directory, Use::default).opened = true;
    }

    /// A name in a directory was looked up, or the file opened.
    pub(super) fn name(&mut self, directory: Ino) {
        self.watch();
        self.directories.get_or_insert_mut(directory, Use::default).names += 1;
    }

    /// Whether anything was used since this was last asked.
    pub(super) fn take_any(&mut self) -> bool {
        std::mem::take(&mut self.any)
    }

    /// Up to `most` directories that should be listed again now.
    pub(super) fn due(&mut self, most: usize, age: impl Fn(Ino) -> Age) -> Vec<Ino> {
        let ages: Vec<_> = self.directories.iter().map(|(&ino, used)| (ino, used.worth(age(ino)))).collect();
        let mut due: Vec<Ino> = Vec::new();
        for (ino, worth) in ages {
            let now = worth == Worth::Now && due.len() < most;
            due.extend(now.then_some(ino));
            if now || worth == Worth::No {
                self.directories.pop(&ino);
            }
        }
        due
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Worth {
    Now,
    Later,
    No,
}

impl Use {
    fn worth(&self, age: Age) -> Worth {
        match age {
            Age::Old { pages } if self.opened || self.names >= pages => Worth::Now,
            Age::Old { .. } | Age::Young => Worth::Later,
            Age::Over => Worth::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_must_have_been_paid_for() {
        let mut uses = Uses::new(Arc::default());
        let old = |pages| move |_| Age::Old { pages };
        uses.name(Ino(7));
        assert_eq!(uses.due(9, old(2)), []);
        uses.name(Ino(7));
        assert_eq!(uses.due(9, |_| Age::Young), []);
        assert_eq!(uses.due(9, old(2)), [Ino(7)]);
        assert_eq!(uses.due(9, old(1)), [], "that was for the last one");
        uses.opened(Ino(7));
        assert_eq!(uses.due(9, old(10_000)), [Ino(7)], "an open wants all of it");
    }

    #[test]
    fn no_more_than_a_few_at_once_and_none_that_is_too_old() {
        let mut uses = Uses::new(Arc::default());
        for ino in 0..1000 {
            uses.opened(Ino(ino));
        }
        let mut due = 0;
        while let found @ 1.. = uses.due(8, |_| Age::Old { pages: 1 }).len() {
            assert!(found <= 8);
            due += found;
        }
        assert_eq!(due, WATCHED.get());
        uses.opened(Ino(1));
        assert_eq!(uses.due(8, |_| Age::Over), []);
        assert_eq!(uses.due(8, |_| Age::Old { pages: 1 }), [], "it is not watched any more");
    }
}
