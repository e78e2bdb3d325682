//! Turns what a stream wants into GETs: where the gaps between the parts at hand are, and how they are cut.
//!
//! Pure: parts come in as a sequence of ranges, GETs go out as ranges. Two parts never overlap.

use super::part::Origin;
use super::plan::Fetch;
use super::tuning::Tuning;
use crate::base::ByteRange;
use crate::store::Traffic;

/// Where the bytes of a GET may come from: what is fetched ahead of programs, and what is large or of so much as was
/// asked for at once, need not come the shortest way.
pub(super) fn traffic(want: ByteRange, origin: Origin, at_once_bytes: u64, tuning: &Tuning) -> Traffic {
    match origin {
        Origin::Ahead(_) => Traffic::Bulk,
        Origin::Demand if want.len().max(at_once_bytes) >= tuning.bulk_bytes => Traffic::Bulk,
        Origin::Demand => Traffic::Exact,
    }
}

/// The first stretch of `within` that no part holds. `held` are the ranges of parts in order of their start, from the
/// last one that starts at or before `within` on.
pub(super) fn first_gap(within: ByteRange, held: impl Iterator<Item = ByteRange>) -> Option<ByteRange> {
    let mut start = within.start;
    for part in held {
        if part.start > start {
            return Some(ByteRange::new(start, part.start.min(within.end))).filter(|_| start < within.end);
        }
        start = start.max(part.end);
        if start >= within.end {
            return None;
        }
    }
    (start < within.end).then(|| ByteRange::new(start, within.end))
}

/// The GET for a gap in what a program asked for. `hole` is the gap with all that is missing around it, within the
/// object.
pub(super) fn demanded(gap: ByteRange, hole: ByteRange, fetch: Fetch, tuning: &Tuning) -> ByteRange {
    match fetch {
        Fetch::Whole => hole,
        Fetch::Exact { .. } if gap.len() > tuning.large_request_bytes => {
            ByteRange::new(gap.start, cut(gap.start, tuning.large_request_part_bytes, hole.end).min(gap.end))
        }
        Fetch::Exact { reach_bytes } => {
            // Of a large request this may be the rest.
            let reach = gap.start.saturating_add(reach_bytes.min(tuning.large_request_bytes));
            ByteRange::new(gap.start, gap.end.max(reach).min(hole.end))
        }
        Fetch::Back { reach_bytes } => ByteRange::new(hole.start.max(gap.end.saturating_sub(reach_bytes)), gap.end),
        Fetch::Until { end } => ByteRange::new(gap.start, gap.end.max(end).min(hole.end)),
        Fetch::Windowed { part_bytes } => {
            let end = cut(gap.start, part_bytes, hole.end);
            // A small read that lies across a border comes as one.
            let is_large = gap.len() > tuning.large_request_bytes.max(part_bytes);
            ByteRange::new(gap.start, if is_large { end } else { end.max(gap.end) })
        }
    }
}

/// The GET for a hole in a window; `None` when it is better to wait until the window has moved on and a whole part
/// fits. `hole` ends where the next part or the object does, which may be past the window.
pub(super) fn ahead(hole: ByteRange, window_end: u64, part_bytes: u64) -> Option<ByteRange> {
    let end = cut(hole.start, part_bytes, hole.end);
    // What fills a hole may pass the window's end: waiting would leave a rest that is shorter still.
    let fits = hole.start < window_end && (end <= window_end || end == hole.end);
    fits.then(|| ByteRange::new(hole.start, end))
}

/// Where a part that begins at `start` ends: on the next multiple of `part_bytes`, the one after that where it would
/// be less than a quarter part long, and at `bound` where less than an eighth of a part would remain before it.
fn cut(start: u64, part_bytes: u64, bound: u64) -> u64 {
    let mut end = (start / part_bytes).saturating_add(1).saturating_mul(part_bytes);
    if end - start < part_bytes / 4 {
        end = end.saturating_add(part_bytes);
    }
    if end.saturating_add(part_bytes / 8) >= bound { bound } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::why::Why;

    #[test]
    fn what_is_fetched_ahead_and_what_is_large_is_bulk() {
        let tuning = Tuning::default();
        let (page, part) = (ByteRange::at(0, 4096), ByteRange::at(0, tuning.bulk_bytes));
        assert_eq!(traffic(page, Origin::Demand, tuning.bulk_bytes - 1, &tuning), Traffic::Exact);
        assert_eq!(traffic(page, Origin::Demand, tuning.bulk_bytes, &tuning), Traffic::Bulk);
        assert_eq!(traffic(part, Origin::Demand, 0, &tuning), Traffic::Bulk);
        assert_eq!(traffic(page, Origin::Ahead(Why::Window), 0, &tuning), Traffic::Bulk);
    }
}
