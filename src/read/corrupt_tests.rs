//! Bytes that come wrong: where they are found out, and that nothing of them stays.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::tests::{Bed, MIB, content, read_through};
use super::*;
use crate::base::Ino;
use crate::metrics::Metric;
use crate::store::ErrorKind;

/// Notes what is said of wrong bytes, and what reads of the object do meanwhile.
#[derive(Default)]
struct Heard(Mutex<Vec<(&'static str, Ino)>>);

impl WrongBytes for Heard {
    fn distrust(&self, ino: Ino) {
        self.0.lock().push(("distrust", ino));
    }

    fn discard(&self, ino: Ino) {
        self.0.lock().push(("discard", ino));
    }
}

/// Reads until an error comes; what it is, and how many bytes came before it.
async fn read_until_it_fails(file: &File, step: usize) -> (u64, ErrorKind) {
    let mut at = 0;
    loop {
        match file.read(at, step).await {
            Ok(slice) => {
                assert!(!slice.is_empty(), "all of it was handed out");
                at += slice.len() as u64;
            }
            Err(error) => return (at, error.kind()),
        }
    }
}

/// Checks that a file reads right, and that its reader is told that all of it was compared.
async fn reads_right(bed: &Bed, object: &Object, bytes: &Bytes, step: usize) {
    let file = bed.reader.open(object.clone());
    read_through(&file, bytes, step).await;
    assert_eq!((file.verified(), bed.reader.verified(object.ino)), (Verified::Yes, Verified::Yes), "step {step}");
}

#[tokio::test(start_paused = true)]
async fn a_byte_that_came_wrong_is_named_and_does_not_stay() {
    for (step, prefetch, memory_cache) in [
        (4096, Prefetch::Auto, MemoryCache::Auto),
        (4096, Prefetch::Off, MemoryCache::Auto),
        (4096, Prefetch::Off, MemoryCache::Off),
        (128 << 10, Prefetch::Off, MemoryCache::Auto),
        (1 << 20, Prefetch::Auto, MemoryCache::Off),
    ] {
        let about = format!("{step} {prefetch:?} {memory_cache:?}");
        let bed = Bed::new(Options { prefetch, memory_cache, ..Options::default() });
        let heard = Arc::new(Heard::default());
        bed.reader.tell_of_wrong_bytes(heard.clone());
        let bytes = content(20 * MIB + 77, 1);
        let object = bed.object("a", &bytes);
        bed.faults.flip_once(7 * MIB);
        let (first, other) = (bed.reader.open(object.clone()), bed.reader.open(object.clone()));
        let (at, error) = read_until_it_fails(&first, step).await;
        assert_eq!(error, ErrorKind::Corrupt, "{about}: at {at}");
        assert_eq!(*heard.0.lock(), [("distrust", object.ino), ("discard", object.ino)], "{about}");
        assert_eq!(other.read(7 * MIB, 10).await.unwrap_err().kind(), ErrorKind::Corrupt, "{about}: open before");
        assert_eq!((bed.held(), bed.count(Metric::VerifyFailures)), (0, 1), "{about}: nothing is kept");
        reads_right(&bed, &object, &bytes, step).await;
        assert_eq!(
            first.read(0, 10).await.unwrap_err().kind(),
            ErrorKind::Corrupt,
            "{about}: for as long as it is open"
        );
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(bed.count(Metric::WrongRanges), 1, "{about}: it was looked for");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_at_the_end_of_one_opening_is_compared_when_it_comes_with_another() {
    for memory_cache in [MemoryCache::Auto, MemoryCache::Off] {
        let bed = Bed::new(Options { memory_cache, prefetch: Prefetch::Off, ..Options::default() });
        let bytes = content(3 * MIB, 2);
        for (key, wrong) in [("right", None), ("wrong", Some(MIB))] {
            let object = bed.object(key, &bytes);
            wrong.into_iter().for_each(|at| bed.faults.flip_once(at));
            let read = async |from: u64, to: u64| {
                let file = bed.reader.open(object.clone());
                let (mut at, mut result) = (from, Ok(()));
                while at < to && result.is_ok() {
                    let step = (4096 + at % 7 * 1000).min(to - at);
                    result = file.read(at, step as usize).await.map(|_| ());
                    at += step;
                }
                result
            };
            // As the kernel asks: each byte once, however often the file is opened.
            read(2 * MIB, 5 * MIB / 2).await.unwrap();
            read(0, 2 * MIB).await.unwrap();
            bed.reader.let_go(object.ino);
            assert_eq!(bed.reader.verified(object.ino), Verified::Partial, "{key}");
            let last = read(5 * MIB / 2, 3 * MIB).await;
            match wrong {
                None => assert!(last.is_ok() && bed.reader.verified(object.ino) == Verified::Yes),
                Some(_) => {
                    assert_eq!(last.unwrap_err().kind(), ErrorKind::Corrupt);
                    assert_eq!(bed.reader.verified(object.ino), Verified::No);
                    read(0, 3 * MIB).await.unwrap();
                    assert_eq!(bed.reader.verified(object.ino), Verified::Yes);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_comes_again_is_compared_with_what_it_was() {
    // Reads of the same borders, of others, and of others once all else is held.
    for (again, len) in [(8 * MIB, MIB), (8 * MIB + 5, 3 * MIB), (8 * MIB - 5, 100)] {
        let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
        let bytes = content(20 * MIB, 3);
        let object = bed.object("a", &bytes);
        let file = bed.reader.open(object.clone());
        read_through(&file, &bytes, 1 << 20).await;
        assert_eq!(file.verified(), Verified::Yes);
        bed.reader.let_go(object.ino);
        bed.faults.flip_once(again + len - 1);
        let first = file.read(again, len as usize).await;
        // Where the borders meet no others it is found out at the end of the pass.
        let found = match first {
            Err(error) => error,
            Ok(_) => {
                let mut at = 0;
                loop {
                    match file.read(at, 1 << 20).await {
                        Ok(slice) if slice.is_empty() => panic!("{again}: all of it was handed out"),
                        Ok(slice) => at += slice.len() as u64,
                        Err(error) => break error,
                    }
                }
            }
        };
        assert_eq!(found.kind(), ErrorKind::Corrupt);
        assert!(file.whole().is_none());
        reads_right(&bed, &object, &bytes, 1 << 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_kernel_is_given_no_file_of_which_a_part_came_wrong_after_the_whole_was_checked() {
    for offset in [9 * MIB, 9 * MIB + 4096] {
        let bed = Bed::new(Options { prefetch: Prefetch::Off, ..Options::default() });
        let bytes = content(20 * MIB, 4);
        let object = bed.object("a", &bytes);
        let file = bed.reader.open(object.clone());
        read_through(&file, &bytes, 1 << 20).await;
        // One part is given up, and comes again in two pieces that nothing was compared with.
        let part = file.inode.complete_parts().into_iter().find(|part| part.range.start == 9 * MIB).unwrap();
        file.inode.remove(part.range.start, part.id);
        drop(part);
        bed.faults.flip_once(offset);
        let half = MIB as usize / 2;
        let pieces = [file.read(9 * MIB, half).await, file.read(9 * MIB + half as u64, half).await];
        let failed = pieces.iter().any(Result::is_err);
        assert!(failed && file.whole().is_none(), "all of it is there, and some of it is wrong");
        drop(pieces);
        reads_right(&bed, &object, &bytes, 1 << 20).await;
        assert!(bed.reader.open(object).whole().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_stored_wrongly_fails_each_time_and_is_looked_through_once() {
    let bed = Bed::new(Options::default());
    let bytes = content(20 * MIB, 5);
    let object = bed.object("a", &bytes);
    bed.store.amend("a", |meta| meta.crc64 = Some(1));
    for _ in 0..3 {
        let file = bed.reader.open(object.clone());
        assert_eq!(read_until_it_fails(&file, 1 << 20).await.1, ErrorKind::Corrupt);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let fetched: u64 = bed.gets().iter().map(|get| get.len()).sum();
    assert_eq!((fetched, bed.count(Metric::WrongRanges)), (4 * bytes.len() as u64, 0));
    assert_eq!(bed.count(Metric::VerifyFailures), 3);
}

#[tokio::test(start_paused = true)]
async fn reads_that_were_given_parts_before_do_not_hand_them_out_after() {
    let bed = Bed::new(Options::default());
    let bytes = content(MIB, 6);
    let file = bed.reader.open(bed.object("a", &bytes));
    let generation = file.inode.generation();
    assert!(!file.inode.condemn().is_broken, "nothing was handed out");
    assert!(!file.inode.hand_out(generation), "what came before must not be");
    assert!(file.inode.hand_out(file.inode.generation()));
    assert!(file.inode.condemn().is_broken);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_kept_is_let_go_of_when_it_is_wrong() {
    let bed = Bed::new(Options::default());
    let bytes = content(20 * MIB, 7);
    let object = bed.object("a", &bytes);
    let pin = bed.reader.open(object.clone()).pin().await.unwrap().unwrap();
    let file = bed.reader.open(object.clone());
    read_through(&file, &bytes, 1 << 20).await;
    assert!(bed.held() >= 20 * MIB);
    bed.reader.found_corrupt(&file.inode, Default::default());
    assert_eq!((bed.held(), file.read(0, 1).await.unwrap_err().kind()), (0, ErrorKind::Corrupt));
    assert_eq!(pin.object(), &object);
    drop(pin);
    assert_eq!(bed.reader.pinned_bytes(), 0);
    reads_right(&bed, &object, &bytes, 1 << 20).await;
}
