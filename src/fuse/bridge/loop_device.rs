//! Loop devices: a file as a block device, for kernels whose EROFS takes no file.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use linux_raw_sys::loop_device::{
    LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_READ_ONLY, LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LOOP_GET_STATUS64,
    loop_config, loop_info64,
};

use super::layout::BLOCK_BYTES;

/// How often another process may take the device that was found free.
const MAX_TRIES: u32 = 64;

/// The kernel's number of loop devices (`Documentation/admin-guide/devices.txt`).
const LOOP_MAJOR: u32 = 7;

/// A loop device. It is free again once it is dropped and nothing has mounted it, also when this process is killed.
#[derive(Debug)]
pub(super) struct LoopDevice {
    number: u32,
    device: File,
}

impl LoopDevice {
    /// One for a file, which it reads past the file's page cache, and never writes to. Requires the right to mount.
    pub(super) fn on(file: &OwnedFd) -> io::Result<LoopDevice> {
        let mut tries = 1;
        loop {
            match LoopDevice::take(file) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < MAX_TRIES => tries += 1,
                taken => return taken,
            }
        }
    }

    fn take(file: &OwnedFd) -> io::Result<LoopDevice> {
        let control = File::options().read(true).write(true).open("/dev/loop-control")?;
        // SAFETY: this request has no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE.into()) };
        let number = u32::try_from(number).map_err(|_| io::Error::last_os_error())?;
        // Read-only, as EROFS opens it: a kernel may refuse to mount what is open for writing.
        let device = File::open(format!("/dev/loop{number}"))?;
        // SAFETY: all of it is numbers, for which zeros are right.
        let mut config: loop_config = unsafe { std::mem::zeroed() };
        config.fd = file.as_raw_fd() as u32;
        config.block_size = BLOCK_BYTES as u32;
        config.info.lo_flags = (LO_FLAGS_READ_ONLY as u32) | (LO_FLAGS_AUTOCLEAR as u32) | (LO_FLAGS_DIRECT_IO as u32);
        // SAFETY: the configuration is laid out as the kernel's, and lives for as long as the call.
        if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE.into(), &raw const config) } == -1 {
            return Err(io::Error::last_os_error());
        }
        let device = LoopDevice { number, device };
        if device.info()?.lo_flags & LO_FLAGS_DIRECT_IO as u32 == 0 {
            return Err(io::Error::other("its reads of a file of FUSE would go through the page cache"));
        }
        Ok(device)
    }

    fn info(&self) -> io::Result<loop_info64> {
        // SAFETY: all of it is numbers, for which zeros are right.
        let mut info: loop_info64 = unsafe { std::mem::zeroed() };
        // SAFETY: what the kernel fills is laid out as it expects, and lives for as long as the call.
        match unsafe { libc::ioctl(self.device.as_raw_fd(), LOOP_GET_STATUS64.into(), &raw mut info) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(info),
        }
    }

    /// Where the device lies in /dev.
    pub(super) fn path(&self) -> String {
        format!("/dev/loop{}", self.number)
    }

    /// The kernel's name of the device by which it reads ahead there.
    pub(super) fn name(&self) -> String {
        format!("{LOOP_MAJOR}:{}", self.number)
    }
}
