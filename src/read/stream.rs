//! One stream: what one sequential reader of an object has shown, and how far ahead of it fetching should reach.
//!
//! Everything here is a function of the reads observed. A stream counts the bytes asked for since its run began; the
//! window is a multiple of that proof, and grows faster for a run that began at the head of the object, where nearly
//! every program reads on. Reads need not come in order: the kernel keeps several requests in flight and lets them
//! overtake each other, so a stream accepts what lies near its position on either side, and asks only that the bytes
//! read cover at least half of what it advanced by.

use super::object::LEAST_AROUND_BYTES;
use super::tuning::Tuning;
use crate::base::ByteRange;

/// Parts are cut on multiples of this at least, so that aligned reads of up to 1 MiB never straddle two.
pub(super) const GRAIN_BYTES: u64 = 1 << 20;

/// What one reader has shown.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    proof: Proof,
    /// Where its run began.
    start: u64,
    /// One past the furthest byte asked for.
    position: u64,
    /// Bytes asked for since the run began.
    seen: u64,
    reads: u64,
    /// How long its latest read was, and whether it is the rest of one that was much longer, which the kernel cuts
    /// where it is longer than a request may be.
    latest_bytes: u64,
    is_rest: bool,
    /// So many of its latest reads ended where it began until then.
    steps_back: u64,
    /// Where the present lap began, and the bytes asked for in it.
    lap_start: u64,
    lap_seen: u64,
    /// Where its latest read began, if the kernel may have read it behind the one before, and whether it did.
    follows_from: Option<u64>,
    is_readahead: bool,
    /// Up to here the window has been fetched or is on its way.
    pub(super) frontier: u64,
    /// Up to here all is wanted, by what the object says of itself.
    promised: u64,
    /// Whether all descriptors of the object were closed since it was last read from, and how often it went on after
    /// that.
    is_left: bool,
    returns: u64,
    /// When it was last read from, counted in reads of the inode.
    pub(super) used: u64,
}

/// What a run must have asked for before anything is fetched ahead of it, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    /// In all of its reads.
    pub(super) run_bytes: u64,
    /// In its first read, at the head of the object, if that is to be enough.
    pub(super) opening_bytes: u64,
    /// In all of its reads, where it began in the middle of the object.
    pub(super) middle_bytes: u64,
}

/// Whether all bytes of a read were handed out before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeated {
    Yes,
    No,
}

/// How a read has come to its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Approach {
    /// It begins where no other has ended. It, and what is asked for with it, will hardly be more than this.
    Jumps(ByteRange),
    /// It begins where another has ended.
    GoesOn,
    /// It is a further part of one that was seen.
    Joins,
}

/// Whether a read carried a stream on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Course {
    /// It carried the stream on.
    Sequential,
    /// Too much was skipped: the run has ended, and a new one begins with this read.
    Random,
}

impl Stream {
    /// A stream that begins with this read.
    pub(super) fn new(read: ByteRange, proof: Proof) -> Self {
        Stream {
            proof,
            start: read.start,
            position: read.end,
            seen: read.len(),
            reads: 1,
            latest_bytes: read.len(),
            is_rest: false,
            steps_back: 0,
            lap_start: read.start,
            lap_seen: read.len(),
            follows_from: None,
            is_readahead: false,
            frontier: read.end,
            promised: 0,
            is_left: false,
            returns: 0,
            used: 0,
        }
    }

    /// How far a read lies from where this stream expects the next one, in bytes; `None` when it is not one of its
    /// reads.
    pub(super) fn distance(&self, read: ByteRange, tuning: &Tuning) -> Option<u64> {
        let distance = self.position.abs_diff(read.start);
        (distance <= self.slack(read.len(), tuning)).then_some(distance)
    }

    /// Out-of-order requests, small skips and small steps back: a proven stream allows for the whole flight of
    /// requests that the kernel or an asynchronous program keeps, a young one for a few reads of its own size.
    fn slack(&self, read_bytes: u64, tuning: &Tuning) -> u64 {
        if self.is_left {
            // Nothing is in flight: a reader that comes back continues where it was, or elsewhere.
            return read_bytes;
        }
        match self.window_bytes(tuning) {
            0 => 3 * read_bytes,
            // Not `clamp`: a request may be as large as the kernel is told that it may be, 16 MiB and more.
            window => (window / 4).min(tuning.slack_bytes).max(4 * read_bytes),
        }
    }

    /// Takes in a read that [`Stream::distance`] accepted, which may be a further part of the latest one. Bytes that
    /// are `repeated` prove nothing where they do not lead on.
    pub(super) fn follow(
        &mut self,
        read: ByteRange,
        repeated: Repeated,
        approach: Approach,
        tuning: &Tuning,
    ) -> Course {
        if repeated == Repeated::Yes && read.end <= self.position {
            return Course::Sequential;
        }
        self.is_rest = approach == Approach::GoesOn && read.len() <= self.latest_bytes / tuning.rest_share;
        self.latest_bytes = read.len();
        self.start = self.start.min(read.start);
        self.lap_start = self.lap_start.min(read.start);
        self.position = self.position.max(read.end);
        self.frontier = self.frontier.max(self.position);
        // Nor do they where that was not seen.
        let seen = (self.seen + read.len()).min(self.position - self.start);
        self.reads += u64::from(seen > self.seen && approach != Approach::Joins);
        self.seen = seen;
        let lap = self.position - self.lap_start;
        self.lap_seen = (self.lap_seen + read.len()).min(lap);
        if lap < tuning.lap_bytes.max(8 * read.len()) {
            return Course::Sequential;
        }
        if self.lap_seen * 2 < lap {
            *self = Stream::new(read, self.proof);
            return Course::Random;
        }
        (self.lap_start, self.lap_seen) = (self.position, 0);
        Course::Sequential
    }

    /// All bytes up to `end` will be read.
    pub(super) fn promise(&mut self, end: u64) {
        self.promised = end;
    }

    /// Up to where all will be read, by what the object says of itself.
    pub(super) fn promised(&self) -> u64 {
        self.promised
    }

    /// Whether the object says that more will be read.
    pub(super) fn is_promised(&self) -> bool {
        self.promised > self.position
    }

    /// All descriptors of the object were closed. What is called off then must be looked for again.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        if !self.outlives_closes() {
            self.frontier = self.position;
        }
    }

    /// It is read from again.
    pub(super) fn return_if_left(&mut self) {
        self.returns += u64::from(std::mem::take(&mut self.is_left));
    }

    /// Whether it belongs to a program that closes the object after each of its reads.
    pub(super) fn outlives_closes(&self) -> bool {
        self.returns > 0
    }

    /// How many bytes past the position are worth having; 0 while nothing is proved.
    pub(super) fn window_bytes(&self, tuning: &Tuning) -> u64 {
        self.proved_bytes(tuning).max(self.promised.saturating_sub(self.position))
    }

    fn proved_bytes(&self, tuning: &Tuning) -> u64 {
        let is_dense = self.seen * 2 >= self.position - self.start;
        if self.is_backward() {
            return 0;
        }
        let opens = self.start == 0 && self.seen >= self.proof.opening_bytes;
        // A short header may be all that a program wants of a file, and what the kernel reads behind it proves nothing.
        let is_head = self.start < tuning.head_bytes;
        let header_bytes = self.follows_from.filter(|_| is_head).map(|from| from - self.start);
        let is_short = header_bytes.is_some_and(|bytes| bytes < tuning.short_header_bytes);
        if !is_dense || is_short || self.seen < self.proof.run_bytes || (self.reads < 2 && !opens) {
            0
        } else if self.reads < 2 {
            tuning.head_window_bytes
        } else if self.start < tuning.head_bytes {
            let is_header = self.seen < tuning.opening_read_bytes;
            let least_bytes = if is_header { tuning.head_window_bytes / 4 } else { tuning.head_window_bytes };
            least_bytes.max(self.seen.saturating_mul(tuning.head_growth))
        } else if self.seen < self.proof.middle_bytes {
            0
        } else if self.seen < tuning.long_run_bytes {
            (self.seen * tuning.middle_growth).max(tuning.middle_window_bytes)
        } else {
            self.seen.saturating_mul(tuning.long_run_growth)
        }
    }

    /// Whether the window is earned by more than its first read.
    pub(super) fn is_proven(&self, tuning: &Tuning) -> bool {
        self.is_promised() || self.reads > 1 && self.window_bytes(tuning) > 0
    }

    /// The size of the GETs that a window of `window_bytes` is cut into, at most `part_bytes`.
    pub(super) fn part_bytes(window_bytes: u64, part_bytes: u64, tuning: &Tuning) -> u64 {
        let least = if window_bytes < tuning.earnest_window_bytes { GRAIN_BYTES } else { 2 * GRAIN_BYTES };
        let most = tuning.moderate_part_bytes.max(window_bytes / 64);
        let even = (window_bytes / tuning.parts_per_window).clamp(least, most.max(least));
        (1 << even.ilog2()).min(part_bytes.max(GRAIN_BYTES))
    }

    /// How many bytes to fetch from the start of a read of `len` bytes while there is no window: what was asked for,
    /// some more at the head of an object (where headers lie, and a GET of 128 KiB costs no more time than one of 4;
    /// more where a stream may begin, as after a read that will likely be so long), and twice the run where small reads
    /// follow each other, but not behind the rest of a longer one.
    pub(super) fn reach_bytes(&self, len: u64, likely_bytes: u64, tuning: &Tuning) -> u64 {
        match (self.reads, self.start) {
            (1, 0) if likely_bytes >= self.proof.run_bytes.max(1) => len.max(tuning.head_guess_bytes),
            (1, 0) => len.max(tuning.head_fetch_bytes),
            (1, _) => len,
            _ if self.is_rest => len,
            _ => len.max(self.seen.min(GRAIN_BYTES)),
        }
    }

    /// Where the run began.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Bytes asked for since the run began.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The latest read begins where the one before has ended, and the kernel may have read it ahead, or has, since it
    /// is a whole readahead. It marks the first page of that, and reads on when a program comes to it: while no further
    /// read has come, nothing of it was touched.
    pub(super) fn follows_on(&mut self, read: ByteRange, may_be_readahead: bool, is_readahead: bool) {
        self.follows_from = (may_be_readahead && read.start > self.start).then_some(read.start);
        self.is_readahead = is_readahead;
    }

    /// The same read has become longer, and is a whole readahead now, or is not.
    pub(super) fn follows_further(&mut self, is_readahead: bool) {
        self.is_readahead = is_readahead && self.follows_from.is_some();
    }

    /// Where what the kernel has read ahead begins that no program has touched, if that is known.
    pub(super) fn untouched_from(&self) -> Option<u64> {
        self.follows_from.filter(|_| self.is_readahead)
    }

    /// Its latest read has ended where it began until then, or has not.
    pub(super) fn goes_back(&mut self, back: bool) {
        self.steps_back = if back { self.steps_back + 1 } else { 0 };
    }

    /// Whether its reads come from behind; of two that have overtaken each other one seems to.
    pub(super) fn is_backward(&self) -> bool {
        self.steps_back > 1
    }

    /// Whether it is one read that may be what the kernel reads around a page fault.
    pub(super) fn is_one_large_read(&self) -> bool {
        self.reads == 1 && self.seen >= LEAST_AROUND_BYTES
    }

    /// Whether its run overlaps a range.
    pub(super) fn overlaps(&self, range: ByteRange) -> bool {
        self.start < range.end && range.start < self.position
    }

    /// One past the furthest byte asked for.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of its window that were fetched and not asked for.
    pub(super) fn ahead(&self) -> ByteRange {
        ByteRange::new(self.position, self.frontier)
    }

    /// The bytes that its next reads may ask for: its window, and what late requests and small steps back may want.
    pub(super) fn surroundings(&self, tuning: &Tuning) -> ByteRange {
        ByteRange::new(self.position.saturating_sub(self.slack(GRAIN_BYTES, tuning)), self.frontier)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const PROOF: Proof = Proof { run_bytes: 128 * KIB, opening_bytes: 128 * KIB, middle_bytes: 0 };

    #[test]
    fn a_stream_follows_requests_of_any_size() {
        let tuning = &Tuning::default();
        for len in [1, 4096, MIB, 8 * MIB, 8 * MIB + 1, 16 * MIB, 64 * MIB, 1 << 30, 1 << 40] {
            let mut stream = Stream::new(ByteRange::at(0, len), PROOF);
            for index in 1..40 {
                let read = ByteRange::at(index * len, len);
                assert_eq!(stream.distance(read, tuning), Some(0), "{len} bytes");
                assert_eq!(
                    stream.follow(read, Repeated::No, Approach::GoesOn, tuning),
                    Course::Sequential,
                    "{len} bytes"
                );
                // Two requests that overtook each other are still of the stream.
                assert!(stream.distance(ByteRange::at((index - 1) * len, len), tuning).is_some(), "{len} bytes");
            }
            assert_eq!((stream.is_proven(tuning), stream.position()), (40 * len >= 128 * KIB, 40 * len), "{len} bytes");
        }
    }

    #[test]
    fn the_rest_of_a_longer_read_brings_nothing_behind_it() {
        let tuning = &Tuning::default();
        let reach = |reads: &[(u64, u64, Approach)]| {
            let mut stream = Stream::new(ByteRange::at(100 * MIB, MIB), PROOF);
            for (at, len, approach) in reads {
                stream.follow(ByteRange::at(100 * MIB + at, *len), Repeated::No, *approach, tuning);
            }
            stream.reach_bytes(4 * KIB, 4 * KIB, tuning)
        };
        let jumps = Approach::Jumps(ByteRange::at(101 * MIB, 4 * KIB));
        for (reads, expected) in [
            // The kernel asks for so much at once at most.
            (&[(MIB, 4 * KIB, Approach::GoesOn)][..], 4 * KIB),
            (&[(MIB, 64 * KIB, Approach::GoesOn)], 4 * KIB),
            (&[(MIB, 68 * KIB, Approach::GoesOn)], MIB),
            (&[(MIB, 4 * KIB, jumps)], MIB),
            (&[(MIB, 4 * KIB, Approach::GoesOn), (MIB + 4 * KIB, 4 * KIB, Approach::GoesOn)], MIB),
        ] {
            assert_eq!(reach(reads), expected, "{reads:?}");
        }
    }

    proptest! {
        #[test]
        fn no_reads_make_it_fail(reads in prop::collection::vec((any::<u64>(), any::<u64>()), 1..30), proof: u64) {
            let within = |&(start, len): &(u64, u64)| ByteRange::at(start >> 16, (len >> 16).max(1));
            let tuning = &Tuning::default();
            let mut stream = Stream::new(within(&reads[0]), Proof { run_bytes: proof, opening_bytes: proof, middle_bytes: proof });
            for read in reads.iter().map(within) {
                if stream.distance(read, tuning).is_some() {
                    stream.follow(read, Repeated::No, Approach::GoesOn, tuning);
                }
                let window = stream.window_bytes(tuning);
                prop_assert!(Stream::part_bytes(window, 8 * MIB, tuning) <= 8 * MIB);
                prop_assert!(stream.surroundings(tuning).end == stream.frontier);
                prop_assert!(stream.reach_bytes(read.len(), read.len(), tuning) >= read.len());
            }
        }
    }
}
