//! Mounts of a bucket as it stood at a time: what is in it now and what is done to it meanwhile does not show.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ossmount::base::{Key, Timestamp};
use ossmount::fs::{ListingMode, Ttl};
use ossmount::list::AsOf;
use ossmount::metrics::Metric;
use ossmount::store::memory::{MemoryStore, Request};
use ossmount::store::{DeleteRequest, StoreMut};

use crate::support::bed::{Bed, Recipe};
use crate::support::program::until;

const THEN: Timestamp = Timestamp::from_unix(1_700_000_000);

fn at(seconds: i64) -> Timestamp {
    THEN.plus_seconds(seconds)
}

/// Mounts a bucket as it stood so many seconds later than [`THEN`].
fn mounted(store: &Arc<MemoryStore>, seconds: i64, listing: ListingMode) -> Bed {
    let mut recipe = Recipe::default();
    recipe.fs.as_of = Some(at(seconds));
    recipe.fs.metadata_ttl = Ttl::Indefinite;
    recipe.fs.listing = listing;
    recipe.make(Arc::new(AsOf::new(store.clone(), at(seconds)).page(7)))
}

/// Bytes that tell key and round apart, of a few bytes up to some MiB.
fn content(key: usize, round: usize) -> Vec<u8> {
    let len = [17, 4096, 300_000, 9 << 20][key % 4] + 13 * round;
    (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 9) ^ key.wrapping_mul(7) ^ round.wrapping_mul(101)) as u8).collect()
}

fn name(key: usize) -> String {
    format!("run-{}/part-{}/{key:03}.bin", key % 3, key % 5)
}

/// Every file below a directory, with its bytes.
fn read_all(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        assert!(found.insert(name, fs::read(&path).unwrap()).is_none());
    }
}

fn all(bed: &Bed) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    read_all(bed.root(), bed.root(), &mut found);
    found
}

#[test]
fn what_was_there_is_read_byte_for_byte_while_the_bucket_is_overwritten() {
    let store = Arc::new(MemoryStore::new().versioned());
    let mut stood = BTreeMap::new();
    for key in 0..24 {
        // Older versions lie behind those that stood, and some keys were deleted again by then.
        store.set_time(at(-100));
        store.put(name(key), content(key, 9));
        store.set_time(at(0));
        match key % 6 {
            5 => store.remove(&name(key)),
            _ => {
                store.put(name(key), content(key, 0));
                stood.insert(name(key), content(key, 0));
            }
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, stop) = (store.clone(), stop.clone());
        thread::spawn(move || {
            let mut round = 1;
            while !stop.load(Ordering::Relaxed) || round < 4 {
                store.set_time(at(60 + round as i64));
                for key in 0..24 {
                    match (key + round) % 4 {
                        0 => store.remove(&name(key)),
                        _ => drop(store.put(name(key), content(key % 3, round))),
                    }
                    store.put(format!("run-0/later-{round}/{key}"), "later");
                }
                round += 1;
                thread::yield_now();
                if round > 60 {
                    break;
                }
            }
            round
        })
    };
    let bed = mounted(&store, 30, ListingMode::Eager);
    for _ in 0..2 {
        let found = all(&bed);
        assert_eq!(found.keys().collect::<Vec<_>>(), stood.keys().collect::<Vec<_>>());
        for (name, bytes) in &stood {
            assert!(found[name] == *bytes, "{name} has other bytes than it had");
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.join().unwrap() >= 4, "the bucket was overwritten meanwhile");
    // A mount made only now shows the same, under the same numbers.
    let again = mounted(&store, 30, ListingMode::Eager);
    assert_eq!(all(&again), stood);
    for name in stood.keys() {
        let number = |bed: &Bed| fs::metadata(bed.path(name)).unwrap().ino();
        assert_eq!(number(&bed), number(&again), "{name}");
    }
}

#[test]
fn numbers_are_those_of_versions() {
    let store = Arc::new(MemoryStore::new().versioned());
    for second in [0, 10] {
        store.set_time(at(second));
        store.put("same", "the same bytes and tag");
    }
    let number = |seconds| fs::metadata(mounted(&store, seconds, ListingMode::Lazy).path("same")).unwrap().ino();
    assert_ne!(number(5), number(15), "two versions of the same bytes are two files");
    assert_eq!(number(5), number(9));
}

#[test]
fn directories_are_exact_where_all_is_listed_and_may_be_empty_where_it_is_not() {
    let store = Arc::new(MemoryStore::new().versioned());
    store.set_time(at(0));
    store.put("kept/file", "x");
    store.put("gone/file", "x");
    store.remove("gone/file");
    store.set_time(at(100));
    store.put("later/file", "x");
    let names = |bed: &Bed| {
        let names = fs::read_dir(bed.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let eager = mounted(&store, 50, ListingMode::Eager);
    assert_eq!(names(&eager), ["kept"]);
    for name in ["gone", "later", "gone/file", "later/file"] {
        assert!(fs::metadata(eager.path(name)).is_err(), "{name}");
    }
    let lazy = mounted(&store, 50, ListingMode::Lazy);
    assert_eq!(names(&lazy), ["gone", "kept", "later"]);
    for name in ["gone", "later"] {
        assert_eq!(fs::read_dir(lazy.path(name)).unwrap().count(), 0, "{name}");
    }
    assert_eq!(fs::read(lazy.path("kept/file")).unwrap(), b"x");
}

#[test]
fn files_are_asked_for_by_version_and_never_again() {
    let store = Arc::new(MemoryStore::new().versioned());
    store.set_time(at(0));
    store.put("file", "then");
    store.set_time(at(100));
    store.put("file", "now");
    let bed = mounted(&store, 50, ListingMode::Eager);
    assert_eq!(fs::read(bed.path("file")).unwrap(), b"then");
    let version = xattr(&bed.path("file"), "user.oss.version-id");
    assert_eq!(version, "v00000001");
    store.take_requests();
    for _ in 0..3 {
        assert_eq!(fs::read(bed.path("file")).unwrap(), b"then");
        assert!(fs::metadata(bed.path("missing")).is_err());
    }
    let lists = store.take_requests().into_iter().filter(|request| !matches!(request, Request::Get { .. }));
    assert_eq!(lists.count(), 0, "names and attributes are frozen");
    // Versions have names of their own here too.
    assert_eq!(fs::read(bed.path("file?versionId=v00000002")).unwrap(), b"now");
}

#[test]
fn a_version_that_is_deleted_for_good_is_stale() {
    let store = Arc::new(MemoryStore::new().versioned());
    store.set_time(at(0));
    let version = store.put("file", "then").version;
    let bed = mounted(&store, 50, ListingMode::Eager);
    assert_eq!(fs::metadata(bed.path("file")).unwrap().len(), 4);
    let deletion = DeleteRequest { version, ..DeleteRequest::new(Key::new("file")) };
    bed.block_on(store.delete(deletion)).unwrap();
    let error = fs::read(bed.path("file")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{error}");
}

fn xattr(path: &Path, name: &str) -> String {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let name = std::ffi::CString::new(name).unwrap();
    let mut value = [0_u8; 256];
    // SAFETY: both names are C strings and the buffer is as long as said.
    let len = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    assert!(len >= 0, "{}", std::io::Error::last_os_error());
    String::from_utf8(value[..len as usize].to_vec()).unwrap()
}

#[test]
fn a_version_that_is_in_memory_is_read_by_the_kernel() {
    let store = Arc::new(MemoryStore::new().versioned());
    let old = content(3, 0).repeat(3);
    store.set_time(at(0));
    store.put("model", old.clone());
    store.set_time(at(100));
    store.put("model", content(3, 1).repeat(3));
    let bed = mounted(&store, 50, ListingMode::Eager);
    assert!(fs::read(bed.path("model")).unwrap() == old, "the file differs");
    until("the kernel reads it by itself", || {
        assert!(fs::read(bed.path("model")).unwrap() == old, "the file differs");
        bed.metrics().value(Metric::PassthroughOpens) > 0
    });
}
