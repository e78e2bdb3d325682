//! What a program does, as the daemon sees it: opens, reads and closes, thread by thread.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::ByteRange;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const PAGE: u64 = 4 * KIB;
/// The readahead that a mount has.
const READAHEAD: u64 = MIB;
/// So many page faults that no readahead had foreseen, and the kernel reads single pages.
const LOTS_OF_MISSES: u32 = 100;

/// An object of a trace.
#[derive(Clone, Debug)]
pub(super) struct TraceFile {
    pub(super) key: String,
    pub(super) size: u64,
    /// Its first bytes; the others are zeros.
    pub(super) head: Bytes,
}

/// What a thread does next. Files are named by their place among those of the trace.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Open(usize),
    Read(usize, ByteRange),
    Close(usize),
}

/// A program.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) files: Vec<TraceFile>,
    /// What each of its threads does. Each has its own descriptors.
    pub(super) threads: Vec<Vec<Act>>,
}

impl Trace {
    /// A program of one thread, over these files.
    pub(super) fn new(files: Vec<TraceFile>) -> Self {
        Trace { files, threads: vec![Vec::new()] }
    }

    pub(super) fn act(&mut self, act: Act) {
        self.threads.last_mut().unwrap().push(act);
    }

    /// Opens a file, reads these ranges and closes it.
    pub(super) fn session(&mut self, file: usize, reads: impl IntoIterator<Item = ByteRange>) {
        self.act(Act::Open(file));
        self.reads(file, reads);
        self.act(Act::Close(file));
    }

    pub(super) fn reads(&mut self, file: usize, reads: impl IntoIterator<Item = ByteRange>) {
        reads.into_iter().for_each(|read| self.act(Act::Read(file, read)));
    }

    /// The same program once more, after the first time.
    pub(super) fn twice(mut self) -> Self {
        self.threads.iter_mut().for_each(|acts| acts.extend_from_within(..));
        self
    }
}

/// Files that hold zeros.
pub(super) fn files(count: usize, name: &str, size: u64) -> Vec<TraceFile> {
    let file = |index: usize| TraceFile { key: name.replace('#', &format!("{index:05}")), size, head: Bytes::new() };
    (0..count).map(file).collect()
}

/// Reads of `len` bytes in order.
pub(super) fn in_order(range: ByteRange, len: u64) -> impl Iterator<Item = ByteRange> {
    (range.start..range.end).step_by(len as usize).map(move |at| ByteRange::new(at, (at + len).min(range.end)))
}

/// What the kernel asks for where a program reads a file in small pieces through the page cache: its readahead grows
/// from 256 KiB.
pub(super) fn buffered(size: u64) -> impl Iterator<Item = ByteRange> {
    let first = [ByteRange::new(0, 256 * KIB), ByteRange::new(256 * KIB, 768 * KIB)];
    let from = first[1].end;
    first.into_iter().chain(in_order(ByteRange::new(from, size), READAHEAD))
}

/// The page cache of a file that is mapped, and what faults make it ask for.
#[derive(Default)]
pub(super) struct Mapping {
    pages: BTreeSet<u64>,
    misses: u32,
    size: u64,
}

impl Mapping {
    pub(super) fn new(size: u64) -> Self {
        Mapping { size, ..Mapping::default() }
    }

    /// One whose program has told the kernel that it jumps: no page is read ahead.
    pub(super) fn read_at_random(size: u64) -> Self {
        Mapping { misses: u32::MAX / 2, ..Mapping::new(size) }
    }

    /// Touches these bytes: the reads that it takes. Around a fault the kernel reads what it is allowed to read ahead,
    /// half of it before the fault; after many misses it reads single pages.
    pub(super) fn touch(&mut self, bytes: ByteRange) -> Vec<ByteRange> {
        let mut reads = Vec::new();
        for page in bytes.start / PAGE..bytes.end.div_ceil(PAGE) {
            if self.pages.contains(&page) {
                self.misses = self.misses.saturating_sub(1);
                continue;
            }
            self.misses += 1;
            let (before, ahead) = match self.misses > LOTS_OF_MISSES {
                true => (0, 1),
                false => (READAHEAD / PAGE / 2, READAHEAD / PAGE),
            };
            let start = page.saturating_sub(before);
            let end = (start + ahead).min(self.size.div_ceil(PAGE));
            let missing: Vec<u64> = (start..end).filter(|page| !self.pages.contains(page)).collect();
            for run in missing.chunk_by(|one, next| one + 1 == *next) {
                reads.push(ByteRange::new(run[0] * PAGE, ((run[run.len() - 1] + 1) * PAGE).min(self.size)));
            }
            self.pages.extend(missing);
        }
        reads
    }
}
