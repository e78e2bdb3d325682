//! A daemon with its mount, a process of its own, and the figures that the kernel keeps of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::emulator::{Error, PROGRAM};

/// A daemon in the foreground with its mount, gone when dropped.
pub(crate) struct Mount {
    daemon: Child,
    /// Of the daemon.
    pub(crate) pid: u32,
    /// Where it is mounted.
    pub(crate) folder: PathBuf,
}

impl Mount {
    /// Mounts a bucket of the emulator at this address in a folder within `parent`, with options such as `a=b,c=d`, and
    /// with one tuned number set (`read.head_growth=8`).
    pub(crate) fn new(
        address: SocketAddr,
        bucket: &str,
        parent: &Path,
        options: &str,
        tuned: Option<&str>,
    ) -> Result<Mount, Error> {
        let folder = parent.join(bucket);
        std::fs::create_dir_all(&folder)?;
        let daemon = Command::new(PROGRAM)
            .args(["mount", "-f", &format!("oss://{bucket}")])
            .arg(&folder)
            .args(["--endpoint", &format!("http://{}", address), "--region", "cn-hangzhou"])
            .args(["--credentials", "anonymous", "--log-level", "warn"])
            .args((!options.is_empty()).then_some(["-o", options]).into_iter().flatten())
            .args(tuned.map(|tuned| ["--tune", tuned]).into_iter().flatten())
            .stdin(Stdio::null())
            .spawn()?;
        let pid = daemon.id();
        let mut mount = Mount { daemon, pid, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_mounted(&mount.folder)? {
            if let Some(status) = mount.daemon.try_wait()? {
                return Err(format!("the daemon ended with {status}").into());
            }
            if Instant::now() > deadline {
                return Err("the mount did not come up in 20 s".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new(PROGRAM).arg("umount").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("bench: {} could not be unmounted", self.folder.display());
            let _ = self.daemon.kill();
        }
        let _ = self.daemon.wait();
    }
}

fn is_mounted(folder: &Path) -> std::io::Result<bool> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == folder.to_str()))
}

/// A row of a process's status, such as `VmHWM:`, in bytes.
pub(crate) fn status_bytes(pid: u32, row: &str) -> Result<u64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(row)).ok_or("no such row")?;
    Ok(line.split_whitespace().nth(1).ok_or("an empty row")?.parse::<u64>()? << 10)
}
