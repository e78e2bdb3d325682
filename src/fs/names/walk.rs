//! Recognising a program that walks the tree, from which directories it opens. Pure: prefixes in, advice out.
//!
//! `find`, `du`, `ls -R`, `os.walk`, `cp -r` and `rsync` go depth first: into a directory, through all below it, and on
//! to its neighbour. So when a second child of one directory is opened that had to be listed, the rest of its
//! children are probably wanted too, and with one listing of all that lies behind, a page brings hundreds of small
//! directories instead of one. When that subtree is done, the walk goes on to the neighbour of the directory above,
//! which is that one's second child: so the advice climbs level by level, in a tree of dates from hours to days to
//! months, and what it may cost wrongly stays in proportion to what was walked.
//!
//! A walker that visits children in the order of their keys is led from where it stands; one that sorts them in its
//! own way (`find` sorts by inode number from 10,000 children on) may want those that lie before as well.
//!
//! Advice that was not followed makes the next one for that directory wait for twice as many children.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::Tuning;

/// Directories whose children are remembered: those of several walks at once, with all the levels they are in.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// What was known of a directory when it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// All of it: the walk does not wait.
    Complete,
    /// A listing of a directory above it is on its way here.
    Coming,
    /// It has to be listed.
    Unlisted,
}

/// Advice to list what a walk will want.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ahead {
    /// Everything below this prefix.
    pub(super) below: String,
    /// From this key on; `None` where the walk goes to and fro.
    pub(super) from: Option<String>,
    /// Entries below that prefix that were read while the walk was recognised.
    pub(super) read: u64,
}

/// How advice turned out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The walk read much of what was listed.
    Followed,
    /// The walk went elsewhere.
    Ignored,
}

/// The walks going on.
#[derive(Debug)]
pub(super) struct Walks {
    tuning: Arc<Tuning>,
    parents: LruCache<Box<str>, Parent>,
}

/// The children of one directory, as they were opened, or what lies below them.
#[derive(Debug)]
struct Parent {
    /// The prefix of the child that the walk is in.
    last: Box<str>,
    /// How many had to be listed since the last advice.
    unlisted: u64,
    to_and_fro: bool,
    patience: u64,
    read: u64,
}

impl Parent {
    fn new(child: &str, known: Known, patience: u64) -> Self {
        let unlisted = u64::from(known == Known::Unlisted);
        Parent { last: child.into(), unlisted, to_and_fro: false, patience, read: 0 }
    }

    /// The walk goes on to another child.
    fn step(&mut self, below: &str, child: &str, known: Known) -> Option<Ahead> {
        self.to_and_fro |= *child < *self.last;
        self.last = child.into();
        self.unlisted += u64::from(known == Known::Unlisted);
        if known != Known::Unlisted || self.unlisted < self.patience {
            return None;
        }
        self.unlisted = 0;
        let from = (!std::mem::take(&mut self.to_and_fro)).then(|| child.to_owned());
        Some(Ahead { below: below.to_owned(), from, read: std::mem::take(&mut self.read) })
    }
}

impl Walks {
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        Walks { tuning, parents: LruCache::new(REMEMBERED) }
    }

    /// A directory was opened; its prefix ends in `/`. That is a step among the children of each directory above it:
    /// a program that looks into `a/x/` and then into `b/x/` walks from `a/` to `b/`.
    pub(super) fn opened(&mut self, prefix: &str, known: Known) -> Option<Ahead> {
        let mut child = prefix;
        while let Some(below) = above(child) {
            match self.parents.get_mut(below) {
                // What lies above has been here before.
                Some(parent) if *parent.last == *child => return None,
                Some(parent) => return parent.step(below, child, known),
                None => drop(self.parents.put(below.into(), Parent::new(child, known, self.tuning.walk_patience))),
            }
            child = below;
        }
        None
    }

    /// Whether a walk stands at this directory, so that opening it is no step.
    pub(super) fn stand_at(&self, prefix: &str) -> bool {
        let parent = above(prefix).and_then(|below| self.parents.peek(below));
        parent.is_some_and(|parent| *parent.last == *prefix)
    }

    /// Entries of a directory were read that is a step of a walk.
    pub(super) fn read(&mut self, prefix: &str, entries: u64) {
        let mut at = prefix;
        while let Some(below) = above(at) {
            if let Some(parent) = self.parents.peek_mut(below) {
                parent.read += entries;
            }
            at = below;
        }
    }

    /// The listing that was advised has ended.
    pub(super) fn over(&mut self, below: &str, outcome: Outcome) {
        let Some(parent) = self.parents.peek_mut(below) else { return };
        parent.patience = match outcome {
            Outcome::Followed => self.tuning.walk_patience,
            Outcome::Ignored => (parent.patience * 2).min(self.tuning.most_walk_patience),
        };
    }
}

/// The prefix of the directory that a directory lies in; `None` at the very top, and for directories that hold the
/// rest of long names, which are no level of their own.
fn above(prefix: &str) -> Option<&str> {
    let name = prefix.strip_suffix('/')?;
    Some(&name[..name.rfind('/').map_or(0, |at| at + 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens directories one after the other, and shows which listings that leads to. What an advised listing covers
    /// is complete from then on.
    fn check<'a>(opened: impl IntoIterator<Item = &'a str>, expected: &[&str]) {
        let mut walks = Walks::new(Arc::default());
        let mut ahead: Vec<Ahead> = Vec::new();
        for prefix in opened {
            let covered = |ahead: &Ahead| {
                prefix.starts_with(&ahead.below) && ahead.from.as_ref().is_none_or(|from| **from <= *prefix)
            };
            let known = if ahead.iter().any(covered) { Known::Complete } else { Known::Unlisted };
            ahead.extend(walks.opened(prefix, known));
        }
        let show = |ahead: &Ahead| match &ahead.from {
            Some(from) => format!("{} from {from}", ahead.below),
            None => format!("{} all", ahead.below),
        };
        assert_eq!(ahead.iter().map(show).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_second_child_leads_to_the_rest() {
        check(["p/", "p/a/", "p/b/", "p/c/", "p/d/"], &["p/ from p/b/"]);
        check(["p/a/", "p/a/", "p/a/"], &[]);
        check(["p/a/", "q/a/", "r/a/"], &[" from q/"]);
        check(["p/", "p/a/", "p/a/x/", "p/a/x/y/"], &[]);
        check(["", "a/"], &[]);
    }

    #[test]
    fn a_walk_through_dates_climbs_level_by_level() {
        let hours = |day: &str| (0..24).map(|hour| format!("{day}{hour:02}/")).collect::<Vec<_>>();
        let mut way = vec!["y/".to_owned()];
        for month in 1..=12 {
            way.push(format!("y/{month:02}/"));
            for day in 1..=28 {
                way.push(format!("y/{month:02}/{day:02}/"));
                way.extend(hours(&format!("y/{month:02}/{day:02}/")));
            }
        }
        check(way.iter().map(String::as_str), &["y/01/01/ from y/01/01/01/", "y/01/ from y/01/02/", "y/ from y/02/"]);
    }

    #[test]
    fn who_goes_to_and_fro_gets_all() {
        check(["p/c/", "p/a/", "p/b/"], &["p/ all"]);
    }

    #[test]
    fn what_needs_no_listing_is_no_reason() {
        let mut walks = Walks::new(Arc::default());
        for (prefix, known) in [("p/a/", Known::Complete), ("p/b/", Known::Coming), ("p/c/", Known::Unlisted)] {
            assert_eq!(walks.opened(prefix, known), None, "{prefix}");
        }
        assert!(walks.opened("p/d/", Known::Unlisted).is_some());
    }

    #[test]
    fn what_was_read_below_is_told_with_the_advice() {
        let mut walks = Walks::new(Arc::default());
        walks.opened("p/a/", Known::Unlisted);
        walks.read("p/a/", 10);
        walks.read("p/a/x/", 5);
        walks.read("p/", 1000);
        let ahead = walks.opened("p/b/", Known::Unlisted).unwrap();
        assert_eq!(ahead.read, 15);
    }

    #[test]
    fn advice_that_was_ignored_makes_it_wait_longer() {
        let mut walks = Walks::new(Arc::default());
        let mut names = (0..).map(|n| format!("p/{n:04}/"));
        let mut needed = |walks: &mut Walks| {
            (1..).find(|_| walks.opened(&names.next().unwrap(), Known::Unlisted).is_some()).unwrap()
        };
        assert_eq!(needed(&mut walks), 2);
        walks.over("p/", Outcome::Ignored);
        assert_eq!(needed(&mut walks), 4);
        for _ in 0..10 {
            walks.over("p/", Outcome::Ignored);
        }
        assert_eq!(needed(&mut walks), 64);
        walks.over("p/", Outcome::Followed);
        assert_eq!(needed(&mut walks), 2);
    }
}
