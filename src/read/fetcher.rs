//! Runs the GETs: one task per part, each receiving its body into the part's buffer and waking whoever waits.
//!
//! GETs that a program waits for start at once; which of them goes first when there are too many is decided by the
//! store's limiter. GETs ahead of readers are held back here instead: a window is only a wish until a place and the
//! memory are free, and files take turns for both, one part each. What waits holds no memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::Reader;
use super::budget::Grant;
use super::buffer::Tail;
use super::expect::Expected;
use super::inode::{Ahead, Arrival, Inode, Order};
use super::part::{Origin, Part};
use super::stream::Most;
use crate::base::ByteRange;
use crate::metrics::Metric;
use crate::store::crc64::Crc64;
use crate::store::{Error, ErrorKind, GetRequest, GetResponse, Priority, Result};

/// No window is larger, in bytes, before the network has shown that it holds more: more in flight than it holds only
/// delays what is wanted next.
const MAX_WINDOW_BYTES: u64 = 256 << 20;

/// The most that is received at once, in bytes. More would no longer lie in the second-level cache when its checksum is
/// computed; less means more wake-ups.
const RECEIVE_BYTES: u64 = 512 << 10;

/// So often the fetching of a part looks whether an object that seems to have changed has.
const MOST_DOUBTS: u32 = 4;

/// Who waits for a turn to fetch ahead.
pub(super) struct Turns {
    /// Places for GETs ahead of readers.
    places: Arc<Semaphore>,
    /// Inodes whose windows are not full, each once.
    hungry: Mutex<VecDeque<Arc<Inode>>>,
    /// Inodes opened under `prefetch=open`, in the order of the opens, each once.
    warming: Mutex<VecDeque<Arc<Inode>>>,
    /// Inodes that nobody has opened, in the order in which they will be, each once.
    pub(super) expected: Mutex<VecDeque<Expected>>,
    /// Places that those leave to the others.
    reserved: usize,
}

impl Turns {
    pub(super) fn new(max_connections: usize) -> Self {
        // The store's limiter keeps one place in eight for demand as well: what starts here never waits there.
        let places = max_connections - max_connections.div_ceil(8).min(max_connections - 1);
        Turns {
            places: Arc::new(Semaphore::new(places)),
            hungry: Mutex::default(),
            warming: Mutex::default(),
            expected: Mutex::default(),
            reserved: places / 2,
        }
    }

    /// Whether no place is left but those for open files.
    pub(super) fn are_scarce(&self) -> bool {
        self.places.available_permits() < self.reserved
    }
}

impl Reader {
    /// The largest window that a stream may have now: the inode in question, and those that wait for a turn (it does
    /// not while it is looked at), share three quarters of the memory; of that, what the network is worth.
    fn most(&self) -> Most {
        let sharers = self.turns.hungry.lock().len() as u64 + 1;
        let share_bytes = self.budget.limit_bytes() / 4 * 3 / sharers;
        let worth_bytes = self.pipe.worth_bytes(self.clock.elapsed()).unwrap_or(MAX_WINDOW_BYTES);
        Most { allowed_bytes: share_bytes.min(worth_bytes.max(MAX_WINDOW_BYTES)), worth_bytes }
    }

    /// Gives an inode its turns until its windows are full.
    pub(super) fn enqueue(&self, inode: &Arc<Inode>) {
        let wants = !inode.is_queued.load(Ordering::Relaxed) && inode.wants_more(self.most());
        if wants && !inode.is_queued.swap(true, Ordering::Relaxed) {
            self.turns.hungry.lock().push_back(inode.clone());
        }
    }

    /// Fetching the whole object may begin after those that were opened before.
    pub(super) fn enqueue_warm_up(&self, inode: &Arc<Inode>) {
        inode.warm_up();
        if !inode.is_warming.swap(true, Ordering::Relaxed) {
            self.turns.warming.lock().push_back(inode.clone());
        }
    }

    /// Looks at a model's header once it is there.
    pub(super) fn study(&self, inode: &Arc<Inode>) {
        let Some((format, parts)) = inode.to_study() else { return };
        let inode = inode.clone();
        // Headers of many megabytes take a while.
        self.runtime.spawn_blocking(move || {
            let head = parts.iter().map(|part| part.head()).collect::<Vec<_>>().concat();
            inode.studied(format.layout(&head, inode.object.size));
        });
    }

    /// Starts GETs ahead of readers while there are places, memory and wishes.
    pub(super) fn pump(self: &Arc<Self>) {
        while self.pump_one() {}
    }

    /// One turn; says whether another may bring something.
    fn pump_one(self: &Arc<Self>) -> bool {
        let Ok(place) = self.turns.places.clone().try_acquire_owned() else { return false };
        let hungry = self.turns.hungry.lock().pop_front();
        if let Some(inode) = hungry {
            // Out of the queue before its windows are looked at: a read that widens them later puts it back in.
            inode.is_queued.store(false, Ordering::Relaxed);
            let (turn, more) = self.fetch_ahead(&inode, place);
            if turn != Turn::Declined && !inode.is_queued.swap(true, Ordering::Relaxed) {
                let mut hungry = self.turns.hungry.lock();
                match turn {
                    Turn::Blocked => hungry.push_front(inode),
                    _ => hungry.push_back(inode),
                }
            }
            return more;
        }
        let warming = self.turns.warming.lock().pop_front();
        let Some(inode) = warming else {
            return match self.pump_planned(place) {
                Ok(more) => more,
                Err(place) => self.pump_expected(place),
            };
        };
        let (turn, more) = self.fetch_ahead(&inode, place);
        match turn {
            Turn::Declined => {
                inode.is_warming.store(false, Ordering::Relaxed);
                inode.warmed.notify_waiters();
            }
            _ => self.turns.warming.lock().push_front(inode),
        }
        more
    }

    fn fetch_ahead(self: &Arc<Self>, inode: &Arc<Inode>, place: OwnedSemaphorePermit) -> (Turn, bool) {
        match inode.next_ahead(self.most(), &self.budget) {
            Ahead::Nothing | Ahead::Withheld => (Turn::Declined, true),
            Ahead::Lacking(bytes, priority) => (Turn::Blocked, self.make_room(bytes, priority)),
            Ahead::Fetch(order) => {
                self.start(inode, order, Some(place));
                (Turn::Taken, true)
            }
        }
    }

    /// Starts the GET of a part.
    pub(super) fn start(self: &Arc<Self>, inode: &Arc<Inode>, order: Order, place: Option<OwnedSemaphorePermit>) {
        let part = order.part.clone();
        let (object, range) = (&inode.object, part.range);
        let span = tracing::debug_span!("fetch", ino = object.ino.0, key = object.key.as_str(), ?range);
        let fetch = Fetch { reader: self.clone(), inode: inode.clone(), part: order.part };
        let fetching = async move {
            fetch.run(order.grant).await;
            drop(place);
            if fetch.inode.fetches_few_at_once() {
                fetch.reader.enqueue(&fetch.inode);
            }
            fetch.reader.pump();
        };
        let task = self.runtime.spawn(fetching.instrument(span));
        part.fetched_by(task.abort_handle());
    }
}

/// What came of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A GET was started.
    Taken,
    /// Neither place nor memory was free.
    Blocked,
    /// Nothing was wanted.
    Declined,
}

/// The fetching of one part. Whatever happens, also when the task is called off, the part ends.
struct Fetch {
    reader: Arc<Reader>,
    inode: Arc<Inode>,
    part: Arc<Part>,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Not dropped, or whoever waits would start the same GET, and the same panic, for ever.
            self.part.fail(self.inode.error(ErrorKind::Protocol, "the fetching of a part panicked"));
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
    crc: Option<Crc64>,
    /// For how long a program has waited for what failed so far.
    failing_for: Duration,
}

impl Filling {
    fn written(&self) -> u64 {
        self.tail.as_ref().map_or(0, Tail::written)
    }
}

impl Fetch {
    async fn run(&self, grant: Grant) {
        let mut filling = Filling { grant: Some(grant), tail: None, crc: None, failing_for: Duration::ZERO };
        let (mut is_retry, mut doubts) = (false, 0);
        loop {
            let Err(error) = self.transfer(&mut filling).await else { return self.finish(filling) };
            let Err(error) = self.reconsider(error, &mut doubts).await else { continue };
            self.reader.plan_met(&self.inode.object, error.kind());
            if error.kind() == ErrorKind::Changed {
                self.inode.break_with(error.clone());
                return self.part.fail(error);
            }
            // A guess that failed is nobody's error, unless somebody has come to rely on it: then it is tried once
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
        let message =
            "the object has not changed, and the store refuses it by its tag, its size or its time again and again";
        Err(self.inode.error(ErrorKind::Protocol, message))
    }

    /// Fetches what the part lacks.
    async fn transfer(&self, filling: &mut Filling) -> Result<()> {
        let range = self.part.range;
        let want = ByteRange::new(range.start + filling.written(), range.end);
        let mut flight = self.reader.pipe.begin(self.reader.clock.elapsed());
        let response = self.answer(want, filling.failing_for).await?;
        flight.answered(self.reader.clock.elapsed());
        self.reader.accept(&self.inode, &response.meta).await?;
        if response.range != want {
            return Err(self.inode.error(ErrorKind::Protocol, "the answer holds other bytes than those asked for"));
        }
        if filling.tail.is_none() {
            // The memory is touched only now, when bytes are about to come.
            let Some(grant) = filling.grant.take() else { return Ok(()) };
            let (buffer, tail) = self.reader.buffer(&self.inode, range, grant);
            self.part.attach(buffer);
            filling.tail = Some(tail);
            filling.crc = self.inode.is_verifiable().then(Crc64::new);
        }
        let is_held = filling.crc.is_some() && self.inode.is_checked_first(&self.part);
        let mut body = response.body;
        while let Some(tail) = &mut filling.tail
            && tail.written() < range.len()
        {
            let missing = range.len() - tail.written();
            let piece = tail.receive(&mut body, missing.min(RECEIVE_BYTES)).await?;
            if piece.is_empty() {
                return Err(self.inode.error(ErrorKind::Network, "the answer ended early"));
            }
            flight.received(piece.len() as u64);
            if self.part.origin == Origin::Ahead {
                self.reader.metrics.add(Metric::PrefetchedBytes, piece.len() as u64);
            }
            if let Some(crc) = &mut filling.crc {
                crc.update(piece);
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
            Origin::Ahead => Priority::Background,
        };
        let is_whole = want.len() == object.size;
        GetRequest {
            key: object.key.clone(),
            version: object.version.clone(),
            range: (!is_whole).then_some(want),
            if_match: self.inode.pin(&self.reader.tags),
            expected: Some(self.inode.expected()),
            priority,
            failing_for,
        }
    }

    /// All bytes are in the buffer: accounts for them, then shows the last ones.
    fn finish(&self, filling: Filling) {
        if let (Some(crc), Some(tail)) = (&filling.crc, &filling.tail) {
            match self.inode.arrived(&self.part, crc.finish(), tail.bytes()) {
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
        if let Some(mut tail) = filling.tail {
            tail.publish();
        }
        self.part.complete();
        if let Some(place) = self.inode.place_of_unread(&self.part) {
            self.reader.shelf.put(&self.inode, &self.part, place);
        }
    }
}
