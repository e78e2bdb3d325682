//! What programs read. The trace of sqlite is recorded; the others are composed as the programs read, by their formats
//! and by what the kernel makes of it (seen in the daemon's log for each kind of access).

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::trace::{Act, KIB, MIB, Mapping, PAGE, Trace, TraceFile, buffered, files, in_order};
use crate::base::ByteRange;

fn dice() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn one(name: &str, size: u64) -> Trace {
    Trace::new(files(1, name, size))
}

/// `sqlite3`, 100 look-ups by key: recorded.
pub(super) fn sqlite() -> Trace {
    let numbers = |line: &str| line.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<u64>>();
    let lines = include_str!("sqlite.trace").lines().filter(|line| !line.starts_with('#')).map(numbers);
    let mut trace = one("db.sqlite", 38_912_000);
    trace.session(0, lines.map(|line| ByteRange::at(line[0], line[1])));
    trace
}

/// `lmdb` without its readahead, 200 look-ups in three tables of a mapping of 136 MB: meta page, branches near the end,
/// a leaf of each.
pub(super) fn lmdb() -> Trace {
    let (size, mut dice) = (136_000_000 / PAGE * PAGE, dice());
    let (mut trace, mut mapping) = (one("data.mdb", size), Mapping::read_at_random(size));
    trace.act(Act::Open(0));
    for _ in 0..200 {
        for _ in 0..3 {
            let leaf = dice.random_range(2..size / PAGE);
            for page in [0, size / PAGE - 3, size / PAGE - 9 - leaf / 4096, leaf] {
                let reads = mapping.touch(ByteRange::at(page * PAGE, PAGE));
                trace.reads(0, reads);
            }
        }
    }
    trace
}

/// A key-value store in a file that dwarfs the memory: 48 look-ups by `pread`.
pub(super) fn look_ups_in_a_huge_file() -> Trace {
    let (size, mut dice) = (64 << 30, dice());
    let mut trace = one("huge.db", size);
    trace.session(0, (0..48).map(|_| ByteRange::at(dice.random_range(0..size / PAGE) * PAGE, PAGE)));
    trace
}

/// Rows of 16 KiB by `pread`, of a matrix of 256 MB, and no end of it.
pub(super) fn rows_by_pread() -> Trace {
    let (size, mut dice) = (256 * MIB, dice());
    let mut trace = one("vectors.npy", size);
    trace.session(0, (0..64).map(|_| ByteRange::at(dice.random_range(0..size / (16 * KIB)) * 16 * KIB, 16 * KIB)));
    trace
}

/// `faiss` with a mapped index: the same rows by page faults.
pub(super) fn rows_by_mapping() -> Trace {
    let (size, mut dice) = (256 * MIB, dice());
    let (mut trace, mut mapping) = (one("index.faiss", size), Mapping::new(size));
    trace.act(Act::Open(0));
    for _ in 0..64 {
        let row = ByteRange::at(dice.random_range(0..size / (16 * KIB)) * 16 * KIB, 16 * KIB);
        trace.reads(0, mapping.touch(row));
    }
    trace
}

/// `open(name, "rb").read(8)` of 16 files in Python, whose buffer is 128 KiB, which the kernel doubles.
pub(super) fn headers_by_python() -> Trace {
    let mut trace = Trace::new(files(16, "data-#.bin", 64 * MIB));
    (0..16).for_each(|file| trace.session(file, [ByteRange::new(0, 256 * KIB)]));
    trace
}

/// The same in a program that reads past the page cache.
pub(super) fn headers_past_the_cache() -> Trace {
    let mut trace = Trace::new(files(16, "data-#.bin", 64 * MIB));
    (0..16).for_each(|file| trace.session(file, [ByteRange::new(0, 128 * KIB)]));
    trace
}

/// The headers of 16 models through a mapping: names and shapes alone.
pub(super) fn headers_of_models() -> Trace {
    let models = (0..16).map(|index| model(&format!("model-{index}.safetensors"), 16, 4 * MIB).0);
    let mut trace = Trace::new(models.collect());
    (0..16).for_each(|file| trace.session(file, [ByteRange::new(0, MIB)]));
    trace
}

/// `dd bs=512 count=1 iflag=direct`, five times.
pub(super) fn one_sector_five_times() -> Trace {
    let mut trace = one("disk.img", 64 * MIB);
    (0..5).for_each(|_| trace.session(0, [ByteRange::new(0, 512)]));
    trace
}

/// `dd bs=1M`: a file of 256 MiB in order.
pub(super) fn stream_of_large_reads() -> Trace {
    let mut trace = one("shard.bin", 256 * MIB);
    trace.session(0, in_order(ByteRange::new(0, 256 * MIB), MIB));
    trace
}

/// `cat`, or Python's `shutil`: the same in reads of 128 KiB, through the page cache.
pub(super) fn stream_of_small_reads() -> Trace {
    let mut trace = one("shard.bin", 256 * MIB);
    trace.session(0, buffered(256 * MIB));
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

/// `zipfile` in a worker that opens the archive for each member: the end, the directory, a member somewhere.
pub(super) fn members_of_a_zip_by_opens() -> Trace {
    let (size, mut dice) = (64 * MIB, dice());
    let mut trace = one("samples.zip", size);
    for _ in 0..32 {
        let member = dice.random_range(0..600) * 100 * KIB;
        let ends = [ByteRange::new(size - PAGE, size), ByteRange::new(size - 64 * KIB, size)];
        trace.session(0, ends.into_iter().chain([ByteRange::at(member, 128 * KIB)]));
    }
    trace
}

/// `tar -t`: a header of each member of 1 MiB, and a seek over the rest.
pub(super) fn names_of_a_tar() -> Trace {
    let mut trace = one("backup.tar", 128 * MIB);
    trace.session(0, (0..127).map(|member| ByteRange::at(member * (MIB + PAGE), 12 * KIB)));
    trace
}

/// `webdataset`, twice: eight tars one after the other, through large buffers.
pub(super) fn webdataset_twice() -> Trace {
    let mut trace = Trace::new(files(8, "train-#.tar", 24 * MIB));
    (0..8).for_each(|file| trace.session(file, in_order(ByteRange::new(0, 24 * MIB), MIB)));
    trace.twice()
}

/// `pyarrow`: the footer and one column of 200 files of 1 MB.
pub(super) fn columns_of_small_parquets() -> Trace {
    let mut trace = Trace::new(files(200, "part-#.parquet", 1_000_000));
    let reads = [ByteRange::new(934_464, 1_000_000), ByteRange::at(409_600, 122_880)];
    (0..200).for_each(|file| trace.session(file, reads));
    trace
}

/// `duckdb`, twice: the footer, then two of ten columns of each of eight row groups.
pub(super) fn duckdb_twice() -> Trace {
    let size = 64 * MIB;
    let footer = [ByteRange::new(size - PAGE, size), ByteRange::new(size - 64 * KIB, size)];
    let columns =
        (0..8).flat_map(|group| [1, 6].map(|column| ByteRange::at((group * 10 + column) * 800 * KIB, 800 * KIB)));
    let mut trace = one("table.parquet", size);
    trace.session(0, footer.into_iter().chain(columns));
    trace.twice()
}

/// `h5py`: superblock, heap and B-tree in small reads, then a chunk of 1 MiB.
pub(super) fn chunk_of_hdf5() -> Trace {
    let small = [(0, 16 * KIB), (16 * KIB, 8 * KIB), (900 * MIB, PAGE), (900 * MIB + 64 * KIB, PAGE)];
    let small = small.into_iter().map(|(at, len)| ByteRange::at(at, len));
    let mut trace = one("climate.h5", 1 << 30);
    trace.session(0, small.chain([ByteRange::at(500 * MIB, MIB)]));
    trace
}

/// `rasterio`: the header, the tables of tiles, and a window of 8 rows of 4 tiles each.
pub(super) fn window_of_a_geotiff() -> Trace {
    let tables =
        [ByteRange::new(0, 16 * KIB), ByteRange::at(2 * MIB, 64 * KIB), ByteRange::at(2 * MIB + 512 * KIB, 64 * KIB)];
    let rows =
        (0..8).flat_map(|row| (0..4).map(move |tile| ByteRange::at((100 + 4 * row) * MIB + tile * 64 * KIB, 64 * KIB)));
    let mut trace = one("scene.tif", 256 * MIB);
    trace.session(0, tables.into_iter().chain(rows));
    trace
}

/// `ffmpeg`: the first boxes, the index at the end, then the film from its beginning.
pub(super) fn film_with_its_index_at_the_end() -> Trace {
    let size = 96 * MIB;
    let boxes = [ByteRange::new(0, 32 * KIB), ByteRange::new(size - 512 * KIB, size)];
    let mut trace = one("film.mp4", size);
    trace.session(0, boxes.into_iter().chain(in_order(ByteRange::new(32 * KIB, size - 512 * KIB), 256 * KIB)));
    trace
}

/// `zarr`: 64 chunks of 512 KiB, a file each.
pub(super) fn chunks_of_zarr() -> Trace {
    let mut trace = Trace::new(files(64, "0.#", 512 * KIB));
    (0..64).for_each(|file| trace.session(file, [ByteRange::new(0, 512 * KIB)]));
    trace
}

/// `torch.load` with `mmap=True`, twice: the directory at the end, the pickle, and four storages of 48.
pub(super) fn partial_torch_load_twice() -> Trace {
    let size = 384 * MIB;
    let head = [ByteRange::new(size - 64 * KIB, size), ByteRange::new(0, 256 * KIB)];
    let storages = [5u64, 17, 18, 40].map(|storage| ByteRange::at(storage * 8 * MIB, 8 * MIB));
    let mut trace = one("checkpoint.pt", size);
    trace.session(0, head.into_iter().chain(storages.into_iter().flat_map(|storage| in_order(storage, MIB))));
    trace.twice()
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
    (TraceFile { key: key.to_owned(), size: data + count * tensor_bytes, head }, places)
}

/// A program that loads these tensors of a model, all by one mapping.
fn load(count: u64, tensor_bytes: u64, wanted: impl Fn(&mut Vec<ByteRange>)) -> Trace {
    let (file, mut tensors) = model("model.safetensors", count, tensor_bytes);
    wanted(&mut tensors);
    let mut mapping = Mapping::new(file.size);
    let mut trace = Trace::new(vec![file]);
    let header = mapping.touch(ByteRange::new(0, 8));
    trace.act(Act::Open(0));
    trace.reads(0, header);
    for tensor in tensors {
        let faults = in_order(tensor, 64 * KIB).flat_map(|bytes| mapping.touch(bytes)).collect::<Vec<_>>();
        trace.reads(0, faults);
    }
    trace
}

fn every(nth: usize) -> impl Fn(&mut Vec<ByteRange>) {
    move |tensors| *tensors = tensors.iter().step_by(nth).copied().collect()
}

/// `safetensors`, all of a model in the order of its bytes.
pub(super) fn whole_model() -> Trace {
    load(48, 8 * MIB, |_| {})
}

/// The same in another order, as names are.
pub(super) fn whole_model_in_another_order() -> Trace {
    load(48, 8 * MIB, |tensors| tensors.shuffle(&mut dice()))
}

/// An expert-parallel rank: every eighth tensor.
pub(super) fn every_eighth_tensor() -> Trace {
    load(96, 4 * MIB, every(8))
}

/// Every fourth tensor.
pub(super) fn every_fourth_tensor() -> Trace {
    load(96, 4 * MIB, every(4))
}

/// A pipeline stage: the first half of the tensors.
pub(super) fn first_half_of_a_model() -> Trace {
    load(48, 8 * MIB, |tensors| tensors.truncate(24))
}

/// Some tensors by name: four of 48.
pub(super) fn four_tensors() -> Trace {
    load(48, 8 * MIB, |tensors| *tensors = [5, 17, 18, 40].map(|index| tensors[index]).to_vec())
}

/// The same tensor of each layer, from the third on: adapters.
pub(super) fn adapters_of_a_model() -> Trace {
    load(96, 4 * MIB, |tensors| *tensors = tensors.iter().skip(2).step_by(6).copied().collect())
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
    Trace { files: vec![file], threads: (0..8).map(rank).collect() }
}

/// A `gguf` of 192 MiB by faults in order. Its header is not looked into: it holds zeros.
pub(super) fn mapping_in_order() -> Trace {
    let mut trace = one("model.gguf", 192 * MIB);
    let mut mapping = Mapping::new(192 * MIB);
    let faults = in_order(ByteRange::new(0, 192 * MIB), 64 * KIB).flat_map(|bytes| mapping.touch(bytes));
    let faults = faults.collect::<Vec<_>>();
    trace.session(0, faults);
    trace
}
