//! What commands show, check and remove of a cache directory, whether mounts use it or not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::held::Held;
use super::identity::{Identity, Name};
use super::map::{BLOCK_BYTES, Boot, Header};
use super::place::{Access, Facts, OBJECTS, OPENS, Place, SEGMENTS, map_path};
use super::segments;
use crate::base::ByteRange;

/// Bytes that are checked at a time.
const CHECKED_BYTES: u64 = 32 * BLOCK_BYTES;

/// What a cache directory holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survey {
    /// Objects of which something is there.
    pub objects: u64,
    /// Of these, those of which all is there.
    pub complete_objects: u64,
    /// Bytes of objects that are there.
    pub bytes: u64,
    /// Bytes that the files take on disk.
    pub disk_bytes: u64,
    /// When the object that was used longest ago was used, in seconds since 1970.
    pub oldest_use: Option<i64>,
    /// Bytes that are free on the file system.
    pub free_bytes: u64,
    /// Blocks and small objects that were checked, and were right.
    pub right_blocks: u64,
    /// Blocks and small objects that were not what had been written, and were removed.
    pub wrong_blocks: u64,
}

/// What a directory holds, as its maps tell. Fails with a sentence.
pub fn survey(dir: &Path) -> io::Result<Survey> {
    look(dir, false)
}

/// The same, with every byte read and compared with its checksum. What is wrong is removed: mounts fetch it again.
pub fn verify(dir: &Path) -> io::Result<Survey> {
    look(dir, true)
}

/// Removes all objects of a directory that no mount uses. Returns the bytes that were freed.
pub fn clear(dir: &Path) -> io::Result<u64> {
    let place = Place::open(dir, true, Access::Alone, Boot::now())?;
    let mut bytes = 0;
    for (directory, files) in place.objects()? {
        for file in files {
            let path = format!("{OBJECTS}/{directory}/{file}");
            bytes += place.facts(&path)?.map_or(0, |facts| facts.bytes);
            place.remove(&path)?;
        }
    }
    for file in place.files(SEGMENTS)? {
        let path = format!("{SEGMENTS}/{file}");
        bytes += place.facts(&path)?.map_or(0, |facts| facts.bytes);
        place.remove(&path)?;
    }
    // No daemon has it open, and the next one makes it anew.
    place.remove(OPENS)?;
    place.usage.freed(u64::MAX)?;
    Ok(bytes)
}

fn look(dir: &Path, is_checked: bool) -> io::Result<Survey> {
    let place = Arc::new(Place::open(dir, true, Access::Shared, Boot::now())?);
    let mut found = Survey { free_bytes: place.free()?.bytes, ..Survey::default() };
    for (directory, files) in place.objects()? {
        for file in &files {
            let Some(facts) = place.facts(&format!("{OBJECTS}/{directory}/{file}"))? else { continue };
            found.disk_bytes += facts.bytes;
            let Some(name) = file.strip_suffix(".m").and_then(Name::parse) else { continue };
            if let Some(held) = identity(&place, name)?.and_then(|known| Held::find(&place, &known).transpose()) {
                found.add(&held?, facts, is_checked)?;
            }
        }
    }
    for file in place.files(SEGMENTS)? {
        let Some(facts) = place.facts(&format!("{SEGMENTS}/{file}"))? else { continue };
        found.disk_bytes += facts.bytes;
        let Some(id) = segments::id_of(&file) else { continue };
        let (objects, bytes, wrong) = segments::count(&place, id, is_checked)?;
        (found.objects, found.complete_objects) = (found.objects + objects, found.complete_objects + objects);
        (found.bytes, found.wrong_blocks) = (found.bytes + bytes, found.wrong_blocks + wrong);
        found.right_blocks += if is_checked { objects } else { 0 };
        found.is_used(facts);
    }
    Ok(found)
}

fn identity(place: &Place, name: Name) -> io::Result<Option<Identity>> {
    let Some(map) = place.find(&map_path(name), OFlags::empty())? else { return Ok(None) };
    Ok(Header::read(&map).map(|header| header.identity))
}

impl Survey {
    fn add(&mut self, held: &Held, facts: Facts, is_checked: bool) -> io::Result<()> {
        if is_checked {
            self.check(held)?;
        }
        let bytes = held.held_bytes()?;
        self.objects += 1;
        self.complete_objects += u64::from(bytes == held.size());
        self.bytes += bytes;
        self.is_used(facts);
        Ok(())
    }

    fn is_used(&mut self, facts: Facts) {
        let used = facts.modified.0;
        self.oldest_use = Some(self.oldest_use.map_or(used, |oldest| oldest.min(used)));
    }

    fn check(&mut self, held: &Held) -> io::Result<()> {
        let mut memory = vec![0; CHECKED_BYTES as usize];
        for start in (0..held.size()).step_by(CHECKED_BYTES as usize) {
            let range = ByteRange::new(start, (start + CHECKED_BYTES).min(held.size()));
            let (right, wrong) = held.check(range, &mut memory[..range.len() as usize])?;
            self.right_blocks += right;
            self.wrong_blocks += wrong;
        }
        Ok(())
    }
}
