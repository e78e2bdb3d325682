//! Where to cut the spans that are still to be listed. A wrong cut costs a request, never a key.
//!
//! 1. *Where are the keys?* [`Samples`](super::Samples) measures distances by the characters seen, and the density of a
//!    segment's last page tells how many pages its remainder holds.
//! 2. *How much of that is to be believed?* While the estimate is far beyond what was listed so far, cuts go out at
//!    growing distances (each some factor further than the one before), so that one round finds the scale of the
//!    remainder whatever it is. Later they are even.
//! 3. *Where does a series end?* What is numbered goes on for as long as it has done, give or take a factor, and then
//!    comes another name of which nothing is known: cuts go out in proportion to what the series has shown, and one
//!    behind all of it. Where a page holds many names, or a directory stands alone among others, cuts go out to where
//!    names of other scripts begin.
//! 4. *What lies beside a huge directory?* Pages with a delimiter ([`Tops`](super::Tops)), asked for once the first
//!    page shows that there are directories, show the names at the top: keys to cut at, and often the end of all keys.
//!    Where all of them are known, those that were listed whole tell how many pages the others will fill.
//! 5. *What may a wrong guess cost?* Requests that found nothing, and the parts of pages behind the end of their
//!    segment, are counted as [`Waste`](super::Waste). It is bounded by a share of what was listed; guessing pauses at
//!    the bound. Where parts turn out to waste more than half a page each, fewer are made: of directories that fill
//!    whole pages, a part at whose end a directory ends can be known to be whole by a page of the next one only.

use std::ops::Bound;

use super::super::PageOrder;
use super::super::guess::{Scale, behind_name, series_name};
use super::super::tops::ALIKE;
use super::waste::Outlook;
use super::{Next, Segment, Splitter};
use crate::base::after;

/// Cuts into a remainder whose size is not believed.
const PROBES: usize = 4;
/// Cuts into a series whose end is not known, as multiples of what it has shown.
const SERIES: [f64; 2] = [0.6, 2.5];
/// Names at the top that a page must have passed to measure by them.
const SEVERAL: f64 = 3.0;
/// Cuts at known names.
const NAMES: usize = 16;
/// Characters that names may begin with far behind the others: where many scripts begin.
const LADDER: [char; 12] = [
    'A',
    'a',
    'n',
    '\u{80}',
    '\u{400}',
    '\u{590}',
    '\u{600}',
    '\u{900}',
    '\u{2e80}',
    '\u{ac00}',
    '\u{10000}',
    '\u{1f000}',
];
/// Pages of a segment in key order: so many that the half page wasted at its end hardly matters, so few that all
/// workers are busy within the look-ahead.
const STRETCH: f64 = 8.0;

impl Splitter {
    /// Cuts a segment, and gives the part to ask about.
    pub(super) fn cut(&mut self) -> Option<usize> {
        let guesses = self.segments.iter().filter(|segment| segment.is_guess()).count();
        let ending = self.segments.iter().filter(|segment| segment.before.is_some()).count();
        let outlook = Outlook {
            idle: self.idle(),
            left: self.segments.iter().map(Segment::left).sum(),
            open: ending.saturating_sub(guesses) as f64,
            names_fill_pages: self.tops.fill_pages(),
        };
        let allowed = self.waste.allowed(self.scope.order, outlook);
        let allowed = allowed.checked_sub(guesses).filter(|&allowed| allowed > 0)?;
        for at in 0..self.segments.len() {
            if self.segments[at].pages.is_none() {
                self.segments[at].pages = Some(self.measure(at));
            }
        }
        if let Some(part) = self.spread(allowed) {
            return Some(part);
        }
        loop {
            let at = self.candidate()?;
            let cuts = match self.is_believed(at) {
                false => self.far_cuts(at, allowed),
                true => self.even_cut(at).into_iter().collect(),
            };
            let part = self.apply(at, cuts);
            if part.is_some() {
                return part;
            }
            self.segments[at].pages = Some(0.0);
        }
    }

    /// Cuts a segment where other names may be, of which nothing is known: once, however few pages it seems to hold.
    fn spread(&mut self, allowed: usize) -> Option<usize> {
        if self.idle() < 0.5 {
            return None;
        }
        for at in 0..self.segments.len() {
            let Some(cuts) = self.spreading_cuts(at, allowed) else { continue };
            self.segments[at].spread = true;
            let part = self.apply(at, cuts.into_iter().map(|text| (text, 0.0)).collect());
            if part.is_some() {
                return part;
            }
        }
        None
    }

    /// Where other names may be: behind the first characters of those that a page holds many of, or in the directory
    /// of a numbered series, where that is none of many alike. There words of other scripts alone are looked for.
    fn spreading_cuts(&self, at: usize, allowed: usize) -> Option<Vec<String>> {
        let segment = &self.segments[at];
        let name = self.series(segment).filter(|_| !segment.spread)?;
        let is_numbered = segment.from.as_bytes().get(name.len()).is_some_and(u8::is_ascii_digit);
        if !is_numbered {
            return (name.len() > self.scope.prefix.len()).then(|| self.ladder(name, &segment.from));
        }
        // In key order, what lies so far ahead would only take up the look-ahead.
        if self.tops.are_awaited() || self.scope.order == PageOrder::Key {
            return None;
        }
        let directory = self.samples.lone_directory(name).filter(|name| name.len() > self.scope.prefix.len())?;
        let mut cuts = self.ladder(directory, &segment.from);
        cuts.retain(|text| !text[directory.len()..].is_ascii());
        if segment.left() >= self.least() {
            cuts.extend(self.far_cuts(at, allowed).into_iter().map(|(text, _)| text));
            cuts.sort_unstable();
        }
        Some(cuts)
    }

    /// The share of all possible requests that is not used.
    fn idle(&self) -> f64 {
        (1.0 - self.segments.len() as f64 / self.concurrency as f64).max(0.0)
    }

    /// The least pages of a part: the longer the listing and the busier the workers, the more, since every part
    /// wastes half a page.
    fn least(&self) -> f64 {
        let busy = 1.0 - self.idle();
        let busy = match self.scope.order {
            PageOrder::Arrival => busy * busy,
            PageOrder::Key => busy,
        };
        1.5 + busy * self.waste.useful / self.concurrency as f64 / 2.0
    }

    fn candidate(&self) -> Option<usize> {
        let waits = self.tops.are_awaited();
        let least = self.least();
        let worth = |at: &usize| {
            let segment = &self.segments[*at];
            segment.left() >= least && (!waits || self.is_believed(*at))
        };
        let unstretched = |at: &usize| self.segments[*at].left() > 2.0 * STRETCH;
        let mut all = (0..self.segments.len()).filter(worth);
        match self.scope.order {
            PageOrder::Key if all.clone().any(|at| unstretched(&at)) => all.find(unstretched),
            _ => all.max_by(|a, b| self.segments[*a].left().total_cmp(&self.segments[*b].left())),
        }
    }

    /// Whether the estimate of a segment's pages is good enough to cut it evenly.
    fn is_believed(&self, at: usize) -> bool {
        let segment = &self.segments[at];
        self.series(segment).is_none() && !self.waste.is_far(segment.pages.unwrap_or(0.0))
    }

    /// The name of the series that a segment goes on with, if nothing tells where that ends.
    fn series<'s>(&self, segment: &'s Segment) -> Option<&'s str> {
        let last = segment.last.as_ref()?;
        let open = self.samples.is_open(&segment.from, segment.before.as_deref().or(self.tops.end()));
        open.then(|| series_name(&last.first, &segment.from))
    }

    /// Pages that the remainder of a segment seems to hold.
    fn measure(&self, at: usize) -> f64 {
        let segment = &self.segments[at];
        let Some(last) = &segment.last else { return 0.0 };
        let (scale, end) = self.scale(segment);
        let page = scale.distance(&last.first, Some(&segment.from)) / last.keys.max(1) as f64;
        let keys = scale.distance(&segment.from, end) / page;
        let pages = (keys / self.waste.page_keys as f64).min(1e12);
        let names = self.tops.names_per_page(&last.first, &segment.from);
        match segment.before {
            Some(_) if names >= SEVERAL => self.tops.count(range(&segment.from, end)) as f64 / names,
            Some(_) => pages.min(self.pages_of_names(segment, end).unwrap_or(pages)),
            None => pages,
        }
    }

    /// Pages that the remainder of a segment holds if the names in it are like those that were listed whole: of a few
    /// large directories that are numbered, distances know the numbers that there are, and not how far each goes.
    fn pages_of_names(&self, segment: &Segment, end: Option<&str>) -> Option<f64> {
        let each = self.tops.pages_per_name()?;
        // One that is much larger than the others says nothing of where it ends.
        let is_like_others = segment.of_name <= each * ALIKE;
        let behind = self.tops.count(range(&segment.from, end)) as f64;
        is_like_others.then(|| (each - segment.of_name).max(0.0) + behind * each)
    }

    fn scale<'s>(&'s self, segment: &'s Segment) -> (Scale<'s>, Option<&'s str>) {
        let end = segment.before.as_deref().or(self.tops.end());
        (self.samples.scale(&self.scope.prefix, &segment.from, end.is_none()), end)
    }

    /// One place to cut a segment at, with its pages divided evenly, or a stretch from its beginning in key order; and
    /// the pages before it.
    fn even_cut(&self, at: usize) -> Option<(String, f64)> {
        let segment = &self.segments[at];
        let (pages, left) = (segment.pages?, segment.left());
        let kept = match self.scope.order {
            PageOrder::Arrival => left / 2.0,
            PageOrder::Key => (left / 2.0).min(STRETCH),
        };
        let kept = pages - left + kept;
        let (scale, end) = self.scale(segment);
        let length = Some(scale.distance(&segment.from, end)).filter(|length| *length > 0.0)?;
        let tolerance = length * (kept / pages).min(1.0 - kept / pages) / 16.0;
        Some((scale.text_behind(&segment.from, length * kept / pages, tolerance), kept))
    }

    /// Places at growing distances, or at known names; how many pages lie between them is not known.
    fn far_cuts(&self, at: usize, allowed: usize) -> Vec<(String, f64)> {
        let segment = &self.segments[at];
        let (scale, end) = self.scale(segment);
        let names = segment.last.as_ref().map_or(0.0, |last| self.tops.names_per_page(&last.first, &segment.from));
        let marks = self.tops.marks(range(&segment.from, end), names, allowed.min(NAMES));
        if !marks.is_empty() {
            return marks.into_iter().map(|mark| (mark, 0.0)).collect();
        }
        let ladder = if end.is_none() { self.ladder(&self.scope.prefix, &segment.from) } else { Vec::new() };
        let end = end.or(ladder.first().map(String::as_str));
        let pages = segment.pages.unwrap_or(0.0);
        let page = scale.distance(&segment.from, end) / pages;
        let first = self.least() + 0.5;
        let (places, behind): (Vec<f64>, _) = match self.series(segment) {
            None => (far(pages, first, allowed.min(PROBES)).collect(), None),
            Some(name) => {
                let begin = self.samples.first_of(name).unwrap_or(&segment.from);
                let shown = scale.distance(begin, Some(&segment.from)) / page;
                let unit = shown.min(pages / 4.0);
                let places = SERIES.map(|factor| (unit * factor).max(first * factor.max(1.0)));
                (places.into_iter().filter(|far| *far < pages - 0.5).collect(), behind_name(name))
            }
        };
        let places = places.into_iter().map(|far| scale.text_behind(&segment.from, page * far, page * far / 4.0));
        let mut texts: Vec<String> = places.chain(behind).chain(ladder).take(allowed).collect();
        texts.sort_unstable();
        texts.into_iter().map(|text| (text, 0.0)).collect()
    }

    /// Cuts a segment at texts in growing order; gives the first new part.
    fn apply(&mut self, at: usize, cuts: Vec<(String, f64)>) -> Option<usize> {
        let mut last = at;
        for (text, kept) in cuts {
            let Some(from) = self.place(last, &text) else { continue };
            let whole = &mut self.segments[last];
            let rest = whole.pages.map(|pages| (pages - kept).max(0.0));
            let far = kept == 0.0;
            let mut part = Segment::new(from.clone(), whole.before.replace(from), Next::After(text));
            whole.pages = if far { Some(0.0) } else { Some(kept) };
            part.pages = if far { Some(0.0) } else { rest };
            last += 1;
            self.segments.insert(last, part);
        }
        (last > at).then_some(at + 1)
    }

    /// Texts that begin with a prefix and lie behind a key, where names begin in other scripts: up to the first that is
    /// not ASCII; behind one of those all others, or in key order the next.
    fn ladder(&self, prefix: &str, key: &str) -> Vec<String> {
        let first = key.get(prefix.len()..).and_then(|rest| rest.chars().next()).unwrap_or('\0');
        let behind = LADDER.into_iter().filter(|char| *char > first);
        let (ascii, other): (Vec<_>, Vec<_>) = behind.partition(char::is_ascii);
        let is_one_enough = first.is_ascii() || self.scope.order == PageOrder::Key;
        let other = other.into_iter().take(if is_one_enough { 1 } else { LADDER.len() });
        ascii.into_iter().chain(other).map(|char| format!("{prefix}{char}")).collect()
    }

    /// Where the part behind a text begins, if the text can cut the segment.
    fn place(&self, at: usize, text: &str) -> Option<String> {
        let segment = &self.segments[at];
        let from = after(text);
        // What is held is listed already.
        let begin = segment.from.as_str().max(&segment.least);
        let inside = *from > *begin && segment.before.as_ref().is_none_or(|before| from < *before);
        let crosses =
            self.scope.delimiter.as_deref().is_some_and(|delimiter| {
                text.get(self.scope.prefix.len()..).is_none_or(|rest| rest.contains(delimiter))
            });
        (inside && !crosses && text.starts_with(&self.scope.prefix)).then_some(from)
    }
}

/// Up to `most` distances below a number of pages: the first leaves enough pages behind the one that is on its way,
/// every other is a factor of at least 2 further than the one before.
fn far(pages: f64, first: f64, most: usize) -> impl Iterator<Item = f64> {
    let factor = (pages / first).powf(1.0 / most as f64).max(2.0);
    (0..most as i32).map(move |nth| first * factor.powi(nth)).take_while(move |far| *far < pages - 0.5)
}

fn range<'a>(from: &'a str, end: Option<&'a str>) -> (Bound<&'a str>, Bound<&'a str>) {
    // A text that was cut at is no place to cut at again.
    let end = end.map(|end| end.strip_suffix('\0').unwrap_or(end));
    if end.is_some_and(|end| end <= from) {
        // A page may end within the very key that was cut at.
        return (Bound::Included(from), Bound::Excluded(from));
    }
    (Bound::Excluded(from), end.map_or(Bound::Unbounded, Bound::Excluded))
}
