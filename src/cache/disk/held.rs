//! One object on disk: which of its blocks are there, reading them, writing them.
//!
//! Everything here waits for the disk; callers have threads for that. Bytes are shown only after they were compared
//! with the checksum that was recorded when they were written. Blocks may be written by several processes at once: they
//! write the same.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::direct::Direct;
use super::identity::{Identity, Name};
use super::map::{BLOCK_BYTES, HEADER_BYTES, Header, RECORD_BYTES, Record, block_range, blocks_of, touched, within};
use super::place::{Place, data_path, map_path};
use super::words::read_up_to;
use crate::base::ByteRange;
use crate::base::crc64::{combine, crc64};

/// An object that is open in the cache. As long as this lives, it is in use: no process evicts it.
#[derive(Debug)]
pub(super) struct Held {
    place: Arc<Place>,
    name: Name,
    header: Header,
    map: File,
    data: Direct,
    /// Set once all of it was checked, in this boot, so that no further look is needed.
    is_whole: AtomicBool,
    /// Whether all of it is there, checked in this boot or not.
    is_complete: AtomicBool,
    /// A block that was not there at the last look for one: as long as that is so, no other is looked at.
    lacked: AtomicU64,
    /// Whether it was removed, so that nothing more is read of it or written.
    is_dead: AtomicBool,
    /// Those who write to it take turns, so that no block is written twice by this process.
    turn: Mutex<()>,
}

/// Records that are looked at together; few in tests, so that objects of some MiB have several such rows.
const LOOKED_AT: u64 = if cfg!(test) { 5 } else { 4096 };

/// What became of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// The bytes are in, and right; with their checksum, where that came of itself.
    Right(Option<u64>),
    /// Some of them are not there.
    Missing,
    /// Some of them were not what had been written. They are forgotten.
    Wrong,
}

impl Held {
    /// Opens an object; `None` where the cache has none of it.
    pub(super) fn find(place: &Arc<Place>, identity: &Identity) -> io::Result<Option<Held>> {
        let name = identity.name();
        let Some(map) = place.find(&map_path(name), OFlags::empty())? else { return Ok(None) };
        // Before the look: what is locked is not evicted. Waits for none: an evictor that has it will remove it.
        if flock(&map, FlockOperation::NonBlockingLockShared).is_err() || map.metadata()?.nlink() == 0 {
            return Ok(None);
        }
        let Some(header) = Header::read(&map).filter(|header| header.identity == *identity) else {
            // Garbled, or another object of this name, which is as improbable.
            place.remove(&map_path(name))?;
            return Ok(None);
        };
        let file = data_path(name, header.nonce);
        let Some(buffered) = place.find(&file, OFlags::empty())? else {
            place.remove(&map_path(name))?;
            return Ok(None);
        };
        if buffered.metadata()?.len() != identity.size {
            remove(place, name, header.nonce)?;
            return Ok(None);
        }
        let direct = place.find(&file, OFlags::DIRECT).ok().flatten();
        Ok(Some(Held::new(place, name, header, map, Direct { direct, buffered })))
    }

    /// Opens an object, and makes an empty one where the cache has none. `crc64` is the checksum that the store keeps
    /// of it. `None` where it cannot be cached.
    pub(super) fn find_or_make(
        place: &Arc<Place>,
        identity: &Identity,
        crc64: Option<u64>,
    ) -> io::Result<Option<Held>> {
        // Another process may make it, or evict it, between two steps.
        for _ in 0..3 {
            if let Some(found) = Held::find(place, identity)? {
                return Ok(Some(found));
            }
            let header = Header { nonce: rand::random(), identity: identity.clone(), crc64 };
            let Some(bytes) = header.encode() else { return Ok(None) };
            if let Some(made) = Held::make(place, identity.name(), header, &bytes)? {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    /// `None` where another process was faster.
    fn make(place: &Arc<Place>, name: Name, header: Header, bytes: &[u8]) -> io::Result<Option<Held>> {
        let file = data_path(name, header.nonce);
        let buffered = place.make(&file)?;
        let made = (|| {
            buffered.set_len(header.identity.size)?;
            let temporary = format!("{}.{:016x}.new", map_path(name), header.nonce);
            let map = place.make(&temporary)?;
            let named = (|| {
                map.write_all_at(bytes, 0)?;
                flock(&map, FlockOperation::NonBlockingLockShared)?;
                place.name(&temporary, &map_path(name))
            })();
            if !matches!(named, Ok(true)) {
                place.remove(&temporary)?;
            }
            Ok(named?.then_some(map))
        })();
        match made {
            Ok(Some(map)) => {
                let direct = place.find(&file, OFlags::DIRECT).ok().flatten();
                Ok(Some(Held::new(place, name, header, map, Direct { direct, buffered })))
            }
            Ok(None) => place.remove(&file).map(|()| None),
            Err(error) => {
                // It is the failure before that is told.
                let _ = place.remove(&file);
                Err(error)
            }
        }
    }

    fn new(place: &Arc<Place>, name: Name, header: Header, map: File, data: Direct) -> Held {
        let [is_whole, is_complete, is_dead] = [false; 3].map(AtomicBool::new);
        let lacked = AtomicU64::new(blocks_of(header.identity.size).saturating_sub(1));
        Held {
            place: place.clone(),
            name,
            header,
            map,
            data,
            is_whole,
            is_complete,
            lacked,
            is_dead,
            turn: Mutex::new(()),
        }
    }

    /// The size of the object, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.header.identity.size
    }

    /// The checksum that the store keeps of the whole object, where it told one.
    pub(super) fn crc64(&self) -> Option<u64> {
        self.header.crc64
    }

    /// Notes that it is used now, for the order of eviction.
    pub(super) fn touch(&self) -> io::Result<()> {
        super::place::touch(&self.map)
    }

    /// When something was recorded last, on the clock of its file system.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        self.map.metadata().and_then(|map| map.modified()).ok()
    }

    /// The records of these blocks.
    pub(super) fn records(&self, blocks: std::ops::Range<u64>) -> io::Result<Vec<Option<Record>>> {
        if self.is_dead.load(Ordering::Relaxed) {
            return Ok(blocks.map(|_| None).collect());
        }
        let mut bytes = vec![0; ((blocks.end - blocks.start) * RECORD_BYTES) as usize];
        // The map ends with the last record that was written.
        read_up_to(&self.map, &mut bytes, HEADER_BYTES as u64 + blocks.start * RECORD_BYTES)?;
        let records = blocks.zip(bytes.chunks(RECORD_BYTES as usize));
        Ok(records.map(|(block, bytes)| Record::decode(bytes, self.header.nonce, block)).collect())
    }

    /// Writes the records of blocks in a row.
    fn record(&self, first: u64, records: &[Record]) -> io::Result<()> {
        let encoded = (first..).zip(records).flat_map(|(block, record)| record.encode(self.header.nonce, block));
        self.map.write_all_at(&encoded.collect::<Vec<u8>>(), HEADER_BYTES as u64 + first * RECORD_BYTES)
    }

    /// How many bytes are recorded.
    pub(super) fn held_bytes(&self) -> io::Result<u64> {
        let records = self.records(0..blocks_of(self.size()))?;
        let there = (0..).zip(&records).filter(|(_, record)| record.is_some());
        Ok(there.map(|(block, _)| block_range(block, self.size()).len()).sum())
    }

    /// Fills `into` with a range of the object, which is as long.
    pub(super) fn read(&self, range: ByteRange, into: &mut [u8]) -> io::Result<Read> {
        let blocks = touched(range);
        let records = self.records(blocks.clone())?;
        let Some(records) = records.into_iter().collect::<Option<Vec<Record>>>() else { return Ok(Read::Missing) };
        let span = ByteRange::new(blocks.start * BLOCK_BYTES, (blocks.end * BLOCK_BYTES).min(self.size()));
        if span == range {
            return self.read_blocks(blocks.start, &records, into);
        }
        // Blocks at the ends are read whole, to be compared; those between go where they belong.
        let mut block_bytes = vec![0; BLOCK_BYTES as usize];
        let inner = within(range, self.size());
        for (block, record) in blocks.clone().zip(&records).filter(|(block, _)| !inner.contains(block)) {
            let whole = block_range(block, self.size());
            let bytes = &mut block_bytes[..whole.len() as usize];
            if self.read_blocks(block, std::slice::from_ref(record), bytes)? == Read::Wrong {
                return Ok(Read::Wrong);
            }
            let wanted = whole.intersect(range);
            let from = &bytes[(wanted.start - whole.start) as usize..(wanted.end - whole.start) as usize];
            into[(wanted.start - range.start) as usize..(wanted.end - range.start) as usize].copy_from_slice(from);
        }
        if !inner.is_empty() {
            let first = (inner.start - blocks.start) as usize;
            let records = &records[first..first + (inner.end - inner.start) as usize];
            let start = (inner.start * BLOCK_BYTES - range.start) as usize;
            let end = ((inner.end * BLOCK_BYTES).min(self.size()) - range.start) as usize;
            if self.read_blocks(inner.start, records, &mut into[start..end])? == Read::Wrong {
                return Ok(Read::Wrong);
            }
        }
        Ok(Read::Right(None))
    }

    /// Reads whole blocks from `first` on, of which these are the records.
    fn read_blocks(&self, first: u64, records: &[Record], into: &mut [u8]) -> io::Result<Read> {
        match self.data.read(into, first * BLOCK_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // Someone cut it off.
                self.discard()?;
                return Ok(Read::Wrong);
            }
            read => read?,
        }
        let (mut whole, mut is_old) = (0, false);
        for ((block, record), bytes) in (first..).zip(records).zip(into.chunks(BLOCK_BYTES as usize)) {
            let found = crc64(bytes);
            if found != record.crc64 {
                self.forget(block)?;
                return Ok(Read::Wrong);
            }
            whole = combine(whole, found, bytes.len() as u64);
            is_old |= record.boot != self.place.boot;
        }
        if is_old {
            let boot = self.place.boot;
            let checked: Vec<Record> = records.iter().map(|record| Record { boot, ..*record }).collect();
            self.record(first, &checked)?;
        }
        Ok(Read::Right(Some(whole)))
    }

    /// Compares what is there of whole blocks with what was written, in memory that is as long, and forgets what
    /// differs. Returns how many blocks were right, and how many wrong.
    pub(super) fn check(&self, range: ByteRange, memory: &mut [u8]) -> io::Result<(u64, u64)> {
        let (mut right, mut wrong) = (0, 0);
        for block in within(range, self.size()) {
            let place = block_range(block, self.size());
            let memory = &mut memory[(place.start - range.start) as usize..(place.end - range.start) as usize];
            match self.read(place, memory)? {
                Read::Right(_) => right += 1,
                Read::Wrong => wrong += 1,
                Read::Missing => {}
            }
        }
        Ok((right, wrong))
    }

    /// Forgets a block: it is not there any more.
    fn forget(&self, block: u64) -> io::Result<()> {
        self.is_whole.store(false, Ordering::Relaxed);
        self.is_complete.store(false, Ordering::Relaxed);
        self.map.write_all_at(&[0; RECORD_BYTES as usize], HEADER_BYTES as u64 + block * RECORD_BYTES)
    }

    /// The bytes of a range that would be written: those of the blocks within it that are not there.
    pub(super) fn lacks(&self, range: ByteRange) -> io::Result<u64> {
        let blocks = within(range, self.size());
        let records = self.records(blocks.clone())?;
        let lacking = blocks.zip(&records).filter(|(_, record)| record.is_none());
        Ok(lacking.map(|(block, _)| block_range(block, self.size()).len()).sum())
    }

    /// Writes the blocks within a range that are not there; `bytes` are all of the range. Returns the bytes written.
    /// `sums` are checksums of blocks, as far as they are known, by where each begins.
    pub(super) fn write(&self, range: ByteRange, bytes: &[u8], sums: &[(u64, u64)]) -> io::Result<u64> {
        let _turn = self.turn.lock();
        if self.is_dead.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let blocks = within(range, self.size());
        let records = self.records(blocks.clone())?;
        let missing: Vec<u64> = blocks.zip(&records).filter(|(_, record)| record.is_none()).map(|(at, _)| at).collect();
        let mut written = 0;
        for row in missing.chunk_by(|block, next| block + 1 == *next) {
            let (Some(&first), Some(&last)) = (row.first(), row.last()) else { continue };
            let place = ByteRange::new(first * BLOCK_BYTES, block_range(last, self.size()).end);
            let bytes = &bytes[(place.start - range.start) as usize..(place.end - range.start) as usize];
            self.data.write(bytes, place.start)?;
            let boot = self.place.boot;
            let known = |start| sums.binary_search_by_key(&start, |(at, _)| *at).ok().map(|at| sums[at].1);
            let blocks = (place.start..).step_by(BLOCK_BYTES as usize).zip(bytes.chunks(BLOCK_BYTES as usize));
            let sum = |(start, bytes): (u64, &[u8])| known(start).unwrap_or_else(|| crc64(bytes));
            let records: Vec<Record> = blocks.map(|block| Record { crc64: sum(block), boot }).collect();
            self.record(first, &records)?;
            written += place.len();
        }
        Ok(written)
    }

    /// Makes what was written last through a loss of power. Waits for the disk as long as that takes.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.data.buffered.sync_data()?;
        self.map.sync_data()
    }

    /// Whether all of it is there, was checked since this boot, and has the checksum that the store keeps: then the
    /// kernel may read the file by itself. What is there and does not have that checksum is discarded.
    pub(super) fn is_whole(&self) -> io::Result<bool> {
        if self.is_dead.load(Ordering::Relaxed) {
            return Ok(false);
        }
        if self.is_whole.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let (mut end, mut joined, mut joined_bytes, mut is_whole) = (blocks_of(self.size()), 0, 0, true);
        // This is asked after each part that is written.
        let lacked = self.lacked.load(Ordering::Relaxed);
        if self.records(lacked..(lacked + 1).min(end))?.contains(&None) {
            return Ok(false);
        }
        // From the end, which is what is missing longest of an object that is filled in order.
        while end > 0 {
            let start = end.saturating_sub(LOOKED_AT);
            let records = self.records(start..end)?;
            if let Some(missing) = records.iter().rposition(Option::is_none) {
                self.lacked.store(start + missing as u64, Ordering::Relaxed);
                return Ok(false);
            }
            let records: Vec<Record> = records.into_iter().flatten().collect();
            let mut sum = 0;
            for (block, record) in (start..end).zip(&records) {
                sum = combine(sum, record.crc64, block_range(block, self.size()).len());
                is_whole &= record.boot == self.place.boot;
            }
            joined = combine(sum, joined, joined_bytes);
            joined_bytes = self.size() - start * BLOCK_BYTES;
            end = start;
        }
        if self.crc64().is_some_and(|expected| expected != joined) {
            self.discard()?;
            return Ok(false);
        }
        self.is_complete.store(true, Ordering::Relaxed);
        self.is_whole.store(is_whole, Ordering::Relaxed);
        Ok(is_whole)
    }

    /// Whether all of it was there at the last look, and nothing has been found wrong since.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed) && !self.is_dead.load(Ordering::Relaxed)
    }

    /// From now on nothing is read of it, and nothing written.
    pub(super) fn condemn(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    /// Removes it from the cache. What others read of it meanwhile stays what it is.
    pub(super) fn discard(&self) -> io::Result<()> {
        self.condemn();
        remove(&self.place, self.name, self.header.nonce)
    }
}

impl AsFd for Held {
    /// The data, for the kernel to read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.data.buffered.as_fd()
    }
}

/// Removes the files of an object, the map first: data without a map are nothing, and a map is never without data for
/// long.
fn remove(place: &Place, name: Name, nonce: u64) -> io::Result<()> {
    place.remove(&map_path(name))?;
    place.remove(&data_path(name, nonce))
}
