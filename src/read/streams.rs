//! The streams of one inode: which reader a read belongs to, and what to fetch for all of them.
//!
//! Streams are matched by offset and belong to the inode, not to a descriptor: ranks in several processes, threads on
//! one descriptor and page faults of a mapping each get a stream of their own, and two readers of the same stretch
//! share one. The table is small; the least recently useful stream makes room for a new one.

use std::sync::Arc;

use super::around::{Around, Arounds};
use super::object::Asker;
use super::plan::{Fetch, Plan};
use super::runs::Runs;
use super::stream::{GRAIN_BYTES, Proof, Repeated, Stream};
use super::tensors::{Forecast, Tensors};
use super::tuning::Tuning;
use crate::base::{ByteRange, PAGE_BYTES};

/// What to fetch ahead of a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    stream: usize,
    /// The part of its window that was not looked at yet; never empty.
    pub(super) range: ByteRange,
    /// GETs are cut on multiples of this.
    pub(super) part_bytes: u64,
    /// Whether the reader has proved to be sequential.
    pub(super) proven: bool,
}

/// What bounds the windows of all objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// Memory allows so many bytes ahead of a reader. GETs are cut for a window of this size: where less is worth
    /// having on its way, shorter GETs would bring it more slowly.
    pub(super) allowed_bytes: u64,
    /// More than this would only wait in the network.
    pub(super) worth_bytes: u64,
}

/// What bounds the windows of one object.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// The size of the object, in bytes.
    pub(super) size: u64,
    /// The largest GET, in bytes.
    pub(super) part_bytes: u64,
    /// How much a reader must have asked for before it is fetched ahead of it.
    pub(super) proof: Proof,
    /// Objects up to this size are fetched whole by their first read, in bytes.
    pub(super) small_bytes: u64,
    pub(super) tuning: Arc<Tuning>,
}

/// The streams of one inode.
#[derive(Debug)]
pub(super) struct Streams {
    bounds: Bounds,
    streams: Vec<Stream>,
    reads: u64,
    tensors: Tensors,
    runs: Runs,
    arounds: Arounds,
}

impl Streams {
    /// An object that nothing has read yet.
    pub(super) fn new(bounds: Bounds) -> Self {
        Streams {
            bounds,
            streams: Vec::new(),
            reads: 0,
            tensors: Tensors::default(),
            runs: Runs::default(),
            arounds: Arounds::default(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// The object was opened: from this length on, in bytes, a first read at its head opens a window by itself, and up
    /// to this size it comes whole with the first read.
    pub(super) fn open(&mut self, opening_bytes: u64, small_bytes: u64) {
        self.bounds.proof.opening_bytes = opening_bytes;
        self.bounds.small_bytes = small_bytes;
    }

    /// Whether the first read of the object brings all of it.
    pub(super) fn come_whole(&self) -> bool {
        self.bounds.size <= self.bounds.small_bytes
    }

    /// The object is a model file, and these are its tensors, in order.
    pub(super) fn learn(&mut self, tensors: Vec<ByteRange>) {
        self.tensors.learn(tensors, &self.bounds.tuning);
        // What was read before the header was understood.
        for stream in &self.streams {
            self.tensors.observe(ByteRange::new(stream.start(), stream.position()), false, &self.bounds.tuning);
        }
    }

    /// Which tensors of a model will be begun next.
    pub(super) fn forecast(&self) -> Forecast {
        self.tensors.forecast(&self.bounds.tuning)
    }

    /// Takes in a read, not empty and within the object, and says how to fetch what it misses.
    pub(super) fn observe(&mut self, read: ByteRange, repeated: Repeated, asker: Asker) -> Plan {
        self.reads += 1;
        let was_refused = self.arounds.asked(read, &self.bounds.tuning);
        let tuning = &*self.bounds.tuning;
        let jumps = self.streams.iter().all(|stream| stream.position() != read.start);
        let promised = self.tensors.observe(read, jumps, tuning);
        let distance = |(i, stream): (usize, &Stream)| stream.distance(read, tuning).map(|distance| (distance, i));
        // A read that comes for a tensor begins a stream there.
        let closest = self.streams.iter().enumerate().filter_map(distance).min().filter(|_| promised.is_none());
        // Tensors are copied from behind as often as not, and are known to be wanted whole.
        let is_behind = |stream: &Stream| stream.start() == read.end && self.tensors.are_unknown();
        let is_next = closest.is_some_and(|(distance, _)| distance == 0);
        let back = self.streams.iter().position(is_behind).filter(|_| !is_next);
        let (index, abandoned) = match back.or(closest.map(|(_, index)| index)) {
            Some(index) => (index, self.follow(index, read, repeated)),
            None => self.begin(read, asker),
        };
        let stream = &mut self.streams[index];
        stream.used = self.reads;
        stream.goes_back(back.is_some());
        stream.return_if_left();
        if let Some(tensor) = promised {
            // What shares the last megabyte is wanted next, or was fetched; a part that ends there would be waited for.
            let end = tensor.end.checked_next_multiple_of(GRAIN_BYTES).unwrap_or(u64::MAX);
            // Where its last page was asked for, another read has come to the rest of it before.
            let is_in_it = |stream: &&mut Stream| (tensor.start + 1..tensor.end).contains(&stream.position());
            let reader = self.streams.iter_mut().filter(is_in_it).min_by_key(|stream| stream.position());
            if let Some(reader) = reader {
                reader.promise(end.min(self.bounds.size));
            }
        }
        let stream = &self.streams[index];
        let fetch = match self.window_bytes(stream) {
            _ if self.come_whole() => Fetch::Whole,
            0 if stream.is_backward() => {
                Fetch::Back { reach_bytes: stream.reach_bytes(read.len(), &self.bounds.tuning) }
            }
            0 => Fetch::Exact { reach_bytes: self.reach_bytes(stream, read, was_refused) },
            _ if self.bounds.size <= self.bounds.part_bytes => Fetch::Whole,
            window_bytes => {
                let part_bytes = Stream::part_bytes(window_bytes, self.bounds.part_bytes, &self.bounds.tuning);
                Fetch::Windowed { part_bytes }
            }
        };
        let abandoned = abandoned.filter(|range| !range.is_empty());
        Plan { fetch, abandoned, wants_more: self.tensors.are_more_wanted(&self.bounds.tuning) }
    }

    /// How many bytes past the position of a stream are worth having, as runs in the object are; 0 while nothing is
    /// proved.
    fn window_bytes(&self, stream: &Stream) -> u64 {
        let window_bytes = stream.window_bytes(&self.bounds.tuning);
        if stream.is_promised() {
            return window_bytes;
        }
        window_bytes.min(self.runs.bound(stream, &self.bounds.tuning).saturating_sub(stream.position()))
    }

    /// How many bytes to fetch from the start of a read while there is no window.
    fn reach_bytes(&self, stream: &Stream, read: ByteRange, was_refused: bool) -> u64 {
        let tuning = &self.bounds.tuning;
        let reach_bytes = stream.reach_bytes(read.len(), tuning);
        if was_refused && stream.seen() == read.len() {
            let likely_bytes = self.runs.likely_bytes(tuning).unwrap_or(tuning.around_guess_bytes);
            return reach_bytes.max(likely_bytes.min(GRAIN_BYTES));
        }
        let end_of_run = self.runs.end_of_new(stream, tuning).filter(|_| stream.position() == read.end);
        reach_bytes.max(end_of_run.map_or(0, |end| end.saturating_sub(read.start)))
    }

    /// Whether what the kernel reads around a page fault is better refused: where programs jump about in an object and
    /// want little at each place. Not where its tensors are known, which say better what will be wanted.
    pub(super) fn refuses(&mut self, read: ByteRange, asker: Asker) -> bool {
        let tuning = &self.bounds.tuning;
        let is_one = read.len() == asker.read_ahead_bytes() || self.arounds.are_refused();
        // The page in the middle is the one that the program waits for, where no page of it was there.
        let page = ByteRange::at(read.start + read.len() / 2 / PAGE_BYTES * PAGE_BYTES, PAGE_BYTES);
        let is_expected = self.streams.iter().any(|stream| stream.distance(page, tuning).is_some());
        if !is_one || is_expected || self.come_whole() || !self.tensors.are_unknown() {
            return false;
        }
        match self.arounds.decide(read, &self.runs, tuning) {
            Around::Answered => return false,
            Around::FirstRefused => self.runs.forget(),
            Around::Refused => {}
        }
        true
    }

    fn follow(&mut self, index: usize, read: ByteRange, repeated: Repeated) -> Option<ByteRange> {
        let ahead = self.streams[index].ahead();
        self.runs.goes_on(&self.streams[index]);
        match self.streams[index].follow(read, repeated, &self.bounds.tuning) {
            super::stream::Course::Sequential => None,
            super::stream::Course::Random => Some(ahead),
        }
    }

    fn begin(&mut self, read: ByteRange, asker: Asker) -> (usize, Option<ByteRange>) {
        let latest = self.streams.iter().max_by_key(|stream| stream.used);
        // How long a run is that the kernel read around one page fault shows nothing, where others are seen exactly.
        let latest = latest.filter(|stream| !(self.arounds.are_refused() && stream.is_one_large_read()));
        self.runs.begins(read, latest, &self.bounds.tuning);
        let speculative_bytes = asker.read_ahead_bytes().saturating_mul(self.bounds.tuning.readaheads_of_run);
        let proof = self.bounds.proof;
        let proof = Proof { middle_bytes: proof.middle_bytes.max(speculative_bytes), ..proof };
        if (self.streams.len() as u64) < self.bounds.tuning.streams {
            self.streams.push(Stream::new(read, proof));
            return (self.streams.len() - 1, None);
        }
        // Streams that never proved anything go first: a thousand random reads must not push out the one reader that
        // goes through the object.
        let worth = |stream: &Stream| (stream.is_proven(&self.bounds.tuning), stream.used);
        // The table is full, hence not empty.
        let index = (0..self.streams.len()).min_by_key(|&i| worth(&self.streams[i])).unwrap_or(0);
        let gone = std::mem::replace(&mut self.streams[index], Stream::new(read, proof));
        (index, Some(gone.ahead()))
    }

    /// What to fetch ahead, for the reader with the least ahead of it first. Answer with [`Streams::fetched`].
    pub(super) fn wanted(&self, most: Most) -> Vec<Wanted> {
        let tuning = &*self.bounds.tuning;
        let wanted = |(stream, s): (usize, &Stream)| {
            let window_bytes = self.window_bytes(s).min(most.allowed_bytes);
            let bound = self.tensors.bound(s.start(), s.position(), tuning);
            let bound = bound.checked_next_multiple_of(GRAIN_BYTES).unwrap_or(u64::MAX).min(self.end_before(s));
            let end = s.position().saturating_add(window_bytes.min(most.worth_bytes)).min(bound);
            (s.frontier < end).then(|| Wanted {
                stream,
                range: ByteRange::new(s.frontier, end),
                part_bytes: Stream::part_bytes(window_bytes, self.bounds.part_bytes, tuning),
                proven: s.is_proven(tuning),
            })
        };
        let mut wanted: Vec<Wanted> = self.streams.iter().enumerate().filter_map(wanted).collect();
        wanted.sort_by_key(|wanted| self.streams[wanted.stream].ahead().len());
        wanted
    }

    /// Where a window must end: with the object, or where another reader began, because what lies behind that was read
    /// and may have been given up. The readers of four quarters of a file would fetch the seams twice.
    fn end_before(&self, stream: &Stream) -> u64 {
        let began = |other: &&Stream| other.is_proven(&self.bounds.tuning) && other.start() >= stream.position();
        self.streams.iter().filter(began).map(Stream::start).min().unwrap_or(self.bounds.size)
    }

    /// Where the next run will be, as those before it were, if it was not fetched yet. Answer with
    /// [`Streams::run_fetched`] once it was.
    pub(super) fn next_run(&self) -> Option<ByteRange> {
        // Of a model, its tensors say it better.
        self.runs.next().filter(|_| self.tensors.are_unknown())
    }

    /// The next run is there or on its way.
    pub(super) fn run_fetched(&mut self) {
        self.runs.fetched();
    }

    /// What was fetched ahead of the reader in question.
    pub(super) fn ahead(&self, wanted: &Wanted) -> ByteRange {
        self.streams.get(wanted.stream).map_or(ByteRange::at(wanted.range.start, 0), Stream::ahead)
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

    /// All descriptors of the object were closed. Its streams stay: the next open may continue them.
    pub(super) fn leave(&mut self) {
        self.streams.iter_mut().for_each(Stream::leave);
    }

    /// Whether some of these bytes were fetched ahead of a reader that goes on although it closes the object.
    pub(super) fn will_return_to(&self, range: ByteRange) -> bool {
        let is_ahead = |stream: &Stream| !stream.ahead().intersect(range).is_empty();
        self.streams.iter().any(|stream| stream.outlives_closes() && is_ahead(stream))
    }

    /// Whether some of these bytes were fetched ahead of a reader that has not come to them yet.
    pub(super) fn covers(&self, range: ByteRange) -> bool {
        self.streams.iter().any(|stream| !stream.ahead().intersect(range).is_empty())
    }

    /// Whether a reader is at these bytes, or soon will be.
    pub(super) fn is_near(&self, range: ByteRange) -> bool {
        self.streams.iter().any(|stream| !stream.surroundings(&self.bounds.tuning).intersect(range).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use expect_test::{Expect, expect};

    use super::super::planner;
    use super::*;

    const MIB: u64 = 1 << 20;

    const MOST: Most = Most { allowed_bytes: 256 * MIB, worth_bytes: u64::MAX };

    fn bounds(size: u64) -> Bounds {
        let proof = Proof { run_bytes: MIB / 8, opening_bytes: MIB / 8, middle_bytes: 0 };
        Bounds { size, part_bytes: 8 * MIB, proof, small_bytes: MIB, tuning: Arc::default() }
    }

    /// The GETs that a pattern of reads leads to: what each read makes go out, in KiB, with every GET answered at once.
    fn check(size: u64, reads: &[(u64, u64)], expect: Expect) {
        let mut streams = Streams::new(bounds(size));
        let mut held: Vec<ByteRange> = Vec::new();
        let mut shown = String::new();
        for &(offset, len) in reads {
            let read = ByteRange::at(offset, len);
            let plan = streams.observe(read, Repeated::No, Asker::Program);
            let mut gets = Vec::new();
            while let Some(gap) = first_hole(&held, read) {
                let start = held.iter().rev().find(|part| part.end <= gap.start).map_or(0, |part| part.end);
                let end = held.iter().find(|part| part.start >= gap.end).map_or(size, |part| part.start);
                hold(
                    &mut held,
                    &mut gets,
                    planner::demanded(gap, ByteRange::new(start, end), plan.fetch, &Tuning::default()),
                );
            }
            while ahead(&mut streams, &mut held, &mut gets, size) {}
            let gets: Vec<String> = gets.iter().map(|get| format!("{}+{}", get.start >> 10, get.len() >> 10)).collect();
            writeln!(shown, "{}+{}: {}", offset >> 10, len >> 10, squeeze(&gets)).unwrap();
        }
        expect.assert_eq(&shown);
    }

    /// Long rows of GETs by their ends.
    fn squeeze(gets: &[String]) -> String {
        match gets {
            [first, second, .., last] if gets.len() > 5 => format!("{first} {second} ..{}.. {last}", gets.len() - 3),
            _ => gets.join(" "),
        }
    }

    fn first_hole(held: &[ByteRange], within: ByteRange) -> Option<ByteRange> {
        let from = held.iter().rposition(|part| part.start <= within.start).unwrap_or(0);
        planner::first_gap(within, held[from..].iter().copied())
    }

    fn hold(held: &mut Vec<ByteRange>, gets: &mut Vec<ByteRange>, get: ByteRange) {
        gets.push(get);
        held.push(get);
        held.sort_by_key(|part| part.start);
        assert!(held.windows(2).all(|pair| pair[0].end <= pair[1].start), "parts overlap: {held:?}");
    }

    fn ahead(streams: &mut Streams, held: &mut Vec<ByteRange>, gets: &mut Vec<ByteRange>, size: u64) -> bool {
        for wanted in streams.wanted(MOST) {
            let hole = first_hole(held, ByteRange::new(wanted.range.start, size));
            let Some(hole) = hole.filter(|hole| hole.start < wanted.range.end) else {
                streams.fetched(&wanted, wanted.range.end);
                continue;
            };
            if let Some(get) = planner::ahead(hole, wanted.range.end, wanted.part_bytes) {
                streams.fetched(&wanted, get.end);
                hold(held, gets, get);
                return true;
            }
        }
        false
    }

    fn row(start: u64, step: u64, len: u64, count: u64) -> Vec<(u64, u64)> {
        (0..count).map(|i| (start + i * step, len)).collect()
    }

    #[test]
    fn a_copy_fills_the_pipe_within_a_few_reads() {
        check(
            1 << 30,
            &row(0, MIB, MIB, 10),
            expect![[r#"
                0+1024: 0+1024 1024+1024 ..14.. 16384+1024
                1024+1024: 17408+1024 18432+2048 ..22.. 65536+2048
                2048+1024: 67584+2048 69632+2048 ..13.. 98304+2048
                3072+1024: 100352+2048 102400+4096 ..6.. 131072+4096
                4096+1024: 135168+4096 139264+4096 ..5.. 163840+4096
                5120+1024: 167936+4096 172032+4096 ..5.. 196608+4096
                6144+1024: 200704+4096 204800+4096 ..5.. 229376+4096
                7168+1024: 233472+4096 237568+4096 ..6.. 266240+4096
                8192+1024: 
                9216+1024: 
            "#]],
        );
    }

    #[test]
    fn nothing_is_fetched_ahead_before_the_threshold() {
        let ahead = |proof_bytes: u64, reads: u64| {
            let mut streams = Streams::new(Bounds {
                proof: Proof { run_bytes: proof_bytes, opening_bytes: proof_bytes, middle_bytes: 0 },
                ..bounds(1 << 30)
            });
            for i in 0..reads {
                streams.observe(ByteRange::at(i * MIB, MIB), Repeated::No, Asker::Program);
            }
            !streams.wanted(MOST).is_empty()
        };
        assert_eq!([1, 2, 3, 4].map(|reads| ahead(4 * MIB, reads)), [false, false, false, true]);
        assert_eq!([1, 2].map(|reads| ahead(0, reads)), [true, true]);
    }

    #[test]
    fn a_window_ends_with_the_last_byte() {
        check(
            20 * MIB + 100_000,
            &row(0, MIB, MIB, 4),
            expect![[r#"
            0+1024: 0+1024 1024+1024 ..14.. 16384+1024
            1024+1024: 17408+1024 18432+2145
            2048+1024: 
            3072+1024: 
        "#]],
        );
    }

    #[test]
    fn a_file_of_one_part_comes_whole_once_it_is_read_in_earnest() {
        check(
            6 * MIB,
            &[(0, 128 << 10), (128 << 10, 128 << 10)],
            expect![[r#"
            0+128: 0+6144
            128+128: 
        "#]],
        );
        check(
            100 << 10,
            &[(50 << 10, 4 << 10)],
            expect![[r#"
            50+4: 0+100
        "#]],
        );
    }

    #[test]
    fn a_header_costs_little() {
        check(
            1 << 30,
            &[(0, 16 << 10), (16 << 10, 32 << 10), (500 * MIB, 4 << 10)],
            expect![[r#"
            0+16: 0+128
            16+32: 
            512000+4: 512000+4
        "#]],
        );
    }

    #[test]
    fn kernel_readahead_may_come_in_any_order() {
        let reads: Vec<_> = [1, 0, 3, 2, 5, 7, 6, 4, 9, 8].iter().map(|i| (i * (MIB / 4), MIB / 4)).collect();
        check(
            1 << 30,
            &reads,
            expect![[r#"
                256+256: 256+256
                0+256: 0+256 512+512 ..14.. 15360+1024
                768+256: 16384+1024 17408+1024 ..6.. 24576+1024
                512+256: 25600+1024 26624+2048 28672+2048 30720+2048
                1280+256: 32768+2048 34816+2048 36864+2048 38912+2048
                1792+256: 40960+2048 43008+2048 45056+2048 47104+2048 49152+2048
                1536+256: 51200+2048 53248+2048 55296+2048 57344+2048
                1024+256: 59392+2048 61440+2048 63488+2048 65536+2048
                2304+256: 67584+2048 69632+2048 71680+2048 73728+2048
                2048+256: 75776+2048 77824+2048 79872+2048 81920+2048
            "#]],
        );
    }

    #[test]
    fn random_reads_fetch_what_they_ask_for() {
        let reads: Vec<_> = (1..20u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 43 << 12, 4096)).collect();
        check(
            8 << 30,
            &reads[..6],
            expect![[r#"
            5184444+4: 5184444+4
            1980280+4: 1980280+4
            7164724+4: 7164724+4
            3960560+4: 3960560+4
            756400+4: 756400+4
            5940844+4: 5940844+4
        "#]],
        );
        let mut streams = Streams::new(bounds(8 << 30));
        for (offset, len) in reads {
            streams.observe(ByteRange::at(offset, len), Repeated::No, Asker::Program);
            assert_eq!(streams.wanted(MOST), []);
        }
    }

    #[test]
    fn a_reader_that_starts_in_the_middle_is_trusted_by_and_by() {
        check(
            1 << 30,
            &row(100 * MIB, MIB, MIB, 6),
            expect![[r#"
            102400+1024: 102400+1024
            103424+1024: 103424+1024 104448+1024 105472+1024 106496+1024 107520+1024
            104448+1024: 108544+1024 109568+1024 110592+1024
            105472+1024: 111616+1024 112640+1024 113664+1024
            106496+1024: 114688+1024 115712+1024 116736+1024
            107520+1024: 117760+1024 118784+1024 119808+1024
        "#]],
        );
    }

    #[test]
    fn four_threads_on_one_file_keep_four_windows() {
        let reads: Vec<_> = (0..3).flat_map(|i| (0..4).map(move |t| (t * 256 * MIB + i * MIB, MIB))).collect();
        check(
            1 << 30,
            &reads,
            expect![[r#"
            0+1024: 0+1024 1024+1024 ..14.. 16384+1024
            262144+1024: 262144+1024
            524288+1024: 524288+1024
            786432+1024: 786432+1024
            1024+1024: 17408+1024 18432+2048 ..22.. 65536+2048
            263168+1024: 263168+1024 264192+1024 265216+1024 266240+1024 267264+1024
            525312+1024: 525312+1024 526336+1024 527360+1024 528384+1024 529408+1024
            787456+1024: 787456+1024 788480+1024 789504+1024 790528+1024 791552+1024
            2048+1024: 67584+2048 69632+2048 ..13.. 98304+2048
            264192+1024: 268288+1024 269312+1024 270336+1024
            526336+1024: 530432+1024 531456+1024 532480+1024
            788480+1024: 792576+1024 793600+1024 794624+1024
        "#]],
        );
    }

    #[test]
    fn a_window_ends_where_another_reader_began() {
        let mut streams = Streams::new(bounds(1 << 30));
        for i in 0..4 {
            streams.observe(ByteRange::at(i * MIB, MIB), Repeated::No, Asker::Program);
            streams.observe(ByteRange::at(20 * MIB + i * MIB, MIB), Repeated::No, Asker::Program);
        }
        let ends: Vec<u64> = streams.wanted(MOST).iter().map(|wanted| wanted.range.end / MIB).collect();
        assert_eq!(ends, [20, 32]);
    }

    #[test]
    fn small_skips_and_steps_back_keep_the_stream() {
        let reads = [0, 1, 2, 4, 3, 6, 7].map(|i| (i * MIB, MIB));
        check(
            64 * MIB,
            &reads,
            expect![[r#"
            0+1024: 0+1024 1024+1024 ..14.. 16384+1024
            1024+1024: 17408+1024 18432+2048 ..21.. 63488+2048
            2048+1024: 
            4096+1024: 
            3072+1024: 
            6144+1024: 
            7168+1024: 
        "#]],
        );
    }

    #[test]
    fn a_sequential_reader_that_turns_random_stops_and_starts_again() {
        let mut streams = Streams::new(bounds(1 << 30));
        let wants = |streams: &mut Streams, offset, len| {
            let plan = streams.observe(ByteRange::at(offset, len), Repeated::No, Asker::Program);
            for wanted in streams.wanted(MOST) {
                streams.fetched(&wanted, wanted.range.end);
            }
            matches!(plan.fetch, Fetch::Windowed { .. })
        };
        assert!((0..8).all(|i| wants(&mut streams, i * MIB, MIB)));
        // Sparse reads within the window: not sequential, though each lies ahead of the one before.
        let sparse: Vec<bool> = (0..12).map(|i| wants(&mut streams, (10 + 3 * i) * MIB, 4096)).collect();
        assert_eq!(sparse.iter().rposition(|&windowed| windowed), Some(0), "{sparse:?}");
        let again: Vec<bool> = (0..4).map(|i| wants(&mut streams, 600 * MIB + i * MIB, MIB)).collect();
        assert_eq!(again, [false, true, true, true]);
    }

    #[test]
    fn a_proven_stream_survives_a_thousand_random_reads() {
        let mut streams = Streams::new(bounds(64 << 30));
        for i in 0..4 {
            streams.observe(ByteRange::at(i * MIB, MIB), Repeated::No, Asker::Program);
        }
        for i in 1..1000u64 {
            streams.observe(
                ByteRange::at((i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 29 << 12) + (1 << 30), 4096),
                Repeated::No,
                Asker::Program,
            );
        }
        let plan = streams.observe(ByteRange::at(4 * MIB, MIB), Repeated::No, Asker::Program);
        assert!(matches!(plan.fetch, Fetch::Windowed { .. }), "{plan:?}");
        assert!(streams.wanted(MOST).iter().any(|wanted| wanted.range.start == 5 * MIB));
    }
}
