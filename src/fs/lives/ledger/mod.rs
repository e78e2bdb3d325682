//! The ledger records what the next daemon needs to continue a mount: which directories the kernel knows, and what is
//! open.
//!
//! A daemon that continues a live mount has to know what the kernel's inode numbers and handles mean. They are written
//! to a file in memory, which is kept by whatever restarts the daemon, and before the kernel is answered, so that the
//! file always has everything that the kernel knows. Files that are not open are left out: the kernel is told that
//! their numbers are stale, looks their names up again, and gets the same numbers.
//!
//! The process may be killed at any instant. Records follow one another, each with its length and a checksum; a
//! truncated record is always the last one, and its request was not answered yet. When most records are obsolete, the
//! others are written anew behind them, and one word at the start of the file switches from the old place to the new
//! one.
//!
//! | file | what it owns |
//! |---|---|
//! | `past` | the state that the records of an earlier daemon describe |
//! | `record` | the records of the ledger, and how they are written |

mod past;
mod record;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use parking_lot::Mutex;

pub use self::past::Past;
pub(in crate::fs) use self::past::{PastDirectory, PastFile, PastListing, UnderWay};
use self::record::Record;
use crate::base::{Ino, PAGE_BYTES, Timestamp};
use crate::tree::Object;

/// How the file begins: its kind, and the version of its records.
const MAGIC: &[u8; 8] = b"ossledg2";
/// Behind it stands where the records begin.
const START_AT: u64 = MAGIC.len() as u64;
/// The first records begin here, so that what is over can be given back to the machine in pages.
const PAGE: u64 = PAGE_BYTES;
/// The length and the sum of a record.
const FRAME: usize = 8;
/// With less than this written since the last time, nothing is tidied up.
const LEAST_TO_TIDY: u64 = 1 << 20;
/// More than this is no ledger of ours.
const MOST_BYTES: u64 = 1 << 36;

/// The ledger of one mount.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    start: u64,
    end: u64,
    /// Tidied up when the end comes here.
    tidy_at: u64,
    /// Directories that stand in it.
    directories: HashSet<Ino>,
    /// Names of notes that stand in it.
    notes: BTreeSet<String>,
    /// It could not be written, and is of no use any more.
    is_broken: bool,
}

/// Why a file is no ledger that can be gone on with.
#[derive(Debug)]
pub enum LedgerError {
    /// It cannot be read or written.
    Io(io::Error),
    /// It is another version's, or nothing of ours.
    OtherVersion,
    /// It is damaged at this byte.
    Damaged(u64),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::Io(error) => write!(f, "it cannot be read: {error}"),
            LedgerError::OtherVersion => f.write_str("another version of the program wrote it"),
            LedgerError::Damaged(at) => write!(f, "it is damaged at byte {at}"),
        }
    }
}

impl std::error::Error for LedgerError {}

impl From<io::Error> for LedgerError {
    fn from(error: io::Error) -> Self {
        LedgerError::Io(error)
    }
}

impl Ledger {
    /// A new one, in memory.
    pub fn create() -> io::Result<Ledger> {
        let file = File::from(memfd_create("ossmount-ledger", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        file.write_all_at(MAGIC, 0)?;
        file.write_all_at(&PAGE.to_le_bytes(), START_AT)?;
        Ok(Ledger { file, written: Mutex::new(Written::new(PAGE, PAGE, &Past::default())) })
    }

    /// Goes on with one that an earlier life has left.
    pub fn open(descriptor: OwnedFd) -> Result<(Ledger, Past), LedgerError> {
        let file = File::from(descriptor);
        let (start, bytes) = contents(&file)?;
        let (records, len) = read_all(&bytes).map_err(|at| LedgerError::Damaged(start + at as u64))?;
        let mut past = Past::default();
        records.into_iter().for_each(|record| past.take(record));
        let end = start + len as u64;
        // What is cut short must not stand behind what is written next.
        file.set_len(end)?;
        Ok((Ledger { file, written: Mutex::new(Written::new(start, end, &past)) }, past))
    }

    /// Leaves a text under a name, in place of an earlier one.
    pub fn note(&self, name: &str, text: &str) {
        let mut written = self.written.lock();
        written.notes.insert(name.to_owned());
        self.append_to(&mut written, [Record::Note { name: name.to_owned(), text: text.to_owned() }]);
    }

    /// Whether there is a text under this name, and the ledger is whole.
    pub fn has_note(&self, name: &str) -> bool {
        let written = self.written.lock();
        !written.is_broken && written.notes.contains(name)
    }

    /// The kernel is about to learn of directories: their numbers, prefixes and times.
    pub(in crate::fs) fn directories(&self, known: impl IntoIterator<Item = (Ino, String, Option<Timestamp>)>) {
        let mut written = self.written.lock();
        let known = known.into_iter().filter(|(ino, ..)| written.directories.insert(*ino));
        let records: Vec<_> = known.map(|(ino, prefix, mtime)| Record::Directory { ino, prefix, mtime }).collect();
        self.append_to(&mut written, records);
    }

    /// Whether it says so of a directory.
    pub(in crate::fs) fn has(&self, ino: Ino) -> bool {
        self.written.lock().directories.contains(&ino)
    }

    /// The kernel knows a directory no more.
    pub(in crate::fs) fn forgotten(&self, ino: Ino) {
        let mut written = self.written.lock();
        if written.directories.remove(&ino) {
            self.append_to(&mut written, [Record::Forgotten { ino }]);
        }
    }

    /// A file is about to be open.
    pub(in crate::fs) fn opened(&self, handle: u64, ino: Ino, object: Object) {
        self.append([Record::File { handle, ino, object }]);
    }

    /// What is about to be open was asked for by this request.
    pub(in crate::fs) fn asked(&self, handle: u64, request: u64) {
        self.append([Record::Asked { handle, request }]);
    }

    /// The kernel is about to read an open file by itself.
    pub(in crate::fs) fn passed(&self, handle: u64, backing: u32) {
        self.append([Record::Passed { handle, backing }]);
    }

    /// A directory is about to be open.
    pub(in crate::fs) fn listing(&self, handle: u64, ino: Ino) {
        self.append([Record::Listing { handle, ino }]);
    }

    /// Entries of an open directory are about to be given out.
    pub(in crate::fs) fn given(&self, handle: u64, entries: Vec<(u64, u64)>) {
        self.append([Record::Given { handle, entries }]);
    }

    /// A file or directory is closed.
    pub(in crate::fs) fn closed(&self, handle: u64) {
        self.append([Record::Closed { handle }]);
    }

    /// A request that was sent again is about to be served.
    pub(in crate::fs) fn under_way(&self, request: u64, UnderWay { lives, is_alone }: UnderWay) {
        self.append([Record::UnderWay { request, lives, is_alone }]);
    }

    /// A request that was sent again is answered.
    pub(in crate::fs) fn answered(&self, request: u64) {
        self.append([Record::Answered { request }]);
    }

    fn append(&self, records: impl IntoIterator<Item = Record>) {
        self.append_to(&mut self.written.lock(), records);
    }

    fn append_to(&self, written: &mut Written, records: impl IntoIterator<Item = Record>) {
        let mut bytes = Vec::with_capacity(256);
        records.into_iter().for_each(|record| frame(&record, &mut bytes));
        if bytes.is_empty() || written.is_broken {
            return;
        }
        let appended = self.file.write_all_at(&bytes, written.end).and_then(|()| {
            written.end += bytes.len() as u64;
            if written.end < written.tidy_at { Ok(()) } else { self.tidy(written) }
        });
        if let Err(error) = appended {
            tracing::error!(%error, "the ledger cannot be written any more: a restart will replace the mount by a new \
                                     one");
            written.is_broken = true;
            // A ledger that is not all there must not be gone on with. The first page is there, so that this takes no
            // memory.
            let _ = self.file.write_all_at(&[0; MAGIC.len()], 0);
        }
    }

    /// Writes what still matters anew, and gives the rest back to the machine.
    fn tidy(&self, written: &mut Written) -> io::Result<()> {
        let mut bytes = vec![0; (written.end - written.start) as usize];
        self.file.read_exact_at(&mut bytes, written.start)?;
        let (records, _) = read_all(&bytes).map_err(|at| io::Error::other(format!("it is damaged at {at}")))?;
        let mut past = Past::default();
        records.into_iter().for_each(|record| past.take(record));
        bytes.clear();
        past.into_records().for_each(|record| frame(&record, &mut bytes));
        let start = written.end.next_multiple_of(PAGE);
        self.file.write_all_at(&bytes, start)?;
        self.file.write_all_at(&start.to_le_bytes(), START_AT)?;
        let over = (written.start as i64, (start - written.start) as i64);
        fallocate(
            &self.file,
            FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
            over.0,
            over.1,
        )?;
        let len = bytes.len() as u64;
        (written.start, written.end) = (start, start + len);
        // As much again as there is, so that tidying up costs no more than writing did.
        written.tidy_at = written.end + len.max(LEAST_TO_TIDY);
        Ok(())
    }
}

impl Written {
    fn new(start: u64, end: u64, past: &Past) -> Self {
        let directories = past.directories.keys().copied().collect();
        let notes = past.notes().map(str::to_owned).collect();
        Written { start, end, tidy_at: end + LEAST_TO_TIDY, directories, notes, is_broken: false }
    }
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Where the records begin, and all that is from there on.
fn contents(file: &File) -> Result<(u64, Vec<u8>), LedgerError> {
    let mut head = [0; PAGE as usize];
    let len = file.metadata()?.len();
    let there = head.len().min(len as usize);
    file.read_exact_at(&mut head[..there], 0)?;
    if !head.starts_with(MAGIC) {
        return Err(LedgerError::OtherVersion);
    }
    let mut start = [0; 8];
    start.copy_from_slice(&head[MAGIC.len()..MAGIC.len() + 8]);
    let start = u64::from_le_bytes(start);
    if !(PAGE..=len.max(PAGE)).contains(&start) || len.saturating_sub(start) > MOST_BYTES {
        return Err(LedgerError::Damaged(START_AT));
    }
    let mut bytes = vec![0; len.saturating_sub(start) as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok((start, bytes))
}

/// Appends a record with its length and its sum.
fn frame(record: &Record, to: &mut Vec<u8>) {
    let at = to.len();
    to.extend_from_slice(&[0; FRAME]);
    record.write(to);
    let (head, body) = to[at..].split_at_mut(FRAME);
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&sum(body).to_le_bytes());
}

/// All whole records, and the bytes that they take. Fails, with the place, where something stands behind one that is
/// not whole.
fn read_all(bytes: &[u8]) -> Result<(Vec<Record>, usize), usize> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((record, len)) = read_one(&bytes[at..]) {
        records.push(record);
        at += len;
    }
    // Only the last one can have been cut short.
    let len = bytes[at..].first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
    let behind = bytes.get(at + FRAME + len..).unwrap_or_default();
    if behind.iter().any(|&byte| byte != 0) { Err(at) } else { Ok((records, at)) }
}

/// The record at the front, and its length in the file.
fn read_one(bytes: &[u8]) -> Option<(Record, usize)> {
    let (head, rest) = bytes.split_first_chunk::<FRAME>()?;
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let body = rest.get(..len)?;
    let expected = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let record = Record::read(body).filter(|_| sum(body) == expected)?;
    Some((record, FRAME + len))
}

/// FNV-1a, of four bytes: tells a record that was cut short from a whole one. Nothing else damages memory.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::record::tests::object;
    use super::*;

    fn reopened(ledger: &Ledger) -> Result<(Ledger, Past), LedgerError> {
        Ledger::open(ledger.as_fd().try_clone_to_owned().unwrap())
    }

    fn directory(number: u64) -> (Ino, String, Option<Timestamp>) {
        (Ino(number), format!("directory-{number}/"), None)
    }

    #[test]
    fn what_was_written_is_there_for_the_next_life_and_the_one_after() {
        let first = Ledger::create().unwrap();
        first.note("mount", "here");
        first.directories([directory(2), directory(3), directory(2)]);
        first.opened(1, Ino(9), object("a"));
        first.listing(2, Ino(2));
        let (second, past) = reopened(&first).unwrap();
        assert_eq!((past.note("mount"), past.directories.len(), past.files.len()), (Some("here"), 2, 1));
        assert!(second.has(Ino(2)) && !second.has(Ino(9)));
        second.forgotten(Ino(2));
        second.closed(1);
        second.given(2, vec![(3, 30)]);
        let (_, past) = reopened(&second).unwrap();
        assert_eq!((past.directories.len(), past.files.len()), (1, 0));
        assert_eq!(past.listings[&2].given, [(3, 30)]);
    }

    #[test]
    fn it_stays_as_large_as_what_it_says() {
        use std::os::unix::fs::MetadataExt;
        let ledger = Ledger::create().unwrap();
        ledger.directories((2..1000).map(directory));
        for handle in 0..20_000 {
            ledger.opened(handle, Ino(9), object("some/key/of/usual/length.safetensors"));
            ledger.closed(handle);
        }
        ledger.opened(7, Ino(9), object("last"));
        let bytes = ledger.file.metadata().unwrap().blocks() * 512;
        assert!(bytes < 4 * LEAST_TO_TIDY, "{bytes}");
        let (_, past) = reopened(&ledger).unwrap();
        assert_eq!((past.directories.len(), past.files.len()), (998, 1));
    }

    #[test]
    fn a_record_cut_short_at_any_byte_was_never_written() {
        let ledger = Ledger::create().unwrap();
        ledger.note("a", "kept");
        let whole = ledger.written.lock().end;
        ledger.note("b", "cut");
        let end = ledger.written.lock().end;
        for cut in whole..end {
            // As a kill leaves it: the front is there, and nothing behind it.
            ledger.file.set_len(cut).unwrap();
            ledger.file.set_len(end + PAGE).unwrap();
            let (next, past) = reopened(&ledger).unwrap();
            assert_eq!((past.note("a"), past.note("b")), (Some("kept"), None), "{cut}");
            next.note("c", "behind");
            assert_eq!(reopened(&next).unwrap().1.note("c"), Some("behind"));
            ledger.file.set_len(whole).unwrap();
            ledger.written.lock().end = whole;
            ledger.note("b", "cut");
        }
    }

    #[test]
    fn damage_and_other_versions_are_told() {
        let ledger = Ledger::create().unwrap();
        ledger.note("a", "1");
        ledger.note("b", "2");
        ledger.file.write_all_at(b"x", PAGE + FRAME as u64 + 12).unwrap();
        assert!(matches!(reopened(&ledger), Err(LedgerError::Damaged(PAGE))));
        ledger.file.write_all_at(&u64::MAX.to_le_bytes(), START_AT).unwrap();
        assert!(matches!(reopened(&ledger), Err(LedgerError::Damaged(START_AT))));
        ledger.file.write_all_at(&[0; 8], START_AT).unwrap();
        assert!(matches!(reopened(&ledger), Err(LedgerError::Damaged(START_AT))));
        ledger.file.write_all_at(b"ossledg0", 0).unwrap();
        assert!(matches!(reopened(&ledger), Err(LedgerError::OtherVersion)));
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        assert!(Ledger::open(null.into()).is_err());
    }

    #[test]
    fn one_that_cannot_be_written_is_not_handed_on() {
        let ledger = Ledger::create().unwrap();
        ledger.note("a", "1");
        let seals = nix::fcntl::SealFlag::F_SEAL_GROW;
        nix::fcntl::fcntl(&ledger.file, nix::fcntl::FcntlArg::F_ADD_SEALS(seals)).unwrap();
        ledger.note("b", &"2".repeat(2 * PAGE as usize));
        assert!(matches!(reopened(&ledger), Err(LedgerError::OtherVersion)));
        ledger.note("c", "3");
        assert!(ledger.written.lock().is_broken);
    }
}
