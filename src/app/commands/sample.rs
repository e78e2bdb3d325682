//! The sample bucket: a small model in shards, a data set of small files, some text.
//!
//! The same bytes every time, so that checksums can be compared across runs and machines.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Shards of the model.
const SHARDS: usize = 4;
/// Tensors in each shard.
const TENSORS: usize = 8;
/// Rows and columns of each tensor, 32-bit floats: 2 MiB a tensor, 16 MiB a shard.
const SHAPE: [usize; 2] = [512, 1024];
/// Files of the data set.
const FILES: usize = 300;

/// Every object of the sample: key and bytes.
pub(super) fn objects() -> Vec<(String, Bytes)> {
    let mut objects = vec![("README.txt".to_owned(), Bytes::from_static(README.as_bytes()))];
    objects.extend((0..SHARDS).map(|shard| (format!("model/{}", shard_name(shard)), safetensors(shard))));
    objects.push(("model/model.safetensors.index.json".to_owned(), pretty(&index())));
    objects.push(("model/config.json".to_owned(), pretty(&json!({ "model_type": "sample", "hidden_size": SHAPE[1] }))));
    objects.extend((0..FILES).map(|number| (format!("dataset/train/{number:05}.json"), record(number))));
    objects
}

const README: &str = "This bucket was made by `ossmount demo`.\n\n\
    model/    a model of four safetensors shards with its index, 64 MiB\n\
    dataset/  three hundred small files, as data loaders read them\n\n\
    Everything here is read through a real mount from a real server, both on this machine.\n";

fn shard_name(shard: usize) -> String {
    format!("model-{:05}-of-{SHARDS:05}.safetensors", shard + 1)
}

fn tensor_name(shard: usize, tensor: usize) -> String {
    format!("layers.{}.weight", shard * TENSORS + tensor)
}

/// Eight bytes with the length of a JSON header, the header, and the tensors it describes.
fn safetensors(shard: usize) -> Bytes {
    let tensor_bytes = SHAPE[0] * SHAPE[1] * 4;
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    for tensor in 0..TENSORS {
        let start = tensor * tensor_bytes;
        let row = json!({ "dtype": "F32", "shape": SHAPE, "data_offsets": [start, start + tensor_bytes] });
        header.insert(tensor_name(shard, tensor), row);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Blanks at the end of the header keep the tensors aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + TENSORS * tensor_bytes);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    let mut state = shard as u64 + 1;
    for _ in 0..TENSORS * SHAPE[0] * SHAPE[1] {
        // A linear congruence; its high bits, scaled to -1..1.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let weight = (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
        bytes.extend(weight.to_le_bytes());
    }
    bytes.into()
}

fn index() -> Value {
    let mut map = Map::new();
    for shard in 0..SHARDS {
        for tensor in 0..TENSORS {
            map.insert(tensor_name(shard, tensor), shard_name(shard).into());
        }
    }
    json!({ "metadata": { "total_size": SHARDS * TENSORS * SHAPE[0] * SHAPE[1] * 4 }, "weight_map": map })
}

fn record(number: usize) -> Bytes {
    let words = ["bucket", "key", "prefix", "page", "object", "part", "block", "window", "stream", "inode"];
    let text: Vec<_> = (0..200 + number % 400).map(|at| words[(at * 7 + number) % words.len()]).collect();
    pretty(&json!({ "id": number, "label": number % 10, "text": text.join(" ") }))
}

fn pretty(value: &Value) -> Bytes {
    format!("{value:#}\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_headers_that_cover_their_bytes() {
        let shard = safetensors(1);
        let length = u64::from_le_bytes(shard[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&shard[8..8 + length]).unwrap();
        let end = header["layers.15.weight"]["data_offsets"][1].as_u64().unwrap() as usize;
        assert_eq!(shard.len(), 8 + length + end);
        assert_eq!(length % 8, 0);
        assert_eq!(index()["weight_map"]["layers.15.weight"], "model-00002-of-00004.safetensors");
    }

    #[test]
    fn the_sample_is_the_same_every_time() {
        let (first, second) = (objects(), objects());
        assert_eq!(first.len(), 1 + SHARDS + 2 + FILES);
        assert!(first == second);
    }
}
