//! Requests to a daemon that may not answer: one that was stopped, or that hangs, must not make the asking process hang
//! too.
//!
//! An answer may take as long as its request does, so that no time alone tells a slow one from none. While none comes
//! it is found out, every few seconds, whether the daemon answers at all. An ioctl is made by a process of its own:
//! once the kernel has handed it to a daemon, nothing ends the waiting process but the answer, not even SIGKILL.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use crate::fuse;

/// How long nothing may come before it is found out whether the daemon answers, and how long that may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often, and after which pauses, a process that was killed is looked for.
const MOST_LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The request that every daemon answers at once.
const PROBE: &str = r#"{"op":"health"}"#;

/// An error number before the answer to an ioctl.
const HEAD: usize = size_of::<i32>();

/// Asks on a control socket. Fails with `TimedOut` where the daemon, whose process this is, does not answer any more,
/// which it is asked on a connection made `anew`, and where nothing came before the asker has `had_enough`.
pub(super) fn through_socket(
    socket: &mut BufReader<UnixStream>,
    request: &str,
    pid: Option<u32>,
    had_enough: impl Fn() -> bool,
    anew: impl Fn() -> Option<UnixStream>,
) -> io::Result<String> {
    let answers = |socket| exchange(&mut BufReader::new(socket), PROBE, || false).is_ok();
    exchange(socket, request, || !had_enough() && !is_stopped(pid) && anew().is_some_and(answers))
}

/// Sends a request and waits for its answer for as long as the daemon is alive.
fn exchange(socket: &mut BufReader<UnixStream>, request: &str, is_alive: impl Fn() -> bool) -> io::Result<String> {
    socket.get_ref().set_write_timeout(Some(PATIENCE))?;
    socket.get_ref().set_read_timeout(Some(PATIENCE))?;
    socket.get_mut().write_all(format!("{request}\n").as_bytes()).map_err(late)?;
    let mut answer = Vec::new();
    loop {
        match socket.read_until(b'\n', &mut answer) {
            Ok(_) if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return String::from_utf8(answer).map_err(io::Error::other),
            // What has come of the answer is kept.
            Err(error) if is_late(&error) && is_alive() => {}
            Err(error) => return Err(late(error)),
        }
    }
}

/// Asks by an ioctl on the root of a mount. Fails with `TimedOut` where the daemon, whose process this is, does not
/// answer any more, and where nothing came before the asker has `had_enough`.
pub(super) fn through_ioctl(
    dir: &Path,
    request: &str,
    pid: Option<u32>,
    had_enough: impl Fn() -> bool,
) -> io::Result<String> {
    let is_alive = || {
        let asked_anew = || AskingProcess::begin(dir, PROBE)?.answer();
        !had_enough() && !is_stopped(pid) && asked_anew().is_ok_and(|answer| answer.is_some())
    };
    let mut asked = AskingProcess::begin(dir, request)?;
    loop {
        match asked.answer()? {
            Some(answer) => return Ok(answer),
            None if is_alive() => {}
            None => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// An ioctl that a process of its own makes.
struct AskingProcess {
    child: Pid,
    answer: File,
    request: Vec<u8>,
}

impl AskingProcess {
    fn begin(dir: &Path, request: &str) -> io::Result<AskingProcess> {
        let mut buffer = [0; fuse::IOCTL_BYTES];
        let too_long = || io::Error::other(format!("a request of {} bytes needs the control socket", request.len()));
        buffer.get_mut(..request.len()).ok_or_else(too_long)?.copy_from_slice(request.as_bytes());
        let dir = CString::new(dir.as_os_str().as_bytes())?;
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        // SAFETY: the child calls nothing but what may be called after a fork of a process with threads.
        match unsafe { fork() }? {
            // SAFETY: as above.
            ForkResult::Child => unsafe { ask_and_end(&dir, &mut buffer, writer.as_raw_fd()) },
            ForkResult::Parent { child } => {
                drop(writer);
                Ok(AskingProcess { child, answer: File::from(reader), request: request.as_bytes().to_vec() })
            }
        }
    }

    /// The answer; `None` where nothing has come for a while.
    fn answer(&mut self) -> io::Result<Option<String>> {
        let limit = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(self.answer.as_fd(), PollFlags::POLLIN)], limit)?;
        if ready == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(HEAD + fuse::IOCTL_BYTES);
        self.answer.read_to_end(&mut bytes)?;
        let (head, text) = bytes.split_first_chunk::<HEAD>().ok_or(io::ErrorKind::UnexpectedEof)?;
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        match i32::from_ne_bytes(*head) {
            // A failure that was answered has its sentence in the buffer.
            errno if errno != 0 && text == self.request => Err(io::Error::from_raw_os_error(errno)),
            _ => String::from_utf8(text.to_vec()).map(Some).map_err(io::Error::other),
        }
    }
}

impl Drop for AskingProcess {
    fn drop(&mut self) {
        let _ = kill(self.child, Signal::SIGKILL);
        // It mostly ends at once, and then no longer keeps the mount busy. Where the kernel holds it until the daemon
        // ends, it is not waited for.
        for _ in 0..MOST_LOOKS {
            match waitpid(self.child, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(BETWEEN_LOOKS),
                _ => return,
            }
        }
    }
}

/// Opens the mount, makes the ioctl, and writes the error number and the buffer to a pipe.
///
/// # Safety
///
/// For a child after a fork: it calls nothing that takes a lock or allocates.
unsafe fn ask_and_end(dir: &CStr, buffer: &mut [u8; fuse::IOCTL_BYTES], to: RawFd) -> ! {
    // SAFETY: each of these calls may be made here, on memory that is there until the end.
    unsafe {
        // A reader of this program's output must see its end, also where this process cannot end.
        for stream in 0..3 {
            libc::close(stream);
        }
        let root = libc::open(dir.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        let done = match root {
            -1 => -1,
            root => libc::ioctl(root, fuse::IOCTL as libc::Ioctl, buffer.as_mut_ptr()),
        };
        let errno = if done < 0 { *libc::__errno_location() } else { 0 };
        let mut bytes = [0; HEAD + fuse::IOCTL_BYTES];
        bytes[..HEAD].copy_from_slice(&errno.to_ne_bytes());
        bytes[HEAD..].copy_from_slice(buffer);
        libc::write(to, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(0)
    }
}

/// Whether nothing came in time.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// One kind for what the kernel says in two ways.
fn late(error: io::Error) -> io::Error {
    if is_late(&error) { io::ErrorKind::TimedOut.into() } else { error }
}

/// Whether a process was stopped, by a signal or a debugger.
pub(super) fn is_stopped(pid: Option<u32>) -> bool {
    matches!(state(pid), Some('T' | 't'))
}

/// What a process does, for people: that it was stopped, that it is gone, or that it hangs.
pub(super) fn described(pid: Option<u32>) -> String {
    let Some(pid) = pid else { return "its process is unknown".to_owned() };
    let state = match state(Some(pid)) {
        Some('T' | 't') => "stopped",
        Some('Z' | 'X') => "ended",
        Some('D') => "waiting in the kernel",
        Some(_) => "hanging",
        None => "not visible in this PID namespace",
    };
    format!("pid {pid}, {state}")
}

/// What to do about a daemon that does not answer.
pub(super) fn cure(pid: Option<u32>) -> String {
    match pid {
        Some(pid) if is_stopped(Some(pid)) => format!("resume it (kill -CONT {pid})"),
        Some(pid) => format!("see its log, or end it (kill -KILL {pid})"),
        None => "see its log, or unmount it".to_owned(),
    }
}

/// The kernel's letter for what a process does.
fn state(pid: Option<u32>) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid?)).ok()?;
    // The name before it may have any character.
    text.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_slow_answer_is_waited_for_while_the_daemon_answers_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (slow, _) = listener.accept().unwrap();
            // Half of the answer, and the rest only when it was asked whether anything answers.
            (&slow).write_all(b"{\"half\":").unwrap();
            let (mut probe, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&probe).read_line(&mut line).unwrap();
            probe.write_all(b"{}\n").unwrap();
            (&slow).write_all(b"2}\n").unwrap();
            line
        });
        let anew = || UnixStream::connect(&path).ok();
        let mut socket = BufReader::new(anew().unwrap());
        assert_eq!(through_socket(&mut socket, "{}", None, || false, anew).unwrap(), "{\"half\":2}\n");
        assert!(daemon.join().unwrap().contains("health"));
    }

    #[test]
    fn who_does_not_answer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let connect = || UnixStream::connect(&path).ok();
        let mut socket = BufReader::new(connect().unwrap());
        for anew in [true, false] {
            let error = through_socket(&mut socket, "{}", None, || false, || connect().filter(|_| anew)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        let not_asked = || panic!("whether it answers does not matter any more");
        let error = through_socket(&mut socket, "{}", None, || true, not_asked).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_a_process_does_is_told() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        assert!(!is_stopped(Some(child.id())) && !is_stopped(None));
        kill(pid, Signal::SIGSTOP).unwrap();
        waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert!(is_stopped(Some(child.id())));
        assert_eq!(described(Some(child.id())), format!("pid {}, stopped", child.id()));
        kill(pid, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(
            described(Some(child.id())).ends_with("not visible in this PID namespace") && !is_stopped(Some(child.id()))
        );
    }
}
