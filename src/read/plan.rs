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
