//! Mounts without a place in the tree of names: a FUSE device, and EROFS on a file or a loop device. They are gone with
//! the process.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, minor, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use super::loop_device::LoopDevice;

/// What of a mount these never need.
const ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A mount of this kind, once it is configured.
fn mount(
    kind: &str,
    attributes: MountAttrFlags,
    configure: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<()>,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    configure(context.as_fd())?;
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A FUSE mount, and the device that serves it.
pub(super) fn fuse() -> io::Result<(OwnedFd, OwnedFd)> {
    let device = OwnedFd::from(File::options().read(true).write(true).open("/dev/fuse")?);
    let mount = mount("fuse", ATTRIBUTES, |context| {
        fsconfig_set_string(context, "fd", device.as_raw_fd().to_string())?;
        let settings = [("rootmode", "40000"), ("user_id", "0"), ("group_id", "0"), ("source", "ossmount-bridge")];
        settings.into_iter().try_for_each(|(name, value)| fsconfig_set_string(context, name, value))
    })?;
    Ok((mount, device))
}

/// How EROFS reads an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The image is a file to it.
    File,
    /// It is a block device: a loop device on that file.
    LoopDevice,
}

/// EROFS on a file, read past that file's page cache: its root directory, and the kernel's name of the device by which
/// it reads ahead, where that is known.
pub(super) fn erofs(image: &OwnedFd, source: Source) -> io::Result<(OwnedFd, Option<String>)> {
    match source {
        Source::File => erofs_on_file(image),
        Source::LoopDevice => erofs_on_loop_device(image),
    }
}

fn erofs_on_loop_device(image: &OwnedFd) -> io::Result<(OwnedFd, Option<String>)> {
    let device = LoopDevice::on(image)?;
    let mount = mount("erofs", ATTRIBUTES, |context| {
        fsconfig_set_string(context, "source", device.path())?;
        fsconfig_set_flag(context, "ro")
    })?;
    Ok((open_at(&mount, ".", OFlags::DIRECTORY)?, Some(device.name())))
}

fn erofs_on_file(image: &OwnedFd) -> io::Result<(OwnedFd, Option<String>)> {
    // Among the devices that two processes have made each would not know its own.
    let _turn = turn();
    let before = devices();
    let mount = mount("erofs", ATTRIBUTES, |context| {
        fsconfig_set_string(context, "source", format!("/proc/self/fd/{}", image.as_raw_fd()))?;
        fsconfig_set_flag(context, "directio")?;
        fsconfig_set_flag(context, "ro")
    })?;
    let mut new = devices().into_iter().filter(|name| !before.contains(name));
    let device = new.next().filter(|_| new.next().is_none());
    Ok((open_at(&mount, ".", OFlags::DIRECTORY)?, device))
}

/// Where the kernel's names are of the devices by which it reads ahead.
const DEVICES: &str = "/sys/class/bdi";

/// How long is waited for other processes that look for their own device.
const PATIENCE: Duration = Duration::from_secs(1);

/// For as long as it is open, no other bridge mounts EROFS. Anyone may hold the lock, so it is not waited for long.
fn turn() -> Option<File> {
    let devices = File::open(DEVICES).ok()?;
    for _ in 0..PATIENCE.as_millis() {
        match flock(&devices, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(devices),
            Err(Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    None
}

/// The kernel's names of the devices by which EROFS reads ahead.
fn devices() -> Vec<String> {
    let Ok(devices) = fs::read_dir(DEVICES) else { return Vec::new() };
    let names = devices.filter_map(|device| device.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("erofs-")).collect()
}

/// The kernel's number of the FUSE mount that a file is of.
pub(super) fn connection(file: &OwnedFd) -> io::Result<u32> {
    Ok(minor(fstat(file)?.st_dev))
}

/// Ends a FUSE mount's connection: all that the kernel waits for there fails, now and later.
pub(super) fn abort(connection: u32) -> io::Result<()> {
    let connections = mount("fusectl", MountAttrFlags::empty(), |_| Ok(()))?;
    let name = format!("{connection}/abort");
    let abort = openat(&connections, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    File::from(abort).write_all(b"1")
}

/// Opens a file of a mount for reading.
pub(super) fn open_at(directory: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty())?)
}

/// A handle as `open_by_handle_at` takes it, of a file of EROFS.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    /// The high and the low half of the inode's number, and its generation.
    words: [u32; 3],
}

/// FILEID_INO64_GEN: a number of 64 bits and a generation.
const INO64_GEN: i32 = 0x81;

/// Opens a file of EROFS by the number of its inode. Reads the image where that inode is not in the kernel's memory, so
/// that no thread that answers for the image may call it.
pub(super) fn open_inode(root: &OwnedFd, nid: u64) -> io::Result<OwnedFd> {
    let mut handle = Handle { bytes: 12, kind: INO64_GEN, words: [(nid >> 32) as u32, nid as u32, 0] };
    let handle = (&raw mut handle).cast();
    // SAFETY: the handle is laid out as `struct file_handle` is, with as many bytes behind its head as it says.
    let number = unsafe { libc::open_by_handle_at(root.as_raw_fd(), handle, libc::O_RDONLY | libc::O_CLOEXEC) };
    match number {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just opened it for us.
        number => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
    }
}
