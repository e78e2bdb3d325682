//! Directories with more names than memory holds: a handle reads them straight from the store, page by page, and
//! nothing of that enters the tree.
//!
//! A listing that comes to the limit ends. What it has settled by then stays for the handles that have joined it; the
//! keys that it has not settled are what is left, and each handle lists those for itself, in the order of the keys, so
//! that each name is in one of the two. When it has come so far, it gives the settled part back to the tree. Handles
//! that are opened later read all of the directory this way, and look-ups ask for each name alone.
//!
//! The kernel is told to believe nothing of such entries: it looks up those that a program wants more of, and that
//! look-up is what the tree counts. What it counts itself for having been shown them, it gives back in vain.
//!
//! A handle keeps one page, what is on its way behind that, and of pages before it, here and there, where they began,
//! so that it can go back. All three are bounded, and what is on its way for all handles together.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use lru::LruCache;
use tokio::sync::Mutex;

use super::directory::{OpenDirectory, Reading};
use super::listing::ListTask;
use super::probe::entry_facts;
use super::{DirEntry, DirHandle, Failure, Names, Room, State, Tried, ms, report};
use crate::base::{Ino, KeySpan, fnv1a};
use crate::list::{self, ListScope, Order, Page, Pages, Trust};
use crate::metrics::Metric;
use crate::store::{ListEntry, ObjectKind};
use crate::tree::{self, Depth, Kind, Nameable, Remainder, Take, Tree, View};

/// Handles that have pages on their way. The one that was read longest ago asks anew when it is read on.
const STREAMS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Places that a handle remembers to go back to.
const MOST_MARKS: usize = 4096;

/// How often, and for how long each time, a listing waits for the kernel to forget files before its directory counts as
/// too large.
const SHED_TRIES: usize = 25;
const SHED_TIME: Duration = Duration::from_millis(20);

/// Times that one page is asked for anew since the server turned out to keep other rules.
const MOST_DOUBTS: usize = 8;

/// What a listing that came to the limit has left, once it did.
pub(super) type LeftSlot = Arc<OnceLock<Arc<Left>>>;

/// What is left of a directory for handles that have read, or will read, the other part from the tree.
#[derive(Debug)]
pub(super) struct Left {
    /// In the order of the keys.
    spans: Vec<KeySpan>,
    /// Files of the other part whose name a directory in these spans may still take.
    undecided: Vec<ListEntry>,
    /// Components of directories that the other part has, and names of part directories.
    directories: HashSet<Box<str>>,
    parts: HashSet<Box<str>>,
    /// Hashes of names that are left out: those the reader has had.
    had: HashSet<u64>,
}

impl Left {
    fn of(remainder: Remainder) -> Self {
        let Remainder { spans, undecided, directories, parts } = remainder;
        let undecided = undecided.into_iter().map(list_entry).collect();
        Left { spans, undecided, directories, parts, had: HashSet::new() }
    }
}

/// What is read of a directory straight from the store, by one handle.
#[derive(Debug)]
pub(super) struct Rest {
    directory: Ino,
    prefix: String,
    left: Arc<Left>,
    /// The offset of the first entry.
    base: u64,
    stretch: Mutex<Stretch>,
}

/// The page that a handle stands in.
#[derive(Debug)]
struct Stretch {
    /// Where pages began that were read: every one, or every second, fourth and so on.
    marks: Vec<Mark>,
    marked_every: usize,
    unmarked: usize,
    /// The present page, and the index of its first row.
    rows: Vec<(Box<str>, View)>,
    first: u64,
    /// What follows after it.
    next: Mark,
    pages: Option<Pages>,
}

/// A place between two pages.
#[derive(Clone, Debug)]
struct Mark {
    /// The index of the row that follows.
    index: u64,
    /// The span that is being read, and from where on.
    span: usize,
    from: Option<String>,
    /// Files that wait until it is known whether a directory takes their name.
    pending: Vec<ListEntry>,
    /// The last directory, and the last part directory: a server that does not collapse keys shows one again and again.
    last: Option<Box<str>>,
    last_part: Option<Box<str>>,
    is_end: bool,
}

/// One line of what is read.
#[derive(Debug)]
enum Line {
    File(ListEntry),
    /// A file whose name a directory takes.
    Shadowed(ListEntry),
    /// The prefix of a directory, with its `/`.
    Directory(String),
}

impl Mark {
    fn new(left: &Left) -> Self {
        let pending = left.undecided.clone();
        Mark { index: 0, span: 0, from: None, pending, last: None, last_part: None, is_end: false }
    }

    /// Passes one key: files come out once it is decided whether a directory takes their name.
    fn pass(&mut self, key: &str, lines: &mut Vec<Line>) {
        if self.pending.is_empty() {
            return;
        }
        let mut kept = Vec::new();
        for file in std::mem::take(&mut self.pending) {
            let (beginning, rest) = key.split_at_checked(file.key.len()).unwrap_or((key, ""));
            match beginning.cmp(&file.key).then_with(|| rest.as_bytes().first().cmp(&Some(&b'/'))) {
                std::cmp::Ordering::Less => kept.push(file),
                std::cmp::Ordering::Equal => lines.push(Line::Shadowed(file)),
                std::cmp::Ordering::Greater => lines.push(Line::File(file)),
            }
        }
        self.pending = kept;
    }

    fn take(&mut self, page: Page, prefix: &str, left: &Left) -> Vec<Line> {
        let Page { entries, prefixes, .. } = page;
        let mut lines = Vec::with_capacity(entries.len() + prefixes.len());
        let (mut entries, mut prefixes) = (entries.into_iter().peekable(), prefixes.into_iter().peekable());
        loop {
            let is_object = match (entries.peek(), prefixes.peek()) {
                (Some(entry), Some(prefix)) => entry.key <= *prefix,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return lines,
            };
            let Some(entry) = entries.next_if(|_| is_object) else {
                prefixes.next().into_iter().for_each(|key| self.take_directory(key, prefix, left, &mut lines));
                continue;
            };
            let Some(component) = entry.key.strip_prefix(prefix) else { continue };
            match component.find('/') {
                Some(at) => self.take_directory(entry.key[..=prefix.len() + at].to_owned(), prefix, left, &mut lines),
                // The directory's own marker.
                None if component.is_empty() && entry.size == 0 => {}
                None => {
                    self.pass(&entry.key, &mut lines);
                    match left.directories.contains(component) {
                        true => lines.push(Line::Shadowed(entry)),
                        false => self.pending.push(entry),
                    }
                }
            }
        }
    }

    fn take_directory(&mut self, key: String, prefix: &str, left: &Left, lines: &mut Vec<Line>) {
        self.pass(&key, lines);
        let component = key.strip_prefix(prefix).and_then(|component| component.strip_suffix('/'));
        let Some(component) = component.filter(|component| self.last.as_deref() != Some(component)) else { return };
        self.last = Some(component.into());
        if !left.directories.contains(component) {
            lines.push(Line::Directory(key));
        }
    }

    /// Goes behind a page; whether that was the last one of its span.
    fn go_behind(&mut self, page: &KeySpan, span: &KeySpan) -> bool {
        let is_last = page.before.is_none() || page.before == span.before;
        if is_last {
            self.next_span();
        } else {
            self.from.clone_from(&page.before);
        }
        is_last
    }

    fn next_span(&mut self) {
        (self.span, self.from) = (self.span + 1, None);
    }
}

impl Rest {
    fn new(directory: Ino, prefix: &str, left: Arc<Left>, base: u64) -> Arc<Self> {
        let stretch = Stretch {
            marks: Vec::new(),
            marked_every: 1,
            unmarked: 0,
            rows: Vec::new(),
            first: 0,
            next: Mark::new(&left),
            pages: None,
        };
        Arc::new(Rest { directory, prefix: prefix.to_owned(), left, base, stretch: Mutex::new(stretch) })
    }

    /// All of a directory, but for names of these hashes.
    fn whole(directory: Ino, prefix: &str, base: u64, had: HashSet<u64>) -> Arc<Self> {
        let (directories, parts) = (HashSet::new(), HashSet::new());
        let left = Left { spans: vec![KeySpan::below(prefix)], undecided: Vec::new(), directories, parts, had };
        Rest::new(directory, prefix, Arc::new(left), base)
    }

    /// The lines as they are shown.
    fn rows(&self, tree: &Tree, mark: &mut Mark, lines: &[Line]) -> Vec<(Box<str>, View)> {
        let mut rows = Vec::with_capacity(lines.len());
        for line in lines {
            let (key, what) = match line {
                Line::File(entry) => (entry.key.as_str(), Nameable::File(entry_facts(entry))),
                Line::Shadowed(entry) => (entry.key.as_str(), Nameable::Shadowed(entry_facts(entry))),
                Line::Directory(prefix) => (prefix.strip_suffix('/').unwrap_or(prefix), Nameable::Directory),
            };
            let component = key.strip_prefix(self.prefix.as_str());
            let Some(shown) = component.and_then(|component| tree.unheld(self.directory, component, what)) else {
                continue;
            };
            let name = Box::from(shown.name);
            if shown.is_part {
                if self.left.parts.contains(&name) || mark.last_part.as_ref() == Some(&name) {
                    continue;
                }
                mark.last_part = Some(name.clone());
            }
            rows.push((name, shown.view));
        }
        rows
    }
}

impl Stretch {
    /// Makes the page with this row the present one. False where there is none: the end.
    async fn find(&mut self, names: &Names, rest: &Rest, index: u64) -> Tried<bool> {
        if index < self.first {
            let at = self.marks.partition_point(|mark| mark.index <= index).saturating_sub(1);
            self.next = self.marks.get(at).cloned().unwrap_or_else(|| Mark::new(&rest.left));
            self.marks.truncate(at);
            (self.first, self.rows, self.pages, self.unmarked) = (self.next.index, Vec::new(), None, 0);
        }
        while index >= self.first + self.rows.len() as u64 {
            if self.next.is_end {
                return Ok(false);
            }
            self.mark();
            self.turn(names, rest).await?;
        }
        Ok(true)
    }

    /// Remembers where the next page begins, now and then.
    fn mark(&mut self) {
        if self.unmarked == 0 {
            self.marks.push(self.next.clone());
        }
        self.unmarked = (self.unmarked + 1) % self.marked_every;
        if self.marks.len() >= MOST_MARKS {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
            self.marked_every *= 2;
        }
    }

    /// Reads the next page that shows anything.
    async fn turn(&mut self, names: &Names, rest: &Rest) -> Tried<()> {
        let mut doubts = 0;
        loop {
            let Some(span) = rest.left.spans.get(self.next.span) else {
                self.next.is_end = true;
                let lines: Vec<Line> = std::mem::take(&mut self.next.pending).into_iter().map(Line::File).collect();
                return self.show(names, rest, &lines);
            };
            let from = self.next.from.as_ref().unwrap_or(&span.from);
            let pages = self.pages.get_or_insert_with(|| names.pages_of(rest, from, span));
            match pages.next().await {
                Some(Ok(page)) if page.begins_anew => {
                    // What was given so far lies before the place where it goes on, if the server keeps any order.
                    self.pages = None;
                    doubts += 1;
                    if doubts > MOST_DOUBTS || names.findings.trust() == Trust::NoOrder {
                        return Err(names.cannot_stream(&rest.prefix));
                    }
                }
                Some(Ok(page)) if page.span.is_empty() => {}
                Some(Ok(page)) => {
                    names.metrics.add(Metric::ListPages, 1);
                    names.metrics.add(Metric::ListedNames, (page.entries.len() + page.prefixes.len()) as u64);
                    if self.next.go_behind(&page.span, span) {
                        self.pages = None;
                    }
                    let lines = self.next.take(page, &rest.prefix, &rest.left);
                    self.show(names, rest, &lines)?;
                    if !self.rows.is_empty() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => {
                    self.pages = None;
                    return Err(report("listing a directory", &error));
                }
                None => {
                    self.pages = None;
                    self.next.next_span();
                }
            }
        }
    }

    fn show(&mut self, names: &Names, rest: &Rest, lines: &[Line]) -> Tried<()> {
        let state = names.state.lock();
        state.tree.prefix(rest.directory).ok_or(Failure::ESTALE)?;
        self.rows = rest.rows(&state.tree, &mut self.next, lines);
        self.first = self.next.index;
        self.next.index += self.rows.len() as u64;
        Ok(())
    }
}

/// Handles that have pages on their way.
#[derive(Debug)]
pub(super) struct Streams(parking_lot::Mutex<LruCache<DirHandle, Arc<Rest>>>);

impl Streams {
    pub(super) fn new() -> Self {
        Streams(parking_lot::Mutex::new(LruCache::new(STREAMS)))
    }

    /// A handle is read.
    fn used(&self, handle: DirHandle, rest: &Arc<Rest>) {
        let pushed_out = self.0.lock().push(handle, rest.clone());
        // One that is being read just now keeps what it has.
        if let Some((_, other)) = pushed_out.filter(|(_, other)| !Arc::ptr_eq(other, rest))
            && let Ok(mut stretch) = other.stretch.try_lock()
        {
            stretch.pages = None;
        }
    }

    pub(super) fn closed(&self, handle: DirHandle) {
        self.0.lock().pop(&handle);
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Names {
    fn pages_of(&self, rest: &Rest, from: &str, span: &KeySpan) -> Pages {
        let within = KeySpan { from: from.to_owned(), before: span.before.clone() };
        let scope = ListScope::directory(rest.prefix.as_str()).within(within).order(Order::Key);
        let given = &self.options.list;
        let share = self.tuning.stream_requests / self.streams.len().max(1) as u64;
        let concurrency = given.concurrency.min(u32::try_from(share).unwrap_or(u32::MAX)).max(1);
        let options = list::Options { concurrency, held_bytes: self.options.metadata_bytes / 2, ..given.clone() };
        list::pages(self.store.clone(), scope, &options).sharing(self.findings.clone())
    }

    fn cannot_stream(&self, prefix: &str) -> Failure {
        let why = format!(
            "a directory has more names than metadata-memory ({}) holds, and the server lists them in no order: raise \
             metadata-memory, or list a directory further down",
            self.limit()
        );
        tracing::error!(prefix, "{why}");
        Failure::failed(why)
    }

    fn limit(&self) -> String {
        format!("{} MiB", self.options.metadata_bytes >> 20)
    }

    /// Whether a listing brings more than memory holds, so that it must end. What nothing refers to is forgotten first.
    pub(super) async fn outgrows_memory(&self, directory: Ino, task: &ListTask) -> bool {
        if task.listing.depth == Depth::Directory {
            let names = self.state.lock().tree.names_in(directory) as u64;
            if names <= self.tuning.always_held_names {
                return false;
            }
            if self.is_large(names) {
                return true;
            }
        }
        self.evict().await;
        for _ in 0..SHED_TRIES {
            if !self.is_over_budget() || self.notifier.read().is_none() {
                break;
            }
            // What the kernel does not use need not cost this directory its place. It forgets soon, or not at all.
            self.shed();
            tokio::time::sleep(SHED_TIME).await;
            self.evict().await;
        }
        self.is_over_budget()
    }

    /// Whether so many names of one directory are more than memory holds, also where there is nothing else in it.
    fn is_large(&self, names: u64) -> bool {
        names * self.tuning.name_bytes > self.options.metadata_bytes / 2
    }

    /// A listing ends because it brings more than memory holds. What is left of its directory is read straight from the
    /// store from now on; of a wide listing nothing is.
    pub(super) fn leave_off(&self, state: &mut State, directory: Ino, task: &ListTask) -> Failure {
        let prefix = task.listing.prefix.as_str();
        if task.listing.depth == Depth::Subtree {
            tracing::warn!(
                prefix,
                "what lies below a directory has more names than metadata-memory ({}) holds, so that not all of it can \
                 be listed anew at once: raise metadata-memory, or refresh a directory further down",
                self.limit()
            );
            return Failure::TOO_LARGE;
        }
        if self.findings.trust() == Trust::NoOrder {
            return self.cannot_stream(prefix);
        }
        let (now, names) = (self.clock.elapsed(), state.tree.names_in(directory) as u64);
        let until = if self.is_large(names) { Duration::MAX } else { now + ms(self.tuning.squeezed_ms) };
        if state.large.found(directory, now, until) {
            tracing::warn!(
                prefix,
                names,
                "a directory has more names than metadata-memory ({}) has room for: they are not kept, so that it is \
                 listed for each program that reads it, and each name that is looked up costs a request or two; raise \
                 metadata-memory where that is too slow",
                self.limit()
            );
        }
        if let Some(remainder) = state.tree.leave_off(&task.listing) {
            let _ = task.left.set(Arc::new(Left::of(remainder)));
        }
        Failure::TOO_LARGE
    }

    /// What an open directory reads straight from the store, where it has come to that. `at` is the offset that it is
    /// read from: who goes back before it, once the part before was given back, begins with all of the directory anew.
    pub(super) fn rest_of(&self, directory: &OpenDirectory, at: &mut u64) -> Option<Arc<Rest>> {
        let mut rest = directory.rest.lock();
        let (whole_base, order) = (directory.base(), *directory.order.lock());
        let whole = || Some(Rest::whole(directory.ino, &directory.prefix, whole_base, HashSet::new()));
        match rest.as_ref() {
            Some(rest_now) if order.is_none() && *at < rest_now.base => (*rest, *at) = (whole(), whole_base),
            Some(_) => {}
            None if order.is_none() => *rest = whole(),
            None => {
                let left = directory.signals.as_ref()?.left.get()?;
                let held = self.state.lock().tree.order_end(order?) as u64;
                *rest = Some(Rest::new(directory.ino, &directory.prefix, left.clone(), whole_base + held));
            }
        }
        let rest = rest.clone()?;
        *at = (*at).max(rest.base);
        Some(rest)
    }

    /// A handle whose list was made from listings that are not to be believed reads all of the directory straight from
    /// the store, but for the names that it has had.
    pub(super) fn read_anew(&self, directory: &OpenDirectory) {
        let mut rest = directory.rest.lock();
        let Some(order) = *directory.order.lock() else { return };
        let mut had = HashSet::new();
        let mut state = self.state.lock();
        state.tree.show_entries(order, 0, self.clock.elapsed(), |row| {
            had.insert(fnv1a(row.name.as_bytes()));
            Take::Seen
        });
        let base = directory.base() + state.tree.order_end(order) as u64;
        *rest = Some(Rest::whole(directory.ino, &directory.prefix, base, had));
    }

    /// The part of a directory that a handle has read from the tree is no longer held for its sake.
    fn give_back(&self, handle: DirHandle, directory: &OpenDirectory) {
        let mut state = self.state.lock();
        if let Some(order) = directory.order.lock().take() {
            state.tree.close_directory(order);
            self.count_entries(&mut state);
            if let Some(ledger) = self.lives.ledger() {
                // What was given is too much to be written down: a later life does not know the handle.
                ledger.closed(handle.0);
            }
        }
    }

    /// Gives entries straight from the store, until `take` has enough or a page is over.
    pub(super) async fn give_rest(
        &self,
        handle: DirHandle,
        directory: &OpenDirectory,
        rest: &Arc<Rest>,
        reading: &mut Reading,
        take: &mut (impl FnMut(&DirEntry<'_>) -> Room + Send),
    ) -> Tried<()> {
        self.give_back(handle, directory);
        self.streams.used(handle, rest);
        let mut stretch = rest.stretch.lock().await;
        while reading.count == 0 {
            let index = reading.at - rest.base;
            if !stretch.find(self, rest, index).await? {
                self.end_of_rest(rest, &stretch);
                return Ok(());
            }
            let skipped = (index - stretch.first) as usize;
            for (name, view) in stretch.rows.iter().skip(skipped) {
                let (next_offset, name) = (reading.at + 1, name.as_bytes());
                let is_among = |had: &HashSet<u64>| !had.is_empty() && had.contains(&fnv1a(name));
                if !is_among(&rest.left.had) && !reading.left_out.as_deref().is_some_and(is_among) {
                    let entry = DirEntry { next_offset, name, attr: self.attr(view), is_held: false };
                    if take(&entry) == Room::Full {
                        return Ok(());
                    }
                    reading.count += 1;
                }
                reading.at = next_offset;
            }
        }
        Ok(())
    }

    /// A directory that has become small is listed as others are.
    fn end_of_rest(&self, rest: &Rest, stretch: &Stretch) {
        let is_whole = rest.left.spans.iter().eq([&KeySpan::below(&rest.prefix)]);
        if is_whole && stretch.next.index * self.tuning.name_bytes < self.options.metadata_bytes / 4 {
            self.state.lock().large.is_small(rest.directory);
        }
    }
}

/// What the tree knows of an object, as a listing tells it.
fn list_entry(object: tree::Object) -> ListEntry {
    let kind = match object.kind {
        Kind::Normal => ObjectKind::Normal,
        Kind::Multipart => ObjectKind::Multipart,
        Kind::Appendable => ObjectKind::Appendable,
        Kind::Symlink => ObjectKind::Symlink,
    };
    let tree::Object { key, size, etag, mtime, .. } = object;
    ListEntry { key, size, etag, last_modified: mtime, kind, storage_class: None }
}
