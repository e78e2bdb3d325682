//! Runs the GETs: one task per part, each receiving its body into the part's buffer and waking the reads that wait.
//!
//! When a GET is started is decided elsewhere: by the read that waits for it (`file`), or by `pump`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::Instrument;

use super::Reader;
use super::agenda::GetPlace;
use super::budget::Grant;
use super::buffer::Tail;
use super::disk::Beside;
use super::inode::{Arrival, FetchOrder, Inode};
use super::part::{Origin, Part};
use super::planner;
use super::right_of_way::{Passage, WaySeat};
use super::sums::Sums;
use crate::base::ByteRange;
use crate::cache::{Cached, Claim, Course};
use crate::metrics::Metric;
use crate::store::{Error, ErrorKind, GetRequest, GetResponse, Priority, Result, Traffic};

/// So often the fetching of a part looks whether an object that seems to have changed has.
const MOST_DOUBTS: u32 = 4;

impl Reader {
    /// Looks at what tells the layout of a model, once it is there.
    pub(super) fn header_parse(&self, inode: &Arc<Inode>) {
        while let Some((format, bytes)) = inode.header_to_parse() {
            let is_long = bytes.len() as u64 > self.tuning.short_layout_bytes;
            let inode = inode.clone();
            let parse = move || inode.header_parsed(format, format.layout(&bytes, inode.object.size));
            // Headers of many megabytes take a while.
            if is_long {
                self.runtime.spawn_blocking(parse);
                return;
            }
            parse();
        }
    }

    /// Starts the GET of a part.
    pub(super) fn start(self: &Arc<Self>, inode: &Arc<Inode>, order: FetchOrder, place: Option<GetPlace>) {
        let FetchOrder { part, grant, at_once_bytes } = order;
        let (object, range) = (&inode.object, part.range);
        let (ino, key, origin) = (object.ino.0, object.key.as_str(), part.origin);
        let span = tracing::debug_span!("fetch", ino, key, ?range, ?origin);
        let fetch = FetchTask { reader: self.clone(), inode: inode.clone(), part: part.clone(), at_once_bytes };
        let fetching = async move {
            fetch.run(grant, place).await;
            if fetch.inode.fetches_few_at_once() {
                fetch.reader.want_windows(&fetch.inode);
            }
            fetch.reader.pump();
        };
        let task = self.runtime.spawn(fetching.instrument(span));
        part.fetched_by(task.abort_handle());
    }
}

/// The fetching of one part. Whatever happens, also when the task is called off, the part ends.
struct FetchTask {
    reader: Arc<Reader>,
    inode: Arc<Inode>,
    part: Arc<Part>,
    /// How much was asked for at once with some of it, in bytes.
    at_once_bytes: u64,
}

impl Drop for FetchTask {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Not dropped, or the reads that wait would start the same GET, and the same panic, for ever.
            self.part.fail(self.inode.error(ErrorKind::Protocol, "the fetch of a part panicked"));
        } else if self.part.is_running() {
            self.part.drop_out();
        }
        if self.part.is_lost() {
            self.inode.remove(self.part.range.start, self.part.id);
            self.reader.forget_if_unused(&self.inode);
        }
    }
}

/// A part's bytes on their way into its buffer.
struct Filling {
    grant: Option<Grant>,
    tail: Option<Tail>,
    /// Where the first answer told a checksum to compare with.
    sums: Option<Sums>,
    /// The checksum of all of it, where the bytes came from disk.
    known_crc: Option<u64>,
    /// Where it is to be kept on disk, and may be in part.
    cached: Option<Arc<Cached>>,
    /// Whether the disk is still asked for what is missing.
    asks_disk: bool,
    /// Whether any of it came from the store.
    is_fetched: bool,
    /// What other daemons leave to this one.
    claims: Vec<Claim>,
    /// For how long a program has waited for what failed so far.
    failing_for: Duration,
    /// Its place among the GETs ahead of readers, until it gives that back.
    place: Option<GetPlace>,
}

impl Filling {
    fn written(&self) -> u64 {
        self.tail.as_ref().map_or(0, Tail::written)
    }
}

impl FetchTask {
    async fn run(&self, grant: Grant, place: Option<GetPlace>) {
        let mut filling = Filling {
            grant: Some(grant),
            tail: None,
            sums: None,
            known_crc: None,
            failing_for: Duration::ZERO,
            cached: self.reader.cached(&self.inode).await,
            asks_disk: true,
            is_fetched: false,
            claims: Vec::new(),
            place,
        };
        let (mut is_retry, mut doubts) = (false, 0);
        loop {
            let Err(error) = self.fill(&mut filling).await else { return self.finish(filling) };
            let Err(error) = self.reconsider(error, &mut doubts).await else { continue };
            self.reader.plan_met(&self.inode.object, error.kind());
            if error.kind() == ErrorKind::Changed {
                self.inode.break_with(error.clone());
                return self.part.fail(error);
            }
            // No program is told of a guess that failed, unless a read has come to rely on it: then it is tried once
            // more as what it has become, for as long as is left of the time that a wait may take.
            if self.part.drop_out_unless_waited_for() {
                return;
            }
            if is_retry || self.part.origin == Origin::Demand {
                return self.part.fail(error);
            }
            is_retry = true;
            filling.failing_for = self.part.waited_for_long(self.reader.clock.elapsed());
        }
    }

    /// A body that broke off because the object seems to have changed is no error where it has not.
    async fn reconsider(&self, error: Error, doubts: &mut u32) -> Result<()> {
        *doubts += 1;
        if error.kind() != ErrorKind::Changed || self.inode.broken().is_some() || *doubts > MOST_DOUBTS {
            return Err(error);
        }
        self.reader.doubt(&self.inode, None, error).await
    }

    /// The answer to a GET of the version that is open, asked for again where a refused tag turned out to be the
    /// store's way.
    async fn answer(&self, want: ByteRange, failing_for: Duration) -> Result<GetResponse> {
        for _ in 0..MOST_DOUBTS {
            let request = self.request(want, failing_for);
            let pinned = request.if_match.clone();
            match self.reader.store.get(request).await {
                Err(error) if error.kind() == ErrorKind::Changed => {
                    self.reader.doubt(&self.inode, pinned.as_ref(), error).await?;
                }
                answer => return answer,
            }
        }
        let message = "the object has not changed, but the store keeps refusing its entity tag, size or time";
        Err(self.inode.error(ErrorKind::Protocol, message))
    }

    /// Brings what the part lacks, from wherever it is.
    async fn fill(&self, filling: &mut Filling) -> Result<()> {
        let range = self.part.range;
        loop {
            let rest = ByteRange::new(range.start + filling.written(), range.end);
            if rest.is_empty() {
                return Ok(());
            }
            let course = match filling.cached.clone().filter(|_| filling.asks_disk) {
                Some(cached) => cached.course(rest).await,
                None => Course::Store(rest, None),
            };
            match course {
                Course::Disk(run) => filling.asks_disk = self.read_from_disk(filling, run).await,
                Course::Store(want, claim) => {
                    filling.claims.extend(claim);
                    self.transfer(filling, want).await?;
                }
            }
        }
    }

    /// Takes the next bytes of the part from the disk. False where it does not have them after all.
    async fn read_from_disk(&self, filling: &mut Filling, run: ByteRange) -> bool {
        let Some(cached) = filling.cached.clone() else { return false };
        if run == self.part.range {
            let read = self.reader.read_from_disk(&self.inode, &self.part, &cached, &mut filling.grant).await;
            let is_there = read.is_some();
            if let Some(part) = read {
                (filling.tail, filling.known_crc) = (Some(part.tail), Some(part.crc));
            }
            return is_there;
        }
        let Some(bytes) = self.reader.bytes_from_disk(&cached, run).await else { return false };
        self.begin(filling);
        let Some(tail) = &mut filling.tail else { return false };
        tail.memory(bytes.len()).copy_from_slice(&bytes);
        tail.filled(bytes.len());
        if let Some(sums) = &mut filling.sums {
            sums.update(&bytes);
        }
        true
    }

    /// Gives the part its memory, which is touched only now, when bytes are about to come.
    fn begin(&self, filling: &mut Filling) {
        let Some(grant) = filling.grant.take() else { return };
        let (buffer, tail) = self.reader.buffer(&self.inode, self.part.range, grant);
        self.part.attach(buffer);
        filling.tail = Some(tail);
        let are_wanted = self.inode.is_verifiable() || filling.cached.is_some();
        filling.sums = are_wanted.then(|| Sums::new(self.part.range.start, self.inode.object.size));
    }

    /// Fetches bytes that the part lacks, the next ones, in one GET unless it has to give way for long.
    async fn transfer(&self, filling: &mut Filling, want: ByteRange) -> Result<()> {
        let (mut waiting, mut rest) = (None, want);
        while !rest.is_empty() {
            if self.gives_way() {
                self.give_way(None, &mut waiting).await;
            }
            self.receive(filling, rest, &mut waiting).await?;
            rest.start = self.part.range.start + filling.written();
        }
        Ok(())
    }

    /// Whether others, which programs wait for, are to be received first.
    fn gives_way(&self) -> bool {
        self.reader.right_of_way.passes_over(&self.part, &self.inode.waits)
    }

    async fn give_way<'a>(&'a self, leaves_after: Option<Duration>, waiting: &mut Option<WaySeat<'a>>) -> Passage {
        let (way, best) = (&self.reader.right_of_way, self.reader.pipe.rate());
        way.turn(&self.part, leaves_after, waiting, best, || self.gives_way()).await
    }

    /// How long it stands still before it gives its connection back.
    fn leaves_after(&self) -> Duration {
        let tuning = &self.reader.tuning;
        let is_scarce = self.reader.agenda.is_scarce();
        Duration::from_millis(if is_scarce { tuning.way_leave_scarce_ms } else { tuning.way_leave_ms })
    }

    /// Receives the answer to one GET, to its end unless it has to give way for long.
    async fn receive<'a>(
        &'a self,
        filling: &mut Filling,
        want: ByteRange,
        waiting: &mut Option<WaySeat<'a>>,
    ) -> Result<()> {
        let (range, way) = (self.part.range, &self.reader.right_of_way);
        let mut began = way.now();
        let mut flight = self.reader.pipe.begin(self.reader.clock.elapsed());
        let response = self.answer(want, filling.failing_for).await?;
        flight.answered(self.reader.clock.elapsed());
        self.reader.accept(&self.inode, &response.meta).await?;
        if response.range != want {
            return Err(self.inode.error(ErrorKind::Protocol, "the answer has other bytes than those requested"));
        }
        self.begin(filling);
        filling.is_fetched = true;
        let is_held = filling.sums.is_some() && self.inode.is_verifiable() && self.inode.is_checked_first(&self.part);
        let mut body = response.body;
        while let Some(tail) = &mut filling.tail
            && tail.written() < want.end - range.start
        {
            let gives_way = self.gives_way();
            if gives_way && self.give_way(Some(self.leaves_after()), waiting).await == Passage::Leave {
                // Other daemons need not wait for it either.
                (filling.place, filling.claims) = (None, Vec::new());
                return Ok(());
            }
            let missing = want.end - range.start - tail.written();
            let piece = tail.receive(&mut body, missing.min(self.reader.tuning.receive_bytes)).await?;
            if piece.is_empty() {
                return Err(self.inode.error(ErrorKind::Network, "the answer ended early"));
            }
            let since = std::mem::replace(&mut began, way.now());
            way.received(&self.part, piece.len() as u64, since, gives_way);
            flight.received(piece.len() as u64);
            self.inode.fetched_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if self.part.is_ahead() {
                self.reader.metrics.add(Metric::PrefetchedBytes, piece.len() as u64);
            }
            if let Some(sums) = &mut filling.sums {
                sums.update(piece);
            }
            // The last bytes are shown by `finish`, once the part has been accounted for.
            if !is_held && tail.written() < range.len() {
                tail.publish();
                self.part.advanced();
            }
        }
        flight.ended(want.len(), self.reader.clock.elapsed());
        Ok(())
    }

    fn request(&self, want: ByteRange, failing_for: Duration) -> GetRequest {
        let object = &self.inode.object;
        let priority = match self.part.origin {
            Origin::Demand => Priority::Demand,
            Origin::Ahead(_) => Priority::Background,
        };
        let is_whole = want.len() == object.size;
        let traffic = match self.reader.doubts_source_of(object.ino) {
            true => Traffic::Doubted,
            false if self.inode.proof.is_settled() => Traffic::Exact,
            false => planner::traffic(self.part.range, self.part.origin, self.at_once_bytes, &self.reader.tuning),
        };
        GetRequest {
            key: object.key.clone(),
            version: object.version.clone(),
            range: (!is_whole).then_some(want),
            if_match: self.inode.pin(&self.reader.tags),
            expected: Some(self.inode.expected()),
            priority,
            traffic,
            failing_for,
        }
    }

    /// All bytes are in the buffer: accounts for them, then shows the last ones.
    fn finish(&self, filling: Filling) {
        let known_crc = filling.known_crc.filter(|_| self.inode.is_verifiable());
        let crc = filling.sums.as_ref().map(Sums::finish).or(known_crc);
        if let (Some(crc), Some(tail)) = (crc, &filling.tail) {
            match self.inode.arrived(&self.part, crc, tail.bytes()) {
                Arrival::Good => {}
                Arrival::Verified => {
                    self.reader.metrics.add(Metric::Verified, 1);
                    self.reader.found_good(&self.inode.object);
                }
                Arrival::Corrupt(evidence) => {
                    self.reader.found_corrupt(&self.inode, evidence);
                    return self.part.drop_out();
                }
            }
        }
        let cached = filling.cached.filter(|_| filling.is_fetched);
        let mut shared = Vec::new();
        if let Some(mut tail) = filling.tail {
            if let Some(cached) = &cached {
                shared = self.inode.shared_blocks(self.part.range, tail.bytes(), cached);
            }
            tail.publish();
        }
        self.part.complete();
        if let Some(cached) = cached {
            // A later read keeps what there is no room for now.
            let sums = filling.sums.as_ref().map(Sums::blocks).unwrap_or_default().to_vec();
            let beside = Beside { sums, claims: filling.claims, shared };
            let _ = self.reader.keep_part_on_disk(&self.inode, &self.part, &cached, beside);
        }
        if let Some(place) = self.inode.place_of_unread(&self.part) {
            self.reader.lru_parts.put(&self.inode, &self.part, place);
        }
    }
}
