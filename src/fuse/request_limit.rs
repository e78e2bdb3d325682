//! How long the kernel's requests may be: one limit for all FUSE mounts of the machine.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::base::PAGE_BYTES;

/// Where the kernel tells the limit, in pages, since Linux 6.13. Mounts are held to what it was when they were made.
const LIMIT: &str = "/proc/sys/fs/fuse/max_pages_limit";

/// The limit where the kernel does not tell it.
const FIXED_PAGES: u64 = 256;

/// Raises the limit to so many bytes, which root alone may do. It is never lowered, and stays when the mount has ended.
pub(super) fn raise(bytes: u64) {
    if let Err(error) = raise_in(Path::new(LIMIT), bytes) {
        tracing::warn!(%error, "requests of the kernel stay shorter than kernel-max-request says: {LIMIT} cannot be raised");
    }
}

fn raise_in(file: &Path, bytes: u64) -> io::Result<()> {
    let pages = bytes.div_ceil(PAGE_BYTES);
    let (is, can_be_set) = match fs::read_to_string(file) {
        Ok(text) => (text.trim().parse().map_err(|_| ErrorKind::InvalidData)?, true),
        Err(error) if error.kind() == ErrorKind::NotFound => (FIXED_PAGES, false),
        Err(error) => return Err(error),
    };
    match pages <= is {
        true => Ok(()),
        false if can_be_set => fs::write(file, pages.to_string()),
        false => Err(io::Error::other("that requires Linux 6.13 or later")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("max_pages_limit");
        fs::write(&file, "256\n").unwrap();
        for (bytes, pages) in [(1 << 20, "256\n"), (4 << 20, "1024"), (1 << 20, "1024"), ((4 << 20) + 1, "1025")] {
            raise_in(&file, bytes).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), pages, "{bytes}");
        }
    }

    #[test]
    fn a_kernel_without_a_limit_to_set_takes_a_mebibyte() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("max_pages_limit");
        raise_in(&file, 1 << 20).unwrap();
        assert_eq!(raise_in(&file, 2 << 20).unwrap_err().to_string(), "that requires Linux 6.13 or later");
        assert!(!file.exists());
    }

    #[test]
    fn a_limit_that_is_no_number_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("max_pages_limit");
        fs::write(&file, "many\n").unwrap();
        assert_eq!(raise_in(&file, 4 << 20).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&file).unwrap(), "many\n");
    }
}
