//! The image as EROFS reads it: where what lies, and what the blocks of metadata hold. Pure functions.
//!
//! The numbers are those of the on-disk format (`fs/erofs/erofs_fs.h` of the kernel): blocks of 4 KiB, a superblock at
//! byte 1024, inodes of 64 bytes whose data lie in one piece. All of it is little-endian.
//!
//! | from | what |
//! |---|---|
//! | 0 | the superblock |
//! | 4 KiB | the root directory's inode, which is empty: inodes are opened by handles |
//! | 1 GiB | inodes, one in each block, so that no block is in the kernel's cache before its inode is known |
//! | 512 GiB | the bytes of objects: block addresses have 32 bits, which ends this at 16 TiB |
//! | 16 TiB | further inodes, for kernels that read them there: Linux 6.12 takes such a block for another |
//! | 1 EiB - 1 GiB | nothing: programs that look at every block device read its last blocks |

use crate::base::ByteRange;

/// The unit in which EROFS addresses an image, in bytes.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// Where the bytes of objects lie. The last block is left out: its number means that there is none.
pub(super) const DATA: ByteRange = ByteRange { start: FIRST_INODES.end, end: (u32::MAX as u64) * BLOCK_BYTES };

/// Where the first inodes lie.
const FIRST_INODES: ByteRange = ByteRange { start: 1 << 30, end: 1 << 39 };

/// Where the further inodes lie.
const FURTHER_INODES: ByteRange = ByteRange { start: 1 << 44, end: IMAGE_BYTES - (1 << 30) };

/// The size of the image, in bytes: that of a file which is nearly all holes.
pub(super) const IMAGE_BYTES: u64 = 1 << 60;

/// How many inodes there may ever be where only the first ones can be read: a hundred new files a second use them up in
/// two weeks.
pub(super) const FIRST_COUNT: u64 = (FIRST_INODES.end - FIRST_INODES.start) / BLOCK_BYTES;

/// How many there may ever be elsewhere: at a million a second they last for centuries.
pub(super) const COUNT: u64 = FIRST_COUNT + (FURTHER_INODES.end - FURTHER_INODES.start) / BLOCK_BYTES;

/// The distance of numbers of inodes, in bytes.
const NID_BYTES: u64 = 32;

const SUPERBLOCK_AT: usize = 1024;
const MAGIC: u32 = 0xE0F5_E1E2;
const ROOT: u64 = BLOCK_BYTES;

/// Inodes of 64 bytes, of a file whose bytes lie in one piece.
const EXTENDED_PLAIN: u16 = 1;

/// Which inode of the image: never used for a second version of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Slot(pub(super) u64);

impl Slot {
    /// The number by which EROFS knows the inode.
    pub(super) fn nid(self) -> u64 {
        let address = match self.0.checked_sub(FIRST_COUNT) {
            None => FIRST_INODES.start + self.0 * BLOCK_BYTES,
            Some(further) => FURTHER_INODES.start + further * BLOCK_BYTES,
        };
        address / NID_BYTES
    }
}

/// What a read of the image is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Region {
    /// The superblock, the root directory, and blocks that hold nothing.
    Head,
    /// The bytes of objects.
    Data,
    /// The inodes from this slot on, so many.
    Inodes { first: Slot, count: u64 },
    /// Nothing that exists, or parts of several of these.
    Nowhere,
}

/// What lies in a range of the image. EROFS reads whole blocks.
pub(super) fn region(range: ByteRange) -> Region {
    match range {
        _ if range.is_empty() || !range.start.is_multiple_of(BLOCK_BYTES) || !range.end.is_multiple_of(BLOCK_BYTES) => {
            Region::Nowhere
        }
        _ if range.end <= FIRST_INODES.start => Region::Head,
        _ if range.start >= FURTHER_INODES.end && range.end <= IMAGE_BYTES => Region::Head,
        _ if FIRST_INODES.contains(range) => inodes(range, FIRST_INODES, 0),
        _ if DATA.contains(range) => Region::Data,
        _ if FURTHER_INODES.contains(range) => inodes(range, FURTHER_INODES, FIRST_COUNT),
        _ => Region::Nowhere,
    }
}

/// A part of a stretch of inodes whose first is this one.
fn inodes(range: ByteRange, stretch: ByteRange, first: u64) -> Region {
    let first = Slot(first + (range.start - stretch.start) / BLOCK_BYTES);
    Region::Inodes { first, count: range.len() / BLOCK_BYTES }
}

/// Blocks before those of inodes, or behind all of them.
pub(super) fn head(range: ByteRange) -> Vec<u8> {
    let mut bytes = vec![0; range.len() as usize];
    let mut put = |at: u64, block: [u8; BLOCK_BYTES as usize]| {
        if range.start <= at && at + BLOCK_BYTES <= range.end {
            let at = (at - range.start) as usize;
            bytes[at..at + block.len()].copy_from_slice(&block);
        }
    };
    put(0, superblock());
    put(ROOT, inode(libc::S_IFDIR | 0o500, 0, 0, 1));
    bytes
}

fn superblock() -> [u8; BLOCK_BYTES as usize] {
    let mut block = [0; BLOCK_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| block[SUPERBLOCK_AT + at..][..bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC.to_le_bytes());
    put(12, &[BLOCK_BYTES.ilog2() as u8]);
    put(14, &((ROOT / NID_BYTES) as u16).to_le_bytes());
    // How many inodes and blocks there are is for statfs alone.
    put(16, &1_u64.to_le_bytes());
    put(36, &u32::MAX.to_le_bytes());
    put(64, b"ossmount");
    block
}

/// The block of a file's inode, which may be read and by root alone: names and rights are those of the mount that
/// programs see.
pub(super) fn file_inode(slot: Slot, address: u64, bytes: u64) -> [u8; BLOCK_BYTES as usize] {
    inode(libc::S_IFREG | 0o400, address, bytes, slot.0 as u32)
}

fn inode(mode: u32, address: u64, bytes: u64, number: u32) -> [u8; BLOCK_BYTES as usize] {
    let mut block = [0; BLOCK_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| block[at..][..bytes.len()].copy_from_slice(bytes);
    put(0, &EXTENDED_PLAIN.to_le_bytes());
    put(4, &(mode as u16).to_le_bytes());
    put(8, &bytes.to_le_bytes());
    put(16, &((address / BLOCK_BYTES) as u32).to_le_bytes());
    put(20, &number.to_le_bytes());
    put(44, &1_u32.to_le_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_apart() {
        let at = |start, len| region(ByteRange::at(start, len));
        assert_eq!(at(0, 4096), Region::Head);
        assert_eq!(at(FIRST_INODES.start - 4096, 4096), Region::Head);
        assert_eq!(at(FIRST_INODES.start - 4096, 8192), Region::Nowhere);
        assert_eq!(at(FIRST_INODES.start + 4096, 8192), Region::Inodes { first: Slot(1), count: 2 });
        assert_eq!(at(DATA.start - 4096, 4096), Region::Inodes { first: Slot(FIRST_COUNT - 1), count: 1 });
        assert_eq!(at(DATA.start - 4096, 8192), Region::Nowhere);
        assert_eq!(at(DATA.start, 1 << 20), Region::Data);
        assert_eq!(at(DATA.end - 4096, 4096), Region::Data);
        assert_eq!(at(DATA.end, 4096), Region::Nowhere);
        assert_eq!(at(FURTHER_INODES.start - 4096, 8192), Region::Nowhere);
        assert_eq!(at(FURTHER_INODES.start, 8192), Region::Inodes { first: Slot(FIRST_COUNT), count: 2 });
        assert_eq!(at(FURTHER_INODES.end - 4096, 4096), Region::Inodes { first: Slot(COUNT - 1), count: 1 });
        assert_eq!(at(FURTHER_INODES.end - 4096, 8192), Region::Nowhere);
        assert_eq!(at(FURTHER_INODES.end, 4096), Region::Head);
        assert_eq!(at(IMAGE_BYTES - 4096, 4096), Region::Head);
        assert_eq!(at(IMAGE_BYTES - 4096, 8192), Region::Nowhere);
        for (start, len) in [(IMAGE_BYTES, 4096), (0, 0), (DATA.start, 100), (DATA.start + 1, 4096)] {
            assert_eq!(at(start, len), Region::Nowhere, "{start} {len}");
        }
    }

    #[test]
    fn the_head_holds_a_superblock_and_the_inode_that_it_names() {
        let head = head(ByteRange::new(0, 3 * BLOCK_BYTES));
        assert_eq!(head[1024..1028], [0xE2, 0xE1, 0xF5, 0xE0]);
        assert_eq!(head[1036], 12);
        let root = u16::from_le_bytes([head[1038], head[1039]]);
        let inode = &head[usize::from(root) * 32..][..64];
        let mode = u16::from_le_bytes([inode[4], inode[5]]);
        assert_eq!(u32::from(mode) & libc::S_IFMT, libc::S_IFDIR);
        assert!(head[8192..].iter().all(|byte| *byte == 0));
        assert_eq!(super::head(ByteRange::at(IMAGE_BYTES - 4096, 4096)), [0; 4096]);
        // A part of it is the same part.
        assert_eq!(super::head(ByteRange::at(BLOCK_BYTES, BLOCK_BYTES)), head[4096..8192]);
    }

    #[test]
    fn an_inode_tells_where_its_bytes_lie() {
        let block = file_inode(Slot(7), DATA.end - (5 << 20), 5_000_001);
        assert_eq!(u16::from_le_bytes([block[0], block[1]]), 1);
        assert_eq!(u32::from(u16::from_le_bytes([block[4], block[5]])) & libc::S_IFMT, libc::S_IFREG);
        assert_eq!(u64::from_le_bytes(block[8..16].try_into().unwrap()), 5_000_001);
        let address = u64::from(u32::from_le_bytes(block[16..20].try_into().unwrap())) * BLOCK_BYTES;
        assert_eq!(address, DATA.end - (5 << 20));
    }

    #[test]
    fn a_slot_is_found_where_its_number_says() {
        for slot in [0, 1, FIRST_COUNT - 1, FIRST_COUNT, COUNT - 1].map(Slot) {
            let at = ByteRange::at(slot.nid() * NID_BYTES, BLOCK_BYTES);
            assert_eq!(region(at), Region::Inodes { first: slot, count: 1 });
        }
        // Within what 32 bits address.
        assert!(Slot(FIRST_COUNT - 1).nid() * NID_BYTES < DATA.end && Slot(FIRST_COUNT).nid() * NID_BYTES > DATA.end);
    }
}
