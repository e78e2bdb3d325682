//! Whether programs see a file of ours although no handle of theirs is open.
//!
//! A file that the kernel reads by itself is mapped as the backing file: the mapping holds that one, and not the file
//! that was opened, whose release comes at its close. What the mapping shows is read from ours until it is undone, of
//! which the kernel tells us nothing. But it gives a lease for writing to the only user of a file and to no other, and
//! counts mappings among the users: one that is given and handed back at once says that there are none.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Once;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Whether another descriptor, or a mapping, of a file exists that this descriptor is of. True as well where the kernel
/// does not tell.
pub(super) fn is_shared(file: impl AsFd) -> bool {
    static IGNORE: Once = Once::new();
    // Who opens the file in between has this signal sent to the holder, which would end it.
    IGNORE.call_once(|| {
        // SAFETY: no handler is set.
        let _ = unsafe { signal(Signal::SIGIO, SigHandler::SigIgn) };
    });
    let number = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and no memory is involved.
    let lease = |kind: i32| unsafe { libc::fcntl(number, libc::F_SETLEASE, kind) };
    if lease(libc::F_WRLCK) == -1 {
        return true;
    }
    lease(libc::F_UNLCK);
    false
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use memmap2::Mmap;

    use super::*;
    use crate::cache::Memory;

    #[test]
    fn a_file_is_shared_while_it_is_open_or_mapped_elsewhere() {
        let file = Memory::new().expect("the tests run as root").file(1 << 20).unwrap();
        assert!(!is_shared(&*file));
        let other = File::open(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).unwrap();
        assert!(is_shared(&*file), "open");
        // SAFETY: the file is not written.
        let map = unsafe { Mmap::map(&other) }.unwrap();
        drop(other);
        assert!(is_shared(&*file), "mapped");
        drop(map);
        assert!(!is_shared(&*file));
        assert!(!is_shared(&*file), "the lease was given back");
    }
}
