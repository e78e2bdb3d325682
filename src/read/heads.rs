//! Whether the first read of a file opens a window, or only the second read does.
//!
//! A program that looks at a header and one that reads a file to its end begin alike. What tells them apart is the
//! length of the first request (buffered programs ask for 128 KiB, which the kernel doubles; those that copy ask for
//! more), what the file is, and what became of the other files of its directory: whether programs read them whole or
//! looked into them.
//!
//! A window that is opened in vain costs 16 GETs and 16 MiB; one that waits for the second read costs a stream a round
//! trip, once. So the first read must be likely to be followed by others.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use super::layout::Format;
use super::object::Object;
use super::tuning::Tuning;

/// Directories of which it is remembered how their files were read.
const DIRECTORIES: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// How the files of a directory were read lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileUse {
    /// That is not known yet, or they were read in both ways.
    Unknown,
    /// Programs read most of each.
    Wholes,
    /// Programs read less than half of each.
    Portions,
}

/// The length from which on a first read, at the head of an object, opens a window by itself.
pub(super) fn opening_bytes(
    object: &Object,
    part_bytes: u64,
    threshold_bytes: u64,
    file_use: FileUse,
    tuning: &Tuning,
) -> u64 {
    match file_use {
        // Its header says more than any guess.
        _ if Format::of(object.key.as_str()).is_some_and(Format::has_header) => u64::MAX,
        FileUse::Portions => u64::MAX,
        FileUse::Wholes => threshold_bytes,
        // One GET brings all of it, and half of what that takes is the round trip.
        FileUse::Unknown if object.size <= part_bytes => threshold_bytes,
        FileUse::Unknown => threshold_bytes.max(tuning.opening_read_bytes),
    }
}

/// The size up to which an object comes whole with its first read, in bytes.
pub(super) fn small_bytes(part_bytes: u64, file_use: FileUse, tuning: &Tuning) -> u64 {
    match file_use {
        FileUse::Portions => 0,
        FileUse::Wholes | FileUse::Unknown => tuning.small_object_bytes.min(part_bytes),
    }
}

/// How files were read, by directory.
#[derive(Debug)]
pub(super) struct FileUses(Mutex<LruCache<Box<str>, Alike>>);

/// Files of a directory that were read in the same way, one after the other.
#[derive(Clone, Copy, Debug)]
struct Alike {
    file_use: FileUse,
    files: u64,
}

impl FileUses {
    /// Nothing was read yet.
    pub(super) fn new() -> Self {
        FileUses(Mutex::new(LruCache::new(DIRECTORIES)))
    }

    /// How the other files of the object's directory were read.
    pub(super) fn of(&self, object: &Object, tuning: &Tuning) -> FileUse {
        let alike = self.0.lock().get(directory(object)).copied();
        alike.filter(|alike| alike.files >= tuning.files_alike).map_or(FileUse::Unknown, |alike| alike.file_use)
    }

    /// The object was closed, and so many bytes of it had been asked for since it was opened.
    pub(super) fn closed(&self, object: &Object, asked_bytes: u64) {
        if asked_bytes == 0 {
            return;
        }
        let file_use = if asked_bytes >= object.size / 2 { FileUse::Wholes } else { FileUse::Portions };
        let mut uses = self.0.lock();
        match uses.get_mut(directory(object)) {
            Some(alike) if alike.file_use == file_use => alike.files += 1,
            Some(alike) => *alike = Alike { file_use, files: 1 },
            None => drop(uses.put(directory(object).into(), Alike { file_use, files: 1 })),
        }
    }
}

fn directory(object: &Object) -> &str {
    object.key.as_str().rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Ino, Key};

    const MIB: u64 = 1 << 20;

    fn object(key: &str, size: u64) -> Object {
        Object { ino: Ino(1), key: Key::new(key), version: None, etag: None, size, mtime: None, archived: false }
    }

    #[test]
    fn a_first_read_opens_a_window_where_others_are_likely_to_follow() {
        let opens = |key, size, file_use, len| {
            opening_bytes(&object(key, size), 8 * MIB, 128 << 10, file_use, &Tuning::default()) <= len
        };
        for (key, size, file_use, len, expected) in [
            ("a", 64 * MIB, FileUse::Unknown, 256 << 10, false),
            ("a", 64 * MIB, FileUse::Unknown, 512 << 10, true),
            ("a", 64 * MIB, FileUse::Wholes, 256 << 10, true),
            ("a", 64 * MIB, FileUse::Wholes, 4096, false),
            ("a", 64 * MIB, FileUse::Portions, MIB, false),
            ("a", 6 * MIB, FileUse::Unknown, 128 << 10, true),
            ("a", 6 * MIB, FileUse::Portions, 128 << 10, false),
            ("a.safetensors", 64 * MIB, FileUse::Wholes, MIB, false),
        ] {
            assert_eq!(opens(key, size, file_use, len), expected, "{key} {size} {file_use:?} {len}");
        }
    }

    #[test]
    fn a_few_files_alike_show_how_the_next_one_is_read() {
        let (uses, tuning) = (FileUses::new(), Tuning::default());
        let after = |asked: &[u64]| {
            asked.iter().for_each(|&bytes| uses.closed(&object("d/a", 100), bytes));
            uses.of(&object("d/b", 100), &tuning)
        };
        assert_eq!(after(&[10, 10]), FileUse::Unknown);
        assert_eq!(after(&[10]), FileUse::Portions);
        assert_eq!(after(&[0]), FileUse::Portions, "what was not read shows nothing");
        assert_eq!(after(&[60]), FileUse::Unknown);
        assert_eq!(after(&[100, 100]), FileUse::Wholes);
        assert_eq!(uses.of(&object("e/b", 100), &tuning), FileUse::Unknown, "directories are told apart");
    }
}
