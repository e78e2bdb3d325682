//! Where keys probably are: distances between keys, learned from the keys seen so far.
//!
//! Keys are texts, and a range of texts has no middle until it is known which characters occur where. A [`Scale`] gives
//! every position of a key as many steps as there are characters to be expected there, after the characters before it.
//! What is expected is what was seen, and early on, when little was, what usually goes with it: all digits where one
//! digit stands, all hexadecimal digits in what looks like a hash. Nothing depends on a guess but the number of
//! requests: a wrong one cuts a range unevenly, or into one part that holds nothing.
//!
//! Distances are kept apart from the places they begin at, so that a page that spans a millionth of a millionth of
//! the whole still has a length.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use crate::base::behind;

/// Samples on either side of a key that make its scale.
const NEIGHBOURS: usize = 64;
/// With fewer samples than this, the usual characters are added to those seen.
const ENOUGH: usize = 60;
/// A letter that this many samples share at one position is part of a word.
const CONSTANT: usize = 10;
/// Kinds, lengths and positions of digits that are distinguished.
const MOST_NUMBERS: usize = 4000;
/// Numbers in this many places show which digits to expect.
const PLACES: usize = 4;
/// Steps finer than this do not matter.
const FINEST: f64 = 1e-200;
/// Samples kept; beyond, every other one is forgotten.
const MOST_SAMPLES: usize = 20_000;
/// Samples taken of a page.
const PER_PAGE: usize = 10;
/// Texts to cut at are no longer: markers are below 1024 bytes everywhere.
const MOST_BYTES: usize = 1000;

/// Keys seen, a few of every page.
#[derive(Debug, Default)]
pub(super) struct Samples {
    keys: BTreeSet<Box<str>>,
    /// A few of them from everywhere.
    spread: BTreeSet<Box<str>>,
    numbers: Numbers,
}

impl Samples {
    /// Takes in some of a page's keys, the first and the last among them.
    pub(super) fn learn(&mut self, keys: &[&str]) {
        let (last, step) = (keys.len().saturating_sub(1), keys.len().div_ceil(PER_PAGE).max(1));
        let chosen = keys.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last);
        for (_, key) in chosen {
            self.add(key);
        }
        self.spread.extend(keys.first().map(|&key| Box::from(key)));
        thin(&mut self.spread, NEIGHBOURS);
        thin(&mut self.keys, MOST_SAMPLES);
    }

    /// Takes in every one of some keys.
    pub(super) fn learn_all(&mut self, keys: &[&str]) {
        for key in keys {
            self.add(key);
        }
        thin(&mut self.keys, MOST_SAMPLES);
    }

    fn add(&mut self, key: &str) {
        self.numbers.add(key);
        self.keys.insert(key.into());
    }

    /// Whether what lies between a key and `end` may be of a series that ends anywhere: the next known key parts from
    /// this one within a word, and words do not follow each other as numbers do.
    pub(super) fn is_open(&self, key: &str, end: Option<&str>) -> bool {
        let next = end.and_then(|end| self.keys.range::<str, _>((Bound::Included(end), Bound::Unbounded)).next());
        let shared = next.map_or(0, |next| key.chars().zip(next.chars()).take_while(|(a, b)| a == b).count());
        let parting = key.char_indices().nth(shared);
        parting.is_some_and(|(at, char)| !char.is_ascii_digit() && !word(key, at).is_some_and(is_hash))
    }

    /// The directory that a name lies directly in, if it is none of a series of directories: the next known key parts
    /// from its name within a word.
    pub(super) fn lone_directory<'k>(&self, name: &'k str) -> Option<&'k str> {
        let directory = &name[..=name.rfind('/')?];
        let parent = directory[..directory.len() - 1].rfind('/').map_or(0, |slash| slash + 1);
        let end = behind(directory)?;
        let next = self.keys.range::<str, _>((Bound::Included(&*end), Bound::Unbounded)).next()?;
        (next.starts_with(&directory[..parent]) && self.is_open(directory, Some(&end))).then_some(directory)
    }

    /// The first known key that begins with a name.
    pub(super) fn first_of(&self, name: &str) -> Option<&str> {
        let first = self.keys.range::<str, _>((Bound::Included(name), Bound::Unbounded)).next();
        first.map(AsRef::as_ref).filter(|key| key.starts_with(name))
    }

    /// The scale around a key, of keys that begin with `prefix`. With `open`, keys may come behind all that are known.
    pub(super) fn scale<'a>(&'a self, prefix: &'a str, around: &str, open: bool) -> Scale<'a> {
        let below = self.keys.range::<str, _>((Bound::Unbounded, Bound::Included(around))).rev().take(NEIGHBOURS);
        let above = self.keys.range::<str, _>((Bound::Excluded(around), Bound::Unbounded)).take(NEIGHBOURS);
        let mut keys: Vec<&str> = below.chain(above).chain(&self.spread).map(AsRef::as_ref).collect();
        keys.sort_unstable();
        keys.dedup();
        let few = keys.len() < ENOUGH;
        Scale { prefix, numbers: &self.numbers, kind: kind(around), keys, open: open || few }
    }
}

/// Forgets every other key when there are more than `most`.
fn thin(keys: &mut BTreeSet<Box<str>>, most: usize) {
    if keys.len() > most {
        let mut keep = false;
        keys.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

/// The keys near a place, as a measure of distances there. All keys with the prefix have the length 1 together.
#[derive(Debug)]
pub(super) struct Scale<'a> {
    prefix: &'a str,
    keys: Vec<&'a str>,
    numbers: &'a Numbers,
    /// What kind of keys these are.
    kind: String,
    open: bool,
}

impl Scale<'_> {
    /// From one key to another behind it, or to the end: from 0 to 1. Sums of many steps are rounded, and may pass the
    /// bounds by a little.
    pub(super) fn distance(&self, from: &str, to: Option<&str>) -> f64 {
        let start = self.trail(from);
        let Some(to) = to else { return (1.0 - start.sum_from(0)).clamp(0.0, 1.0) };
        let shared = self.rest(from).chars().zip(self.rest(to).chars()).take_while(|(a, b)| a == b).count();
        (self.trail(to).sum_from(shared) - start.sum_from(shared)).clamp(0.0, 1.0)
    }

    /// A short text at about this distance behind a key, exact to `tolerance`.
    pub(super) fn text_behind(&self, key: &str, distance: f64, tolerance: f64) -> String {
        let trail = self.trail(key);
        let fits = |depth: &usize| trail.width_at(*depth) - trail.sum_from(*depth) > distance;
        let depth = (0..=trail.ranks.len()).rev().find(fits).unwrap_or(0);
        let mut walk = Walk::new(self);
        for char in self.rest(key).chars().take(depth) {
            walk.push(char);
        }
        let mut width = trail.width_at(depth);
        let mut rest = (trail.sum_from(depth) + distance) / width;
        while width > tolerance.max(FINEST) && walk.path.len() < MOST_BYTES {
            let step = walk.step();
            let Some(&last) = step.chars.last() else { break };
            width *= step.width();
            let rank = rest / step.width();
            let Some(&char) = step.chars.get(rank as usize) else {
                walk.path.extend(above(last));
                break;
            };
            walk.push(char);
            rest = rank.fract();
        }
        walk.path
    }

    fn rest<'k>(&self, key: &'k str) -> &'k str {
        key.get(self.prefix.len()..).unwrap_or_default()
    }

    fn trail(&self, key: &str) -> Trail {
        let mut trail = Trail { widths: vec![1.0], ranks: Vec::new() };
        let mut walk = Walk::new(self);
        for char in self.rest(key).chars() {
            let step = walk.step();
            let rank = step.chars.partition_point(|&known| known < char);
            let width = trail.width_at(trail.ranks.len()) * step.width();
            trail.ranks.push(rank as f64);
            trail.widths.push(width);
            if width < FINEST || step.chars.get(rank) != Some(&char) {
                break;
            }
            walk.push(char);
        }
        trail
    }
}

/// The way to a key, step by step.
struct Trail {
    /// The length of everything that begins like the key, by depth.
    widths: Vec<f64>,
    /// How many characters stand before the key's own, at each depth.
    ranks: Vec<f64>,
}

impl Trail {
    fn width_at(&self, depth: usize) -> f64 {
        self.widths.get(depth).or(self.widths.last()).copied().unwrap_or(1.0)
    }

    /// From the beginning of all that shares this many characters to the key.
    fn sum_from(&self, depth: usize) -> f64 {
        let steps = self.ranks.iter().zip(&self.widths[1..]);
        steps.skip(depth).map(|(rank, width)| rank * width).sum()
    }
}

/// The characters to expect at one position, in order.
struct Step {
    chars: Vec<char>,
    /// Whether something may lie behind all of them.
    open: bool,
}

impl Step {
    fn width(&self) -> f64 {
        1.0 / (self.chars.len() + usize::from(self.open)).max(1) as f64
    }
}

/// A way down from the first character on, and the samples that go the same way.
struct Walk<'s, 'a> {
    scale: &'s Scale<'a>,
    path: String,
    same: &'s [&'a str],
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(scale: &'s Scale<'a>) -> Self {
        Walk { scale, path: scale.prefix.to_owned(), same: &scale.keys }
    }

    fn push(&mut self, char: char) {
        let at = self.path.len();
        self.path.push(char);
        let added = &self.path.as_bytes()[at..];
        let from = self.same.partition_point(|key| key.as_bytes()[at..] < *added);
        let count = self.same[from..].partition_point(|key| key.as_bytes()[at..].starts_with(added));
        self.same = &self.same[from..from + count];
    }

    /// What to expect here.
    fn step(&self) -> Step {
        let at = self.path.len();
        let mut chars: Vec<char> = self.same.iter().filter_map(|key| key[at..].chars().next()).collect();
        chars.dedup();
        self.extend_by_kind(&mut chars);
        chars.sort_unstable();
        chars.dedup();
        let open = self.scale.open && !chars.iter().any(char::is_ascii_digit);
        Step { chars, open }
    }

    /// Adds what usually goes with the characters seen: in a number the digits that stand at this position elsewhere
    /// and those below them, in a hash its whole alphabet.
    fn extend_by_kind(&self, chars: &mut Vec<char>) {
        let at = self.path.len();
        let constant = matches!(chars[..], [only] if only.is_ascii_alphabetic()) && self.same.len() >= CONSTANT;
        let ended = chars.is_empty() && !self.same.is_empty();
        if constant || ended || !chars.iter().all(char::is_ascii_alphanumeric) {
            return;
        }
        let near = if self.same.is_empty() { &self.scale.keys } else { self.same };
        let words: Vec<&str> = near.iter().filter_map(|key| word(key, at)).collect();
        let hexadecimal = are_hexadecimal(&words);
        let hashes: Vec<&str> = words.into_iter().filter(|word| hexadecimal || is_hash(word)).collect();
        let has = |low, high| hashes.iter().any(|word| word.bytes().any(|byte| (low..=high).contains(&byte)));
        if !hashes.is_empty() {
            chars.extend('0'..='9');
            if has(b'a', b'z') {
                chars.extend('a'..=if has(b'g', b'z') { 'z' } else { 'f' });
            }
            if has(b'A', b'Z') {
                chars.extend('A'..=if has(b'G', b'Z') { 'Z' } else { 'F' });
            }
        } else if chars.iter().all(char::is_ascii_digit) {
            chars.extend('0'..=self.most_digit(near));
        }
    }

    /// The largest digit to expect here: that which numbers of the same length have shown at the same digit, where
    /// there were several of them; else there is no telling.
    fn most_digit(&self, near: &[&str]) -> char {
        let at = self.path.len();
        let digit = self.path.bytes().rev().take_while(u8::is_ascii_digit).count();
        let rest = |key: &&str| {
            let rest = key.as_bytes().get(at..).unwrap_or_default();
            Some(rest.iter().take_while(|byte| byte.is_ascii_digit()).count()).filter(|&digits| digits > 0)
        };
        let Some(length) = near.iter().find_map(rest).map(|rest| rest + digit) else { return '9' };
        self.scale.numbers.most(&self.scale.kind, length, digit)
    }
}

/// Which digits numbers hold, by the kind of key they stand in, by their length and by the position of the digit.
#[derive(Debug, Default)]
struct Numbers {
    seen: HashMap<String, HashMap<(usize, usize), Digits>>,
    count: usize,
}

/// Digits seen at one position.
#[derive(Debug, Default)]
struct Digits {
    most: u8,
    /// Beginnings of keys that such a number followed, no more than needed to be sure.
    places: Vec<Box<str>>,
}

impl Numbers {
    fn add(&mut self, key: &str) {
        if self.count >= MOST_NUMBERS || !key.bytes().any(|byte| byte.is_ascii_digit()) {
            return;
        }
        let seen = self.seen.entry(kind(key)).or_default();
        let mut at = 0;
        for run in key.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
            let place = &key[..at];
            at += run.len();
            if !run[0].is_ascii_digit() {
                continue;
            }
            for (digit, value) in run.iter().enumerate() {
                let digits = seen.entry((run.len(), digit)).or_insert_with(|| {
                    self.count += 1;
                    Digits::default()
                });
                digits.most = digits.most.max(*value);
                if digits.places.len() < PLACES && !digits.places.iter().any(|known| **known == *place) {
                    digits.places.push(place.into());
                }
            }
        }
    }

    /// The largest digit to expect, if such numbers were seen in several places; 9 otherwise.
    fn most(&self, kind: &str, length: usize, digit: usize) -> char {
        let seen = self.seen.get(kind).and_then(|seen| seen.get(&(length, digit)));
        seen.filter(|seen| seen.places.len() >= PLACES).map_or('9', |seen| char::from(seen.most))
    }
}

/// Keys are of one kind when their first directory has the same name but for digits.
fn kind(key: &str) -> String {
    let top = key.split_once('/').map_or("", |(top, _)| top);
    top.chars().filter(|char| !char.is_ascii_digit()).collect()
}

/// The run of letters and digits that a position lies in.
fn word(key: &str, at: usize) -> Option<&str> {
    let (before, behind) = key.split_at_checked(at)?;
    let part = |char: char| char.is_ascii_alphanumeric();
    let begin = before.trim_end_matches(part).len();
    let end = behind.len() - behind.trim_start_matches(part).len();
    Some(&key[begin..at + end]).filter(|word| !word.is_empty())
}

/// Whether a word looks random: digits and letters take turns.
fn is_hash(word: &str) -> bool {
    let digits = word.bytes().map(|byte| byte.is_ascii_digit());
    digits.clone().zip(digits.skip(1)).filter(|(a, b)| a != b).count() >= 2
}

/// Whether words are short hexadecimal numbers, as directories are that fan hashes out.
fn are_hexadecimal(words: &[&str]) -> bool {
    let alike = |word: &&str| word.len() == words[0].len() && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let some = |kind: fn(&u8) -> bool| words.iter().any(|word| word.bytes().any(|byte| kind(&byte)));
    words.iter().all(alike) && some(u8::is_ascii_digit) && some(u8::is_ascii_alphabetic)
}

/// What two keys of one series begin with, up to the number in which they differ.
pub(super) fn series_name<'k>(first: &str, key: &'k str) -> &'k str {
    let shared = first.chars().zip(key.chars()).take_while(|(a, b)| a == b).map(|(char, _)| char.len_utf8()).sum();
    key[..shared].trim_end_matches(|char: char| char.is_ascii_digit())
}

/// A text behind everything that begins with a name.
pub(super) fn behind_name(name: &str) -> Option<String> {
    let last = name.chars().next_back()?;
    Some(format!("{}{}", &name[..name.len() - last.len_utf8()], above(last)?))
}

/// The next character that no server minds in a marker.
fn above(char: char) -> Option<char> {
    let harmless = |char: &char| !char.is_control() && !matches!(u32::from(*char) & 0xffff, 0xfffe | 0xffff);
    (char..=char::MAX).skip(1).find(harmless)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples<'a>(keys: impl IntoIterator<Item = &'a str>) -> Samples {
        let mut samples = Samples::default();
        samples.learn_all(&keys.into_iter().collect::<Vec<_>>());
        samples
    }

    /// The middle between two keys, to a twentieth of their distance.
    fn middle(samples: &Samples, from: &str, to: &str) -> String {
        let scale = samples.scale("", from, false);
        let distance = scale.distance(from, Some(to));
        scale.text_behind(from, distance / 2.0, distance / 20.0)
    }

    #[test]
    fn the_middle_of_numbers_of_hashes_and_of_what_was_seen() {
        let numbers = samples(["file-000000.bin", "file-000999.bin"]);
        assert_eq!(middle(&numbers, "file-000999.bin", "file-9"), "file-45");
        let hashes = samples(["00ab12f7", "01c9e30d", "02ff0a1b"]);
        assert_eq!(middle(&hashes, "00ab12f7", "f"), "78");
        let words = samples(["data/cat", "data/dog", "data/emu"]);
        assert_eq!(middle(&words, "data/cat", "data/emu"), "data/dog");
        // A number is as long as it was elsewhere, its digits no larger.
        let days: Vec<String> = (1..=12).flat_map(|m| [1, 9, 12, 31].map(|d| format!("y/{m:02}/{d:02}/k"))).collect();
        let days = samples(days.iter().map(String::as_str));
        assert_eq!(middle(&days, "y/05/01/k", "y/05/31/k"), "y/05/16");
    }

    #[test]
    fn a_page_far_below_the_whole_has_a_length() {
        let deep = "a/very/long/way/down/to/where/the/numbers/are/at/last/";
        let (first, last) = (format!("{deep}00000000000000"), format!("{deep}00000000000999"));
        let samples = samples([first.as_str(), last.as_str()]);
        let scale = samples.scale("", &first, true);
        let page = scale.distance(&first, Some(&last));
        assert!(page > 0.0);
        let next = scale.text_behind(&last, page, page / 10.0);
        assert!(next > format!("{deep}0000000000185") && next < format!("{deep}0000000000210"), "{next}");
    }

    #[test]
    fn series_end_where_words_do() {
        let samples = samples(["cat-0001", "cat-0999", "dog-0001", "run/01ab", "run/77fe"]);
        assert!(samples.is_open("cat-0999", Some("dog")), "how many cats there are is not known");
        assert!(samples.is_open("run/77fe", None));
        assert!(!samples.is_open("cat-0001", Some("cat-05")), "more of them are known behind");
        assert_eq!(series_name("cat-0001", "cat-0999"), "cat-");
        assert_eq!(behind_name("cat-").as_deref(), Some("cat."));
        assert_eq!(samples.first_of("dog-"), Some("dog-0001"));
        assert_eq!(samples.first_of("cow-"), None);
    }

    #[test]
    fn directories_that_stand_alone_are_told_from_series_of_them() {
        let samples =
            samples(["dir-00/a-1", "dir-01/a-1", "dir-01/a-2", "texts/a-1", "texts/a-2", "y/2023/a-1", "z/a-1"]);
        assert_eq!(samples.lone_directory("texts/a-"), Some("texts/"));
        assert_eq!(samples.lone_directory("dir-00/a-"), None, "others are numbered like it");
        assert_eq!(samples.lone_directory("y/2023/a-"), None, "what lies beside it is not known");
        assert_eq!(samples.lone_directory("z/a-"), None, "nothing is known behind it");
        assert_eq!(samples.lone_directory("a-"), None);
    }

    /// A text at a share of the distance from the first key to the last lies there.
    fn check_text(keys: &BTreeSet<&str>, share: f64) {
        let (first, last) = (keys.first().unwrap(), keys.last().unwrap());
        let samples = samples(keys.iter().copied());
        let scale = samples.scale("", first, false);
        let distance = scale.distance(first, Some(last));
        assert!((0.0..=1.0).contains(&distance), "{distance:e}");
        let text = scale.text_behind(first, distance * share, distance / 100.0);
        let away = scale.distance(first, Some(&text));
        assert!(away <= distance * share + distance / 50.0 + 1e-9, "{text:?}: {away} of {distance}");
    }

    #[test]
    fn the_whole_has_the_length_one_however_its_parts_are_rounded() {
        // The last key is the last one of its step at each depth: the sum is rounded up beyond 1.
        let keys = [
            "1",
            "1/",
            "10",
            "11",
            "12",
            "1a",
            "1b",
            "1é",
            "1\u{10ffff}",
            "2",
            "2a",
            "2é",
            "2\u{10ffff}",
            "3",
            "3é",
            "4",
            "4é",
            "5",
            "8",
            "9",
            "a",
            "a/",
            "a0",
            "a1",
            "a2",
            "a3",
            "a4",
            "aa",
            "aaé",
            "ab",
            "aé",
            "aéé",
            "a\u{10ffff}",
            "a\u{10ffff}\u{10ffff}",
            "b",
            "b0",
            "ba",
            "bé",
            "b\u{10ffff}",
            "é",
            "é/",
            "é0",
            "é1",
            "é2",
            "éa",
            "éaa",
            "éaé",
            "éb",
            "éé",
            "ééa",
            "éé\u{10ffff}",
            "éé\u{10ffff}\u{10ffff}",
            "é\u{10ffff}",
            "é\u{10ffff}\u{10ffff}",
            "\u{10ffff}",
            "\u{10ffff}0",
            "\u{10ffff}3",
            "\u{10ffff}a",
            "\u{10ffff}a\u{10ffff}",
            "\u{10ffff}b",
            "\u{10ffff}é",
            "\u{10ffff}éé",
            "\u{10ffff}é\u{10ffff}",
            "\u{10ffff}\u{10ffff}",
            "\u{10ffff}\u{10ffff}a",
            "\u{10ffff}\u{10ffff}é",
        ];
        check_text(&keys.into_iter().collect(), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn texts_lie_where_they_were_wanted(
            keys in prop::collection::btree_set("[ab0-9é/\u{10ffff}]{1,6}", 2..80),
            share in 0.0..1.0f64,
        ) {
            check_text(&keys.iter().map(String::as_str).collect(), share);
        }
    }
}
