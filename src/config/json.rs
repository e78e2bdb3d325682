//! A JSON object whose keys and values know their line and column.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A place in a text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// In characters, from 1 on.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A key with its value, which is still JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: String,
    pub(super) key_at: Place,
    pub(super) value: &'a str,
    pub(super) value_at: Place,
}

/// The entries of an object in their order; a key that comes twice is there twice. Fails with a place and a phrase.
pub(super) fn entries(text: &str) -> Result<Vec<Entry<'_>>, (Place, String)> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|error| unread(&error))?;
    // The parts are slices of the text.
    let place_of = |part: &RawValue| place(text, part.get().as_ptr().addr() - text.as_ptr().addr());
    let entry = |(key, value): &(&'_ RawValue, &'_ RawValue)| (place_of(key), place_of(value));
    let places: Vec<_> = pairs.iter().map(entry).collect();
    let entries = pairs.into_iter().zip(places).map(|((key, value), (key_at, value_at))| Entry {
        // A key that was read once reads again.
        key: serde_json::from_str(key.get()).unwrap_or_default(),
        key_at,
        value: value.get(),
        value_at,
    });
    Ok(entries.collect())
}

fn unread(error: &serde_json::Error) -> (Place, String) {
    let place = Place { line: error.line().max(1), column: error.column().max(1) };
    let whole = error.to_string();
    let what = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(what, _)| what);
    match error.is_data() {
        true => (place, "not a JSON object; write {\"region\": \"cn-hangzhou\"}".to_owned()),
        false => (place, format!("not JSON: {what}")),
    }
}

/// Where a byte of a text stands.
pub(super) fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// The object as it stands in the text.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadPairs).map(Pairs)
    }
}

struct ReadPairs;

impl<'de> Visitor<'de> for ReadPairs {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_knows_its_place() {
        let text = "{\n  \"a\\u0062\": 1,\n  \"ü\":  [2,\n 3], \"a\\u0062\": {\"x\": null}\n}\n";
        let entries = entries(text).unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.key_at.to_string(), entry.value, entry.value_at.to_string()))
            .collect();
        let at = |line: usize, column: usize| format!("{line}:{column}");
        assert_eq!(
            seen,
            [
                ("ab", at(2, 3), "1", at(2, 14)),
                ("ü", at(3, 3), "[2,\n 3]", at(3, 9)),
                ("ab", at(4, 6), "{\"x\": null}", at(4, 17)),
            ]
        );
    }

    #[test]
    fn what_is_no_object_says_where_it_ends_being_one() {
        for (text, at, says) in [
            ("", "1:1", "not JSON: EOF"),
            ("{\"a\": 1,\n \"b\" 2}", "2:6", "not JSON: expected `:`"),
            ("{\"a\": 1,}", "1:9", "not JSON: trailing comma"),
            ("{\"a\": 1} x", "1:10", "not JSON: trailing characters"),
            ("{a: 1}", "1:2", "not JSON: key must be a string"),
            ("[1]", "1:1", "not a JSON object"),
            ("7", "1:1", "not a JSON object"),
        ] {
            let (place, what) = entries(text).unwrap_err();
            assert!(what.contains(says), "{text}: {what}");
            assert_eq!(place.to_string(), at, "{text}: {what}");
        }
        let deep = "[".repeat(100_000);
        assert!(entries(&format!("{{\"a\": {deep}")).is_err());
    }
}
