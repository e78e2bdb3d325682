//! Which requests list a span of keys fastest. Pure: answers go in, requests come out.
//!
//! The span is cut into *segments*, each of which is listed from its beginning to its end by requests one after the
//! other. A segment whose remainder seems to hold several pages is cut in two wherever a request may still be sent,
//! the largest remainder first, so that whoever is done early takes over from who is not. The cuts partition the
//! keys, so that none is lost and none comes twice, wherever they lie; where they lie decides the number of requests,
//! and is the business of `cuts`.
//!
//! Servers that break the order of keys show it on the first page; they are listed one page after the other.

mod cuts;

use self::cuts::Waste;
use super::guess::Samples;
use super::tops::Tops;
use super::{ListScope, Options, Page};
use crate::base::{KeySpan, after, behind};
use crate::store::{Error, ErrorKind, ListPage, ListRequest, Result};

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
    /// It was cut where other names may be.
    spread: bool,
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
        Segment { from, before, next, last: None, asked: None, pages: Some(0.0), spread: false, undecodable: 0 }
    }

    fn is_guess(&self) -> bool {
        matches!(self.next, Next::After(_))
    }

    /// Pages left behind the one that is on its way.
    fn left(&self) -> f64 {
        self.pages.unwrap_or(0.0) - f64::from(u8::from(self.asked.is_some()))
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
        let ListPage { mut entries, mut prefixes, undecodable, .. } = page;
        if disordered {
            entries.retain(|entry| self.scope.within.holds(&entry.key));
            prefixes.retain(|prefix| self.scope.within.holds(prefix));
        } else {
            keep(&span, &mut entries, |entry| &entry.key);
            keep(&span, &mut prefixes, |prefix| prefix);
        }
        Page { span, entries, prefixes, undecodable: undecodable + segment.undecodable, ..Page::default() }
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
}

/// Keeps what a span holds of things in the order of their keys.
fn keep<T>(span: &KeySpan, things: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    if let Some(before) = &span.before {
        things.truncate(things.partition_point(|thing| key(thing) < before.as_str()));
    }
    things.drain(..things.partition_point(|thing| key(thing) < span.from.as_str()));
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
