//! The state that the records of an earlier daemon describe.

use std::collections::{BTreeMap, HashMap};

use super::record::Record;
use crate::base::{Ino, Timestamp};
use crate::tree::Object;

/// What an earlier life of the daemon has left.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Past {
    notes: BTreeMap<String, String>,
    pub(in crate::fs) directories: HashMap<Ino, PastDirectory>,
    /// Open files by handle.
    pub(in crate::fs) files: BTreeMap<u64, PastFile>,
    /// Open directories by handle.
    pub(in crate::fs) listings: BTreeMap<u64, PastListing>,
    /// The requests that opened them, by handle.
    pub(in crate::fs) asked: BTreeMap<u64, u64>,
    /// Requests that were sent again and not answered then, by number.
    pub(in crate::fs) under_way: HashMap<u64, UnderWay>,
}

/// A request that was sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::fs) struct UnderWay {
    /// Lives in which it was under way.
    pub(in crate::fs) lives: u32,
    /// Whether no other suspect was served beside it in the last of them.
    pub(in crate::fs) is_alone: bool,
}

/// A directory that the kernel knows.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::fs) struct PastDirectory {
    pub(in crate::fs) prefix: String,
    pub(in crate::fs) mtime: Option<Timestamp>,
}

/// A file that was open.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::fs) struct PastFile {
    pub(in crate::fs) ino: Ino,
    pub(in crate::fs) object: Object,
    /// The number under which the kernel reads it by itself.
    pub(in crate::fs) backing: Option<u32>,
}

/// A directory that was open.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::fs) struct PastListing {
    pub(in crate::fs) ino: Ino,
    /// What was given out: the offset behind each entry, ascending, and a hash of its name.
    pub(in crate::fs) given: Vec<(u64, u64)>,
}

impl Past {
    /// The text that was left under a name.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.get(name).map(String::as_str)
    }

    /// The names of all notes.
    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.keys().map(String::as_str)
    }

    pub(super) fn take(&mut self, record: Record) {
        match record {
            Record::Note { name, text } => drop(self.notes.insert(name, text)),
            Record::Directory { ino, prefix, mtime } => {
                self.directories.insert(ino, PastDirectory { prefix, mtime });
            }
            Record::Forgotten { ino } => drop(self.directories.remove(&ino)),
            Record::File { handle, ino, object } => {
                self.files.insert(handle, PastFile { ino, object, backing: None });
            }
            Record::Passed { handle, backing } => {
                if let Some(file) = self.files.get_mut(&handle) {
                    file.backing = Some(backing);
                }
            }
            Record::Listing { handle, ino } => {
                self.listings.insert(handle, PastListing { ino, given: Vec::new() });
            }
            Record::Given { handle, entries } => {
                if let Some(listing) = self.listings.get_mut(&handle) {
                    listing.give(entries);
                }
            }
            Record::Closed { handle } => {
                self.files.remove(&handle);
                self.listings.remove(&handle);
                self.asked.remove(&handle);
            }
            Record::Asked { handle, request } => {
                if self.files.contains_key(&handle) || self.listings.contains_key(&handle) {
                    self.asked.insert(handle, request);
                }
            }
            Record::UnderWay { request, lives, is_alone } => {
                self.under_way.insert(request, UnderWay { lives, is_alone });
            }
            Record::Answered { request } => drop(self.under_way.remove(&request)),
        }
    }

    /// The same as records, in as few as it takes.
    pub(super) fn into_records(self) -> impl Iterator<Item = Record> {
        let notes = self.notes.into_iter().map(|(name, text)| Record::Note { name, text });
        let directories = self.directories.into_iter();
        let directories =
            directories.map(|(ino, PastDirectory { prefix, mtime })| Record::Directory { ino, prefix, mtime });
        let files = self.files.into_iter().flat_map(|(handle, PastFile { ino, object, backing })| {
            let passed = backing.map(|backing| Record::Passed { handle, backing });
            std::iter::once(Record::File { handle, ino, object }).chain(passed)
        });
        let listings = self.listings.into_iter().flat_map(|(handle, PastListing { ino, given })| {
            let given = (!given.is_empty()).then_some(Record::Given { handle, entries: given });
            std::iter::once(Record::Listing { handle, ino }).chain(given)
        });
        let asked = self.asked.into_iter().map(|(handle, request)| Record::Asked { handle, request });
        let under_way = self.under_way.into_iter();
        let under_way =
            under_way.map(|(request, UnderWay { lives, is_alone })| Record::UnderWay { request, lives, is_alone });
        notes.chain(directories).chain(files).chain(listings).chain(asked).chain(under_way)
    }
}

impl PastListing {
    /// Entries from an offset on take the place of those that were given from there on before.
    fn give(&mut self, entries: Vec<(u64, u64)>) {
        if let Some(&(first, _)) = entries.first() {
            let kept = self.given.partition_point(|&(offset, _)| offset < first);
            self.given.truncate(kept);
        }
        self.given.extend(entries);
    }

    /// Hashes of the names in front of an offset.
    pub(in crate::fs) fn before(&self, offset: u64) -> impl Iterator<Item = u64> {
        let end = self.given.partition_point(|&(behind, _)| behind <= offset);
        self.given[..end].iter().map(|&(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::object;
    use super::*;

    fn past(records: impl IntoIterator<Item = Record>) -> Past {
        let mut past = Past::default();
        records.into_iter().for_each(|record| past.take(record));
        past
    }

    fn some() -> Vec<Record> {
        let note = |text: &str| Record::Note { name: "n".to_owned(), text: text.to_owned() };
        let directory = |ino| Record::Directory { ino: Ino(ino), prefix: format!("{ino}/"), mtime: None };
        vec![
            note("old"),
            directory(2),
            directory(3),
            Record::File { handle: 1, ino: Ino(4), object: object("a") },
            Record::Asked { handle: 1, request: 20 },
            Record::Passed { handle: 1, backing: 6 },
            Record::File { handle: 2, ino: Ino(4), object: object("a") },
            Record::Asked { handle: 2, request: 22 },
            note("new"),
            Record::Listing { handle: 3, ino: Ino(2) },
            Record::Given { handle: 3, entries: vec![(3, 30), (4, 40)] },
            Record::Given { handle: 3, entries: vec![(5, 50)] },
            Record::Forgotten { ino: Ino(3) },
            Record::Closed { handle: 2 },
            Record::UnderWay { request: 30, lives: 1, is_alone: false },
            Record::UnderWay { request: 32, lives: 1, is_alone: false },
            Record::UnderWay { request: 30, lives: 2, is_alone: true },
            Record::Answered { request: 32 },
            // Of nothing that is known.
            Record::Closed { handle: 99 },
            Record::Asked { handle: 99, request: 24 },
            Record::Answered { request: 99 },
            Record::Passed { handle: 99, backing: 1 },
            Record::Given { handle: 99, entries: vec![] },
        ]
    }

    #[test]
    fn what_is_closed_and_forgotten_leaves_nothing() {
        let past = past(some());
        assert_eq!(past.note("n"), Some("new"));
        assert_eq!(past.directories.keys().collect::<Vec<_>>(), [&Ino(2)]);
        assert_eq!(past.files.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(past.files[&1].backing, Some(6));
        assert_eq!(past.asked.iter().collect::<Vec<_>>(), [(&1, &20)]);
        assert_eq!(past.listings[&3].given, [(3, 30), (4, 40), (5, 50)]);
        let under_way = UnderWay { lives: 2, is_alone: true };
        assert_eq!(past.under_way.iter().collect::<Vec<_>>(), [(&30, &under_way)]);
    }

    #[test]
    fn its_own_records_come_to_the_same() {
        let once = past(some());
        assert_eq!(past(once.clone().into_records()), once);
        assert_eq!(once.into_records().count(), 8);
    }

    #[test]
    fn a_directory_that_is_read_again_from_an_offset_is_given_anew_from_there() {
        let again = |first, entries: &[(u64, u64)]| {
            let mut records = some();
            records.push(Record::Given { handle: 3, entries: entries.to_vec() });
            let listing = past(records).listings[&3].clone();
            (listing.before(first).collect::<Vec<_>>(), listing.given)
        };
        assert_eq!(again(3, &[(4, 41)]), (vec![30], vec![(3, 30), (4, 41)]));
        assert_eq!(again(2, &[(3, 31)]), (vec![], vec![(3, 31)]));
        assert_eq!(again(u64::MAX, &[(1 << 40, 60)]).0, [30, 40, 50, 60]);
    }
}
