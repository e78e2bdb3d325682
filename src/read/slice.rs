//! The bytes that a read answers with.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::part::Part;
use crate::base::ByteRange;

/// Bytes of an object, held in the buffer they arrived in for as long as this lives.
pub struct Slice(Bytes);

enum Bytes {
    /// Within the bytes of a part that are in.
    Part(Arc<Part>, Range<usize>),
    /// Within the bytes of several parts that lie in a row.
    Row(Vec<Arc<Part>>, Range<usize>),
    /// Copied together from several parts.
    Copied(Vec<u8>),
}

impl Slice {
    /// A slice of no bytes.
    pub fn empty() -> Self {
        Slice(Bytes::Copied(Vec::new()))
    }

    /// These bytes of the object, all of which are in. `parts` hold them in order.
    pub(super) fn new(parts: &[Arc<Part>], read: ByteRange) -> Self {
        let within = |part: &Part| {
            let range = read.intersect(part.range);
            (range.start - part.range.start) as usize..(range.end - part.range.start) as usize
        };
        match parts {
            [part] => Slice(Bytes::Part(part.clone(), within(part))),
            [first, ..] if Part::joined(parts).is_some() => {
                let start = (read.start - first.range.start) as usize;
                Slice(Bytes::Row(parts.to_vec(), start..start + read.len() as usize))
            }
            _ => Slice(Bytes::Copied(parts.iter().map(|part| &part.head()[within(part)]).collect::<Vec<_>>().concat())),
        }
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Part(part, range) => &part.head()[range.clone()],
            // They lay in a row when this was made, and do not move.
            Bytes::Row(parts, range) => &Part::joined(parts).unwrap_or_default()[range.clone()],
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({} bytes)", self.len())
    }
}
