//! Listing a prefix as a stream of pages.
//!
//! [`pages`] is the seam: callers say what to list and get pages until the stream ends, each key in exactly one of
//! them. Every page says which span of keys it settles; the spans of all pages together are everything. How the pages are fetched is this room's own affair. Here it is one after the other, by continuation token,
//! the next page asked for while the caller still works on the present one. No knowledge of inodes or names.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::task::JoinSet;

use crate::base::{KeySpan, after, behind};
use crate::store::{Error, ErrorKind, ListEntry, ListPage, ListRequest, Result, Store};

/// How listing behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Entries per request, 1 to 1000.
    pub page_size: u32,
    /// Requests in flight at most, at least 1. With 1 the pages come one after the other.
    pub concurrency: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { page_size: 1000, concurrency: 64 }
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

/// What one request has shown of a scope.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// The raw keys that this page settles: what it does not show of them is not there. Never cuts through a common
    /// prefix. On servers that break the order of keys, the page may show others as well.
    pub span: KeySpan,
    /// Objects, in byte order of their keys.
    pub entries: Vec<ListEntry>,
    /// Common prefixes, raw, each ending in the delimiter, in byte order.
    pub prefixes: Vec<String>,
    /// Keys left out because they are not UTF-8.
    pub undecodable: u64,
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
    Pages { store, next: Some(first), asked: JoinSet::new(), reached: String::new() }
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
    /// Where the span of the next page begins.
    reached: String,
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

    fn arrived(&mut self, request: ListRequest, page: ListPage) -> Result<Page> {
        let ListPage { entries, prefixes, next, undecodable } = page;
        let from = std::mem::take(&mut self.reached);
        let Some(token) = next else {
            return Ok(Page { span: KeySpan { from, before: None }, entries, prefixes, undecodable });
        };
        if request.continuation.as_ref() == Some(&token) {
            let message = "the listing gives the same continuation token again and would never end";
            return Err(Error::new(ErrorKind::Protocol, message)
                .with_operation("ListObjects")
                .with_key(Some(request.prefix)));
        }
        self.next = Some(ListRequest { continuation: Some(token), ..request });
        self.ask();
        let key = entries.last().map(|entry| after(&entry.key)).unwrap_or_default();
        let prefix = prefixes.last().and_then(|prefix| behind(prefix)).unwrap_or_default();
        self.reached = key.max(prefix).max(from.clone());
        let span = KeySpan { from, before: Some(self.reached.clone()) };
        Ok(Page { span, entries, prefixes, undecodable })
    }
}

impl Stream for Pages {
    type Item = Result<Page>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ask();
        let Some(joined) = ready!(self.asked.poll_join_next(context)) else { return Poll::Ready(None) };
        let answer = match joined {
            Ok((request, Ok(page))) => self.arrived(request, page),
            Ok((_, Err(error))) => Err(error),
            Err(panic) => Err(Error::new(ErrorKind::Protocol, "a listing task failed").with_source(Some(panic.into()))),
        };
        Poll::Ready(Some(answer))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use futures::{StreamExt, TryStreamExt};
    use proptest::prelude::*;

    use super::*;
    use crate::base::{Clock, Timestamp};
    use crate::metrics::Metrics;
    use crate::store::layers::{Fault, FaultStore, Retry, RetryPolicy};
    use crate::store::memory::MemoryStore;

    fn numbered(count: usize) -> Arc<MemoryStore> {
        let store = MemoryStore::new().latency(Duration::from_millis(20));
        for n in 0..count {
            store.put(format!("k{n:04}"), "");
        }
        Arc::new(store)
    }

    fn options(page_size: u32) -> Options {
        Options { page_size, concurrency: 1 }
    }

    fn keys(page: &Page) -> Vec<&str> {
        page.entries.iter().map(|entry| entry.key.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_page_is_asked_for_while_the_caller_works_and_no_more() {
        let store = numbered(10);
        let mut pages = pages(store.clone(), ListScope::subtree(""), &options(2));
        assert_eq!(store.requests().len(), 0, "nothing before the first poll");
        assert_eq!(keys(&pages.next().await.unwrap().unwrap()), ["k0000", "k0001"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(store.requests().len(), 2, "one page ahead, whatever time passes");
        let began = tokio::time::Instant::now();
        assert_eq!(keys(&pages.next().await.unwrap().unwrap()), ["k0002", "k0003"]);
        assert_eq!(began.elapsed(), Duration::ZERO, "it had arrived already");
        assert_eq!(pages.by_ref().try_collect::<Vec<_>>().await.unwrap().len(), 3);
        assert_eq!(store.requests().len(), 5);
        assert!(pages.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_stream_cancels_what_is_in_flight() {
        let store = Arc::new(FaultStore::new(numbered(10)).randomly(1, [(1.0, Fault::Silence)]));
        let mut pages = pages(store.clone(), ListScope::subtree(""), &options(2));
        tokio::time::timeout(Duration::from_secs(1), pages.next()).await.unwrap_err();
        assert_eq!(Arc::strong_count(&store), 3, "ours, the stream's and that of the request in flight");
        drop(pages);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&store), 1);
    }

    /// Gives the same continuation token for ever.
    #[derive(Debug)]
    struct Circular;

    #[async_trait::async_trait]
    impl Store for Circular {
        async fn get(&self, _: crate::store::GetRequest) -> Result<crate::store::GetResponse> {
            Err(Error::new(ErrorKind::Unsupported, "lists only"))
        }

        async fn head(&self, _: crate::store::HeadRequest) -> Result<crate::store::ObjectMeta> {
            Err(Error::new(ErrorKind::Unsupported, "lists only"))
        }

        async fn list(&self, _: ListRequest) -> Result<ListPage> {
            Ok(ListPage { next: Some("again".into()), ..ListPage::default() })
        }
    }

    #[tokio::test]
    async fn a_listing_that_goes_in_circles_ends_in_an_error() {
        let pages: Vec<_> = pages(Arc::new(Circular), ListScope::directory("d/"), &options(2)).collect().await;
        assert_eq!(pages.len(), 2);
        assert_eq!(pages[1].as_ref().unwrap_err().kind(), ErrorKind::Protocol);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_key_comes_once_whatever_the_page_size_and_whatever_breaks(
            present in prop::collection::btree_set("[a-c/]{1,6}", 0..60),
            prefix in "[a-c]{0,1}",
            page_size in 1..20u32,
            directory: bool,
            seed: u64,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let store = Arc::new(MemoryStore::new());
            for key in &present {
                store.put(key.as_str(), "");
            }
            let pages: Vec<Page> = runtime.block_on(async {
                let faults = [(0.1, Fault::Error(ErrorKind::Server)), (0.1, Fault::Throttle(Duration::from_secs(2)))];
                let faulty = Arc::new(FaultStore::new(store).randomly(seed, faults));
                let clock = Clock::runtime(Timestamp::from_unix(0));
                let retry = Retry::new(faulty, RetryPolicy::default(), Arc::new(Metrics::default()), clock);
                let scope = if directory { ListScope::directory(&prefix) } else { ListScope::subtree(&prefix) };
                super::pages(Arc::new(retry), scope, &options(page_size)).try_collect().await.unwrap()
            });
            let below = |key: &&String| key.starts_with(&prefix);
            let common = |key: &String| key[prefix.len()..].find('/').map(|at| key[..prefix.len() + at + 1].to_owned());
            let hidden = |key: &&String| directory && common(key).is_some();
            let expected: Vec<_> = present.iter().filter(below).filter(|key| !hidden(key)).cloned().collect();
            let listed: Vec<_> = pages.iter().flat_map(keys).collect();
            prop_assert_eq!(listed, expected);
            let expected: BTreeSet<_> = present.iter().filter(below).filter(hidden).filter_map(common).collect();
            let prefixes: Vec<_> = pages.iter().flat_map(|page| page.prefixes.clone()).collect();
            prop_assert_eq!(prefixes, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
