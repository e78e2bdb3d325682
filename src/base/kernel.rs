//! Sizes that the kernel works in and that several rooms use.

/// A page of memory, in bytes: the kernel asks for whole ones.
pub const PAGE_BYTES: u64 = 4 << 10;

/// The readahead of a mount that reads through the page cache, in bytes. `fuse` sets it; where it cannot, the kernel's
/// own 128 KiB apply. It is the largest request that the kernel makes by default; with a longer one reads get slower.
pub const READAHEAD_BYTES: u64 = 1 << 20;
