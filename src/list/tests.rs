//! Listings of buckets in memory: every key once, whatever the keys, the pages, the workers and the weather.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;

use super::findings::Trust;
use super::splitter::{Reach, Splitter};
use super::{ListScope, Options, Page, PageOrder, pages};
use crate::base::{Clock, Key, KeySpan, Timestamp};
use crate::metrics::Metrics;
use crate::store::layers::{Fault, FaultStore, Retry, RetryPolicy};
use crate::store::memory::MemoryStore;
use crate::store::{
    Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Result, Store, Tags,
    VersionPage, VersionsRequest,
};

fn numbered(count: usize) -> Arc<MemoryStore> {
    let store = MemoryStore::new().latency(Duration::from_millis(20));
    for n in 0..count {
        store.put(format!("k{n:04}"), "");
    }
    Arc::new(store)
}

fn options(page_size: u32, concurrency: u32) -> Options {
    Options { page_size, concurrency, ..Options::default() }
}

fn keys(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.key.as_str()).collect()
}

#[test]
fn keys_that_cannot_be_decoded_are_told_of_once() {
    let mut splitter = Splitter::new(ListScope::directory(""), &options(10, 1), Trust::Full);
    let mut told = Vec::new();
    for (undecodable, prefixes, next) in [(2, vec![], Some("1")), (1, vec!["a/"], Some("2")), (0, vec!["b/"], None)] {
        let id = splitter.next(Reach::Everywhere).unwrap().id;
        let prefixes = prefixes.into_iter().map(str::to_owned).collect();
        let page = ListPage { prefixes, undecodable, next: next.map(str::to_owned), ..ListPage::default() };
        told.extend(splitter.arrived(id, page).unwrap().iter().map(|page| page.undecodable));
    }
    assert_eq!(told, [0, 3, 0], "of pages without a name with the next names");
}

#[tokio::test(start_paused = true)]
async fn one_after_the_other_the_next_page_is_asked_for_while_the_caller_works_and_no_more() {
    let store = numbered(10);
    let mut pages = pages(store.clone(), ListScope::subtree(""), &options(2, 1));
    assert_eq!(store.requests().len(), 0, "nothing before the first poll");
    assert_eq!(keys(&pages.next().await.unwrap().unwrap()), ["k0000", "k0001"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.requests().len(), 2, "one page ahead, whatever time passes");
    let time = Clock::runtime(Timestamp::from_unix(0));
    assert_eq!(keys(&pages.next().await.unwrap().unwrap()), ["k0002", "k0003"]);
    assert_eq!(time.elapsed(), Duration::ZERO, "it had arrived already");
    assert_eq!(pages.by_ref().try_collect::<Vec<_>>().await.unwrap().len(), 3);
    assert_eq!(store.requests().len(), 5);
    assert!(pages.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_fits_one_page_takes_one_request() {
    let store = numbered(10);
    let pages: Vec<_> = pages(store.clone(), ListScope::subtree(""), &options(10, 64)).try_collect().await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].span, KeySpan::all());
    assert_eq!(store.requests().len(), 1);
}

/// Directories of keys that are numbered throughout, and how many requests it takes to list them all.
async fn requests_for(directories: usize, each: usize) -> u64 {
    let store = MemoryStore::new().latency(Duration::from_millis(50));
    for n in 0..directories * each {
        store.put(format!("{:03}/{n:06}.jpg", n / each), "");
    }
    let mut pages = pages(Arc::new(store), ListScope::subtree(""), &options(100, 64));
    let mut names = 0;
    while let Some(page) = pages.next().await {
        names += page.unwrap().entries.len();
    }
    assert_eq!(names, directories * each);
    pages.requests()
}

#[tokio::test(start_paused = true)]
async fn directories_that_fill_whole_pages_cost_few_requests_beside_their_pages() {
    let requests = requests_for(90, 100).await;
    assert!(requests <= 144, "{requests} requests for 90 pages");
}

#[tokio::test(start_paused = true)]
async fn directories_of_a_page_and_a_third_cost_few_requests_beside_their_pages() {
    let requests = requests_for(90, 130).await;
    assert!(requests <= 152, "{requests} requests for 117 pages");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_nothing_stops_the_listing() {
    for order in [PageOrder::Arrival, PageOrder::Key] {
        let store = numbered(5000);
        let mut pages = pages(store.clone(), ListScope::subtree("").order(order), &options(10, 8));
        pages.next().await.unwrap().unwrap();
        for _ in 0..100 {
            // Lets what is in flight arrive, and the stream look at it, without taking a page.
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(pages.in_flight() <= 8);
        }
        assert!(store.requests().len() <= 8 * 5, "{} requests", store.requests().len());
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_cancels_what_is_in_flight() {
    let store = Arc::new(FaultStore::new(numbered(10)).randomly(1, [(1.0, Fault::Silence)]));
    let mut pages = pages(store.clone(), ListScope::subtree(""), &options(2, 4));
    tokio::time::timeout(Duration::from_secs(1), pages.next()).await.unwrap_err();
    assert_eq!(Arc::strong_count(&store), 3, "ours, the stream's and that of the request in flight");
    drop(pages);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&store), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_listing() {
    let store = Arc::new(FaultStore::new(numbered(500)).randomly(1, [(0.2, Fault::Error(ErrorKind::Server))]));
    let answers: Vec<_> = pages(store, ListScope::subtree(""), &options(2, 8)).collect().await;
    let (last, before) = answers.split_last().unwrap();
    assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::Server);
    assert!(before.iter().all(Result::is_ok));
}

/// A server with a habit.
#[derive(Debug)]
struct Odd {
    store: MemoryStore,
    habit: Habit,
    asked: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Habit {
    /// Pages hold fewer entries than they could.
    ShortPages,
    /// A listing goes on where it went on before.
    Circles,
    /// Keys that begin with `~` or hold a `#` come and go.
    Churn,
}

impl Odd {
    fn new(habit: Habit, keys: impl IntoIterator<Item = String>) -> Arc<Self> {
        let store = MemoryStore::new();
        for key in keys {
            store.put(key, "");
        }
        Arc::new(Odd { store, habit, asked: AtomicU64::new(0) })
    }

    /// Some keys come, and some go.
    fn churn(&self, nth: u64) {
        for n in 0..4 {
            let key = format!("{}#{}", ['~', 'a', 'b', '/'][n], (nth * 5 + n as u64) % 17);
            if (nth + n as u64).is_multiple_of(2) { self.store.remove(&key) } else { drop(self.store.put(key, "")) }
        }
    }
}

#[async_trait]
impl Store for Odd {
    async fn get(&self, _: GetRequest) -> Result<GetResponse> {
        Err(Error::new(ErrorKind::Unsupported, "lists only"))
    }

    async fn head(&self, _: HeadRequest) -> Result<ObjectMeta> {
        Err(Error::new(ErrorKind::Unsupported, "lists only"))
    }

    async fn list(&self, mut request: ListRequest) -> Result<ListPage> {
        // Answers come in another order than requests.
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20 + nth * 7 % 13)).await;
        match self.habit {
            Habit::ShortPages => request.max_keys = 1 + (nth * 7) as u32 % request.max_keys,
            Habit::Circles => return Ok(ListPage { next: Some("again".into()), ..ListPage::default() }),
            Habit::Churn => self.churn(nth),
        }
        self.store.list(request).await
    }

    async fn list_versions(&self, _: VersionsRequest) -> Result<VersionPage> {
        Err(Error::new(ErrorKind::Unsupported, "no versions are listed here"))
    }

    async fn symlink_target(&self, _: &Key, _: Option<&str>) -> Result<String> {
        Err(Error::new(ErrorKind::Unsupported, "lists only"))
    }

    async fn tags(&self, _: &Key, _: Option<&str>) -> Result<Tags> {
        Err(Error::new(ErrorKind::Unsupported, "lists only"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_goes_in_circles_ends_in_an_error() {
    let pages: Vec<_> = pages(Odd::new(Habit::Circles, []), ListScope::directory("d/"), &options(2, 4)).collect().await;
    assert_eq!(pages.len(), 2, "a sign of life before it");
    assert_eq!(pages[1].as_ref().unwrap_err().kind(), ErrorKind::Protocol);
}

/// What a listing of these keys must show: keys, and common prefixes.
fn expected(present: &BTreeSet<String>, scope: &ListScope) -> (Vec<String>, Vec<String>) {
    let common = |key: &String| {
        let cut = scope.delimiter.as_ref().and_then(|delimiter| key[scope.prefix.len()..].find(delimiter.as_str()));
        cut.map(|at| key[..scope.prefix.len() + at + 1].to_owned())
    };
    let below = present.iter().filter(|key| key.starts_with(&scope.prefix));
    let (mut keys, mut prefixes) = (Vec::new(), BTreeSet::new());
    for key in below {
        match common(key) {
            Some(prefix) if scope.within.holds(&prefix) => drop(prefixes.insert(prefix)),
            None if scope.within.holds(key) => keys.push(key.clone()),
            _ => {}
        }
    }
    (keys, prefixes.into_iter().collect())
}

/// Checks pages against what they must show together, and the promises of each.
fn check(pages: &[Page], scope: &ListScope, expected: &(Vec<String>, Vec<String>)) {
    if scope.order == PageOrder::Key {
        assert!(pages.is_sorted_by_key(|page| &page.span.from));
    }
    for page in pages {
        let all = page.entries.iter().map(|entry| &entry.key).chain(&page.prefixes);
        assert!(all.clone().all(|key| page.span.holds(key)), "{page:?}");
        assert!(page.entries.is_sorted_by_key(|entry| &entry.key) && page.prefixes.is_sorted());
        // No bound cuts through a common prefix.
        let cut = |bound: &String| expected.1.iter().any(|prefix| bound.starts_with(prefix) && bound != prefix);
        assert!(!cut(&page.span.from) && !page.span.before.as_ref().is_some_and(cut), "{page:?}");
    }
    let mut spans: Vec<_> = pages.iter().map(|page| page.span.clone()).filter(|span| !span.is_empty()).collect();
    spans.sort_by(|a, b| a.from.cmp(&b.from));
    assert!(spans.windows(2).all(|pair| pair[0].before.as_ref() == Some(&pair[1].from)), "{spans:?}");
    if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
        let all = KeySpan { from: first.from.clone(), before: last.before.clone() };
        let inside = KeySpan::below(&scope.prefix);
        let from = inside.from.max(scope.within.from.clone());
        let before = [inside.before, scope.within.before.clone()].into_iter().flatten().min();
        assert!(all.covers(&KeySpan { from, before }), "{all:?}");
    }
    let mut listed: Vec<_> = pages.iter().flat_map(keys).collect();
    listed.sort_unstable();
    assert_eq!(listed, expected.0);
    let mut prefixes: Vec<_> = pages.iter().flat_map(|page| &page.prefixes).collect();
    prefixes.sort_unstable();
    assert_eq!(prefixes, expected.1.iter().collect::<Vec<_>>());
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Keys of few characters, so that they share beginnings, hold delimiters, digits, letters of one word and of hashes,
/// the first and the last character there is, and what XML and URLs cannot carry plainly.
fn key_sets() -> impl Strategy<Value = BTreeSet<String>> {
    let adversarial = prop::collection::btree_set("[ab/\\x01%+\u{d7ff}\u{10ffff}]{1,5}", 0..80);
    let numbered = prop::collection::btree_set("(a|b/|cold-|é)[0-2]{1,4}(/x)?", 0..200);
    let hashes = prop::collection::btree_set("[ab]{0,1}/?[0-9a-f]{6}", 0..200);
    prop_oneof![adversarial, numbered, hashes]
}

fn scopes() -> impl Strategy<Value = ListScope> {
    let bound = || prop::option::of("[abc/0-3]{0,3}");
    ("[ab]{0,1}/?", any::<bool>(), any::<bool>(), bound(), bound()).prop_map(
        |(prefix, directory, sorted, from, before)| {
            let order = if sorted { PageOrder::Key } else { PageOrder::Arrival };
            if directory {
                return ListScope::directory(prefix).order(order);
            }
            let span = KeySpan { from: from.unwrap_or_default(), before };
            ListScope::subtree(prefix).within(span).order(order)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn every_key_comes_once_whatever_the_page_size_the_workers_and_the_weather(
        present in key_sets(),
        scope in scopes(),
        page_size in 1..20u32,
        concurrency in 1..20u32,
        seed: u64,
    ) {
        let store = Arc::new(MemoryStore::new());
        for key in &present {
            store.put(key.as_str(), "");
        }
        let listed = paused().block_on(async {
            let faults = [(0.1, Fault::Error(ErrorKind::Server)), (0.1, Fault::Throttle(Duration::from_secs(2)))];
            let faulty = Arc::new(FaultStore::new(store).randomly(seed, faults));
            let clock = Clock::runtime(Timestamp::from_unix(0));
            let retry = Retry::new(faulty, RetryPolicy::default(), Arc::new(Metrics::default()), clock);
            pages(Arc::new(retry), scope.clone(), &options(page_size, concurrency)).try_collect::<Vec<_>>().await
        });
        check(&listed.unwrap(), &scope, &expected(&present, &scope));
    }

    #[test]
    fn pages_may_be_short(present in key_sets(), scope in scopes(), page_size in 1..9u32, concurrency in 1..9u32) {
        let store = Odd::new(Habit::ShortPages, present.clone());
        let listed = pages(store, scope.clone(), &options(page_size, concurrency));
        let listed: Vec<_> = paused().block_on(listed.try_collect()).unwrap();
        check(&listed, &scope, &expected(&present, &scope));
    }

    #[test]
    fn keys_that_stay_come_once_while_others_come_and_go(
        present in prop::collection::btree_set("[ab/]{1,5}", 0..80),
        sorted: bool,
        page_size in 1..9u32,
        concurrency in 1..9u32,
    ) {
        let scope = ListScope::subtree("").order(if sorted { PageOrder::Key } else { PageOrder::Arrival });
        let store = Odd::new(Habit::Churn, present.clone());
        let listed = pages(store, scope, &options(page_size, concurrency)).each_once();
        let listed: Vec<_> = paused().block_on(listed.try_collect()).unwrap();
        let mut listed: Vec<_> = listed.iter().flat_map(keys).collect();
        listed.sort_unstable();
        prop_assert!(listed.windows(2).all(|pair| pair[0] < pair[1]), "twice: {:?}", listed);
        listed.retain(|key| !key.contains('#'));
        prop_assert_eq!(listed, present.iter().collect::<Vec<_>>());
    }
}
