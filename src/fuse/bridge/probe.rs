//! Whether this kernel can be trusted with the bridge: by its version, and by a trial with answers that fail.
//!
//! Two faults of kernels with EROFS on files would show wrong bytes or worse. Both were mended in February 2026, and
//! the mends taken into the stable series. Of the first, pages that a short answer has not filled and that count as
//! read, a trial finds out. Of the second, memory that is used after it was freed when an asynchronous read ends, none
//! can: the version has to be one released well after it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use fuser::{Errno, ReplyData};

use super::image::{Content, Erofs};
use super::layout::{COUNT, DATA, FIRST_COUNT, Slot};
use super::mounts;
use crate::base::ByteRange;

/// The first versions of each series that are trusted, and of all later series.
const TRUSTED: [(u32, u32, u32); 3] = [(6, 12, 90), (6, 18, 30), (7, 0, 0)];

/// Since this version the numbers of blocks of metadata have more than 32 bits, so that further inodes can be read.
/// Older ones would find another block, and complain in the kernel's log.
const READS_FURTHER: (u32, u32, u32) = (6, 15, 0);

/// The size of each file of the trial: several pages, fewer than one request holds.
const FILE_BYTES: u64 = 64 << 10;

/// How the image answers for a file of the trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    InFull,
    WithAnError,
    ByHalf,
}

const WAYS: [Way; 3] = [Way::InFull, Way::WithAnError, Way::ByHalf];

/// How many inodes an image may have on this machine. Says why where there is to be no bridge.
pub(super) fn inode_count() -> Result<u64, String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let version = version(release);
    if !is_trusted(version) {
        return Err(format!(
            "Linux {release} may lack mends of EROFS that it takes (6.12.90, 6.18.30, or 7.0 and later have them)"
        ));
    }
    let tried = try_out(version >= READS_FURTHER);
    tried.map_err(|error| format!("this kernel cannot mount EROFS on a file of FUSE ({error})"))?
}

fn version(release: &str) -> (u32, u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Whether a version has both mends.
fn is_trusted(version: (u32, u32, u32)) -> bool {
    let is_later = TRUSTED.last().is_some_and(|last| version >= *last);
    let is_of = |series: &(u32, u32, u32)| (version.0, version.1) == (series.0, series.1) && version.2 >= series.2;
    is_later || TRUSTED.iter().any(is_of)
}

/// Reads files whose answers come in full, fail, and are short, through an image of their own, and where it is asked
/// for, one of the further inodes. Returns how many inodes an image may have.
fn try_out(goes_further: bool) -> io::Result<Result<u64, String>> {
    let erofs = Erofs::serve(Trial, 1)?;
    let read = |slot: Slot| {
        let file = File::from(mounts::open_inode(&erofs.root, slot.nid())?);
        let mut bytes = vec![0; FILE_BYTES as usize];
        Ok::<_, io::Error>(file.read_exact_at(&mut bytes, 0).map(|()| bytes))
    };
    let whole = pattern(ByteRange::new(0, FILE_BYTES));
    for (number, way) in WAYS.iter().enumerate() {
        match (way, read(Slot(number as u64))?) {
            (Way::InFull, Err(error)) => return Err(error),
            (Way::InFull, Ok(bytes)) if bytes != whole => {
                return Ok(Err("this kernel shows other bytes of EROFS than it was given".to_owned()));
            }
            (Way::WithAnError | Way::ByHalf, Ok(_)) => {
                return Ok(Err(format!("this kernel shows bytes of EROFS that it was never given ({way:?})")));
            }
            _ => {}
        }
    }
    let reads_further = goes_further && matches!(read(Slot(FIRST_COUNT)), Ok(Ok(bytes)) if bytes == whole);
    Ok(Ok(if reads_further { COUNT } else { FIRST_COUNT }))
}

fn pattern(range: ByteRange) -> Vec<u8> {
    (range.start..range.end).map(|at| (at / 7 % 251) as u8 + 1).collect()
}

struct Trial;

impl Content for Trial {
    fn inode(&self, slot: Slot) -> Option<(u64, u64)> {
        // The first of the further inodes is that of the first file, too.
        let number = if slot.0 == FIRST_COUNT { 0 } else { slot.0 };
        ((number as usize) < WAYS.len()).then_some((DATA.start + number * FILE_BYTES, FILE_BYTES))
    }

    fn read(&self, range: ByteRange, _: u32, reply: ReplyData) {
        let at = range.start - DATA.start;
        let bytes = pattern(ByteRange::at(at % FILE_BYTES, range.len()));
        match WAYS.get((at / FILE_BYTES) as usize) {
            Some(Way::InFull) => reply.data(&bytes),
            Some(Way::ByHalf) => reply.data(&bytes[..bytes.len() / 2]),
            Some(Way::WithAnError) | None => reply.error(Errno::EIO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_without_the_mends_are_not_trusted() {
        for release in ["6.12.90", "6.12.117-amd64", "6.18.44-fc-v782", "7.0.0", "7.1.3-arch1", "8.0.0-rc1"] {
            assert!(is_trusted(version(release)), "{release}");
        }
        for release in ["5.10.0", "6.1.170", "6.12.89", "6.13.12", "6.18.2", "6.19.0", "", "linux"] {
            assert!(!is_trusted(version(release)), "{release}");
        }
    }

    #[test]
    fn this_kernel_answers_the_trial() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let reads_further = version(&release) >= READS_FURTHER;
        let count = try_out(true).expect("the tests run as root on a kernel with EROFS");
        assert_eq!(count, Ok(if reads_further { COUNT } else { FIRST_COUNT }));
        assert_eq!(try_out(false).unwrap(), Ok(FIRST_COUNT));
    }
}
