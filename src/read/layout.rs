//! Where the tensors of a model file lie, by what the file says of itself: in a header, or in a directory at its end.
//!
//! A loader that touches the first byte of a tensor will read all of it, and one that has read some tensors will
//! likely read the others, in whatever order; the header tells where they end. A member of an archive begins with a
//! header of its own, which loaders read of all members, so that a touch says nothing there. Pure: bytes in, ranges
//! out. A header that makes no sense means no more than that the file is read like any other.

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
    /// The members, and a directory with the place of each: checkpoints of PyTorch.
    Zip,
}

/// What the first or the last bytes of a file tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// At least so many bytes, from the start or to the end, must be known to tell.
    Unfinished(u64),
    /// The tensors, in order and without overlap, and none of them empty.
    Tensors(Vec<ByteRange>),
    /// The same of the members of an archive, each with its header.
    Members(Vec<ByteRange>),
    /// Nothing that is understood.
    Unknown,
}

impl From<Short> for Layout {
    /// The last bytes of a file are followed by nothing that could say more.
    fn from(_: Short) -> Layout {
        Layout::Unknown
    }
}

impl Format {
    /// The format that a file of this name should have.
    pub(super) fn of(key: &str) -> Option<Format> {
        match key.rsplit_once('.')?.1 {
            "safetensors" => Some(Format::Safetensors),
            "gguf" => Some(Format::Gguf),
            "bin" | "ckpt" | "pt" | "pth" => Some(Format::Zip),
            _ => None,
        }
    }

    /// Whether it is a format of models alone, with a header that programs read before anything else.
    pub(super) fn has_header(self) -> bool {
        match self {
            Format::Safetensors | Format::Gguf => true,
            Format::Zip => false,
        }
    }

    /// How many bytes must be known to begin with.
    pub(super) fn least_bytes(self) -> u64 {
        match self {
            Format::Safetensors | Format::Gguf => 8,
            Format::Zip => ZIP_END_BYTES,
        }
    }

    /// Where so many bytes lie in a file of `size` bytes.
    pub(super) fn place(self, bytes: u64, size: u64) -> ByteRange {
        if self.has_header() { ByteRange::new(0, bytes) } else { ByteRange::new(size.saturating_sub(bytes), size) }
    }

    /// Looks at the first bytes of a file of `size` bytes, or at the last ones.
    pub(super) fn layout(self, bytes: &[u8], size: u64) -> Layout {
        let layout = match self {
            Format::Safetensors => safetensors(bytes, size),
            Format::Gguf => gguf(bytes, size),
            Format::Zip => ArchiveEnd { bytes, size }.members().unwrap_or_else(|layout| layout),
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
        Ok(Places(places)) => {
            let places = ordered(places.into_iter().map(|[start, end]| (start, end)), data, size);
            places.map_or(Layout::Unknown, Layout::Tensors)
        }
        Err(_) => Layout::Unknown,
    }
}

/// Ranges counted from `data`, as they come, put in order; nothing is believed when some are impossible.
fn ordered(places: impl Iterator<Item = (u64, u64)>, data: u64, size: u64) -> Option<Vec<ByteRange>> {
    let placed = |(start, end): (u64, u64)| {
        let (start, end) = (start.checked_add(data)?, end.checked_add(data)?);
        (start <= end && end <= size).then_some((start, end))
    };
    let mut places = places.map(placed).collect::<Option<Vec<_>>>()?;
    places.retain(|(start, end)| start < end);
    places.sort_unstable();
    places.dedup();
    if places.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return None;
    }
    Some(places.into_iter().map(|(start, end)| ByteRange::new(start, end)).collect())
}

/// The same where only starts are known: each ends where the next one starts, the last one at `end`.
fn up_to_next(mut starts: Vec<u64>, end: u64, data: u64, size: u64) -> Option<Vec<ByteRange>> {
    starts.sort_unstable();
    starts.dedup();
    let ends: Vec<u64> = starts.iter().skip(1).copied().chain([end]).collect();
    ordered(starts.into_iter().zip(ends), data, size)
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
        Ok(Some((starts, data))) => {
            let places = size.checked_sub(data).and_then(|end| up_to_next(starts, end, data, size));
            places.map_or(Layout::Unknown, Layout::Tensors)
        }
        Ok(None) => Layout::Unknown,
        // OnShortage for what follows, or each short string would ask for a few bytes more.
        Err(Short(need)) => Layout::Unfinished(need.max(head.len() as u64 * 2).min(size.max(need))),
    }
}

/// The record at the end of a ZIP archive without a comment, in bytes.
const ZIP_END_BYTES: u64 = 22;
/// What lies before it in an archive in the ZIP64 format.
const ZIP64_LOCATOR_BYTES: u64 = 20;
/// What the records of a ZIP archive begin with.
const ZIP_END: u32 = 0x0605_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP_MEMBER: u32 = 0x0201_4b50;
/// The extra field of a member with those of its numbers that take eight bytes.
const ZIP64_FIELD: u16 = 1;

/// The last bytes of a ZIP archive of `size` bytes (APPNOTE.TXT 4.3): records that tell where the directory begins, and
/// before them the directory, which tells where each member does. A member is taken to end where the next one starts.
/// An archive behind something else, or with a comment at its end, is not understood.
struct ArchiveEnd<'a> {
    bytes: &'a [u8],
    size: u64,
}

impl<'a> ArchiveEnd<'a> {
    fn members(&self) -> Result<Layout, Layout> {
        let (count, directory) = self.directory()?;
        let (mut at, mut starts) = (directory, Vec::new());
        for _ in 0..count {
            let mut member = self.record(at, ZIP_MEMBER)?;
            starts.push(member.zip_member()?);
            at = self.size - (member.head.len() as u64 - member.at);
        }
        up_to_next(starts, directory, 0, self.size).map(Layout::Members).ok_or(Layout::Unknown)
    }

    /// How many members there are, and where the directory begins.
    fn directory(&self) -> Result<(u64, u64), Layout> {
        let end = self.size.checked_sub(ZIP_END_BYTES).ok_or(Layout::Unknown)?;
        let mut record = self.record(end, ZIP_END)?;
        record.skip(6)?;
        let (count, _, start) = (record.u16()?, record.u32()?, record.u32()?);
        if count < u16::MAX && start < u32::MAX {
            return Ok((count.into(), start.into()));
        }
        let locator = end.checked_sub(ZIP64_LOCATOR_BYTES).ok_or(Layout::Unknown)?;
        let mut record = self.record(locator, ZIP64_LOCATOR)?;
        record.skip(4)?;
        let mut record = self.record(record.u64()?, ZIP64_END)?;
        record.skip(28)?;
        let (count, _, start) = (record.u64()?, record.u64()?, record.u64()?);
        Ok((count, start))
    }

    /// What follows the signature of a record at this offset in the file.
    fn record(&self, offset: u64, signature: u32) -> Result<Cursor<'a>, Layout> {
        let need = self.size.checked_sub(offset).ok_or(Layout::Unknown)?;
        let at = (self.bytes.len() as u64).checked_sub(need).ok_or(Layout::Unfinished(need))?;
        let mut record = Cursor { head: self.bytes, at };
        if record.u32()? == signature { Ok(record) } else { Err(Layout::Unknown) }
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

    /// Where a member of a ZIP archive starts, by what follows the signature in its entry of the directory.
    fn zip_member(&mut self) -> Taken<u64> {
        self.skip(16)?;
        let sizes = [self.u32()?, self.u32()?];
        let [name, extra, comment] = [self.u16()?, self.u16()?, self.u16()?].map(u64::from);
        self.skip(8)?;
        let start = self.u32()?;
        self.skip(name)?;
        let mut fields = Cursor { head: self.take(extra)?, at: 0 };
        self.skip(comment)?;
        if start < u32::MAX {
            return Ok(start.into());
        }
        loop {
            let (kind, bytes) = (fields.u16()?, fields.u16()?);
            if kind == ZIP64_FIELD {
                // The sizes come first, where they take eight bytes, too.
                fields.skip(8 * sizes.iter().filter(|size| **size == u32::MAX).count() as u64)?;
                return fields.u64();
            }
            fields.skip(bytes.into())?;
        }
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

    fn u16(&mut self) -> Taken<u16> {
        self.take(2).map(|bytes| bytes.try_into().map_or(0, u16::from_le_bytes))
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

    /// The end of a ZIP archive: its directory, which begins here, with members at these offsets, then the records. Of
    /// a large one, numbers are where ZIP64 has them.
    fn zip_tail(directory: u64, members: &[u64], is_large: bool) -> Vec<u8> {
        let u16s = |numbers: &[u16]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let u32s = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let u64s = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let or_large = |number: u64| if is_large { u32::MAX } else { number as u32 };
        let mut tail = Vec::new();
        for start in members {
            let extra = if is_large {
                [u16s(&[7, 1]), vec![9], u16s(&[1, 24]), u64s(&[5, 6, *start])].concat()
            } else {
                Vec::new()
            };
            tail.extend([u32s(&[ZIP_MEMBER, 0, 0, 0, 0, or_large(5), or_large(6)])].concat());
            tail.extend(u16s(&[4, extra.len() as u16, 3, 0, 0, 0, 0]));
            tail.extend([u32s(&[or_large(*start)]), b"name".to_vec(), extra, b"why".to_vec()].concat());
        }
        let (count, bytes, end) = (members.len() as u64, tail.len() as u64, directory + tail.len() as u64);
        if is_large {
            tail.extend(
                [u32s(&[ZIP64_END]), u64s(&[44]), vec![0; 12], u64s(&[count, count, bytes, directory])].concat(),
            );
            tail.extend([u32s(&[ZIP64_LOCATOR, 0]), u64s(&[end]), u32s(&[1])].concat());
        }
        let count = if is_large { u16::MAX } else { count as u16 };
        tail.extend(
            [u32s(&[ZIP_END, 0]), u16s(&[count, count]), u32s(&[bytes as u32, or_large(directory)]), u16s(&[0])]
                .concat(),
        );
        tail
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
    fn the_members_of_an_archive() {
        for is_large in [false, true] {
            let layout = |directory: u64, members: &[u64]| {
                let tail = zip_tail(directory, members, is_large);
                let size = directory + tail.len() as u64;
                // More may be known than the directory.
                Format::Zip.layout(&[vec![1; 99], tail].concat(), size)
            };
            let members = |ranges: &[(u64, u64)]| match self::ranges(ranges) {
                Layout::Tensors(ranges) => Layout::Members(ranges),
                other => other,
            };
            assert_eq!(layout(5000, &[0, 4000, 1000]), members(&[(0, 1000), (1000, 4000), (4000, 5000)]));
            assert_eq!(layout(5000, &[]), members(&[]));
            assert_eq!(layout(5000, &[0, 5001]), Layout::Unknown, "a member behind the directory");
            if is_large {
                let far = 1 << 40;
                assert_eq!(layout(far + 10, &[0, far]), members(&[(0, far), (far, far + 10)]));
                // Of the two numbers at the end, either may be elsewhere alone.
                for (before_end, number) in [(12, &[1, 0][..]), (6, &[10, 0, 0, 0])] {
                    let mut tail = zip_tail(10, &[0], true);
                    let (at, size) = (tail.len() - before_end, 10 + tail.len() as u64);
                    tail[at..at + number.len()].copy_from_slice(number);
                    assert_eq!(Format::Zip.layout(&tail, size), members(&[(0, 10)]));
                }
            }
            // All but the end is cut off, and then some of it.
            let tail = zip_tail(5000, &[0, 4000], is_large);
            let size = 5000 + tail.len() as u64;
            for known in 0..tail.len() {
                let layout = Format::Zip.layout(&tail[tail.len() - known..], size);
                let Layout::Unfinished(need) = layout else { panic!("{layout:?} by the last {known} bytes") };
                assert!((known as u64 + 1..=tail.len() as u64).contains(&need), "{need}");
            }
            let records = if is_large { &[98, 42, 22][..] } else { &[22] };
            for wrong in records.iter().map(|before_end| tail.len() - before_end).chain([0]) {
                let mut tail = tail.clone();
                tail[wrong] = b'?';
                assert_eq!(Format::Zip.layout(&tail, size), Layout::Unknown, "no record begins so");
            }
            assert_eq!(Format::Zip.layout(&[tail, b"a comment".to_vec()].concat(), size + 9), Layout::Unknown);
        }
        assert_eq!(Format::Zip.layout(&[1; 21], 21), Layout::Unknown, "no archive is that short");
    }

    #[test]
    fn layouts_lie_at_the_beginning_or_at_the_end() {
        assert_eq!(Format::Gguf.place(8, 100), ByteRange::new(0, 8));
        assert_eq!(Format::Zip.place(22, 100), ByteRange::new(78, 100));
        assert_eq!(Format::Zip.place(22, 7), ByteRange::new(0, 7));
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
        for checkpoint in ["pytorch_model.bin", "last.ckpt", "a.pt", "a.pth"] {
            assert_eq!(Format::of(checkpoint), Some(Format::Zip), "{checkpoint}");
        }
        assert_eq!(Format::of("model.safetensors.index.json"), None);
        assert_eq!(Format::of("safetensors"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(
            bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte: u8, size: u64,
        ) {
            for format in [Format::Gguf, Format::Safetensors, Format::Zip] {
                format.layout(&bytes, size);
            }
            let json = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[40,48]},
                "a":{"dtype":"F16","shape":[4,5],"data_offsets":[0,40]}}"#;
            for (format, mut file, size) in [
                (Format::Gguf, gguf_file(&[0, 64]), size),
                (Format::Safetensors, safetensors_file(json), size),
                (Format::Zip, zip_tail(500, &[0, 200], false), 500 + zip_tail(500, &[0, 200], false).len() as u64),
                (Format::Zip, zip_tail(size >> 1, &[0, 200], true), (size >> 1) + zip_tail(0, &[0, 200], true).len() as u64),
            ] {
                let at = at.index(file.len());
                file[at] = byte;
                if let Layout::Tensors(tensors) | Layout::Members(tensors) = format.layout(&file, size) {
                    prop_assert!(tensors.iter().all(|tensor| tensor.start < tensor.end && tensor.end <= size));
                }
            }
        }
    }
}
