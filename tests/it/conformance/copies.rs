//! The part of the conformance suite that is about copies within the service and uploads in parts.

use ossmount::base::crc64::crc64;
use ossmount::base::{BucketName, ByteRange, ETag, Key};
use ossmount::store::{
    CompleteRequest, CopyPartRequest, CopyRequest, CopySource, ErrorKind, GetRequest, HeadRequest, ListPartsRequest,
    Metadata, ObjectMeta, Overwrite, PutRequest, Result, Tags, Upload, UploadRequest,
};

use crate::conformance::{Bed, Bucket, pattern};

/// What the beds call the bucket without versions, and the one with them.
const BUCKET: &str = "conformance";
const VERSIONED: &str = "versioned";

/// The smallest part that S3 takes before another.
const PART: u64 = 5 << 20;

fn source(bucket: &str, key: &str) -> CopySource {
    CopySource { bucket: BucketName::new(bucket), key: Key::new(key), version: None, if_match: None }
}

fn copy(from: &str, to: &str) -> CopyRequest {
    CopyRequest {
        source: source(BUCKET, from),
        size: 0,
        key: Key::new(to),
        metadata: None,
        tags: None,
        storage_class: None,
        acl: None,
        overwrite: Overwrite::Allow,
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

impl Bucket {
    async fn meta(&self, key: &str) -> ObjectMeta {
        self.store.head(HeadRequest::new(Key::new(key))).await.unwrap()
    }

    async fn content(&self, key: &str) -> Vec<u8> {
        let body = self.store.get(GetRequest::new(Key::new(key))).await.unwrap().body;
        body.collect(64 << 20).await.unwrap()
    }

    async fn part(&self, upload: &Upload, number: u32, from: &str, range: ByteRange) -> Result<ETag> {
        let source = source(BUCKET, from);
        self.writer.copy_part(CopyPartRequest { upload: upload.clone(), number, source, range }).await
    }

    async fn begin(&self, key: &str, metadata: Metadata, tags: Tags) -> Upload {
        let (storage_class, acl, overwrite) = (None, None, Overwrite::Allow);
        let request = UploadRequest { key: Key::new(key), metadata, tags, storage_class, acl, overwrite };
        self.writer.begin_upload(request).await.unwrap()
    }
}

impl Bed {
    async fn has_tags(&self, key: &str, expected: &Tags) {
        if self.traits.copies_in_full {
            let mut tags = self.bucket.store.tags(&Key::new(key), None).await.unwrap();
            tags.sort();
            assert_eq!(tags, *expected, "{key}");
        }
    }
}

fn metadata(content_type: &str, owner: &str) -> Metadata {
    Metadata {
        content_type: Some(content_type.to_owned()),
        headers: vec![("cache-control".into(), "no-cache".into()), ("content-language".into(), "de, en".into())],
        user: vec![("owner".into(), owner.into())],
    }
}

/// Metadata and tags are the source's unless others are given; then nothing of the source's stays.
pub(crate) async fn copies_carry_over_or_replace(bed: &Bed) {
    let bucket = &bed.bucket;
    let (from, plain, anew) = ("copy/from a+b%20é", "copy/plain", "copy/anew//./x");
    bucket.writer.put(PutRequest::new(Key::new("copy/bytes"), "bytes")).await.unwrap();
    let odd = tags(&[("a b", "x+y=1:/"), ("empty", "")]);
    let given = CopyRequest {
        metadata: Some(metadata("text/x-one", "alice & co")),
        tags: Some(odd.clone()),
        ..copy("copy/bytes", from)
    };
    bucket.writer.copy(given).await.unwrap();
    let copied = bucket.writer.copy(copy(from, plain)).await.unwrap();
    let meta = bucket.meta(plain).await;
    bed.has_tags(plain, &odd).await;
    assert_eq!((meta.content_type.as_deref(), meta.size), (Some("text/x-one"), 5));
    assert_eq!(meta.headers, metadata("", "").headers);
    assert_eq!(meta.user, [("owner".to_owned(), "alice & co".to_owned())]);
    assert_eq!(copied.etag, meta.etag);
    if bed.traits.crc64 {
        assert_eq!((copied.crc64, meta.crc64), (Some(crc64(b"bytes")), Some(crc64(b"bytes"))));
        assert_eq!(meta.tag_count, Some(2));
    }

    let other = Metadata { content_type: Some("text/x-two".into()), ..Metadata::default() };
    let replaced = CopyRequest { metadata: Some(other), tags: Some(tags(&[("new", "1")])), ..copy(from, anew) };
    bucket.writer.copy(replaced).await.unwrap();
    let meta = bucket.meta(anew).await;
    bed.has_tags(anew, &tags(&[("new", "1")])).await;
    assert_eq!(meta.content_type.as_deref(), Some("text/x-two"));
    assert_eq!((meta.headers.len(), meta.user.len()), (0, 0));
    assert_eq!(bucket.content(anew).await, b"bytes");
    let untagged = CopyRequest { tags: Some(Tags::new()), ..copy(from, anew) };
    bucket.writer.copy(untagged).await.unwrap();
    bed.has_tags(anew, &Tags::new()).await;
}

/// A source that is not there, or not the one that was meant, is not copied.
pub(crate) async fn copies_are_pinned_to_their_source(bed: &Bed) {
    let bucket = &bed.bucket;
    let etag = bucket.writer.put(PutRequest::new(Key::new("pinned"), "one")).await.unwrap().etag;
    let pinned = |etag: &Option<ETag>| CopyRequest {
        source: CopySource { if_match: etag.clone(), ..source(BUCKET, "pinned") },
        ..copy("pinned", "pinned copy")
    };
    bucket.writer.copy(pinned(&etag)).await.unwrap();
    bucket.writer.put(PutRequest::new(Key::new("pinned"), "two")).await.unwrap();
    let error = bucket.writer.copy(pinned(&etag)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert_eq!(bucket.content("pinned copy").await, b"one");
    let upload = bucket.begin("pinned copy", Metadata::default(), Tags::new()).await;
    let source = CopySource { if_match: etag, ..source(BUCKET, "pinned") };
    let part = CopyPartRequest { upload: upload.clone(), number: 1, source, range: ByteRange::new(0, 3) };
    assert_eq!(bucket.writer.copy_part(part).await.unwrap_err().kind(), ErrorKind::Changed);
    bucket.writer.abort_upload(upload).await.unwrap();
    let error = bucket.writer.copy(copy("no such source", "pinned copy")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// An object that must not be replaced is not.
pub(crate) async fn copies_leave_what_is_there_where_told(bed: &Bed) {
    let bucket = &bed.bucket;
    for (key, bytes) in [("kept/from", "new"), ("kept/there", "old")] {
        bucket.writer.put(PutRequest::new(Key::new(key), bytes)).await.unwrap();
    }
    let keeping = |to: &str| CopyRequest { overwrite: Overwrite::Forbid, ..copy("kept/from", to) };
    bucket.writer.copy(keeping("kept/absent")).await.unwrap();
    let error = bucket.writer.copy(keeping("kept/there")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Changed), "{error}");
    assert_eq!(bucket.content("kept/there").await, b"old");

    let upload = bucket.begin("kept/there", Metadata::default(), Tags::new()).await;
    let etag = bucket.part(&upload, 1, "kept/from", ByteRange::new(0, 3)).await.unwrap();
    let forbidding =
        CompleteRequest { upload: upload.clone(), parts: vec![(1, etag)], acl: None, overwrite: Overwrite::Forbid };
    let error = bucket.writer.complete_upload(forbidding).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Changed), "{error}");
    assert_eq!(bucket.content("kept/there").await, b"old");
    bucket.writer.abort_upload(upload).await.unwrap();
}

/// Parts taken from another object, in any order and some of them twice, make an object.
pub(crate) async fn parts_make_an_object(bed: &Bed) {
    let bucket = &bed.bucket;
    let bytes = pattern(PART as usize + 1000);
    bucket.writer.put(PutRequest::new(Key::new("parts/from"), bytes.clone())).await.unwrap();
    let upload = bucket.begin("parts/made of two", metadata("text/x-parts", "bob"), tags(&[("k", "a+b =")])).await;
    let rest = ByteRange::new(PART, bytes.len() as u64);
    bucket.part(&upload, 1, "parts/from", ByteRange::new(0, 7)).await.unwrap();
    let second = bucket.part(&upload, 4, "parts/from", rest).await.unwrap();
    let first = bucket.part(&upload, 1, "parts/from", ByteRange::new(0, PART)).await.unwrap();
    let listed = bucket.writer.list_parts(ListPartsRequest { upload: upload.clone(), after: 0 }).await.unwrap();
    let shown: Vec<_> = listed.parts.iter().map(|part| (part.number, part.size, part.etag.clone())).collect();
    assert_eq!(shown, [(1, PART, first.clone()), (4, rest.len(), second.clone())]);
    let later = bucket.writer.list_parts(ListPartsRequest { upload: upload.clone(), after: 1 }).await.unwrap();
    assert_eq!((later.parts.len(), later.parts[0].number, later.next), (1, 4, None));

    let whole = CompleteRequest {
        upload: upload.clone(),
        parts: vec![(1, first), (4, second)],
        acl: None,
        overwrite: Overwrite::Allow,
    };
    let made = bucket.writer.complete_upload(whole.clone()).await.unwrap();
    let meta = bucket.meta("parts/made of two").await;
    bed.has_tags("parts/made of two", &tags(&[("k", "a+b =")])).await;
    assert!(bucket.content("parts/made of two").await == bytes, "the bytes differ");
    if bed.traits.copies_in_full {
        assert_eq!(made.etag, meta.etag);
    }
    assert_eq!((meta.content_type.as_deref(), meta.user.len()), (Some("text/x-parts"), 1));
    if bed.traits.crc64 {
        assert_eq!((made.crc64, meta.crc64), (Some(crc64(&bytes)), Some(crc64(&bytes))));
    }
    let gone = bucket.writer.list_parts(ListPartsRequest { upload, after: 0 }).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
}

/// What was aborted is gone, and can be aborted again.
pub(crate) async fn aborted_uploads_leave_nothing(bed: &Bed) {
    let bucket = &bed.bucket;
    bucket.writer.put(PutRequest::new(Key::new("aborted/from"), "bytes")).await.unwrap();
    let upload = bucket.begin("aborted/to", Metadata::default(), Tags::new()).await;
    let etag = bucket.part(&upload, 1, "aborted/from", ByteRange::new(0, 5)).await.unwrap();
    bucket.writer.abort_upload(upload.clone()).await.unwrap();
    bucket.writer.abort_upload(upload.clone()).await.unwrap();
    let late =
        CompleteRequest { upload: upload.clone(), parts: vec![(1, etag)], acl: None, overwrite: Overwrite::Allow };
    if bed.traits.copies_in_full {
        assert_eq!(bucket.writer.complete_upload(late).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let part = bucket.part(&upload, 1, "aborted/from", ByteRange::new(0, 5)).await;
    assert_eq!(part.unwrap_err().kind(), ErrorKind::NotFound);
    let head = bucket.store.head(HeadRequest::new(Key::new("aborted/to"))).await;
    assert_eq!(head.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Versions that are no longer current can be copied.
pub(crate) async fn old_versions_can_be_copied(bed: &Bed) {
    let Some(bucket) = &bed.versioned else { panic!("the bed has no versioned bucket: say so in `lacks`") };
    let first = bucket.writer.put(PutRequest::new(Key::new("old"), "first")).await.unwrap().version;
    bucket.writer.put(PutRequest::new(Key::new("old"), "second")).await.unwrap();
    assert!(first.is_some());
    let old = CopySource { version: first, ..source(VERSIONED, "old") };
    let copied = bucket.writer.copy(CopyRequest { source: old, ..copy("", "restored") }).await.unwrap();
    assert_eq!(bucket.content("restored").await, b"first");
    let meta = bucket.store.head(HeadRequest::new(Key::new("restored"))).await.unwrap();
    assert!(meta.version.is_some());
    if bed.traits.copies_in_full {
        assert_eq!(copied.version, meta.version);
    }
}
