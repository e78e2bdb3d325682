//! Attaching the device to a directory, and detaching just that mount again.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{getegid, geteuid};
use rustix::fs::{Mode, OFlags};

use super::mountinfo::{self, FS_TYPE};
use super::{Access, MountError, Options, fusermount};

type Result<T> = std::result::Result<T, MountError>;

/// How long a look at a directory may take before the mount that holds it counts as hung.
const PATIENCE: Duration = Duration::from_secs(10);

/// Our mount, by what no other mount shares. Its path alone would not do: after it was unmounted, the same path
/// may hold another's mount.
#[derive(Debug)]
pub(super) struct Point {
    dir: PathBuf,
    id: u64,
    device: (u32, u32),
    fusermount: PathBuf,
}

/// Checks the directory, mounts on it and gives the device that serves it.
pub(super) fn attach(dir: &Path, source: &str, options: &Options) -> Result<(OwnedFd, Point)> {
    let dir = prepare(dir, options)?;
    let device = match mount_directly(&dir, source, options) {
        Err(MountError::Refused(_, error)) if error.raw_os_error() == Some(libc::EPERM) => {
            let mounted = fusermount::mount(&dir, source, options);
            mounted.map_err(|inner| not_permitted(&dir, geteuid().is_root(), inner))?
        }
        // fusermount3 opens the device with its own rights.
        Err(MountError::DeviceDenied(error)) => match fusermount::mount(&dir, source, options) {
            Err(MountError::FusermountMissing(_)) => return Err(MountError::DeviceDenied(error)),
            other => other?,
        },
        other => other?,
    };
    match Point::locate(&dir, options) {
        Ok(point) => Ok((device, point)),
        Err(error) => {
            drop(device);
            let _ = unmount(&dir, Laziness::Lazy);
            Err(MountError::Refused(dir, error))
        }
    }
}

/// What to tell where neither this process nor `fusermount3` may mount. Of root, which nothing else stops, it is told
/// what root lacks: a bare "Operation not permitted" of another program leads nowhere.
fn not_permitted(dir: &Path, is_root: bool, inner: MountError) -> MountError {
    match inner {
        MountError::Fusermount(words) if is_root => MountError::NoPrivilege(dir.to_owned(), words),
        MountError::FusermountMissing(program) if is_root => {
            MountError::NoPrivilege(dir.to_owned(), format!("{} is not installed", program.display()))
        }
        MountError::Fusermount(words) => {
            MountError::Fusermount(format!("this user cannot mount on {}: {words}", dir.display()))
        }
        other => other,
    }
}

fn mount_directly(dir: &Path, source: &str, options: &Options) -> Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/fuse").map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::NoDevice,
        // The node is there and the module is not.
        _ if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => MountError::NoDevice,
        _ => MountError::DeviceDenied(error),
    })?;
    let mut data = format!("fd={},rootmode=40000,user_id={},group_id={}", device.as_raw_fd(), geteuid(), getegid());
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    if options.kernel_read_only {
        flags |= MsFlags::MS_RDONLY;
        data.push_str(",default_permissions");
    }
    if options.noexec {
        flags |= MsFlags::MS_NOEXEC;
    }
    if options.access != Access::Owner {
        data.push_str(",allow_other");
    }
    match nix::mount::mount(Some(source), dir, Some(FS_TYPE), flags, Some(data.as_str())) {
        Ok(()) => Ok(device.into()),
        Err(errno) => Err(MountError::Refused(dir.to_owned(), errno.into())),
    }
}

/// The directory as an absolute path without links, cleared of dead mounts and found fit.
fn prepare(dir: &Path, options: &Options) -> Result<PathBuf> {
    let path = fs::canonicalize(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::NoSuchDirectory(dir.to_owned()),
        io::ErrorKind::NotADirectory => MountError::NotADirectory(dir.to_owned()),
        _ => MountError::Unusable(dir.to_owned(), error),
    })?;
    clear_dead(&path, options)?;
    let unusable = |error| MountError::Unusable(path.clone(), error);
    if let Some(top) = mountinfo::on_top_of(&path).map_err(unusable)?
        && top.fs_type == FS_TYPE
    {
        return Err(MountError::AlreadyMounted(path, top.source));
    }
    let meta = bounded(&path, |path| fs::metadata(path)).map_err(unusable)?;
    if !meta.is_dir() {
        return Err(MountError::NotADirectory(path));
    }
    let empty = || fs::read_dir(&path).map(|mut entries| entries.next().is_none());
    if !options.nonempty && !empty().map_err(unusable)? {
        return Err(MountError::NotEmpty(path));
    }
    Ok(path)
}

/// Removes mounts whose daemon is gone. They may lie in several layers, one for each restart that failed.
fn clear_dead(dir: &Path, options: &Options) -> Result<()> {
    for _ in 0..16 {
        // Not stat(2): the kernel answers that from memory for as long as it believes the attributes of the root.
        match bounded(dir, |dir| Ok(nix::sys::statvfs::statvfs(dir)?)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
                let failed = |why: String| MountError::DeadMount(dir.to_owned(), why);
                tracing::info!(dir = %dir.display(), "removing the mount of a daemon that died");
                match umount2(dir, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                    Err(Errno::EPERM) => fusermount::unmount(&options.fusermount, dir, true)
                        .map_err(|error| failed(error.to_string()))?,
                    other => other.map_err(|errno| failed(errno.desc().to_owned()))?,
                }
            }
            _ => return Ok(()),
        }
    }
    Err(MountError::DeadMount(dir.to_owned(), "too many mounts are stacked there".to_owned()))
}

/// Looks at a path on a thread of its own, for it may lie on a file system that does not answer.
pub(super) fn bounded<T: Send + 'static>(path: &Path, look: fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    thread::Builder::new().name("look".to_owned()).spawn(move || {
        // The waiter is gone when the send fails.
        let _ = sender.send(look(&path));
    })?;
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)))
}

/// Detaches a mount of this program that is not served from a directory. The file system itself is asked nothing.
pub fn discard(dir: &Path) {
    if mountinfo::on_top_of(dir).ok().flatten().is_none_or(|top| top.fs_type != FS_TYPE) {
        return;
    }
    let removed = match umount2(dir, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Err(Errno::EPERM) => fusermount::unmount(&Options::default().fusermount, dir, true),
        other => other.map_err(|errno| MountError::Refused(dir.to_owned(), errno.into())),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "the mount of the previous daemon cannot be removed");
    }
}

/// Whether a request through the mount on this directory is answered. Waits for some seconds at most. Where there is no
/// thread to ask with, nothing speaks against it.
pub fn answers(dir: &Path) -> bool {
    ask(dir).map_or_else(|error| error.raw_os_error() == Some(libc::EAGAIN), |()| true)
}

/// Sends a request through the mount on this directory. Waits for some seconds at most.
pub(super) fn ask(dir: &Path) -> io::Result<()> {
    // Asks the daemon but never the store.
    bounded(dir, |dir| Ok(nix::sys::statvfs::statvfs(dir)?)).map(drop)
}

impl Point {
    /// The mount on top of `dir`, which must be of this program.
    pub(super) fn locate(dir: &Path, options: &Options) -> io::Result<Point> {
        let id = mountinfo::id_of(open_root(dir)?)?;
        let mount = mountinfo::all()?.into_iter().find(|mount| mount.id == id);
        let mount = mount.filter(|mount| mount.fs_type == FS_TYPE);
        let device = mount.ok_or_else(|| io::Error::other("the new mount is not visible at its mount point"))?.device;
        Ok(Point { dir: dir.to_owned(), id, device, fusermount: options.fusermount.clone() })
    }

    /// The directory mounted on, absolute and without links.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Major and minor number of the mounted file system.
    pub(super) fn device(&self) -> (u32, u32) {
        self.device
    }

    /// Takes our mount out of the tree of names, also while it is in use; open files live on. Must be called only
    /// while the session lives, which keeps the device number from being another's. Fine when it is out already.
    pub(super) fn detach(&self) -> Result<()> {
        let table = mountinfo::all().map_err(|error| MountError::Unusable(self.dir.clone(), error))?;
        let Some(ours) = table.into_iter().find(|mount| mount.id == self.id && mount.device == self.device) else {
            return Ok(());
        };
        let root = open_root(&ours.dir).map_err(|error| MountError::Unusable(ours.dir.clone(), error))?;
        if mountinfo::id_of(&root).ok() != Some(self.id) {
            return Err(MountError::Covered(ours.dir));
        }
        // By descriptor, so that it is this mount whatever has happened to the path since.
        let by_descriptor = format!("/proc/self/fd/{}", root.as_raw_fd());
        match umount2(by_descriptor.as_str(), MntFlags::MNT_DETACH) {
            Ok(()) => Ok(()),
            Err(Errno::EPERM) => {
                drop(root);
                fusermount::unmount(&self.fusermount, &ours.dir, true)
            }
            Err(errno) => Err(MountError::Refused(ours.dir, errno.into())),
        }
    }
}

/// The root of the file system that is mounted on `dir`, without a request to that file system.
fn open_root(dir: &Path) -> io::Result<File> {
    // Not by `custom_flags`: with musl, `O_PATH` is a part of `O_ACCMODE`, which the library leaves out of them.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?.into())
}

/// What to do with a mount that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Laziness {
    /// Leave it, and say so.
    Strict,
    /// Take it out of the tree of names at once; open files live on until they are closed.
    Lazy,
}

/// Unmounts a mount of this program that any process made, by its directory.
pub fn unmount(dir: &Path, laziness: Laziness) -> Result<()> {
    let path = fs::canonicalize(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::NoSuchDirectory(dir.to_owned()),
        _ => MountError::Unusable(dir.to_owned(), error),
    })?;
    let top = mountinfo::on_top_of(&path).map_err(|error| MountError::Unusable(path.clone(), error))?;
    if top.is_none_or(|top| top.fs_type != FS_TYPE) {
        return Err(MountError::NotMounted(path));
    }
    let mut flags = MntFlags::UMOUNT_NOFOLLOW;
    flags.set(MntFlags::MNT_DETACH, laziness == Laziness::Lazy);
    match umount2(&path, flags) {
        Ok(()) => Ok(()),
        Err(Errno::EBUSY) => Err(MountError::Busy(path)),
        Err(Errno::EPERM) => fusermount::unmount(&Options::default().fusermount, &path, laziness == Laziness::Lazy),
        Err(errno) => Err(MountError::Refused(path, errno.into())),
    }
}
