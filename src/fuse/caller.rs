//! Whether the thread that waits for an answer has received a signal to end.
//!
//! The kernel lets go of a thread whose request is with the daemon only with the answer, whatever signal it was sent.
//! So a request that waits is answered EINTR when its thread is to end: killed, or sent a signal that ends it, or one
//! that asks it to (SIGINT, SIGTERM) and that it neither blocks nor ignores. Other signals that a program handles
//! (SIGALRM, SIGCHLD, the SIGURG that Go sends to its own threads) end no read on a local disk, and none here.
//!
//! The thread's pending signals are read from `/proc`, every [`LOOK`] of a wait. The kernel's own notice,
//! FUSE_INTERRUPT, was weighed against that:
//!
//! - The FUSE crate answers it ENOSYS, upon which the kernel sends no other. The crate reads requests and writes
//!   answers through one descriptor, so that something of our own between kernel and crate would have to pass all of it
//!   on: a socket costs 15 us of CPU time for each request and its answer, and 700 us for each MiB that an answer
//!   holds, where a read of 1 MiB takes 120 us in all.
//! - It is sent for each signal and does not say which: `/proc` would be read all the same.
//! - It is not sent for what the kernel asks in the background though a thread waits for it: a read with O_DIRECT of a
//!   file that goes through the page cache, and asynchronous reads of a process that ends.
//!
//! A look costs 19 us, and none is made for requests that are answered within [`LOOK`]: what is in memory costs
//! nothing, what waits for the store costs the timer that it had before. Where numbers of threads mean nothing, because
//! the mount or the caller is in a PID namespace that is not seen from here, they are not looked at, and a wait lasts
//! as long as the budgets of the store do.

use std::fs;
use std::time::Duration;

/// How long a request waits before its thread is looked at, and between two looks. Below a third of the second that a
/// killed program may take.
pub(super) const LOOK: Duration = Duration::from_millis(300);

/// Signals that by default do not end a process: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG and WINCH.
const HARMLESS: u64 = bit(libc::SIGCHLD)
    | bit(libc::SIGCONT)
    | bit(libc::SIGSTOP)
    | bit(libc::SIGTSTP)
    | bit(libc::SIGTTIN)
    | bit(libc::SIGTTOU)
    | bit(libc::SIGURG)
    | bit(libc::SIGWINCH);

/// Signals that ask a program to end, also where it handles them.
const ASKED_TO_END: u64 = bit(libc::SIGINT) | bit(libc::SIGTERM);

/// The kernel's flag of a task that is on its way out.
const EXITING: u64 = 4;

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Whether the numbers of threads that the kernel gives with requests are those of this process's `/proc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sight {
    /// They are, and all threads show there.
    Clear,
    /// They are, but threads of other users may be hidden (`hidepid`).
    Partial,
    /// They may be those of another PID namespace.
    None,
}

impl Sight {
    /// Of a mount that was made in the PID namespace of this name.
    pub(super) fn of_mount_in(namespace: Option<&str>) -> Sight {
        let is_own = namespace.is_some() && own_namespace().as_deref() == namespace;
        // A container may have been given another's `/proc`.
        let number = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok());
        match is_own && number == Some(std::process::id()) {
            false => Sight::None,
            // The first process is root's, and there as long as any other.
            true if fs::exists("/proc/1/status").unwrap_or(false) => Sight::Clear,
            true => Sight::Partial,
        }
    }
}

/// The name of this process's PID namespace.
pub(super) fn own_namespace() -> Option<String> {
    fs::read_link("/proc/self/ns/pid").ok()?.into_os_string().into_string().ok()
}

/// The thread that a request came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Caller {
    /// None where it cannot be seen.
    thread: Option<u32>,
    /// Whether nothing waits for the answer when the thread is no more. Of a thread that was never seen this is not
    /// known otherwise: what it has asked for in the background may be for its process.
    goes_alone: bool,
}

impl Caller {
    /// By the number that came with the request; 0 stands for a thread that the mount's PID namespace does not hold.
    pub(super) fn new(number: u32, sight: Sight) -> Caller {
        Caller { thread: Some(number).filter(|number| *number != 0 && sight != Sight::None), goes_alone: false }
    }

    /// One that fills the page cache. Other threads that want the same pages ask for them again.
    pub(super) fn of_pages(number: u32, sight: Sight) -> Caller {
        Caller { goes_alone: sight == Sight::Clear, ..Caller::new(number, sight) }
    }

    /// Begins to watch it.
    pub(super) fn watch(self) -> Watch {
        Watch { caller: self, process: None }
    }
}

/// A thread that is looked at from time to time.
#[derive(Debug)]
pub(super) struct Watch {
    caller: Caller,
    /// Its process, once it was seen.
    process: Option<u32>,
}

impl Watch {
    /// Whether the thread has been told to end, or its process is no more.
    pub(super) fn is_ending(&mut self) -> bool {
        let Some(thread) = self.caller.thread else { return false };
        let status = Status::of(thread).filter(|status| self.process.is_none_or(|process| process == status.process));
        match (status, self.process) {
            (Some(status), _) => {
                self.process = Some(status.process);
                status.is_told_to_end() || status.may_be_ending() && is_exiting(thread)
            }
            // Gone before it was seen, or hidden from this user.
            (None, None) => self.caller.goes_alone,
            // What a thread asked for in the background is its process's, which may go on without the thread.
            (None, Some(process)) => Status::of(process).is_none_or(|leader| leader.is_dead()),
        }
    }
}

/// Whether a thread is on its way out: then the signal that ended it is no longer pending.
fn is_exiting(thread: u32) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{thread}/stat")) else { return false };
    // The name of the program, in parentheses, may hold blanks.
    let flags = text.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(6)?.parse().ok());
    flags.is_some_and(|flags: u64| flags & EXITING != 0)
}

/// What `/proc/N/status` says of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Status {
    process: u32,
    /// Threads of its process.
    threads: u32,
    is_zombie: bool,
    has_memory: bool,
    pending: u64,
    pending_for_process: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

impl Status {
    fn of(thread: u32) -> Option<Status> {
        Status::parse(&fs::read_to_string(format!("/proc/{thread}/status")).ok()?)
    }

    /// `None` where a line is missing.
    fn parse(text: &str) -> Option<Status> {
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let signals = |name| u64::from_str_radix(field(name)?, 16).ok();
        Some(Status {
            process: field("Tgid")?.parse().ok()?,
            threads: field("Threads")?.parse().ok()?,
            is_zombie: field("State")?.starts_with(['Z', 'X']),
            has_memory: field("VmSize").is_some(),
            pending: signals("SigPnd")?,
            pending_for_process: signals("ShdPnd")?,
            blocked: signals("SigBlk")?,
            ignored: signals("SigIgn")?,
            caught: signals("SigCgt")?,
        })
    }

    fn is_told_to_end(&self) -> bool {
        let pending = (self.pending | self.pending_for_process) & !self.blocked & !self.ignored;
        pending & (ASKED_TO_END | !HARMLESS & !self.caught) != 0
    }

    /// Whether it may be the last of its process and on its way out. So may be threads of the kernel.
    fn may_be_ending(&self) -> bool {
        !self.has_memory && self.threads <= 1
    }

    /// Whether its process, of which it is the leader, is no more.
    fn is_dead(&self) -> bool {
        self.is_zombie && self.threads <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that nothing is pending for, and that handles SIGALRM and SIGTERM, blocks SIGUSR1, ignores SIGHUP.
    fn calm() -> Status {
        Status {
            process: 7,
            threads: 2,
            has_memory: true,
            caught: bit(libc::SIGALRM) | bit(libc::SIGTERM),
            blocked: bit(libc::SIGUSR1),
            ignored: bit(libc::SIGHUP),
            ..Status::default()
        }
    }

    #[test]
    fn signals_that_end_a_program_and_those_that_ask_it_to_end_a_wait() {
        assert!(!calm().is_told_to_end());
        for (signal, ends) in [
            (libc::SIGKILL, true),
            (libc::SIGINT, true),
            (libc::SIGQUIT, true),
            (libc::SIGUSR2, true),
            (libc::SIGRTMIN(), true),
            // Handled, and yet a request to end.
            (libc::SIGTERM, true),
            // Handled.
            (libc::SIGALRM, false),
            // Blocked.
            (libc::SIGUSR1, false),
            // Ignored.
            (libc::SIGHUP, false),
            (libc::SIGCHLD, false),
            (libc::SIGCONT, false),
            (libc::SIGSTOP, false),
            (libc::SIGTSTP, false),
            (libc::SIGTTIN, false),
            (libc::SIGTTOU, false),
            (libc::SIGURG, false),
            (libc::SIGWINCH, false),
        ] {
            let of_thread = Status { pending: bit(signal), ..calm() };
            let of_process = Status { pending_for_process: bit(signal), ..calm() };
            assert_eq!((of_thread.is_told_to_end(), of_process.is_told_to_end()), (ends, ends), "signal {signal}");
        }
    }

    #[test]
    fn signals_that_ask_to_end_do_not_where_they_are_blocked_or_ignored() {
        let pending = bit(libc::SIGINT) | bit(libc::SIGTERM);
        let blocks = Status { pending, blocked: pending, ..calm() };
        let ignores = Status { pending, ignored: pending, ..calm() };
        assert!(!blocks.is_told_to_end() && !ignores.is_told_to_end());
    }

    #[test]
    fn a_status_is_read_as_the_kernel_writes_it() {
        let text = "Name:\ta b\nUmask:\t0022\nState:\tD (disk sleep)\nTgid:\t41\nNgid:\t0\nPid:\t42\nVmSize:\t  8 kB\n\
                    Threads:\t3\nSigQ:\t0/95\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000002\n\
                    SigBlk:\t0000000000000004\nSigIgn:\t0000000000000008\nSigCgt:\t8000000000000000\n";
        let status = Status::parse(text).unwrap();
        let expected = Status {
            process: 41,
            threads: 3,
            is_zombie: false,
            has_memory: true,
            pending: bit(libc::SIGKILL),
            pending_for_process: bit(libc::SIGINT),
            blocked: bit(libc::SIGQUIT),
            ignored: bit(libc::SIGILL),
            caught: 1 << 63,
        };
        assert_eq!(status, expected);
        assert!(!status.is_dead() && !status.may_be_ending());
        for (from, to) in [("State:\tD", "State:\tZ"), ("State:\tD", "State:\tX")] {
            assert!(Status::parse(&text.replace(from, to)).unwrap().is_zombie);
        }
        for field in ["Tgid", "State", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"] {
            assert_eq!(Status::parse(&text.replace(field, "Other")), None, "without {field}");
        }
        assert!(!Status::parse(&text.replace("VmSize", "Other")).unwrap().has_memory);
    }

    #[test]
    fn the_last_thread_without_memory_may_be_on_its_way_out() {
        let last = Status { threads: 1, has_memory: false, ..calm() };
        assert!(last.may_be_ending() && !last.is_dead());
        assert!(!Status { threads: 2, ..last }.may_be_ending());
        assert!(!Status { has_memory: true, ..last }.may_be_ending());
        assert!(Status { is_zombie: true, ..last }.is_dead());
        assert!(!Status { is_zombie: true, threads: 2, ..last }.is_dead(), "its leader alone has ended");
    }

    #[test]
    fn a_program_is_seen_to_go() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut watch = Caller::new(child.id(), Sight::Clear).watch();
        assert!(!watch.is_ending());
        assert_eq!(watch.process, Some(child.id()));
        child.kill().unwrap();
        while !watch.is_ending() {
            std::thread::yield_now();
        }
        // As a zombie, and when nothing is left of it.
        child.wait().unwrap();
        assert!(watch.is_ending());
    }

    #[test]
    fn a_thread_that_ends_leaves_its_process() {
        let (ours, theirs) = std::sync::mpsc::channel::<()>();
        let (told, number) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            told.send(nix::unistd::gettid().as_raw() as u32).unwrap();
            let _ = theirs.recv();
        });
        let number = number.recv().unwrap();
        let mut watch = Caller::new(number, Sight::Clear).watch();
        assert!(!watch.is_ending());
        drop(ours);
        thread.join().unwrap();
        while Status::of(number).is_some() {
            std::thread::yield_now();
        }
        assert!(!watch.is_ending());
        assert!(!is_exiting(std::process::id()));
    }

    #[test]
    fn what_cannot_be_seen_is_not_ending() {
        assert_eq!(Caller::new(0, Sight::Clear).thread, None);
        assert_eq!(Caller::new(1, Sight::None).thread, None);
        assert!(!Caller::new(0, Sight::Clear).watch().is_ending());
        // No thread has this number.
        const NO_THREAD: u32 = u32::MAX;
        assert!(!Caller::new(NO_THREAD, Sight::Clear).watch().is_ending());
        assert!(Caller::of_pages(NO_THREAD, Sight::Clear).watch().is_ending(), "no process waits for pages");
        for sight in [Sight::Partial, Sight::None] {
            assert!(!Caller::of_pages(NO_THREAD, sight).watch().is_ending(), "{sight:?}");
        }
        assert!(!Caller::of_pages(0, Sight::Clear).watch().is_ending());
    }

    #[test]
    fn numbers_of_threads_mean_something_in_the_namespace_of_the_mount_alone() {
        assert_eq!(Sight::of_mount_in(own_namespace().as_deref()), Sight::Clear);
        assert_eq!(Sight::of_mount_in(Some("pid:[1]")), Sight::None);
        assert_eq!(Sight::of_mount_in(None), Sight::None);
    }
}
