//! Small nouns that every room shares, each a type of its own so that they cannot be mixed up.
//!
//! No I/O here but the reading of clocks, which happens nowhere else.

mod clock;
mod foreign;
mod hash;
mod key;
mod range;
mod size;
mod span;

pub use clock::{Clock, Timestamp};
pub use foreign::{Foreign, escape_json, escape_text};
pub use hash::fnv1a;
pub use key::{BucketName, ETag, Ino, Key};
pub use range::ByteRange;
pub use size::{ByteSize, ParseSizeError};
pub use span::{KeySpan, after, behind};
