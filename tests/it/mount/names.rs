//! Names and attributes through the kernel, and everything that a read-only file system refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use ossmount::metrics::Metric;
use ossmount::store::memory::MemoryStore;

use crate::support::bed::{Bed, Recipe};

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for key in ["a", "folder/b", "folder/deep/c", "folder/deep/d e", "\u{e9}t\u{e9}/\u{1f600}", "last"] {
        store.put(key, format!("content of {key}"));
    }
    Arc::new(store)
}

fn code<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// The result of a system call that returns -1 and sets errno.
fn sys(result: impl TryInto<i64>) -> io::Result<i64> {
    match result.try_into().unwrap_or_default() {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Every file below a directory with its content, by its path from there.
fn walk(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind => {
                    assert!(kind.is_file() && !kind.is_fifo());
                    let below = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    files.insert(below, fs::read(entry.path()).unwrap());
                }
            }
        }
    }
    files
}

#[test]
fn a_walk_finds_every_object() {
    let bed = Bed::over(store());
    let found = walk(bed.root());
    let keys: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, ["a", "folder/b", "folder/deep/c", "folder/deep/d e", "last", "\u{e9}t\u{e9}/\u{1f600}"]);
    for (key, bytes) in found {
        assert_eq!(bytes, format!("content of {key}").into_bytes());
    }
}

#[test]
fn attributes_are_those_of_the_object() {
    let mut recipe = Recipe::default();
    (recipe.fs.uid, recipe.fs.gid, recipe.fs.file_mode, recipe.fs.dir_mode) = (12, 34, 0o440, 0o550);
    let store = store();
    let meta = store.put("sized", vec![7; 1300]);
    let bed = recipe.make(store);
    let file = fs::metadata(bed.path("sized")).unwrap();
    assert!(file.is_file());
    assert_eq!((file.len(), file.blocks(), file.nlink(), file.blksize()), (1300, 3, 1, 128 << 10));
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (12, 34, 0o440));
    assert_eq!(file.mtime(), meta.last_modified.unwrap().seconds);
    let folder = fs::metadata(bed.path("folder")).unwrap();
    assert!(folder.is_dir());
    assert_eq!((folder.nlink(), folder.mode() & 0o7777, folder.uid()), (2, 0o550, 12));
    let again = fs::metadata(bed.path("sized")).unwrap();
    assert_eq!(again.ino(), file.ino());
    assert_eq!(fs::metadata(bed.path("folder/..")).unwrap().ino(), fs::metadata(bed.root()).unwrap().ino());
}

#[test]
fn readdir_and_stat_agree_on_inode_numbers() {
    use std::os::unix::fs::DirEntryExt;
    let bed = Bed::over(store());
    for entry in fs::read_dir(bed.path("folder/deep")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.ino(), fs::metadata(entry.path()).unwrap().ino());
    }
}

#[test]
fn what_is_not_there_is_enoent() {
    let bed = Bed::over(store());
    assert_eq!(code(fs::metadata(bed.path("none"))), libc::ENOENT);
    assert_eq!(code(fs::metadata(bed.path("folder/none"))), libc::ENOENT);
    assert_eq!(code(fs::metadata(bed.path("none/below"))), libc::ENOENT);
    assert_eq!(code(fs::metadata(bed.path("a/below"))), libc::ENOTDIR);
    assert_eq!(code(fs::metadata(bed.path(OsStr::from_bytes(b"\xff\xfe")))), libc::ENOENT);
    assert_eq!(code(fs::metadata(bed.path("x".repeat(255)))), libc::ENOENT);
    assert_eq!(code(fs::metadata(bed.path("x".repeat(256)))), libc::ENAMETOOLONG);
    assert_eq!(code(fs::metadata(bed.path("x".repeat(5000)))), libc::ENAMETOOLONG);
    assert_eq!(code(fs::read_dir(bed.path("a")).map(|_| ())), libc::ENOTDIR);
    assert_eq!(code(fs::read(bed.path("folder"))), libc::EISDIR);
}

#[test]
fn the_kernel_remembers_what_is_not_there() {
    let bed = Bed::over(store());
    assert_eq!(code(fs::metadata(bed.path("none"))), libc::ENOENT);
    let lookups = bed.metrics().value(Metric::Lookups);
    assert!(lookups > 0);
    assert_eq!(code(fs::metadata(bed.path("none"))), libc::ENOENT);
    assert_eq!(bed.metrics().value(Metric::Lookups), lookups);
}

#[test]
fn with_a_ttl_of_zero_the_kernel_remembers_no_absence() {
    let mut recipe = Recipe::default();
    recipe.fs.negative_ttl = std::time::Duration::ZERO;
    let bed = recipe.make(store());
    assert_eq!(code(fs::metadata(bed.path("none"))), libc::ENOENT);
    let lookups = bed.metrics().value(Metric::Lookups);
    assert_eq!(code(fs::metadata(bed.path("none"))), libc::ENOENT);
    assert!(bed.metrics().value(Metric::Lookups) > lookups);
}

#[test]
fn a_listing_brings_the_attributes_along() {
    let store = store();
    let bed = Bed::over(store.clone());
    let names = fs::read_dir(bed.path("folder/deep")).unwrap().count();
    store.take_requests();
    let lookups = bed.metrics().value(Metric::Lookups);
    for entry in fs::read_dir(bed.path("folder/deep")).unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() > 0);
    }
    assert_eq!(names, 2);
    assert_eq!(store.take_requests(), []);
    assert_eq!(bed.metrics().value(Metric::Lookups), lookups, "the kernel had them from the listing");
}

#[test]
fn a_directory_of_a_hundred_thousand_is_whole() {
    let store = MemoryStore::new();
    let name = |index: u32| format!("{index:06} {}", "x".repeat((index % 90) as usize));
    for index in 0..100_000 {
        store.put(format!("many/{}", name(index)), "");
    }
    let bed = Bed::over(Arc::new(store));
    for _ in 0..2 {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(bed.path("many")).unwrap() {
            let name = String::from_utf8(entry.unwrap().file_name().into_vec()).unwrap();
            assert!(found.insert(name.clone()), "{name} comes twice");
        }
        assert_eq!(found.len(), 100_000);
        assert!((0..100_000).all(|index| found.contains(&name(index))));
    }
    assert!(fs::metadata(bed.path("many").join(name(99_999))).unwrap().is_file());
}

#[test]
fn a_directory_can_be_read_again_from_any_place_in_it() {
    let store = MemoryStore::new();
    for index in 0..3000 {
        store.put(format!("many/{index:04}"), "");
    }
    let bed = Bed::over(Arc::new(store));
    let path = c(&bed.path("many"));
    // SAFETY: the stream is open until the end, and names are copied before the next call.
    unsafe {
        let dir = libc::opendir(path.as_ptr());
        assert!(!dir.is_null());
        let next = || match libc::readdir(dir) {
            entry if entry.is_null() => None,
            entry => Some((CStr::from_ptr((*entry).d_name.as_ptr()).to_owned(), libc::telldir(dir))),
        };
        let all: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(all.len(), 3002);
        for place in [1234, 7, 2999, 0] {
            libc::seekdir(dir, all[place].1);
            let rest: Vec<_> = std::iter::from_fn(next).collect();
            assert!(rest == all[place + 1..], "after entry {place}");
        }
        libc::rewinddir(dir);
        assert_eq!(std::iter::from_fn(next).count(), 3002);
        libc::closedir(dir);
    }
}

#[test]
fn attributes_beyond_the_usual_say_what_they_are() {
    let bed = Bed::over(store());
    let path = c(&bed.path("folder/b"));
    let value = |name: &str| {
        let (name, mut value) = (CString::new(name).unwrap(), [0u8; 256]);
        // SAFETY: the buffer is as long as is said.
        let len = sys(unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), 256) } as i64)?;
        io::Result::Ok(String::from_utf8(value[..len as usize].to_vec()).unwrap())
    };
    assert_eq!(value("user.oss.key").unwrap(), "folder/b");
    assert_eq!(code(value("user.none")), libc::ENODATA);
    assert_eq!(code(value("security.capability")), libc::ENODATA);
    // SAFETY: a length of zero touches no buffer.
    let size = sys(unsafe { libc::listxattr(path.as_ptr(), std::ptr::null_mut(), 0) } as i64).unwrap();
    let mut names = vec![0u8; size as usize];
    // SAFETY: the buffer is as long as is said.
    let len = sys(unsafe { libc::listxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) } as i64).unwrap();
    assert_eq!(len, size);
    assert!(names.split(|byte| *byte == 0).any(|name| name == b"user.oss.etag"));
}

#[test]
fn unknown_ioctls_are_enotty() {
    let bed = Bed::over(store());
    for path in [bed.path("a"), bed.path("folder")] {
        let file = File::open(path).unwrap();
        let mut buffer = [0u8; 64];
        // _IOR('x', 99, 64 bytes)
        let number = (2 << 30) | (64 << 16) | (u64::from(b'x') << 8) | 99;
        // SAFETY: the buffer is as long as the number says.
        assert_eq!(code(sys(unsafe { libc::ioctl(file.as_raw_fd(), number, buffer.as_mut_ptr()) })), libc::ENOTTY);
    }
}

#[test]
fn the_size_of_the_file_system_is_sane() {
    let bed = Bed::over(store());
    let shown = nix::sys::statvfs::statvfs(bed.root()).unwrap();
    assert!(shown.blocks() > 0 && shown.block_size() > 0 && shown.files() > 0);
    assert_eq!(shown.name_max(), 255);
    assert_eq!(shown.blocks_available(), shown.blocks_free());
}

#[test]
fn locks_work_among_the_programs_of_one_machine() {
    let bed = Bed::over(store());
    let (first, second) = (File::open(bed.path("a")).unwrap(), File::open(bed.path("a")).unwrap());
    first.lock().unwrap();
    assert!(matches!(second.try_lock(), Err(fs::TryLockError::WouldBlock)));
    first.unlock().unwrap();
    second.try_lock_shared().unwrap();
    let whole = libc::flock { l_type: libc::F_RDLCK as _, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    nix::fcntl::fcntl(&first, nix::fcntl::FcntlArg::F_SETLK(&whole)).unwrap();
}

#[test]
fn files_are_always_ready_to_be_polled() {
    let bed = Bed::over(store());
    let file = File::open(bed.path("a")).unwrap();
    let mut asked = [libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    // SAFETY: one element is given and one is said.
    assert_eq!(sys(unsafe { libc::poll(asked.as_mut_ptr(), 1, 10_000) }).unwrap(), 1);
    assert_eq!(asked[0].revents, libc::POLLIN);
}

/// Everything a program can try to change, each by its name.
fn changes(bed: &Bed) -> Vec<(&'static str, io::Result<i64>)> {
    let (file, folder, new) = (bed.path("a"), bed.path("folder"), bed.path("new"));
    let (c_file, c_new) = (c(&file), c(&new));
    let done = |result: io::Result<()>| result.map(|()| 0);
    let opened = |options: &mut OpenOptions, path: &Path| options.open(path).map(|_| 0);
    let name = c"user.x".as_ptr();
    // SAFETY: paths and names end in NUL, lengths are those of the buffers.
    let (mknod, truncate, utimes, set, remove) = unsafe {
        (
            sys(libc::mknod(c_new.as_ptr(), libc::S_IFIFO | 0o644, 0)),
            sys(libc::truncate(c_file.as_ptr(), 0)),
            sys(libc::utimes(c_file.as_ptr(), std::ptr::null())),
            sys(libc::setxattr(c_file.as_ptr(), name, c"v".as_ptr().cast(), 1, 0)),
            sys(libc::removexattr(c_file.as_ptr(), name)),
        )
    };
    vec![
        ("write", opened(OpenOptions::new().write(true), &file)),
        ("read and write", opened(OpenOptions::new().read(true).write(true), &file)),
        ("append", opened(OpenOptions::new().append(true), &file)),
        ("truncate at open", opened(OpenOptions::new().write(true).truncate(true), &file)),
        ("create", opened(OpenOptions::new().write(true).create_new(true), &new)),
        ("create in a folder", opened(OpenOptions::new().write(true).create(true), &folder.join("new"))),
        ("mkdir", done(fs::create_dir(&new))),
        ("rmdir", done(fs::remove_dir(&folder))),
        ("unlink", done(fs::remove_file(&file))),
        ("rename", done(fs::rename(&file, &new))),
        ("rename over", done(fs::rename(&file, bed.path("last")))),
        ("symlink", done(std::os::unix::fs::symlink("a", &new))),
        ("link", done(fs::hard_link(&file, &new))),
        ("chmod", done(fs::set_permissions(&file, fs::Permissions::from_mode(0o777)))),
        ("chown", done(std::os::unix::fs::chown(&file, Some(1), Some(1)))),
        ("mknod", mknod),
        ("truncate", truncate),
        ("utimes", utimes),
        ("setxattr", set),
        ("removexattr", remove),
    ]
}

#[test]
fn what_would_change_the_bucket_is_refused_by_kernel_and_daemon_alike() {
    for kernel_read_only in [true, false] {
        let mut recipe = Recipe::default();
        recipe.fuse.kernel_read_only = kernel_read_only;
        let bed = recipe.make(store());
        for (change, result) in changes(&bed) {
            assert_eq!(code(result), libc::EROFS, "{change}, kernel_read_only: {kernel_read_only}");
        }
        assert_eq!(fs::read(bed.path("a")).unwrap(), b"content of a");
        // SAFETY: the path ends in NUL.
        let access = sys(unsafe { libc::access(c(&bed.path("a")).as_ptr(), libc::W_OK) });
        assert_eq!(code(access), libc::EROFS);
        let file = File::open(bed.path("a")).unwrap();
        file.sync_all().unwrap();
        // SAFETY: the descriptor is open, though not for writing.
        assert_eq!(code(sys(unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, 10) })), libc::EBADF);
    }
}
