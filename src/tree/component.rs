//! Components of keys: their order in a listing, and the version that one may name.

use std::cmp::Ordering;

/// The two kinds of entries that can have one component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EntryKind {
    File,
    Directory,
}

/// The order of a listing: by the bytes of the keys, which for a directory end in `/`. Also takes any bound of a span
/// as if it were a file.
pub(super) fn compare(a: (&str, EntryKind), b: (&str, EntryKind)) -> Ordering {
    let (name_a, name_b) = (a.0.as_bytes(), b.0.as_bytes());
    let shared = name_a.len().min(name_b.len());
    let slash = |role| (role == EntryKind::Directory).then_some(b'/');
    name_a[..shared].cmp(&name_b[..shared]).then_with(|| {
        let next_a = name_a.get(shared).copied().or(slash(a.1));
        let next_b = name_b.get(shared).copied().or(slash(b.1));
        // Where both go on with the same byte, one of them ends with it: the `/` of a directory.
        let left = |name: &[u8], role| name.len().saturating_sub(shared) + usize::from(role == EntryKind::Directory);
        next_a.cmp(&next_b).then_with(|| left(name_a, a.1).cmp(&left(name_b, b.1)))
    })
}

/// `key?versionId=V` as the key and V.
pub fn split_version(name: &str) -> Option<(&str, &str)> {
    let (key, version) = name.rsplit_once("?versionId=")?;
    (!key.is_empty() && !version.is_empty()).then_some((key, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_the_order_of_their_keys() {
        let directory = |name| (name, EntryKind::Directory);
        let file = |name| (name, EntryKind::File);
        let sorted = [
            directory(""),
            file("a"),
            file("a-b"),
            file("a.b"),
            directory("a"),
            file("a0"),
            directory("a0"),
            file("b"),
            file("b//"),
            file("b/c"),
        ];
        for window in sorted.windows(2) {
            assert_eq!(compare(window[0], window[1]), Ordering::Less, "{window:?}");
            assert_eq!(compare(window[1], window[0]), Ordering::Greater, "{window:?}");
        }
        assert_eq!(compare(directory("a"), directory("a")), Ordering::Equal);
        assert_eq!(compare(directory("a"), file("a/")), Ordering::Equal);
        assert_eq!(compare(directory("a"), file("a/b")), Ordering::Less);
    }

    #[test]
    fn versions_are_split_off_at_the_last_mark() {
        assert_eq!(split_version("a?versionId=b"), Some(("a", "b")));
        assert_eq!(split_version("a?versionId=b?versionId=c"), Some(("a?versionId=b", "c")));
        assert_eq!(split_version("?versionId=b"), None);
        assert_eq!(split_version("a?versionId="), None);
    }
}
