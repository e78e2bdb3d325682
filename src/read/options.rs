//! The options of a mount for this room.

use crate::store::Connections;

/// How the reading of a mount behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is fetched before it is asked for.
    pub prefetch: Prefetch,
    /// How many bytes a reader must have asked for in sequence before more is fetched ahead of it.
    pub prefetch_threshold: u64,
    /// GETs in flight ahead of one reader, at most; `None` means as many as there are connections.
    pub prefetch_parts: Option<usize>,
    /// Largest GET of a prefetch, in bytes; rounded up to whole MiB. A file that fits is fetched whole.
    pub part_bytes: u64,
    /// GETs in flight at once, those of waiting readers included.
    pub connections: Connections,
    /// Bytes of read buffers for the whole daemon: windows, waiting parts, and files kept after reading. Less while
    /// memory is short.
    pub memory_limit: u64,
    /// Whether whole objects are compared with the CRC-64 that the store keeps.
    pub verify: Verify,
    /// Whether a file's bytes stay in memory after its last descriptor was closed.
    pub memory_cache: MemoryCache,
    /// Whether files that are all in memory are left to the kernel to read.
    pub passthrough: Passthrough,
    /// Objects of so many bytes or more are compared with the store's checksum before a program sees one of them: they
    /// may come from caches that are not trusted. `None` means none are.
    pub proven_from: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            prefetch: Prefetch::Auto,
            prefetch_threshold: 128 << 10,
            prefetch_parts: None,
            part_bytes: 8 << 20,
            connections: Connections::default(),
            memory_limit: 1 << 30,
            verify: Verify::Crc64,
            memory_cache: MemoryCache::Auto,
            passthrough: Passthrough::Auto,
            proven_from: None,
        }
    }
}

/// What is fetched before it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Prefetch {
    /// Windows ahead of sequential readers, small files whole, and the files that will probably be opened next.
    #[default]
    Auto,
    /// As `Auto`; besides, fetching begins at open, in the order of the opens, as far as memory allows.
    Open,
    /// Only the bytes that are asked for.
    Off,
}

/// How whole objects are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verify {
    /// The CRC-64 of every byte that passed through, against the one the store keeps.
    #[default]
    Crc64,
    /// They are not checked.
    Off,
}

/// Whether a file's bytes stay in memory after its last descriptor was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemoryCache {
    /// They stay while nothing else wants the memory.
    #[default]
    Auto,
    /// They are given up at once.
    Off,
}

/// When programs see bytes that come from near caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NearTrust {
    /// As they come, part by part.
    #[default]
    Parts,
    /// Once all of their object was compared with the store's checksum.
    Whole,
}

/// Whether files that are all in memory are left to the kernel to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Passthrough {
    /// Where this process may make file systems, which it must for that.
    #[default]
    Auto,
    /// The kernel asks for every read.
    Off,
}
