//! Handles of files (`name_to_handle_at`), as programs use them that serve files to others.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ossmount::metrics::Metric;
use ossmount::store::memory::MemoryStore;

use crate::support::bed::Bed;

/// A handle.
#[repr(C)]
pub(super) struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

pub(super) fn handle_of(path: &Path) -> Handle {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let (mut handle, mut mount_id) = (Handle { bytes: 128, kind: 0, data: [0; 128] }, 0_i32);
    let (at, flags) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    // SAFETY: the path ends with a NUL, and the handle has the room that it says it has.
    let done = unsafe {
        libc::syscall(libc::SYS_name_to_handle_at, at, path.as_ptr(), &raw mut handle, &raw mut mount_id, flags)
    };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    handle
}

pub(super) fn open_by_handle(root: &File, handle: &mut Handle, flags: i32) -> io::Result<File> {
    // SAFETY: the handle is one that the kernel has filled in; the descriptor that comes back is new.
    unsafe {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | flags;
        match libc::syscall(libc::SYS_open_by_handle_at, root.as_raw_fd(), &raw mut *handle, flags) {
            -1 => Err(io::Error::last_os_error()),
            number => Ok(File::from_raw_fd(number as i32)),
        }
    }
}

#[test]
fn handles_are_good_when_the_kernel_has_forgotten_the_inode() {
    let store = MemoryStore::new();
    store.put("folder/file", "content");
    let bed = Bed::over(Arc::new(store));
    let root = File::open(bed.root()).unwrap();
    let mut file = handle_of(&bed.path("folder/file"));
    let mut folder = handle_of(&bed.path("folder"));
    let known = bed.metrics().value(Metric::Lookups);
    // Inodes and names that are not in use.
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    let mut text = String::new();
    io::Read::read_to_string(&mut open_by_handle(&root, &mut file, 0).unwrap(), &mut text).unwrap();
    assert_eq!(text, "content");
    // The way up, which the kernel asks for too.
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    let folder = open_by_handle(&root, &mut folder, 0).unwrap();
    assert!(folder.metadata().unwrap().is_dir());
    assert!(bed.metrics().value(Metric::Lookups) >= known + 2, "the kernel had forgotten both, and asked");
    file.data[0] ^= 1;
    assert_eq!(open_by_handle(&root, &mut file, 0).unwrap_err().raw_os_error(), Some(libc::ESTALE));
}
