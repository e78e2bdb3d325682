//! How mounts begin and end, by any process, and what is said when they cannot begin.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use ossmount::base::{BucketName, Clock};
use ossmount::fuse::{self, Access, Drained, Laziness, MountError, Mounted, Options, Place, Target};
use ossmount::store::memory::MemoryStore;
use tempfile::TempDir;

use crate::support::bed::{Bed, Kitchen, Recipe};
use crate::support::namespace::{in_own_mounts, mount_tmpfs, with_open_fuse_device};

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    store.put("folder/file", "content");
    Arc::new(store)
}

fn try_mount(kitchen: &Kitchen, place: Place, options: Options) -> Result<Mounted, MountError> {
    let fs = ossmount::fs::Options::new(BucketName::new("bucket"));
    let (fs, _) = kitchen.fs(store(), fs, Default::default(), Clock::system());
    kitchen.mount(fs, Target { source: "oss://bucket".to_owned(), place }, options)
}

fn refusal(dir: &Path) -> String {
    try_mount(&Kitchen::new(), Place::Directory(dir.to_owned()), Options::default()).unwrap_err().to_string()
}

/// What is mounted on top of a directory: type and source.
fn top(dir: &Path) -> Option<(String, String)> {
    let dir = dir.canonicalize().unwrap();
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let mut rows = table.lines().map(|row| row.split(' ').collect::<Vec<_>>());
    let row = rows.rfind(|row| Path::new(row[1]) == dir)?;
    Some((row[2].to_owned(), row[0].to_owned()))
}

fn is_ours(dir: &Path) -> bool {
    top(dir).is_some_and(|(fs_type, _)| fs_type == "fuse.ossmount")
}

fn unmount(dir: &Path) {
    umount2(dir, MntFlags::MNT_DETACH).unwrap();
}

/// Keeps a mount in use without asking it anything.
fn hold(dir: &Path) -> File {
    File::options().read(true).custom_flags(libc::O_PATH).open(dir).unwrap()
}

#[test]
fn the_table_of_mounts_shows_the_url() {
    let source = "oss://bucket/a b\tc\\d#e,f=g/\u{4f60}";
    let bed = Recipe { source: source.to_owned(), ..Recipe::default() }.make(store());
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let row = table.lines().find(|row| row.contains(bed.root().to_str().unwrap())).unwrap();
    let fields: Vec<_> = row.split(' ').collect();
    assert_eq!(fields[0], "oss://bucket/a\\040b\\011c\\134d\\043e,f=g/\u{4f60}");
    assert_eq!(fields[2], "fuse.ossmount");
    let options: Vec<_> = fields[3].split(',').collect();
    for option in ["ro", "nosuid", "nodev", "default_permissions"] {
        assert!(options.contains(&option), "{option} in {row}");
    }
    assert!(!options.contains(&"allow_other"));
    let ours: Vec<_> = fuse::mounts().unwrap().into_iter().filter(|mount| mount.dir == bed.root()).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].source, source);
}

#[test]
fn options_reach_the_kernel() {
    let options = Options { access: Access::Everyone, noexec: true, kernel_read_only: false, ..Options::default() };
    let bed = Recipe { fuse: options, ..Recipe::default() }.make(store());
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let row = table.lines().find(|row| row.contains(bed.root().to_str().unwrap())).unwrap();
    let options: Vec<_> = row.split(' ').nth(3).unwrap().split(',').collect();
    for (option, expected) in [("rw", true), ("noexec", true), ("allow_other", true), ("default_permissions", false)] {
        assert_eq!(options.contains(&option), expected, "{option} in {row}");
    }
}

#[test]
fn the_readahead_is_wide() {
    let read_ahead_kib = |bed: &Bed| {
        let mount = fuse::mounts().unwrap().into_iter().find(|mount| mount.dir == bed.root()).unwrap();
        let (major, minor) = mount.device;
        fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb")).unwrap().trim().to_owned()
    };
    assert_eq!(read_ahead_kib(&Bed::over(store())), "1024");
    let mut recipe = Recipe::default();
    recipe.fuse.read_ahead_kib = 4096;
    assert_eq!(read_ahead_kib(&recipe.make(store())), "4096");
}

#[test]
fn bad_directories_are_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&dir.path().join("none")).contains("none does not exist"));
    assert!(refusal(&file).contains("file is not a directory"));
    assert!(refusal(&file.join("below")).contains("is not a directory"));
    assert!(refusal(dir.path()).contains("is not empty: name an empty directory, or mount with nonempty"));
    assert_eq!(top(dir.path()), None);
}

#[test]
fn a_directory_with_entries_is_covered_if_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "below").unwrap();
    let options = Options { nonempty: true, ..Options::default() };
    let kitchen = Kitchen::new();
    let mounted = try_mount(&kitchen, Place::Directory(dir.path().to_owned()), options).unwrap();
    assert!(is_ours(dir.path()));
    drop(mounted);
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"below");
}

#[test]
fn a_live_mount_is_not_mounted_over() {
    let bed = Bed::over(store());
    let said = refusal(bed.root());
    assert!(said.contains("already a mount of oss://bucket") && said.contains("unmount it first"), "{said}");
}

#[test]
fn links_to_a_directory_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
    let kitchen = Kitchen::new();
    let mounted = try_mount(&kitchen, Place::Directory(dir.path().join("link")), Options::default()).unwrap();
    assert!(is_ours(&dir.path().join("real")));
    assert_eq!(mounted.dir().unwrap(), dir.path().join("real").canonicalize().unwrap());
}

/// A device mounted on a directory by hand, as a supervisor does it.
fn mounted_device(dir: &Path) -> File {
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    mount(Some("dead"), dir, Some("fuse.ossmount"), MsFlags::MS_RDONLY, Some(data.as_str())).unwrap();
    device
}

#[test]
fn dead_mounts_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        drop(mounted_device(dir.path()));
    }
    assert_eq!(fs::metadata(dir.path()).unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
    let kitchen = Kitchen::new();
    let mounted = try_mount(&kitchen, Place::Directory(dir.path().to_owned()), Options::default()).unwrap();
    assert_eq!(top(dir.path()).unwrap().1, "oss://bucket");
    drop(mounted);
    assert_eq!(top(dir.path()), None);
}

#[test]
fn a_dead_mount_can_be_unmounted() {
    let dir = tempfile::tempdir().unwrap();
    drop(mounted_device(dir.path()));
    fuse::unmount(dir.path(), Laziness::Strict).unwrap();
    assert!(matches!(fuse::unmount(dir.path(), Laziness::Strict), Err(MountError::NotMounted(_))));
}

#[test]
fn a_device_mounted_by_another_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let device: OwnedFd = mounted_device(dir.path()).into();
    let kitchen = Kitchen::new();
    let mounted = try_mount(&kitchen, Place::Device(device), Options::default()).unwrap();
    assert_eq!(mounted.dir(), None);
    nix::sys::statvfs::statvfs(dir.path()).unwrap();
    mounted.unmount().unwrap();
    assert!(is_ours(dir.path()), "who mounted it unmounts it");
    unmount(dir.path());
    kitchen.runtime.block_on(mounted.wait());
}

#[test]
fn unmounting_from_outside_ends_the_session() {
    let bed = Bed::over(store());
    fuse::unmount(bed.root(), Laziness::Strict).unwrap();
    bed.block_on(bed.mounted().wait());
}

#[test]
fn what_is_mounted_in_its_place_is_left_alone() {
    let bed = Bed::over(store());
    let dir = bed.root().to_owned();
    unmount(&dir);
    bed.block_on(bed.mounted().wait());
    mount_tmpfs(&dir);
    bed.mounted().unmount().unwrap();
    assert_eq!(top(&dir).unwrap().0, "tmpfs");
    unmount(&dir);
}

#[test]
fn another_of_our_mounts_in_its_place_is_left_alone() {
    let bed = Bed::over(store());
    let dir = bed.root().to_owned();
    let held = hold(&dir);
    // Still served, for it is in use; but out of the tree of names.
    unmount(&dir);
    let kitchen = Kitchen::new();
    let second = try_mount(&kitchen, Place::Directory(dir.clone()), Options::default()).unwrap();
    bed.mounted().unmount().unwrap();
    assert!(is_ours(&dir));
    nix::sys::statvfs::statvfs(&dir).unwrap();
    drop(held);
    bed.block_on(bed.mounted().wait());
    drop(second);
    assert_eq!(top(&dir), None);
}

#[test]
fn a_mount_over_ours_is_left_alone_and_ours_goes_later() {
    let bed = Bed::over(store());
    mount_tmpfs(bed.root());
    let error = bed.mounted().unmount().unwrap_err();
    assert!(matches!(error, MountError::Covered(_)), "{error}");
    assert_eq!(top(bed.root()).unwrap().0, "tmpfs");
    unmount(bed.root());
    assert!(is_ours(bed.root()));
}

#[test]
fn a_mount_that_was_moved_is_found() {
    let bed = Bed::over(store());
    let other = tempfile::tempdir().unwrap();
    // A mount below a shared one cannot be moved: make a private place for both.
    let private = tempfile::tempdir().unwrap();
    mount_tmpfs(private.path());
    mount(None::<&str>, private.path(), None::<&str>, MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    let (from, to) = (private.path().join("from"), private.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    let kitchen = Kitchen::new();
    let mounted = try_mount(&kitchen, Place::Directory(from.clone()), Options::default()).unwrap();
    mount(Some(&from), &to, None::<&str>, MsFlags::MS_MOVE, None::<&str>).unwrap();
    assert!(is_ours(&to));
    drop(mounted);
    assert_eq!(top(&to), None);
    unmount(private.path());
    drop((bed, other));
}

#[test]
fn a_mount_in_use_is_unmounted_lazily() {
    let bed = Bed::over(store());
    let held = hold(bed.root());
    assert!(matches!(fuse::unmount(bed.root(), Laziness::Strict), Err(MountError::Busy(_))));
    assert!(is_ours(bed.root()));
    bed.mounted().unmount().unwrap();
    assert_eq!(top(bed.root()), None);
    drop(held);
    bed.block_on(bed.mounted().wait());
}

#[test]
fn an_idle_mount_drains_at_once_although_in_use() {
    let bed = Bed::over(store());
    let held = hold(bed.root());
    let drained = bed.block_on(bed.mounted().drain(Duration::from_secs(60)));
    assert_eq!(drained, Drained::Clean);
    assert_eq!(top(bed.root()), None);
    drop(held);
}

#[test]
fn without_the_device_the_sentence_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // Only that thread sees an empty /dev.
    let said = in_own_mounts(|| {
        mount_tmpfs(Path::new("/dev"));
        refusal(dir.path())
    });
    assert!(said.contains("/dev/fuse does not exist") && said.contains("modprobe fuse"), "{said}");
}

/// Runs on a thread that has the rights of the user `nobody`; the rest of the process keeps its own. The thread sees
/// a `/dev/fuse` that everybody may open, as most distributions have it.
fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    const NOBODY: libc::c_int = 65534;
    with_open_fuse_device(|| {
        // SAFETY: plain system calls; unlike the library's wrappers they concern this thread alone.
        let dropped = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
                | libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY)
                | libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY)
        };
        assert_eq!(dropped, 0);
        act()
    })
}

/// A directory that the user `nobody` may mount on.
fn nobodys_directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn a_user_without_privileges_mounts_through_fusermount() {
    let dir = nobodys_directory();
    let kitchen = Kitchen::new();
    let source = "oss://bucket/a,b\\c d";
    as_nobody(|| {
        let fs = ossmount::fs::Options::new(BucketName::new("bucket"));
        let (fs, _) = kitchen.fs(store(), fs, Default::default(), Clock::system());
        let target = Target { source: source.to_owned(), place: Place::Directory(dir.path().to_owned()) };
        let mounted = kitchen.mount(fs, target, Options::default()).unwrap();
        nix::sys::statvfs::statvfs(dir.path()).unwrap();
        let ours = fuse::mounts().unwrap().into_iter().find(|mount| mount.dir == dir.path()).unwrap();
        assert_eq!((ours.source.as_str(), ours.fs_type.as_str()), (source, "fuse.ossmount"));
        drop(mounted);
        assert_eq!(top(dir.path()), None);
    });
}

#[test]
fn a_user_without_privileges_unmounts_by_name() {
    let dir = nobodys_directory();
    let kitchen = Kitchen::new();
    as_nobody(|| {
        let mounted = try_mount(&kitchen, Place::Directory(dir.path().to_owned()), Options::default()).unwrap();
        let held = hold(dir.path());
        assert!(matches!(fuse::unmount(dir.path(), Laziness::Strict), Err(MountError::Busy(_))));
        fuse::unmount(dir.path(), Laziness::Lazy).unwrap();
        drop(held);
        kitchen.runtime.block_on(mounted.wait());
    });
}

#[test]
fn what_a_user_may_not_do_is_said() {
    let dir = nobodys_directory();
    let kitchen = Kitchen::new();
    let refuse = |options: Options| {
        let place = Place::Directory(dir.path().to_owned());
        as_nobody(|| {
            let said = try_mount(&kitchen, place, options).unwrap_err().to_string();
            assert_eq!(top(dir.path()), None);
            said
        })
    };
    let said = refuse(Options { fusermount: "/nonexistent/fusermount3".into(), ..Options::default() });
    assert!(said.contains("/nonexistent/fusermount3 is not installed: run as root, or install fuse3"), "{said}");
    if !fs::read_to_string("/etc/fuse.conf").unwrap().lines().any(|line| line.trim() == "user_allow_other") {
        let said = refuse(Options { access: Access::Everyone, ..Options::default() });
        assert!(said.contains("user_allow_other"), "{said}");
    }
}
