//! The readers of a soak, each in a way of its own and for ever, and what they have found.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const BIG_FILES: u64 = 8;
const BIG_BYTES: u64 = (96 << 20) + 4321;
const MEDIUM_FILES: u64 = 40;
const MEDIUM_BYTES: u64 = (3 << 20) + 17;
const SMALL_FILES: u64 = 400;
const SMALL_BYTES: u64 = 30_000;

/// A way to read, by its name. `round` reads some, and is called again and again with numbers from 0 on.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    round: fn(&Path, u64, &Tally) -> io::Result<()>,
}

/// All of them; each is a thread.
pub(crate) const READERS: [Reader; 8] = [
    Reader { name: "copies", round: copy },
    Reader { name: "reads in pieces of 4 KiB", round: small_pieces },
    Reader { name: "random reads", round: random },
    Reader { name: "maps", round: map },
    Reader { name: "threads on one descriptor", round: threads },
    Reader { name: "small files", round: small_files },
    Reader { name: "files again", round: again },
    Reader { name: "files left half read", round: half },
];

/// What all readers have found.
#[derive(Default)]
pub(crate) struct Tally {
    bytes: AtomicU64,
    wrong: AtomicU64,
    errors: AtomicU64,
    rounds: Mutex<HashMap<&'static str, u64>>,
}

impl Tally {
    /// Bytes compared.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Pieces that differed.
    pub(crate) fn wrong(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Rounds that ended in an error.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Whether all was well, and anything was read.
    pub(crate) fn is_clean(&self) -> bool {
        self.bytes() > 0 && self.wrong() == 0 && self.errors() == 0
    }

    /// How often this reader went round.
    pub(crate) fn rounds(&self, name: &str) -> u64 {
        self.rounds.lock().map_or(0, |rounds| rounds.get(name).copied().unwrap_or(0))
    }

    /// Compares what was read at an offset of a file.
    fn compare(&self, seed: u64, offset: u64, bytes: &[u8]) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if !is_content(seed, offset, bytes) {
            self.wrong.fetch_add(1, Ordering::Relaxed);
            eprintln!("soak: wrong bytes in file {seed} at {offset}, {} bytes long", bytes.len());
        }
    }
}

/// Lets a reader go round until the time has come.
pub(crate) fn go_on(reader: Reader, folder: &Path, tally: &Tally, until: Instant) {
    let mut number = 0;
    while Instant::now() < until {
        if let Err(error) = (reader.round)(folder, number, tally) {
            tally.errors.fetch_add(1, Ordering::Relaxed);
            eprintln!("soak: {}, round {number}: {error}", reader.name);
        }
        number += 1;
        if let Ok(mut rounds) = tally.rounds.lock() {
            rounds.insert(reader.name, number);
        }
    }
}

/// Fills the folder of a bucket with files.
pub(crate) fn make_bucket(folder: &Path) -> io::Result<()> {
    for (kind, files, len) in
        [("big", BIG_FILES, BIG_BYTES), ("medium", MEDIUM_FILES, MEDIUM_BYTES), ("small", SMALL_FILES, SMALL_BYTES)]
    {
        fs::create_dir_all(folder.join(kind))?;
        for index in 0..files {
            let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|at| word(seed(kind, index), at)).collect();
            bytes.truncate(len as usize);
            fs::write(folder.join(kind).join(index.to_string()), bytes)?;
        }
    }
    Ok(())
}

fn seed(kind: &str, index: u64) -> u64 {
    kind.len() as u64 * 1_000_003 + index
}

/// Eight bytes of a file, which differ at every place and in every file.
fn word(seed: u64, index: u64) -> [u8; 8] {
    (index ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
}

fn is_content(seed: u64, offset: u64, bytes: &[u8]) -> bool {
    let first = offset.div_ceil(8);
    let (head, rest) = bytes.split_at((first * 8 - offset).min(bytes.len() as u64) as usize);
    let in_word = |at: u64| word(seed, at / 8)[(at % 8) as usize];
    let (words, tail) = rest.as_chunks::<8>();
    let tail_at = (first + words.len() as u64) * 8;
    head.iter().zip(offset..).all(|(&byte, at)| byte == in_word(at))
        && words.iter().zip(first..).all(|(bytes, index)| *bytes == word(seed, index))
        && tail.iter().zip(tail_at..).all(|(&byte, at)| byte == in_word(at))
}

/// Numbers without an order that the daemon could guess.
fn scattered(number: u64, below: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % below
}

fn open(folder: &Path, kind: &str, index: u64) -> io::Result<File> {
    File::open(folder.join(kind).join(index.to_string()))
}

/// Reads a file from its start until `end` in pieces of `step`.
fn through(folder: &Path, kind: &str, index: u64, step: usize, end: u64, tally: &Tally) -> io::Result<()> {
    let mut file = open(folder, kind, index)?;
    let (mut at, mut piece) = (0, vec![0; step]);
    while at < end {
        let read = file.read(&mut piece)?;
        if read == 0 {
            let whole = file.metadata()?.len();
            return if at == whole { Ok(()) } else { Err(io::Error::other(format!("the file ended at {at}"))) };
        }
        tally.compare(seed(kind, index), at, &piece[..read]);
        at += read as u64;
    }
    Ok(())
}

fn copy(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    through(folder, "big", number % BIG_FILES, 1 << 20, u64::MAX, tally)
}

fn small_pieces(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    through(folder, "big", scattered(number, BIG_FILES), 4096, 16 << 20, tally)
}

fn random(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    let index = number % BIG_FILES;
    let file = open(folder, "big", index)?;
    for read in 0..50 {
        let offset = scattered(number * 50 + read, BIG_BYTES);
        let len = (1 + scattered(number + read, 300_000)).min(BIG_BYTES - offset);
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, offset)?;
        tally.compare(seed("big", index), offset, &bytes);
    }
    Ok(())
}

fn map(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    let index = number % MEDIUM_FILES;
    // SAFETY: no process changes the file while it is mapped; a fault that fails ends the soak, as it should.
    let map = unsafe { memmap2::Mmap::map(&open(folder, "medium", index)?) }?;
    tally.compare(seed("medium", index), 0, &map);
    Ok(())
}

fn threads(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    let index = scattered(number, BIG_FILES);
    let file = open(folder, "big", index)?;
    let stripe = |thread: u64| {
        let mut bytes = vec![0; 256 << 10];
        for piece in (thread..BIG_BYTES / bytes.len() as u64).step_by(6) {
            let offset = piece * bytes.len() as u64;
            file.read_exact_at(&mut bytes, offset)?;
            tally.compare(seed("big", index), offset, &bytes);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let stripes: Vec<_> = (0..6).map(|thread| scope.spawn(move || stripe(thread))).collect();
        stripes
            .into_iter()
            .try_for_each(|stripe| stripe.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
    })
}

fn small_files(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    let names = fs::read_dir(folder.join("small"))?.collect::<io::Result<Vec<_>>>()?;
    if names.len() as u64 != SMALL_FILES {
        return Err(io::Error::other(format!("{} of {SMALL_FILES} names", names.len())));
    }
    for index in (number % 4..SMALL_FILES).step_by(4) {
        let bytes = fs::read(folder.join("small").join(index.to_string()))?;
        if bytes.len() as u64 != SMALL_BYTES {
            return Err(io::Error::other(format!("small file {index} has {} bytes", bytes.len())));
        }
        tally.compare(seed("small", index), 0, &bytes);
    }
    Ok(())
}

fn again(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    through(folder, "medium", number / 3 % MEDIUM_FILES, 64 << 10, u64::MAX, tally)
}

fn half(folder: &Path, number: u64, tally: &Tally) -> io::Result<()> {
    through(folder, "big", number % BIG_FILES, 128 << 10, scattered(number, BIG_BYTES), tally)
}
