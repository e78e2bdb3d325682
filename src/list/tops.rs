//! The names at the top of what is listed: one page with a delimiter for each of the directories that the first page
//! lies in. They are places where keys are known to be, and tell where the last of them lies.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::base::{KeySpan, after, behind};
use crate::store::ListPage;

/// Directories whose names are asked for, from the top down.
const LEVELS: usize = 3;

/// Names that fill as many pages as others by this factor are like them.
pub(super) const ALIKE: f64 = 1.5;
/// Where one has filled more than the average by this factor, names are not alike. The average is too low where parts
/// began in the middle of names: with 2, directories of a page and a third cost 191 requests for 117 pages; with 4, a
/// thousand pages of mixed names take 58 rounds and not 28.
const FAR_FROM_ALIKE: f64 = 3.0;
/// Names that hold whole pages on average do so to this share of a page.
const EXACTLY: f64 = 0.02;

#[derive(Debug, Default)]
pub(super) struct Tops {
    /// Directories whose names are still to be asked for.
    wanted: Vec<String>,
    /// Requests on their way, and whether each shows everything that is listed.
    asked: Vec<(u64, bool)>,
    /// The names that were shown.
    marks: BTreeSet<String>,
    end: Option<String>,
    /// Names that were listed whole, and the pages that they have filled.
    whole: usize,
    whole_pages: f64,
    /// The most that one of them has filled, as far as they were told apart.
    largest_pages: f64,
}

impl Tops {
    /// Takes note of the directories that a first page lies in, where it shows that there are some.
    pub(super) fn want(&mut self, prefix: &str, shown: &[&str]) {
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else { return };
        if !shown.iter().any(|key| key[prefix.len()..].contains('/')) {
            return;
        }
        let shared = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
        let slashes = first[prefix.len()..].match_indices('/').map(|(at, _)| prefix.len() + at + 1);
        let below = slashes.take_while(|end| *end <= shared).map(|end| first[..end].to_owned());
        self.wanted = [prefix.to_owned()].into_iter().chain(below).take(LEVELS).collect();
        self.wanted.reverse();
    }

    /// These names are all that there are, in their order.
    pub(super) fn know(&mut self, names: &[&str]) {
        self.marks.extend(names.iter().map(|&name| name.to_owned()));
        self.end = names.last().and_then(|name| behind(name));
    }

    /// The next directory to ask about.
    pub(super) fn wanted(&mut self) -> Option<String> {
        self.wanted.pop()
    }

    pub(super) fn asked(&mut self, id: u64, everything: bool) {
        self.asked.push((id, everything));
    }

    pub(super) fn are_awaited(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Takes in an answer, and gives the names that it shows; `None` if this was asked for by another.
    pub(super) fn arrived<'p>(&mut self, id: u64, page: &'p ListPage) -> Option<Vec<&'p str>> {
        let at = self.asked.iter().position(|(asked, _)| *asked == id)?;
        let (_, everything) = self.asked.swap_remove(at);
        let shown = shown(page);
        self.marks.extend(shown.iter().map(|&name| name.to_owned()));
        if everything && page.next.is_none() {
            self.end = Some(reached(page, "")).filter(|end| !end.is_empty());
        }
        Some(shown)
    }

    /// The names that begin within a span, behind its beginning: how many, and the last.
    pub(super) fn begun(&self, span: &KeySpan) -> (usize, Option<&str>) {
        // A cut right behind a name ends before it.
        let before = span.before.as_deref().map(|before| before.strip_suffix('\0').unwrap_or(before));
        if before.is_some_and(|before| before <= &*span.from) {
            return (0, None);
        }
        let before = before.map_or(Bound::Unbounded, Bound::Excluded);
        let mut names = self.marks.range::<str, _>((Bound::Included(span.from.as_str()), before));
        let last = names.next_back().map(String::as_str);
        (names.count() + usize::from(last.is_some()), last)
    }

    /// So many names were listed whole, which have filled so many pages.
    pub(super) fn count_whole(&mut self, names: usize, pages: f64) {
        self.whole += names;
        self.whole_pages += pages;
        self.largest_pages = self.largest_pages.max(pages / names.max(1) as f64);
    }

    /// Pages that a name fills on average, where all names are known, some were listed whole, and these are alike: of
    /// names that differ much, some large ones may hold nearly all keys.
    pub(super) fn pages_per_name(&self) -> Option<f64> {
        let is_known = self.end.is_some() && self.whole > 0 && self.whole_pages > 0.0;
        let average = self.whole_pages / self.whole.max(1) as f64;
        (is_known && self.largest_pages <= average * FAR_FROM_ALIKE).then_some(average)
    }

    /// Whether names fill whole pages, as far as is known, so that what ends behind one ends with a page of another.
    pub(super) fn fill_pages(&self) -> bool {
        self.pages_per_name().is_some_and(|each| each > 0.5 && (each - each.round()).abs() < EXACTLY)
    }

    /// Names within a range.
    pub(super) fn count(&self, range: (Bound<&str>, Bound<&str>)) -> usize {
        self.marks.range::<str, _>(range).count()
    }

    /// Names that a page from one key to another has passed.
    pub(super) fn names_per_page(&self, first: &str, from: &str) -> f64 {
        self.count((Bound::Excluded(first), Bound::Excluded(from))) as f64
    }

    /// Names within a range to cut it at, one per page where a page passes several; at most `most`, evenly chosen, the
    /// last one among them.
    pub(super) fn marks(&self, range: (Bound<&str>, Bound<&str>), per_page: f64, most: usize) -> Vec<String> {
        let all: Vec<&String> = self.marks.range::<str, _>(range).collect();
        let count = ((all.len() as f64 / per_page.max(1.0)).ceil() as usize).min(most);
        (1..=count).map(|nth| all[nth * all.len() / count - 1].clone()).collect()
    }

    /// Everything lies before this, if that is known.
    pub(super) fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }
}

/// The keys and common prefixes of a page, in order.
pub(super) fn shown(page: &ListPage) -> Vec<&str> {
    let mut shown: Vec<&str> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    if !page.prefixes.is_empty() {
        shown.extend(page.prefixes.iter().map(String::as_str));
        shown.sort_unstable();
    }
    shown
}

/// What a page has come to.
pub(super) fn reached(page: &ListPage, from: &str) -> String {
    let key = page.entries.last().map(|entry| after(&entry.key)).unwrap_or_default();
    let prefix = page.prefixes.last().and_then(|prefix| behind(prefix)).unwrap_or_default();
    key.max(prefix).max(page.reached.clone().unwrap_or_default()).max(from.to_owned())
}

/// Up to where a page that is not the last shows all there is, on a server that repeats common prefixes on each page
/// too: the keys go on behind the last one shown, whatever prefixes are shown behind that. Prefixes alone are as many
/// as were asked for, unless some of them belong to other pages.
pub(super) fn certain(page: &ListPage, most: u32, from: &str) -> String {
    if let Some(reached) = &page.reached {
        return reached.clone().max(from.to_owned());
    }
    let key = page.entries.last().map(|entry| after(&entry.key));
    let prefix = page.prefixes.last().and_then(|prefix| behind(prefix));
    let certain = match (key, prefix) {
        (Some(key), Some(prefix)) => key.min(prefix),
        (None, Some(_)) if page.prefixes.len() > most as usize => return from.to_owned(),
        (key, prefix) => key.or(prefix).unwrap_or_default(),
    };
    certain.max(from.to_owned())
}
