//! What the streams of an object say about one read.

use crate::base::ByteRange;

/// What the streams say about one read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// How to fetch those bytes of the read that were not fetched yet.
    pub(super) fetch: Fetch,
    /// Bytes fetched ahead of a reader that is gone.
    pub(super) abandoned: Option<ByteRange>,
    /// Whether more of a model is likely to be wanted than the tensors that were begun.
    pub(super) wants_more: bool,
}

/// How the missing bytes of a read are fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fetch {
    /// As one GET of this many bytes from where the gap begins, at least.
    Exact { reach_bytes: u64 },
    /// As a part of a window, cut on multiples of this.
    Windowed { part_bytes: u64 },
    /// With all of the object that is missing around them.
    Whole,
    /// As one GET that ends here, at least.
    Until { end: u64 },
    /// As one GET of this many bytes up to where the gap ends, at least.
    Back { reach_bytes: u64 },
}

impl Fetch {
    /// How much of what lies from the start of a read on is wanted in order, in bytes; 0 where that is not known to be
    /// more than the read.
    pub(super) fn bytes_in_order(self, read: ByteRange) -> u64 {
        match self {
            Fetch::Windowed { part_bytes } => part_bytes,
            Fetch::Until { end } => end.saturating_sub(read.start),
            Fetch::Exact { .. } | Fetch::Whole | Fetch::Back { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_window_and_of_what_was_promised_more_is_wanted_than_a_read() {
        let read = ByteRange::at(100, 10);
        let bytes = |fetch: Fetch| fetch.bytes_in_order(read);
        assert_eq!(bytes(Fetch::Windowed { part_bytes: 64 }), 64);
        assert_eq!((bytes(Fetch::Until { end: 150 }), bytes(Fetch::Until { end: 90 })), (50, 0));
        assert_eq!((bytes(Fetch::Exact { reach_bytes: 20 }), bytes(Fetch::Back { reach_bytes: 20 })), (0, 0));
        assert_eq!(bytes(Fetch::Whole), 0);
    }
}
