//! How much a cache directory may hold, and what goes when that is too much.
//!
//! Bytes are claimed before they are written, in a count that all daemons of a directory share, so that the limit is
//! never passed. A scan puts the count right. Objects go as a whole, the one that was used longest ago first; never by
//! punching or cutting, since others may have their files open.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::identity::Name;
use super::map::Header;
use super::place::{Facts, OBJECTS, Place, SEGMENTS, data_path, map_path};
use super::segments;
use crate::base::{ByteSize, Clock};
use crate::metrics::{Metric, Metrics};

/// How much may be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most bytes that the cache takes; `None` where `free_bytes` alone limits it.
    pub(super) size_bytes: Option<u64>,
    /// What stays free on the file system; `None` is the larger of [`FREE_BYTES`] and a twentieth of it.
    pub(super) free_bytes: Option<u64>,
}

/// What stays free on a file system at least, unless it is said.
const FREE_BYTES: u64 = 10 << 30;
/// A scan is as good as new for so long where nothing could be evicted by it.
const SCAN_AGAIN: Duration = Duration::from_secs(10);
/// What is not complete for so long was left behind by a process that ended.
const LEFT_BEHIND_SECONDS: i64 = 3600;

impl Limits {
    /// What must stay free of a file system of so many bytes.
    pub(super) fn free_bytes(&self, total_bytes: u64) -> u64 {
        self.free_bytes.unwrap_or_else(|| FREE_BYTES.max(total_bytes / 20))
    }

    /// Fails with a sentence where a directory could not hold anything.
    pub(super) fn check(&self, place: &Place) -> io::Result<()> {
        let (free, used) = (place.free()?, place.usage.used()?);
        let kept = self.free_bytes(free.total_bytes);
        if free.bytes + used > kept {
            return Ok(());
        }
        let (dir, free, kept) = (place.path().display(), ByteSize(free.bytes >> 20 << 20), ByteSize(kept >> 20 << 20));
        Err(io::Error::other(format!(
            "the file system of {dir} has {free} free, and cache-free keeps {kept} free: make room or give a smaller \
             cache-free"
        )))
    }
}

/// The room of one directory.
#[derive(Debug)]
pub(super) struct Room {
    place: Arc<Place>,
    limits: Limits,
    metrics: Arc<Metrics>,
    clock: Clock,
    known: Mutex<Known>,
}

/// What the last scan found.
#[derive(Debug, Default)]
struct Known {
    /// By when they were used last.
    victims: BinaryHeap<Reverse<(Timestamp, Victim)>>,
    scanned_at: Option<Duration>,
}

type Timestamp = (i64, i64);

/// What goes as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Victim {
    Object(Name),
    /// A segment of small objects.
    Segment(u64),
}

/// What a directory holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Content {
    /// Objects of which something is there.
    pub(super) objects: u64,
    /// Bytes on disk, those of maps included.
    pub(super) bytes: u64,
}

impl Room {
    pub(super) fn new(place: Arc<Place>, limits: Limits, metrics: Arc<Metrics>, clock: Clock) -> Room {
        Room { place, limits, metrics, clock, known: Mutex::default() }
    }

    /// Claims room for bytes that are about to be written, and evicts for it. False where there is none: then they must
    /// not be written. Where there is, [`Room::settle`] must be told what was.
    pub(super) fn claim(&self, bytes: u64) -> io::Result<bool> {
        let used = self.place.usage.claim(bytes)?;
        let has_room = self.make_room(used);
        if !matches!(has_room, Ok(true)) {
            self.settle(bytes, 0)?;
        }
        has_room
    }

    fn make_room(&self, used: u64) -> io::Result<bool> {
        Ok(self.has_room(used)? || self.evict_for(used)? && self.has_room(self.place.usage.used()?)?)
    }

    /// Of bytes that were claimed so many were written; the rest is given back.
    pub(super) fn settle(&self, claimed: u64, written: u64) -> io::Result<()> {
        self.place.usage.settle(claimed, written)
    }

    /// The bytes that objects may take in all, about.
    pub(super) fn capacity(&self) -> io::Result<u64> {
        let free = self.place.free()?;
        let usable = (self.place.usage.used()? + free.bytes).saturating_sub(self.limits.free_bytes(free.total_bytes));
        Ok(self.limits.size_bytes.map_or(usable, |most| most.min(usable)))
    }

    /// Whether something would have to go for an object of so many bytes. The twentieth that an eviction leaves free is
    /// for what was let in by then: it is no room for others, or each that is let in would let in some more.
    pub(super) fn is_full_for(&self, bytes: u64) -> io::Result<bool> {
        Ok(self.excess(self.place.usage.used()? + self.slack() + bytes)? > 0 || self.short_by(bytes)? > 0)
    }

    /// What is evicted beyond what is needed, so that it is not for each part anew.
    fn slack(&self) -> u64 {
        self.limits.size_bytes.map_or(0, |most| most / 20)
    }

    fn has_room(&self, used: u64) -> io::Result<bool> {
        Ok(self.excess(used)? == 0 && self.short_by(0)? == 0)
    }

    fn excess(&self, used: u64) -> io::Result<u64> {
        Ok(self.limits.size_bytes.map_or(0, |most| used.saturating_sub(most)))
    }

    /// How much less is free than must stay so once so many bytes are written.
    fn short_by(&self, bytes: u64) -> io::Result<u64> {
        let free = self.place.free()?;
        let lacks_files = free.total_files > 0 && free.files < free.total_files / 20;
        let short = (self.limits.free_bytes(free.total_bytes) + bytes).saturating_sub(free.bytes);
        // However few bytes a file has, one more can be made once it is gone.
        Ok(short.max(u64::from(lacks_files)))
    }

    /// Evicts until a twentieth of the limit is free. False where nothing went.
    fn evict_for(&self, used: u64) -> io::Result<bool> {
        let wanted = match self.excess(used)? {
            0 => self.short_by(0)?,
            excess => (excess + self.slack()).max(self.short_by(0)?),
        };
        Ok(self.evict(wanted)? > 0)
    }

    /// Evicts where others have filled the file system.
    pub(super) fn relieve(&self) -> io::Result<()> {
        let (used, short) = (self.place.usage.used()?, self.short_by(0)?);
        let wanted = short.max(self.excess(used)?);
        if wanted > 0 && used > 0 {
            self.evict(wanted)?;
        }
        Ok(())
    }

    /// Evicts objects of so many bytes in all, or what there is. Returns how many bytes went; none where another
    /// process is at it.
    fn evict(&self, wanted: u64) -> io::Result<u64> {
        let Some(mut known) = self.known.try_lock() else { return Ok(0) };
        let Some(_turn) = self.place.turn_to_evict()? else { return Ok(0) };
        let (mut gone_bytes, mut has_scanned) = (0, false);
        while gone_bytes < wanted {
            let Some(Reverse((used_at, victim))) = known.victims.pop() else {
                let now = self.clock.elapsed();
                if has_scanned || gone_bytes > 0 && known.scanned_at.is_some_and(|at| at + SCAN_AGAIN > now) {
                    break;
                }
                self.scan_into(&mut known)?;
                has_scanned = true;
                continue;
            };
            match self.remove(victim, used_at)? {
                Removal::Gone { bytes } => {
                    gone_bytes += bytes;
                    self.metrics.add(Metric::DiskEvicted, bytes);
                }
                Removal::UsedSince(used_at) => known.victims.push(Reverse((used_at, victim))),
                Removal::InUse => {}
            }
        }
        Ok(gone_bytes)
    }

    /// Removes what was used last then, unless it is in use.
    fn remove(&self, victim: Victim, used_at: Timestamp) -> io::Result<Removal> {
        let path = match victim {
            Victim::Object(name) => map_path(name),
            Victim::Segment(id) => segments::records_path(id),
        };
        let Some(file) = self.place.find(&path, OFlags::empty())? else { return Ok(Removal::Gone { bytes: 0 }) };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(Removal::InUse);
        }
        let found = file.metadata()?;
        let modified = (found.mtime(), found.mtime_nsec());
        if modified > used_at {
            return Ok(Removal::UsedSince(modified));
        }
        let data = match victim {
            Victim::Object(name) => self.nonce(name)?.map(|nonce| data_path(name, nonce)),
            Victim::Segment(id) => Some(segments::data_path(id)),
        };
        let mut bytes = found.blocks() * 512;
        self.place.remove(&path)?;
        if let Some(data) = data {
            bytes += self.place.facts(&data)?.map_or(0, |facts| facts.bytes);
            self.place.remove(&data)?;
        }
        self.place.usage.freed(bytes)?;
        Ok(Removal::Gone { bytes })
    }

    /// Looks at all that there is: what may be evicted, how much is used, what was left behind.
    pub(super) fn scan(&self) -> io::Result<Content> {
        self.scan_into(&mut self.known.lock())
    }

    fn scan_into(&self, known: &mut Known) -> io::Result<Content> {
        let before = self.place.usage.before()?;
        let now = self.clock.now().seconds;
        let (mut content, mut victims) = (Content::default(), Vec::new());
        for file in self.place.files(SEGMENTS)? {
            let Some(facts) = self.place.facts(&format!("{SEGMENTS}/{file}"))? else { continue };
            content.bytes += facts.bytes;
            if let Some(id) = segments::id_of(&file) {
                victims.push(Reverse((facts.modified, Victim::Segment(id))));
            }
        }
        for (directory, names) in self.place.objects()? {
            let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for file in &names {
                by_name.entry(file.split_once('.').map_or(file.as_str(), |(name, _)| name)).or_default().push(file);
            }
            for (name, files) in by_name {
                let facts = |file: &&str| self.place.facts(&format!("{OBJECTS}/{directory}/{file}"));
                let facts: Vec<Option<Facts>> = files.iter().map(facts).collect::<io::Result<_>>()?;
                content.bytes += facts.iter().flatten().map(|facts| facts.bytes).sum::<u64>();
                let map = files.iter().zip(&facts).find(|(file, _)| file.ends_with(".m"));
                let found = map.and_then(|(_, facts)| *facts).zip(Name::parse(name));
                let is_pair = files.len() == 2 && found.is_some();
                if let Some((facts, name)) = found {
                    content.objects += 1;
                    victims.push(Reverse((facts.modified, Victim::Object(name))));
                }
                if !is_pair {
                    content.bytes -= self.remove_left_behind(&directory, (name, &files, &facts), now)?;
                }
            }
        }
        self.place.usage.correct(content.bytes, before)?;
        known.victims = victims.into();
        known.scanned_at = Some(self.clock.elapsed());
        Ok(content)
    }

    /// Removes what a process that ended has left of an object: data without a map, data of an earlier map, maps that
    /// have no name yet. Returns their bytes.
    fn remove_left_behind(
        &self,
        directory: &str,
        (name, files, facts): (&str, &[&str], &[Option<Facts>]),
        now: i64,
    ) -> io::Result<u64> {
        let nonce = Name::parse(name).map(|name| self.nonce(name)).transpose()?.flatten();
        let data = nonce.map(|nonce| format!("{name}.{nonce:016x}"));
        let mut bytes = 0;
        for (file, facts) in files.iter().zip(facts) {
            let is_part = nonce.is_some() && (*file == format!("{name}.m") || Some(*file) == data.as_deref());
            let Some(facts) = facts.filter(|facts| facts.modified.0 + LEFT_BEHIND_SECONDS < now && !is_part) else {
                continue;
            };
            self.place.remove(&format!("{OBJECTS}/{directory}/{file}"))?;
            bytes += facts.bytes;
        }
        Ok(bytes)
    }

    fn nonce(&self, name: Name) -> io::Result<Option<u64>> {
        let Some(map) = self.place.find(&map_path(name), OFlags::empty())? else { return Ok(None) };
        Ok(Header::read(&map).map(|header| header.nonce))
    }
}

/// What became of an object that was to go.
enum Removal {
    Gone { bytes: u64 },
    UsedSince(Timestamp),
    InUse,
}
