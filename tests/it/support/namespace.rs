//! Mount namespaces for tests: what a thread mounts here, and what the programs it starts mount, concerns no other test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// Runs on a new thread in a mount namespace of its own: nothing that it mounts propagates to the machine, and the
/// programs that it starts share the namespace.
pub(crate) fn in_own_mounts<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: a plain system call about this thread.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            act()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A copy of another test's mount would keep its daemon alive for as long as this namespace lives.
fn leave_mounts_of_others() {
    for other in ossmount::fuse::mounts().unwrap() {
        // Some may have gone already.
        let _ = umount2(&other.dir, MntFlags::MNT_DETACH);
    }
}

/// Mounts an empty tmpfs on a directory.
pub(crate) fn mount_tmpfs(dir: &Path) {
    mount(Some("cover"), dir, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
}

/// Gives a tmpfs room for so many MiB.
pub(crate) fn limit_tmpfs(dir: &Path, mib: usize) {
    let size = format!("size={mib}m");
    mount(None::<&str>, dir, None::<&str>, MsFlags::MS_REMOUNT, Some(size.as_str())).unwrap();
}

/// As [`in_own_mounts`], in a namespace in which every user may open `/dev/fuse` and mount by fusermount3, whatever
/// mode the machine's device has and even where `/dev` is read-only. The device lies on a tmpfs of its own, since the
/// machine's directory for temporary files may be mounted `nodev`.
pub(crate) fn with_open_fuse_device<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    in_own_mounts(|| {
        leave_mounts_of_others();
        let dir = tempfile::tempdir().unwrap();
        mount_tmpfs(dir.path());
        let node = dir.path().join("fuse");
        mknod(&node, SFlag::S_IFCHR, Mode::empty(), makedev(10, 229)).unwrap();
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
        mount(Some(&node), "/dev/fuse", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
        if !Path::new("/etc/mtab").exists() {
            add_mtab();
        }
        act()
    })
}

/// Adds `/etc/mtab`, without which fusermount3 mounts nothing for an ordinary user, and which a minimal Debian lacks.
fn add_mtab() {
    let dir = tempfile::tempdir().unwrap();
    mount_tmpfs(dir.path());
    let [upper, work] = ["upper", "work"].map(|name| dir.path().join(name));
    [&upper, &work].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
    std::os::unix::fs::symlink("../proc/self/mounts", upper.join("mtab")).unwrap();
    let layers = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("mtab"), "/etc", Some("overlay"), MsFlags::empty(), Some(layers.as_str())).unwrap();
    umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
}
