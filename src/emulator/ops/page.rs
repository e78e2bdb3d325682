//! One page of a listing, found by walking keys in order. It knows neither the protocol nor where keys are kept.

use crate::base::behind;
use crate::emulator::bucket::Cursor;
use crate::emulator::object::Facts;

/// Lines that most pages have.
const USUAL_PAGE: usize = 1000;

/// What a page is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct PageQuery {
    pub(super) prefix: String,
    /// The delimiter; empty where none was given.
    pub(super) delimiter: String,
    pub(super) after: After,
    pub(super) most: usize,
}

/// Where a page begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum After {
    #[default]
    Beginning,
    /// The page begins after this key.
    Key(String),
    /// After every key that begins so.
    Prefix(String),
}

/// A line of a page.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Object(String, Facts),
    Prefix(String),
}

impl Entry {
    /// Where a page after this entry begins.
    pub(super) fn after(&self) -> After {
        match self {
            Entry::Object(key, _) => After::Key(key.clone()),
            Entry::Prefix(prefix) => After::Prefix(prefix.clone()),
        }
    }
}

/// A page, and whether there is more.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) is_truncated: bool,
}

/// Finds a page. A page of nothing is never truncated.
pub(super) fn page(cursor: &mut dyn Cursor, query: &PageQuery) -> Page {
    let mut entries = Vec::new();
    if query.most == 0 || !begin(cursor, query) {
        return Page { entries, is_truncated: false };
    }
    entries.reserve(query.most.min(USUAL_PAGE));
    while let Some(key) = cursor.key().filter(|key| key.starts_with(&query.prefix)) {
        let Some(facts) = cursor.facts() else {
            cursor.advance();
            continue;
        };
        if entries.len() == query.most {
            return Page { entries, is_truncated: true };
        }
        match common_prefix(key, query) {
            None => {
                entries.push(Entry::Object(key.to_owned(), facts));
                cursor.advance();
            }
            Some(common) => {
                let common = common.to_owned();
                let beyond = behind(&common);
                entries.push(Entry::Prefix(common));
                let Some(beyond) = beyond else { break };
                cursor.seek(&beyond);
            }
        }
    }
    Page { entries, is_truncated: false }
}

/// Goes to the first key that the page may hold; false when there can be none.
fn begin(cursor: &mut dyn Cursor, query: &PageQuery) -> bool {
    let least = match &query.after {
        After::Beginning => Some(query.prefix.clone()),
        // The key that follows at once is this one with the smallest character added.
        After::Key(key) => Some(format!("{key}\0")),
        After::Prefix(prefix) => behind(prefix),
    };
    let Some(least) = least else { return false };
    cursor.seek(if least < query.prefix { &query.prefix } else { &least });
    true
}

/// The part of a key up to the first delimiter after the prefix.
pub(super) fn common_prefix<'a>(key: &'a str, query: &PageQuery) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = &key[query.prefix.len()..];
    rest.find(&query.delimiter).map(|at| &key[..query.prefix.len() + at + query.delimiter.len()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::base::Timestamp;
    use crate::emulator::bucket::{Bucket, WriteCondition};
    use crate::emulator::content::Content;
    use crate::emulator::object::Object;
    use crate::emulator::options::PutOptions;

    #[test]
    fn successors_follow_every_extension() {
        assert_eq!(behind("a/").as_deref(), Some("a0"));
        assert_eq!(behind("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(behind("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(behind("\u{10ffff}"), None);
        assert_eq!(behind(""), None);
    }

    fn bucket(keys: &BTreeMap<String, ()>) -> Bucket {
        let bucket = Bucket::in_memory("b", Timestamp::default());
        for key in keys.keys() {
            let content = Content::Memory(Bytes::new());
            let object = Object::put(content, [0; 16], None, Timestamp::default(), PutOptions::default());
            bucket.write(key, object, &WriteCondition::default()).unwrap();
        }
        bucket
    }

    /// The same listing by the plainest means.
    fn model(keys: &BTreeMap<String, ()>, query: &PageQuery) -> Vec<String> {
        let mut lines = Vec::new();
        for key in keys.keys().filter(|key| key.starts_with(&query.prefix)) {
            let line = common_prefix(key, query).map_or_else(|| key.clone(), |common| format!("{common}…"));
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_whole(
            keys in proptest::collection::btree_map("[ab/é\u{10ffff}]{1,5}", Just(()), 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in prop_oneof![Just(""), Just("/"), Just("b/"), Just("\u{10ffff}")],
            most in 1_usize..5,
        ) {
            let bucket = bucket(&keys);
            let mut query = PageQuery { prefix, delimiter: delimiter.to_owned(), after: After::Beginning, most };
            let mut lines = Vec::new();
            loop {
                let page = bucket.walk(|cursor| page(cursor, &query));
                prop_assert!(page.entries.len() <= most);
                lines.extend(page.entries.iter().map(|entry| match entry {
                    Entry::Object(key, _) => key.clone(),
                    Entry::Prefix(prefix) => format!("{prefix}…"),
                }));
                let Some(last) = page.entries.last().filter(|_| page.is_truncated) else { break };
                prop_assert_eq!(page.entries.len(), most);
                query.after = last.after();
            }
            prop_assert_eq!(lines, model(&keys, &query));
        }

        #[test]
        fn a_start_inside_a_common_prefix_still_shows_it(
            keys in proptest::collection::btree_map("[ab/]{1,5}", Just(()), 0..40),
            start in "[ab/]{1,4}",
        ) {
            let bucket = bucket(&keys);
            let after = After::Key(start.clone());
            let query = PageQuery { delimiter: "/".to_owned(), after, most: 1000, ..PageQuery::default() };
            let later = keys.into_iter().filter(|(key, ())| *key > start).collect();
            let page = bucket.walk(|cursor| page(cursor, &query));
            let lines: Vec<_> = page.entries.iter().map(|entry| match entry {
                Entry::Object(key, _) => key.clone(),
                Entry::Prefix(prefix) => format!("{prefix}…"),
            }).collect();
            prop_assert_eq!(lines, model(&later, &query));
        }
    }
}
