//! The streams of one inode: which reader a read belongs to, and what to fetch for all of them.
//!
//! Streams are matched by offset and belong to the inode, not to a descriptor: ranks in several processes, threads on
//! one descriptor and page faults of a mapping each get a stream of their own, and two readers of the same stretch
//! share one. The table is small; the least recently useful stream makes room for a new one.

use super::window::Stream;
use crate::base::ByteRange;

/// More readers than this at different places of one object share windows poorly; each entry costs a comparison per
/// read.
const STREAMS: usize = 32;

/// What the table says about one read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// How to fetch those bytes of the read that nobody has fetched yet.
    pub(super) fetch: Fetch,
    /// Bytes fetched ahead of a reader that is gone.
    pub(super) abandoned: Option<ByteRange>,
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
}

/// What to fetch ahead of a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    stream: usize,
    /// The part of its window that nobody has looked at yet; never empty.
    pub(super) range: ByteRange,
    /// GETs are cut on multiples of this.
    pub(super) part_bytes: u64,
    /// Whether the reader has proved to be sequential.
    pub(super) proven: bool,
}

/// What bounds the windows of one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The size of the object, in bytes.
    pub(super) size: u64,
    /// The largest GET, in bytes.
    pub(super) part_bytes: u64,
    /// Objects up to this size are fetched whole by their first read, in bytes.
    pub(super) small_bytes: u64,
}

/// The streams of one inode.
#[derive(Debug)]
pub(super) struct Table {
    bounds: Bounds,
    streams: Vec<Stream>,
    reads: u64,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        Table { bounds, streams: Vec::new(), reads: 0 }
    }

    /// Takes in a read, not empty and within the object, and says how to fetch what it misses.
    pub(super) fn observe(&mut self, read: ByteRange) -> Plan {
        self.reads += 1;
        let closest = self.streams.iter().enumerate().filter_map(|(i, s)| s.distance(read).map(|d| (d, i))).min();
        let (index, abandoned) = match closest {
            Some((_, index)) => (index, self.follow(index, read)),
            None => self.begin(read),
        };
        let stream = &mut self.streams[index];
        stream.used = self.reads;
        let fetch = match stream.window_bytes() {
            _ if self.bounds.size <= self.bounds.small_bytes => Fetch::Whole,
            0 => Fetch::Exact { reach_bytes: stream.reach_bytes(read.len()) },
            _ if self.bounds.size <= self.bounds.part_bytes => Fetch::Whole,
            window_bytes => {
                let part_bytes = Stream::part_bytes(window_bytes, self.bounds.part_bytes);
                Fetch::Windowed { part_bytes }
            }
        };
        Plan { fetch, abandoned: abandoned.filter(|range| !range.is_empty()) }
    }

    fn follow(&mut self, index: usize, read: ByteRange) -> Option<ByteRange> {
        let ahead = self.streams[index].ahead();
        match self.streams[index].follow(read) {
            super::window::Verdict::Sequential => None,
            super::window::Verdict::Random => Some(ahead),
        }
    }

    fn begin(&mut self, read: ByteRange) -> (usize, Option<ByteRange>) {
        if self.streams.len() < STREAMS {
            self.streams.push(Stream::new(read));
            return (self.streams.len() - 1, None);
        }
        // Streams that never proved anything go first: a thousand random reads must not push out the one reader that
        // goes through the object.
        let worth = |stream: &Stream| (stream.is_proven(), stream.used);
        // The table is full, hence not empty.
        let index = (0..self.streams.len()).min_by_key(|&i| worth(&self.streams[i])).unwrap_or(0);
        let gone = std::mem::replace(&mut self.streams[index], Stream::new(read));
        (index, Some(gone.ahead()))
    }

    /// What to fetch ahead, for the reader with the least ahead of it first, with windows of at most
    /// `max_window_bytes`. Answer with [`Table::fetched`].
    pub(super) fn wanted(&self, max_window_bytes: u64) -> Vec<Wanted> {
        let wanted = |(stream, s): (usize, &Stream)| {
            let window_bytes = s.window_bytes().min(max_window_bytes);
            let end = s.position().saturating_add(window_bytes).min(self.bounds.size);
            (s.frontier < end).then(|| Wanted {
                stream,
                range: ByteRange::new(s.frontier, end),
                part_bytes: Stream::part_bytes(window_bytes, self.bounds.part_bytes),
                proven: s.is_proven(),
            })
        };
        let mut wanted: Vec<Wanted> = self.streams.iter().enumerate().filter_map(wanted).collect();
        wanted.sort_by_key(|wanted| self.streams[wanted.stream].ahead().len());
        wanted
    }

    /// The bytes of `wanted` below `end` are there or on their way.
    pub(super) fn fetched(&mut self, wanted: &Wanted, end: u64) {
        if let Some(stream) = self.streams.get_mut(wanted.stream) {
            stream.frontier = stream.frontier.max(end);
        }
    }

    /// Ends the streams that saw none of the last `reads` reads of the object.
    pub(super) fn retire(&mut self, reads: u64) {
        let oldest = self.reads.saturating_sub(reads);
        self.streams.retain(|stream| stream.used > oldest);
    }

    /// Whether some of these bytes were fetched ahead of a reader that has not come to them yet.
    pub(super) fn covers(&self, range: ByteRange) -> bool {
        self.streams.iter().any(|stream| !stream.ahead().intersect(range).is_empty())
    }

    /// Whether a reader is at these bytes, or soon will be.
    pub(super) fn is_near(&self, range: ByteRange) -> bool {
        self.streams.iter().any(|stream| !stream.surroundings().intersect(range).is_empty())
    }
}
