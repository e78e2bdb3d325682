//! The parts of an object that is copied to a file: where they lie, which of them have come, and the checksum of all.
//!
//! The record of a copy is a line that says what it is of, and a line with index and CRC-64 for each part that was
//! written. It is believed only as far as the bytes of the file have these checksums.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use parking_lot::Mutex;

use crate::base::ByteRange;
use crate::base::crc64::{Crc64, combine};

/// How much of a part is read at once when its bytes are checked.
const CHECK_BYTES: usize = 1 << 20;

/// The largest record that is read: a line for each part of 1 MiB of the largest object that stores take.
const MOST_RECORD_BYTES: u64 = 4 << 30;

/// The parts of one object.
#[derive(Debug)]
pub(super) struct Parts {
    size: u64,
    part_bytes: u64,
    /// The checksum of each part that is in the file.
    checksums: Mutex<Vec<Option<u64>>>,
    /// Where parts are noted; none for objects of one part.
    record: Option<Mutex<File>>,
}

impl Parts {
    /// None of the parts of an object of this size has come.
    pub(super) fn new(size: u64, part_bytes: u64) -> Self {
        let count = usize::try_from(size.div_ceil(part_bytes)).unwrap_or(usize::MAX);
        Parts { size, part_bytes, checksums: Mutex::new(vec![None; count]), record: None }
    }

    /// The same with a record: parts that it names, and whose bytes are in the file, have come.
    pub(super) fn resumed(mut self, mut record: File, file: &File) -> io::Result<Self> {
        let mut text = String::new();
        // What is no text was not written by this program.
        let is_text = (&record).take(MOST_RECORD_BYTES).read_to_string(&mut text).is_ok();
        let head = self.head();
        match text.strip_prefix(&head).filter(|_| is_text) {
            Some(lines) => {
                let noted: Vec<(usize, u64)> = lines.lines().filter_map(noted).collect();
                let mut checksums = self.checksums.lock();
                for (index, checksum) in noted {
                    if index < checksums.len() && checksum_of(file, self.range(index)).ok() == Some(checksum) {
                        checksums[index] = Some(checksum);
                    }
                }
            }
            None => {
                record.set_len(0)?;
                io::Seek::rewind(&mut record)?;
                record.write_all(head.as_bytes())?;
            }
        }
        self.record = Some(Mutex::new(record));
        Ok(self)
    }

    fn head(&self) -> String {
        format!("ossmount parts 1 {} {}\n", self.size, self.part_bytes)
    }

    fn range(&self, index: usize) -> ByteRange {
        let start = index as u64 * self.part_bytes;
        ByteRange::new(start, (start + self.part_bytes).min(self.size))
    }

    /// The parts that have not come, in order.
    pub(super) fn missing(&self) -> Vec<(usize, ByteRange)> {
        let checksums = self.checksums.lock();
        (0..checksums.len())
            .filter(|&index| checksums[index].is_none())
            .map(|index| (index, self.range(index)))
            .collect()
    }

    /// How many bytes have come.
    pub(super) fn done_bytes(&self) -> u64 {
        let checksums = self.checksums.lock();
        (0..checksums.len()).filter(|&index| checksums[index].is_some()).map(|index| self.range(index).len()).sum()
    }

    /// Notes that a part with this checksum is in the file.
    pub(super) fn came(&self, index: usize, checksum: u64) -> io::Result<()> {
        if let Some(record) = &self.record {
            record.lock().write_all(format!("{index} {checksum:016x}\n").as_bytes())?;
        }
        self.checksums.lock()[index] = Some(checksum);
        Ok(())
    }

    /// The checksum of the object, once all of it has come.
    pub(super) fn checksum(&self) -> Option<u64> {
        let checksums = self.checksums.lock();
        checksums.iter().enumerate().try_fold(0, |whole, (index, checksum)| {
            checksum.map(|checksum| combine(whole, checksum, self.range(index).len()))
        })
    }
}

fn noted(line: &str) -> Option<(usize, u64)> {
    let (index, checksum) = line.split_once(' ')?;
    Some((index.parse().ok()?, u64::from_str_radix(checksum, 16).ok().filter(|_| checksum.len() == 16)?))
}

fn checksum_of(file: &File, range: ByteRange) -> io::Result<u64> {
    let (mut crc, mut at) = (Crc64::new(), range.start);
    let mut buffer = vec![0; CHECK_BYTES];
    while at < range.end {
        let most = usize::try_from(range.end - at).unwrap_or(CHECK_BYTES).min(CHECK_BYTES);
        file.read_exact_at(&mut buffer[..most], at)?;
        crc.update(&buffer[..most]);
        at += most as u64;
    }
    Ok(crc.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc64::crc64;

    fn starts(parts: &Parts) -> Vec<u64> {
        parts.missing().into_iter().map(|(_, range)| range.start).collect()
    }

    #[test]
    fn parts_cover_the_object_and_their_checksums_make_its_own() {
        let bytes: Vec<u8> = (0..25_u8).collect();
        let parts = Parts::new(25, 10);
        assert_eq!((starts(&parts), parts.checksum()), (vec![0, 10, 20], None));
        for (index, range) in parts.missing() {
            parts.came(index, crc64(&bytes[range.start as usize..range.end as usize])).unwrap();
        }
        assert_eq!((parts.checksum(), parts.done_bytes(), parts.missing().len()), (Some(crc64(&bytes)), 25, 0));
        assert_eq!((Parts::new(0, 10).checksum(), Parts::new(0, 10).missing().len()), (Some(0), 0));
    }

    #[test]
    fn a_record_is_believed_as_far_as_the_bytes_are_there() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(scratch.path().join(name))
                .unwrap()
        };
        let bytes = b"aaaaabbbbbccccc";
        at("file").write_all(bytes).unwrap();
        let parts = Parts::new(15, 5).resumed(at("record"), &at("file")).unwrap();
        assert_eq!(starts(&parts), [0, 5, 10]);
        parts.came(0, crc64(b"aaaaa")).unwrap();
        parts.came(2, crc64(b"ccccc")).unwrap();
        let again = || Parts::new(15, 5).resumed(at("record"), &at("file")).unwrap();
        assert_eq!((starts(&again()), again().done_bytes()), (vec![5], 10));
        // A byte that was not written, as after a power failure.
        at("file").write_all_at(b"x", 12).unwrap();
        assert_eq!(starts(&again()), [5, 10]);
        // Another size of parts, or no record of this program.
        assert_eq!(starts(&Parts::new(15, 3).resumed(at("record"), &at("file")).unwrap()).len(), 5);
        std::fs::write(scratch.path().join("record"), b"\xff\xfe").unwrap();
        assert_eq!(starts(&again()), [0, 5, 10]);
    }
}
