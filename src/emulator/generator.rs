//! Buckets that are computed rather than stored: millions of keys, terabytes of content, no disk.
//!
//! The keys of every shape are a function of their index that grows with it, so a listing page needs no list and a
//! lookup is a binary search. Content is a stretch of one endless noise, begun at a place that the key decides.

use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use bytes::Bytes;

use super::content::{Computed, Content, splitmix};
use super::time::civil;
use crate::base::{ByteSize, Timestamp};

/// What a generated bucket holds. Parses `KIND:COUNT[:SIZE]`, where SIZE is a size or two with `..` between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generator {
    /// The shape of the keys.
    pub kind: GeneratorKind,
    /// How many keys.
    pub count: u64,
    /// Smallest object in bytes.
    pub smallest: u64,
    /// Largest object in bytes.
    pub largest: u64,
    /// Decides everything that looks random.
    pub seed: u64,
}

/// The shape of generated keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GeneratorKind {
    /// Numbered names in one directory: `file-000001.bin`.
    Flat,
    /// Two levels of a hundred directories each, numbered names below.
    Nested,
    /// Hexadecimal names as content hashes are, fanned out by their first two digits.
    Hex,
    /// Random UUIDs in one directory.
    Uuid,
    /// Nine tenths of the keys in one directory, the rest spread.
    Hot,
    /// Directories by year, month, day and hour.
    Dates,
    /// A directory for each file.
    Single,
    /// Names in several scripts.
    Utf8,
    /// A top directory for each of the other shapes but the last.
    Mixed,
    /// `model-00001-of-00004.safetensors`.
    Shards,
}

const KINDS: [(&str, GeneratorKind); 10] = [
    ("flat", GeneratorKind::Flat),
    ("nested", GeneratorKind::Nested),
    ("hex", GeneratorKind::Hex),
    ("uuid", GeneratorKind::Uuid),
    ("hot", GeneratorKind::Hot),
    ("dates", GeneratorKind::Dates),
    ("single", GeneratorKind::Single),
    ("utf8", GeneratorKind::Utf8),
    ("mixed", GeneratorKind::Mixed),
    ("shards", GeneratorKind::Shards),
];

/// The shapes of a mixed bucket, in the order of the directory names.
const MIXED: [(&str, GeneratorKind); 8] = [
    ("dates", GeneratorKind::Dates),
    ("flat", GeneratorKind::Flat),
    ("hex", GeneratorKind::Hex),
    ("hot", GeneratorKind::Hot),
    ("nested", GeneratorKind::Nested),
    ("single", GeneratorKind::Single),
    ("utf8", GeneratorKind::Utf8),
    ("uuid", GeneratorKind::Uuid),
];

/// Composed and decomposed letters, right-to-left and wide scripts, and characters beyond the basic plane.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut words = vec![
        "plain",
        "with blank",
        "+plus&and",
        "straße",
        "café",
        "cafe\u{301}",
        "Ωμέγα",
        "привет",
        "שלום",
        "مرحبا",
        "हिन्दी",
        "照片",
        "日本語",
        "한국어",
        "🚀rocket",
        "𝒻ancy",
    ];
    words.sort_unstable();
    words
});

/// 2023-01-01, where dated keys begin, in seconds since the epoch.
const FIRST_DAY: i64 = 1_672_531_200;
const HOURS: u64 = 365 * 24;

impl Generator {
    /// `count` keys of a shape, 1 to 64 KiB each; shards are of 4 GiB.
    pub fn new(kind: GeneratorKind, count: u64) -> Self {
        let (smallest, largest) = match kind {
            GeneratorKind::Shards => (4 << 30, 4 << 30),
            _ => (1 << 10, 64 << 10),
        };
        Generator { kind, count, smallest, largest, seed: 0 }
    }

    /// The same with every object of this many bytes.
    pub fn sized(mut self, bytes: u64) -> Self {
        (self.smallest, self.largest) = (bytes, bytes);
        self
    }

    /// The same with another seed.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The key of an index below `count`. Keys grow with their index, byte by byte.
    pub fn key(&self, index: u64) -> String {
        self.key_of(self.kind, index, self.count)
    }

    /// The index of a key, if it is one of the bucket's.
    pub fn find(&self, key: &str) -> Option<u64> {
        let index = self.lower_bound(key);
        (index < self.count && self.key(index) == key).then_some(index)
    }

    /// The index of the first key that is not below this one; `count` when all are.
    pub(super) fn lower_bound(&self, key: &str) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle).as_str() < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The size of an object in bytes.
    pub fn size(&self, index: u64) -> u64 {
        let spread = self.largest.saturating_sub(self.smallest);
        if spread == 0 { self.smallest } else { self.smallest + self.random(index, 1) % (spread + 1) }
    }

    /// When an object was written: some time in 2024.
    pub(super) fn modified(&self, index: u64) -> Timestamp {
        Timestamp::from_unix(FIRST_DAY + 365 * 86_400 + (self.random(index, 2) % (365 * 86_400)) as i64)
    }

    /// An opaque tag: the noise is never hashed.
    pub(super) fn etag(&self, index: u64) -> String {
        format!("{:016X}{:016X}-1", self.random(index, 3), self.random(index, 4))
    }

    /// The bytes of an object.
    pub(super) fn content(&self, index: u64) -> Content {
        Content::Computed(Computed { phase: phase(self.seed, &self.key(index)), len: self.size(index) })
    }

    fn key_of(&self, kind: GeneratorKind, i: u64, count: u64) -> String {
        let width = digits(count).max(6);
        match kind {
            GeneratorKind::Flat => format!("file-{i:0width$}.bin"),
            GeneratorKind::Nested => {
                let leaf = i / count.div_ceil(10_000).max(1);
                format!("dir-{:02}/dir-{:02}/file-{i:0width$}.bin", leaf / 100, leaf % 100)
            }
            GeneratorKind::Hex => {
                let share = u128::MAX / u128::from(count.max(1));
                let jitter = u128::from(self.random(i, 5)) << 64 | u128::from(self.random(i, 6));
                let name = format!("{:032x}", u128::from(i) * share + jitter % share);
                format!("{}/{}", &name[..2], &name[2..])
            }
            GeneratorKind::Uuid => self.uuid(i, count),
            GeneratorKind::Hot => {
                let cold = count / 10;
                match i.checked_sub(cold) {
                    None => format!("cold-{:0width$}/item-{:02}.bin", i / 20, i % 20),
                    Some(hot) => format!("hot/item-{hot:0width$}.bin"),
                }
            }
            GeneratorKind::Dates => {
                let hour = i / count.div_ceil(HOURS).max(1);
                let date = civil(Timestamp::from_unix(FIRST_DAY + 3_600 * hour as i64));
                let (year, month, day, hour) = (date.year, date.month, date.day, date.hour);
                format!("{year:04}/{month:02}/{day:02}/{hour:02}/event-{i:0width$}.json")
            }
            GeneratorKind::Single => format!("set-{i:0width$}/data.bin"),
            GeneratorKind::Utf8 => {
                let words = WORDS.len() as u64;
                let word = WORDS[(u128::from(i) * u128::from(words) / u128::from(count.max(1))) as usize];
                format!("{word}-{i:0width$}.txt")
            }
            GeneratorKind::Mixed => {
                let share = count / MIXED.len() as u64;
                let at = i.checked_div(share).map_or(MIXED.len() - 1, |at| (at as usize).min(MIXED.len() - 1));
                let before = share * at as u64;
                let of_shape = if at + 1 == MIXED.len() { count - before } else { share };
                format!("{}/{}", MIXED[at].0, self.key_of(MIXED[at].1, i - before, of_shape))
            }
            GeneratorKind::Shards => {
                let width = digits(count).max(5);
                format!("model-{:0width$}-of-{count:0width$}.safetensors", i + 1)
            }
        }
    }

    /// The first 48 bits are drawn from the index's own share of all, the rest freely, so names grow with the index.
    fn uuid(&self, index: u64, count: u64) -> String {
        let share = ((1_u64 << 48) / count.max(1)).max(1);
        let head = index * share + self.random(index, 5) % share;
        let tail = self.random(index, 6);
        let (third, fourth) = (0x4000 | (tail & 0xfff), 0x8000 | ((tail >> 12) & 0x3fff));
        let last = self.random(index, 7) & 0xffff_ffff_ffff;
        format!("{:08x}-{:04x}-{third:04x}-{fourth:04x}-{last:012x}", head >> 16, head & 0xffff)
    }

    fn random(&self, index: u64, lane: u64) -> u64 {
        let mut state = self.seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (lane << 56);
        splitmix(&mut state)
    }
}

fn digits(count: u64) -> usize {
    count.to_string().len()
}

/// Where in the noise a key's content begins: FNV-1a, then mixed.
fn phase(seed: u64, key: &str) -> u64 {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut state = hash ^ seed;
    splitmix(&mut state) >> 8
}

/// The bytes `range` of the generated object `key`, for comparison with what was read. `seed` is the generator's.
/// The range is not held against the object's size.
pub fn generated_content(seed: u64, key: &str, range: Range<u64>) -> Bytes {
    let phase = phase(seed, key) + range.start;
    let content = Content::Computed(Computed { phase, len: range.end.saturating_sub(range.start) });
    let mut bytes = Vec::with_capacity(content.len() as usize);
    let copied = content.each(|piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    debug_assert!(copied.is_ok(), "computed content has no file that could fail");
    bytes.into()
}

impl FromStr for Generator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let kind: GeneratorKind = parts.next().unwrap_or("").parse()?;
        let count = parts.next().ok_or_else(|| format!("{text:?} lacks a number of keys; write KIND:COUNT[:SIZE]"))?;
        let count = parse_count(count)?;
        let generator = Generator::new(kind, count);
        let Some(size) = parts.next() else { return Ok(generator) };
        let parse = |size: &str| size.parse::<ByteSize>().map(|size| size.0).map_err(|error| error.to_string());
        let (smallest, largest) = match size.split_once("..") {
            Some((smallest, largest)) => (parse(smallest)?, parse(largest)?),
            None => (parse(size)?, parse(size)?),
        };
        if smallest > largest {
            return Err(format!("{size:?} ends before it begins; write the smaller size first"));
        }
        Ok(Generator { smallest, largest, ..generator })
    }
}

fn parse_count(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1_000),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |number| (number, 1_000_000)),
    };
    let count = number.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
    let fits = count.filter(|count| *count < 1 << 40);
    fits.ok_or_else(|| format!("{text:?} is not a number of keys; write one below 10^12 such as 5000, 20k or 3M"))
}

impl FromStr for GeneratorKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind);
        found.ok_or_else(|| {
            let names = KINDS.map(|(name, _)| name).join(", ");
            format!("{text:?} is not a kind of generated bucket; the kinds are {names}")
        })
    }
}

/// A bucket name and what the bucket holds; parses `BUCKET=KIND:COUNT[:SIZE]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GeneratedBucket {
    /// The bucket.
    pub bucket: String,
    /// What it holds.
    pub generator: Generator,
}

impl FromStr for GeneratedBucket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bucket, generator) = text
            .split_once('=')
            .filter(|(bucket, _)| !bucket.is_empty())
            .ok_or_else(|| format!("{text:?} names no bucket; write BUCKET=KIND:COUNT[:SIZE]"))?;
        Ok(GeneratedBucket { bucket: bucket.to_owned(), generator: generator.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_shape_grow_with_their_index() {
        for (name, kind) in KINDS {
            for count in [1, 7, 100, 1_000, 25_000] {
                let generator = Generator::new(kind, count).seeded(3);
                let keys: Vec<_> = (0..count).map(|index| generator.key(index)).collect();
                let disorder = keys.windows(2).find(|pair| pair[0] >= pair[1]);
                assert_eq!(disorder, None, "{name} {count}");
                for index in [0, count / 2, count - 1] {
                    assert_eq!(generator.find(&keys[index as usize]), Some(index), "{name}");
                }
                assert_eq!(generator.find("no such key"), None);
            }
        }
    }

    #[test]
    fn a_billion_keys_are_found_without_a_list() {
        for (_, kind) in KINDS {
            let generator = Generator::new(kind, 1_000_000_000);
            for index in [0, 1, 499_999_999, 999_999_999] {
                assert_eq!(generator.find(&generator.key(index)), Some(index), "{kind:?}");
            }
        }
    }

    #[test]
    fn content_differs_between_keys_and_places() {
        let here = generated_content(1, "a", 0..4096);
        assert_eq!(generated_content(1, "a", 1000..2000), here.slice(1000..2000));
        assert_ne!(generated_content(1, "b", 0..4096), here);
        assert_ne!(generated_content(2, "a", 0..4096), here);
        for step in [4096, 1 << 20, 8 << 20, 1 << 30] {
            assert_ne!(generated_content(1, "a", step..step + 4096), here);
        }
    }

    #[test]
    fn specs_are_read_and_refused_in_words() {
        let bucket: GeneratedBucket = "models=shards:4:2GiB".parse().unwrap();
        assert_eq!(bucket.generator, Generator::new(GeneratorKind::Shards, 4).sized(2 << 30));
        let generator: Generator = "flat:20k:1KiB..1MiB".parse().unwrap();
        assert_eq!((generator.count, generator.smallest, generator.largest), (20_000, 1 << 10, 1 << 20));
        for (text, hint) in [
            ("flat:5", "BUCKET=KIND"),
            ("b=round:5", "the kinds are flat"),
            ("b=flat", "COUNT"),
            ("b=flat:many", "20k"),
            ("b=flat:5:big", "512MiB"),
            ("b=flat:5:2MiB..1MiB", "smaller size first"),
        ] {
            let error = text.parse::<GeneratedBucket>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
