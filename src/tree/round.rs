//! What the pages of listings have settled of one directory so far.

use std::collections::HashSet;
use std::time::Duration;

use super::packed::NodeId;
use super::spans::Spans;
use super::types::SnapshotId;

/// Names a listing that is going on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ListingId(pub(super) u64);

/// What pages have settled of a directory that is not complete. See the head of `listing`.
#[derive(Debug)]
pub(super) struct Round {
    /// The time that it shows the store as of: no page of it was asked for before.
    pub(super) began: Duration,
    /// The time that it must show the store as of, for the sake of those who have joined it.
    pub(super) oldest: Duration,
    pub(super) spans: Spans,
    /// That part of them in which pages have settled all that lies below as well.
    pub(super) deep: Spans,
    /// When a page last showed anything in the directory, which is proof that it exists.
    pub(super) shown_at: Option<Duration>,
    pub(super) feeders: Vec<ListingId>,
    /// What handles read that were opened in this round.
    pub(super) snapshot: Option<SnapshotId>,
    /// Entries that are in the snapshot though not all that they stand for is settled.
    pub(super) announced: HashSet<NodeId>,
}
