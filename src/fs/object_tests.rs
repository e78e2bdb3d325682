//! What single objects show beside their bytes: old versions, symlink objects, extended attributes, how they open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tests::{Bed, Stranger};
use super::*;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn old_versions_open_by_a_hidden_name() {
    let bucket = MemoryStore::new().versioned();
    let old = bucket.put("dir/a", "old").version.unwrap();
    bucket.put("dir/a", "new");
    let bed = Bed::over(bucket, |_| {});
    let path = format!("dir/a?versionId={old}");
    let handle = bed.open(&path).await.unwrap();
    assert_eq!(bed.attr(&path).await.size, 3);
    assert_ne!(bed.attr(&path).await.ino, bed.attr("dir/a").await.ino);
    assert_eq!(bed.read(handle).await.unwrap(), "old");
    assert_eq!(bed.names("dir").await, ["a"], "it stays hidden");
    bed.missing("dir/a?versionId=none").await;
    let real = "dir/b?versionId=1";
    bed.bucket.put(real, "a key like that");
    bed.pass(60);
    assert_eq!(bed.attr(real).await.size, 15);
}

#[tokio::test]
async fn symlink_objects_show_their_targets_bytes() {
    let bucket = MemoryStore::new();
    bucket.put("target", "0123456789");
    bucket.put_symlink("link", "target");
    bucket.put_symlink("dangling", "nowhere");
    let bed = Bed::over(bucket, |_| {});
    let entries = bed.entries(Ino::ROOT, 10).await.unwrap();
    let ttls: BTreeMap<&[u8], Duration> = entries.iter().map(|entry| (&*entry.name, entry.attr.ttl)).collect();
    assert_eq!(ttls[&b"link"[..]], Duration::ZERO, "the kernel must look it up before it believes the size");
    assert_eq!(ttls[&b"target"[..]], Duration::from_secs(60));
    assert_eq!(bed.requests(), ["LIST "], "no request per entry");
    let link = bed.attr("link").await;
    assert_eq!((link.kind, link.size), (FileKind::File, 10));
    bed.attr("link").await;
    assert_eq!(bed.requests(), ["HEAD link"]);
    let handle = bed.open("link").await.unwrap();
    assert_eq!(bed.read(handle).await.unwrap(), "0123456789");
    bed.missing("dangling").await;
    bed.bucket.put("target", "abc");
    bed.pass(60);
    let changed = bed.attr("link").await;
    assert_eq!(changed.size, 3);
    assert_ne!(changed.ino, link.ino, "the bytes are others");
}

#[tokio::test]
async fn symlink_objects_show_as_links_within_the_mount() {
    let bucket = MemoryStore::new();
    for key in ["m/a/b/file", "m/c/file", "outside"] {
        bucket.put(key, "x");
    }
    bucket.put_symlink("m/a/b/up", "m/c/file");
    bucket.put_symlink("m/a/b/near", "m/a/b/file");
    bucket.put_symlink("m/a/b/out", "outside");
    bucket.put_symlink("m/a/b/empty", "");
    let bed = Bed::over(bucket, |options| {
        options.symlinks = Symlinks::On;
        options.prefix = "m/".to_owned();
    });
    for (path, text) in [("a/b/up", "../../c/file"), ("a/b/near", "file")] {
        let attr = bed.attr(path).await;
        assert_eq!((attr.kind, attr.size), (FileKind::Symlink, text.len() as u64));
        assert_eq!(bed.fs.clone().readlink(attr.ino).await.unwrap(), text.as_bytes());
    }
    let out = bed.attr("a/b/out").await;
    assert_eq!((out.kind, out.size), (FileKind::File, 1), "a link out of the mount is a file");
    assert_eq!(bed.fs.clone().readlink(out.ino).await, Err(Errno::EINVAL));
    // A file whose bytes are not there, as with `symlinks=off`.
    bed.missing("a/b/empty").await;
}

#[tokio::test]
async fn facts_are_extended_attributes() {
    let bed = Bed::new(&["dir/a"], |_| {});
    bed.bucket.amend("dir/a", |meta| meta.user.push(("owner".to_owned(), "me".to_owned())));
    let ino = bed.attr("dir/a").await.ino;
    bed.requests();
    let listed = bed.fs.clone().listxattr(ino, 4096).await.unwrap();
    let XattrReply::Data(names) = listed else { panic!("{listed:?}") };
    let names = String::from_utf8(names).unwrap();
    let mut shown = String::new();
    for name in names.split_terminator('\0').chain(["user.oss.meta.owner", "user.oss.crc64", "user.oss.content-type"]) {
        let value = bed.fs.clone().getxattr(ino, name.into(), 4096).await.unwrap();
        let XattrReply::Data(value) = value else { panic!("{value:?}") };
        shown += &format!("{name}: {}\n", String::from_utf8(value).unwrap());
    }
    expect_test::expect![[r#"
        user.oss.key: dir/a
        user.oss.bucket: bucket
        user.oss.etag: 4E75C3EE6162E394ED87B47FC6C2B710
        user.oss.size: 7
        user.oss.last-modified: 2023-11-14T22:13:21Z
        user.oss.type: Normal
        user.oss.storage-class: Standard
        user.oss.meta.owner: me
        user.oss.crc64: 13074596056507025554
        user.oss.content-type: application/octet-stream
    "#]]
    .assert_eq(&shown);
    assert_eq!(bed.requests(), ["HEAD dir/a"], "one for all that the listing does not tell");
    let get = |name: &str, size| bed.fs.clone().getxattr(ino, name.into(), size);
    assert_eq!(get("user.oss.size", 0).await, Ok(XattrReply::Size(7 - 6)));
    assert_eq!(get("user.oss.etag", 31).await, Err(Errno::ERANGE));
    for unknown in ["user.oss.nothing", "user.oss.meta.nobody", "security.selinux", "user.oss.version-id"] {
        assert_eq!(get(unknown, 100).await, Err(Errno::ENODATA));
    }
    let word = |word: &str| Ok(XattrReply::Data(word.as_bytes().to_vec()));
    assert_eq!(get("user.oss.verified", 100).await, word("no"));
    let handle = bed.open("dir/a").await.unwrap();
    bed.read(handle).await.unwrap();
    assert_eq!(get("user.oss.verified", 100).await, word("yes"));
    let dir = bed.attr("dir").await.ino;
    let key = bed.fs.clone().getxattr(dir, b"user.oss.key".to_vec(), 100).await;
    assert_eq!(key, Ok(XattrReply::Data(b"dir/".to_vec())));
    assert_eq!(bed.fs.clone().getxattr(dir, b"user.oss.etag".to_vec(), 100).await, Err(Errno::ENODATA));
}

#[tokio::test]
async fn archived_objects_cannot_be_read() {
    let bed = Bed::new(&["a"], |_| {});
    let archive = Some(crate::store::StorageClass("Archive".into()));
    bed.bucket.amend("a", |meta| meta.storage_class = archive);
    let handle = bed.open("a").await.unwrap();
    assert_eq!(bed.read(handle).await, Err(Errno::EACCES));
}

#[tokio::test]
async fn big_files_bypass_the_page_cache_where_readers_cannot_be_seen() {
    let bucket = MemoryStore::new();
    bucket.put("small", "x");
    bucket.put("big", vec![0; DIRECT_IO_BYTES as usize]);
    let bed = Bed::over(bucket, |_| {});
    for (path, expected) in [("small", PageCache::Keep), ("big", PageCache::Bypass)] {
        let ino = bed.attr(path).await.ino;
        assert_eq!(bed.fs.clone().open(ino, libc::O_RDONLY, Stranger).await.unwrap().page_cache, expected);
    }
}

/// A process that makes calls of 1 MiB, and how often it was asked for their number.
#[derive(Clone, Default)]
struct Gulper {
    calls: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
}

impl Opener for Gulper {
    fn program(&self) -> Option<Program> {
        Some(b"gulper"[..].into())
    }

    fn calls(&self) -> Option<ReadCalls> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let calls = self.calls.load(Ordering::Relaxed);
        Some(ReadCalls { calls, bytes: calls << 20 })
    }
}

#[tokio::test]
async fn big_files_bypass_the_page_cache_once_their_reader_has_shown_large_calls() {
    let bucket = MemoryStore::new();
    bucket.put("big", vec![0; DIRECT_IO_BYTES as usize]);
    let bed = Bed::over(bucket, |_| {});
    let (ino, gulper) = (bed.attr("big").await.ino, Gulper::default());
    let open = async || bed.fs.clone().open(ino, libc::O_RDONLY, gulper.clone()).await.unwrap();
    let first = open().await;
    assert_eq!(first.page_cache, PageCache::Keep);
    gulper.calls.fetch_add(16, Ordering::Relaxed);
    let second = open().await;
    assert_eq!(second.page_cache, PageCache::Keep, "nothing has been shown yet");
    bed.fs.release(first.handle);
    let third = open().await;
    assert_eq!(third.page_cache, PageCache::Keep, "it is open through the page cache");
    bed.fs.release(second.handle);
    bed.fs.release(third.handle);
    let asked = gulper.asked.load(Ordering::Relaxed);
    assert_eq!(open().await.page_cache, PageCache::Bypass);
    assert_eq!(gulper.asked.load(Ordering::Relaxed), asked, "what is known is not asked for");
}

#[tokio::test]
async fn seeking_finds_data_up_to_the_end() {
    let bed = Bed::new(&["a"], |_| {});
    let handle = bed.open("a").await.unwrap();
    let seek = |offset, whence| bed.fs.clone().lseek(handle, offset, whence);
    assert_eq!(seek(1, libc::SEEK_DATA).await, Ok(1));
    assert_eq!(seek(1, libc::SEEK_HOLE).await, Ok(3));
    assert_eq!(seek(3, libc::SEEK_DATA).await, Err(Errno::ENXIO));
    assert_eq!(seek(-1, libc::SEEK_HOLE).await, Err(Errno::ENXIO));
    assert_eq!(seek(0, libc::SEEK_SET).await, Err(Errno::EINVAL));
}

#[tokio::test]
async fn entries_are_found_by_number_and_so_is_the_directory_above() {
    let bed = Bed::new(&["a", "dir/below/b"], |_| {});
    let by_handle = async |ino, name: &str| bed.fs.clone().lookup(ino, name.as_bytes().to_vec()).await;
    for path in ["a", "dir", "dir/below", "dir/below/b"] {
        let attr = bed.attr(path).await;
        bed.requests();
        assert_eq!(by_handle(attr.ino, ".").await, Ok(Entry::Found(attr.clone())), "{path}");
        // The kernel holds a reference for each answer: after the first is given back the entry must stay known.
        bed.fs.forget(attr.ino, 1);
        assert!(bed.fs.names.is_referenced(attr.ino), "{path}");
        assert_eq!(bed.requests(), [""; 0]);
    }
    for (path, above) in [("dir/below/b", "dir/below"), ("dir/below", "dir")] {
        let above = bed.attr(above).await;
        assert_eq!(by_handle(bed.attr(path).await.ino, "..").await, Ok(Entry::Found(above)), "{path}");
    }
    let Ok(Entry::Found(root)) = by_handle(bed.attr("a").await.ino, "..").await else { panic!("the root is there") };
    assert_eq!(root.ino, Ino::ROOT);
    for name in [".", ".."] {
        assert_eq!(by_handle(Ino(12345), name).await, Err(Errno::ESTALE));
    }
}

#[tokio::test]
async fn an_open_past_the_caches_sees_what_there_is_now() {
    for ttl in [Ttl::For(Duration::from_secs(3600)), Ttl::Indefinite] {
        let bed = Bed::new(&["a", "b"], |options| options.metadata_ttl = ttl);
        let a = bed.attr("a").await.ino;
        let open = |ino, flags| bed.fs.clone().open(ino, libc::O_RDONLY | flags, Stranger);
        open(a, 0).await.unwrap();
        assert_eq!(bed.requests(), ["LIST "]);
        open(a, libc::O_DIRECT).await.unwrap();
        assert_eq!(bed.requests(), ["HEAD a"]);
        bed.bucket.put("a", "another");
        open(a, 0).await.unwrap();
        assert_eq!(bed.requests(), [""; 0], "others see what was listed");
        // The kernel looks the name up again.
        assert_eq!(open(a, libc::O_DIRECT).await.unwrap_err(), Errno::ESTALE);
        let new = bed.attr("a").await.ino;
        assert_ne!(new, a);
        let handle = open(new, libc::O_DIRECT).await.unwrap().handle;
        assert_eq!(bed.read(handle).await.unwrap(), "another");
        let b = bed.attr("b").await.ino;
        bed.bucket.remove("b");
        assert_eq!(open(b, libc::O_DIRECT).await.unwrap_err(), Errno::ENOENT);
    }
}

#[tokio::test]
async fn what_is_gone_is_not_found_by_name_and_stale_where_it_was_found() {
    let bed = Bed::new(&["a", "b", "c"], |_| {});
    let (a, b) = (bed.open("a").await.unwrap(), bed.attr("b").await.ino);
    for key in ["a", "b"] {
        bed.bucket.remove(key);
    }
    assert_eq!(bed.read(a).await, Err(Errno::ESTALE));
    assert_eq!(bed.fs.clone().getxattr(b, b"user.oss.crc64".to_vec(), 0).await, Err(Errno::ESTALE));
    // And then the names are looked up anew.
    for key in ["a", "b"] {
        bed.missing(key).await;
    }
}
