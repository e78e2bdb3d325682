//! Keeps a mount alive without a service manager: a process that holds what the next daemon needs, and starts a daemon
//! again when it dies.
//!
//! It hears the same messages as systemd would, through a socket of its own, and does nothing else, so that there is
//! little that could go wrong in it. As long as something is kept, there is a daemon to be started again; an unmount
//! takes back what is kept, and the supervisor ends with the daemon.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::deaths::{Deaths, How};
use super::descriptors::{DEVICE, Held, LEDGER};
use super::notify::Manager;
use crate::base::Clock;
use crate::config::{Problem, Result};
use crate::fuse;

/// Signals that are passed on to the daemon.
const PASSED_ON: [Signal; 5] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Begins to supervise. Returns in each life of the daemon, in a process of its own; never in the supervisor, which
/// ends with the last of them.
///
/// Must be called by the only thread of the process. `first` is for the first life alone; `withdraw` is called in the
/// supervisor once that has begun.
pub(in crate::app) fn begin<T>(dir: &Path, first: T, withdraw: fn()) -> Result<(Manager, Option<T>)> {
    let failed = |errno: Errno| Problem::failure(format!("the daemon cannot be supervised: {errno}"));
    let mut signals = SigSet::from_iter(PASSED_ON);
    signals.add(Signal::SIGCHLD);
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).map_err(failed)?;
    let caught = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
    let mut supervisor = Supervisor { caught, kept: Kept::default(), clock: Clock::system(), deaths: None };
    let mut first = Some(first);
    loop {
        let (ours, theirs) =
            UnixDatagram::pair().map_err(|error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))))?;
        // SAFETY: no other thread exists that could hold a lock in the child.
        match unsafe { fork() }.map_err(failed)? {
            ForkResult::Child => {
                drop(ours);
                before.thread_set_mask().map_err(failed)?;
                return Ok((Manager::at(theirs, supervisor.kept.into_held(), supervisor.deaths), first));
            }
            ForkResult::Parent { child } => {
                drop(theirs);
                if first.take().is_some() {
                    withdraw();
                }
                if let Ended::ForGood(code) = supervisor.watch(child, &ours) {
                    supervisor.kept.discard(dir);
                    std::process::exit(code);
                }
            }
        }
    }
}

/// How a life of the daemon ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// The mount goes on.
    ForNow,
    /// It does not; this is the exit status.
    ForGood(i32),
}

struct Supervisor {
    caught: SignalFd,
    kept: Kept,
    clock: Clock,
    /// What became of the daemons so far.
    deaths: Option<Deaths>,
}

impl Supervisor {
    /// Waits until a daemon has ended, and until another shall begin.
    fn watch(&mut self, child: Pid, ear: &UnixDatagram) -> Ended {
        let began = self.clock.elapsed();
        let how = loop {
            self.wait(Some(ear), PollTimeout::NONE);
            // Before its end is looked at: what it said last belongs to it.
            while let Some(message) = hear(ear) {
                self.kept.take(message);
            }
            self.pass_on(Some(child));
            match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => break How::Exited(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => break How::Killed(signal),
                Err(Errno::ECHILD) => break How::Unknown,
                _ => {}
            }
        };
        while let Some(message) = hear(ear) {
            self.kept.take(message);
        }
        if !self.kept.is_whole() {
            return Ended::ForGood(how.code());
        }
        let deaths = Deaths::after(self.deaths.as_ref(), how, self.clock.elapsed().saturating_sub(began));
        let pause = deaths.pause();
        self.deaths = Some(deaths);
        if pause > Duration::ZERO {
            self.wait(None, PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX));
            if self.pass_on(None) {
                return Ended::ForGood(how.code());
            }
        }
        Ended::ForNow
    }

    /// Waits for a signal or a message.
    fn wait(&self, ear: Option<&UnixDatagram>, limit: PollTimeout) {
        let wanted = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
        let mut all = vec![wanted(self.caught.as_fd())];
        all.extend(ear.map(|ear| wanted(ear.as_fd())));
        // A wait that is cut short is followed by a look at what there is.
        let _ = poll(&mut all, limit);
    }

    /// Passes signals on; true if one of them asks for the end.
    fn pass_on(&self, child: Option<Pid>) -> bool {
        let mut end = false;
        while let Ok(Some(caught)) = self.caught.read_signal() {
            let Some(signal) = PASSED_ON.into_iter().find(|&signal| signal as u32 == caught.ssi_signo) else {
                continue;
            };
            end |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
            // What a terminal sends goes to the daemon by itself.
            if let Some(child) = child.filter(|_| caught.ssi_code <= 0) {
                // It may have ended just now.
                let _ = kill(child, signal);
            }
        }
        end
    }
}

/// What a daemon has had kept.
#[derive(Default)]
struct Kept {
    device: Option<OwnedFd>,
    ledger: Option<OwnedFd>,
}

/// A message with what came along.
type Message = (String, Option<OwnedFd>);

impl Kept {
    /// Does what a message asks for.
    fn take(&mut self, (text, descriptor): Message) {
        let is = |line: &str| text.lines().any(|said| said == line);
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
        let place = match name {
            Some(DEVICE) => Some(&mut self.device),
            Some(LEDGER) => Some(&mut self.ledger),
            _ => None,
        };
        if let Some(place) = place {
            match descriptor {
                Some(_) if is("FDSTORE=1") => *place = descriptor,
                _ if is("FDSTOREREMOVE=1") => *place = None,
                _ => {}
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.device.is_some() && self.ledger.is_some()
    }

    fn into_held(self) -> Option<Held> {
        Some(Held { device: self.device?, ledger: self.ledger? })
    }

    /// Ends a mount that will not be served any more.
    fn discard(&self, dir: &Path) {
        if self.device.is_some() {
            fuse::discard(dir);
        }
    }
}

/// The next message, if there is one.
fn hear(ear: &UnixDatagram) -> Option<Message> {
    let mut buffer = [0; 1024];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let (len, descriptor) = {
        let mut text = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(ear.as_raw_fd(), &mut text, Some(&mut space), flags).ok()?;
        let rights = message.cmsgs().ok().into_iter().flatten().find_map(|part| match part {
            ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
            _ => None,
        });
        // SAFETY: the kernel has just made this descriptor for us.
        (message.bytes, rights.map(|number| unsafe { OwnedFd::from_raw_fd(number) }))
    };
    if len == 0 && descriptor.is_none() {
        // The other end is closed.
        return None;
    }
    Some((String::from_utf8_lossy(&buffer[..len]).into_owned(), descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_last_said() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let manager = Manager::at(theirs, None, None);
        let null = std::fs::File::open("/dev/null").unwrap();
        let mut kept = Kept::default();
        let hear_all = |kept: &mut Kept| {
            while let Some(message) = hear(&ours) {
                kept.take(message);
            }
        };
        hear_all(&mut kept);
        assert!(!kept.is_whole());
        manager.keep(null.as_fd(), null.as_fd()).unwrap();
        hear_all(&mut kept);
        assert!(kept.is_whole());
        manager.keep_no_more();
        hear_all(&mut kept);
        assert!(kept.device.is_none() && kept.ledger.is_none());
        drop(manager);
        assert!(hear(&ours).is_none(), "the end of the other side is no message");
    }

    #[test]
    fn a_message_without_a_descriptor_keeps_nothing() {
        let mut kept = Kept::default();
        for text in ["FDSTORE=1\nFDNAME=ossmount-device", "FDSTORE=1", "FDNAME=other\nFDSTORE=1", ""] {
            kept.take((text.to_owned(), None));
        }
        assert!(!kept.is_whole() && kept.into_held().is_none());
    }
}
