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
use super::mounts::{self, Source};
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

/// Before this version the kernel passes no files of FUSE through, to whatever source.
const PASSES_THROUGH: (u32, u32, u32) = (6, 9, 0);

/// What this machine allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Support {
    /// How EROFS reads an image.
    pub(super) source: Source,
    /// How many inodes an image may have.
    pub(super) inode_count: u64,
}

/// What works on this machine: the first of these sources that does. Says why where none does.
pub(super) fn support(sources: &[Source]) -> Result<Support, String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    support_of(release.trim(), sources)
}

/// The same, as if this kernel were of that release.
fn support_of(release: &str, sources: &[Source]) -> Result<Support, String> {
    let mut reasons = Vec::new();
    for source in sources {
        match tried(*source, release) {
            Ok(inode_count) => return Ok(Support { source: *source, inode_count }),
            Err(why) => reasons.push(why),
        }
    }
    Err(reasons.join("; "))
}

/// How many inodes an image may have that EROFS reads in this way, on the kernel of this release. Says why where it
/// cannot be.
fn tried(source: Source, release: &str) -> Result<u64, String> {
    let version = version(release);
    if source == Source::File && !is_trusted(version) {
        return Err(format!(
            "Linux {release} may lack mends of EROFS on files (6.12.90, 6.18.30, or 7.0 and later have them)"
        ));
    }
    if version < PASSES_THROUGH {
        return Err(format!("Linux {release} passes no file of FUSE through (6.9 and later do)"));
    }
    let words = match source {
        Source::File => "a file of FUSE",
        Source::LoopDevice => "a loop device of FUSE",
    };
    let tried = try_out(source, version >= READS_FURTHER);
    tried.map_err(|error| format!("this kernel cannot mount EROFS on {words} ({error})"))?
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
fn try_out(source: Source, goes_further: bool) -> io::Result<Result<u64, String>> {
    let erofs = Erofs::serve(Trial, 1, source)?;
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
            // A block device asks for the rest of a short answer until it has all of it.
            (Way::ByHalf, Ok(bytes)) if source == Source::LoopDevice && bytes == whole => {}
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
    fn a_loop_device_serves_kernels_that_are_not_trusted_with_files() {
        let both = &[Source::File, Source::LoopDevice];
        let source = |release| support_of(release, both).map(|support| support.source);
        assert_eq!(source("6.18.44"), Ok(Source::File));
        assert_eq!(source("6.9.0"), Ok(Source::LoopDevice));
        assert_eq!(support_of("6.12.1", both).map(|support| support.inode_count), Ok(FIRST_COUNT));
        let why = support_of("6.8.12", both).unwrap_err();
        assert!(why.starts_with("Linux 6.8.12 may lack") && why.ends_with("(6.9 and later do)"), "{why}");
    }

    #[test]
    fn this_kernel_answers_the_trial() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let reads_further = version(&release) >= READS_FURTHER;
        for source in [Source::File, Source::LoopDevice] {
            let count = try_out(source, true).expect("the tests run as root on a kernel with EROFS");
            assert_eq!(count, Ok(if reads_further { COUNT } else { FIRST_COUNT }), "{source:?}");
            assert_eq!(try_out(source, false).unwrap(), Ok(FIRST_COUNT), "{source:?}");
        }
    }
}
