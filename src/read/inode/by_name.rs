//! The part of an inode that prefetches by name and pins use, and what is held of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inode;
use crate::base::ByteRange;
use crate::read::object::Held;
use crate::read::part::Part;
use crate::read::why::{Goal, Why};

impl Inode {
    /// All of it is asked for: fetching may begin now, from the first byte.
    pub(in crate::read) fn ask_for_all(&self) {
        let mut state = self.state.lock();
        state.asked += 1;
        state.goals.begin(Why::AskedFor);
    }

    /// What asked for it has it, or no longer wants it. What is fetched for the object's readers goes on.
    pub(in crate::read) fn ask_no_more(&self) {
        let mut state = self.state.lock();
        state.asked -= 1;
        if state.asked == 0 {
            state.goals.set(Why::AskedFor, Goal::None);
        }
    }

    /// Whether GETs that were asked for are yet to be started.
    pub(in crate::read) fn is_warming_up(&self) -> bool {
        let state = self.state.lock();
        state.broken.is_none() && matches!(state.goals.of(Why::AskedFor), Goal::Below(_))
    }

    /// The longest GET that it is fetched in, in bytes.
    pub(in crate::read) fn max_part_bytes(&self) -> u64 {
        self.max_part_bytes
    }

    /// The parts whose bytes are all in.
    pub(in crate::read) fn complete_parts(&self) -> Vec<Arc<Part>> {
        self.state.lock().parts.values().filter(|part| part.is_complete()).cloned().collect()
    }

    /// The parts that hold some of a range, or will.
    pub(in crate::read) fn parts_of(&self, range: ByteRange) -> Vec<Arc<Part>> {
        let state = self.state.lock();
        let parts = state.parts.range(..range.end).rev().map(|(_, part)| part);
        parts.take_while(|part| part.range.end > range.start).cloned().collect()
    }

    /// The checksum that the store keeps of the whole object, once it is known.
    pub(in crate::read) fn checksum(&self) -> Option<u64> {
        self.state.lock().crc64
    }

    /// What is held of it.
    pub(in crate::read) fn held(&self) -> Held {
        let state = self.state.lock();
        Held {
            ino: self.object.ino,
            key: self.object.key.as_str().to_owned(),
            size: self.object.size,
            held_bytes: state.parts.values().map(|part| part.head().len() as u64).sum(),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
            used_bytes: self.used_bytes.load(Ordering::Relaxed),
            handles: self.handles.load(Ordering::Relaxed),
            streams: state.streams.len(),
            is_pinned: self.is_pinned.load(Ordering::Relaxed),
        }
    }
}
