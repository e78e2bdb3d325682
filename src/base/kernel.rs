//! Sizes that the kernel works in and that several rooms use.

/// A page of memory, in bytes: the kernel asks for whole ones.
pub const PAGE_BYTES: u64 = 4 << 10;

/// The readahead of a mount that reads through the page cache, in bytes. `fuse` sets it; where it cannot, the kernel's
/// own 128 KiB apply. It is the largest request that the kernel makes by default; with a longer one reads get slower.
pub const READAHEAD_BYTES: u64 = 1 << 20;

/// How much is read ahead of a file with chunks, in bytes.
///
/// A read in one piece that is longer than the read-ahead is a stream to the kernel, which reads on behind it, and goes
/// on to; a shorter one at some other place is read as it is. So this is more than most chunks are long, and a page for
/// those that begin within one. Of two chunks of HDF5 of 1 MiB 2.3 MB are fetched where 1 MiB is read ahead 6.4; of two
/// of 4 MiB 10.6 and 32.6, in half the time.
pub const CHUNKS_READAHEAD_BYTES: u64 = (4 << 20) + PAGE_BYTES;
