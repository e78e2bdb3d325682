//! What stood at a time, against a model that replays what was written up to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use proptest::prelude::*;

use super::{AsOf, ListScope, Options, Page, PageOrder, any_below, pages};
use crate::base::{Clock, Key, KeySpan, Timestamp};
use crate::store::memory::{MemoryStore, Request};
use crate::store::{ErrorKind, GetRequest, HeadRequest, ListEntry, Store, Traffic};

/// One change of the history of a bucket.
#[derive(Clone, Debug)]
enum Step {
    Put(String),
    Delete(String),
    /// From now on, versions are kept or not.
    Keep(bool),
}

/// A bucket after its history, and the same as a list of what is left of it, in the order of writing.
struct History {
    store: MemoryStore,
    /// Key, time, and the content of an object; `None` stands for a deletion.
    left: Vec<(String, i64, Option<String>)>,
    ends: i64,
}

const BEGINS: i64 = 1_700_000_000;

/// Replays a history. Several steps may fall into one second.
fn history(steps: &[(Step, i64)]) -> History {
    let store = MemoryStore::new().versioned();
    let (mut now, mut keeps, mut replaced) = (BEGINS, true, BTreeMap::new());
    let mut written: Vec<Option<(String, i64, Option<String>)>> = Vec::new();
    for (nth, (step, pause)) in steps.iter().enumerate() {
        now += pause;
        store.set_time(Timestamp::from_unix(now));
        let (key, content) = match step {
            Step::Keep(keep) => {
                keeps = *keep;
                store.keep_versions(keeps);
                continue;
            }
            Step::Put(key) => (key.clone(), Some(format!("content {nth}"))),
            Step::Delete(key) => (key.clone(), None),
        };
        match &content {
            Some(content) => drop(store.put(key.as_str(), content.clone())),
            None => store.remove(&key),
        }
        // What is written while versions are not kept takes the place of what was written so before.
        if !keeps && let Some(old) = replaced.insert(key.clone(), written.len()) {
            written[old] = None;
        }
        written.push(Some((key, now, content)));
    }
    History { store, left: written.into_iter().flatten().collect(), ends: now }
}

impl History {
    /// What stood at a time, as the list of writings tells: the last one of each key up to it.
    fn stood(&self, at: i64) -> BTreeMap<String, String> {
        let mut stood = BTreeMap::new();
        for (key, time, content) in self.left.iter().filter(|(_, time, _)| *time <= at) {
            debug_assert!(*time >= BEGINS);
            match content {
                Some(content) => drop(stood.insert(key.clone(), content.clone())),
                None => drop(stood.remove(key)),
            }
        }
        stood
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, i64)>> {
    let key = || "[ab]{0,1}/?[ab]{1,2}(/x)?";
    let step = prop_oneof![
        6 => key().prop_map(Step::Put),
        3 => key().prop_map(Step::Delete),
        1 => any::<bool>().prop_map(Step::Keep),
        // Many versions of one key, so that pages end within it.
        4 => Just(Step::Put("a/b".to_owned())),
        1 => Just(Step::Delete("a/b".to_owned())),
    ];
    prop::collection::vec((step, 0..3_i64), 0..80)
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn options(concurrency: u32) -> Options {
    Options { concurrency, ..Options::default() }
}

fn entries(pages: Vec<Page>) -> Vec<ListEntry> {
    let mut entries: Vec<_> = pages.into_iter().flat_map(|page| page.entries).collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

/// The bytes of an entry, by its version.
async fn content(store: &dyn Store, entry: &ListEntry) -> String {
    let request = GetRequest { version: entry.version.clone(), ..GetRequest::new(Key::new(entry.key.as_str())) };
    let bytes = store.get(request).await.unwrap().body.collect(1000).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_listing_shows_what_a_replay_up_to_the_time_leaves(
        steps in steps(),
        share in 0..=10_i64,
        page in 1..12_u32,
        concurrency in 1..9_u32,
        sorted: bool,
    ) {
        let history = history(&steps);
        let at = BEGINS + (history.ends - BEGINS) * share / 10;
        let stood = history.stood(at);
        let store: Arc<dyn Store> = Arc::new(AsOf::new(Arc::new(history.store), Timestamp::from_unix(at)).page(page));
        paused().block_on(async {
            let order = if sorted { PageOrder::Key } else { PageOrder::Arrival };
            let scope = ListScope::subtree("").order(order);
            let listed: Vec<Page> = pages(store.clone(), scope, &options(concurrency)).try_collect().await.unwrap();
            assert!(listed.iter().all(|page| !page.begins_anew), "no rule was broken");
            let mut shown = BTreeMap::new();
            for entry in entries(listed) {
                let content = content(&*store, &entry).await;
                assert_eq!(shown.insert(entry.key.clone(), content), None, "{} came twice", entry.key);
            }
            assert_eq!(shown, stood);

            // One name at a time tells the same.
            for key in ["a/b", "b", "a/bb", "aa/x", "nothing"] {
                let head = store.head(HeadRequest::new(Key::new(key))).await;
                assert_eq!(head.as_ref().ok().map(|head| head.size), stood.get(key).map(|text| text.len() as u64));
                assert!(head.is_ok() || head.unwrap_err().kind() == ErrorKind::NotFound);
                let below = any_below(&*store, &format!("{key}/")).await.unwrap();
                assert_eq!(below, stood.keys().any(|other| other.starts_with(&format!("{key}/"))), "below {}", key);
            }
        });
    }

    #[test]
    fn a_directory_shows_its_objects_as_they_stood_and_no_fewer_directories(
        steps in steps(),
        share in 0..=10_i64,
        page in 1..12_u32,
        prefix in "(a/|b/)?",
    ) {
        let history = history(&steps);
        let at = BEGINS + (history.ends - BEGINS) * share / 10;
        let stood = history.stood(at);
        let ever: Vec<String> = history.left.iter().map(|(key, ..)| key.clone()).collect();
        let store = Arc::new(AsOf::new(Arc::new(history.store), Timestamp::from_unix(at)).page(page));
        let scope = ListScope::directory(prefix.as_str());
        let listed: Vec<Page> = paused().block_on(pages(store, scope, &options(4)).try_collect()).unwrap();
        let direct = |key: &&String| key.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
        let prefixes = |keys: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> {
            let rest = keys.filter_map(|key| key.strip_prefix(&prefix));
            rest.filter_map(|rest| Some(format!("{prefix}{}/", rest.split_once('/')?.0))).collect()
        };
        let shown: BTreeSet<String> = listed.iter().flat_map(|page| page.prefixes.clone()).collect();
        let keys: Vec<String> = entries(listed).into_iter().map(|entry| entry.key).collect();
        prop_assert_eq!(keys, stood.keys().filter(direct).cloned().collect::<Vec<_>>());
        prop_assert!(shown.is_superset(&prefixes(&mut stood.keys())), "a directory is missing");
        prop_assert!(shown.is_subset(&prefixes(&mut ever.iter())), "a directory was never there");
    }
}

/// Names and versions: `keys` of them, each written so many times, the times of one round all the same.
fn rounds(keys: usize, versions: i64) -> MemoryStore {
    let store = MemoryStore::new().versioned();
    for round in 0..versions {
        store.set_time(Timestamp::from_unix(BEGINS + 10 * round));
        for key in 0..keys {
            store.put(format!("dir-{:02}/file-{key:06}.bin", key / 5000), "");
        }
    }
    store
}

#[test]
fn many_keys_of_three_versions_take_few_requests_and_little_time() {
    let keys = 100_000;
    let store = Arc::new(rounds(keys, 3).latency(Duration::from_millis(50)));
    for round in 0..3 {
        store.take_requests();
        let at = Timestamp::from_unix(BEGINS + 10 * round + 5);
        let (listed, took) = paused().block_on(async {
            let clock = Clock::runtime(at);
            let view = Arc::new(AsOf::new(store.clone(), at));
            let began = clock.elapsed();
            let listed: Vec<Page> =
                pages(view, ListScope::subtree(""), &Options::default()).try_collect().await.unwrap();
            (entries(listed), clock.elapsed() - began)
        });
        assert_eq!(listed.len(), keys);
        assert!(listed.windows(2).all(|pair| pair[0].key < pair[1].key));
        let time = Some(Timestamp::from_unix(BEGINS + 10 * round));
        assert!(listed.iter().all(|entry| entry.last_modified == time), "another version than that of round {round}");
        let requests = store.take_requests().len();
        let pages = (keys * 3_usize).div_ceil(999);
        println!("round {round}: {requests} requests for {pages} pages in {took:?}");
        assert!(requests as f64 <= 1.3 * pages as f64, "{requests} requests for {pages} pages");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_with_very_many_versions_is_passed_in_one_request_once_it_is_settled() {
    let store = MemoryStore::new().versioned();
    store.set_time(Timestamp::from_unix(BEGINS));
    store.put("a", "before");
    for second in 1..=20_000 {
        store.set_time(Timestamp::from_unix(BEGINS + second));
        store.put("m", "often");
    }
    store.put("z", "behind");
    let store = Arc::new(store);
    for (at, requests, key) in [(BEGINS + 20_000, 2, Some("often")), (BEGINS, 22, None)] {
        store.take_requests();
        let view = Arc::new(AsOf::new(store.clone(), Timestamp::from_unix(at)));
        let listed: Vec<Page> = pages(view.clone(), ListScope::subtree(""), &options(1)).try_collect().await.unwrap();
        let shown = entries(listed);
        assert_eq!(shown.iter().any(|entry| entry.key == "m"), key.is_some());
        let asked = store.take_requests().len();
        assert!(asked <= requests, "{asked} requests at {at}");
    }
}

#[tokio::test]
async fn versions_by_their_id_pass_and_those_that_are_gone_are_a_change() {
    let store = Arc::new(MemoryStore::new().versioned());
    let first = store.put("k", "one").version.unwrap();
    store.put("k", "two");
    let view = AsOf::new(store.clone(), Timestamp::from_unix(1_700_000_001));
    let get = |version: Option<String>| view.get(GetRequest { version, ..GetRequest::new(Key::new("k")) });
    assert_eq!(get(None).await.unwrap().body.collect(9).await.unwrap(), b"one", "as it stood");
    store.take_requests();
    assert_eq!(get(Some(first.clone())).await.unwrap().body.collect(9).await.unwrap(), b"one");
    let requests = store.take_requests();
    let request = Request::Get { key: "k".to_owned(), range: None, traffic: Traffic::Exact };
    assert_eq!(requests, [request], "nothing else is asked for");
    assert_eq!(get(Some("gone".to_owned())).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(view.tags(&Key::new("k"), None).await.unwrap(), []);
}

#[tokio::test]
async fn a_time_that_has_not_passed_is_refused() {
    let store = Arc::new(MemoryStore::new().versioned());
    store.put("k", "one");
    let now = Timestamp::from_unix(BEGINS + 1000);
    for (ago, is_fine) in [(60, true), (59, false), (0, false), (-3600, false)] {
        let checked = AsOf::new(store.clone(), now.plus_seconds(-ago)).check("", now).await;
        assert_eq!(checked.is_ok(), is_fine, "{ago} s ago");
        if let Err(error) = checked {
            assert!(error.kind() == ErrorKind::Invalid && error.message().contains("at least 60 s ago"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_listing_within_a_span_begins_between_two_keys() {
    let store = Arc::new(rounds(3000, 3));
    let view = Arc::new(AsOf::new(store, Timestamp::from_unix(BEGINS + 15)));
    let span = KeySpan { from: "dir-00/file-000999.bin".to_owned(), before: Some("dir-00/file-002001.bin".to_owned()) };
    let listed: Vec<Page> = pages(view, ListScope::subtree("").within(span), &options(8)).try_collect().await.unwrap();
    let keys: Vec<String> = entries(listed).into_iter().map(|entry| entry.key).collect();
    let expected: Vec<String> = (999..=2000).map(|key| format!("dir-00/file-{key:06}.bin")).collect();
    assert_eq!(keys, expected);
}
