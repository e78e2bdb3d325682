//! Listing a prefix as a stream of pages.
//!
//! [`pages`] is the seam: callers say what to list and get pages until the stream ends, each key in exactly one of
//! them. How the pages are fetched is this room's own affair. Here it is one after the other, by continuation token,
//! the next page asked for while the caller still works on the present one. No knowledge of inodes or names.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::task::JoinSet;

use crate::store::{Error, ErrorKind, ListPage, ListRequest, Result, Store};

/// How listing behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Requests in flight for one listing, at most.
    pub concurrency: usize,
    /// Entries per request, 1 to 1000.
    pub page_size: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { concurrency: 64, page_size: 1000 }
    }
}

/// What to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListScope {
    /// Only keys that start with this, raw.
    pub prefix: String,
    /// Collapse keys that share the prefix up to the next delimiter.
    pub delimiter: Option<String>,
    /// In which order the pages are wanted.
    pub order: Order,
}

/// The order of a listing's pages. Within a page, keys are always in byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// As they arrive: no page waits for another.
    #[default]
    Arrival,
    /// In byte order of the keys.
    Key,
}

impl ListScope {
    /// What lies directly in a directory: keys below the prefix with no further `/`, and common prefixes.
    pub fn directory(prefix: impl Into<String>) -> Self {
        ListScope { prefix: prefix.into(), delimiter: Some("/".to_owned()), order: Order::Arrival }
    }

    /// Every key below a prefix.
    pub fn subtree(prefix: impl Into<String>) -> Self {
        ListScope { prefix: prefix.into(), delimiter: None, order: Order::Arrival }
    }

    /// The same in another order.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }
}

/// Lists a scope. The stream is polled within a tokio runtime; dropping it cancels what is in flight. After an error
/// it ends.
///
/// The first page is asked for on the first poll, every other one as soon as the page before it has come, so that at
/// most one page waits beside the one that the caller holds.
pub fn pages(store: Arc<dyn Store>, scope: ListScope, options: &Options) -> Pages {
    let first = ListRequest {
        prefix: scope.prefix,
        delimiter: scope.delimiter,
        max_keys: options.page_size.clamp(1, 1000),
        ..ListRequest::default()
    };
    Pages { store, next: Some(first), asked: JoinSet::new() }
}

/// The pages of a listing, from [`pages`].
#[must_use = "a listing asks for nothing until it is polled"]
#[derive(Debug)]
pub struct Pages {
    store: Arc<dyn Store>,

    /// The request for the next page while it has not been sent.
    next: Option<ListRequest>,
    /// The request in flight, at most one; it is aborted when the set goes.
    asked: JoinSet<(ListRequest, Result<ListPage>)>,
}

impl Pages {
    fn ask(&mut self) {
        if let Some(request) = self.next.take() {
            let store = self.store.clone();
            self.asked.spawn(async move {
                let answer = store.list(request.clone()).await;
                (request, answer)
            });
        }
    }

    fn arrived(&mut self, request: ListRequest, page: &ListPage) -> Result<()> {
        let Some(token) = &page.next else { return Ok(()) };
        if request.continuation.as_ref() == Some(token) {
            let message = "the listing gives the same continuation token again and would never end";
            return Err(Error::new(ErrorKind::Protocol, message)
                .with_operation("ListObjects")
                .with_key(Some(request.prefix)));
        }
        self.next = Some(ListRequest { continuation: Some(token.clone()), ..request });
        self.ask();
        Ok(())
    }
}

impl Stream for Pages {
    type Item = Result<ListPage>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ask();
        let Some(joined) = ready!(self.asked.poll_join_next(context)) else { return Poll::Ready(None) };
        let answer = match joined {
            Ok((request, Ok(page))) => self.arrived(request, &page).map(|()| page),
            Ok((_, Err(error))) => Err(error),
            Err(panic) => Err(Error::new(ErrorKind::Protocol, "a listing task failed").with_source(Some(panic.into()))),
        };
        Poll::Ready(Some(answer))
    }
}
