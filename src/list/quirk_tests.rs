//! Servers that do not keep the rules: every name comes all the same, and what was found out is used.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;

use super::{Findings, ListScope, Options, Page, PageOrder, Trust, pages};
use crate::base::{Clock, KeySpan, Timestamp};
use crate::store::layers::{EmptyPages, KeyOrder, QuirkStore, Quirks, StartAfter};
use crate::store::memory::MemoryStore;
use crate::store::{Error, ErrorKind, Store};

fn bucket(keys: impl IntoIterator<Item = impl Into<String>>) -> Arc<MemoryStore> {
    let bucket = MemoryStore::new();
    keys.into_iter().for_each(|key| drop(bucket.put(key, "")));
    Arc::new(bucket)
}

fn options(page_size: u32, concurrency: u32) -> Options {
    Options { page_size, concurrency, ..Options::default() }
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn many() -> impl Iterator<Item = String> {
    (0..500).map(|n| format!("k{n:04}"))
}

/// Every name of some pages, as it comes.
fn names(pages: &[Page]) -> Vec<String> {
    let all = pages.iter().flat_map(|page| {
        let keys = page.entries.iter().map(|entry| entry.key.clone());
        keys.chain(page.prefixes.iter().cloned())
    });
    all.collect()
}

/// The names that a listing of these keys must show.
fn expected(present: &BTreeSet<String>, scope: &ListScope) -> Vec<String> {
    let shown = |key: &String| {
        let rest = key.strip_prefix(&scope.prefix)?;
        let cut = scope.delimiter.as_deref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let name = cut.map_or(key.as_str(), |cut| &key[..scope.prefix.len() + cut]);
        scope.within.holds(name).then(|| name.to_owned())
    };
    present.iter().filter_map(shown).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What a caller that believes the pages knows in the end: the names, and what is settled.
fn believed(pages: &[Page], scope: &ListScope) -> Vec<String> {
    let last_begin = pages.iter().rposition(|page| page.begins_anew).map_or(0, |at| at + 1);
    let pages = &pages[last_begin..];
    for page in pages {
        assert!(names(std::slice::from_ref(page)).iter().all(|name| page.span.holds(name)), "{page:?}");
        assert!(
            page.entries.is_sorted_by(|a, b| a.key < b.key) && page.prefixes.is_sorted_by(|a, b| a < b),
            "{page:?}"
        );
    }
    let mut spans: Vec<_> = pages.iter().map(|page| page.span.clone()).filter(|span| !span.is_empty()).collect();
    spans.sort_by(|a, b| a.from.cmp(&b.from));
    assert!(spans.windows(2).all(|pair| pair[0].before.as_ref() == Some(&pair[1].from)), "{spans:?}");
    if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
        let inside = KeySpan::below(&scope.prefix);
        let from = inside.from.max(scope.within.from.clone());
        let before = [inside.before, scope.within.before.clone()].into_iter().flatten().min();
        let all = KeySpan { from: first.from.clone(), before: last.before.clone() };
        assert!(all.covers(&KeySpan { from, before }), "{all:?}");
    }
    let mut names = names(pages);
    names.sort_unstable();
    names
}

/// The first page that does not show all that its span holds, and the names that it should show.
fn untrue<'p>(pages: &'p [Page], expected: &[String]) -> Option<(&'p Page, Vec<String>)> {
    let inside = |page: &Page| expected.iter().filter(|name| page.span.holds(name)).cloned().collect::<Vec<_>>();
    let mut all = pages.iter().map(|page| (page, inside(page)));
    all.find(|(page, inside)| {
        let mut shown = names(std::slice::from_ref(page));
        shown.sort_unstable();
        shown != *inside
    })
}

/// Keys of several directories, with characters that the two orders see differently.
fn key_sets() -> impl Strategy<Value = BTreeSet<String>> {
    let mixed = prop::collection::btree_set("[ab/\u{e000}\u{ff00}\u{10000}\u{1f600}-]{1,4}", 0..80);
    let nested = prop::collection::btree_set("(a|b|c)/[0-3]{1,3}(/x|-y)?", 0..120);
    let numbered = prop::collection::btree_set("[0-9]{1,4}", 0..150);
    prop_oneof![mixed, nested, numbered]
}

fn all_quirks() -> impl Strategy<Value = Quirks> {
    let order = prop_oneof![
        2 => Just(KeyOrder::Bytes),
        2 => Just(KeyOrder::Utf16),
        1 => (0..1000u64).prop_map(KeyOrder::Scattered),
    ];
    let start_after =
        prop_oneof![2 => Just(StartAfter::Obeyed), 1 => Just(StartAfter::Ignored), 1 => Just(StartAfter::Refused)];
    let empty_pages = prop_oneof![3 => Just(EmptyPages::None), 1 => (1..12u32).prop_map(EmptyPages::Before)];
    (order, start_after, any::<bool>(), any::<bool>(), empty_pages).prop_map(
        |(order, start_after, repeated_prefixes, duplicates, empty_pages)| Quirks {
            order,
            start_after,
            repeated_prefixes,
            duplicates,
            empty_pages,
        },
    )
}

/// What callers list: nothing that ends before the last key of its prefix, and nothing that begins at a key which a
/// server of another order has elsewhere among the others, where no page could show it.
fn scopes() -> impl Strategy<Value = ListScope> {
    let from = prop::option::of("[abc/0-3]{0,3}");
    ("([ab]/)?", any::<bool>(), any::<bool>(), from).prop_map(|(prefix, directory, sorted, from)| {
        let order = if sorted { PageOrder::Key } else { PageOrder::Arrival };
        if directory {
            return ListScope::directory(prefix).order(order);
        }
        let span = KeySpan { from: from.unwrap_or_default(), before: None };
        ListScope::subtree(prefix).within(span).order(order)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 768, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_name_comes_once_whatever_the_server_makes_of_the_rules(
        present in key_sets(),
        quirks in all_quirks(),
        scope in scopes(),
        page_size in 1..12u32,
        concurrency in 1..12u32,
        known in any::<bool>(),
    ) {
        let store = Arc::new(QuirkStore::new(bucket(&present), quirks));
        let expected = expected(&present, &scope);
        let findings = Arc::new(Findings::default());
        for _ in 0..=u32::from(known) {
            let listed = pages(store.clone(), scope.clone(), &options(page_size, concurrency)).sharing(findings.clone());
            let listed: Vec<_> = paused().block_on(listed.try_collect()).unwrap();
            prop_assert_eq!(&believed(&listed, &scope), &expected);
            let all: BTreeSet<_> = names(&listed).into_iter().collect();
            prop_assert!(all.into_iter().eq(expected.iter().cloned()), "what is shown is there: {:?}", listed);
            // Where another order shows, it shows only on a later page.
            if quirks.order == KeyOrder::Bytes && !(quirks.repeated_prefixes && quirks.duplicates) {
                prop_assert_eq!(untrue(&listed, &expected), None);
            }
        }
        let once = pages(store, scope.clone(), &options(page_size, concurrency)).each_once();
        let mut once = names(&paused().block_on(once.try_collect::<Vec<_>>()).unwrap());
        once.sort_unstable();
        prop_assert_eq!(once, expected);
    }
}

/// Lists everything below a prefix; the pages, and the requests that it took.
async fn listed(store: &Arc<QuirkStore>, findings: &Arc<Findings>, prefix: &str) -> (Vec<Page>, u64) {
    let before = store.lists();
    let pages = pages(store.clone(), ListScope::subtree(prefix), &options(10, 8)).sharing(findings.clone());
    let pages = pages.try_collect().await.unwrap();
    (pages, store.lists() - before)
}

#[tokio::test(start_paused = true)]
async fn what_one_listing_finds_out_the_next_one_uses_for_any_prefix() {
    for (quirks, trust) in [
        (Quirks { order: KeyOrder::Scattered(3), ..Quirks::default() }, Trust::NoOrder),
        (Quirks { start_after: StartAfter::Ignored, ..Quirks::default() }, Trust::NoStartAfter),
        (Quirks { start_after: StartAfter::Refused, ..Quirks::default() }, Trust::NoStartAfter),
        (Quirks::default(), Trust::Full),
    ] {
        let keys = many().flat_map(|key| [format!("a/{key}"), format!("b/{key}")]);
        let store = Arc::new(QuirkStore::new(bucket(keys), quirks));
        let findings = Arc::new(Findings::default());
        let (first, _) = listed(&store, &findings, "a/").await;
        assert_eq!(believed(&first, &ListScope::subtree("a/")).len(), 500);
        assert_eq!(
            first.iter().filter(|page| page.begins_anew).count(),
            usize::from(trust != Trust::Full),
            "{quirks:?}"
        );
        assert_eq!(findings.trust(), trust);
        let (second, requests) = listed(&store, &findings, "b/").await;
        assert_eq!(believed(&second, &ListScope::subtree("b/")).len(), 500);
        assert!(second.iter().all(|page| !page.begins_anew), "it is known already: {quirks:?}");
        if trust != Trust::Full {
            assert_eq!(requests, 50, "one page after the other, each once: {quirks:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_going_on_begins_anew_when_another_has_found_something_out() {
    let store = Arc::new(QuirkStore::new(bucket(many()), Quirks::default()));
    let findings = Arc::new(Findings::default());
    let mut pages = pages(store, ListScope::subtree(""), &options(10, 1)).sharing(findings.clone());
    assert!(!pages.next().await.unwrap().unwrap().begins_anew);
    findings.lower(Trust::NoOrder, "elsewhere/");
    findings.doubt(0);
    assert_eq!(pages.epoch(), 0, "what it has given out is older");
    let rest: Vec<_> = pages.by_ref().try_collect().await.unwrap();
    assert!(rest[0].begins_anew && pages.epoch() == 1);
    assert_eq!(believed(&rest, &ListScope::subtree("")).len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_request_refused_for_another_reason_is_no_finding() {
    let quirks = Quirks { start_after: StartAfter::Refused, ..Quirks::default() };
    let store = Arc::new(QuirkStore::new(bucket(many()), quirks));
    let faults = Arc::new(crate::store::layers::FaultStore::new(store));
    // The first page, then the listing from a key on is refused, and then everything is.
    for kind in [None, Some(ErrorKind::Invalid), Some(ErrorKind::Invalid)] {
        let fault = kind.map_or(crate::store::layers::Fault::Late(Duration::ZERO), crate::store::layers::Fault::Error);
        faults.once(crate::store::layers::Operation::List, fault);
    }
    let findings = Arc::new(Findings::default());
    let scope = ListScope::subtree("").within(KeySpan { from: "k0100".to_owned(), before: None });
    let answers: Vec<Result<Page, Error>> =
        pages(faults, scope, &options(10, 1)).sharing(findings.clone()).collect().await;
    assert_eq!(answers.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(findings.trust(), Trust::Full);
}

#[tokio::test(start_paused = true)]
async fn rows_of_empty_pages_end_in_an_error_that_says_so() {
    for trust in [Trust::Full, Trust::NoOrder] {
        let quirks = Quirks { empty_pages: EmptyPages::Endless, ..Quirks::default() };
        let store = Arc::new(QuirkStore::new(bucket(many()), quirks));
        let findings = Arc::new(Findings::default());
        findings.lower(trust, "");
        let clock = Clock::runtime(Timestamp::from_unix(0));
        let pages = pages(store.clone(), ListScope::directory(""), &options(10, 8)).sharing(findings);
        let answers: Vec<_> = pages.collect().await;
        let error = answers.last().unwrap().as_ref().unwrap_err();
        assert!(error.to_string().contains("1000 pages in a row without a name"), "{error}");
        assert_eq!(store.lists(), 1000, "{trust:?}");
        assert!(clock.elapsed() > Duration::from_secs(60), "they are asked for more and more slowly");
        assert_eq!(answers.len(), 1000, "each is a sign of life");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_order_is_not_held_beyond_the_bound() {
    let quirks = Quirks { order: KeyOrder::Scattered(1), duplicates: true, ..Quirks::default() };
    let store: Arc<dyn Store> = Arc::new(QuirkStore::new(bucket(many()), quirks));
    for (held_bytes, fits) in [(10_000, false), (1 << 20, true)] {
        let options = Options { held_bytes, ..options(10, 8) };
        let listed = pages(store.clone(), ListScope::subtree(""), &options).try_collect::<Vec<_>>().await;
        match listed {
            Ok(_) => assert!(fits),
            Err(error) => assert!(!fits && error.to_string().contains("raise metadata-memory"), "{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_boundary_between_two_orders_loses_nothing() {
    // A page that ends with U+10000 reaches beyond a cut at U+FF80, and U+FF00 comes behind it.
    let keys: Vec<String> = ["a", "b", "\u{ff00}", "\u{ff80}", "\u{ff81}", "\u{10000}", "\u{10001}"]
        .into_iter()
        .flat_map(|name| (0..30).map(move |n| format!("{name}{n:02}")))
        .collect();
    let present: BTreeSet<String> = keys.iter().cloned().collect();
    for page_size in 1..40 {
        for concurrency in [2, 8, 64] {
            let quirks = Quirks { order: KeyOrder::Utf16, ..Quirks::default() };
            let store = Arc::new(QuirkStore::new(bucket(&keys), quirks));
            let listed = pages(store, ListScope::subtree(""), &options(page_size, concurrency));
            let listed: Vec<_> = listed.try_collect().await.unwrap();
            assert!(believed(&listed, &ListScope::subtree("")).iter().eq(&present), "{page_size} {concurrency}");
        }
    }
}

/// The first page of such a server shows prefixes that lie far behind its last key: keys between them come later.
#[tokio::test(start_paused = true)]
async fn common_prefixes_on_each_page_settle_nothing_behind_the_keys_of_the_page() {
    let files = |n: usize| (0..n).map(|n| format!("file{n:02}"));
    for (what, keys, settled) in [
        ("behind the files", files(25).chain((0..4).map(|n| format!("set{n}/x"))).collect::<Vec<_>>(), 10),
        ("on both sides", files(25).chain(["a/x", "z/x"].map(str::to_owned)).collect(), 10),
        ("before a file", (0..15).map(|n| format!("dir{n:02}/x")).chain(["dir12-file".to_owned()]).collect(), 0),
    ] {
        let store = QuirkStore::new(bucket(&keys), Quirks { repeated_prefixes: true, ..Quirks::default() });
        let scope = ListScope::directory("");
        let listed: Vec<_> = pages(Arc::new(store), scope.clone(), &options(10, 4)).try_collect().await.unwrap();
        let expected = expected(&keys.into_iter().collect(), &scope);
        assert_eq!(untrue(&listed, &expected), None, "{what}");
        assert!(listed.iter().any(|page| page.begins_anew), "{what}: the second page shows it");
        assert_eq!(names(&listed[..1]).len(), settled, "{what}: {listed:?}");
    }
}
