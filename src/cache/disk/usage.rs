//! How many bytes a cache directory holds: one count for all daemons that share it.
//!
//! Bytes are claimed before they are written, and a scan of the directory puts the count right. What is being written
//! while a scan goes on is seen by it in part, so each daemon notes how much it has claimed and not written yet, in an
//! entry of its own. An entry belongs to the process that has it locked; that of a process which ended counts for
//! nothing, however it ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, fcntl};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

/// Bytes of a number in the files.
const NUMBER: u64 = 8;
/// Where the bytes that are used stand.
const USED: u64 = 0;
/// Where the bytes that were ever claimed and not given back stand; only its changes mean something.
const CLAIMED: u64 = NUMBER;

/// The count of one directory, for one daemon.
#[derive(Debug)]
pub(super) struct Usage {
    /// Threads take turns by the mutex, processes by a lock on this file.
    count: File,
    entries: Mutex<Entries>,
}

/// What each daemon has claimed and not written: a number each.
#[derive(Debug)]
struct Entries {
    file: File,
    /// Where that of this daemon is, once it has claimed something.
    own: Option<u64>,
}

/// What a scan must know of the time before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    claimed: u64,
    /// Bytes that all daemons had claimed and not written.
    writing: u64,
}

impl Usage {
    /// On these files: one for the count, one for what is being written.
    pub(super) fn on(count: File, writing: File) -> Usage {
        Usage { count, entries: Mutex::new(Entries { file: writing, own: None }) }
    }

    /// The bytes that are used.
    pub(super) fn used(&self) -> io::Result<u64> {
        self.turn(|count, _| number(count, USED))
    }

    /// Counts bytes that are about to be written. Returns how many are used then.
    pub(super) fn claim(&self, bytes: u64) -> io::Result<u64> {
        self.turn(|count, entries| {
            entries.change(bytes as i64)?;
            change(count, CLAIMED, bytes as i64)?;
            change(count, USED, bytes as i64)
        })
    }

    /// Of bytes that were claimed so many were written; the rest is given back.
    pub(super) fn settle(&self, claimed: u64, written: u64) -> io::Result<()> {
        self.turn(|count, entries| {
            entries.change(-(claimed as i64))?;
            let less = written as i64 - claimed as i64;
            change(count, CLAIMED, less)?;
            change(count, USED, less).map(drop)
        })
    }

    /// So many bytes have gone.
    pub(super) fn freed(&self, bytes: u64) -> io::Result<()> {
        self.turn(|count, _| change(count, USED, -(bytes.min(i64::MAX as u64) as i64)).map(drop))
    }

    /// To be asked for before a scan.
    pub(super) fn before(&self) -> io::Result<Before> {
        self.turn(|count, entries| Ok(Before { claimed: number(count, CLAIMED)?, writing: entries.sum()? }))
    }

    /// Puts the count right: so many bytes a scan has seen. What was claimed and may not have been written when it
    /// looked is counted beside them, so that the count may be too large until the next scan, and never too small.
    pub(super) fn correct(&self, seen: u64, before: Before) -> io::Result<()> {
        self.turn(|count, _| {
            let since = number(count, CLAIMED)?.wrapping_sub(before.claimed) as i64;
            let used = seen + before.writing.saturating_add_signed(since);
            count.write_all_at(&used.to_le_bytes(), USED)
        })
    }

    /// Does something while no other thread or process changes anything.
    fn turn<T>(&self, act: impl FnOnce(&File, &mut Entries) -> io::Result<T>) -> io::Result<T> {
        let mut entries = self.entries.lock();
        flock(&self.count, FlockOperation::LockExclusive)?;
        let _turn = Turn(&self.count);
        act(&self.count, &mut entries)
    }
}

impl Entries {
    /// Changes how much this daemon has claimed and not written.
    fn change(&mut self, by: i64) -> io::Result<()> {
        let own = match self.own {
            Some(own) => own,
            None => self.take()?,
        };
        change(&self.file, own, by).map(drop)
    }

    /// Takes the first entry that is no other daemon's.
    fn take(&mut self) -> io::Result<u64> {
        let mut entry = 0;
        while fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock(entry))).is_err() {
            // Past all of those that there are, a failure says that the file system has no such locks.
            if entry > self.file.metadata()?.len() {
                break;
            }
            entry += NUMBER;
        }
        self.file.write_all_at(&0_u64.to_le_bytes(), entry)?;
        self.own = Some(entry);
        Ok(entry)
    }

    /// The bytes of all entries that belong to a process.
    fn sum(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in (0..self.file.metadata()?.len()).step_by(NUMBER as usize) {
            let mut found = lock(entry);
            let is_taken = fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut found)).is_ok()
                && found.l_type != libc::F_UNLCK as libc::c_short;
            if is_taken || self.own == Some(entry) {
                bytes += number(&self.file, entry)?;
            }
        }
        Ok(bytes)
    }
}

/// A lock between processes, until this is dropped. It goes with the process, however that ends.
#[derive(Debug)]
pub(super) struct Turn<'a>(pub(super) &'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It was locked by this process; there is nothing that could be done about a failure.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

/// The lock that makes an entry somebody's. It goes with the process.
fn lock(entry: u64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: entry as i64,
        l_len: NUMBER as i64,
        l_pid: 0,
    }
}

/// A number of a file; 0 where it has none there.
fn number(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; NUMBER as usize];
    Ok(if file.read_at(&mut bytes, at)? == bytes.len() { u64::from_le_bytes(bytes) } else { 0 })
}

/// Changes a number of a file. Returns what it is then.
fn change(file: &File, at: u64, by: i64) -> io::Result<u64> {
    let known = number(file, at)?;
    let now = known.saturating_add_signed(by);
    if now != known {
        file.write_all_at(&now.to_le_bytes(), at)?;
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn daemon(dir: &Path) -> Usage {
        let open =
            |name| File::options().read(true).write(true).create(true).truncate(false).open(dir.join(name)).unwrap();
        Usage::on(open("USED"), open("WRITING"))
    }

    #[test]
    fn what_is_written_during_a_scan_is_counted_whether_it_was_seen_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (daemon(dir.path()), daemon(dir.path()));
        assert_eq!((one.claim(100).unwrap(), other.claim(20).unwrap()), (100, 120));
        for scans in [&one, &other] {
            let before = scans.before().unwrap();
            scans.correct(0, before).unwrap();
            assert_eq!(scans.used().unwrap(), 120, "nothing of it was written yet");
        }
        let before = other.before().unwrap();
        one.settle(100, 70).unwrap();
        assert_eq!(one.claim(7).unwrap(), 97);
        other.correct(1000, before).unwrap();
        assert_eq!(other.used().unwrap(), 1097, "20 and 7 not written yet, 70 perhaps not seen");
        one.settle(7, 7).unwrap();
        other.settle(20, 0).unwrap();
        one.freed(77).unwrap();
        assert_eq!(one.used().unwrap(), 1000);
        let before = one.before().unwrap();
        one.correct(1000, before).unwrap();
        assert_eq!(other.used().unwrap(), 1000, "all that was written has been seen");
        one.freed(5000).unwrap();
        assert_eq!(one.used().unwrap(), 0);
    }

    #[test]
    fn what_a_process_that_ended_has_claimed_counts_until_the_next_scan() {
        let dir = tempfile::tempdir().unwrap();
        let (dies, stays) = (daemon(dir.path()), daemon(dir.path()));
        dies.claim(100).unwrap();
        stays.claim(1).unwrap();
        drop(dies);
        assert_eq!(stays.used().unwrap(), 101);
        let before = stays.before().unwrap();
        stays.correct(0, before).unwrap();
        assert_eq!(stays.used().unwrap(), 1);
        let next = daemon(dir.path());
        next.claim(10).unwrap();
        let before = stays.before().unwrap();
        stays.correct(0, before).unwrap();
        assert_eq!(stays.used().unwrap(), 11, "it has the entry of the one that ended, from 0 on");
    }

    #[test]
    fn threads_and_daemons_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = [daemon(dir.path()), daemon(dir.path())];
        std::thread::scope(|scope| {
            for daemon in daemons.iter().chain(&daemons) {
                scope.spawn(move || {
                    for _ in 0..200 {
                        daemon.claim(3).unwrap();
                        daemon.settle(3, 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(daemons[0].used().unwrap(), 800);
        assert_eq!(daemons[1].before().unwrap().writing, 0);
    }
}
