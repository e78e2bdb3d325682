//! Which objects were opened of late, by all daemons that share a directory, now or before.
//!
//! What comes into a full cache depends on what is read again and again, and that takes longer to see than a daemon may
//! live: a job that mounts anew for every epoch would never see it. So each open is written down, and each daemon
//! follows what all of them did. Nothing is made to last against a loss of power, and what a disk has garbled does not
//! fit its check and counts for nothing: no byte that a program reads depends on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

use super::identity::Name;
use super::usage::Turn;
use super::words::{read_up_to, word};
use crate::base::crc64::crc64;

/// The bytes of the head of the file, and of each open after it.
const RECORD_BYTES: usize = 32;
/// So many opens the file has at most; then the older half goes. The younger half is at least two epochs over twice as
/// many objects as a duel remembers.
const MOST_OPENS: u64 = 1 << 18;
/// More are never written down.
const MOST_EVER: u64 = 1 << 60;
const MAGIC: &[u8; 8] = b"OSSOPEN1";

/// An object was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Open {
    pub(super) name: Name,
    /// The size of the object, in bytes.
    pub(super) bytes: u64,
    /// Names were passed over then, unless so many of their last bits were 0.
    pub(super) skipped_bits: u8,
}

/// The opens of one directory, for one daemon.
#[derive(Debug)]
pub(super) struct Opens {
    /// Threads take turns by the mutex, processes by a lock on this file.
    known: Mutex<(File, u64)>,
    most: u64,
}

impl Opens {
    pub(super) fn on(file: File) -> Opens {
        Opens { known: Mutex::new((file, 0)), most: MOST_OPENS }
    }

    /// Writes down that an object is opened. Returns what was since this was last asked, in order, this open included.
    pub(super) fn note(&self, open: Open) -> io::Result<Vec<Open>> {
        let (file, known) = &mut *self.known.lock();
        flock(&*file, FlockOperation::LockExclusive)?;
        let _turn = Turn(file);
        let mut head = Head::read(file, self.most)?;
        if head.count == self.most {
            head = head.without_older(file, self.most / 2)?;
        }
        let Head { base, count } = head;
        // What was dropped before it was seen is missed, and so is all where the file was begun anew.
        let first = known.checked_sub(base).filter(|first| *first <= count).unwrap_or(0);
        let bytes = records(file, first, count)?;
        let records = bytes.chunks_exact(RECORD_BYTES).zip(base + first..);
        let mut opens: Vec<Open> = records.filter_map(|(record, number)| decode(record, number)).collect();
        file.write_all_at(&encode(open, base + count), offset(count))?;
        Head { base, count: count + 1 }.write(file)?;
        *known = base + count + 1;
        opens.push(open);
        Ok(opens)
    }
}

/// What the file begins with.
#[derive(Clone, Copy, Default)]
struct Head {
    /// How many opens were dropped.
    base: u64,
    /// How many the file has.
    count: u64,
}

impl Head {
    /// That of a file with at most so many opens; of an empty one where it has none that is right.
    fn read(file: &File, most: u64) -> io::Result<Head> {
        let bytes = read(file, 0, RECORD_BYTES)?;
        Ok(Head::decode(&bytes).filter(|head| head.base < MOST_EVER && head.count <= most).unwrap_or_default())
    }

    fn decode(bytes: &[u8]) -> Option<Head> {
        let is_right = bytes.starts_with(MAGIC) && word(bytes, 24)? == crc64(&bytes[..24]);
        is_right.then_some(Head { base: word(bytes, 8)?, count: word(bytes, 16)? })
    }

    fn write(self, file: &File) -> io::Result<()> {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.count.to_le_bytes());
        let check = crc64(&bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_le_bytes());
        file.write_all_at(&bytes, 0)
    }

    /// Drops all but so many of the last opens. A process that ends meanwhile leaves opens where they do not fit.
    fn without_older(self, file: &File, kept: u64) -> io::Result<Head> {
        let dropped = self.count - kept;
        file.write_all_at(&records(file, dropped, self.count)?, offset(0))?;
        Ok(Head { base: self.base + dropped, count: kept })
    }
}

/// Where in the file an open is, of those that it has.
fn offset(index: u64) -> u64 {
    (index + 1) * RECORD_BYTES as u64
}

/// The opens from one up to another.
fn records(file: &File, first: u64, end: u64) -> io::Result<Vec<u8>> {
    read(file, offset(first), (end - first) as usize * RECORD_BYTES)
}

/// So many bytes of the file; past its end they are zeros, which nothing fits.
fn read(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    read_up_to(file, &mut bytes, offset)?;
    Ok(bytes)
}

/// `number` counts all opens that were ever written down: a record fits only where it belongs.
fn encode(open: Open, number: u64) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..16].copy_from_slice(&open.name.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&open.bytes.to_le_bytes());
    // No object has so many bytes that this one is in use.
    bytes[23] = open.skipped_bits;
    let check = check(&bytes, number);
    bytes[24..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// `None` where it is not what was written there.
fn decode(bytes: &[u8], number: u64) -> Option<Open> {
    let name = Name(u128::from(word(bytes, 8)?) << 64 | u128::from(word(bytes, 0)?));
    let open = Open { name, bytes: word(bytes, 16)? & (u64::MAX >> 8), skipped_bits: bytes[23] };
    (word(bytes, 24)? == check(bytes, number) && u32::from(open.skipped_bits) < u64::BITS).then_some(open)
}

fn check(record: &[u8], number: u64) -> u64 {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..24].copy_from_slice(&record[..24]);
    bytes[24..].copy_from_slice(&number.to_le_bytes());
    crc64(&bytes)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngCore};

    use super::*;

    fn open(number: u64) -> Open {
        let name = Name(u128::from(number) << 70 | 5);
        Open { name, bytes: (1 << 50) + number, skipped_bits: (number % 7) as u8 }
    }

    /// The opens of another daemon on the same file.
    fn beside(file: &File, most: u64) -> Opens {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        let file = File::options().read(true).write(true).open(path).unwrap();
        Opens { most, ..Opens::on(file) }
    }

    #[test]
    fn each_daemon_sees_what_all_opened_once_and_in_order() {
        let file = tempfile::tempfile().unwrap();
        let (first, second) = (beside(&file, 100), beside(&file, 100));
        assert_eq!(first.note(open(1)).unwrap(), [open(1)]);
        assert_eq!(first.note(open(2)).unwrap(), [open(2)]);
        assert_eq!(second.note(open(3)).unwrap(), [open(1), open(2), open(3)]);
        assert_eq!(first.note(open(4)).unwrap(), [open(3), open(4)]);
        assert_eq!(beside(&file, 100).note(open(5)).unwrap(), [1, 2, 3, 4, 5].map(open));
        Head::default().write(&file).unwrap();
        assert_eq!(second.note(open(6)).unwrap(), [open(6)]);
        assert_eq!(first.note(open(7)).unwrap(), [open(6), open(7)]);
    }

    #[test]
    fn the_older_half_goes() {
        let file = tempfile::tempfile().unwrap();
        let (first, late) = (beside(&file, 10), beside(&file, 10));
        late.note(open(0)).unwrap();
        for number in 1..=9 {
            first.note(open(number)).unwrap();
        }
        assert_eq!(first.note(open(10)).unwrap(), [open(10)]);
        assert_eq!(late.note(open(11)).unwrap(), [5, 6, 7, 8, 9, 10, 11].map(open));
        for number in 12..200 {
            assert_eq!(first.note(open(number)).unwrap().last(), Some(&open(number)));
            assert_eq!(file.metadata().unwrap().len(), offset(10), "it has its ten, and no more");
        }
        let last = late.note(open(200)).unwrap();
        let numbers = 201 - last.len() as u64..=200;
        assert!((5..=10).contains(&last.len()) && last == numbers.map(open).collect::<Vec<_>>(), "{last:?}");
    }

    #[test]
    fn a_file_whose_head_is_not_right_is_begun_anew() {
        let file = tempfile::tempfile().unwrap();
        let garbled = |at: usize, checked: bool| {
            let mut head = read(&file, 0, RECORD_BYTES).unwrap();
            head[at] ^= 1;
            if checked {
                let check = crc64(&head[..24]);
                head[24..].copy_from_slice(&check.to_le_bytes());
            }
            file.write_all_at(&head, 0).unwrap();
        };
        let head = |base, count| Head { base, count }.write(&file).unwrap();
        let wrongs: [&dyn Fn(); 5] =
            [&|| garbled(0, true), &|| garbled(9, false), &|| head(MOST_EVER, 2), &|| head(0, 101), &|| {
                file.set_len(RECORD_BYTES as u64 - 1).unwrap()
            }];
        for (number, wrong) in wrongs.iter().enumerate() {
            beside(&file, 100).note(open(1)).unwrap();
            beside(&file, 100).note(open(2)).unwrap();
            wrong();
            assert_eq!(beside(&file, 100).note(open(3)).unwrap(), [open(3)], "{number}");
            assert_eq!(beside(&file, 100).note(open(4)).unwrap(), [open(3), open(4)], "{number}");
            head(0, 0);
        }
        head(MOST_EVER - 1, 100);
        assert_eq!(beside(&file, 100).note(open(5)).unwrap(), [open(5)], "it is full of what does not fit");
    }

    #[test]
    fn what_is_not_what_was_written_counts_for_nothing() {
        let file = tempfile::tempfile().unwrap();
        let written: Vec<Open> = (0..20).map(open).collect();
        let mut random = rand::rng();
        for _ in 0..300 {
            file.set_len(0).unwrap();
            let daemon = beside(&file, 100);
            for one in &written {
                daemon.note(*one).unwrap();
            }
            let at = random.random_range(0..offset(20));
            let len = random.random_range(1..100).min(offset(20) - at) as usize;
            let mut garbage = vec![0; len];
            random.fill_bytes(&mut garbage);
            file.write_all_at(&garbage, at).unwrap();
            file.set_len(random.random_range(0..offset(25))).unwrap();
            let found = beside(&file, 100).note(open(99)).unwrap();
            assert!(found.iter().all(|one| written.contains(one) || *one == open(99)), "{found:?}");
            assert_eq!(found.last(), Some(&open(99)));
        }
    }
}
