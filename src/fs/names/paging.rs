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
use std::sync::Arc;

use futures::StreamExt;
use lru::LruCache;
use tokio::sync::Mutex;

use super::probe::entry_facts;
use super::remainder::DirectoryRemainder;
use super::{DirHandle, Failure, Names, Tried, report};
use crate::base::{Ino, KeySpan};
use crate::list::{Page, Pages, Trust};
use crate::metrics::Metric;
use crate::store::ListEntry;
use crate::tree::{Nameable, Tree, View};

/// Handles that have pages on their way. The one that was read longest ago asks anew when it is read on.
const STREAMS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Places that a handle remembers to go back to.
const MOST_MARKS: usize = 4096;

/// Times that one page is asked for anew since the server turned out to keep other rules.
const MOST_DOUBTS: usize = 8;

/// What is read of a directory straight from the store, by one handle.
#[derive(Debug)]
pub(super) struct PagedDirectory {
    pub(super) directory: Ino,
    pub(super) prefix: String,
    pub(super) left: Arc<DirectoryRemainder>,
    /// The offset of the first entry.
    pub(super) base: u64,
    pub(super) stretch: Mutex<Stretch>,
}

/// The page that a handle stands in.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Where pages began that were read: every one, or every second, fourth and so on.
    pub(super) marks: Vec<Mark>,
    marked_every: usize,
    unmarked: usize,
    /// The present page, and the index of its first row.
    pub(super) rows: Vec<(Box<str>, View)>,
    pub(super) first: u64,
    /// What follows after it.
    pub(super) next: Mark,
    pages: Option<Pages>,
}

/// A place between two pages.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// The index of the row that follows.
    pub(super) index: u64,
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
    pub(super) fn new(left: &DirectoryRemainder) -> Self {
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

    fn take(&mut self, page: Page, prefix: &str, left: &DirectoryRemainder) -> Vec<Line> {
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

    fn take_directory(&mut self, key: String, prefix: &str, left: &DirectoryRemainder, lines: &mut Vec<Line>) {
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

impl PagedDirectory {
    pub(super) fn new(directory: Ino, prefix: &str, left: Arc<DirectoryRemainder>, base: u64) -> Arc<Self> {
        let stretch = Stretch {
            marks: Vec::new(),
            marked_every: 1,
            unmarked: 0,
            rows: Vec::new(),
            first: 0,
            next: Mark::new(&left),
            pages: None,
        };
        Arc::new(PagedDirectory { directory, prefix: prefix.to_owned(), left, base, stretch: Mutex::new(stretch) })
    }

    /// All of a directory, but for names of these hashes.
    pub(super) fn whole(directory: Ino, prefix: &str, base: u64, had: HashSet<u64>) -> Arc<Self> {
        let (directories, parts) = (HashSet::new(), HashSet::new());
        let left =
            DirectoryRemainder { spans: vec![KeySpan::below(prefix)], undecided: Vec::new(), directories, parts, had };
        PagedDirectory::new(directory, prefix, Arc::new(left), base)
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
    pub(super) async fn find(&mut self, names: &Names, rest: &PagedDirectory, index: u64) -> Tried<bool> {
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
    async fn turn(&mut self, names: &Names, rest: &PagedDirectory) -> Tried<()> {
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

    fn show(&mut self, names: &Names, rest: &PagedDirectory, lines: &[Line]) -> Tried<()> {
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
pub(super) struct Streams(parking_lot::Mutex<LruCache<DirHandle, Arc<PagedDirectory>>>);

impl Streams {
    pub(super) fn new() -> Self {
        Streams(parking_lot::Mutex::new(LruCache::new(STREAMS)))
    }

    /// A handle is read.
    pub(super) fn used(&self, handle: DirHandle, rest: &Arc<PagedDirectory>) {
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

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
