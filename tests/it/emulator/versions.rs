//! Versions of every kind of bucket: in memory, in a directory, and computed.

use ossmount::base::{BucketName, Clock, Timestamp};
use ossmount::emulator::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Generator, GeneratorKind, History, Options, generated_content,
};
use ossmount::list::{self, AsOf, ListScope};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{
    self, Dialect, GetRequest, ListEntry, Store, VersionEntry, VersionPlace, VersionsRequest, connect,
};
use std::sync::Arc;

use futures::TryStreamExt;
use ossmount::base::Key;

use super::client::{Client, Sign};
use super::emulator;

fn opened(emulator: &Emulator, bucket: &str, dialect: Dialect) -> Arc<dyn Store> {
    let mut options = store::Options::new(dialect, BucketName::new(bucket));
    options.endpoint = Some(emulator.endpoint());
    options.region = Some("cn-hangzhou".to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    connect(options, Arc::default(), Clock::system()).unwrap().store
}

/// All versions, asked for so many at a time.
async fn versions(store: &dyn Store, max_keys: u32) -> Vec<VersionEntry> {
    let mut request = VersionsRequest { max_keys, ..VersionsRequest::default() };
    let mut all = Vec::new();
    loop {
        let page = store.list_versions(request.clone()).await.unwrap();
        assert!(page.served_at.is_some() && page.entries.len() <= max_keys as usize);
        all.extend(page.entries);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return all,
        }
    }
}

async fn content(store: &dyn Store, entry: &ListEntry) -> Vec<u8> {
    let request = GetRequest { version: entry.version.clone(), ..GetRequest::new(Key::new(entry.key.as_str())) };
    store.get(request).await.unwrap().body.collect(1 << 20).await.unwrap().to_vec()
}

#[test]
fn markers_and_page_sizes_are_those_of_the_protocol() {
    let emulator = emulator();
    let client = Client::new(&emulator, Sign::Oss);
    let ask = |query: &[(&str, &str)]| {
        let query: Vec<_> = [("versions", "")].into_iter().chain(query.iter().copied()).collect();
        client.ask("GET", ("b", ""), &query, &[], b"").unwrap()
    };
    for most in ["0", "1000", "-1", "many"] {
        let refused = ask(&[("max-keys", most)]).expect(400);
        assert_eq!(refused.element("Code"), "InvalidArgument", "{most}");
    }
    assert_eq!(ask(&[("max-keys", "1000")]).element("EC"), "0012-00000102");
    ask(&[("max-keys", "999")]).expect(200);
    let refused = ask(&[("version-id-marker", "CAEQ")]).expect(400);
    assert_eq!(
        (refused.element("Code").as_str(), refused.element("EC").as_str()),
        ("InvalidArgument", "0012-00000106")
    );
    let client = Client::new(&emulator, Sign::S3);
    let page = client.ask("GET", ("b", ""), &[("versions", ""), ("max-keys", "1000")], &[], b"").unwrap().expect(200);
    assert_eq!(page.element("MaxKeys"), "1000");
}

#[test]
fn a_key_marker_alone_stands_behind_all_versions_of_the_key() {
    let emulator = Emulator::start(Options::default()).unwrap();
    emulator.create_versioned_bucket("b");
    for round in 0..5 {
        for key in ["a", "b"] {
            emulator.put("b", key, format!("{round}"));
        }
    }
    let client = Client::new(&emulator, Sign::Oss);
    let page = client.ask("GET", ("b", ""), &[("versions", ""), ("key-marker", "a")], &[], b"").unwrap().expect(200);
    assert_eq!(page.all("Key"), ["b"; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_versions_over_its_files() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("b/dir")).unwrap();
    std::fs::write(root.path().join("b/dir/file"), "on disk").unwrap();
    std::fs::write(root.path().join("b/other"), "other").unwrap();
    let emulator = Emulator::start(Options { root: Some(root.path().to_owned()), ..Options::default() }).unwrap();
    emulator.keep_versions("b", true);
    emulator.put("b", "dir/file", "one");
    emulator.put("b", "dir/file", "two");
    emulator.delete("b", "other");
    let store = opened(&emulator, "b", Dialect::Oss);
    for max_keys in [1, 2, 999] {
        let all = versions(&*store, max_keys).await;
        let shown: Vec<_> =
            all.iter().map(|one| (one.entry.key.as_str(), one.is_latest, one.is_delete_marker)).collect();
        let file = "dir/file";
        let expected = [
            (file, true, false),
            (file, false, false),
            (file, false, false),
            ("other", true, true),
            ("other", false, false),
        ];
        assert_eq!(shown, expected, "{max_keys} at a time");
        let mut contents = Vec::new();
        for one in all.iter().filter(|one| !one.is_delete_marker) {
            contents.push(String::from_utf8(content(&*store, &one.entry).await).unwrap());
        }
        assert_eq!(contents, ["two", "one", "on disk", "other"]);
        assert_eq!((all[2].version(), all[4].version()), ("null", "null"));
    }
    assert_eq!(std::fs::read_to_string(root.path().join("b/dir/file")).unwrap(), "on disk");
    // Suspended, what is written takes the place of the version that was written without versions.
    emulator.keep_versions("b", false);
    emulator.put("b", "dir/file", "three");
    let all = versions(&*store, 999).await;
    assert_eq!(all.iter().filter(|one| one.entry.key == "dir/file").count(), 3);
    assert_eq!((all[0].version(), content(&*store, &all[0].entry).await.as_slice()), ("null", &b"three"[..]));
    // Without its markers, what lay beneath is there again.
    let client = Client::new(&emulator, Sign::Oss);
    let marker = all.iter().find(|one| one.is_delete_marker).unwrap().version().to_owned();
    client.ask("DELETE", ("b", "other"), &[("versionId", &marker)], &[], b"").unwrap().expect(204);
    assert_eq!(client.ask("GET", ("b", "other"), &[], &[], b"").unwrap().expect(200).body, b"other");
    client.ask("DELETE", ("b", "other"), &[("versionId", "null")], &[], b"").unwrap().expect(204);
    client.ask("GET", ("b", "other"), &[], &[], b"").unwrap().expect(404);
    assert_eq!(std::fs::read_to_string(root.path().join("b/other")).unwrap(), "other", "the file itself stays");
}

/// The bytes that a generated bucket held at a time, by key.
fn computed(generator: &Generator, index: u64, at: Timestamp) -> Option<Vec<u8>> {
    let nth = generator.stood(index, at)?;
    let (seed, size) = (generator.seed_of(index, nth), generator.size_of(index, nth));
    Some(generated_content(seed, &generator.key(index), 0..size).to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn computed_histories_are_listed_and_read_as_they_were_made() {
    let history = History { versions: 3, busiest: 3000, deletions: 5 };
    let generator = Generator::new(GeneratorKind::Nested, 2000).sized(100).seeded(3).with_history(history);
    let emulator = Emulator::start(Options::default()).unwrap();
    emulator.generate("b", generator.clone());
    let oldest = Timestamp::from_unix(1_704_067_200);
    for dialect in [Dialect::Oss, Dialect::S3] {
        let store = opened(&emulator, "b", dialect);
        let listed = versions(&*store, 999).await;
        assert_eq!(listed.len(), 1999 * 3 + 3000);
        assert!(listed.iter().any(|one| one.is_delete_marker && one.is_latest));
        for days in [0, 3, 90, 200, 400] {
            let at = oldest.plus_seconds(days * 86_400 + 5);
            let view: Arc<dyn Store> = Arc::new(AsOf::new(store.clone(), at));
            let pages = list::pages(view.clone(), ListScope::subtree(""), &list::Options::default());
            let pages: Vec<_> = pages.try_collect().await.unwrap();
            let mut shown: Vec<ListEntry> = pages.into_iter().flat_map(|page| page.entries).collect();
            shown.sort_by(|a, b| a.key.cmp(&b.key));
            let stood: Vec<u64> = (0..2000).filter(|&index| generator.stood(index, at).is_some()).collect();
            let keys: Vec<String> = stood.iter().map(|&index| generator.key(index)).collect();
            assert_eq!(shown.iter().map(|entry| &entry.key).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
            for (entry, &index) in shown.iter().zip(&stood).step_by(97) {
                assert_eq!(Some(content(&*view, entry).await), computed(&generator, index, at), "{}", entry.key);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_million_versions_is_gone_on_with_from_any_of_them() {
    let history = History { busiest: 1_000_000, ..History::of(1) };
    let generator = Generator::new(GeneratorKind::Flat, 3).with_history(history);
    let emulator = Emulator::start(Options::default()).unwrap();
    emulator.generate("b", generator.clone());
    let store = opened(&emulator, "b", Dialect::Oss);
    let (first, middle, last) = (generator.key(0), generator.key(1), generator.key(2));
    let asked = VersionsRequest { max_keys: 3, ..VersionsRequest::default() };
    let page = store.list_versions(asked.clone()).await.unwrap();
    let keys = |page: &store::VersionPage| page.entries.iter().map(|one| one.entry.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&page), [first, middle.clone(), middle.clone()]);
    // Far into it, by the id of its third version.
    let all = store.list_versions(VersionsRequest { after: page.next, max_keys: 999, ..asked.clone() }).await.unwrap();
    assert_eq!(all.entries.len(), 999);
    let behind = VersionPlace { key: middle, version: None };
    let page = store.list_versions(VersionsRequest { after: Some(behind), ..asked }).await.unwrap();
    assert_eq!((keys(&page), page.next), (vec![last], None), "one request passes all of them");
}
