//! Detaches a daemon from its caller, which waits until the daemon is ready or has failed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::{Problem, Result, Status};

/// Which of the two processes this is after [`detach`].
pub(in crate::app) enum Side {
    /// The caller: the daemon is ready.
    Caller,
    /// The daemon, with the line to its caller.
    Daemon(CallerLine),
}

/// The daemon's line to its waiting caller.
pub(in crate::app) struct CallerLine(File);

/// Forks. The caller waits for the daemon's word and returns with it; the daemon returns at once, still in the caller's
/// session. Of the descriptors that the caller has, the daemon keeps these alone: any other may be a lock, or a pipe
/// whose end a program waits for.
///
/// Must be called by the only thread of the process, which has no descriptors of its own yet.
pub(in crate::app) fn detach(handed_over: &[RawFd]) -> Result<Side> {
    let failed =
        |what: &str, error: io::Error| Problem::failure(format!("cannot go to the background: {what}: {error}"));
    let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| failed("no pipe", errno.into()))?;
    // SAFETY: no other thread exists that could hold a lock in the child.
    match unsafe { fork() }.map_err(|errno| failed("no process", errno.into()))? {
        ForkResult::Parent { .. } => {
            drop(writer);
            listen(File::from(reader)).map(|()| Side::Caller)
        }
        ForkResult::Child => {
            drop(reader);
            std::env::set_current_dir("/").map_err(|error| failed("no root directory", error))?;
            leave_standard_streams().map_err(|error| failed("no /dev/null", error))?;
            close_others(handed_over, writer.as_raw_fd());
            Ok(Side::Daemon(CallerLine(File::from(writer))))
        }
    }
}

/// A reader of the caller's output must see its end when the caller ends, so the daemon lets go at once; what it
/// has to say until it is ready goes down the line.
fn leave_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(null.as_fd())?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Closes all descriptors but the standard streams and these.
fn close_others(handed_over: &[RawFd], line: RawFd) {
    for (first, last) in gaps(handed_over.iter().copied().chain([line])) {
        // SAFETY: no descriptor in these ranges is owned by anything of this process.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            close_each(first, last);
        }
    }
}

/// The same where the kernel is older than the call (Linux 5.9).
fn close_each(first: libc::c_uint, last: libc::c_uint) {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<libc::c_uint> = open
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|n| (first..=last).contains(n))
        .collect();
    for number in numbers {
        // SAFETY: as above; the descriptor by which the folder was read is closed already.
        unsafe { libc::close(number as RawFd) };
    }
}

/// The ranges of descriptors from 3 on between those that are kept.
fn gaps(kept: impl IntoIterator<Item = RawFd>) -> Vec<(libc::c_uint, libc::c_uint)> {
    let mut kept: Vec<_> = kept.into_iter().filter_map(|number| libc::c_uint::try_from(number).ok()).collect();
    kept.sort_unstable();
    let (mut gaps, mut from) = (Vec::new(), 3);
    for number in kept.into_iter().filter(|&number| number >= 3) {
        if number > from {
            gaps.push((from, number - 1));
        }
        from = number + 1;
    }
    gaps.push((from, libc::c_uint::MAX));
    gaps
}

/// Leaves the session of the caller, with its terminal and its process group; for a process that is ready. Where a
/// directory is mounted on demand (autofs), the kernel keeps all others waiting that look at it, until the process
/// group which was asked for the mount has made it.
pub(in crate::app) fn leave_session() {
    // Fails only where it has been left.
    let _ = setsid();
}

fn listen(mut reader: File) -> Result<()> {
    let mut word = Vec::new();
    // An interrupted or broken pipe shows as a word that is missing.
    let _ = reader.read_to_end(&mut word);
    let word = String::from_utf8_lossy(&word);
    match word.split_at_checked(1) {
        Some(("0", "")) => Ok(()),
        Some(("1", sentence)) => Err(Problem { sentence: sentence.to_owned(), status: Status::Failure }),
        Some(("2", sentence)) => Err(Problem { sentence: sentence.to_owned(), status: Status::Usage }),
        _ => Err(Problem::failure("the daemon ended before it was ready; run with --foreground to see why")),
    }
}

impl CallerLine {
    /// Waits until the caller is gone, and with it the wish for the mount. Must be called in a Tokio runtime.
    pub(in crate::app) async fn is_forsaken(&self) {
        // An end of a pipe whose other end is closed is in error.
        // SAFETY: the descriptor stays open while the line is borrowed, which outlives what watches it.
        let watched = unsafe { AsyncFd::register_with_interest(self.0.as_fd(), Interest::ERROR) };
        let gone = match &watched {
            Ok(watched) => watched.ready(Interest::ERROR).await.map(drop),
            Err(_) => Ok(()),
        };
        if watched.is_err() || gone.is_err() {
            // It is noticed when the mount stands.
            std::future::pending().await
        }
    }

    /// Tells the caller that the mount answers. Fails when the caller is gone, and with it the wish for the mount.
    pub(in crate::app) fn ready(mut self) -> io::Result<()> {
        self.0.write_all(b"0")
    }

    /// Tells the caller what went wrong.
    pub(in crate::app) fn failed(mut self, problem: &Problem) {
        // A caller who is gone need not be told.
        let _ = self.0.write_all(format!("{}{}", problem.code(), problem.sentence).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(say: impl FnOnce(CallerLine)) -> Result<()> {
        let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        say(CallerLine(writer.into()));
        listen(reader.into())
    }

    #[test]
    fn all_descriptors_but_those_kept_and_the_standard_streams_lie_in_the_gaps() {
        let max = libc::c_uint::MAX;
        assert_eq!(gaps([]), [(3, max)]);
        assert_eq!(gaps([9, 5, 5, 6, 1, -1]), [(3, 4), (7, 8), (10, max)]);
        assert_eq!(gaps([3]), [(4, max)]);
    }

    #[test]
    fn the_caller_hears_the_daemons_word() {
        assert_eq!(heard(|line| line.ready().unwrap()), Ok(()));
        for problem in [Problem::failure("no such bucket"), Problem::usage("ü")] {
            assert_eq!(heard(|line| line.failed(&problem)), Err(problem.clone()));
        }
        assert!(heard(drop).unwrap_err().sentence.contains("--foreground"));
    }

    #[tokio::test]
    async fn the_daemon_hears_that_its_caller_is_gone() {
        let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let line = CallerLine(writer.into());
        let mut forsaken = Box::pin(line.is_forsaken());
        assert!(futures::poll!(forsaken.as_mut()).is_pending());
        drop(reader);
        forsaken.await;
    }
}
