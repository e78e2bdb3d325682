//! A recorded load: which bytes of which objects were wanted, in what order; and how it is written down.
//!
//! The text is JSON, a line for each fact: what it is and of which bucket, then objects and pieces in the order in
//! which they were first wanted, and last how many of them there are, so that a file which was cut short is known.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Object;
use crate::base::{BucketName, ByteRange, ETag, Ino, Key};

/// The form of the text.
const VERSION: u32 = 1;

/// A longer text is refused, in bytes; a recording stops long before.
pub const MOST_TRACE_BYTES: u64 = 64 << 20;

/// What a load wanted, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Trace {
    /// In the order in which they were first read.
    pub(super) objects: Vec<Object>,
    /// In the order in which they were first wanted. No two hold the same byte of an object.
    pub(super) pieces: Vec<Piece>,
}

/// A stretch of an object that was wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// The place of its object in [`Trace::objects`].
    pub(super) object: usize,
    /// Not empty, and within the object.
    pub(super) range: ByteRange,
}

/// Why a text is no trace that can be followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceError {
    /// The line, counted from 1.
    line: usize,
    what: String,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for TraceError {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    ossmount_trace: u32,
    bucket: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    /// The place of the object, and the first byte of the piece and the one behind its last.
    Piece(usize, u64, u64),
    Object {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        etag: String,
        size: u64,
        ino: u64,
    },
    End {
        objects: usize,
        pieces: usize,
    },
}

impl Trace {
    /// The text, for a load from this bucket.
    pub fn to_text(&self, bucket: &BucketName) -> String {
        let mut text = String::with_capacity(self.objects.len() * 160 + self.pieces.len() * 32 + 128);
        line(&mut text, &Head { ossmount_trace: VERSION, bucket: bucket.as_str() });
        for Object { ino, key, version, etag, size, .. } in &self.objects {
            let etag = etag.as_ref().map_or("", ETag::as_str).to_owned();
            let (key, version) = (key.as_str().to_owned(), version.clone());
            line(&mut text, &Line::Object { key, version, etag, size: *size, ino: ino.0 });
        }
        for Piece { object, range } in &self.pieces {
            line(&mut text, &Line::Piece(*object, range.start, range.end));
        }
        line(&mut text, &Line::End { objects: self.objects.len(), pieces: self.pieces.len() });
        text
    }

    /// Reads the text of a load from this bucket. Fails with the line at fault and what is wrong with it.
    pub fn parse(text: &str, bucket: &BucketName) -> Result<Trace, TraceError> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let head = lines.next().map_or("", |(_, line)| line);
        check_head(head, bucket).map_err(|what| TraceError { line: 1, what })?;
        let mut trace = Trace::default();
        let mut last = 1;
        for (number, text) in lines.by_ref() {
            last = number;
            let fault = |what: String| TraceError { line: number, what };
            match serde_json::from_str(text).map_err(|error| fault(format!("not a line of a recording: {error}")))? {
                Line::End { objects, pieces } if (objects, pieces) == trace.lengths() => {
                    return match lines.next() {
                        None => Ok(trace),
                        Some((line, _)) => Err(TraceError { line, what: "there is data after the end".to_owned() }),
                    };
                }
                Line::End { .. } => return Err(fault("lines are missing before the end".to_owned())),
                line => trace.take(line).map_err(fault)?,
            }
        }
        Err(TraceError { line: last, what: "the end is missing".to_owned() })
    }

    fn lengths(&self) -> (usize, usize) {
        (self.objects.len(), self.pieces.len())
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Object { key, version, etag, size, ino } => {
                let etag = ETag::parse(&etag).ok_or("an object without an entity tag")?;
                let key = Key::new(key);
                self.objects.push(Object {
                    ino: Ino(ino),
                    key,
                    version,
                    etag: Some(etag),
                    size,
                    mtime: None,
                    archived: false,
                });
            }
            Line::Piece(object, start, end) => {
                let size = self.objects.get(object).ok_or("a piece of an object that was not named")?.size;
                if start >= end || end > size {
                    return Err(format!("bytes {start} to {end} of an object of {size}"));
                }
                self.pieces.push(Piece { object, range: ByteRange::new(start, end) });
            }
            Line::End { .. } => {}
        }
        Ok(())
    }
}

fn check_head(line: &str, bucket: &BucketName) -> Result<(), String> {
    let head: Head<'_> = serde_json::from_str(line).map_err(|_| "not a recording".to_owned())?;
    if head.ossmount_trace != VERSION {
        return Err(format!("a recording of format {}, and this program reads format {VERSION}", head.ossmount_trace));
    }
    if head.bucket != bucket.as_str() {
        return Err(format!("a recording of bucket {}", head.bucket));
    }
    Ok(())
}

fn line(text: &mut String, value: &impl Serialize) {
    // Numbers and strings: nothing that could fail.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket() -> BucketName {
        BucketName::new("b")
    }

    fn object(index: u64, size: u64) -> Object {
        let etag = ETag::parse(&format!("{index:032X}"));
        let version = (index % 2 == 1).then(|| format!("v{index}"));
        Object {
            ino: Ino(index + 2),
            key: Key::new(format!("a \"{index}\"/ü")),
            version,
            etag,
            size,
            mtime: None,
            archived: false,
        }
    }

    #[test]
    fn the_text_is_a_line_for_each_fact() {
        let pieces =
            vec![Piece { object: 1, range: ByteRange::new(5, 9) }, Piece { object: 0, range: ByteRange::at(0, 8) }];
        let trace = Trace { objects: vec![object(0, 8), object(1, 9)], pieces };
        expect_test::expect![[r#"
            {"ossmount_trace":1,"bucket":"b"}
            {"key":"a \"0\"/ü","etag":"00000000000000000000000000000000","size":8,"ino":2}
            {"key":"a \"1\"/ü","version":"v1","etag":"00000000000000000000000000000001","size":9,"ino":3}
            [1,5,9]
            [0,0,8]
            {"objects":2,"pieces":2}
        "#]]
        .assert_eq(&trace.to_text(&bucket()));
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        let head = r#"{"ossmount_trace":1,"bucket":"b"}"#;
        let file = r#"{"key":"k","etag":"x","size":8,"ino":2}"#;
        for (lines, says) in [
            (vec![], "line 1: not a recording"),
            (vec!["\u{0}\u{0}"], "line 1: not a recording"),
            (vec![r#"{"ossmount_trace":2,"bucket":"b"}"#], "line 1: a recording of format 2"),
            (vec![r#"{"ossmount_trace":1,"bucket":"c"}"#], "line 1: a recording of bucket c"),
            (vec![head], "line 1: the end is missing"),
            (vec![head, file, "[0,0,8]"], "line 3: the end is missing"),
            (vec![head, file, "[1,0,8]"], "line 3: a piece of an object that was not named"),
            (vec![head, file, "[0,0,9]"], "line 3: bytes 0 to 9 of an object of 8"),
            (vec![head, file, "[0,7,3]"], "line 3: bytes 7 to 3"),
            (vec![head, file, "[0,7"], "line 3: not a line of a recording"),
            (vec![head, r#"{"key":"k","etag":"","size":8,"ino":2}"#], "line 2: an object without"),
            (vec![head, file, r#"{"objects":1,"pieces":1}"#], "line 3: lines are missing"),
            (vec![head, r#"{"objects":0,"pieces":0}"#, file], "line 3: there is data after the end"),
        ] {
            let error = Trace::parse(&lines.join("\n"), &bucket()).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(
            sizes in prop::collection::vec(1u64..u64::MAX >> 1, 1..10),
            cuts in prop::collection::vec((any::<usize>(), any::<u64>(), any::<u64>()), 0..50),
        ) {
            let objects: Vec<Object> = sizes.iter().zip(0..).map(|(&size, index)| object(index, size)).collect();
            let piece = |&(index, a, b): &(usize, u64, u64)| {
                let object = index % sizes.len();
                let (a, b) = (a % sizes[object], b % sizes[object]);
                Piece { object, range: ByteRange::new(a.min(b), a.max(b) + 1) }
            };
            let trace = Trace { objects, pieces: cuts.iter().map(piece).collect() };
            prop_assert_eq!(Trace::parse(&trace.to_text(&bucket()), &bucket()), Ok(trace));
        }

        #[test]
        fn no_text_makes_the_reader_panic(
            lines in prop::collection::vec(prop_oneof![
                Just(r#"{"key":"k","etag":"x","size":8,"ino":2}"#.to_owned()),
                "\\[[0-2],[0-9]{1,20},[0-9]{1,20}\\]",
                "\\PC{0,30}",
            ], 0..20),
        ) {
            let text = format!("{{\"ossmount_trace\":1,\"bucket\":\"b\"}}\n{}", lines.join("\n"));
            prop_assert!(Trace::parse(&text, &bucket()).is_err());
        }
    }
}
