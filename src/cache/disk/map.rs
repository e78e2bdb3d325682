//! The map of a cached object: whose bytes they are, and which blocks of them are there. What it looks like on disk.
//!
//! A header of one page, then a record of 16 bytes for each block of 128 KiB. A block is there if its record is, and
//! its bytes fit the checksum in it; where the file of data has bytes says nothing. A record that was torn, or that a
//! disk has garbled, does not fit its own check: the block is then not there.
//!
//! A record carries the boot in which its block was written or last checked. The kernel may read by itself only what
//! was checked since this boot: what was on its way to the disk when the power failed may have become zeros.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::base::ByteRange;
use crate::base::crc64::crc64;

use super::identity::Identity;
use super::words::word;

/// The bytes of a block; the last one of an object may be shorter.
pub(super) const BLOCK_BYTES: u64 = 128 << 10;
/// The bytes of the header.
pub(super) const HEADER_BYTES: usize = 4096;
/// The bytes of a record.
pub(super) const RECORD_BYTES: u64 = 16;
const MAGIC: &[u8; 8] = b"OSSMAP1\n";

/// What a map begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Chosen when the map was made, and part of the name of its file of data: a map that was made anew never belongs
    /// to data that were there before.
    pub(super) nonce: u64,
    pub(super) identity: Identity,
    /// The checksum that the store keeps of the whole object, where it tells one.
    pub(super) crc64: Option<u64>,
}

impl Header {
    /// `None` where it does not fit: such an object is not cached.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let identity = serde_json::to_vec(&self.identity).ok()?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.nonce.to_le_bytes());
        bytes.extend(u64::from(self.crc64.is_some()).to_le_bytes());
        bytes.extend(self.crc64.unwrap_or(0).to_le_bytes());
        bytes.extend((identity.len() as u64).to_le_bytes());
        bytes.extend(identity);
        if bytes.len() > HEADER_BYTES - 8 {
            return None;
        }
        bytes.resize(HEADER_BYTES - 8, 0);
        bytes.extend(crc64(&bytes).to_le_bytes());
        Some(bytes)
    }

    /// That of a map; `None` where it has none that is right.
    pub(super) fn read(map: &File) -> Option<Header> {
        let mut bytes = vec![0; HEADER_BYTES];
        map.read_exact_at(&mut bytes, 0).ok()?;
        Header::decode(&bytes)
    }

    /// `None` where these bytes are no header, or not what was written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
        let (content, check) = bytes.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 8);
        if !content.starts_with(MAGIC) || word(check, 0)? != crc64(content) {
            return None;
        }
        let len = usize::try_from(word(content, 32)?).ok()?;
        let identity = serde_json::from_slice(content.get(40..40_usize.checked_add(len)?)?).ok()?;
        let crc64 = (word(content, 16)? == 1).then_some(word(content, 24)?);
        Some(Header { nonce: word(content, 8)?, identity, crc64 })
    }
}

/// The boot of this machine, as records know it; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Boot(pub(super) u32);

impl Boot {
    /// This one. Where the kernel does not tell, a boot of its own: nothing that was checked before counts.
    pub(super) fn now() -> Boot {
        let id = crate::files::read_text(std::path::Path::new("/proc/sys/kernel/random/boot_id"), 64);
        Boot::of(&id.unwrap_or_else(|_| rand::random::<u64>().to_string()))
    }

    /// The boot that the kernel names so.
    pub(super) fn of(id: &str) -> Boot {
        Boot((crc64(id.trim().as_bytes()) as u32).max(1))
    }
}

/// A block that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The checksum of its bytes.
    pub(super) crc64: u64,
    /// When it was written or last checked.
    pub(super) boot: Boot,
}

impl Record {
    pub(super) fn encode(self, nonce: u64, block: u64) -> [u8; RECORD_BYTES as usize] {
        let mut bytes = [0; RECORD_BYTES as usize];
        bytes[..8].copy_from_slice(&self.crc64.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.boot.0.to_le_bytes());
        let check = check(&bytes[..12], nonce, block);
        bytes[12..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// `None` where the block is not there.
    pub(super) fn decode(bytes: &[u8], nonce: u64, block: u64) -> Option<Record> {
        let boot = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
        let written = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
        let is_right = boot != 0 && written == check(&bytes[..12], nonce, block);
        is_right.then_some(Record { crc64: word(bytes, 0)?, boot: Boot(boot) })
    }
}

/// Holds a record to its map and its place in it.
fn check(content: &[u8], nonce: u64, block: u64) -> u32 {
    let mut bytes = [0; 28];
    bytes[..12].copy_from_slice(content);
    bytes[12..20].copy_from_slice(&nonce.to_le_bytes());
    bytes[20..].copy_from_slice(&block.to_le_bytes());
    crc64(&bytes) as u32
}

/// How many blocks an object of this size has.
pub(super) fn blocks_of(size: u64) -> u64 {
    size.div_ceil(BLOCK_BYTES)
}

/// Which bytes of an object of this size a block is.
pub(super) fn block_range(block: u64, size: u64) -> ByteRange {
    let start = block * BLOCK_BYTES;
    ByteRange::new(start, (start + BLOCK_BYTES).min(size))
}

/// The blocks that a range of bytes, not empty, touches.
pub(super) fn touched(range: ByteRange) -> std::ops::Range<u64> {
    range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES)
}

/// The blocks that lie within a range of bytes of an object of this size.
pub(super) fn within(range: ByteRange, size: u64) -> std::ops::Range<u64> {
    let first = range.start.div_ceil(BLOCK_BYTES);
    let end = if range.end >= size { blocks_of(size) } else { range.end / BLOCK_BYTES };
    first..end.max(first)
}

/// The complete blocks within a range of an object of this size, which are what can be kept of it; empty where there is
/// none.
pub fn blocks_within(range: ByteRange, size: u64) -> ByteRange {
    let blocks = within(range, size);
    if blocks.is_empty() {
        return ByteRange::new(range.start, range.start);
    }
    ByteRange::new(blocks.start * BLOCK_BYTES, (blocks.end * BLOCK_BYTES).min(size))
}

/// The block of an object of this size that a byte lies in.
pub fn block_around(at: u64, size: u64) -> ByteRange {
    block_range(at / BLOCK_BYTES, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(key: &str) -> Header {
        let identity = Identity {
            origin: "s3://host/bucket".into(),
            key: key.into(),
            version: None,
            etag: "tag".into(),
            size: 5 << 20,
        };
        Header { nonce: 9, identity, crc64: Some(0) }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_or_not_at_all() {
        for crc64 in [None, Some(0), Some(u64::MAX)] {
            let header = Header { crc64, ..header("a key with a \u{0} and a ü") };
            let bytes = header.encode().unwrap();
            assert_eq!((bytes.len(), Header::decode(&bytes)), (HEADER_BYTES, Some(header)));
        }
        let bytes = header("k").encode().unwrap();
        for at in 0..HEADER_BYTES {
            let mut garbled = bytes.clone();
            garbled[at] ^= 1;
            assert_eq!(Header::decode(&garbled), None, "{at}");
        }
        assert_eq!(Header::decode(&bytes[1..]), None);
        assert_eq!(header(&"k".repeat(HEADER_BYTES)).encode(), None, "too long for a page");
        assert!(header(&"\u{1}".repeat(600)).encode().is_some());
    }

    #[test]
    fn a_record_belongs_to_its_map_and_place() {
        let record = Record { crc64: 7, boot: Boot::of("a boot\n") };
        assert_eq!(Boot::of("a boot\n"), Boot::of("a boot"));
        let bytes = record.encode(3, 4);
        assert_eq!(Record::decode(&bytes, 3, 4), Some(record));
        assert_eq!(Record::decode(&bytes, 4, 4), None);
        assert_eq!(Record::decode(&bytes, 3, 5), None);
        assert_eq!(Record::decode(&[0; 16], 3, 4), None);
        assert_eq!(Record::decode(&bytes[..15], 3, 4), None);
        for bit in 0..128 {
            let mut garbled = bytes;
            garbled[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&garbled, 3, 4), None, "{bit}");
        }
    }

    #[test]
    fn no_boot_is_none() {
        assert_ne!(Boot::of("").0, 0);
        let bytes = Record { crc64: 1, boot: Boot(0) }.encode(1, 1);
        assert_eq!(Record::decode(&bytes, 1, 1), None);
    }

    #[test]
    fn blocks_of_ranges() {
        let block = BLOCK_BYTES;
        let size = 3 * block + 5;
        assert_eq!(blocks_of(size), 4);
        assert_eq!(block_range(3, size), ByteRange::new(3 * block, size));
        assert_eq!(touched(ByteRange::new(block - 1, block + 1)), 0..2);
        assert_eq!(within(ByteRange::new(1, 2 * block + 7), size), 1..2);
        assert_eq!(within(ByteRange::new(3 * block, size), size), 3..4, "the last block is short");
        assert_eq!(within(ByteRange::new(5, 9), size).count(), 0);
        assert_eq!(within(ByteRange::new(0, size), size), 0..4);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..5000), seal in any::<bool>()) {
            let mut bytes = bytes;
            if seal {
                bytes.resize(HEADER_BYTES, 0);
                bytes[..8].copy_from_slice(MAGIC);
                let check = crc64(&bytes[..HEADER_BYTES - 8]);
                bytes[HEADER_BYTES - 8..].copy_from_slice(&check.to_le_bytes());
            }
            let _ = Header::decode(&bytes);
            let _ = Record::decode(&bytes, 0, 0);
        }
    }
}
