//! What programs read: recorded from real ones by `tests/suites/programs`, which says what each does, and composed
//! where none stands for the kind, or where what comes to the daemon depends on what others do at the same time.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::trace::{Act, KIB, MIB, PAGE, Trace, TraceFile, Way, files, in_order, recorded};
use crate::base::ByteRange;
use crate::read::layout::{Format, Layout};

fn dice() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn one(name: &str, size: u64) -> Trace {
    Trace::new(files(1, name, size))
}

/// Programs that were recorded, each with the size and the number of the tensors in its models.
macro_rules! recorded {
    ($($name:ident $file:literal $(of $count:literal tensors of $mib:literal MiB)?,)*) => {$(
        pub(super) fn $name() -> Trace {
            #[allow(unused_mut)]
            let mut trace = recorded(include_str!(concat!("traces/", $file, ".trace")));
            $(for file in &mut trace.files {
                let (model, _) = model(&file.key, $count, $mib * MIB);
                assert_eq!(file.size, model.size);
                file.head = model.head;
            })?
            trace
        }
    )*};
}

recorded! {
    sqlite "sqlite",
    lmdb "lmdb",
    rows_by_pread "rows-by-pread",
    rows_by_mapping "rows-by-mapping",
    faiss "faiss",
    headers_by_python "headers-by-python",
    model_headers "model-headers" of 16 tensors of 4 MiB,
    dd_of_1_mib "dd-of-1-mib",
    cat "cat",
    mosaicml "mosaicml",
    zip_members "zip-members",
    tar_names "tar-names",
    webdataset "webdataset",
    small_parquets "small-parquets",
    duckdb "duckdb",
    hdf5_by_page_cache "hdf5",
    geotiff "geotiff",
    ffmpeg "ffmpeg",
    zarr "zarr",
    git "git",
    torch_load_partial "torch-load-partial",
    model_whole "model-whole" of 48 tensors of 8 MiB,
    model_shuffled "model-shuffled" of 48 tensors of 8 MiB,
    model_every_8th "model-every-8th" of 96 tensors of 4 MiB,
    model_every_4th "model-every-4th" of 96 tensors of 4 MiB,
    model_first_half "model-first-half" of 48 tensors of 8 MiB,
    model_4_of_48 "model-4-of-48" of 48 tensors of 8 MiB,
    model_adapters "model-adapters" of 96 tensors of 4 MiB,
    model_small_whole "model-small-whole" of 200 tensors of 1 MiB,
    model_small_every_8th "model-small-every-8th" of 200 tensors of 1 MiB,
    model_first_half_by_numpy "model-first-half-by-numpy" of 48 tensors of 8 MiB,
    model_4_of_48_by_numpy "model-4-of-48-by-numpy" of 48 tensors of 8 MiB,
    model_small_every_8th_by_numpy "model-small-every-8th-by-numpy" of 200 tensors of 1 MiB,
    gguf "gguf",
}

pub(super) fn hdf5() -> Trace {
    Trace { way: Way::ChunksByPageCache, ..hdf5_by_page_cache() }
}

/// What a program works on each MiB, at a gigabyte in a second.
const AT_1_GB_A_SECOND: Duration = Duration::from_millis(1);

pub(super) fn first_half_at_500_mb_a_second() -> Trace {
    model_first_half_by_numpy().working(2 * AT_1_GB_A_SECOND)
}

pub(super) fn first_half_at_1_gb_a_second() -> Trace {
    model_first_half_by_numpy().working(AT_1_GB_A_SECOND)
}

pub(super) fn first_half_at_4_gb_a_second() -> Trace {
    model_first_half_by_numpy().working(AT_1_GB_A_SECOND / 4)
}

pub(super) fn whole_at_4_gb_a_second() -> Trace {
    model_whole().working(AT_1_GB_A_SECOND / 4)
}

pub(super) fn whole_at_1_gb_a_second() -> Trace {
    model_whole().working(AT_1_GB_A_SECOND)
}

pub(super) fn copy_at_2_gb_a_second() -> Trace {
    copy_of_a_model().working(AT_1_GB_A_SECOND / 2)
}

/// A key-value store in a file that dwarfs the memory: 48 look-ups by `pread`.
pub(super) fn look_ups_in_a_huge_file() -> Trace {
    let (size, mut dice) = (64 << 30, dice());
    let mut trace = one("huge.db", size);
    trace.session(0, (0..48).map(|_| ByteRange::at(dice.random_range(0..size / PAGE) * PAGE, PAGE)));
    trace
}

/// 16 rows of a mapped matrix, then 64 MiB of it in order.
pub(super) fn rows_then_all() -> Trace {
    let mut trace = rows_by_mapping();
    trace.threads[0].truncate(1 + 16);
    trace.act(Act::Touch(0, ByteRange::at(96 * MIB, 64 * MIB)));
    trace
}

/// A mapped file in ranges of 1 to 32 MiB in no order, which nothing tells where they are.
pub(super) fn shuffled_ranges() -> Trace {
    let (size, mut dice) = (256 * MIB, dice());
    let mut trace = one("weights.bin", size);
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < size {
        let end = (at + dice.random_range(1..=32) * MIB).min(size);
        ranges.push(ByteRange::new(at, end));
        at = end;
    }
    ranges.shuffle(&mut dice);
    trace.act(Act::Open(0));
    ranges.into_iter().for_each(|range| trace.act(Act::Touch(0, range)));
    trace.act(Act::Close(0));
    trace
}

/// Rows of 16 KiB anywhere in a mapped file: some are so close to others that one might have read on to them.
pub(super) fn rows_close_by_mapping() -> Trace {
    let (size, mut dice) = (128 * MIB, dice());
    let mut trace = one("rows.bin", size);
    trace.act(Act::Open(0));
    for _ in 0..64 {
        let row = ByteRange::at(dice.random_range(0..size / PAGE - 4) * PAGE, 4 * PAGE);
        trace.act(Act::Touch(0, row));
    }
    trace.act(Act::Close(0));
    trace
}

/// Four threads on one descriptor, each in a quarter of a file of 1 GiB: 64 MiB of it, then they are done.
pub(super) fn quarters() -> Trace {
    let thread = |quarter: u64| {
        let reads = in_order(ByteRange::at(quarter * 256 * MIB, 64 * MIB), MIB).map(|read| Act::Read(0, read));
        [Act::Open(0)].into_iter().chain(reads).chain([Act::Close(0)]).collect()
    };
    Trace { files: files(1, "big.bin", 1 << 30), threads: (0..4).map(thread).collect(), ..Trace::default() }
}

/// The first bytes of 16 files in a program that reads past the page cache.
pub(super) fn headers_past_the_cache() -> Trace {
    let mut trace = Trace { way: Way::Direct, ..Trace::new(files(16, "data-#.bin", 64 * MIB)) };
    (0..16).for_each(|file| trace.session(file, [ByteRange::new(0, 128 * KIB)]));
    trace
}

/// `dd bs=512 count=1 iflag=direct`, five times.
pub(super) fn one_sector_five_times() -> Trace {
    let mut trace = Trace { way: Way::Direct, ..one("disk.img", 64 * MIB) };
    (0..5).for_each(|_| trace.session(0, [ByteRange::new(0, 512)]));
    trace
}

/// A program that reads 1 GiB past the page cache and takes a millisecond for each MiB.
pub(super) fn stream_of_1_gb_a_second() -> Trace {
    let mut trace = Trace { way: Way::Direct, ..one("large.bin", 1 << 30) };
    trace.act(Act::Open(0));
    for read in in_order(ByteRange::new(0, 1 << 30), MIB) {
        trace.act(Act::Read(0, read));
        trace.act(Act::Work(Duration::from_millis(1)));
    }
    trace.act(Act::Close(0));
    trace
}

/// 1 GiB by `dd bs=1M iflag=direct`.
pub(super) fn stream_of_1_gib() -> Trace {
    let mut trace = Trace { way: Way::Direct, ..one("large.bin", 1 << 30) };
    trace.session(0, in_order(ByteRange::new(0, 1 << 30), MIB));
    trace
}

/// 64 MiB in samples of 100 KB by one descriptor.
pub(super) fn samples_by_one_descriptor() -> Trace {
    let mut trace = one("samples.bin", 64 * MIB);
    trace.session(0, in_order(ByteRange::new(0, 64 * MIB), 100_000));
    trace
}

/// `mosaicml-streaming`: the same, and each sample opens the file and closes it.
pub(super) fn samples_by_opens() -> Trace {
    let mut trace = one("samples.bin", 64 * MIB);
    in_order(ByteRange::new(0, 64 * MIB), 100_000).for_each(|sample| trace.session(0, [sample]));
    trace
}

/// A model of `count` tensors, with their places.
fn model(key: &str, count: u64, tensor_bytes: u64) -> (TraceFile, Vec<ByteRange>) {
    let tensor = |index: u64| {
        let (start, end) = (index * tensor_bytes, (index + 1) * tensor_bytes);
        format!(r#""layers.{index}.w":{{"dtype":"U8","shape":[{tensor_bytes}],"data_offsets":[{start},{end}]}}"#)
    };
    let mut json = format!("{{{}}}", (0..count).map(tensor).collect::<Vec<_>>().join(","));
    let padding = json.len().next_multiple_of(8) - json.len();
    json.extend(std::iter::repeat_n(' ', padding));
    let head: Bytes = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat().into();
    let data = head.len() as u64;
    let places = (0..count).map(|index| ByteRange::at(data + index * tensor_bytes, tensor_bytes)).collect();
    (TraceFile { key: key.to_owned(), size: data + count * tensor_bytes, head, tail: Bytes::new() }, places)
}

/// The second half of a model, each tensor from its beginning to its end.
pub(super) fn model_second_half() -> Trace {
    let (file, tensors) = model("model.safetensors", 48, 8 * MIB);
    let mut trace = Trace::new(vec![file]);
    trace.act(Act::Open(0));
    trace.act(Act::Read(0, ByteRange::new(0, MIB)));
    tensors[24..].iter().for_each(|tensor| trace.act(Act::Touch(0, *tensor)));
    trace.act(Act::Close(0));
    trace
}

/// `torch.load(mmap=True)` of the checkpoint that others load in part, and all of it in this order: the header of each
/// member is read first.
fn checkpoint(order: impl FnOnce(&mut Vec<ByteRange>)) -> Trace {
    let mut trace = torch_load_partial();
    let (file, acts) = (&trace.files[0], &mut trace.threads[0]);
    let Layout::Members(mut members) = Format::Zip.layout(&file.tail, file.size) else { panic!("no archive") };
    members.retain(|member| member.len() >= 8 * MIB);
    let last = members.last().unwrap().start;
    let looks =
        acts.iter().position(|act| act.read().is_some_and(|(_, read)| read.contains(ByteRange::at(last, PAGE))));
    acts.truncate(looks.unwrap() + 1);
    order(&mut members);
    members.into_iter().for_each(|member| trace.act(Act::Touch(0, member)));
    trace
}

pub(super) fn torch_load_whole() -> Trace {
    checkpoint(|_| {})
}

pub(super) fn torch_load_shuffled() -> Trace {
    checkpoint(|members| members.shuffle(&mut dice()))
}

/// Eight ranks of tensor parallelism: each takes its rows of each tensor.
pub(super) fn ranks_by_rows() -> Trace {
    let (file, tensors) = model("model.safetensors", 24, 8 * MIB);
    let rank = |rank: u64| {
        let rows = tensors.iter().map(move |tensor| ByteRange::at(tensor.start + rank * MIB, MIB));
        let header = [ByteRange::new(0, MIB)];
        let acts = [Act::Open(0)].into_iter().chain(header.into_iter().chain(rows).map(|read| Act::Read(0, read)));
        acts.collect::<Vec<_>>()
    };
    Trace { files: vec![file], threads: (0..8).map(rank).collect(), ..Trace::default() }
}

/// The threads that fill the page cache before a model is mapped (`prefetch` of vLLM), where their reads go past it and
/// the memory holds two of six shards.
pub(super) fn shards_at_once() -> Trace {
    let shard = |number: u64| model(&format!("model-{number:05}-of-00006.safetensors"), 16, 8 * MIB).0;
    let files: Vec<TraceFile> = (1..=6).map(shard).collect();
    let thread = |file: usize| {
        let reads = in_order(ByteRange::new(0, files[file].size), MIB).map(|read| Act::Read(file, read));
        [Act::Open(file)].into_iter().chain(reads).chain([Act::Close(file)]).collect()
    };
    let threads = (0..6).map(thread).collect();
    Trace { files, threads, way: Way::Direct, memory_limit: Some(256 * MIB) }
}

/// `cp`, of a model.
pub(super) fn copy_of_a_model() -> Trace {
    let (file, _) = model("model.safetensors", 48, 8 * MIB);
    let size = file.size;
    let mut trace = Trace::new(vec![file]);
    trace.session(0, in_order(ByteRange::new(0, size), MIB));
    trace
}
