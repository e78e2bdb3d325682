//! What every [`Store`] promises, as one suite of named checks that runs on each kind of bed: a bucket in memory, the
//! emulator in every dialect, and a server that shares nothing with this project.
//!
//! A check makes its own objects under keys of its own, so that all of them share a bucket. What a bed cannot do is
//! written down in [`Bed::lacks`] with the reason; nothing is left out silently.

mod beds;
mod copies;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use ossmount::base::crc64::{combine, crc64};
use ossmount::base::{ByteRange, ETag, Key, Timestamp};
use ossmount::list::{self, AsOf, ListScope};
use ossmount::store::{
    DeleteRequest, ErrorKind, GetRequest, HeadRequest, ListEntry, ListRequest, ObjectKind, ObjectMeta, PutRequest,
    Result, Store, StoreMut, VersionEntry, VersionPlace, VersionsRequest,
};

use crate::conformance::copies::*;

/// A bucket to test on.
pub(crate) struct Bed {
    /// For messages.
    pub(crate) name: &'static str,
    /// An empty bucket without versioning.
    pub(crate) bucket: Bucket,
    /// An empty bucket that keeps versions.
    pub(crate) versioned: Option<Bucket>,
    /// The first bucket, asked with a secret that is not the right one.
    pub(crate) wrong_secret: Option<Arc<dyn Store>>,
    /// A bucket that does not exist.
    pub(crate) no_bucket: Option<Arc<dyn Store>>,
    /// Puts an archived object into the first bucket.
    pub(crate) archive: Option<Archive>,
    /// Puts a symlink object into the first bucket: its key and that of its target.
    pub(crate) link: Option<Link>,
    /// What differs between stores that are all right.
    pub(crate) traits: Traits,
    /// Checks that cannot run here, and why.
    pub(crate) lacks: &'static [(&'static str, &'static str)],
}

type Archive = Box<dyn Fn(&str)>;
type Link = Box<dyn Fn(&str, &str)>;

/// Reading and changing one bucket.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Arc<dyn StoreMut>,
}

/// What differs between stores that are all right.
#[derive(Clone, Copy)]
pub(crate) struct Traits {
    /// OSS keeps a CRC-64 of every object.
    pub(crate) crc64: bool,
    /// OSS refuses keys that begin with a slash or a backslash.
    pub(crate) leading_slash: bool,
    /// An answer to HEAD has no body; OSS says in a header whether key or bucket is missing, S3 does not.
    pub(crate) head_names_the_bucket: bool,
    /// radosgw 16 takes no notice of tags and conditions that come with a copy, tells neither its version nor the tag
    /// of what parts make, and answers 500 for an upload that is gone.
    pub(crate) copies_in_full: bool,
}

impl Traits {
    pub(crate) const OSS: Traits =
        Traits { crc64: true, leading_slash: false, head_names_the_bucket: true, copies_in_full: true };
    pub(crate) const S3: Traits =
        Traits { crc64: false, leading_slash: true, head_names_the_bucket: false, copies_in_full: true };
    pub(crate) const RADOSGW: Traits = Traits { copies_in_full: false, ..Traits::S3 };
}

type Check = for<'b> fn(&'b Bed) -> Pin<Box<dyn Future<Output = ()> + 'b>>;

macro_rules! checks {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |bed| Box::pin($name(bed)))),*] };
}

const CHECKS: &[(&str, Check)] = checks![
    bytes_come_back_as_they_went,
    an_empty_object_is_an_object,
    ranges_are_exact_and_clipped,
    a_range_past_the_end_is_refused,
    if_match_guards_the_version,
    facts_agree_wherever_they_are_told,
    metadata_travels,
    overwriting_changes_the_tag,
    what_is_missing_is_not_found,
    deleting_is_final_and_repeatable,
    a_missing_bucket_is_named,
    a_wrong_secret_is_denied,
    old_versions_stay_readable,
    versions_are_listed_by_key_and_the_newest_first,
    a_time_shows_what_stood_then,
    archived_objects_say_so,
    links_resolve_on_the_server,
    odd_keys_travel_as_they_are,
    odd_keys_at_the_root_travel_too,
    leading_slashes_are_kept_or_refused,
    listings_are_complete_at_every_page_size,
    listings_order_by_bytes,
    listings_tell_the_facts,
    delimiters_collapse,
    pages_resume_behind_a_common_prefix,
    start_after_is_exclusive,
    an_empty_prefix_lists_nothing,
    the_page_stream_gives_every_key_once,
    many_readers_at_once,
    a_dropped_body_disturbs_nobody,
    a_big_object_by_parallel_ranges,
    copies_carry_over_or_replace,
    copies_are_pinned_to_their_source,
    copies_leave_what_is_there_where_told,
    parts_make_an_object,
    aborted_uploads_leave_nothing,
    old_versions_can_be_copied,
];

/// Runs every check and panics with the list of those that failed.
pub(crate) async fn conformance(bed: Bed) {
    for (lacking, reason) in bed.lacks {
        assert!(CHECKS.iter().any(|(name, _)| name == lacking), "{lacking} is no check");
        assert!(!reason.is_empty(), "{lacking} is left out for no reason");
    }
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Some((_, reason)) = bed.lacks.iter().find(|(lacking, _)| lacking == name) {
            println!("{}: without {name}: {reason}", bed.name);
            continue;
        }
        if let Err(panic) = AssertUnwindSafe(check(&bed)).catch_unwind().await {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| said.to_string()));
            failed.push(format!("{name}: {}", said.unwrap_or_default()));
        }
    }
    assert!(failed.is_empty(), "{}: {} checks failed\n{}", bed.name, failed.len(), failed.join("\n"));
}

/// Bytes that repeat at no power of two, so that a misplaced block shows.
pub(crate) fn pattern(len: usize) -> Bytes {
    (0..len as u64).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>().into()
}

pub(crate) async fn read(store: &dyn Store, request: GetRequest) -> Result<Vec<u8>> {
    let response = store.get(request).await?;
    let mut bytes = Vec::new();
    let mut body = response.body;
    let mut piece = vec![0; 100_000];
    loop {
        match body.read(&mut piece).await? {
            0 => break,
            len => bytes.extend_from_slice(&piece[..len]),
        }
    }
    assert_eq!(bytes.len() as u64, response.range.len(), "the body holds its range");
    Ok(bytes)
}

fn get(key: &str) -> GetRequest {
    GetRequest::new(Key::new(key))
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

impl Bucket {
    async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> ObjectMeta {
        let request = PutRequest::new(Key::new(key), bytes);
        self.writer.put(request).await.unwrap_or_else(|error| panic!("putting {key:?}: {error}"))
    }

    async fn put_all(&self, keys: &[String]) {
        let puts = keys.iter().map(|key| async move { drop(self.put(key, key.clone()).await) });
        stream::iter(puts).buffer_unordered(16).collect::<()>().await;
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.writer.delete(DeleteRequest::new(Key::new(key))).await
    }

    async fn read(&self, key: &str) -> Result<Vec<u8>> {
        read(&*self.store, get(key)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.store.head(HeadRequest::new(Key::new(key))).await
    }

    /// Entries and common prefixes of all pages.
    async fn list(&self, request: ListRequest) -> (Vec<ListEntry>, Vec<String>) {
        let (mut entries, mut prefixes, mut request) = (Vec::new(), Vec::new(), request);
        loop {
            let page = self.store.list(request.clone()).await.unwrap();
            let count = page.entries.len() + page.prefixes.len();
            assert!(request.max_keys == 0 || count <= request.max_keys as usize, "{count} entries on a page");
            entries.extend(page.entries);
            prefixes.extend(page.prefixes);
            match page.next {
                Some(token) => request.continuation = Some(token),
                None => return (entries, prefixes),
            }
        }
    }

    async fn keys(&self, request: ListRequest) -> Vec<String> {
        self.list(request).await.0.into_iter().map(|entry| entry.key).collect()
    }
}

fn under(prefix: &str) -> ListRequest {
    ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() }
}

async fn bytes_come_back_as_they_went(bed: &Bed) {
    for len in [1, 4095, 300_000] {
        let (key, bytes) = (format!("round/{len}"), pattern(len));
        let put = bed.bucket.put(&key, bytes.clone()).await;
        let response = bed.bucket.store.get(get(&key)).await.unwrap();
        assert_eq!((response.meta.size, response.range), (len as u64, ByteRange::new(0, len as u64)));
        assert!(put.etag.is_some());
        assert_eq!(response.meta.etag, put.etag);
        assert!(bed.bucket.read(&key).await.unwrap() == bytes, "{len} bytes differ");
    }
}

async fn an_empty_object_is_an_object(bed: &Bed) {
    bed.bucket.put("empty", "").await;
    assert_eq!(bed.bucket.read("empty").await.unwrap(), b"");
    assert_eq!(bed.bucket.head("empty").await.unwrap().size, 0);
    assert_eq!(bed.bucket.keys(under("empty")).await, ["empty"]);
    let range = get("empty").range(ByteRange::new(0, 10));
    assert_eq!(kind(bed.bucket.store.get(range).await), Some(ErrorKind::RangeNotSatisfiable));
}

async fn ranges_are_exact_and_clipped(bed: &Bed) {
    let bytes = pattern(1000);
    bed.bucket.put("ranges", bytes.clone()).await;
    let cases =
        [(0, 1), (0, 1000), (0, 1001), (0, u64::MAX), (1, 2), (500, 600), (500, 2000), (999, 1000), (999, 1 << 40)];
    for (start, end) in cases {
        let range = ByteRange::new(start, end);
        let clipped = range.intersect(ByteRange::new(0, 1000));
        let response = bed.bucket.store.get(get("ranges").range(range)).await.unwrap();
        assert_eq!((response.range, response.meta.size), (clipped, 1000), "{range:?}");
        let got = read(&*bed.bucket.store, get("ranges").range(range)).await.unwrap();
        assert!(got == bytes[clipped.start as usize..clipped.end as usize], "{range:?} differs");
    }
}

async fn a_range_past_the_end_is_refused(bed: &Bed) {
    bed.bucket.put("past", pattern(1000)).await;
    for range in [ByteRange::new(1000, 1001), ByteRange::new(5000, 6000)] {
        let refused = bed.bucket.store.get(get("past").range(range)).await;
        assert_eq!(kind(refused), Some(ErrorKind::RangeNotSatisfiable), "{range:?}");
    }
}

async fn if_match_guards_the_version(bed: &Bed) {
    let tag = bed.bucket.put("guarded", "first").await.etag.unwrap();
    let other_case = ETag::parse(&tag.as_str().to_ascii_lowercase());
    for tag in [Some(tag.clone()), other_case] {
        let same = get("guarded").if_match(tag);
        assert_eq!(read(&*bed.bucket.store, same).await.unwrap(), b"first");
    }
    bed.bucket.put("guarded", "second").await;
    for range in [None, Some(ByteRange::new(0, 2))] {
        let request = GetRequest { range, ..get("guarded").if_match(Some(tag.clone())) };
        assert_eq!(kind(bed.bucket.store.get(request).await), Some(ErrorKind::Changed));
    }
}

async fn facts_agree_wherever_they_are_told(bed: &Bed) {
    let bytes = pattern(5000);
    let put = bed.bucket.put("facts", bytes.clone()).await;
    let head = bed.bucket.head("facts").await.unwrap();
    let whole = bed.bucket.store.get(get("facts")).await.unwrap().meta;
    let part = bed.bucket.store.get(get("facts").range(ByteRange::new(10, 20))).await.unwrap().meta;
    for meta in [&head, &whole, &part] {
        assert_eq!((meta.size, &meta.etag, meta.kind), (5000, &put.etag, ObjectKind::Normal));
        assert!(meta.last_modified.is_some());
        assert_eq!(meta.last_modified, head.last_modified);
        assert_eq!(meta.content_type, head.content_type);
        assert_eq!(meta.crc64, bed.traits.crc64.then(|| crc64(&bytes)));
    }
    assert_eq!(put.crc64, bed.traits.crc64.then(|| crc64(&bytes)));
}

async fn metadata_travels(bed: &Bed) {
    let mut request = PutRequest::new(Key::new("metadata"), "x");
    request.content_type = Some("text/x-odd; charset=utf-8".to_owned());
    request.user = vec![("color".to_owned(), "blue green".to_owned()), ("made-by".to_owned(), "a+b%20c".to_owned())];
    bed.bucket.writer.put(request.clone()).await.unwrap();
    let head = bed.bucket.head("metadata").await.unwrap();
    assert_eq!(head.content_type, request.content_type);
    let mut user = head.user;
    user.sort();
    assert_eq!(user, request.user);
}

async fn overwriting_changes_the_tag(bed: &Bed) {
    let first = bed.bucket.put("over", "first").await;
    let second = bed.bucket.put("over", "the second").await;
    assert_ne!(first.etag, second.etag);
    assert_eq!(bed.bucket.read("over").await.unwrap(), b"the second");
    assert_eq!(bed.bucket.head("over").await.unwrap().etag, second.etag);
}

async fn what_is_missing_is_not_found(bed: &Bed) {
    let error = bed.bucket.store.get(get("missing/key")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let said = error.to_string();
    assert!(said.contains("GetObject") && said.contains("\"missing/key\""), "{said}");
    let error = bed.bucket.head("missing/key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let said = error.to_string();
    assert!(said.contains("HeadObject") && said.contains("\"missing/key\""), "{said}");
}

async fn deleting_is_final_and_repeatable(bed: &Bed) {
    bed.bucket.put("doomed", "x").await;
    bed.bucket.delete("doomed").await.unwrap();
    bed.bucket.delete("doomed").await.unwrap();
    assert_eq!(kind(bed.bucket.read("doomed").await), Some(ErrorKind::NotFound));
    assert_eq!(bed.bucket.keys(under("doomed")).await, Vec::<String>::new());
}

async fn a_missing_bucket_is_named(bed: &Bed) {
    let store = bed.no_bucket.as_ref().expect("a bed without this must say so");
    assert_eq!(kind(store.get(get("k")).await), Some(ErrorKind::NoSuchBucket));
    assert_eq!(kind(store.list(ListRequest::default()).await), Some(ErrorKind::NoSuchBucket));
    let head = kind(store.head(HeadRequest::new(Key::new("k"))).await);
    let expected = if bed.traits.head_names_the_bucket { ErrorKind::NoSuchBucket } else { ErrorKind::NotFound };
    assert_eq!(head, Some(expected));
}

async fn a_wrong_secret_is_denied(bed: &Bed) {
    bed.bucket.put("secret", "x").await;
    let store = bed.wrong_secret.as_ref().expect("a bed without this must say so");
    assert_eq!(kind(store.get(get("secret")).await), Some(ErrorKind::AccessDenied));
    assert_eq!(kind(store.head(HeadRequest::new(Key::new("secret"))).await), Some(ErrorKind::AccessDenied));
    assert_eq!(kind(store.list(ListRequest::default()).await), Some(ErrorKind::AccessDenied));
}

async fn old_versions_stay_readable(bed: &Bed) {
    let bucket = bed.versioned.as_ref().expect("a bed without this must say so");
    let first = bucket.put("k", "first").await;
    let second = bucket.put("k", "the second").await;
    assert!(first.version.is_some() && second.version.is_some() && first.version != second.version);
    assert_eq!(bucket.read("k").await.unwrap(), b"the second");
    assert_eq!(bucket.head("k").await.unwrap().version, second.version);
    let old = GetRequest { version: first.version.clone(), ..get("k") };
    let part = old.clone().range(ByteRange::new(1, 3)).if_match(first.etag.clone());
    assert_eq!(read(&*bucket.store, part).await.unwrap(), b"ir");
    bucket.delete("k").await.unwrap();
    assert_eq!(kind(bucket.read("k").await), Some(ErrorKind::NotFound));
    assert_eq!(bucket.keys(under("")).await, Vec::<String>::new());
    assert_eq!(read(&*bucket.store, old.clone()).await.unwrap(), b"first");
    let head = HeadRequest { version: first.version.clone(), ..HeadRequest::new(Key::new("k")) };
    assert_eq!(bucket.store.head(head).await.unwrap().etag, first.etag);
    let gone = DeleteRequest { version: first.version, ..DeleteRequest::new(Key::new("k")) };
    bucket.writer.delete(gone).await.unwrap();
    assert_eq!(kind(bucket.store.get(old).await), Some(ErrorKind::NotFound));
}

/// Versions below a prefix, asked for so many at a time.
async fn versions(bucket: &Bucket, prefix: &str, max_keys: u32) -> Vec<VersionEntry> {
    let mut request = VersionsRequest { prefix: prefix.to_owned(), max_keys, ..VersionsRequest::default() };
    let mut all = Vec::new();
    loop {
        let page = bucket.store.list_versions(request.clone()).await.unwrap();
        assert!(page.entries.len() <= max_keys as usize);
        all.extend(page.entries);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return all,
        }
    }
}

async fn versions_are_listed_by_key_and_the_newest_first(bed: &Bed) {
    let bucket = bed.versioned.as_ref().expect("a bed without this must say so");
    let mut written = Vec::new();
    for key in ["listed/a b", "listed/a+b", "listed/é/x"] {
        let mut ids = Vec::new();
        for content in ["first", "second!"] {
            ids.push((key.to_owned(), bucket.put(key, content).await.version.unwrap(), content.len() as u64));
        }
        written.extend(ids.into_iter().rev());
    }
    bucket.delete("listed/a+b").await.unwrap();
    for max_keys in [1, 2, 3, 999] {
        let all = versions(bucket, "listed/", max_keys).await;
        let objects: Vec<_> = all.iter().filter(|version| !version.is_delete_marker).collect();
        let told =
            |version: &&VersionEntry| (version.entry.key.clone(), version.version().to_owned(), version.entry.size);
        assert_eq!(objects.iter().map(told).collect::<Vec<_>>(), written, "{max_keys} at a time");
        let latest = all.iter().filter(|version| version.is_latest).map(|version| version.entry.key.as_str());
        assert_eq!(latest.collect::<Vec<_>>(), ["listed/a b", "listed/a+b", "listed/é/x"]);
        // The marker is the newest of its key.
        assert!(all[2].is_delete_marker && all[2].is_latest && all[2].entry.key == "listed/a+b", "{:?}", all[2]);
        assert!(all.iter().all(|version| version.entry.last_modified.is_some()));
    }
    // Behind all versions of a key, and behind one of them.
    let place =
        |version: Option<&str>| VersionPlace { key: "listed/a b".to_owned(), version: version.map(str::to_owned) };
    for (after, left) in [(place(None), 5), (place(Some(&written[0].1)), 6), (place(Some(&written[1].1)), 5)] {
        let request =
            VersionsRequest { prefix: "listed/".into(), after: Some(after.clone()), ..VersionsRequest::default() };
        assert_eq!(bucket.store.list_versions(request).await.unwrap().entries.len(), left, "{after:?}");
    }
    let collapsed =
        VersionsRequest { prefix: "listed/".into(), delimiter: Some("/".into()), ..VersionsRequest::default() };
    let page = bucket.store.list_versions(collapsed).await.unwrap();
    assert_eq!((page.entries.len(), page.prefixes, page.next), (5, vec!["listed/é/".to_owned()], None));
}

async fn a_time_shows_what_stood_then(bed: &Bed) {
    let bucket = bed.versioned.as_ref().expect("a bed without this must say so");
    for key in ["stood/a", "stood/b", "stood/c"] {
        for content in ["first", "second"] {
            bucket.put(key, content).await;
        }
    }
    bucket.delete("stood/b").await.unwrap();
    let all = versions(bucket, "stood/", 999).await;
    let times: Vec<i64> =
        all.iter().filter_map(|version| version.entry.last_modified).map(|time| time.seconds).collect();
    let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    for at in first - 1..=last {
        let mut stood: Vec<(String, String)> = Vec::new();
        for key in ["stood/a", "stood/b", "stood/c"] {
            let of_key = all.iter().filter(|version| version.entry.key == key);
            let newest = of_key.clone().find(|version| version.entry.last_modified.unwrap().seconds <= at);
            let shown = newest.filter(|version| !version.is_delete_marker);
            stood.extend(shown.map(|version| (key.to_owned(), version.version().to_owned())));
        }
        for page in [1, 2, 999] {
            let view = Arc::new(AsOf::new(bucket.store.clone(), Timestamp::from_unix(at)).page(page));
            let pages = list::pages(view, ListScope::subtree("stood/"), &list::Options::default()).each_once();
            let pages: Vec<list::Page> = pages.try_collect().await.unwrap();
            let entries = pages.into_iter().flat_map(|page| page.entries);
            let mut shown: Vec<_> = entries.map(|entry| (entry.key, entry.version.unwrap())).collect();
            shown.sort();
            assert_eq!(shown, stood, "at {at}, {page} in a page");
        }
    }
}

async fn archived_objects_say_so(bed: &Bed) {
    bed.archive.as_ref().expect("a bed without this must say so")("archived");
    assert_eq!(kind(bed.bucket.store.get(get("archived")).await), Some(ErrorKind::Archived));
    let head = bed.bucket.head("archived").await.unwrap();
    assert!(head.storage_class.as_ref().is_some_and(|class| class.is_archive()), "{:?}", head.storage_class);
    let (entries, _) = bed.bucket.list(under("archived")).await;
    assert_eq!(entries[0].storage_class, head.storage_class);
}

async fn links_resolve_on_the_server(bed: &Bed) {
    let target = "links/target é";
    bed.bucket.put(target, "the target's bytes").await;
    bed.link.as_ref().expect("a bed without this must say so")("links/link", target);
    assert_eq!(bed.bucket.read("links/link").await.unwrap(), b"the target's bytes");
    let head = bed.bucket.head("links/link").await.unwrap();
    assert_eq!((head.kind, head.size), (ObjectKind::Symlink, 18));
    let (entries, _) = bed.bucket.list(under("links/link")).await;
    assert_eq!((entries[0].kind, entries[0].key.as_str()), (ObjectKind::Symlink, "links/link"));
    assert_eq!(bed.bucket.store.symlink_target(&Key::new("links/link"), None).await.unwrap(), target);
}

/// Keys that break clients and servers which normalise, re-encode or cut.
fn odd_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        ".",
        "..",
        "./a",
        "../a",
        "a/.",
        "a/..",
        "a/./b",
        "a/../b",
        "a/../../b",
        "...",
        "a//b",
        "a///b",
        "a//",
        "dir/",
        "dir/sub/",
        "a b",
        " ",
        " lead",
        "trail ",
        "a/ /b",
        "+",
        "a+b",
        "a%b",
        "%",
        "%%",
        "a%2Fb",
        "a%2fb",
        "a%20b",
        "%2B",
        "%00",
        "q?x=1&y=2",
        "?",
        "&",
        "=",
        "a#b",
        "#",
        "a;b",
        "a:b",
        "a,b",
        "a@b",
        "$",
        "!",
        "*",
        "(a)",
        "'a'",
        "\"a\"",
        "`a`",
        "<a>",
        "<a&amp;b>",
        "]]>",
        "a\\b",
        "[a]",
        "{a}",
        "a|b",
        "a^b",
        "~",
        "-",
        "_",
        "a\tb",
        "a\nb",
        "a\rb",
        "\r\n",
        "\u{1}\u{2}\u{1f}",
        "\u{7f}",
        "\u{80}\u{9f}",
        "é",
        "e\u{301}",
        "ß",
        "日本語/モデル.bin",
        "😀",
        "\u{feff}bom",
        "\u{202e}abc",
        "\u{a0}",
        "\u{fffd}",
        "\u{ffff}",
        "model (1).safetensors",
        "a=b/c=d/part-0.parquet",
        "favicon.ico",
        "index.html",
    ]
    .map(str::to_owned)
    .into();
    keys.push("x".repeat(1023));
    keys.push("語".repeat(341));
    keys.push(format!("{}y", "d/".repeat(511)));
    keys
}

async fn check_odd_keys(bed: &Bed, prefix: &str) {
    let mut keys: Vec<String> = odd_keys().into_iter().map(|key| format!("{prefix}{key}")).collect();
    keys.retain(|key| key.len() <= 1023);
    bed.bucket.put_all(&keys).await;
    let wrong = stream::iter(&keys).map(|key| async move {
        let content = bed.bucket.read(key).await.map_err(|error| format!("{key:?}: {error}"))?;
        if content != key.as_bytes() {
            return Err(format!("{key:?} reads as {:?}", String::from_utf8_lossy(&content)));
        }
        match bed.bucket.head(key).await {
            Ok(meta) if meta.size == key.len() as u64 => {}
            other => return Err(format!("{key:?}: {other:?}")),
        }
        let listed = bed.bucket.store.list(ListRequest { max_keys: 1, ..under(key) }).await;
        match listed.map(|page| page.entries) {
            Ok(entries) if entries.len() == 1 && entries[0].key == *key => Ok(()),
            other => Err(format!("{key:?} is listed as {other:?}")),
        }
    });
    let wrong: Vec<String> = wrong.buffer_unordered(16).filter_map(async |result| result.err()).collect().await;
    assert!(wrong.is_empty(), "{} of {} keys\n  {}", wrong.len(), keys.len(), wrong.join("\n  "));
    if !prefix.is_empty() {
        keys.sort();
        for max_keys in [7, 1000] {
            assert_eq!(bed.bucket.keys(ListRequest { max_keys, ..under(prefix) }).await, keys);
        }
    }
}

async fn odd_keys_travel_as_they_are(bed: &Bed) {
    check_odd_keys(bed, "odd/").await;
}

async fn odd_keys_at_the_root_travel_too(bed: &Bed) {
    check_odd_keys(bed, "").await;
    for key in odd_keys() {
        bed.bucket.delete(&key).await.unwrap();
    }
    assert_eq!(bed.bucket.keys(under(".")).await, Vec::<String>::new());
}

async fn leading_slashes_are_kept_or_refused(bed: &Bed) {
    for key in ["/leading", "//", "/", "/./x", "\\back"] {
        let put = bed.bucket.writer.put(PutRequest::new(Key::new(key), key)).await;
        if bed.traits.leading_slash {
            put.unwrap_or_else(|error| panic!("{key:?}: {error}"));
            assert_eq!(bed.bucket.read(key).await.unwrap(), key.as_bytes());
            assert_eq!(bed.bucket.keys(ListRequest { max_keys: 1, ..under(key) }).await.first().unwrap(), key);
        } else {
            assert_eq!(kind(put), Some(ErrorKind::Invalid), "{key:?}");
        }
    }
}

async fn listings_are_complete_at_every_page_size(bed: &Bed) {
    let mut keys: Vec<String> = (0..23).map(|n| format!("pages/{n:02}")).collect();
    keys.push("pages/é+ %2F".to_owned());
    bed.bucket.put_all(&keys).await;
    bed.bucket.put("pages0", "behind the prefix").await;
    for max_keys in [1, 2, 3, 12, 24, 25, 1000, 0] {
        let listed = bed.bucket.keys(ListRequest { max_keys, ..under("pages/") }).await;
        assert_eq!(listed, keys, "pages of {max_keys}");
    }
}

async fn listings_order_by_bytes(bed: &Bed) {
    // UTF-16 would put the last two the other way round, and a locale the capital elsewhere.
    let keys = [
        "order/",
        "order/A",
        "order/B",
        "order/a",
        "order/a/",
        "order/a/b",
        "order/a0",
        "order/é",
        "order/\u{ffee}",
        "order/😀",
    ];
    let keys = keys.map(str::to_owned);
    bed.bucket.put_all(&keys).await;
    assert_eq!(bed.bucket.keys(under("order/")).await, keys);
    assert_eq!(bed.bucket.keys(ListRequest { max_keys: 1, ..under("order/") }).await, keys);
}

async fn listings_tell_the_facts(bed: &Bed) {
    bed.bucket.put("listed/a", pattern(777)).await;
    let head = bed.bucket.head("listed/a").await.unwrap();
    let (entries, _) = bed.bucket.list(under("listed/")).await;
    let entry = &entries[0];
    assert_eq!((entry.size, &entry.etag, entry.kind), (777, &head.etag, head.kind));
    // Listings may be finer than the header, which has whole seconds.
    assert_eq!(entry.last_modified.unwrap().seconds, head.last_modified.unwrap().seconds);
    assert!(entry.storage_class.is_some());
}

async fn delimiters_collapse(bed: &Bed) {
    let keys =
        ["tree/", "tree/a", "tree/a/1", "tree/a/2", "tree/b//c", "tree/b/c", "tree/c d/+", "tree/z"].map(str::to_owned);
    bed.bucket.put_all(&keys).await;
    let split = |entries: Vec<ListEntry>| entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>();
    for max_keys in [1, 2, 3, 1000] {
        let directory = |prefix: &str| ListRequest { delimiter: Some("/".to_owned()), max_keys, ..under(prefix) };
        let (entries, prefixes) = bed.bucket.list(directory("tree/")).await;
        assert_eq!(split(entries), ["tree/", "tree/a", "tree/z"], "pages of {max_keys}");
        assert_eq!(prefixes, ["tree/a/", "tree/b/", "tree/c d/"], "pages of {max_keys}");
        let (entries, prefixes) = bed.bucket.list(directory("tree/b/")).await;
        assert_eq!((split(entries), prefixes), (vec!["tree/b/c".to_owned()], vec!["tree/b//".to_owned()]));
        let (entries, prefixes) = bed.bucket.list(directory("tr")).await;
        assert_eq!((split(entries), prefixes), (vec![], vec!["tree/".to_owned()]));
    }
}

async fn pages_resume_behind_a_common_prefix(bed: &Bed) {
    let mut keys: Vec<String> = (0..12).map(|n| format!("deep/{:02}/file{}", n / 3, n % 3)).collect();
    keys.push("deep/02.txt".to_owned());
    bed.bucket.put_all(&keys).await;
    for max_keys in 1..6 {
        let request = ListRequest { delimiter: Some("/".to_owned()), max_keys, ..under("deep/") };
        let (entries, prefixes) = bed.bucket.list(request).await;
        assert_eq!(prefixes, ["deep/00/", "deep/01/", "deep/02/", "deep/03/"], "pages of {max_keys}");
        assert_eq!(entries.len(), 1, "pages of {max_keys}");
    }
}

async fn start_after_is_exclusive(bed: &Bed) {
    let keys = ["after/a", "after/b", "after/b ", "after/c"].map(str::to_owned);
    bed.bucket.put_all(&keys).await;
    for (after, expected) in [("after/b", 2), ("after/", 4), ("a", 4), ("after/aa", 3), ("after/c", 0), ("b", 0)] {
        for max_keys in [1, 1000] {
            let start_after = Some(after.to_owned());
            let listed = bed.bucket.keys(ListRequest { start_after, max_keys, ..under("after/") }).await;
            assert_eq!(listed, keys[4 - expected..], "after {after:?}");
        }
    }
}

async fn an_empty_prefix_lists_nothing(bed: &Bed) {
    let page = bed.bucket.store.list(under("nothing/here/")).await.unwrap();
    assert_eq!((page.entries.len(), page.prefixes.len(), page.next), (0, 0, None));
}

async fn the_page_stream_gives_every_key_once(bed: &Bed) {
    let keys: Vec<String> = (0..40).map(|n| format!("stream/{:02}/{n}", n % 7)).collect();
    bed.bucket.put_all(&keys).await;
    let options = list::Options { page_size: 6, concurrency: 4, ..list::Options::default() };
    let pages = list::pages(bed.bucket.store.clone(), ListScope::subtree("stream/"), &options);
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    let mut listed: Vec<String> = pages.into_iter().flat_map(|page| page.entries).map(|entry| entry.key).collect();
    listed.sort();
    let mut keys = keys;
    keys.sort();
    assert_eq!(listed, keys);
}

async fn many_readers_at_once(bed: &Bed) {
    let bytes = pattern(200_000);
    bed.bucket.put("many", bytes.clone()).await;
    let reads = (0..48u64).map(|n| {
        let range = ByteRange::at(n * 4000, 20_000);
        let bytes = bytes.clone();
        async move {
            let got = read(&*bed.bucket.store, get("many").range(range)).await.unwrap();
            let end = bytes.len().min(range.end as usize);
            assert!(got == bytes[range.start as usize..end], "{range:?} differs");
        }
    });
    futures::future::join_all(reads).await;
}

async fn a_dropped_body_disturbs_nobody(bed: &Bed) {
    let bytes = pattern(3 << 20);
    bed.bucket.put("dropped", bytes.clone()).await;
    for _ in 0..100 {
        let mut body = bed.bucket.store.get(get("dropped")).await.unwrap().body;
        assert!(body.read(&mut [0; 1000]).await.unwrap() > 0);
    }
    assert!(bed.bucket.read("dropped").await.unwrap() == bytes, "the bytes differ");
}

async fn a_big_object_by_parallel_ranges(bed: &Bed) {
    let bytes = pattern((16 << 20) + 12_345);
    let meta = bed.bucket.put("big", bytes.clone()).await;
    let part = 1 << 20;
    let starts = (0..bytes.len() as u64).step_by(part as usize);
    let parts = starts.map(|start| {
        let request = get("big").range(ByteRange::at(start, part)).if_match(meta.etag.clone());
        async move { read(&*bed.bucket.store, request).await.unwrap() }
    });
    let parts: Vec<Vec<u8>> = stream::iter(parts).buffered(8).collect().await;
    assert!(parts.concat() == bytes, "the bytes differ");
    let combined = parts.iter().fold(0, |crc, part| combine(crc, crc64(part), part.len() as u64));
    assert_eq!(combined, crc64(&bytes));
    if bed.traits.crc64 {
        assert_eq!(bed.bucket.head("big").await.unwrap().crc64, Some(combined));
    }
}
