//! Detaches a daemon from its caller, who waits for one word: ready, or what went wrong.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

use crate::config::{Problem, Result, Status};

/// Which of the two processes this is after [`detach`].
pub(super) enum Side {
    /// The caller: the daemon is ready.
    Caller,
    /// The daemon, with the line to its caller.
    Daemon(Line),
}

/// The daemon's line to its waiting caller.
pub(super) struct Line(File);

/// Forks. The caller waits for the daemon's word and returns with it; the daemon returns at once, still in the caller's
/// session.
///
/// Must be called by the only thread of the process.
pub(super) fn detach() -> Result<Side> {
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
            Ok(Side::Daemon(Line(File::from(writer))))
        }
    }
}

/// Whoever reads the caller's output must see its end when the caller ends, so the daemon lets go at once; what it
/// has to say until it is ready goes down the line.
fn leave_standard_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(null.as_fd())?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Leaves the session of the caller, with its terminal and its process group; for a process that is ready. Where a
/// directory is mounted on demand (autofs), the kernel keeps all others waiting that look at it, until the process group
/// which was asked for the mount has made it.
pub(super) fn leave_session() {
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

impl Line {
    /// Tells the caller that the mount answers. Fails when the caller is gone, and with it whoever wanted the mount.
    pub(super) fn ready(mut self) -> io::Result<()> {
        self.0.write_all(b"0")
    }

    /// Tells the caller what went wrong.
    pub(super) fn failed(mut self, problem: &Problem) {
        // A caller who is gone need not be told.
        let _ = self.0.write_all(format!("{}{}", problem.code(), problem.sentence).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(say: impl FnOnce(Line)) -> Result<()> {
        let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        say(Line(writer.into()));
        listen(reader.into())
    }

    #[test]
    fn the_caller_hears_the_daemons_word() {
        assert_eq!(heard(|line| line.ready().unwrap()), Ok(()));
        for problem in [Problem::failure("no such bucket"), Problem::usage("ü")] {
            assert_eq!(heard(|line| line.failed(&problem)), Err(problem.clone()));
        }
        assert!(heard(drop).unwrap_err().sentence.contains("--foreground"));
    }
}
