//! Comparing what has arrived of an object with the checksum that the store keeps, and what is undone after a
//! mismatch.
//!
//! Bytes that come again (what was given up meanwhile, what the kernel dropped) are compared with those that came
//! before, as far as their borders meet; all of them are part of a new pass over the object, which is compared as the
//! first one was. What is held of an object is good only if those bytes are: that an earlier pass was good says nothing
//! of a part that came since.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inode, State};
use crate::base::crc64::combine;
use crate::base::{ByteRange, Stretches};
use crate::read::Verify;
use crate::read::budget::Budget;
use crate::read::buffer::Buffer;
use crate::read::integrity::{Agreement, Checksums, Verified};
use crate::read::part::Part;
use crate::read::pool::capacity_for;
use crate::store::ErrorKind;

/// So much of an object may have come in pieces too small for its backing file, and is moved there when all else is.
/// Copying it takes a millisecond, under the lock.
const MOVED_BYTES: u64 = 8 << 20;
/// A forgotten object's checksums are kept where they are so few at most: of what was read in order there is one.
const MOST_KEPT: usize = 64;

/// What became of a part whose last byte has come.
#[derive(Debug)]
pub(in crate::read) enum Arrival {
    /// Its last bytes may be handed out.
    Good,
    /// The same, and with it the whole object has been checked.
    Verified,
    /// Some bytes that have come are wrong: nothing of the object may be handed out any more.
    Corrupt(Evidence),
}

/// What is known of bytes that are wrong.
#[derive(Debug, Default)]
pub(in crate::read) struct Evidence {
    /// These bytes came twice, and not the same.
    pub(in crate::read) contradiction: Option<ByteRange>,
    /// The whole object as it came, stretch by stretch; empty where it did not all come.
    pub(in crate::read) pass: Checksums,
    /// The checksum that the store keeps of the whole.
    pub(in crate::read) expected: u64,
}

/// What is left of an object whose bytes are wrong.
pub(in crate::read) struct Condemned {
    /// Whether its reads fail from now on. Else nothing had been handed out, and all is fetched again.
    pub(in crate::read) is_broken: bool,
    /// What was held of it or on its way, to be dropped.
    pub(in crate::read) parts: Vec<Arc<Part>>,
}

impl Inode {
    /// Whether checksums of parts are of any use.
    pub(in crate::read) fn is_verifiable(&self) -> bool {
        self.verify == Verify::Crc64 && self.state.lock().crc64.is_some()
    }

    /// Whether a part should be handed out only once it was checked: it is the whole of a small object, so that the
    /// check delays nothing and a garbled answer can be replaced before a program saw it.
    pub(in crate::read) fn is_checked_first(&self, part: &Part) -> bool {
        part.range.len() == self.object.size && self.object.size <= self.tuning.small_object_bytes
    }

    /// Records a part's checksum, before its last bytes are handed out; `bytes` are all of them. Compares when it
    /// completes the object.
    pub(in crate::read) fn arrived(&self, part: &Part, crc: u64, bytes: &[u8]) -> Arrival {
        part.checked(crc);
        let mut state = self.state.lock();
        let Some(expected) = state.crc64 else { return Arrival::Good };
        let before = state.good.compare(part.range, crc, bytes);
        if before == Agreement::Differs || state.coverage.add(part.range, crc, bytes) == Agreement::Differs {
            let contradiction = Some(part.range);
            return Arrival::Corrupt(Evidence { contradiction, pass: Checksums::default(), expected });
        }
        if let Some(whole) = state.coverage.whole(self.object.size) {
            let pass = std::mem::take(&mut state.coverage);
            if whole != expected {
                return Arrival::Corrupt(Evidence { contradiction: None, pass, expected });
            }
            (state.good, state.verified) = (pass, true);
            return Arrival::Verified;
        }
        // The bytes held may be whole though the pass is not: the others came with an earlier one.
        let is_unsure = state.verified && before == Agreement::Unknown;
        if is_unsure && state.held(self.object.size, Some(part)).is_some_and(|held| held != expected) {
            return Arrival::Corrupt(Evidence { expected, ..Evidence::default() });
        }
        Arrival::Good
    }

    /// Takes back all that has come. Reads that were given parts before find out by [`Inode::hand_out`].
    pub(in crate::read) fn condemn(&self) -> Condemned {
        let mut state = self.state.lock();
        // Before the look at `handed_out`, as `hand_out` has it the other way round: one of the two sees the other.
        self.generation.fetch_add(1, Ordering::SeqCst);
        let is_broken = self.handed_out.load(Ordering::SeqCst) || state.refetched;
        if is_broken {
            let message = "the object's bytes differ from the checksum that the store keeps";
            state.broken.get_or_insert_with(|| self.error(ErrorKind::Corrupt, message));
        }
        (state.refetched, state.verified) = (true, false);
        state.coverage.clear();
        state.good.clear();
        state.passed_on = Stretches::default();
        Condemned { is_broken, parts: std::mem::take(&mut state.parts).into_values().collect() }
    }

    /// Takes back all that has come, of which nobody says that it is wrong.
    pub(in crate::read) fn take_back(&self) -> Vec<Arc<Part>> {
        let mut state = self.state.lock();
        self.generation.fetch_add(1, Ordering::SeqCst);
        state.coverage.clear();
        state.passed_on = Stretches::default();
        std::mem::take(&mut state.parts).into_values().collect()
    }

    /// Which parts a read is about to be given: those of this generation.
    pub(in crate::read) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Bytes of parts of that generation are about to be handed out; false where they must not be any more.
    pub(in crate::read) fn hand_out(&self, generation: u64) -> bool {
        if !self.handed_out.load(Ordering::SeqCst) {
            self.handed_out.store(true, Ordering::SeqCst);
        }
        self.generation.load(Ordering::SeqCst) == generation
    }

    /// How much of the object has been checked.
    pub(in crate::read) fn verified(&self) -> Verified {
        let state = self.state.lock();
        match state.verified {
            true => Verified::Yes,
            false if state.coverage.is_empty() => Verified::No,
            false => Verified::Partial,
        }
    }

    /// What is worth knowing of the object when it is opened again: the kernel may hold the pages of what has come.
    /// `None` where that is nothing, or where the next open may mean another version.
    pub(in crate::read) fn unfinished(&self) -> Option<Checksums> {
        let mut state = self.state.lock();
        let is_of_use = self.handed_out.load(Ordering::SeqCst) && self.object.etag.is_some();
        if state.broken.is_some() || state.verified || !is_of_use {
            return None;
        }
        let coverage = std::mem::take(&mut state.coverage);
        if coverage.is_empty() { None } else { coverage.in_brief(MOST_KEPT) }
    }

    /// What had come of the object, and was handed out, before it was forgotten.
    pub(in crate::read) fn go_on(&self, coverage: Checksums) {
        self.state.lock().coverage = coverage;
        self.handed_out.store(true, Ordering::SeqCst);
    }

    /// Every part of the object, in order and all of them in its backing file: those that came in small pieces are
    /// moved there, in memory from `budget`. `None` while bytes are missing or were not compared with the checksum that
    /// the store keeps. `Err` where these very bytes differ from it.
    pub(in crate::read) fn all_in_backing_file(
        &self,
        budget: &Arc<Budget>,
    ) -> Result<Option<Vec<Arc<Part>>>, Evidence> {
        let Some(Some(file)) = self.backing_file.get().filter(|_| !self.proof.is_wanted()) else { return Ok(None) };
        let mut state = self.state.lock();
        if state.broken.is_some() || !state.is_whole(self.object.size) {
            return Ok(None);
        }
        let expected = state.crc64.filter(|_| self.verify == Verify::Crc64);
        if let Some(expected) = expected {
            match state.held(self.object.size, None) {
                Some(held) if held == expected => {}
                Some(_) => return Err(Evidence { expected, ..Evidence::default() }),
                None => return Ok(None),
            }
        }
        let strangers: Vec<Arc<Part>> = state.parts.values().filter(|part| !part.is_in(file)).cloned().collect();
        if strangers.iter().map(|part| part.range.len()).sum::<u64>() > MOVED_BYTES {
            return Ok(None);
        }
        for part in strangers {
            let Some(stretch) = file.claim(part.range) else { return Ok(None) };
            let grant = budget.overdraw(capacity_for(part.range.len()));
            // The kernel will read all of it, unseen.
            self.hands_over(&part, part.range);
            let moved = part.moved_to(Buffer::copied_to_file(part.head(), stretch, grant));
            state.parts.insert(part.range.start, moved);
        }
        let parts: Vec<_> = state.parts.values().cloned().collect();
        for part in &parts {
            self.hands_over(part, part.range);
        }
        self.handed_out.store(true, Ordering::SeqCst);
        Ok(Some(parts))
    }
}

impl State {
    fn is_whole(&self, size: u64) -> bool {
        let next = |at, part: &Arc<Part>| (part.range.start == at && part.is_complete()).then_some(part.range.end);
        self.parts.values().try_fold(0, next) == Some(size)
    }

    /// The checksum of all `size` bytes as they are held, `last` counted in, which is complete but for saying so.
    /// `None` where some are missing or were not checked.
    fn held(&self, size: u64, last: Option<&Part>) -> Option<u64> {
        let next = |(at, joined): (u64, u64), part: &Arc<Part>| {
            let is_there = part.is_complete() || last.is_some_and(|last| last.id == part.id);
            let crc = part.crc().filter(|_| is_there && part.range.start == at)?;
            Some((part.range.end, combine(joined, crc, part.range.len())))
        };
        let (end, joined) = self.parts.values().try_fold((0, 0), next)?;
        (end == size).then_some(joined)
    }
}
