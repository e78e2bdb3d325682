//! Which answers an operation may give: the model of the manual's chapter on consistency, over a record of all
//! changes.

use std::collections::BTreeSet;
use std::time::Duration;

// Of the library here, and of the tests that compile this file too.
use super::Ttl;

/// The kind of an operation, which decides how old its answer may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Listing,
    Stat,
    Open,
}

/// How old an answer may be when an operation begins, under these times to live.
pub(super) fn most_age(ttl: Ttl, negative_ttl: Duration, what: What, answer: Seen) -> Duration {
    match (ttl, what, answer) {
        (Ttl::Indefinite, ..) => Duration::MAX,
        (Ttl::EachOpen, What::Stat, Seen::File(_) | Seen::Directory) => Duration::from_secs(1),
        (Ttl::EachOpen, ..) => Duration::ZERO,
        (Ttl::For(ttl), What::Stat | What::Open, Seen::Missing) => ttl.max(negative_ttl),
        (Ttl::For(ttl), ..) => ttl,
    }
}

/// What a name stands for. A directory takes its name from a file, and an object's version is its size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Seen {
    Missing,
    Directory,
    File(u64),
}

/// A change of one key, which takes place at one moment.
#[derive(Clone, Debug)]
struct Change {
    at: Duration,
    key: String,
    /// The version put; `None` where the object was deleted.
    version: Option<u64>,
}

/// All changes of a bucket, in their order.
#[derive(Debug, Default)]
pub(super) struct Record {
    changes: Vec<Change>,
}

/// The time within which an operation may see the bucket as it was at any moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// The beginning of the operation, less the time for which what is known is believed.
    pub(super) from: Duration,
    /// Its end.
    pub(super) to: Duration,
}

impl Record {
    pub(super) fn change(&mut self, at: Duration, key: &str, version: Option<u64>) {
        self.changes.push(Change { at, key: key.to_owned(), version });
    }

    /// What a path stood for at any moment of a window. Changes at its very bounds count on both sides.
    pub(super) fn seen(&self, path: &str, window: Window) -> BTreeSet<Seen> {
        let below = format!("{path}/");
        let (mut file, mut inside) = (None, BTreeSet::new());
        let mut seen = BTreeSet::new();
        let mut last = if path.is_empty() { Seen::Directory } else { Seen::Missing };
        for change in &self.changes {
            if change.at > window.to {
                break;
            }
            if change.at >= window.from {
                seen.insert(last);
            }
            match change.version {
                _ if path.is_empty() => {}
                version if change.key == path => file = version,
                Some(_) if change.key.starts_with(&below) => drop(inside.insert(change.key.as_str())),
                None => drop(inside.remove(change.key.as_str())),
                Some(_) => {}
            }
            last = match file {
                _ if path.is_empty() || !inside.is_empty() => Seen::Directory,
                Some(version) => Seen::File(version),
                None => Seen::Missing,
            };
        }
        seen.insert(last);
        seen
    }

    /// Every name that was ever in a directory.
    pub(super) fn names(&self, directory: &str) -> BTreeSet<&str> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let names = self.changes.iter().filter_map(|change| change.key.strip_prefix(&prefix)?.split('/').next());
        names.collect()
    }

    /// What is wrong with an answer; `None` if nothing is.
    pub(super) fn judge(&self, path: &str, answer: Seen, window: Window) -> Option<String> {
        let seen = self.seen(path, window);
        let right = seen.contains(&answer);
        (!right).then(|| format!("{path}: {answer:?}, but in {window:?} it was {seen:?}"))
    }

    /// The same of a listing of a directory.
    pub(super) fn judge_listing(&self, directory: &str, names: &[(String, Seen)], window: Window) -> Option<String> {
        if self.seen(directory, window).contains(&Seen::Missing) && names.is_empty() {
            return None;
        }
        let path = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let known = self.names(directory);
        if let Some((name, _)) = names.iter().find(|(name, _)| !known.contains(name.as_str())) {
            return Some(format!("{directory}/: {name} was never there"));
        }
        for name in known {
            let mut shown = names.iter().filter(|(shown, _)| shown == name).map(|(_, seen)| *seen);
            let answer = shown.next().unwrap_or(Seen::Missing);
            if shown.next().is_some() {
                return Some(format!("{directory}/: {name} comes twice"));
            }
            if let Some(wrong) = self.judge(&path(name), answer, window) {
                return Some(format!("listing of {directory:?}: {wrong}"));
            }
        }
        None
    }

    /// Whether ESTALE is right: what a path stands for has changed, or what a directory on the way to it does.
    pub(super) fn may_be_stale(&self, path: &str, window: Window) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.into_iter().any(|end| self.seen(&path[..end], window).len() > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(from: u64, to: u64) -> Window {
        Window { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    fn record() -> Record {
        let mut record = Record::default();
        let mut change = |at, key, version| record.change(Duration::from_secs(at), key, version);
        change(0, "a", Some(1));
        change(0, "d/b", Some(2));
        change(10, "a", Some(3));
        change(20, "a", None);
        change(30, "d/b", None);
        record
    }

    #[test]
    fn what_may_be_seen() {
        let record = record();
        let seen = |path, from, to| record.seen(path, seconds(from, to)).into_iter().collect::<Vec<_>>();
        assert_eq!(seen("a", 1, 9), [Seen::File(1)]);
        assert_eq!(seen("a", 1, 10), [Seen::File(1), Seen::File(3)]);
        assert_eq!(seen("a", 10, 11), [Seen::File(1), Seen::File(3)]);
        assert_eq!(seen("a", 11, 25), [Seen::Missing, Seen::File(3)]);
        assert_eq!(seen("a", 21, 25), [Seen::Missing]);
        assert_eq!(seen("d", 1, 29), [Seen::Directory]);
        assert_eq!(seen("d", 31, 40), [Seen::Missing]);
        assert_eq!(seen("d/b", 25, 40), [Seen::Missing, Seen::File(2)]);
        assert_eq!(seen("", 25, 40), [Seen::Directory]);
        assert_eq!(seen("never", 0, 40), [Seen::Missing]);
    }

    #[test]
    fn listings_are_judged_name_by_name() {
        let record = record();
        let judge = |directory: &str, names: &[(&str, Seen)], from, to| {
            let names: Vec<_> = names.iter().map(|(name, seen)| ((*name).to_owned(), *seen)).collect();
            record.judge_listing(directory, &names, seconds(from, to))
        };
        let (a, d) = (("a", Seen::File(1)), ("d", Seen::Directory));
        assert_eq!(judge("", &[a, d], 1, 9), None);
        assert!(judge("", &[d], 1, 9).is_some(), "a was there all the time");
        assert!(judge("", &[a, d], 11, 12).is_some(), "that is the version before");
        assert!(judge("", &[a, a, d], 1, 9).is_some(), "twice");
        assert!(judge("", &[a, d, ("never", Seen::File(1))], 1, 9).is_some());
        assert!(judge("d", &[], 1, 9).is_some());
        assert_eq!(judge("d", &[], 1, 30), None);
        assert!(record.may_be_stale("a", seconds(9, 11)) && !record.may_be_stale("d/b", seconds(9, 25)));
    }
}
