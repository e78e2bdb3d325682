//! The daemon as a service: what a service manager hears, and mounts that another process has made.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::support::program::{BINARY, Ended, Running, Target, Tool, server, until};

/// A stand-in for the service manager's ear.
struct Ear(UnixDatagram);

impl Ear {
    fn at(path: &Path) -> Ear {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Ear(socket)
    }

    fn next(&self) -> String {
        let mut buffer = [0; 1024];
        let len = self.0.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    /// The next message that begins so; others are passed over.
    fn until(&self, begins: &str) -> String {
        loop {
            let message = self.next();
            if message.starts_with(begins) {
                return message;
            }
        }
    }
}

#[test]
fn a_service_manager_hears_of_every_turn() {
    let server = server();
    let target = Target::new();
    let path = target.beside("notify");
    let ear = Ear::at(&path);
    let tool = Tool::for_server(&server).with("NOTIFY_SOCKET", path.to_str().unwrap()).with("WATCHDOG_USEC", "40000");
    let mut running = tool.spawn(&["mount", "-f", "oss://bucket", target.dir()]);
    assert_eq!(ear.next(), "READY=1\nSTATUS=Serving oss://bucket");
    assert!(target.is_mounted(), "ready means mounted");
    for _ in 0..3 {
        assert_eq!(ear.next(), "WATCHDOG=1");
    }
    running.signal(libc::SIGHUP);
    assert!(ear.until("RELOADING=1").contains("\nMONOTONIC_USEC="));
    assert_eq!(ear.until("READY=1"), "READY=1\nSTATUS=Serving oss://bucket");
    running.signal(libc::SIGTERM);
    ear.until("STOPPING=1");
    running.wait().ok();
    assert!(!target.is_mounted());
}

/// A device of the kernel, mounted on a directory, as the drivers of container storage do it.
fn mounted_device(dir: &str) -> OwnedFd {
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    mount(Some("oss://bucket"), dir, Some("fuse.ossmount"), MsFlags::MS_RDONLY, Some(data.as_str())).unwrap();
    device.into()
}

/// Starts the binary with a device as its descriptor 3, and nothing else of ours.
fn hand_over(tool: &Tool, device: &OwnedFd, args: &[&str]) -> Running {
    let number = device.as_raw_fd();
    let mut command = tool.command(BINARY);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: dup2 may be called between fork and exec, and the device is open until after the start.
    unsafe {
        command.pre_exec(move || match libc::dup2(number, 3) {
            3 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    Running::of(command.spawn().unwrap())
}

#[test]
fn a_mounted_device_is_served_and_left_mounted() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    for args in [["oss://bucket", "/dev/fd/3"].as_slice(), &["oss://bucket", target.dir(), "--fuse-fd", "3"]] {
        let device = mounted_device(target.dir());
        let mut running = hand_over(&tool, &device, &[&["mount"], args].concat());
        drop(device);
        assert_eq!(fs::read_to_string(target.path("dir/b.txt")).unwrap(), "beta\n");
        running.signal(libc::SIGTERM);
        running.wait().ok();
        assert!(target.is_mounted(), "who has mounted unmounts");
        umount2(target.path("").as_path(), MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn the_end_of_a_mount_that_was_handed_over_ends_the_daemon() {
    let server = server();
    let target = Target::new();
    let device = mounted_device(target.dir());
    let running = hand_over(&Tool::for_server(&server), &device, &["oss://bucket", "/dev/fd/3"]);
    drop(device);
    assert_eq!(fs::read_dir(target.path("")).unwrap().count(), 2);
    umount2(target.path("").as_path(), MntFlags::empty()).unwrap();
    running.wait().ok();
}

#[test]
fn a_failure_of_a_mount_that_was_handed_over_is_told_on_stderr() {
    let server = server();
    let target = Target::new();
    let tool = Tool::for_server(&server);
    let device = mounted_device(target.dir());
    let running = hand_over(&tool, &device, &["mount", "oss://no-such-bucket", "/dev/fd/3", "--log-level", "error"]);
    running.wait().fails(1, &["no-such-bucket"]);
    drop(device);
    until("the kernel gives up the mount", || {
        let seen = fs::metadata(target.path(""));
        seen.is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
    });
    tool.run(&["mount", "oss://bucket", "/dev/fd/77"]).fails(1, &["not an open FUSE device"]);
    tool.run(&["mount", "oss://bucket", target.dir(), "--fuse-fd", "1"]).fails(2, &["of at least 3"]);
}

/// A unit as it lies in `packaging`, with what it starts being the binary under test.
fn unit(folder: &Path, name: &str, as_name: &str) -> PathBuf {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd").join(name)).unwrap();
    let path = folder.join(as_name);
    fs::write(&path, text.replace("ExecStart=ossmount ", &format!("ExecStart={BINARY} "))).unwrap();
    path
}

#[test]
fn systemd_understands_the_units() {
    let folder = tempfile::tempdir().unwrap();
    for (name, as_name) in [
        ("ossmount@.service", "ossmount@models.service"),
        ("mnt-models.mount", "mnt-models.mount"),
        ("mnt-models.automount", "mnt-models.automount"),
    ] {
        let path = unit(folder.path(), name, as_name);
        let mut command = Tool::bare().command("systemd-analyze");
        let ended = Ended::of(command.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&path)).ok();
        // Words it does not know are warnings alone.
        assert!(!ended.stderr.contains(as_name), "{ended:?}");
    }
}

#[test]
fn the_service_is_shut_in_as_far_as_a_mount_allows() {
    let folder = tempfile::tempdir().unwrap();
    let path = unit(folder.path(), "ossmount@.service", "ossmount@models.service");
    let mut command = Tool::bare().command("systemd-analyze");
    Ended::of(command.args(["security", "--offline=true", "--threshold=45", "--no-pager"]).arg(&path)).ok();
    let text = fs::read_to_string(path).unwrap();
    let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for hides_the_mount in
        ["PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectSystem", "ProtectHome", "ProtectKernel"]
    {
        assert!(!settings.iter().any(|line| line.starts_with(hides_the_mount)), "{hides_the_mount}");
    }
}
