//! Small objects, many to a file: a million of 16 KiB cost neither an inode each nor a look-up on disk.
//!
//! ```text
//! s/ID.d    up to 64 MiB of objects, one behind the other
//! s/ID.x    a record of 64 bytes for each
//! ```
//!
//! One process appends to a segment, and holds a lock on it as long; all read. A table in memory says which record an
//! object has, in 9 bytes or so each; the record itself, and the bytes with its checksum, are read when they are
//! wanted. What others append is seen by looking at the lengths of records, at most twice a second.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::held::Read;
use super::identity::Name;
use super::place::{Place, SEGMENTS};
use crate::base::Clock;
use crate::base::crc64::crc64;

/// Objects below this size are kept in segments.
pub(super) const SMALL_BYTES: u64 = 1 << 20;
/// A segment takes no more objects once it is this long.
const SEGMENT_BYTES: u64 = 64 << 20;
/// The bytes of a record.
pub(super) const RECORD_BYTES: usize = 64;
/// Where a record says what kind it is.
const KIND: usize = 40;
/// Records are numbered by 16 bits.
const MOST_RECORDS: u64 = 1 << 16;
/// So often it is looked what other processes have appended.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// So often it is noted that a segment is used.
const TOUCH_AGAIN: Duration = Duration::from_secs(60);

/// Where an object lies, and what its bytes are like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SmallRecord {
    name: Name,
    offset: u64,
    len: u64,
    crc64: u64,
    /// Whether the store keeps the same checksum.
    pub(super) is_stores: bool,
}

impl SmallRecord {
    /// The checksum of the bytes, where the store keeps the same.
    pub(super) fn stores_crc64(&self) -> Option<u64> {
        self.is_stores.then_some(self.crc64)
    }

    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..16].copy_from_slice(&self.name.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.crc64.to_le_bytes());
        bytes[KIND] = 1 + u8::from(self.is_stores);
        let check = crc64(&bytes[..56]);
        bytes[56..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The tag of the object that a record is of, unless that was forgotten. Whether it is a record is for who decodes
    /// it: a million of them are looked at when a mount begins.
    fn tag(bytes: &[u8]) -> Option<u32> {
        let tag = bytes.get(..4)?.try_into().ok()?;
        (*bytes.get(KIND)? != 0).then(|| u32::from_le_bytes(tag))
    }

    /// `None` where these are not the bytes of a record.
    fn decode(bytes: &[u8]) -> Option<SmallRecord> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let kind = *bytes.get(KIND)?;
        if !(1..=2).contains(&kind) || word(56)? != crc64(&bytes[..56]) {
            return None;
        }
        let name = Name(u128::from_le_bytes(bytes[..16].try_into().ok()?));
        Some(SmallRecord { name, offset: word(16)?, len: word(24)?, crc64: word(32)?, is_stores: kind == 2 })
    }
}

/// Where a record is; its object's name is known by a few bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot {
    tag: u32,
    segment: u16,
    number: u16,
}

/// A segment that is known.
#[derive(Debug)]
struct Segment {
    /// `None` once it is gone: its number is not used again.
    id: Option<u64>,
    /// Records that were looked at.
    seen: u64,
    touched_at: Option<Duration>,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashTable<Slot>,
    segments: Vec<Segment>,
    looked_at: Option<Duration>,
}

/// The segment that this process appends to.
#[derive(Debug)]
struct Own {
    segment: u16,
    data: File,
    /// Locked for as long as this lives.
    records: File,
    data_bytes: u64,
    count: u64,
}

/// The small objects of a directory.
#[derive(Debug)]
pub(super) struct Segments {
    place: Arc<Place>,
    clock: Clock,
    table: Mutex<Table>,
    /// Held by who looks at what others have appended.
    looking: Mutex<()>,
    own: Mutex<Option<Own>>,
}

fn tag_of(name: Name) -> u32 {
    name.0 as u32
}

fn hash_of(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

pub(super) fn data_path(id: u64) -> String {
    format!("{SEGMENTS}/{id:016x}.d")
}

pub(super) fn records_path(id: u64) -> String {
    format!("{SEGMENTS}/{id:016x}.x")
}

/// The segment that a file of records belongs to, by its name.
pub(super) fn id_of(file: &str) -> Option<u64> {
    let id = file.strip_suffix(".x").filter(|id| id.len() == 16)?;
    u64::from_str_radix(id, 16).ok()
}

impl Segments {
    pub(super) fn new(place: Arc<Place>, clock: Clock) -> Segments {
        Segments { place, clock, table: Mutex::default(), looking: Mutex::default(), own: Mutex::default() }
    }

    /// The record of an object; `None` where it is not there. Looks again at what others have appended where that was
    /// not done of late.
    pub(super) fn find(&self, name: Name) -> io::Result<Option<SmallRecord>> {
        if let Some((record, _)) = self.look_up(name)? {
            return Ok(Some(record));
        }
        let is_due = self.table.lock().looked_at.is_none_or(|at| at + LOOK_AGAIN < self.clock.elapsed());
        if !is_due {
            return Ok(None);
        }
        self.look_at_all()?;
        Ok(self.look_up(name)?.map(|(record, _)| record))
    }

    fn look_up(&self, name: Name) -> io::Result<Option<(SmallRecord, Slot)>> {
        let tag = tag_of(name);
        let candidates: Vec<(Slot, u64)> = {
            let table = self.table.lock();
            let slots = table.slots.iter_hash(hash_of(tag)).filter(|slot| slot.tag == tag);
            let known = slots.filter_map(|slot| Some((*slot, table.segments[usize::from(slot.segment)].id?)));
            known.collect()
        };
        for (slot, id) in candidates {
            let Some(records) = self.place.find(&records_path(id), OFlags::empty())? else {
                self.forget_segment(slot.segment);
                continue;
            };
            let mut bytes = [0; RECORD_BYTES];
            let read = records.read_exact_at(&mut bytes, u64::from(slot.number) * RECORD_BYTES as u64);
            let record = read.ok().and_then(|()| SmallRecord::decode(&bytes));
            if let Some(record) = record.filter(|record| record.name == name) {
                self.touch(slot.segment, &records)?;
                return Ok(Some((record, slot)));
            }
        }
        Ok(None)
    }

    /// Notes that a segment is used, for the order of eviction.
    fn touch(&self, segment: u16, records: &File) -> io::Result<()> {
        let now = self.clock.elapsed();
        let mut table = self.table.lock();
        let touched_at = &mut table.segments[usize::from(segment)].touched_at;
        if touched_at.is_some_and(|at| at + TOUCH_AGAIN > now) {
            return Ok(());
        }
        *touched_at = Some(now);
        drop(table);
        super::place::touch(records)
    }

    /// Looks at what all processes have appended, and at which segments there are. Nobody waits for that: until it is
    /// done, what is new is not found.
    pub(super) fn look_at_all(&self) -> io::Result<()> {
        let Some(_looking) = self.looking.try_lock() else { return Ok(()) };
        let ids: Vec<u64> = self.place.files(SEGMENTS)?.iter().filter_map(|file| id_of(file)).collect();
        let known: HashMap<u64, u16> = {
            let mut table = self.table.lock();
            table.looked_at = Some(self.clock.elapsed());
            (0..).zip(&table.segments).filter_map(|(number, segment)| Some((segment.id?, number))).collect()
        };
        for id in ids {
            let number = match known.get(&id) {
                Some(number) => *number,
                None => match self.table.lock().add(id) {
                    Some(number) => number,
                    None => continue,
                },
            };
            self.look_at(id, number)?;
        }
        Ok(())
    }

    /// Takes in the records of a segment that were not looked at yet.
    fn look_at(&self, id: u64, number: u16) -> io::Result<()> {
        let first = self.table.lock().segments[usize::from(number)].seen;
        let Some(facts) = self.place.facts(&records_path(id))? else { return Ok(()) };
        if facts.len / RECORD_BYTES as u64 <= first {
            return Ok(());
        }
        let Some(records) = self.place.find(&records_path(id), OFlags::empty())? else { return Ok(()) };
        let mut bytes = vec![0; (facts.len - first * RECORD_BYTES as u64) as usize];
        let read = super::words::read_up_to(&records, &mut bytes, first * RECORD_BYTES as u64)?;
        let complete = bytes[..read].chunks_exact(RECORD_BYTES);
        let end = (first + complete.len() as u64).min(MOST_RECORDS);
        let slots: Vec<Slot> = (first..end)
            .zip(complete)
            .filter_map(|(at, bytes)| Some(Slot { tag: SmallRecord::tag(bytes)?, segment: number, number: at as u16 }))
            .collect();
        let mut table = self.table.lock();
        table.slots.reserve(slots.len(), |slot| hash_of(slot.tag));
        // This process may have appended to it meanwhile.
        let known = std::mem::replace(&mut table.segments[usize::from(number)].seen, 0);
        slots.into_iter().filter(|slot| u64::from(slot.number) >= known).for_each(|slot| table.insert(slot));
        table.segments[usize::from(number)].seen = known.max(end);
        Ok(())
    }

    fn forget_segment(&self, number: u16) {
        let mut table = self.table.lock();
        table.segments[usize::from(number)].id = None;
        table.slots.retain(|slot| slot.segment != number);
    }

    /// Fills `into` with the bytes of a record. Where they are not what was written they are forgotten.
    pub(super) fn read(&self, record: &SmallRecord, into: &mut Vec<u8>) -> io::Result<Read> {
        let Some((known, slot)) = self.look_up(record.name)? else { return Ok(Read::Missing) };
        let id = self.table.lock().segments[usize::from(slot.segment)].id;
        let Some(id) = id else { return Ok(Read::Missing) };
        let Some(data) = self.place.find(&data_path(id), OFlags::empty())? else { return Ok(Read::Missing) };
        into.resize(known.len.min(SMALL_BYTES) as usize, 0);
        let is_right = match data.read_exact_at(into, known.offset) {
            Ok(()) => crc64(into) == known.crc64,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !is_right {
            self.forget(slot, id)?;
            return Ok(Read::Wrong);
        }
        Ok(Read::Right(Some(known.crc64)))
    }

    fn forget(&self, slot: Slot, id: u64) -> io::Result<()> {
        if let Some(records) = self.place.find(&records_path(id), OFlags::empty())? {
            records.write_all_at(&[0; RECORD_BYTES], u64::from(slot.number) * RECORD_BYTES as u64)?;
        }
        let mut table = self.table.lock();
        if let Ok(entry) = table.slots.find_entry(hash_of(slot.tag), |other| *other == slot) {
            entry.remove();
        }
        Ok(())
    }

    /// Removes an object, if it is there.
    pub(super) fn remove(&self, name: Name) -> io::Result<()> {
        let Some((_, slot)) = self.look_up(name)? else { return Ok(()) };
        let id = self.table.lock().segments[usize::from(slot.segment)].id;
        id.map_or(Ok(()), |id| self.forget(slot, id))
    }

    /// Appends an object, unless it is there. `stores_crc64` is the checksum that the store keeps of it: where the
    /// bytes have another, they are not kept. Returns the bytes written.
    pub(super) fn append(&self, name: Name, bytes: &[u8], stores_crc64: Option<u64>) -> io::Result<u64> {
        let crc = crc64(bytes);
        if stores_crc64.is_some_and(|expected| expected != crc) {
            return Ok(0);
        }
        let mut own = self.own.lock();
        // Another thread of this process may have just written it.
        if self.look_up(name)?.is_some() {
            return Ok(0);
        }
        if own.as_ref().is_none_or(|own| !own.has_room()) {
            *own = None;
            *own = Some(self.own()?);
        }
        let Some(segment) = own.as_mut() else { return Ok(0) };
        let (len, is_stores) = (bytes.len() as u64, stores_crc64.is_some());
        let record = SmallRecord { name, offset: segment.data_bytes, len, crc64: crc, is_stores };
        let appended = segment.append(&record, bytes);
        let (number, segment_number) = (segment.count - 1, segment.segment);
        if let Err(error) = appended {
            // Where it ends is not known any more.
            *own = None;
            return Err(error);
        }
        drop(own);
        let slot = Slot { tag: tag_of(name), segment: segment_number, number: number as u16 };
        let mut table = self.table.lock();
        table.insert(slot);
        let seen = &mut table.segments[usize::from(segment_number)].seen;
        *seen = (*seen).max(number + 1);
        Ok(len + RECORD_BYTES as u64)
    }

    /// A segment that no other process appends to, with room.
    fn own(&self) -> io::Result<Own> {
        let known: Vec<(u16, u64)> = {
            let table = self.table.lock();
            (0..).zip(&table.segments).filter_map(|(number, segment)| Some((number, segment.id?))).collect()
        };
        for (number, id) in known {
            if let Some(own) = self.take(number, id)? {
                return Ok(own);
            }
        }
        // Not seen by who looks for segments of others before it is known to be ours.
        let _looking = self.looking.lock();
        let id = rand::random();
        let records = self.place.make(&records_path(id))?;
        flock(&records, FlockOperation::NonBlockingLockExclusive)?;
        let data = self.place.make(&data_path(id))?;
        let too_many = || io::Error::other("there are too many segments");
        let segment = self.table.lock().add(id).ok_or_else(too_many)?;
        Ok(Own { segment, data, records, data_bytes: 0, count: 0 })
    }

    /// Takes a segment over; `None` where it is full, locked, or gone.
    fn take(&self, segment: u16, id: u64) -> io::Result<Option<Own>> {
        let Some(records) = self.place.find(&records_path(id), OFlags::empty())? else { return Ok(None) };
        let Some(data) = self.place.find(&data_path(id), OFlags::empty())? else { return Ok(None) };
        if flock(&records, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let found = records.metadata()?;
        // A torn record at the end is left as it is.
        let (count, data_bytes) = (found.len().div_ceil(RECORD_BYTES as u64), data.metadata()?.len());
        let own = Own { segment, data, records, data_bytes, count };
        Ok(Some(own).filter(|own| own.has_room() && found.nlink() > 0))
    }

    /// How many objects are known.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.table.lock().slots.len()
    }
}

impl Table {
    /// The number of a segment that was not known; `None` where there are too many.
    fn add(&mut self, id: u64) -> Option<u16> {
        let number = u16::try_from(self.segments.len()).ok()?;
        self.segments.push(Segment { id: Some(id), seen: 0, touched_at: None });
        Some(number)
    }

    fn insert(&mut self, slot: Slot) {
        self.slots.insert_unique(hash_of(slot.tag), slot, |slot| hash_of(slot.tag));
    }
}

impl Own {
    fn has_room(&self) -> bool {
        self.data_bytes < SEGMENT_BYTES && self.count < MOST_RECORDS
    }

    fn append(&mut self, record: &SmallRecord, bytes: &[u8]) -> io::Result<()> {
        // Counted first: what failed may have been written in part.
        let (offset, number) = (self.data_bytes, self.count);
        self.data_bytes += bytes.len() as u64;
        self.count += 1;
        self.data.write_all_at(bytes, offset)?;
        self.records.write_all_at(&record.encode(), number * RECORD_BYTES as u64)
    }
}

/// How many objects the records of a segment speak of, and their bytes; compared with their checksums where
/// `is_checked` says so, then with how many are wrong, and removed.
pub(super) fn count(place: &Place, id: u64, is_checked: bool) -> io::Result<(u64, u64, u64)> {
    let (mut objects, mut bytes, mut wrong) = (0, 0, 0);
    let Some(records) = place.find(&records_path(id), OFlags::empty())? else { return Ok((0, 0, 0)) };
    let data = place.find(&data_path(id), OFlags::empty())?;
    let mut all = vec![0; records.metadata()?.len() as usize];
    let read = super::words::read_up_to(&records, &mut all, 0)?;
    let mut memory = Vec::new();
    for (number, record) in (0..).zip(all[..read].chunks_exact(RECORD_BYTES)) {
        let Some(record) = SmallRecord::decode(record) else { continue };
        if is_checked {
            memory.resize(record.len.min(SMALL_BYTES) as usize, 0);
            let read = data.as_ref().map(|data| data.read_exact_at(&mut memory, record.offset));
            if !matches!(read, Some(Ok(()))) || crc64(&memory) != record.crc64 {
                records.write_all_at(&[0; RECORD_BYTES], number * RECORD_BYTES as u64)?;
                wrong += 1;
                continue;
            }
        }
        objects += 1;
        bytes += record.len;
    }
    Ok((objects, bytes, wrong))
}

#[cfg(test)]
mod tests {
    use super::super::map::Boot;
    use super::super::place::Access;
    use super::*;

    fn open(dir: &std::path::Path) -> Segments {
        let place = Place::open(dir, true, Access::Shared, Boot::of("boot")).unwrap();
        let segments = Segments::new(Arc::new(place), Clock::system());
        segments.look_at_all().unwrap();
        segments
    }

    fn name(number: u64) -> Name {
        Name(u128::from(number) << 64 | u128::from(crc64(&number.to_le_bytes())))
    }

    fn bytes(number: u64) -> Vec<u8> {
        (0..number % 1000 + 1).map(|at| (at * number) as u8).collect()
    }

    fn read(segments: &Segments, number: u64) -> Option<Vec<u8>> {
        let record = segments.find(name(number)).unwrap()?;
        let mut into = Vec::new();
        matches!(segments.read(&record, &mut into).unwrap(), Read::Right(Some(crc)) if crc == crc64(&into))
            .then_some(into)
    }

    #[test]
    fn a_record_is_read_as_it_was_written_or_not_at_all() {
        let record = SmallRecord { name: name(7), offset: 1, len: 2, crc64: 3, is_stores: true };
        let encoded = record.encode();
        assert_eq!(SmallRecord::decode(&encoded), Some(record));
        assert_eq!((SmallRecord::decode(&encoded[..63]), SmallRecord::decode(&[0; 64])), (None, None));
        for bit in 0..RECORD_BYTES * 8 {
            let mut garbled = encoded;
            garbled[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SmallRecord::decode(&garbled), None, "{bit}");
        }
    }

    #[test]
    fn objects_are_found_by_the_process_that_wrote_them_and_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let segments = open(dir.path());
        for number in 0..2000 {
            segments.append(name(number), &bytes(number), (number % 2 == 0).then(|| crc64(&bytes(number)))).unwrap();
        }
        assert_eq!(segments.append(name(9999), b"wrong", Some(1)).unwrap(), 0);
        assert_eq!(segments.append(name(7), &bytes(7), None).unwrap(), 0, "it is there");
        let next = open(dir.path());
        assert_eq!((next.count(), segments.count()), (2000, 2000));
        for segments in [&segments, &next] {
            for number in 0..2000 {
                assert_eq!(read(segments, number), Some(bytes(number)), "{number}");
                let record = segments.find(name(number)).unwrap().unwrap();
                assert_eq!(record.stores_crc64().is_some(), number % 2 == 0);
            }
            assert_eq!(read(segments, 9999), None);
        }
        // Two processes append to segments of their own.
        next.append(name(5000), b"five", None).unwrap();
        segments.append(name(5001), b"six", None).unwrap();
        let ids = next.place.files(SEGMENTS).unwrap().iter().filter_map(|file| id_of(file)).count();
        assert_eq!(ids, 2);
        drop((segments, next));
        let later = open(dir.path());
        assert_eq!((read(&later, 5000).unwrap(), read(&later, 5001).unwrap()), (b"five".to_vec(), b"six".to_vec()));
        later.append(name(5002), b"seven", None).unwrap();
        assert_eq!(later.place.files(SEGMENTS).unwrap().len(), 4, "a segment is gone on with");
    }

    #[test]
    fn what_another_process_appends_is_seen_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (open(dir.path()), open(dir.path()));
        one.append(name(1), b"one", None).unwrap();
        let clock = Clock::system();
        while read(&other, 1).is_none() {
            assert!(clock.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        one.append(name(2), b"two", None).unwrap();
        other.look_at_all().unwrap();
        assert_eq!((other.count(), read(&other, 2)), (2, Some(b"two".to_vec())));
    }

    #[test]
    fn torn_records_wrong_bytes_and_segments_that_are_gone_are_misses() {
        let dir = tempfile::tempdir().unwrap();
        let segments = open(dir.path());
        for number in 1..=3 {
            segments.append(name(number), &bytes(number), None).unwrap();
        }
        let id = segments.place.files(SEGMENTS).unwrap().iter().find_map(|file| id_of(file)).unwrap();
        let data = segments.place.find(&data_path(id), OFlags::empty()).unwrap().unwrap();
        data.write_all_at(&[0x55], 3).unwrap();
        assert_eq!(
            (read(&segments, 1), read(&segments, 2), read(&segments, 3)),
            (Some(bytes(1)), None, Some(bytes(3)))
        );
        assert_eq!(segments.count(), 2);
        drop(segments);
        let records = open(dir.path()).place.find(&records_path(id), OFlags::empty()).unwrap().unwrap();
        records.set_len(3 * RECORD_BYTES as u64 - 10).unwrap();
        let segments = open(dir.path());
        assert_eq!((read(&segments, 1), read(&segments, 3)), (Some(bytes(1)), None));
        segments.append(name(4), b"four", None).unwrap();
        let next = open(dir.path());
        assert_eq!((read(&next, 4), read(&next, 1)), (Some(b"four".to_vec()), Some(bytes(1))));
        assert_eq!(count(&next.place, id, false).unwrap(), (2, 2 + 4, 0));
        next.place.remove(&records_path(id)).unwrap();
        assert_eq!((read(&next, 1), next.count()), (None, 0));
        assert_eq!(count(&next.place, id, true).unwrap(), (0, 0, 0));
    }

    #[test]
    fn a_full_segment_is_followed_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let segments = open(dir.path());
        let large = vec![7; SMALL_BYTES as usize - 1];
        for number in 0..70 {
            segments.append(name(number), &large, None).unwrap();
        }
        assert_eq!(segments.place.files(SEGMENTS).unwrap().len(), 4);
        assert!((0..70).all(|number| read(&segments, number).as_deref() == Some(&large)));
    }
}
