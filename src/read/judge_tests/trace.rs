//! What a program does, as the daemon sees it: opens, reads and closes, thread by thread.

use std::time::Duration;

use bytes::Bytes;

use crate::base::ByteRange;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const PAGE: u64 = 4 * KIB;

/// An object of a trace.
#[derive(Clone, Debug)]
pub(super) struct TraceFile {
    pub(super) key: String,
    pub(super) size: u64,
    /// Its first and its last bytes; the others are zeros.
    pub(super) head: Bytes,
    pub(super) tail: Bytes,
}

/// What a thread does next. Files are named by their place among those of the trace.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Open(usize),
    Read(usize, ByteRange),
    /// A read that the program does not wait for yet, as where the kernel reads ahead.
    Begin(usize, ByteRange),
    /// It waits for that.
    End(usize, ByteRange),
    /// Bytes of a mapping that the program touches, in order.
    Touch(usize, ByteRange),
    Close(usize),
    /// It reads nothing for so long.
    Work(Duration),
}

impl Act {
    /// The file and the bytes, where it begins to read some.
    pub(super) fn read(&self) -> Option<(usize, ByteRange)> {
        match *self {
            Act::Read(file, range) | Act::Begin(file, range) => Some((file, range)),
            _ => None,
        }
    }
}

/// Who asks for what a program reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Way {
    #[default]
    PageCache,
    /// The page cache, of files of which more is read ahead.
    ChunksByPageCache,
    /// The bridge: what the kernel reads at once comes in pieces.
    Bridge,
    /// The program itself.
    Direct,
}

/// A program.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) files: Vec<TraceFile>,
    /// What each of its threads does. Each has its own descriptors.
    pub(super) threads: Vec<Vec<Act>>,
    pub(super) way: Way,
    /// Memory for buffers, in bytes, where it is less than usual.
    pub(super) memory_limit: Option<u64>,
}

impl Trace {
    /// A program of one thread, over these files.
    pub(super) fn new(files: Vec<TraceFile>) -> Self {
        Trace { files, threads: vec![Vec::new()], ..Trace::default() }
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

    /// The same program where each MiB that was read takes so long to be worked on.
    pub(super) fn working(mut self, per_mib: Duration) -> Self {
        // Simulated time goes by in milliseconds.
        let mut due = Duration::ZERO;
        let mut work = |act: Act| {
            if let Act::Read(_, range) | Act::End(_, range) = act {
                due += per_mib.mul_f64(range.len() as f64 / MIB as f64);
            }
            let time = Duration::from_millis(due.as_millis() as u64);
            due -= time;
            [Some(act), Some(Act::Work(time)).filter(|_| !time.is_zero())].into_iter().flatten()
        };
        self.threads.iter_mut().for_each(|acts| *acts = std::mem::take(acts).into_iter().flat_map(&mut work).collect());
        self
    }

    /// The same program once more, after the first time.
    pub(super) fn twice(mut self) -> Self {
        self.threads.iter_mut().for_each(|acts| acts.extend_from_within(..));
        self
    }
}

/// Files that hold zeros.
pub(super) fn files(count: usize, name: &str, size: u64) -> Vec<TraceFile> {
    let file = |index: usize| TraceFile {
        key: name.replace('#', &format!("{index:05}")),
        size,
        head: Bytes::new(),
        tail: Bytes::new(),
    };
    (0..count).map(file).collect()
}

/// Reads of `len` bytes in order.
pub(super) fn in_order(range: ByteRange, len: u64) -> impl Iterator<Item = ByteRange> {
    (range.start..range.end).step_by(len as usize).map(move |at| ByteRange::new(at, (at + len).min(range.end)))
}

/// What a program did on a mount, as `tests/suites/programs` has recorded it: the files, then what came to the daemon.
/// A read that others were asked for beside has a line that ends in `+` where it begins, and one in `-` where it ends.
pub(super) fn recorded(text: &str) -> Trace {
    let mut trace = Trace::new(Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (first, rest) = line.split_once(' ').unwrap();
        let numbers = || rest.split(' ').map_while(|word| word.parse::<u64>().ok()).collect::<Vec<_>>();
        match first {
            "file" => {
                let (size, key) = rest.split_once(' ').unwrap();
                let (key, size) = (key.to_owned(), size.parse().unwrap());
                trace.files.push(TraceFile { key, size, head: Bytes::new(), tail: Bytes::new() });
            }
            "tail" => trace.files.last_mut().unwrap().tail = hex::decode(rest).unwrap().into(),
            "head" => trace.files.last_mut().unwrap().head = hex::decode(rest).unwrap().into(),
            "opened" => trace.act(Act::Open(rest.parse().unwrap())),
            "closed" => trace.act(Act::Close(rest.parse().unwrap())),
            "touched" => trace.act(Act::Touch(numbers()[0] as usize, ByteRange::at(numbers()[1], numbers()[2]))),
            file => {
                let file: usize = file.parse().unwrap();
                // The kernel asks for whole pages.
                let read =
                    ByteRange::at(numbers()[0], numbers()[1]).intersect(ByteRange::new(0, trace.files[file].size));
                trace.act(match rest.chars().last() {
                    Some('+') => Act::Begin(file, read),
                    Some('-') => Act::End(file, read),
                    _ => Act::Read(file, read),
                });
            }
        }
    }
    trace
}
