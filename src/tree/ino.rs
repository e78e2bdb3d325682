//! Inode numbers: a function of bucket, key and entity tag, so that they are the same after a remount and change
//! when the object does.
//!
//! The hash is part of what users see (numbers in archives and in `tar --listed-incremental` snapshots), so it is
//! written out here and does not come from a crate that may change it.

use crate::base::Ino;

/// A hash of a bucket and a key prefix; what lies below continues from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct PathHash(u64);

const START: u64 = 0x9e37_79b9_7f4a_7c15;
const STEP: u64 = 0xd6e8_feb8_6659_fd93;

impl PathHash {
    pub(super) fn new(bucket: &str, prefix: &str) -> Self {
        PathHash(absorb(absorb(START, bucket.as_bytes()), b"\0")).join(prefix)
    }

    /// The hash of the same prefix with `more` behind it. Joining piece by piece gives another number than joining
    /// at once, so callers always cut a key at its `/`.
    pub(super) fn join(self, more: &str) -> Self {
        more.split_inclusive('/').fold(self, |hash, piece| PathHash(absorb(hash.0, piece.as_bytes())))
    }

    /// The hash of the same prefix with a component and `/` behind it.
    pub(super) fn join_component(self, component: &str) -> Self {
        let mut joined = [b'/'; 256];
        match joined.get_mut(..component.len()).filter(|_| component.len() < 256) {
            Some(start) => start.copy_from_slice(component.as_bytes()),
            None => return self.join(&format!("{component}/")),
        }
        PathHash(absorb(self.0, &joined[..=component.len()]))
    }

    /// The number of the directory itself.
    pub(super) fn directory(self) -> Ino {
        usable(fold(self.0, STEP))
    }

    /// The number of an object in it. `version` tells apart what has the same key: the entity tag in lower case, or
    /// what stands in for it.
    pub(super) fn object(self, name: &str, version: &[u8]) -> Ino {
        usable(absorb(absorb(absorb(self.0, name.as_bytes()), b"\0"), version))
    }
}

/// The next number to try where another key has this one already.
pub(super) fn next(ino: Ino) -> Ino {
    usable(fold(ino.0 ^ START, STEP))
}

/// Numbers 0 and 1 mean nothing and the root; those from 2^63 on look negative to some programs.
fn usable(hash: u64) -> Ino {
    Ino((hash & (u64::MAX >> 1)).max(2))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Mixes bytes in, eight at a time, and their number.
fn absorb(mut hash: u64, text: &[u8]) -> u64 {
    for chunk in text.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = fold(hash ^ u64::from_le_bytes(word) ^ START, STEP);
    }
    fold(hash ^ (text.len() as u64), STEP ^ START.rotate_left(17))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_the_same_for_ever() {
        let root = PathHash::new("bucket", "models/");
        let file = root.object("config.json", b"5b3c1a2e053d763e1b002cc607c5a0fe");
        expect_test::expect!["6067381128908275499 4269191713075388346 6952278494460716870"].assert_eq(&format!(
            "{} {} {file}",
            root.directory(),
            root.join("llama/").directory()
        ));
    }

    #[test]
    fn a_mount_below_the_root_of_the_bucket_gives_the_same_numbers() {
        let whole = PathHash::new("bucket", "").join("a/").join("b/");
        assert_eq!(whole, PathHash::new("bucket", "a/b/"));
        for bytes in [0, 1, 7, 8, 254, 255, 256, 1000] {
            let component = "n".repeat(bytes);
            assert_eq!(whole.join_component(&component), whole.join(&format!("{component}/")));
        }
        assert_ne!(whole, PathHash::new("bucket2", "a/b/"));
        assert_ne!(whole.object("c", b"1"), whole.object("c", b"2"));
    }

    #[test]
    fn a_million_numbered_names_do_not_meet() {
        let hash = PathHash::new("bucket", "train/");
        let numbers: HashSet<Ino> = (0..1_000_000).map(|n| hash.object(&format!("{n:07}.jpg"), b"etag")).collect();
        assert_eq!(numbers.len(), 1_000_000);
        assert!(numbers.iter().all(|ino| ino.0 > 1 && ino.0 < 1 << 63));
    }
}
