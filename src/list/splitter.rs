//! Which requests list a span of keys fastest. Pure: answers go in, requests come out.
//!
//! The span is cut into *segments*, each of which is listed from its beginning to its end by requests one after the
//! other. A segment whose remainder seems to hold several pages is cut in two wherever a request may still be sent,
//! the largest remainder first, so that whoever is done early takes over from who is not. The cuts partition the
//! keys, so that none is lost and none comes twice, wherever they lie; where they lie decides the number of requests:
//!
//! 1. *Where are the keys?* [`Samples`] measures distances by the characters seen, and the density of the last page
//!    of a segment tells how many pages its remainder holds.
//! 2. *How much of that is to be believed?* While the estimate is far beyond what was listed so far, cuts go out at
//!    growing distances (each some factor further than the one before), so that one round finds the scale of the
//!    remainder whatever it is. Later they are even.
//! 3. *What may a wrong guess cost?* Requests that found nothing, and the parts of pages behind the end of their
//!    segment, are counted as [`Waste`]. It is bounded by a share of what was listed; guessing pauses at the bound.
//! 4. *What lies beside a huge directory?* Pages with a delimiter ([`Tops`]), asked for once the first page shows
//!    that there are directories, show the names at the top: keys to cut at, and often the end of all keys.
//!
//! Servers that break the order of keys show it on the first page; they are listed one page after the other.

use std::ops::Bound;

use super::guess::{Samples, Scale, behind_name, series_name};
use super::tops::Tops;
use super::{ListScope, Options, Order, Page};
use crate::base::{KeySpan, after, behind};
use crate::store::{Error, ErrorKind, ListPage, ListRequest, Result};

/// An estimate beyond this multiple of what has been listed is not believed.
const FAR: f64 = 4.0;
/// Cuts into a remainder whose size is not believed.
const PROBES: usize = 4;
/// Cuts into a series whose end is not known, as multiples of what it has shown.
const SERIES: [f64; 2] = [0.6, 2.5];
/// Names at the top that a page must have passed to measure by them.
const SEVERAL: f64 = 3.0;
/// Cuts at known names.
const NAMES: usize = 16;
/// Characters that names may begin with far behind the others: of each script one, so to speak.
const LADDER: [char; 7] = ['A', 'a', 'n', '\u{80}', '\u{2e80}', '\u{ac00}', '\u{10000}'];
/// Pages of a segment in key order: so many that the half page wasted at its end hardly matters, so few that all
/// workers are busy within the look-ahead.
const STRETCH: f64 = 4.0;

/// A request to send.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ask {
    /// Names the request when its answer is handed in.
    pub(super) id: u64,
    pub(super) request: ListRequest,
}

/// Which segments may be asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// All.
    Everywhere,
    /// The first one alone: what lies behind it could not be delivered.
    Front,
}

/// The state of a listing.
#[derive(Debug)]
pub(super) struct Splitter {
    scope: ListScope,
    page_size: u32,
    concurrency: usize,

    splits: Splits,
    /// In the order of their keys; each begins where the one before it ends, or later where keys are settled.
    segments: Vec<Segment>,
    samples: Samples,
    tops: Tops,
    waste: Waste,
    asked: u64,
}

/// Whether the span may be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Splits {
    /// Not before the first page has shown that keys come in order.
    NotYet,
    Yes,
    /// One page after the other, as was asked for.
    Never,
    /// One page after the other: the server breaks the order.
    Disordered,
}

/// Keys that are listed by requests one after the other.
#[derive(Debug)]
struct Segment {
    /// What has not been settled yet begins here.
    from: String,
    /// Where it ends; `None` is the end of all.
    before: Option<String>,
    next: Next,
    /// The last page.
    last: Option<Stretch>,
    /// The request on its way.
    asked: Option<u64>,
    /// Pages left, the one on its way included; `None` until somebody wants to know.
    pages: Option<f64>,
    /// Keys that are not UTF-8, of pages that showed no other.
    undecodable: u64,
}

/// How to ask for a segment's next page.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Next {
    /// From the beginning of everything.
    First,
    /// Its first page: what comes after this key.
    After(String),
    /// A continuation token.
    Token(String),
}

/// Keys of a page, up to where the segment begins now.
#[derive(Debug)]
struct Stretch {
    first: String,
    keys: usize,
}

impl Segment {
    fn new(from: String, before: Option<String>, next: Next) -> Self {
        Segment { from, before, next, last: None, asked: None, pages: Some(0.0), undecodable: 0 }
    }

    fn is_guess(&self) -> bool {
        matches!(self.next, Next::After(_))
    }

    /// Pages left behind the one that is on its way.
    fn left(&self) -> f64 {
        self.pages.unwrap_or(0.0) - f64::from(u8::from(self.asked.is_some()))
    }
}

/// What guessing has cost, in pages.
#[derive(Debug, Default)]
struct Waste {
    /// Keys of the largest page so far: what a request can bring.
    page_keys: usize,
    useful: f64,
    wasted: f64,
}

impl Waste {
    /// Waste that is always allowed.
    const BASE: f64 = 38.0;
    /// Waste that is allowed for every page listed.
    const SHARE: f64 = 0.13;
    /// What a guess costs on average: half a page before it, and sometimes a page that is empty.
    const EXPECTED: f64 = 0.6;

    /// Guesses that may be on their way at first; one more for each page listed.
    const START: f64 = 2.0;

    fn count(&mut self, kept: usize, came: usize) {
        self.page_keys = self.page_keys.max(came).max(1);
        let share = kept as f64 / self.page_keys as f64;
        self.useful += share;
        self.wasted += 1.0 - share;
    }

    /// How many guesses may be on their way, with this share of all possible requests unused. What is always allowed
    /// is kept for times when there is little else to ask for.
    fn allowed(&self, idle: f64) -> usize {
        let affordable = (Self::BASE * idle + Self::SHARE * self.useful - self.wasted) / Self::EXPECTED;
        affordable.min(Self::START + self.useful).max(0.0) as usize
    }

    fn is_far(&self, pages: f64) -> bool {
        pages > FAR * (self.useful + 1.0)
    }
}

impl Splitter {
    pub(super) fn new(scope: ListScope, options: &Options) -> Self {
        let inside = KeySpan::below(&scope.prefix);
        let begins = inside.from < scope.within.from;
        let (from, next) = match begins {
            true => (scope.within.from.clone(), Next::After(just_before(&scope.within.from))),
            false => (String::new(), Next::First),
        };
        let before = scope.within.before.clone().filter(|end| inside.before.as_ref().is_none_or(|all| end < all));
        let beyond = inside.before.is_some_and(|end| end <= from);
        let empty = beyond || before.as_ref().is_some_and(|end| *end <= inside.from || *end <= from);
        Splitter {
            page_size: options.page_size.clamp(1, 1000),
            concurrency: options.concurrency.max(1) as usize,
            splits: if options.concurrency > 1 { Splits::NotYet } else { Splits::Never },
            segments: if empty { Vec::new() } else { vec![Segment::new(from, before, next)] },
            samples: Samples::default(),
            tops: Tops::default(),
            waste: Waste::default(),
            asked: 0,
            scope,
        }
    }

    /// Where the first key lies that has not been settled; `None` when all have been.
    pub(super) fn front(&self) -> Option<&str> {
        self.segments.first().map(|segment| segment.from.as_str())
    }

    /// From now on, this many requests may be in flight.
    pub(super) fn set_concurrency(&mut self, concurrency: usize) {
        self.concurrency = concurrency.max(1);
    }

    /// The next request to send; `None` while answers must be waited for.
    pub(super) fn next(&mut self, reach: Reach) -> Option<Ask> {
        if reach == Reach::Front {
            return self.segments.first()?.asked.is_none().then(|| self.ask(0));
        }
        if let Some(idle) = self.segments.iter().position(|segment| segment.asked.is_none()) {
            return Some(self.ask(idle));
        }
        if self.splits != Splits::Yes {
            return None;
        }
        if let Some(prefix) = self.tops.wanted() {
            return Some(self.ask_top(prefix));
        }
        let at = self.cut()?;
        Some(self.ask(at))
    }

    fn ask(&mut self, at: usize) -> Ask {
        let id = self.id();
        let segment = &mut self.segments[at];
        segment.asked = Some(id);
        let (start_after, continuation) = match segment.next.clone() {
            Next::First => (None, None),
            Next::After(key) => (Some(key), None),
            Next::Token(token) => (None, Some(token)),
        };
        let (prefix, delimiter) = (self.scope.prefix.clone(), self.scope.delimiter.clone());
        Ask { id, request: ListRequest { prefix, delimiter, start_after, continuation, max_keys: self.page_size } }
    }

    fn ask_top(&mut self, prefix: String) -> Ask {
        let id = self.id();
        self.tops.asked(id, prefix == self.scope.prefix);
        let delimiter = Some("/".to_owned());
        Ask { id, request: ListRequest { prefix, delimiter, max_keys: self.page_size, ..ListRequest::default() } }
    }

    fn id(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Takes in an answer, and gives the pages that it settles.
    pub(super) fn arrived(&mut self, id: u64, mut page: ListPage) -> Result<Vec<Page>> {
        if let Some(shown) = self.tops.arrived(id, &page) {
            self.samples.learn_all(&shown);
            for segment in &mut self.segments {
                segment.pages = segment.pages.filter(|_| segment.last.is_none());
            }
            return Ok(Vec::new());
        }
        let Some(at) = self.segments.iter().position(|segment| segment.asked == Some(id)) else {
            return Ok(Vec::new());
        };
        let next = page.next.take();
        self.segments[at].asked = None;
        self.check(at, &page, next.as_deref())?;
        let shown = shown(&page);
        let (came, first) = (shown.len(), shown.first().map(|key| (*key).to_owned()));
        self.learn(&shown, next.is_some());
        let shown_to = reached(&page, &self.segments[at].from);
        let reached = next.is_some().then(|| shown_to.clone());
        self.take_over(at, reached.as_deref());
        let settled = self.settle(at, page, reached);
        self.waste.count(settled.entries.len() + settled.prefixes.len(), came);
        let segment = &mut self.segments[at];
        let open = settled.span.before.is_some() && settled.span.before != segment.before;
        let (Some(token), true) = (next.clone(), open) else {
            self.segments.remove(at);
            let behind = if next.is_none() { self.nothing_behind(at, &shown_to) } else { Vec::new() };
            return Ok([settled].into_iter().chain(behind).collect());
        };
        segment.next = Next::Token(token);
        segment.from = settled.span.before.clone().unwrap_or_default();
        segment.last = first.map(|first| Stretch { first, keys: came });
        segment.pages = None;
        if came == 0 {
            segment.undecodable = settled.undecodable;
            return Ok(Vec::new());
        }
        Ok(vec![settled])
    }

    /// Refuses what no listing can be, and sees whether keys come in order.
    fn check(&mut self, at: usize, page: &ListPage, next: Option<&str>) -> Result<()> {
        let segment = &self.segments[at];
        if let (Next::Token(old), Some(new)) = (&segment.next, next)
            && old == new
        {
            return Err(self.refused("the listing gives the same continuation token again and would never end"));
        }
        let least = match &segment.next {
            Next::After(key) => after(key),
            _ => segment.from.clone(),
        };
        let entries = page.entries.iter().map(|entry| entry.key.as_str());
        let prefixes = page.prefixes.iter().map(String::as_str);
        if entries.clone().is_sorted()
            && prefixes.clone().is_sorted()
            && entries.chain(prefixes).all(|key| key >= &*least)
        {
            return Ok(());
        }
        if self.splits == Splits::Yes {
            return Err(self.refused(
                "the server does not list keys in byte order, or not from a given key on; use list-concurrency=1",
            ));
        }
        self.splits = Splits::Disordered;
        Ok(())
    }

    fn refused(&self, message: &str) -> Error {
        Error::new(ErrorKind::Protocol, message).with_operation("ListObjects").with_key(Some(self.scope.prefix.clone()))
    }

    fn learn(&mut self, shown: &[&str], more: bool) {
        if matches!(self.splits, Splits::NotYet | Splits::Yes) {
            self.samples.learn(shown);
        }
        if self.splits == Splits::NotYet {
            self.splits = Splits::Yes;
            if more && self.scope.delimiter.is_none() && self.scope.within == KeySpan::all() {
                self.tops.want(&self.scope.prefix, shown);
            }
        }
    }

    /// A page that reaches into the segments behind settles of them what nobody has asked about yet. `None` is the end
    /// of all keys.
    fn take_over(&mut self, at: usize, reached: Option<&str>) {
        while let Some(right) = self.segments.get(at + 1)
            && right.asked.is_none()
            && right.is_guess()
            && reached.is_none_or(|reached| *right.from <= *reached)
            && self.segments[at].before.as_ref() == Some(&right.from)
        {
            self.segments[at].before = self.segments.remove(at + 1).before;
        }
    }

    /// The page as it is delivered: what it settles of its segment.
    fn settle(&self, at: usize, page: ListPage, reached: Option<String>) -> Page {
        let segment = &self.segments[at];
        let disordered = self.splits == Splits::Disordered;
        let ends = |reached: &String| !disordered && segment.before.as_ref().is_some_and(|before| before <= reached);
        let before = reached.filter(|reached| !ends(reached)).or(segment.before.clone());
        let span = KeySpan { from: segment.from.clone(), before };
        let wanted = if disordered { self.scope.within.clone() } else { span.clone() };
        let ListPage { mut entries, mut prefixes, undecodable, .. } = page;
        entries.retain(|entry| wanted.holds(&entry.key));
        prefixes.retain(|prefix| wanted.holds(prefix));
        Page { span, entries, prefixes, undecodable: undecodable + segment.undecodable }
    }

    /// The listing has come to the end of all keys: segments from `place` on hold nothing, where nobody has asked.
    fn nothing_behind(&mut self, at: usize, place: &str) -> Vec<Page> {
        let behind = self.segments.split_off(at);
        let (empty, open) = behind.into_iter().partition(|segment| segment.asked.is_none() && *segment.from >= *place);
        self.segments.extend::<Vec<_>>(open);
        for segment in &mut self.segments[at..] {
            segment.pages = Some(0.0);
        }
        let page = |segment: Segment| Page {
            span: KeySpan { from: segment.from, before: segment.before },
            undecodable: segment.undecodable,
            ..Page::default()
        };
        <Vec<Segment>>::into_iter(empty).map(page).collect()
    }

    /// Cuts a segment, and gives the part to ask about.
    fn cut(&mut self) -> Option<usize> {
        let guesses = self.segments.iter().filter(|segment| segment.is_guess()).count();
        let allowed = self.waste.allowed(self.idle()).checked_sub(guesses).filter(|&allowed| allowed > 0)?;
        for at in 0..self.segments.len() {
            if self.segments[at].pages.is_none() {
                self.segments[at].pages = Some(self.measure(at));
            }
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

    /// The share of all possible requests that is not used.
    fn idle(&self) -> f64 {
        (1.0 - self.segments.len() as f64 / self.concurrency as f64).max(0.0)
    }

    /// The least pages of a part: the longer the listing and the busier the workers, the more, since every part
    /// wastes half a page.
    fn least(&self) -> f64 {
        1.5 + (1.0 - self.idle()) * self.waste.useful / self.concurrency as f64 / 2.0
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
            Order::Key if all.clone().any(|at| unstretched(&at)) => all.find(unstretched),
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
            _ => pages,
        }
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
            Order::Arrival => left / 2.0,
            Order::Key => (left / 2.0).min(STRETCH),
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
        let ladder = if end.is_none() { self.ladder(&segment.from) } else { Vec::new() };
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

    /// Texts behind a place that names in other scripts begin with: up to the first that is not ASCII, or the next.
    fn ladder(&self, from: &str) -> Vec<String> {
        let prefix = &self.scope.prefix;
        let first = from.get(prefix.len()..).and_then(|rest| rest.chars().next()).unwrap_or('\0');
        let behind = LADDER.into_iter().filter(|char| *char > first);
        let ascii = behind.clone().take_while(char::is_ascii);
        let other = behind.skip_while(char::is_ascii).take(1);
        ascii.chain(other).map(|char| format!("{prefix}{char}")).collect()
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

    /// Where the part behind a text begins, if the text can cut the segment.
    fn place(&self, at: usize, text: &str) -> Option<String> {
        let segment = &self.segments[at];
        let from = after(text);
        let inside = from > segment.from && segment.before.as_ref().is_none_or(|before| from < *before);
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
    (Bound::Excluded(from), end.map_or(Bound::Unbounded, Bound::Excluded))
}

/// The keys and common prefixes of a page, in order.
fn shown(page: &ListPage) -> Vec<&str> {
    let mut shown: Vec<&str> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    if !page.prefixes.is_empty() {
        shown.extend(page.prefixes.iter().map(String::as_str));
        shown.sort_unstable();
    }
    shown
}

/// What a page that is not the last has come to.
fn reached(page: &ListPage, from: &str) -> String {
    let key = page.entries.last().map(|entry| after(&entry.key)).unwrap_or_default();
    let prefix = page.prefixes.last().and_then(|prefix| behind(prefix)).unwrap_or_default();
    key.max(prefix).max(from.to_owned())
}

/// A text behind which everything from a place on comes, and little else.
fn just_before(place: &str) -> String {
    if let Some(key) = place.strip_suffix('\0') {
        return key.to_owned();
    }
    let mut text = place.to_owned();
    if let Some(last) = text.pop() {
        // Surrogates are no characters: the range steps over them.
        text.extend(('\0'..last).next_back());
        text.push(char::MAX);
    }
    text
}
