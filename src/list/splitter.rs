//! Which requests list a span of keys fastest. Pure: answers go in, requests come out.
//!
//! The span is cut into *segments*, each of which is listed from its beginning to its end by requests one after the
//! other. A segment whose remainder seems to hold several pages is cut in two wherever a request may still be sent, the
//! largest remainder first, so that a worker that is done early takes over from one that is not. The cuts partition the
//! keys, so that none is lost and none comes twice, wherever they lie; where they lie decides the number of requests,
//! and is the business of `cuts`.
//!
//! All of this holds only where keys come in byte order, each once, and from any given key on. Every page is checked
//! for that, and so is every place at which two segments meet (see `joints`). What breaks it is a [`Stop::Distrust`]:
//! what was given out is no longer to be believed, and the listing begins anew in the way that is right for such a
//! server.
//!
//! There are servers that repeat all common prefixes on each page, so that the first page shows some that lie behind
//! keys of later ones. Another listing of the same names may end this one before that shows. So what such a page may
//! have left out is not settled by it (see `certain`), and waits for the next page.

mod cuts;
mod joints;
mod waste;

use std::time::Duration;

use self::joints::Joints;
use self::waste::Waste;
use super::empty::EmptyRow;
use super::findings::Trust;
use super::guess::Samples;
use super::tops::{Tops, certain, reached, shown};
use super::{ListScope, Options, Page};
use crate::base::{KeySpan, after, behind};
use crate::store::{Error, ErrorKind, ListPage, ListRequest};

/// A request to send.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ask {
    /// Names the request when its answer is handed in.
    pub(super) id: u64,
    pub(super) request: ListRequest,
    /// How long it waits before it is sent.
    pub(super) pause: Duration,
}

/// Why a listing cannot go on as it has begun.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot go on at all.
    Failed(Error),
    /// The server can be relied on no further than this.
    Distrust(Trust),
    /// Two segments contradict each other: either names have changed there meanwhile, or the server keeps another
    /// order. Listed page by page, it shows which.
    Doubt,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// Which segments may be asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Any of the segments.
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
    joints: Joints,
    waste: Waste,
    asked: u64,
}

/// Whether the span may be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Splits {
    /// Not before the first page has shown that keys come in order.
    NotYet,
    Yes,
    /// One page after the other, as was asked for, or since the server knows no other way.
    Never,
}

/// Keys that are listed by requests one after the other.
#[derive(Debug)]
struct Segment {
    /// What has not been settled yet begins here.
    from: String,
    /// Where it ends; `None` is the end of all.
    before: Option<String>,
    next: Next,
    /// No name of the next page lies before this.
    least: String,
    /// What pages have shown from `from` on, which the next page must confirm.
    held: ListPage,
    row: EmptyRow,
    /// The stretch that the last page brought.
    last: Option<Stretch>,
    /// The request on its way.
    asked: Option<u64>,
    /// Pages left, the one on its way included; `None` until it was asked for.
    pages: Option<f64>,
    /// Pages that it has brought of the name at the top that it is in.
    of_name: f64,
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
    /// From a continuation token on.
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
        let least = match &next {
            Next::After(key) => after(key),
            Next::First | Next::Token(_) => String::new(),
        };
        let (held, row, last, asked, pages) = (ListPage::default(), EmptyRow::default(), None, None, Some(0.0));
        Segment {
            from,
            before,
            next,
            least,
            held,
            row,
            last,
            asked,
            pages,
            of_name: 0.0,
            spread: false,
            undecodable: 0,
        }
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
    pub(super) fn new(scope: ListScope, options: &Options, trust: Trust) -> Self {
        let inside = KeySpan::below(&scope.prefix);
        let begins = inside.from < scope.within.from;
        let (from, next) = match (begins, trust) {
            (true, Trust::Full) => (scope.within.from.clone(), Next::After(just_before(&scope.within.from))),
            (true, _) => (scope.within.from.clone(), Next::First),
            (false, _) => (String::new(), Next::First),
        };
        let may_split = options.concurrency > 1 && trust == Trust::Full;
        let before = scope.within.before.clone().filter(|end| inside.before.as_ref().is_none_or(|all| end < all));
        let beyond = inside.before.is_some_and(|end| end <= from);
        let empty = beyond || before.as_ref().is_some_and(|end| *end <= inside.from || *end <= from);
        Splitter {
            page_size: options.page_size.clamp(1, 1000),
            concurrency: options.concurrency.max(1) as usize,
            splits: if may_split { Splits::NotYet } else { Splits::Never },
            segments: if empty { Vec::new() } else { vec![Segment::new(from, before, next)] },
            samples: Samples::default(),
            tops: Tops::default(),
            joints: Joints::default(),
            waste: Waste::default(),
            asked: 0,
            scope,
        }
    }

    /// Where the first key lies that has not been settled; `None` when all have been.
    pub(super) fn front(&self) -> Option<&str> {
        self.segments.first().map(|segment| segment.from.as_str())
    }

    /// These names are all that there are at the top, in their order.
    pub(super) fn know(&mut self, names: &[String]) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.samples.learn_all(&names);
        self.tops.know(&names);
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
        let pause = segment.row.pause();
        let (start_after, continuation) = match segment.next.clone() {
            Next::First => (None, None),
            Next::After(key) => (Some(key), None),
            Next::Token(token) => (None, Some(token)),
        };
        let (prefix, delimiter) = (self.scope.prefix.clone(), self.scope.delimiter.clone());
        let request = ListRequest { prefix, delimiter, start_after, continuation, max_keys: self.page_size };
        Ask { id, request, pause }
    }

    fn ask_top(&mut self, prefix: String) -> Ask {
        let id = self.id();
        self.tops.asked(id, prefix == self.scope.prefix);
        let delimiter = Some("/".to_owned());
        let request = ListRequest { prefix, delimiter, max_keys: self.page_size, ..ListRequest::default() };
        Ask { id, request, pause: Duration::ZERO }
    }

    fn id(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Takes in an answer, and gives the pages that it settles.
    pub(super) fn arrived(&mut self, id: u64, mut page: ListPage) -> std::result::Result<Vec<Page>, Stop> {
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
        drop_repeats(&mut page, &self.segments[at].least);
        self.check(at, &page, next.as_deref())?;
        let (came, passed_over) = (page.entries.len() + page.prefixes.len(), page.passed_over as usize);
        let certain = next.is_some().then(|| certain(&page, self.page_size, &self.segments[at].from));
        self.segments[at].least = reached(&page, &self.segments[at].least);
        let page = joined(std::mem::take(&mut self.segments[at].held), page);
        let shown = shown(&page);
        self.check_joints(at, &shown, next.is_some())?;
        self.learn(&shown, next.is_some());
        let shown_to = reached(&page, &self.segments[at].from);
        self.take_over(at, next.is_some().then_some(shown_to.as_str()));
        let upto = shown.partition_point(|name| certain.as_deref().is_none_or(|certain| *name < certain));
        let first = shown.first().copied();
        // What was passed over lies behind the beginning, if nothing else is known of it.
        let begin = self.segments[at].from.as_str().max(&self.scope.prefix);
        let first = first.or((passed_over > 0).then_some(begin)).map(str::to_owned);
        let stretch = first.map(|first| Stretch { first, keys: upto + passed_over });
        let settled = self.settle(at, page, certain);
        let (kept, lines) = (settled.entries.len() + settled.prefixes.len(), came + passed_over);
        let lines_per_name = lines as f64 / came.max(1) as f64;
        if passed_over > 0 {
            self.waste.passes_over();
        }
        self.waste.count(if came == 0 { lines } else { (kept as f64 * lines_per_name) as usize }, lines);
        self.count_names(at, &settled, lines_per_name);
        let segment = &mut self.segments[at];
        let open = settled.span.before.is_some() && settled.span.before != segment.before;
        let (Some(token), true) = (next.clone(), open) else {
            self.segments.remove(at);
            self.waste.end();
            let behind = if next.is_none() { self.nothing_behind(at, &shown_to) } else { Vec::new() };
            return Ok([settled].into_iter().chain(behind).collect());
        };
        segment.next = Next::Token(token);
        segment.from = settled.span.before.clone().unwrap_or_default();
        segment.pages = None;
        // Within one key, a page comes no further and tells nothing of the keys behind it.
        let comes_further = |stretch: &Stretch| stretch.keys > 0 && *stretch.first < *segment.from;
        segment.last = stretch.filter(comes_further).or(segment.last.take());
        if came > 0 {
            return Ok(vec![settled]);
        }
        // A sign of life. What could not be decoded is told with the next names.
        segment.undecodable = settled.undecodable;
        Ok(vec![Page { undecodable: 0, ..settled }])
    }

    /// Measures how many pages the names at the top fill.
    fn count_names(&mut self, at: usize, settled: &Page, lines_per_name: f64) {
        let page = self.waste.page_keys as f64 / lines_per_name.max(1.0);
        let segment = &mut self.segments[at];
        let (begun, last) = self.tops.begun(&settled.span);
        let before = last.map_or(0, |last| settled.entries.partition_point(|entry| *entry.key < *last));
        let of_last = (settled.entries.len() - before) as f64 / page;
        if begun > 0 {
            self.tops.count_whole(begun, segment.of_name + before as f64 / page);
            segment.of_name = of_last;
        } else {
            segment.of_name += of_last;
        }
        if settled.span.before == segment.before {
            self.tops.count_whole(1, segment.of_name);
        }
    }

    /// Refuses what no listing can be, and sees whether keys come in order, each once, and from a given key on.
    fn check(&mut self, at: usize, page: &ListPage, next: Option<&str>) -> std::result::Result<(), Stop> {
        let segment = &mut self.segments[at];
        let names = (page.entries.len() + page.prefixes.len()) as u64 + page.undecodable + page.passed_over;
        let row = if next.is_some() { segment.row.count(names) } else { Ok(()) };
        let circles = matches!((&segment.next, next), (Next::Token(old), Some(new)) if old == new);
        if circles {
            let message = "the listing repeats its continuation token and would never end";
            return Err(self.refused(Error::new(ErrorKind::Protocol, message)).into());
        }
        row.map_err(|error| self.refused(error))?;
        let segment = &self.segments[at];
        let keys = || page.entries.iter().map(|entry| entry.key.as_str());
        let prefixes = || page.prefixes.iter().map(String::as_str);
        let is_in_order = keys().is_sorted_by(|a, b| a < b) && prefixes().is_sorted_by(|a, b| a < b);
        let is_behind = keys().chain(prefixes()).all(|name| name >= segment.least.as_str());
        match (is_in_order, is_behind) {
            (true, true) => Ok(()),
            (true, false) if segment.is_guess() => Err(Stop::Distrust(Trust::NoStartAfter)),
            _ => Err(Stop::Distrust(Trust::NoOrder)),
        }
    }

    /// Sees whether segments that meet show the same where they do.
    fn check_joints(&mut self, at: usize, shown: &[&str], more: bool) -> std::result::Result<(), Stop> {
        if self.splits != Splits::Yes {
            return Ok(());
        }
        let segment = &self.segments[at];
        let mut fits = true;
        if segment.is_guess() && (!shown.is_empty() || !more) {
            fits &= self.joints.begins(&segment.from, shown.first().copied());
        }
        if let Some(before) = &segment.before
            && let Some(first) = shown.get(shown.partition_point(|name| *name < before.as_str()))
        {
            fits &= self.joints.foretell(before, first);
        }
        if fits { Ok(()) } else { Err(Stop::Doubt) }
    }

    fn refused(&self, error: Error) -> Error {
        error.with_operation("ListObjects").with_key(Some(self.scope.prefix.clone()))
    }

    fn learn(&mut self, shown: &[&str], more: bool) {
        if self.splits != Splits::Never {
            self.samples.learn(shown);
        }
        if self.splits == Splits::NotYet {
            self.splits = Splits::Yes;
            if more && self.scope.delimiter.is_none() && self.scope.within == KeySpan::all() {
                self.tops.want(&self.scope.prefix, shown);
            }
        }
    }

    /// A page that reaches into the segments behind settles of them what was not asked for yet. `None` is the end
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

    /// The page as it is delivered: what it settles of its segment, up to a place if it is not the last. What it shows
    /// from there on is held.
    fn settle(&mut self, at: usize, page: ListPage, certain: Option<String>) -> Page {
        let segment = &mut self.segments[at];
        let ListPage { mut entries, mut prefixes, undecodable, .. } = page;
        if let Some(certain) = &certain {
            let entries = entries.split_off(entries.partition_point(|entry| entry.key < *certain));
            let prefixes = prefixes.split_off(prefixes.partition_point(|prefix| prefix < certain));
            segment.held = ListPage { entries, prefixes, ..ListPage::default() };
        }
        let ends = |certain: &String| segment.before.as_ref().is_some_and(|before| before <= certain);
        let before = certain.filter(|certain| !ends(certain)).or(segment.before.clone());
        let span = KeySpan { from: segment.from.clone(), before };
        keep(&span, &mut entries, |entry| &entry.key);
        keep(&span, &mut prefixes, |prefix| prefix);
        let undecodable = undecodable + std::mem::take(&mut segment.undecodable);
        Page { span, entries, prefixes, undecodable, ..Page::default() }
    }

    /// The listing has come to the end of all keys: segments from `place` on hold nothing, where nothing was asked for.
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

/// What pages have shown, and what the next one shows behind it.
fn joined(mut held: ListPage, page: ListPage) -> ListPage {
    held.entries.extend(page.entries);
    held.prefixes.extend(page.prefixes);
    ListPage { entries: held.entries, prefixes: held.prefixes, ..page }
}

/// Leaves out names that the page shows twice, one behind the other, and that the page before has ended with.
fn drop_repeats(page: &mut ListPage, least: &str) {
    page.entries.dedup_by(|later, first| later.key == first.key);
    page.prefixes.dedup();
    if page.entries.first().is_some_and(|entry| least.strip_suffix('\0') == Some(entry.key.as_str())) {
        page.entries.remove(0);
    }
    if page.prefixes.first().is_some_and(|prefix| behind(prefix).as_deref() == Some(least)) {
        page.prefixes.remove(0);
    }
}

/// Keeps what a span holds of things in the order of their keys.
fn keep<T>(span: &KeySpan, things: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    if let Some(before) = &span.before {
        things.truncate(things.partition_point(|thing| key(thing) < before.as_str()));
    }
    things.drain(..things.partition_point(|thing| key(thing) < span.from.as_str()));
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
