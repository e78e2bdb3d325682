//! Half-open byte ranges.

use std::fmt;

/// Bytes `start..end` of an object; `end` is exclusive and never below `start`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ByteRange {
    /// The offset of the first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The range `start..end`. Panics if `end < start`: ranges are computed, never parsed, in this program.
    pub fn new(start: u64, end: u64) -> Self {
        assert!(start <= end, "range {start}..{end} ends before it starts");
        ByteRange { start, end }
    }

    /// `len` bytes from `start`, stopping at the largest offset there is.
    pub fn at(start: u64, len: u64) -> Self {
        ByteRange { start, end: start.saturating_add(len) }
    }

    /// The length of the range, in bytes.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether every byte of `other` lies in this range.
    pub fn contains(self, other: ByteRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The bytes in both ranges; empty where they do not meet.
    pub fn intersect(self, other: ByteRange) -> ByteRange {
        let start = self.start.max(other.start);
        ByteRange { start, end: self.end.min(other.end).max(start) }
    }

    /// The value of a `Range` header, whose end is inclusive. Panics on an empty range: no server can satisfy it.
    pub fn header(self) -> String {
        assert!(!self.is_empty(), "an empty range cannot be asked for");
        format!("bytes={}-{}", self.start, self.end - 1)
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_part() {
        let range = ByteRange::new(10, 20);
        assert_eq!(range.intersect(ByteRange::new(15, 30)), ByteRange::new(15, 20));
        assert!(range.intersect(ByteRange::new(30, 40)).is_empty());
        assert!(range.contains(ByteRange::new(10, 20)) && !range.contains(ByteRange::new(9, 20)));
        assert_eq!(range.header(), "bytes=10-19");
        assert_eq!(ByteRange::at(u64::MAX - 1, 10).len(), 1);
    }
}
