//! The streams of one inode: which reader a read belongs to, and what to fetch for all of them.
//!
//! Streams are matched by offset and belong to the inode, not to a descriptor: ranks in several processes, threads on
//! one descriptor and page faults of a mapping each get a stream of their own, and two readers of the same stretch
//! share one. The table is small; the least recently useful stream makes room for a new one.

use std::sync::Arc;

use super::around::{Around, Arounds};
use super::object::{Asker, Portion};
use super::plan::{Fetch, Plan};
use super::runs::{Answered, Runs};
use super::stream::{Approach, GRAIN_BYTES, Proof, Repeated, Stream};
use super::tensors::{Forecast, Tensors, Touch};
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
    /// So much of it is shared by readers of one object that are far from each other.
    pub(super) shared_bytes: u64,
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

/// The stream that was read from last.
fn latest(streams: &[Stream]) -> Option<&Stream> {
    streams.iter().max_by_key(|stream| stream.used)
}

/// The streams of one inode.
#[derive(Debug)]
pub(super) struct Streams {
    bounds: Bounds,
    streams: Vec<Stream>,
    reads: u64,
    tensors: Tensors,
    /// How many bytes of a model's header must be known to say more of it, until its layout is known.
    header_bytes: Option<u64>,
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
            header_bytes: None,
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

    /// The object is a model file of whose header at least so many bytes must be known; `None` once there is no more
    /// to know of it.
    pub(super) fn awaits_header(&mut self, bytes: Option<u64>) {
        self.header_bytes = bytes;
    }

    /// The object is a model file, and these are its tensors, in order.
    pub(super) fn learn(&mut self, tensors: Vec<ByteRange>, touch: Touch) {
        self.tensors.learn(tensors, touch, &self.bounds.tuning);
        // What was read before the header was understood.
        for stream in &self.streams {
            self.tensors.observe(
                ByteRange::new(stream.start(), stream.position()),
                Approach::GoesOn,
                &self.bounds.tuning,
            );
        }
    }

    /// Which tensors of a model will be begun next.
    pub(super) fn forecast(&self) -> Forecast {
        self.tensors.forecast(&self.bounds.tuning)
    }

    /// The first stretch from this offset on of which no tensor was read whole.
    pub(super) fn unread(&self, from: u64) -> ByteRange {
        self.tensors.unread(from, self.bounds.size)
    }

    /// Takes in a read, not empty and within the object, and says how to fetch what it misses.
    pub(super) fn observe(&mut self, read: ByteRange, repeated: Repeated, asker: Asker, answered: Answered) -> Plan {
        self.reads += 1;
        let was_refused = self.arounds.asked(read, &self.bounds.tuning);
        let tuning = &*self.bounds.tuning;
        let portion = asker.portion(read);
        let approach = match portion {
            Portion::Further(_) => Approach::Joins,
            Portion::First(_) if self.streams.iter().any(|stream| stream.position() == read.start) => Approach::GoesOn,
            Portion::First(likely) => Approach::Jumps(likely.intersect(ByteRange::new(0, self.bounds.size))),
        };
        // What is read again says nothing of what else is wanted, unless readers come for all of it.
        let is_news = repeated == Repeated::No || self.tensors.are_foretold();
        let promised = is_news.then(|| self.tensors.observe(read, approach, tuning)).flatten();
        let closest = match portion {
            Portion::First(_) => self.closest(read),
            Portion::Further(so_far) => self.in_which(so_far).map(|index| (0, index)),
        };
        // A read that comes for a tensor begins a stream there. A page that the kernel could not be refused is of none.
        let is_alone = read.len() <= PAGE_BYTES && self.tensors.are_asked_for_alone(tuning);
        let is_beside = is_alone && self.tensors.skip(read, tuning);
        let closest = closest.filter(|_| (promised.is_none() || approach == Approach::GoesOn) && !is_beside);
        // Tensors are copied from behind as often as not, and are known to be wanted whole.
        let may_be_behind = !self.tensors.are_foretold() && approach != Approach::Joins;
        let is_behind = |stream: &Stream| stream.start() == read.end && may_be_behind;
        let is_next = closest.is_some_and(|(distance, _)| distance == 0);
        let back = self.streams.iter().position(is_behind).filter(|_| !is_next);
        let (index, abandoned) = match back.or(closest.map(|(_, index)| index)) {
            Some(index) => (index, self.follow(index, read, repeated, approach)),
            // What came before of it was refused.
            None if approach == Approach::Joins => {
                return Plan { fetch: Fetch::Exact { reach_bytes: 0 }, abandoned: None, wants_more: false };
            }
            None => self.begin(read, asker, answered),
        };
        let ahead_bytes = asker.read_ahead_bytes();
        // The kernel asks for nothing behind it where that is in its cache, or where the object ends.
        let is_held = |stream: &Stream| (stream.start()..stream.position()).contains(&read.end);
        let is_last = read.end >= self.bounds.size || self.streams.iter().any(is_held);
        let stream = &mut self.streams[index];
        stream.used = self.reads;
        match portion {
            Portion::Further(so_far) => stream.follows_further(ahead_bytes == so_far.len() && !is_last),
            Portion::First(_) => {
                let is_readahead = is_next && ahead_bytes == read.len() && !is_last;
                stream.follows_on(read, is_next && ahead_bytes > 0, is_readahead);
                stream.goes_back(back.is_some());
            }
        }
        stream.return_if_left();
        if let Some(tensor) = promised {
            self.promise(tensor, index, portion);
        }
        let stream = &self.streams[index];
        let fetch = match self.window_bytes(stream) {
            _ if self.come_whole() => Fetch::Whole,
            0 if stream.is_backward() => {
                Fetch::Back { reach_bytes: stream.reach_bytes(read.len(), read.len(), &self.bounds.tuning) }
            }
            0 => Fetch::Exact { reach_bytes: self.reach_bytes(stream, read, asker, was_refused) },
            _ if self.bounds.size <= self.bounds.part_bytes => Fetch::Whole,
            _ if stream.is_promised() && self.tensors.are_short() => Fetch::Until { end: stream.promised() },
            window_bytes => {
                let part_bytes = Stream::part_bytes(window_bytes, self.bounds.part_bytes, &self.bounds.tuning);
                Fetch::Windowed { part_bytes }
            }
        };
        let abandoned = abandoned.filter(|range| !range.is_empty());
        Plan { fetch, abandoned, wants_more: self.tensors.are_more_wanted(&self.bounds.tuning) }
    }

    /// The rest of a tensor is wanted: by the reader that is in it, or comes to it with what it asks for now.
    fn promise(&mut self, tensor: ByteRange, index: usize, portion: Portion) {
        let end = self.tensors.end_of_fetch(tensor.end, &self.bounds.tuning).min(self.bounds.size);
        // Where its last page was asked for, another read has come to the rest of it before.
        let comes_to = |at: usize, stream: &Stream| match portion {
            Portion::First(likely) if at == index => stream.position().max(likely.end),
            _ => stream.position(),
        };
        let readers = self.streams.iter().enumerate().map(|(at, stream)| (comes_to(at, stream), at));
        let within = readers.filter(|(position, _)| (tensor.start + 1..tensor.end).contains(position));
        // Of a member that was looked at it may have come to any place.
        let is_of_member = !self.tensors.are_foretold();
        let first = within.clone().min().map(|(_, reader)| reader);
        let own = within.map(|(_, reader)| reader).find(|reader| is_of_member && *reader == index);
        for reader in first.into_iter().chain(own) {
            self.streams[reader].promise(end);
        }
    }

    /// The stream that expects a read the closest to where it is: how far from it, in bytes, and which.
    fn closest(&self, read: ByteRange) -> Option<(u64, usize)> {
        let distance = |(i, stream): (usize, &Stream)| Some((stream.distance(read, &self.bounds.tuning)?, i));
        self.streams.iter().enumerate().filter_map(distance).min()
    }

    /// The latest stream with other portions of what is asked for at once, which come in any order.
    fn in_which(&self, so_far: ByteRange) -> Option<usize> {
        let streams = self.streams.iter().enumerate().filter(|(_, stream)| stream.overlaps(so_far));
        streams.max_by_key(|(_, stream)| stream.used).map(|(index, _)| index)
    }

    /// How many bytes past the position of a stream are worth having, as runs in the object are; 0 while nothing is
    /// proved.
    fn window_bytes(&self, stream: &Stream) -> u64 {
        let window_bytes = stream.window_bytes(&self.bounds.tuning);
        if stream.is_promised() {
            return window_bytes;
        }
        // Who comes to a model in the middle and goes on from one tensor to the next may stop at the end of each.
        let is_in_model = !self.tensors.are_unknown() && stream.start() > self.bounds.tuning.head_bytes;
        let tensors_bytes = if is_in_model { stream.seen() / 4 } else { u64::MAX };
        let run_bytes = self.runs.bound(stream, &self.bounds.tuning).saturating_sub(stream.position());
        window_bytes.min(run_bytes).min(tensors_bytes)
    }

    /// How many bytes to fetch from the start of a read while there is no window.
    fn reach_bytes(&self, stream: &Stream, read: ByteRange, asker: Asker, was_refused: bool) -> u64 {
        let tuning = &self.bounds.tuning;
        let reach_bytes = match asker.portion(read) {
            // What lies behind it is refused where a tensor ends.
            Portion::Further(_) if self.tensors.are_asked_for_alone(tuning) => return read.len(),
            Portion::Further(_) => return asker.reach_bytes(read),
            Portion::First(likely) => stream.reach_bytes(asker.reach_bytes(read), likely.len(), tuning),
        };
        if was_refused && stream.seen() == read.len() {
            let likely_bytes = self.runs.likely_bytes(tuning).unwrap_or(tuning.around_guess_bytes);
            return reach_bytes.max(likely_bytes.min(GRAIN_BYTES));
        }
        let end_of_run = self.runs.end_of_new(stream, tuning).filter(|_| stream.position() == read.end);
        reach_bytes.max(end_of_run.map_or(0, |end| end.saturating_sub(read.start)))
    }

    /// Whether what the kernel reads around a page fault is better refused: where programs jump about in an object and
    /// want little at each place. Where its tensors are known they say better what will be wanted: refused is what the
    /// kernel reads on behind one of them, if it lies where the program does not come.
    pub(super) fn refuses(&mut self, read: ByteRange, asker: Asker) -> bool {
        if self.come_whole() {
            return false;
        }
        let tuning = &self.bounds.tuning;
        if self.tensors.are_foretold() {
            let goes_on = self.streams.iter().any(|stream| stream.position() == read.start);
            // A page of it may have come with the read before.
            let is_readahead = read.len() + PAGE_BYTES >= asker.read_ahead_bytes();
            let is_vain = goes_on && is_readahead && self.tensors.skip(read, tuning);
            return is_vain && self.arounds.refuse_behind(read);
        }
        // What it reads on behind a run, too, if none of those before was gone on with there.
        let is_behind = |stream: &&mut Stream| {
            stream.position() == read.start && self.runs.have_all_ended_before(read, stream, tuning)
        };
        let is_readahead = read.len() == asker.read_ahead_bytes();
        if let Some(stream) = self.streams.iter_mut().find(is_behind).filter(|_| is_readahead) {
            let is_refused = self.arounds.refuse_behind(read);
            if is_refused {
                stream.follows_on(read, true, true);
            }
            return is_refused;
        }
        let is_one = read.len() == asker.read_ahead_bytes() || self.arounds.are_refused();
        // The page in the middle is the one that the program waits for, where no page of it was there.
        let page = ByteRange::at(read.start + read.len() / 2 / PAGE_BYTES * PAGE_BYTES, PAGE_BYTES);
        let is_expected = self.streams.iter().any(|stream| stream.distance(page, tuning).is_some());
        if !is_one || is_expected {
            return false;
        }
        match self.arounds.decide(read, &self.runs, tuning) {
            Around::Answered => return false,
            Around::FirstRefused => self.runs.forget(),
            Around::Refused => {}
        }
        true
    }

    /// Whether a piece of what the kernel asks for at once is better refused by itself: where tensors are taken at
    /// equal distances, and it lies between them.
    pub(super) fn leaves_out(&mut self, piece: ByteRange) -> bool {
        !self.come_whole() && self.tensors.skip_piece(piece, &self.bounds.tuning) && self.arounds.refuse_behind(piece)
    }

    /// Up to where tensors are fetched in order, from `from` on: so far ahead of the latest reader as is worth it, and
    /// as what was read allows.
    pub(super) fn end_in_order(&self, from: u64, worth_bytes: u64) -> u64 {
        let tuning = &*self.bounds.tuning;
        let position = latest(&self.streams).map_or(0, Stream::position).max(from);
        let most = position.saturating_add(position / tuning.in_order_share).max(tuning.in_order_bytes);
        position.saturating_add(worth_bytes).min(most)
    }

    /// What the latest reader must have been told before it leaves what the kernel reads ahead of it alone: the end of
    /// what lies before that.
    pub(super) fn before_untouched(&self) -> Option<ByteRange> {
        let stream = latest(&self.streams)?;
        let end = stream.untouched_from()?;
        Some(ByteRange::new(end.saturating_sub(PAGE_BYTES).max(stream.start()), end))
    }

    fn follow(&mut self, index: usize, read: ByteRange, repeated: Repeated, approach: Approach) -> Option<ByteRange> {
        let ahead = self.streams[index].ahead();
        self.runs.goes_on(&self.streams[index]);
        match self.streams[index].follow(read, repeated, approach, &self.bounds.tuning) {
            super::stream::Course::Sequential => None,
            super::stream::Course::Random => Some(ahead),
        }
    }

    fn begin(&mut self, read: ByteRange, asker: Asker, answered: Answered) -> (usize, Option<ByteRange>) {
        // How long a run is that the kernel read around one page fault shows nothing, where others are seen exactly.
        let latest = latest(&self.streams).filter(|stream| !(self.arounds.are_refused() && stream.is_one_large_read()));
        self.runs.begins(read, latest.map(|stream| (stream, answered)), &self.bounds.tuning);
        let speculative_bytes = asker.read_ahead_bytes().saturating_mul(self.bounds.tuning.readaheads_of_run);
        let proof = self.bounds.proof;
        let proof = Proof { middle_bytes: proof.middle_bytes.max(speculative_bytes), ..proof };
        let mut stream = Stream::new(read, proof);
        // Of a model, its tensors say it better.
        if let Some(end) =
            self.runs.likely_end(read.start, &self.bounds.tuning).filter(|_| !self.tensors.are_foretold())
        {
            stream.promise(end.min(self.bounds.size));
        }
        if (self.streams.len() as u64) < self.bounds.tuning.streams {
            self.streams.push(stream);
            return (self.streams.len() - 1, None);
        }
        // Streams that never proved anything go first: a thousand random reads must not push out the one reader that
        // goes through the object.
        let worth = |stream: &Stream| (stream.is_proven(&self.bounds.tuning), stream.used);
        // The table is full, hence not empty.
        let index = (0..self.streams.len()).min_by_key(|&i| worth(&self.streams[i])).unwrap_or(0);
        let gone = std::mem::replace(&mut self.streams[index], stream);
        (index, Some(gone.ahead()))
    }

    /// What to fetch ahead, for the reader with the least ahead of it first. Answer with [`Streams::fetched`].
    pub(super) fn wanted(&self, most: Most) -> Vec<Wanted> {
        let tuning = &*self.bounds.tuning;
        let shared_bytes = match self.places_read() {
            1 => u64::MAX,
            places => (most.shared_bytes / places).max(tuning.place_least_bytes),
        };
        let wanted = |(stream, s): (usize, &Stream)| {
            let window_bytes = self.window_bytes(s).min(most.allowed_bytes);
            let bound = self.tensors.bound(s.start(), s.position(), tuning);
            let bound = self.tensors.end_of_fetch(bound, tuning).min(self.end_before(s)).min(self.end_at_header(s));
            // Who has read much will read on, in all likelihood.
            let worth_bytes = most.worth_bytes.min(shared_bytes.max(s.seen() / tuning.place_share));
            let end = s.position().saturating_add(window_bytes.min(worth_bytes)).min(bound);
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

    /// At how many places far from each other the object is read in order, at least one: what the network holds is
    /// shared by their windows. Those that are close to each other fetch for each other.
    fn places_read(&self) -> u64 {
        let tuning = &*self.bounds.tuning;
        let oldest = self.reads.saturating_sub(tuning.quiet_reads);
        let is_active = |stream: &&Stream| stream.used >= oldest && stream.seen() >= tuning.place_bytes;
        let mut positions: Vec<u64> = self.streams.iter().filter(is_active).map(Stream::position).collect();
        positions.sort_unstable();
        1 + positions.windows(2).filter(|pair| pair[1] - pair[0] >= tuning.far_bytes).count() as u64
    }

    /// Where a window must end: with the object, or where another reader began, because what lies behind that was read
    /// and may have been given up. The readers of four quarters of a file would fetch the seams twice.
    fn end_before(&self, stream: &Stream) -> u64 {
        let began = |other: &&Stream| other.is_proven(&self.bounds.tuning) && other.start() >= stream.position();
        self.streams.iter().filter(began).map(Stream::start).min().unwrap_or(self.bounds.size)
    }

    /// Where the window of a reader of a model's header must end until it is known what will be read behind that.
    fn end_at_header(&self, stream: &Stream) -> u64 {
        let tuning = &self.bounds.tuning;
        let end = |bytes: u64| bytes.saturating_add(tuning.header_ahead_bytes) / GRAIN_BYTES * GRAIN_BYTES;
        let is_at = |end: &u64| stream.start() < tuning.head_bytes && stream.position() < *end;
        self.header_bytes.map(end).filter(is_at).unwrap_or(u64::MAX)
    }

    /// Where the next run will be, as those before it were, if it was not fetched yet. Answer with
    /// [`Streams::run_fetched`] once it was.
    pub(super) fn next_run(&self) -> Option<ByteRange> {
        // Of a model, its tensors say it better.
        self.runs.next().filter(|_| !self.tensors.are_foretold())
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
