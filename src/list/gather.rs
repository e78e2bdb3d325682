//! Listing a server that keeps no order: one page after the other by continuation tokens, held until the last has
//! arrived, and then returned in byte order, each name once. Pure, as the splitter is.
//!
//! Nothing is settled before the end, for any page may show a name that belongs before those of the pages before it.
//! So all names are in memory once, and their bytes are bounded.

use std::collections::{BTreeSet, HashSet};

use super::empty::EmptyRow;
use super::splitter::Ask;
use super::tops::reached;
use super::{ListScope, Options, Page};
use crate::base::KeySpan;
use crate::store::{Error, ErrorKind, ListEntry, ListPage, ListRequest, Result};

/// Names of one page as it is given out.
const PAGE: usize = 1000;

/// What an entry takes beside its text.
const ENTRY_BYTES: usize = size_of::<ListEntry>() + 32;

/// Entries that may be held twice before they are put in order.
const SLACK: usize = 4096;

/// A listing on its way to its end. See the module's head.
#[derive(Debug)]
pub(super) struct Gather {
    scope: ListScope,
    page_size: u32,
    most_bytes: u64,

    continuation: Option<String>,
    /// Every token so far: a listing that comes back to one goes in circles.
    tokens: HashSet<String>,
    row: EmptyRow,
    asked: Option<u64>,
    ids: u64,
    is_over: bool,

    entries: Vec<ListEntry>,
    /// Entries in order, each once, at the beginning of `entries`.
    sorted: usize,
    prefixes: BTreeSet<String>,
    bytes: usize,
    undecodable: u64,
}

impl Gather {
    pub(super) fn new(scope: ListScope, options: &Options) -> Self {
        Gather {
            scope,
            page_size: options.page_size.clamp(1, 1000),
            most_bytes: options.held_bytes,
            continuation: None,
            tokens: HashSet::new(),
            row: EmptyRow::default(),
            asked: None,
            ids: 0,
            is_over: false,
            entries: Vec::new(),
            sorted: 0,
            prefixes: BTreeSet::new(),
            bytes: 0,
            undecodable: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next request to send; `None` while an answer must be waited for.
    pub(super) fn next(&mut self) -> Option<Ask> {
        if self.is_over || self.asked.is_some() {
            return None;
        }
        self.ids += 1;
        self.asked = Some(self.ids);
        let request = ListRequest {
            prefix: self.scope.prefix.clone(),
            delimiter: self.scope.delimiter.clone(),
            start_after: None,
            continuation: self.continuation.clone(),
            max_keys: self.page_size,
        };
        Some(Ask { id: self.ids, request, pause: self.row.pause() })
    }

    /// Takes in an answer, and gives the pages that it settles: none but a sign of life before the last.
    pub(super) fn arrived(&mut self, id: u64, page: ListPage) -> Result<Vec<Page>> {
        if self.asked != Some(id) {
            return Ok(Vec::new());
        }
        self.asked = None;
        let names = (page.entries.len() + page.prefixes.len()) as u64 + page.undecodable + page.passed_over;
        self.undecodable += page.undecodable;
        page.entries.into_iter().for_each(|entry| self.take(entry));
        page.prefixes.into_iter().for_each(|prefix| self.take_prefix(prefix));
        self.tidy()?;
        match page.next {
            None => {
                self.is_over = true;
                Ok(self.all())
            }
            Some(token) => {
                self.row.count(names).map_err(|error| self.named(error))?;
                if !self.tokens.insert(token.clone()) {
                    return Err(self.fail("the listing repeats a continuation token and would never end"));
                }
                self.continuation = Some(token);
                Ok(vec![Page { span: KeySpan { from: String::new(), before: Some(String::new()) }, ..Page::default() }])
            }
        }
    }

    fn take(&mut self, entry: ListEntry) {
        if !entry.key.starts_with(&self.scope.prefix) {
            return;
        }
        // Where the server does not collapse what lies below a directory, it is done here.
        let rest = &entry.key[self.scope.prefix.len()..];
        let cut = self.scope.delimiter.as_deref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        match cut {
            Some(cut) => self.take_prefix(entry.key[..self.scope.prefix.len() + cut].to_owned()),
            None if self.scope.within.holds(&entry.key) => {
                self.bytes += ENTRY_BYTES + entry.key.len();
                self.entries.push(entry);
            }
            None => {}
        }
    }

    fn take_prefix(&mut self, prefix: String) {
        let bytes = ENTRY_BYTES + prefix.len();
        if prefix.starts_with(&self.scope.prefix) && self.scope.within.holds(&prefix) && self.prefixes.insert(prefix) {
            self.bytes += bytes;
        }
    }

    /// Puts what is held in order, each name once, when it has doubled or takes too much.
    fn tidy(&mut self) -> Result<()> {
        let is_over_bytes = |gather: &Gather| gather.bytes as u64 > gather.most_bytes;
        if self.entries.len() > self.sorted * 2 + SLACK || (is_over_bytes(self) && self.entries.len() > self.sorted) {
            self.sort();
        }
        if is_over_bytes(self) {
            let message = format!(
                "the server does not list keys in order, and {} names of this listing exceed the {} MiB that may be \
                 held until it ends: raise metadata-memory, or list a directory further down",
                self.entries.len() + self.prefixes.len(),
                self.most_bytes >> 20
            );
            return Err(self.fail(&message));
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.key.cmp(&b.key));
        self.entries.dedup_by(|later, first| later.key == first.key);
        self.sorted = self.entries.len();
        let prefixes: usize = self.prefixes.iter().map(|prefix| ENTRY_BYTES + prefix.len()).sum();
        self.bytes = prefixes + self.entries.iter().map(|entry| ENTRY_BYTES + entry.key.len()).sum::<usize>();
    }

    /// Everything, in pages whose spans cover all that was asked for.
    fn all(&mut self) -> Vec<Page> {
        self.sort();
        let inside = KeySpan::below(&self.scope.prefix);
        let mut from = inside.from.max(self.scope.within.from.clone());
        let end = [inside.before, self.scope.within.before.clone()].into_iter().flatten().min();
        let mut entries = std::mem::take(&mut self.entries).into_iter().peekable();
        let mut prefixes = std::mem::take(&mut self.prefixes).into_iter().peekable();
        let mut pages = Vec::new();
        while entries.peek().is_some() || prefixes.peek().is_some() {
            let mut page = ListPage::default();
            while page.entries.len() + page.prefixes.len() < PAGE {
                match (entries.peek(), prefixes.peek()) {
                    (Some(entry), Some(prefix)) if entry.key <= *prefix => page.entries.extend(entries.next()),
                    (_, Some(_)) => page.prefixes.extend(prefixes.next()),
                    (Some(_), None) => page.entries.extend(entries.next()),
                    (None, None) => break,
                }
            }
            let before = reached(&page, &from);
            let span = KeySpan { from: std::mem::replace(&mut from, before.clone()), before: Some(before) };
            pages.push(Page { span, entries: page.entries, prefixes: page.prefixes, ..Page::default() });
        }
        if pages.is_empty() {
            pages.push(Page { span: KeySpan { from, before: None }, ..Page::default() });
        }
        if let Some(last) = pages.last_mut() {
            last.span.before = end;
            last.undecodable = self.undecodable;
        }
        pages
    }

    fn fail(&self, message: &str) -> Error {
        self.named(Error::new(ErrorKind::Protocol, message))
    }

    fn named(&self, error: Error) -> Error {
        error.with_operation("ListObjects").with_key(Some(self.scope.prefix.clone()))
    }
}
