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

/// Mounts an empty tmpfs on a directory.
pub(crate) fn mount_tmpfs(dir: &Path) {
    mount(Some("cover"), dir, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
}

/// As [`in_own_mounts`], in a namespace in which every user may open `/dev/fuse`, whatever mode the machine's device has
/// and even where `/dev` is read-only. The device lies on a tmpfs of its own, since the machine's directory for temporary
/// files may be mounted `nodev`.
pub(crate) fn with_open_fuse_device<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    in_own_mounts(|| {
        let dir = tempfile::tempdir().unwrap();
        mount_tmpfs(dir.path());
        let node = dir.path().join("fuse");
        mknod(&node, SFlag::S_IFCHR, Mode::empty(), makedev(10, 229)).unwrap();
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
        mount(Some(&node), "/dev/fuse", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
        act()
    })
}
