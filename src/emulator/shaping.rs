//! How slow the emulated network is: first-byte delays and bandwidths, kept to the millisecond.

use std::time::Duration;

use crate::base::ByteSize;

/// Delays and bandwidths. The default has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shaping {
    /// From the end of a request to the first byte of its answer.
    pub ttfb: Duration,
    /// The same for a page of a listing, where it is the longer of the two.
    pub page_time: Duration,
    /// Bytes per second of one connection's bodies.
    pub connection_bandwidth: Option<ByteSize>,
    /// Bytes per second of all bodies together.
    pub total_bandwidth: Option<ByteSize>,
}
