//! The bytes of objects: in memory, in files, computed; whole, cut and chained, all without copying.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum, checksum_combine};
use md5::{Digest, Md5};
use parking_lot::Mutex;

use crate::files::Beneath;

/// Pieces in which content is read to be hashed or copied.
const STEP: usize = 1 << 20;

/// The bytes of an object. Clones share them.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Bytes),
    File(FileSlice),
    Computed(Computed),
    Chain(Arc<[Link]>),
}

/// A part of a file, opened when first read.
#[derive(Clone, Debug)]
pub(super) struct FileSlice {
    file: Arc<OpenLater>,
    start: u64,
    len: u64,
}

#[derive(Debug)]
struct OpenLater {
    place: Place,
    file: OnceLock<File>,
    /// Removes the file with the last use of it.
    owned: Option<tempfile::TempPath>,
}

/// Where a file is.
#[derive(Clone, Debug)]
enum Place {
    /// In the emulator's own folder.
    Own(PathBuf),
    /// By its path in a tree of files.
    Below(Arc<Beneath>, String),
}

/// A stretch of the endless noise, from `phase` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Computed {
    pub(super) phase: u64,
    pub(super) len: u64,
}

/// One content of a chain and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Link {
    start: u64,
    content: Content,
}

impl Content {
    pub(super) fn empty() -> Self {
        Content::Memory(Bytes::new())
    }

    /// The first `len` bytes of a file of a tree, by its path there.
    pub(super) fn below(tree: Arc<Beneath>, path: &str, len: u64) -> Self {
        let place = Place::Below(tree, path.to_owned());
        let file = Arc::new(OpenLater { place, file: OnceLock::new(), owned: None });
        Content::File(FileSlice { file, start: 0, len })
    }

    /// A temporary file that goes with the content.
    pub(super) fn temporary(file: File, path: tempfile::TempPath, len: u64) -> Self {
        let opened = OnceLock::from(file);
        let file = Arc::new(OpenLater { place: Place::Own(path.to_path_buf()), file: opened, owned: Some(path) });
        Content::File(FileSlice { file, start: 0, len })
    }

    /// One content after another.
    pub(super) fn chain(contents: impl IntoIterator<Item = Content>) -> Self {
        let mut start = 0;
        let mut links = Vec::new();
        for content in contents {
            let len = content.len();
            if len > 0 {
                links.push(Link { start, content });
            }
            start += len;
        }
        match links.len() {
            0 => Content::empty(),
            1 => links.remove(0).content,
            _ => Content::Chain(links.into()),
        }
    }

    /// The length of the content, in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(slice) => slice.len,
            Content::Computed(computed) => computed.len,
            Content::Chain(links) => links.last().map_or(0, |link| link.start + link.content.len()),
        }
    }

    /// Some bytes from `at` on: at least one and at most `most`, unless `at` is the end.
    pub(super) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        let most = most.min(usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX));
        match self {
            Content::Memory(bytes) => {
                let at = at as usize;
                Ok(bytes.slice(at..at + most))
            }
            Content::File(slice) => slice.read(at, most),
            Content::Computed(computed) => Ok(noise_at(computed.phase + at, most)),
            Content::Chain(links) => {
                let index = links.partition_point(|link| link.start <= at).saturating_sub(1);
                links[index].content.read(at - links[index].start, most)
            }
        }
    }

    /// The next bytes from `at` on, at most `most`, if they lie in one file: then they need not be read to be sent.
    pub(super) fn stretch(&self, at: u64, most: u64) -> Option<FileSlice> {
        match self {
            Content::File(slice) => Some(slice.cut(at, most.min(slice.len.saturating_sub(at)))),
            Content::Chain(links) => {
                let index = links.partition_point(|link| link.start <= at).saturating_sub(1);
                links[index].content.stretch(at - links[index].start, most)
            }
            Content::Memory(_) | Content::Computed(_) => None,
        }
    }

    /// The bytes `range`, which must lie inside.
    pub(super) fn slice(&self, range: Range<u64>) -> Content {
        match self {
            Content::Memory(bytes) => Content::Memory(bytes.slice(range.start as usize..range.end as usize)),
            Content::File(slice) => Content::File(slice.cut(range.start, range.end - range.start)),
            Content::Computed(computed) => {
                Content::Computed(Computed { phase: computed.phase + range.start, len: range.end - range.start })
            }
            Content::Chain(links) => Content::chain(links.iter().filter_map(|link| {
                let end = link.start + link.content.len();
                let (from, to) = (range.start.max(link.start), range.end.min(end));
                (from < to).then(|| link.content.slice(from - link.start..to - link.start))
            })),
        }
    }

    /// Opens the file behind the content, so that it can be read to its end even if it is deleted meanwhile.
    pub(super) fn open(&self) -> io::Result<()> {
        match self {
            Content::File(slice) => slice.file.get().map(|_| ()),
            Content::Chain(links) => links.iter().try_for_each(|link| link.content.open()),
            _ => Ok(()),
        }
    }

    /// The same content with the file behind it, if there is one, not yet opened.
    pub(super) fn reopened(&self) -> Self {
        match self {
            Content::File(slice) if slice.file.owned.is_none() => {
                let place = slice.file.place.clone();
                let file = Arc::new(OpenLater { place, file: OnceLock::new(), owned: None });
                Content::File(FileSlice { file, start: slice.start, len: slice.len })
            }
            other => other.clone(),
        }
    }

    /// Whether reading it means reading a file.
    pub(super) fn is_file(&self) -> bool {
        match self {
            Content::File(_) => true,
            Content::Chain(links) => links.iter().any(|link| link.content.is_file()),
            Content::Memory(_) | Content::Computed(_) => false,
        }
    }

    /// The temporary file that this content is, whole, if nothing else holds it: then it may be moved.
    pub(super) fn sole_temporary(&self) -> Option<&Path> {
        let Content::File(slice) = self else { return None };
        let path = slice.file.owned.as_deref().filter(|_| Arc::strong_count(&slice.file) == 1)?;
        let is_whole = slice.start == 0 && path.metadata().is_ok_and(|metadata| metadata.len() == slice.len);
        is_whole.then_some(path)
    }

    /// All bytes, piece by piece.
    pub(super) fn each(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let (mut at, end) = (0, self.len());
        while at < end {
            let piece = self.read(at, STEP)?;
            take(&piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// The CRC-64/XZ of all bytes.
    pub(super) fn crc64(&self) -> io::Result<u64> {
        match self {
            Content::Memory(bytes) => Ok(crc64(bytes)),
            Content::Computed(computed) => Ok(computed.crc64()),
            Content::Chain(links) => links.iter().try_fold(0, |crc, link| {
                let next = link.content.crc64()?;
                Ok(combine_crc64(crc, next, link.content.len()))
            }),
            Content::File(_) => {
                let mut crc = crc_fast::Digest::new(CrcAlgorithm::Crc64Xz);
                self.each(|piece| {
                    crc.update(piece);
                    Ok(())
                })?;
                Ok(crc.finalize())
            }
        }
    }

    /// The MD5 of all bytes.
    pub(super) fn md5(&self) -> io::Result<[u8; 16]> {
        let mut md5 = Md5::new();
        self.each(|piece| {
            md5.update(piece);
            Ok(())
        })?;
        Ok(md5.finalize().into())
    }
}

impl OpenLater {
    fn get(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = match &self.place {
            Place::Own(path) => File::open(path)?,
            Place::Below(tree, path) => tree.file(path)?.0,
        };
        Ok(self.file.get_or_init(|| file))
    }
}

impl FileSlice {
    /// The length of the part, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn cut(&self, from: u64, len: u64) -> Self {
        FileSlice { file: self.file.clone(), start: self.start + from, len }
    }

    /// Sends bytes from the front, at most `most` and as many as the socket takes, and shortens the part by them.
    pub(super) fn send(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        let most = most.min(usize::try_from(self.len).unwrap_or(most));
        let mut from = self.start;
        let sent = rustix::fs::sendfile(socket, self.file.get()?, Some(&mut from), most)?;
        if sent == 0 {
            return Err(shortened());
        }
        (self.start, self.len) = (from, self.len - sent as u64);
        Ok(sent)
    }

    /// `pread` and not a mapping: a file that another process shortens would kill the process through its mapping. The
    /// bytes are copied in steps that stay in the processor's cache, into buffers that are used again and again,
    /// because fresh memory costs more than the copy.
    fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        if most == 0 {
            return Ok(Bytes::new());
        }
        let mut lent = Lent::new();
        let most = most.min(lent.buffer.len());
        lent.len = self.file.get()?.read_at(&mut lent.buffer[..most], self.start + at)?;
        if lent.len == 0 {
            return Err(shortened());
        }
        Ok(Bytes::from_owner(lent))
    }
}

fn shortened() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter")
}

/// Bytes read from a file at once.
const FILE_STEP: usize = 128 << 10;
/// Buffers kept for the next reads.
const MOST_SPARE: usize = 64;

static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer that goes back to the spare ones with the last use of it.
struct Lent {
    buffer: Box<[u8]>,
    len: usize,
}

impl Lent {
    fn new() -> Self {
        let spare = SPARE.lock().pop();
        Lent { buffer: spare.unwrap_or_else(|| vec![0; FILE_STEP].into()), len: 0 }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spare = SPARE.lock();
        if spare.len() < MOST_SPARE {
            spare.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// The length of the noise before it repeats: the largest prime below 2^24, so that no power of two, and no multiple
/// of a part size, brings the same bytes again, and every misplaced block shows.
const NOISE_LEN: usize = 16_777_213;

static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x6f73_736d_6f75_6e74_u64;
    let mut bytes = Vec::with_capacity(NOISE_LEN + 8);
    while bytes.len() < NOISE_LEN {
        bytes.extend_from_slice(&splitmix(&mut state).to_le_bytes());
    }
    bytes.truncate(NOISE_LEN);
    bytes.into()
});

/// The next number of a sequence that looks random and is the same every time.
pub(super) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn noise_at(position: u64, most: usize) -> Bytes {
    let from = (position % NOISE_LEN as u64) as usize;
    NOISE.slice(from..(from + most).min(NOISE_LEN))
}

impl Computed {
    /// Whole turns of the noise are combined by doubling, so that a terabyte costs no more than one turn.
    fn crc64(&self) -> u64 {
        let turn = NOISE_LEN as u64;
        let from = (self.phase % turn) as usize;
        let stretch = |len: u64| {
            let first = (len as usize).min(NOISE_LEN - from);
            let head = crc64(&NOISE[from..from + first]);
            let tail = crc64(&NOISE[..len as usize - first]);
            combine_crc64(head, tail, len - first as u64)
        };
        let (turns, rest) = (self.len / turn, self.len % turn);
        let mut crc = 0;
        if turns > 0 {
            let (mut doubled, mut doubled_len, mut left) = (stretch(turn), turn, turns);
            while left > 0 {
                if left & 1 == 1 {
                    crc = combine_crc64(crc, doubled, doubled_len);
                }
                left >>= 1;
                if left > 0 {
                    doubled = combine_crc64(doubled, doubled, doubled_len);
                    doubled_len *= 2;
                }
            }
        }
        combine_crc64(crc, stretch(rest), rest)
    }
}

/// The CRC-64/XZ of some bytes.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    checksum(CrcAlgorithm::Crc64Xz, bytes)
}

/// The CRC-64/XZ of two pieces from theirs and the length of the second.
pub(super) fn combine_crc64(first: u64, second: u64, second_len: u64) -> u64 {
    if second_len == 0 { first } else { checksum_combine(CrcAlgorithm::Crc64Xz, first, second, second_len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        let copied = content.each(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        copied.unwrap();
        bytes
    }

    #[test]
    fn chains_read_and_cut_like_their_bytes() {
        let parts = [&b"hello"[..], b"", b", wide", b" world"].map(|part| Content::Memory(Bytes::from_static(part)));
        let chain = Content::chain(parts);
        let expected = b"hello, wide world";
        assert_eq!(all(&chain), expected);
        for from in 0..expected.len() {
            for to in from..=expected.len() {
                assert_eq!(all(&chain.slice(from as u64..to as u64)), &expected[from..to]);
            }
        }
        assert_eq!(chain.crc64().unwrap(), crc64(expected));
    }

    #[test]
    fn computed_checksums_agree_with_the_bytes() {
        let turn = NOISE_LEN as u64;
        for (phase, len) in
            [(0, 0), (5, 1000), (turn - 3, 10), (7, turn), (123, 3 * turn + 77), (1 << 40, 2 * turn - 1)]
        {
            let computed = Computed { phase, len };
            let mut crc = crc_fast::Digest::new(CrcAlgorithm::Crc64Xz);
            let read = Content::Computed(computed).each(|piece| {
                crc.update(piece);
                Ok(())
            });
            read.unwrap();
            assert_eq!(computed.crc64(), crc.finalize(), "{computed:?}");
        }
    }

    #[test]
    fn the_catalogued_checksums_hold() {
        assert_eq!(crc64(b"123456789"), 0x995d_c9bb_df19_39fa);
        assert_eq!(crc64(b""), 0);
        assert_eq!(combine_crc64(6_748_440_630_437_108_969, 10_278_880_121_275_185_425, 4), 11_051_210_869_376_104_954);
    }

    #[test]
    fn files_are_read_in_place_and_their_end_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let tree = Arc::new(Beneath::open(file.path().parent().unwrap()).unwrap());
        let name = file.path().file_name().unwrap().to_str().unwrap();
        let content = Content::below(tree, name, 10).slice(2..8);
        assert_eq!(all(&content), b"234567");
        file.as_file().set_len(3).unwrap();
        assert!(content.each(|_| Ok(())).is_err());
    }
}
