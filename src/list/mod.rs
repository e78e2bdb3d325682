//! FastList: listing a prefix as a stream of pages, by many requests at once.
//!
//! [`pages()`] is the seam: callers say what to list and get pages until the stream ends, each key in exactly one of
//! them. Every page says which span of keys it settles; the spans of all pages together are everything that was asked
//! for. A listing that has to start again says so, and returns names a second time unless it is told not to. Keys
//! that appear or vanish in the meantime may be returned or not; keys that exist throughout are returned once.
//!
//! `splitter` decides what to ask for, from what `guess` (where keys probably are) and `tops` (names at the top) know;
//! it is pure. [`Pages`] sends what it asks for, hands the answers in and gives the pages on. No knowledge of inodes
//! or names.
//!
//! Servers that do not keep the rules are listed in a slower way that is right for them, by `gather` at worst; what
//! shows that a server is one is kept in [`Findings`], which all listings of a server share.
//!
//! | file | what it owns |
//! |---|---|
//! | `any` | whether any key begins with a prefix |
//! | `as_of` | a versioned bucket as it stood at a time |
//! | `empty` | empty pages that are not the last |
//! | `findings` | which rules of listings a server was seen to break |
//! | `fold` | from versions to what stood at a time |
//! | `gather` | listing a server that keeps no order |
//! | `guess` | where keys probably are |
//! | `pages` | the workers that send requests, and the stream of pages |
//! | `splitter` | which requests list a span of keys fastest |
//! | `tops` | the names at the top of what is listed |

mod any;
mod as_of;
#[cfg(test)]
mod as_of_tests;
mod empty;
mod findings;
mod fold;
mod gather;
mod guess;
mod pages;
#[cfg(test)]
mod quirk_tests;
mod splitter;
#[cfg(test)]
mod tests;
mod tops;

use std::sync::Arc;
use std::time::Duration;

use crate::base::KeySpan;
use crate::store::{ListEntry, Store};

pub use self::any::{any_below, one};
pub use self::as_of::AsOf;
pub use self::findings::{Findings, Trust};
pub use self::pages::Pages;

/// How a listing is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Entries per request, 1 to 1000.
    pub page_size: u32,
    /// Requests in flight at most, at least 1. With 1 the pages come one after the other.
    pub concurrency: u32,
    /// Bytes of names that one listing may hold until its end, where the server keeps no order.
    pub held_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { page_size: 1000, concurrency: 64, held_bytes: 1 << 30 }
    }
}

/// Which keys to list, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListScope {
    /// Only keys that start with this, raw.
    pub prefix: String,
    /// Collapse keys that share the prefix up to the next delimiter.
    pub delimiter: Option<String>,
    /// Only keys within this span. With a delimiter, no bound lies within a common prefix.
    /// A listing that ends before the last key of its prefix cannot see whether the server keeps the order behind that.
    pub within: KeySpan,
    /// In which order the pages are wanted.
    pub order: PageOrder,
}

/// The order of a listing's pages. Within a page, keys are always in byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PageOrder {
    /// As they arrive: no page waits for another.
    #[default]
    Arrival,
    /// In byte order of the keys, with a bounded look-ahead. Where a listing begins anew, so does the order.
    Key,
}

impl ListScope {
    /// What lies directly in a directory: keys below the prefix with no further `/`, and common prefixes.
    pub fn directory(prefix: impl Into<String>) -> Self {
        ListScope { prefix: prefix.into(), delimiter: Some("/".to_owned()), ..Self::default() }
    }

    /// Every key below a prefix.
    pub fn subtree(prefix: impl Into<String>) -> Self {
        ListScope { prefix: prefix.into(), ..Self::default() }
    }

    /// The part of it that lies within a span.
    pub fn within(mut self, span: KeySpan) -> Self {
        self.within = span;
        self
    }

    /// The same in another order.
    pub fn order(mut self, order: PageOrder) -> Self {
        self.order = order;
        self
    }
}

/// What one request has shown of a scope.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// The raw keys that this page settles: what it does not show of them is not there, and it shows no others. Never
    /// cuts through a common prefix. Pages that settle nothing tell that the listing goes on.
    pub span: KeySpan,
    /// The server has turned out not to keep the rules, and the listing begins anew: what earlier pages have settled is
    /// not to be believed, though what they have shown is there. Such a page shows nothing.
    pub begins_anew: bool,
    /// Objects, in byte order of their keys.
    pub entries: Vec<ListEntry>,
    /// Common prefixes, raw, each ending in the delimiter, in byte order.
    pub prefixes: Vec<String>,
    /// Keys left out because they are not UTF-8.
    pub undecodable: u64,
    /// When it was asked for, by the clock of [`Pages::timed`]: what was put before is in it. Zero without a clock.
    pub asked_at: Duration,
}

impl Page {
    /// What the page shows, by key, in byte order; common prefixes are without an entry.
    pub fn items(&self) -> impl Iterator<Item = (&str, Option<&ListEntry>)> {
        let mut objects = self.entries.iter().peekable();
        let mut prefixes = self.prefixes.iter().peekable();
        std::iter::from_fn(move || match (objects.peek(), prefixes.peek()) {
            (Some(object), Some(prefix)) if object.key <= **prefix => objects.next().map(object_item),
            (_, Some(_)) => prefixes.next().map(|prefix| (prefix.as_str(), None)),
            (_, None) => objects.next().map(object_item),
        })
    }
}

fn object_item(entry: &ListEntry) -> (&str, Option<&ListEntry>) {
    (&entry.key, Some(entry))
}

/// Lists a scope. The stream is polled within a tokio runtime; dropping it cancels what is in flight. After an error
/// it ends.
///
/// Requests are sent while the stream is polled, those that follow an answer before its page is given out. What has
/// arrived and was not taken yet is bounded, so that a slow caller slows the listing down.
pub fn pages(store: Arc<dyn Store>, scope: ListScope, options: &Options) -> Pages {
    Pages::new(store, scope, options)
}
