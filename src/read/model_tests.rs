//! Model files: tensors in any order come in few waits, and little is fetched that no program reads.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngCore, SeedableRng};

use super::budget::Priority;
use super::tests::{Bed, MIB};
use super::*;
use crate::base::ByteRange;
use crate::metrics::Metric;
use crate::store::layers::Fault;

/// A file of 60 tensors of 1 to 5 MiB, with their places.
fn model() -> (bytes::Bytes, Vec<ByteRange>) {
    let mut random = StdRng::seed_from_u64(3);
    let sizes: Vec<u64> = (0..60).map(|_| MIB + u64::from(random.next_u32()) % (4 * MIB)).collect();
    let mut at = 0;
    let place = |size| {
        at += size;
        (at - size, at)
    };
    let places: Vec<(u64, u64)> = sizes.into_iter().map(place).collect();
    let tensor = |(i, (start, end)): (usize, &(u64, u64))| {
        format!(r#""layer.{i}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#, end - start)
    };
    let json = format!("{{{}}}", places.iter().enumerate().map(tensor).collect::<Vec<_>>().join(","));
    let data = 8 + json.len() as u64;
    let mut file = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
    let header = file.len();
    file.resize(header + at as usize, 0);
    random.fill_bytes(&mut file[header..]);
    (file.into(), places.into_iter().map(|(start, end)| ByteRange::new(data + start, data + end)).collect())
}

/// Reads these ranges as the kernel does for a mapping; the share of reads that had to wait.
async fn load(file: &File, bytes: &[u8], ranges: &[ByteRange]) -> f64 {
    let (mut reads, waits) = (0, |file: &File| {
        let value = |metric| file.reader.metrics.value(metric);
        value(Metric::Reads) - value(Metric::ReadsBuffered)
    });
    file.read(0, 128 << 10).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let before = waits(file);
    for range in ranges {
        let mut at = range.start / 4096 * 4096;
        while at < range.end {
            let len = MIB.min((range.end - at).next_multiple_of(4096));
            let slice = file.read(at, len as usize).await.unwrap();
            assert!(slice[..] == bytes[at as usize..][..slice.len()]);
            at += slice.len() as u64;
            reads += 1;
        }
    }
    (waits(file) - before) as f64 / f64::from(reads)
}

fn fetched(bed: &Bed) -> u64 {
    bed.gets().iter().map(|range| range.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn tensors_in_any_order_come_in_few_waits() {
    let (bytes, mut tensors) = model();
    tensors.shuffle(&mut StdRng::seed_from_u64(4));
    let bed = Bed::new(Options::default());
    let known = load(&bed.reader.open(bed.object("m.safetensors", &bytes)), &bytes, &tensors).await;
    assert!(fetched(&bed) <= bytes.len() as u64 / 10 * 11);
    let unknown = load(&bed.reader.open(bed.object("m.bin", &bytes)), &bytes, &tensors).await;
    assert!(known < 0.1 && known * 2.0 < unknown, "{known} of the reads waited, {unknown} without the layout");
}

#[tokio::test(start_paused = true)]
async fn what_lies_behind_a_header_waits_for_what_it_says() {
    let (bytes, _) = model();
    for (key, waits) in [("m.safetensors", true), ("m.bin", false)] {
        let bed = Bed::new(Options::default());
        let file = bed.reader.open(bed.object(key, &bytes));
        // The kernel asks for what is behind the first megabytes before the first one has come.
        let reads = (0..3).map(|mib| file.read(mib * MIB, MIB as usize));
        futures::future::try_join_all(reads).await.unwrap();
        let end = bed.gets().iter().map(|get| get.end).max().unwrap();
        assert_eq!(end <= 4 * MIB, waits, "{key}: up to {end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_is_understood_as_soon_as_it_is_there() {
    let (bytes, tensors) = model();
    let bed = Bed::new(Options::default());
    // Of the first 512 KiB half arrives, and later the rest.
    bed.script([Some(Fault::Slow(Duration::from_millis(200)))]);
    let file = bed.reader.open(bed.object("m.safetensors", &bytes));
    load(&file, &bytes, &[]).await;
    let tensor = tensors[30];
    file.read(tensor.start, 64 << 10).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let fetched = bed.gets();
    assert!(fetched.iter().any(|get| get.end >= tensor.end), "{tensor:?} is not fetched whole: {fetched:?}");
}

#[tokio::test(start_paused = true)]
async fn a_few_tensors_cost_a_few_tensors() {
    let (bytes, tensors) = model();
    let bed = Bed::new(Options::default());
    let file = bed.reader.open(bed.object("m.safetensors", &bytes));
    load(&file, &bytes, &tensors[30..31]).await;
    let one = fetched(&bed);
    assert!(one <= tensors[30].len() + 4 * MIB, "{one} bytes for a tensor of {}", tensors[30].len());
}

#[tokio::test(start_paused = true)]
async fn tensors_that_were_read_and_evicted_are_not_fetched_again() {
    let (bytes, tensors) = model();
    for begin in [0, 20] {
        let bed = Bed::new(Options::default());
        let file = bed.reader.open(bed.object("m.safetensors", &bytes));
        load(&file, &bytes, &tensors[begin..begin + 8]).await;
        // Others take the memory.
        bed.reader.make_room(u64::MAX / 2, Priority::Demand);
        load(&file, &bytes, &tensors[begin + 8..begin + 16]).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let mut fetched = bed.gets();
        fetched.sort_by_key(|get| get.start);
        let header = 2 * MIB;
        let twice = fetched.windows(2).filter(|pair| pair[1].start > header && pair[1].start < pair[0].end);
        assert_eq!(twice.count(), 0, "{fetched:?}");
        let before = fetched.iter().filter(|get| get.start > header && get.end + 2 * MIB < tensors[begin].start);
        assert_eq!(before.count(), 0, "from tensor {begin} on: {fetched:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn slices_of_tensors_are_not_taken_for_tensors_for_long() {
    let (bytes, tensors) = model();
    let bed = Bed::new(Options { memory_limit: 64 * MIB, ..Options::default() });
    let file = bed.reader.open(bed.object("m.safetensors", &bytes));
    let slices: Vec<ByteRange> = tensors.iter().map(|tensor| ByteRange::at(tensor.start, 64 << 10)).collect();
    load(&file, &bytes, &slices).await;
    let fetched = fetched(&bed);
    assert!(fetched < bytes.len() as u64 / 2, "{fetched} bytes fetched");
}

#[tokio::test(start_paused = true)]
async fn the_directory_of_an_archive_is_understood_where_its_end_was_read_before() {
    let (_, members) = model();
    let mut file = vec![1; members.last().unwrap().end as usize];
    // Its directory takes some pages, and programs read its last page first.
    let directory = file.len() as u64;
    for member in &members {
        file.extend([&b"PK\x01\x02"[..], &[0; 24], &300u16.to_le_bytes(), &[0; 12]].concat());
        file.extend([&(member.start as u32).to_le_bytes()[..], &[b'a'; 300]].concat());
    }
    file.extend([&b"PK\x05\x06\0\0\0\0"[..], &[members.len() as u8, 0], &[members.len() as u8, 0], &[0; 4]].concat());
    file.extend([&(directory as u32).to_le_bytes()[..], &[0; 2]].concat());
    let (size, bytes) = (file.len() as u64, bytes::Bytes::from(file));
    let bed = Bed::new(Options::default());
    let file = bed.reader.open(bed.object("a.pt", &bytes));
    let last_page = (size - 1) / 4096 * 4096;
    file.read(last_page, 4096).await.unwrap();
    file.read(directory, (last_page - directory) as usize).await.unwrap();
    // The header of a member is looked at, and then one is read.
    let member = members[30];
    file.read(member.start, 4096).await.unwrap();
    bed.gets();
    file.read(member.start + MIB, 4096).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let fetched = bed.gets();
    assert!(fetched.iter().any(|get| get.end >= member.end), "{member:?} is not fetched whole: {fetched:?}");
}
