//! Buckets that are computed rather than stored: millions of keys, terabytes of content, no disk.
//!
//! The keys of every shape are a function of their index that grows with it, so a listing page needs no list and a
//! lookup is a binary search. Content is a stretch of one endless noise, begun at a place that the key decides.

use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use bytes::Bytes;

use super::content::{Computed, Content, splitmix};
use super::history::History;
use super::model::{self, HEADER_BYTES};
use super::text::hex_upper;
use super::time::civil;
use crate::base::{ByteSize, Timestamp, fnv1a};

/// What a generated bucket holds. Parses `KIND:COUNT[:SIZE][:HISTORY]`, where SIZE is a size or two with `..` between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generator {
    /// The shape of the keys.
    pub kind: GeneratorKind,
    /// How many keys there are.
    pub count: u64,
    /// Smallest object in bytes.
    pub smallest: u64,
    /// Largest object in bytes.
    pub largest: u64,
    /// Decides everything that looks random.
    pub seed: u64,
    /// The versions of its keys, if it keeps versions.
    pub history: Option<History>,
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
    /// `model-00001-of-00004.safetensors`, with nothing but noise in it.
    Shards,
    /// The same names, of files that begin with the header of their tensors.
    Models,
}

const KINDS: [(&str, GeneratorKind); 11] = [
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
    ("models", GeneratorKind::Models),
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
            GeneratorKind::Shards | GeneratorKind::Models => (4 << 30, 4 << 30),
            _ => (1 << 10, 64 << 10),
        };
        Generator { kind, count, smallest, largest, seed: 0, history: None }
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
        let mut key = String::with_capacity(48);
        self.key_into(index, &mut key);
        key
    }

    /// Replaces a text by that key.
    pub(super) fn key_into(&self, index: u64, key: &mut String) {
        key.clear();
        self.write_key(key, self.kind, index, self.count);
    }

    /// The index of a key, if it is one of the bucket's.
    pub fn find(&self, key: &str) -> Option<u64> {
        let index = self.lower_bound(key);
        (index < self.count && self.key(index) == key).then_some(index)
    }

    /// The index of the first key that is not below this one; `count` when all are.
    pub(super) fn lower_bound(&self, key: &str) -> u64 {
        let (mut low, mut high) = (0, self.count);
        let mut found = String::new();
        while low < high {
            let middle = low + (high - low) / 2;
            self.key_into(middle, &mut found);
            if found.as_str() < key {
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
        let noise = u128::from(self.random(index, 3)) << 64 | u128::from(self.random(index, 4));
        let mut etag = hex_upper(&noise.to_be_bytes());
        etag.push_str("-1");
        etag
    }

    /// The bytes of an object.
    pub(super) fn content(&self, index: u64) -> Content {
        self.content_of(&self.key(index), index)
    }

    /// The same, of an index that has this key.
    pub(super) fn content_of(&self, key: &str, index: u64) -> Content {
        let (phase, size) = (phase(self.seed, key), self.size(index));
        if self.kind != GeneratorKind::Models || size <= HEADER_BYTES {
            return Content::Computed(Computed { phase, len: size });
        }
        let header = model::header(size - HEADER_BYTES, self.random(index, 8));
        let tensors = Content::Computed(Computed { phase: phase + HEADER_BYTES, len: size - HEADER_BYTES });
        Content::chain([Content::Memory(header), tensors])
    }

    /// Written piece by piece into a text that is used again: formatting each key took more than all else that a page
    /// of a listing costs.
    fn write_key(&self, key: &mut String, kind: GeneratorKind, i: u64, count: u64) {
        let width = digits(count).max(6);
        match kind {
            GeneratorKind::Flat => numbered(key, "file-", i, width, ".bin"),
            GeneratorKind::Nested => {
                let leaf = i / count.div_ceil(10_000).max(1);
                numbered(key, "dir-", leaf / 100, 2, "/");
                numbered(key, "dir-", leaf % 100, 2, "/");
                numbered(key, "file-", i, width, ".bin");
            }
            GeneratorKind::Hex => self.write_hash(key, i, count),
            GeneratorKind::Uuid => self.write_uuid(key, i, count),
            GeneratorKind::Hot => match i.checked_sub(count / 10) {
                None => {
                    numbered(key, "cold-", i / 20, width, "/");
                    numbered(key, "item-", i % 20, 2, ".bin");
                }
                Some(hot) => numbered(key, "hot/item-", hot, width, ".bin"),
            },
            GeneratorKind::Dates => {
                let hour = i / count.div_ceil(HOURS).max(1);
                let date = civil(Timestamp::from_unix(FIRST_DAY + 3_600 * hour as i64));
                numbered(key, "", date.year() as u64, 4, "/");
                for part in [date.month() as u64, date.day() as u64, date.hour() as u64] {
                    numbered(key, "", part, 2, "/");
                }
                numbered(key, "event-", i, width, ".json");
            }
            GeneratorKind::Single => numbered(key, "set-", i, width, "/data.bin"),
            GeneratorKind::Utf8 => {
                let words = WORDS.len() as u64;
                let word = WORDS[(u128::from(i) * u128::from(words) / u128::from(count.max(1))) as usize];
                key.push_str(word);
                numbered(key, "-", i, width, ".txt");
            }
            GeneratorKind::Mixed => {
                let share = count / MIXED.len() as u64;
                let at = i.checked_div(share).map_or(MIXED.len() - 1, |at| (at as usize).min(MIXED.len() - 1));
                let before = share * at as u64;
                let of_shape = if at + 1 == MIXED.len() { count - before } else { share };
                key.push_str(MIXED[at].0);
                key.push('/');
                self.write_key(key, MIXED[at].1, i - before, of_shape);
            }
            GeneratorKind::Shards | GeneratorKind::Models => {
                let width = digits(count).max(5);
                numbered(key, "model-", i + 1, width, "-of-");
                numbered(key, "", count, width, ".safetensors");
            }
        }
    }

    fn write_hash(&self, key: &mut String, index: u64, count: u64) {
        let share = u128::MAX / u128::from(count.max(1));
        let jitter = u128::from(self.random(index, 5)) << 64 | u128::from(self.random(index, 6));
        let hash = u128::from(index) * share + jitter % share;
        hexadecimal(key, (hash >> 120) as u64, 2);
        key.push('/');
        hexadecimal(key, (hash >> 64) as u64, 14);
        hexadecimal(key, hash as u64, 16);
    }

    /// The first 48 bits are drawn from the index's own share of all, the rest freely, so names grow with the index.
    fn write_uuid(&self, key: &mut String, index: u64, count: u64) {
        let share = ((1_u64 << 48) / count.max(1)).max(1);
        let head = index * share + self.random(index, 5) % share;
        let tail = self.random(index, 6);
        let (third, fourth) = (0x4000 | (tail & 0xfff), 0x8000 | ((tail >> 12) & 0x3fff));
        let last = self.random(index, 7) & 0xffff_ffff_ffff;
        hexadecimal(key, head >> 16, 8);
        for (part, width) in [(head & 0xffff, 4), (third, 4), (fourth, 4), (last, 12)] {
            key.push('-');
            hexadecimal(key, part, width);
        }
    }

    fn random(&self, index: u64, lane: u64) -> u64 {
        let mut state = self.seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (lane << 56);
        splitmix(&mut state)
    }
}

fn digits(count: u64) -> usize {
    count.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// A number with its leading zeros, between two texts.
fn numbered(key: &mut String, before: &str, mut number: u64, width: usize, after: &str) {
    key.push_str(before);
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] += (number % 10) as u8;
        number /= 10;
    }
    let first = at.min(digits.len().saturating_sub(width));
    key.extend(digits[first..].iter().map(|&digit| char::from(digit)));
    key.push_str(after);
}

/// The lowest `width` hexadecimal digits of a number.
fn hexadecimal(key: &mut String, number: u64, width: usize) {
    let digit = |place: usize| char::from(b"0123456789abcdef"[(number >> (4 * place)) as usize & 15]);
    key.extend((0..width).rev().map(digit));
}

/// Where in the noise a key's content begins: a hash, mixed.
fn phase(seed: u64, key: &str) -> u64 {
    let mut state = fnv1a(key.as_bytes()) ^ seed;
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
        let mut parts = text.split(':');
        let kind: GeneratorKind = parts.next().unwrap_or("").parse()?;
        let form = "write KIND:COUNT[:SIZE][:HISTORY]";
        let count = parts.next().ok_or_else(|| format!("{text:?} lacks a number of keys; {form}"))?;
        let mut generator = Generator::new(kind, parse_count(count)?);
        let mut rest: Vec<&str> = parts.collect();
        if let Some(history) = rest.pop_if(|last| last.starts_with(|c: char| c.is_ascii_digit()) && last.contains('v'))
        {
            generator.history = Some(history.parse()?);
        }
        let size = match rest[..] {
            [] => return Ok(generator),
            [size] => size,
            _ => return Err(format!("{text:?} says too much; {form}")),
        };
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
    /// The name of the bucket.
    pub bucket: String,
    /// What the bucket holds.
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
    fn keys_of_every_shape_look_as_they_are_described() {
        let keys = KINDS.map(|(_, kind)| Generator::new(kind, 1_000).seeded(3).key(999));
        expect_test::expect![[r#"
            file-000999.bin
            dir-09/dir-99/file-000999.bin
            ff/c7e0ebfa0beab779cb7f93c8f71971
            ffe5d582-c8fb-4d4c-9077-1e878717c688
            hot/item-000899.bin
            2023/02/11/15/event-000999.json
            set-000999/data.bin
            🚀rocket-000999.txt
            uuid/ff73c1af-58d2-4951-b358-3a56419212fd
            model-01000-of-01000.safetensors
            model-01000-of-01000.safetensors"#]]
        .assert_eq(&keys.join("\n"));
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
        let generator: Generator = "flat:7:3v/8".parse().unwrap();
        assert_eq!((generator.history.unwrap().deletions, generator.largest), (8, 64 << 10));
        for (text, hint) in [
            ("flat:5", "BUCKET=KIND"),
            ("b=round:5", "the kinds are flat"),
            ("b=flat", "COUNT"),
            ("b=flat:many", "20k"),
            ("b=flat:5:big", "512MiB"),
            ("b=flat:5:1KiB:0v", "3v+1000000"),
            ("b=flat:5:1KiB:3v:3v", "says too much"),
            ("b=flat:5:2MiB..1MiB", "smaller size first"),
        ] {
            let error = text.parse::<GeneratedBucket>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
