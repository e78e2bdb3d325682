//! Mounting for users without privileges: `fusermount3` mounts, and passes the device back through a socket.

use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, setsockopt, socketpair,
};
use nix::sys::time::TimeVal;

use super::{Access, MountError, Options};

/// How long `fusermount3` may take; it answers within milliseconds unless the machine is in trouble.
const PATIENCE_SECONDS: i64 = 30;

/// Mounts on `dir` and gives the device that serves it.
pub(super) fn mount(dir: &Path, source: &str, options: &Options) -> Result<OwnedFd, MountError> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| MountError::Fusermount(format!("a socket for fusermount3 cannot be created: {errno}")))?;
    let _ = setsockopt(&ours, ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0));
    let number = theirs.as_raw_fd();
    let output = run(&options.fusermount, |command| {
        command.arg("-o").arg(mount_options(source, options)).arg("--").arg(dir);
        command.env("_FUSE_COMMFD", number.to_string());
        // SAFETY: between fork and exec only `fcntl` is called, which is safe there; the descriptor outlives the call.
        unsafe {
            command.pre_exec(move || {
                let theirs = std::os::fd::BorrowedFd::borrow_raw(number);
                fcntl(theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
                Ok(())
            });
        }
    })?;
    drop(theirs);
    if !output.status.success() {
        return Err(MountError::Fusermount(words(&output)));
    }
    receive(&ours).map_err(|error| MountError::Fusermount(format!("fusermount3 passed no device: {error}")))
}

/// Detaches the mount on `dir` from the tree of names; with `lazily` also while it is in use.
pub(super) fn unmount(program: &Path, dir: &Path, lazily: bool) -> Result<(), MountError> {
    let output = run(program, |command| {
        command.arg("-u");
        command.args(lazily.then_some("-z")).arg("--").arg(dir);
    })?;
    match output.status.success() {
        true => Ok(()),
        false if words(&output).contains("busy") => Err(MountError::Busy(dir.to_owned())),
        false => Err(MountError::Fusermount(words(&output))),
    }
}

/// Runs the program by its name, and where `PATH` does not lead to it from where it is usually installed. Of this
/// process's environment, which may hold access keys, it gets `PATH` alone.
fn run(program: &Path, arguments: impl Fn(&mut Command)) -> Result<Output, MountError> {
    let mut places = vec![program.to_owned()];
    if program.components().count() == 1 {
        places.extend(["/usr/bin", "/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(program)));
    }
    for place in places {
        let mut command = Command::new(place);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("LC_ALL", "C");
        arguments(&mut command);
        match command.stdin(Stdio::null()).output() {
            Ok(output) => return Ok(output),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(MountError::Fusermount(format!("{} cannot be run: {error}", program.display()))),
        }
    }
    Err(MountError::FusermountMissing(PathBuf::from(program)))
}

/// What it wrote, as one line.
fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { format!("fusermount3 failed ({})", output.status) } else { text }
}

/// Commas part the options and a backslash escapes, in the values of `fsname` alone.
fn mount_options(source: &str, options: &Options) -> OsString {
    let mut text = String::from("nosuid,nodev");
    text.push_str(if options.kernel_read_only { ",ro,default_permissions" } else { ",rw" });
    if options.noexec {
        text.push_str(",noexec");
    }
    if options.access != Access::Owner {
        text.push_str(",allow_other");
    }
    text.push_str(",subtype=ossmount,fsname=");
    text.push_str(&source.replace('\\', "\\\\").replace(',', "\\,"));
    text.into()
}

/// One byte comes with the descriptor.
fn receive(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let mut byte = [0u8; 1];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let [number, ..] = descriptors[..]
        {
            // SAFETY: the kernel has just made this descriptor for us.
            return Ok(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    Err(io::Error::other("the message has no descriptor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_cannot_smuggle_options() {
        let text = mount_options("oss://b/a,suid,b\\c", &Options { access: Access::Everyone, ..Options::default() });
        assert_eq!(
            text.to_str().unwrap(),
            "nosuid,nodev,ro,default_permissions,allow_other,subtype=ossmount,fsname=oss://b/a\\,suid\\,b\\\\c"
        );
    }

    #[test]
    fn the_environment_stays_here() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("fusermount3");
        std::fs::write(&program, "#!/bin/sh\nenv >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // The shell sets some of its own.
        let of_shell = |name: &str| ["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name);
        let kept_back: Vec<String> = std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok().filter(|name| !of_shell(name)))
            .map(|name| format!("{name}="))
            .collect();
        assert!(!kept_back.is_empty(), "there is something to keep back");
        let options = Options { fusermount: program, ..Options::default() };
        let told = mount(folder.path(), "x", &options).unwrap_err().to_string();
        assert!(told.contains("_FUSE_COMMFD=") && told.contains("PATH="), "{told}");
        assert!(kept_back.iter().all(|name| !told.contains(name.as_str())), "{told}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let options = Options { fusermount: PathBuf::from("/nonexistent/fusermount3"), ..Options::default() };
        let error = mount(Path::new("/tmp"), "x", &options).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/fusermount3 is not installed"), "{error}");
    }
}
