//! Small nouns that every room shares, each a type of its own so that they cannot be mixed up.
//!
//! No I/O here but the reading of clocks, which happens nowhere else.
//!
//! | file | what it owns |
//! |---|---|
//! | `clock` | the only place that reads a clock |
//! | `crc64` | CRC-64 as OSS keeps it for every object |
//! | `foreign` | foreign text, escaped for logs and terminals |
//! | `hash` | a hash that is the same in every process and version |
//! | `jobs` | a bounded table of jobs by number, for copies and prefetches |
//! | `kernel` | the page size, and the read-ahead of a mount |
//! | `key` | names of buckets, keys, entity tags and inode numbers |
//! | `range` | half-open byte ranges |
//! | `size` | sizes as people write them |
//! | `span` | ranges of keys |
//! | `stretches` | sets of bytes |
//! | `tuning` | how the tuned numbers of a room are declared |

mod clock;
pub mod crc64;
mod foreign;
mod hash;
mod jobs;
mod kernel;
mod key;
mod range;
mod size;
mod span;
mod stretches;
mod tuning;

pub use clock::{Clock, Timestamp};
pub use foreign::{Foreign, escape_json, escape_text};
pub use hash::fnv1a;
pub use jobs::Jobs;
pub use kernel::{CHUNKS_READAHEAD_BYTES, PAGE_BYTES, READAHEAD_BYTES};
pub use key::{BucketName, ETag, Ino, Key};
pub use range::ByteRange;
pub use size::{ByteSize, ParseSizeError};
pub use span::{KeySpan, after, behind};
pub use stretches::Stretches;
pub(crate) use tuning::tuned_numbers;
