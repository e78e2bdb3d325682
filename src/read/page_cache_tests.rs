//! Objects whose bytes the kernel keeps in its page cache, so that they are not kept here as well.

use super::tests::{Bed, MIB, content};
use super::*;
use crate::base::{ByteRange, READAHEAD_BYTES};
use crate::metrics::Metric;
use crate::store::Traffic;
use crate::store::memory::Request;

/// An open file that the kernel keeps, on a bed that has counted no request yet.
fn kept_elsewhere(bed: &Bed, bytes: &bytes::Bytes) -> File {
    let file = bed.reader.open(bed.object("weights.bin", bytes));
    file.is_kept_elsewhere();
    file.needs_no_copy();
    file
}

/// Reads these bytes for pages.
pub(super) async fn page_in(file: &File, bytes: &[u8], range: ByteRange) {
    let read = range.intersect(ByteRange::new(0, bytes.len() as u64));
    let slice = file.read_of(Batch::whole(read, READAHEAD_BYTES), read).await.unwrap();
    assert!(slice[..] == bytes[read.start as usize..read.end as usize], "{read:?}");
}

/// Reads all of an object for pages, in order.
async fn page_in_all(file: &File, bytes: &[u8]) {
    for at in (0..bytes.len() as u64).step_by(MIB as usize) {
        page_in(file, bytes, ByteRange::at(at, MIB)).await;
    }
}

fn fetched(bed: &Bed) -> u64 {
    bed.gets().iter().map(|range| range.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn what_the_page_cache_has_takes_no_memory_here() {
    let bed = Bed::new(Options::default());
    let bytes = content(80 * MIB + 12_345, 1);
    let file = kept_elsewhere(&bed, &bytes);
    page_in_all(&file, &bytes).await;
    assert_eq!((fetched(&bed), file.held_bytes(), bed.held()), (bytes.len() as u64, 0, 0));
    assert_eq!(bed.count(Metric::Verified), 1, "and yet all of it was compared with its checksum");
}

#[tokio::test(start_paused = true)]
async fn what_the_page_cache_loses_is_fetched_once_more_and_kept_from_then_on() {
    let bed = Bed::new(Options::default());
    let bytes = content(40 * MIB, 2);
    let file = kept_elsewhere(&bed, &bytes);
    page_in_all(&file, &bytes).await;
    bed.gets();
    page_in_all(&file, &bytes).await;
    assert_eq!((fetched(&bed), file.held_bytes()), (bytes.len() as u64, bytes.len() as u64));
    page_in_all(&file, &bytes).await;
    assert_eq!(fetched(&bed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_programs_read_past_the_page_cache_or_pin_is_kept() {
    for is_pinned in [false, true] {
        let bed = Bed::new(Options::default());
        let bytes = content(24 * MIB, 3);
        let file = kept_elsewhere(&bed, &bytes);
        if is_pinned {
            file.inode.is_pinned.store(true, std::sync::atomic::Ordering::Relaxed);
            page_in_all(&file, &bytes).await;
        } else {
            super::tests::read_through(&file, &bytes, MIB as usize).await;
        }
        assert_eq!(file.held_bytes(), bytes.len() as u64, "pinned: {is_pinned}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_stays_until_the_page_cache_has_each_byte_of_it() {
    let bed = Bed::new(Options::default());
    let bytes = content(32 * MIB, 4);
    let file = kept_elsewhere(&bed, &bytes);
    // Backwards in odd pieces, which touch the end of a 64th of a part before its beginning.
    let mut end = bytes.len() as u64;
    while end > 0 {
        let start = end.saturating_sub(129 * 4096);
        page_in(&file, &bytes, ByteRange::new(start, end)).await;
        end = start;
    }
    assert_eq!((fetched(&bed), file.held_bytes()), (bytes.len() as u64, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_around_what_the_page_cache_has_leaves_that_out() {
    let bed = Bed::new(Options::default());
    let bytes = content(64 * MIB, 5);
    let file = kept_elsewhere(&bed, &bytes);
    let middle = ByteRange::new(16 * MIB, 40 * MIB);
    for at in (middle.start..middle.end).step_by(MIB as usize) {
        page_in(&file, &bytes, ByteRange::at(at, MIB)).await;
    }
    for at in (0..middle.start).chain(middle.end..bytes.len() as u64).step_by(MIB as usize) {
        page_in(&file, &bytes, ByteRange::at(at, MIB)).await;
    }
    assert_eq!((fetched(&bed), file.held_bytes()), (bytes.len() as u64, 0));
}

#[tokio::test(start_paused = true)]
async fn a_header_is_held_until_it_is_parsed() {
    let padding = " ".repeat(5 * MIB as usize);
    let tensor = |place: u64| {
        let (start, end) = (place * 8 * MIB, (place + 1) * 8 * MIB);
        format!(r#""{place}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#, 8 * MIB)
    };
    let json = format!("{{{}{padding}}}", (0..4).map(tensor).collect::<Vec<_>>().join(","));
    let mut bytes = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
    let data = bytes.len() as u64;
    bytes.resize((data + 32 * MIB) as usize, 7);
    let bed = Bed::new(Options::default());
    let file = bed.reader.open(bed.object("m.safetensors", &bytes.clone().into()));
    file.is_kept_elsewhere();
    file.needs_no_copy();
    // Backwards, so that nothing is fetched ahead.
    for piece in (0..data.div_ceil(MIB)).rev() {
        page_in(&file, &bytes, ByteRange::at(piece * MIB, MIB)).await;
    }
    // How long it is was in the last one.
    let parse = || tokio::time::sleep(std::time::Duration::from_millis(1));
    parse().await;
    page_in(&file, &bytes, ByteRange::at(0, 4096)).await;
    parse().await;
    bed.gets();
    // Who comes to a tensor gets all of it.
    page_in(&file, &bytes, ByteRange::at((data + 16 * MIB) / 4096 * 4096, MIB)).await;
    parse().await;
    let gets = bed.gets();
    let bytes: u64 = gets.iter().map(|range| range.len()).sum();
    assert!((8 * MIB..10 * MIB).contains(&bytes), "{gets:?}");
}

#[tokio::test(start_paused = true)]
async fn a_short_piece_of_much_that_is_asked_for_at_once_may_come_from_caches() {
    const PIECE: u64 = 64 << 10;
    let (bytes, whole) = (content(40 * MIB, 3), ByteRange::at(20 * MIB, MIB));
    let last = ByteRange::new(whole.end - PIECE, whole.end);
    let batch = |so_far, goes_on| Batch { most_bytes: MIB, so_far, goes_on, usual_bytes: Some(MIB) };
    for (batch, expected) in [
        // It has overtaken those before it, it comes behind them, and it is all there is.
        (batch(last, true), Traffic::Bulk),
        (batch(whole, false), Traffic::Bulk),
        (Batch::whole(last, MIB), Traffic::Exact),
    ] {
        let bed = Bed::new(Options::default());
        let file = bed.reader.open(bed.object("a", &bytes));
        bed.gets();
        file.read_of(batch, last).await.unwrap();
        let Request::Get { traffic, .. } = &bed.store.take_requests()[0] else { panic!("no GET was sent") };
        assert_eq!(*traffic, expected, "{batch:?}");
    }
}
