//! Which daemon fetches what: several that share a directory do not fetch the same bytes at the same time.
//!
//! Before a daemon asks the store for blocks, it claims them; who finds them claimed waits until they are on disk. A
//! claim is a lock on a range of a file that never has any bytes, one byte of the range for each block. The kernel
//! drops it with the process, however that ends. It protects nothing: two that fetch the same write the same.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::identity::Name;

/// Blocks of one object have so many bits of an offset, and objects the bits above. Where two objects fall on the same
/// offsets, one waits for the other for nothing, and not for long.
const BLOCK_BITS: u32 = 24;
const NAME_BITS: u32 = 38;

/// The claims of one daemon on one directory.
#[derive(Debug)]
pub(super) struct ClaimFile {
    file: File,
}

/// Blocks that no other daemon fetches as long as this lives.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<ClaimFile>,
    start: i64,
    len: i64,
}

impl ClaimFile {
    /// On this file, which is not read or written.
    pub(super) fn on(file: File) -> Arc<ClaimFile> {
        Arc::new(ClaimFile { file })
    }

    /// ClaimFile blocks, not none, of an object; `None` where another daemon has claimed some of them.
    pub(super) fn claim(self: &Arc<Self>, name: Name, blocks: &Range<u64>) -> Option<Claim> {
        let (start, len) = place(name, blocks);
        match self.lock(libc::F_WRLCK, start, len) {
            Err(Errno::EAGAIN | Errno::EACCES) => None,
            // Where the file system has no such locks, each fetches for itself.
            Ok(()) | Err(_) => Some(Claim { claims: self.clone(), start, len }),
        }
    }

    /// Locks of one daemon never exclude each other; where they overlap, the first that is dropped ends both there.
    fn lock(&self, kind: libc::c_int, start: i64, len: i64) -> nix::Result<()> {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: len,
            l_pid: 0,
        };
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // There is nothing that could be done about a failure; others stop waiting by themselves.
        let _ = self.claims.lock(libc::F_UNLCK, self.start, self.len);
    }
}

/// Where blocks of an object lie in the file, and how many bytes they are.
fn place(name: Name, blocks: &Range<u64>) -> (i64, i64) {
    let most = 1 << BLOCK_BITS;
    let object = (name.0 as u64 & ((1 << NAME_BITS) - 1)) << BLOCK_BITS;
    let first = blocks.start % most;
    let len = (blocks.end - blocks.start).clamp(1, most - first);
    ((object + first) as i64, len as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_claimed_no_other_gets_until_it_lets_go() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let [one, other] = [(); 2].map(|()| ClaimFile::on(file.reopen().unwrap()));
        let (a, b) = (Name(7), Name(8));
        let held = one.claim(a, &(3..6)).unwrap();
        assert!(other.claim(a, &(0..4)).is_none() && other.claim(a, &(5..6)).is_none());
        assert!(other.claim(a, &(0..3)).is_some() && other.claim(a, &(6..9)).is_some());
        assert!(other.claim(b, &(3..6)).is_some(), "another object");
        assert!(one.claim(a, &(20..21)).is_some(), "its own claims are no hindrance");
        drop(held);
        let all = other.claim(a, &(0..9)).unwrap();
        assert!(one.claim(a, &(8..20)).is_none());
        drop(all);
        assert!(one.claim(a, &(8..20)).is_some());
    }

    #[test]
    fn every_block_of_every_object_has_a_place() {
        let largest = i64::MAX as u64 / (128 << 10);
        for name in [Name(0), Name(u128::MAX)] {
            for blocks in [0..1, 0..largest, largest..largest + 1, (1 << BLOCK_BITS) - 1..1 << BLOCK_BITS] {
                let (start, len) = place(name, &blocks);
                assert!(start >= 0 && len > 0 && start.checked_add(len).is_some(), "{name} {blocks:?}");
            }
        }
    }
}
