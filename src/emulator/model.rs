//! The header of generated model files, in the safetensors format: a length, and JSON that names the tensors.

use bytes::Bytes;

use super::content::splitmix;

/// The length of a header, its own length included, in bytes.
pub(super) const HEADER_BYTES: u64 = 256 << 10;
/// Larger ones would need a longer header: the last of them is all the rest.
const MAX_TENSORS: usize = 2000;

/// A header for this many bytes of tensors, of 1 to 32 MiB each.
pub(super) fn header(data_bytes: u64, seed: u64) -> Bytes {
    let (mut tensors, mut start, mut state) = (Vec::new(), 0, seed);
    while start < data_bytes {
        let rest = data_bytes - start;
        let drawn = (1 + splitmix(&mut state) % 32) << 20;
        let len = if tensors.len() + 1 == MAX_TENSORS { rest } else { drawn.min(rest) };
        let (number, end) = (tensors.len(), start + len);
        tensors.push(format!(
            r#""layers.{number}.weight":{{"dtype":"U8","shape":[{len}],"data_offsets":[{start},{end}]}}"#
        ));
        start = end;
    }
    let json = format!("{{{}}}", tensors.join(","));
    let mut header = [&(HEADER_BYTES - 8).to_le_bytes(), json.as_bytes()].concat();
    // Blanks behind the object are part of the format.
    header.resize(HEADER_BYTES as usize, b' ');
    header.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tensors_are_all_of_the_rest() {
        for data_bytes in [1, 5 << 20, (1 << 30) + 7, 1 << 42] {
            let header = header(data_bytes, 3);
            assert_eq!(header.len() as u64, HEADER_BYTES);
            assert_eq!(header[..8], (HEADER_BYTES - 8).to_le_bytes());
            let json: serde_json::Value = serde_json::from_slice(&header[8..]).unwrap();
            let tensors = json.as_object().unwrap();
            let mut places: Vec<(u64, u64)> = tensors
                .values()
                .map(|tensor| serde_json::from_value(tensor["data_offsets"].clone()).unwrap())
                .collect();
            places.sort_unstable();
            assert!(places[0].0 == 0 && places.windows(2).all(|pair| pair[0].1 == pair[1].0));
            assert_eq!(places.last().unwrap().1, data_bytes);
        }
    }
}
