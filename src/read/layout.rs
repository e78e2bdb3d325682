//! Where the tensors of a model file lie, by its own header.
//!
//! A loader that touches the first byte of a tensor will read all of it, and one that has read some tensors will
//! likely read the others, in whatever order; the header tells where they end. Pure: bytes in, ranges out. A header
//! that makes no sense means no more than that the file is read like any other.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::base::ByteRange;

/// Longer headers are not looked at, in bytes: the largest models have some hundred thousand tensors, 100 bytes each,
/// and vocabularies of a few MiB.
const MAX_HEADER_BYTES: u64 = 32 << 20;

/// The formats that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// A length, a JSON object with the place of each tensor, the tensors.
    Safetensors,
    /// Metadata, a table with the place of each tensor, the tensors.
    Gguf,
}

/// What the first bytes of a file tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// At least so many bytes from the start must be known to tell.
    Unfinished(u64),
    /// The tensors, in order and without overlap, and none of them empty.
    Tensors(Vec<ByteRange>),
    /// Nothing that is understood.
    Unknown,
}

impl Format {
    /// The format that a file of this name should have.
    pub(super) fn of(key: &str) -> Option<Format> {
        match key.rsplit_once('.')?.1 {
            "safetensors" => Some(Format::Safetensors),
            "gguf" => Some(Format::Gguf),
            _ => None,
        }
    }

    /// Looks at the first bytes of a file of `size` bytes.
    pub(super) fn layout(self, head: &[u8], size: u64) -> Layout {
        let layout = match self {
            Format::Safetensors => safetensors(head, size),
            Format::Gguf => gguf(head, size),
        };
        match layout {
            Layout::Unfinished(need) if need > size.min(MAX_HEADER_BYTES) => Layout::Unknown,
            layout => layout,
        }
    }
}

fn safetensors(head: &[u8], size: u64) -> Layout {
    let Some((length, rest)) = head.split_first_chunk::<8>() else { return Layout::Unfinished(8) };
    let length = u64::from_le_bytes(*length);
    let data = length.saturating_add(8);
    let Some(json) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Layout::Unfinished(data);
    };
    match serde_json::from_slice::<Places>(json) {
        Ok(Places(places)) => ordered(places.into_iter().map(|[start, end]| (start, end)), data, size),
        Err(_) => Layout::Unknown,
    }
}

/// Ranges counted from `data`, as they come, put in order; nothing is believed when some are impossible.
fn ordered(places: impl Iterator<Item = (u64, u64)>, data: u64, size: u64) -> Layout {
    let placed = |(start, end): (u64, u64)| {
        let (start, end) = (start.checked_add(data)?, end.checked_add(data)?);
        (start <= end && end <= size).then_some((start, end))
    };
    let Some(mut places) = places.map(placed).collect::<Option<Vec<_>>>() else { return Layout::Unknown };
    places.retain(|(start, end)| start < end);
    places.sort_unstable();
    places.dedup();
    if places.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Layout::Unknown;
    }
    Layout::Tensors(places.into_iter().map(|(start, end)| ByteRange::new(start, end)).collect())
}

/// The places of a safetensors header, each counted from the end of the header.
struct Places(Vec<[u64; 2]>);

#[derive(Deserialize)]
struct Tensor {
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = Places;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the header of a safetensors file")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Places, A::Error> {
                let mut places = Vec::new();
                while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        places.push(map.next_value::<Tensor>()?.data_offsets);
                    }
                }
                Ok(Places(places))
            }
        }
        deserializer.deserialize_map(Header)
    }
}

/// GGUF, versions 2 and 3, little-endian: magic, version, how many tensors and pairs there are, the pairs, the tensors'
/// names, shapes, types and offsets. A tensor is taken to end where the next one starts.
fn gguf(head: &[u8], size: u64) -> Layout {
    let mut cursor = Cursor { head, at: 0 };
    match cursor.gguf() {
        Ok(Some((mut starts, data))) => {
            starts.sort_unstable();
            starts.dedup();
            let Some(end) = size.checked_sub(data) else { return Layout::Unknown };
            let ends: Vec<u64> = starts.iter().skip(1).copied().chain([end]).collect();
            ordered(starts.into_iter().zip(ends), data, size)
        }
        Ok(None) => Layout::Unknown,
        // OnShortage for what follows, or each short string would ask for a few bytes more.
        Err(Short(need)) => Layout::Unfinished(need.max(head.len() as u64 * 2).min(size.max(need))),
    }
}

/// The head ends before this.
struct Short(u64);

type Taken<T> = Result<T, Short>;

struct Cursor<'a> {
    head: &'a [u8],
    at: u64,
}

/// Types of values, by their number: the bytes each takes.
const SCALAR_BYTES: [u64; 13] = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const STRING: u32 = 8;
const ARRAY: u32 = 9;

impl<'a> Cursor<'a> {
    /// Where tensors start, counted from the second number; `None` when this is no such file.
    fn gguf(&mut self) -> Taken<Option<(Vec<u64>, u64)>> {
        let (magic, version) = (self.u32()?, self.u32()?);
        if magic != u32::from_le_bytes(*b"GGUF") || !(2..=3).contains(&version) {
            return Ok(None);
        }
        let (tensors, pairs) = (self.u64()?, self.u64()?);
        let mut alignment = 32;
        for _ in 0..pairs {
            let key = self.string()?;
            let kind = self.u32()?;
            if key == b"general.alignment" && kind == 4 {
                alignment = u64::from(self.u32()?);
            } else if !self.skip_value(kind)? {
                return Ok(None);
            }
        }
        let mut starts = Vec::new();
        for _ in 0..tensors {
            self.string()?;
            let dimensions = self.u32()?;
            self.skip(u64::from(dimensions) * 8 + 4)?;
            starts.push(self.u64()?);
        }
        Ok(self.at.checked_next_multiple_of(alignment).map(|data| (starts, data)))
    }

    /// False for a type that does not exist.
    fn skip_value(&mut self, kind: u32) -> Taken<bool> {
        match kind {
            STRING => drop(self.string()?),
            ARRAY => {
                let (kind, count) = (self.u32()?, self.u64()?);
                return self.skip_array(kind, count);
            }
            _ => match SCALAR_BYTES.get(kind as usize) {
                Some(bytes) => self.skip(*bytes)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn skip_array(&mut self, kind: u32, count: u64) -> Taken<bool> {
        match kind {
            STRING => {
                for _ in 0..count {
                    self.string()?;
                }
            }
            // No writer nests them.
            ARRAY => return Ok(false),
            _ => match SCALAR_BYTES.get(kind as usize) {
                Some(bytes) => self.skip(bytes.saturating_mul(count))?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn skip(&mut self, bytes: u64) -> Taken<()> {
        let end = self.at.saturating_add(bytes);
        if end > self.head.len() as u64 {
            return Err(Short(end));
        }
        self.at = end;
        Ok(())
    }

    fn take(&mut self, bytes: u64) -> Taken<&'a [u8]> {
        let start = self.at;
        self.skip(bytes)?;
        Ok(&self.head[start as usize..self.at as usize])
    }

    fn string(&mut self) -> Taken<&'a [u8]> {
        let length = self.u64()?;
        self.take(length)
    }

    fn u32(&mut self) -> Taken<u32> {
        self.take(4).map(|bytes| bytes.try_into().map_or(0, u32::from_le_bytes))
    }

    fn u64(&mut self) -> Taken<u64> {
        self.take(8).map(|bytes| bytes.try_into().map_or(0, u64::from_le_bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(ranges: &[(u64, u64)]) -> Layout {
        Layout::Tensors(ranges.iter().map(|&(start, end)| ByteRange::new(start, end)).collect())
    }

    fn safetensors_file(json: &str) -> Vec<u8> {
        [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat()
    }

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    /// A header with values of every kind, and tensors at these offsets.
    fn gguf_file(offsets: &[u64]) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend((offsets.len() as u64).to_le_bytes());
        file.extend(5u64.to_le_bytes());
        file.extend([text("general.name"), 8u32.to_le_bytes().to_vec(), text("tiny")].concat());
        file.extend([text("general.alignment"), [4u32, 64].map(u32::to_le_bytes).concat()].concat());
        file.extend([text("a.double"), 12u32.to_le_bytes().to_vec(), vec![1; 8]].concat());
        file.extend([text("tokens"), [9u32, 8].map(u32::to_le_bytes).concat(), 2u64.to_le_bytes().to_vec()].concat());
        file.extend([text("<s>"), text("</s>")].concat());
        file.extend([text("scores"), [9u32, 6].map(u32::to_le_bytes).concat(), 3u64.to_le_bytes().to_vec()].concat());
        file.extend([0; 12]);
        for offset in offsets {
            file.extend([text("blk.0.weight"), 2u32.to_le_bytes().to_vec()].concat());
            file.extend([16u64.to_le_bytes(), 4u64.to_le_bytes()].concat());
            file.extend([&1u32.to_le_bytes()[..], &offset.to_le_bytes()].concat());
        }
        file
    }

    #[test]
    fn the_tensors_of_a_safetensors_file() {
        let file = safetensors_file(
            r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[40,48]},
                "a":{"dtype":"F16","shape":[4,5],"data_offsets":[0,40]},"none":{"dtype":"F32","shape":[0],"data_offsets":[40,40]}}"#,
        );
        let data = file.len() as u64;
        let layout = |head: &[u8], size| Format::Safetensors.layout(head, size);
        assert_eq!(layout(&file, data + 48), ranges(&[(data, data + 40), (data + 40, data + 48)]));
        assert_eq!(layout(&file, data + 47), Layout::Unknown, "a tensor past the end");
        assert_eq!(layout(&file[..3], data + 48), Layout::Unfinished(8));
        assert_eq!(layout(&file[..50], data + 48), Layout::Unfinished(data));
        assert_eq!(layout(&safetensors_file("{}"), 10), ranges(&[]));
        for odd in
            [r#"{"a":{"data_offsets":[5,2]}}"#, r#"{"a":{"data_offsets":[0,8]},"b":{"data_offsets":[4,9]}}"#, "[]"]
        {
            assert_eq!(layout(&safetensors_file(odd), 1 << 20), Layout::Unknown, "{odd}");
        }
        assert_eq!(layout(&[0xff; 8], 1 << 40), Layout::Unknown, "no header is that long");
    }

    #[test]
    fn the_tensors_of_a_gguf_file() {
        let file = gguf_file(&[0, 640, 128]);
        let data = (file.len() as u64).next_multiple_of(64);
        let layout = Format::Gguf.layout(&file, data + 1000);
        assert_eq!(layout, ranges(&[(data, data + 128), (data + 128, data + 640), (data + 640, data + 1000)]));
        assert_eq!(Format::Gguf.layout(b"GGUF\x01\0\0\0aaaaaaaaaaaaaaaa", 1 << 20), Layout::Unknown);
        assert_eq!(Format::Gguf.layout(&file, data + 500), Layout::Unknown, "a tensor past the end");
    }

    #[test]
    fn a_header_is_asked_for_in_few_steps() {
        for (format, file) in
            [(Format::Gguf, gguf_file(&[0; 500])), (Format::Safetensors, safetensors_file(&" ".repeat(5000)))]
        {
            let (mut need, mut steps) = (0, 0);
            while let Layout::Unfinished(more) = format.layout(&file[..need], 1 << 20) {
                assert!(more > need as u64);
                (need, steps) = ((more as usize).min(file.len()), steps + 1);
            }
            assert!(steps < 20, "{steps}");
        }
    }

    #[test]
    fn formats_go_by_the_name() {
        assert_eq!(Format::of("m/model-00001-of-00038.safetensors"), Some(Format::Safetensors));
        assert_eq!(Format::of("q4.gguf"), Some(Format::Gguf));
        assert_eq!(Format::of("model.safetensors.index.json"), None);
        assert_eq!(Format::of("safetensors"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte: u8, size: u64,
        ) {
            Format::Gguf.layout(&bytes, size);
            Format::Safetensors.layout(&bytes, size);
            let json = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[40,48]},
                "a":{"dtype":"F16","shape":[4,5],"data_offsets":[0,40]}}"#;
            for (format, mut file) in
                [(Format::Gguf, gguf_file(&[0, 64])), (Format::Safetensors, safetensors_file(json))]
            {
                let at = at.index(file.len());
                file[at] = byte;
                if let Layout::Tensors(tensors) = format.layout(&file, size) {
                    prop_assert!(tensors.iter().all(|tensor| tensor.start < tensor.end && tensor.end <= size));
                }
            }
        }
    }
}
