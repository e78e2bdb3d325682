//! Where the objects below a prefix go: a path below the destination for each key, as a mount would show it.

use std::collections::HashSet;

use crate::store::ListEntry;
use crate::tree::{NameRole, OddKeys, name_path};

/// What becomes of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum LocalPlace {
    /// A file of this path.
    File(String),
    /// A directory of this path, from a marker without content.
    Directory(String),
    /// The destination itself, which the marker of the prefix stands for.
    Root,
    /// It cannot be a file here.
    Odd,
}

/// The directories that the keys of a listing imply, without the `/` at their ends.
pub(super) fn directories<'a>(keys: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
    let mut directories = HashSet::new();
    for key in keys {
        let mut rest = key;
        while let Some((above, _)) = rest.rsplit_once('/') {
            if !directories.insert(above) {
                break;
            }
            rest = above;
        }
    }
    directories
}

/// Where an object goes. Its key is counted from the prefix, as are the directories.
pub(super) fn place(key: &str, size: u64, directories: &HashSet<&str>, odd_keys: OddKeys) -> LocalPlace {
    let is_marker = key.is_empty() || key.ends_with('/');
    if is_marker && size == 0 {
        return match key.trim_end_matches('/') {
            "" if key.len() <= 1 && key.is_empty() => LocalPlace::Root,
            _ => directory(key, odd_keys).map_or(LocalPlace::Odd, LocalPlace::Directory),
        };
    }
    let (above, name) = key.rsplit_once('/').map_or((None, key), |(above, name)| (Some(above), name));
    let role = if directories.contains(key) { NameRole::Shadowed } else { NameRole::File };
    let mut names = match above.map(|above| directory_names(above, odd_keys)) {
        Some(None) => return LocalPlace::Odd,
        Some(Some(names)) => names,
        None => Vec::new(),
    };
    match name_path(name, role, odd_keys) {
        Some(own) => names.extend(own),
        None => return LocalPlace::Odd,
    }
    LocalPlace::File(names.join("/"))
}

/// The path of a marker's directory.
fn directory(marker: &str, odd_keys: OddKeys) -> Option<String> {
    directory_names(marker.strip_suffix('/')?, odd_keys).map(|names| names.join("/"))
}

fn directory_names(path: &str, odd_keys: OddKeys) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for component in path.split('/') {
        names.extend(name_path(component, NameRole::Directory, odd_keys)?);
    }
    Some(names)
}

/// The path below the prefix of each object of a listing.
pub(super) fn below<'a>(entries: &'a [ListEntry], prefix: &str) -> Vec<&'a str> {
    entries.iter().map(|entry| entry.key.strip_prefix(prefix).unwrap_or(&entry.key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(keys: &[(&str, u64)], odd_keys: OddKeys) -> Vec<LocalPlace> {
        let directories = directories(keys.iter().map(|(key, _)| *key));
        keys.iter().map(|(key, size)| place(key, *size, &directories, odd_keys)).collect()
    }

    #[test]
    fn keys_become_paths_that_stay_below_the_destination() {
        let file = |path: &str| LocalPlace::File(path.to_owned());
        let keys = [
            ("a", 1),
            ("dir/b", 1),
            ("dir/deep/c", 0),
            ("dir/", 0),
            ("", 0),
            ("../x", 1),
            ("dir/../x", 1),
            ("/etc/passwd", 1),
            ("dir//x", 1),
            ("nul\0", 1),
            (".", 1),
            ("dir", 1),
            ("full/", 1),
        ];
        let odd = LocalPlace::Odd;
        assert_eq!(
            placed(&keys, OddKeys::Hide),
            [
                file("a"),
                file("dir/b"),
                file("dir/deep/c"),
                LocalPlace::Directory("dir".to_owned()),
                LocalPlace::Root,
                odd.clone(),
                odd.clone(),
                odd.clone(),
                odd.clone(),
                odd.clone(),
                odd.clone(),
                odd.clone(),
                odd,
            ]
        );
        let escaped: Vec<String> = placed(&keys, OddKeys::Escape)
            .into_iter()
            .filter_map(|place| if let LocalPlace::File(path) = place { Some(path) } else { None })
            .collect();
        assert_eq!(
            escaped,
            [
                "a",
                "dir/b",
                "dir/deep/c",
                "%oss-dir=../x",
                "dir/%oss-dir=../x",
                "%oss-dir=/etc/passwd",
                "dir/%oss-dir=/x",
                "%oss-file=nul%00",
                "%oss-file=.",
                "%oss-file=dir",
                "full/%oss-file=",
            ]
        );
        for path in escaped {
            assert!(path.split('/').all(|name| !name.is_empty() && name != "." && name != ".."), "{path}");
        }
    }

    #[test]
    fn directories_are_all_that_lie_above_a_key() {
        let mut found: Vec<&str> = directories(["a/b/c", "a/d", "e", "f/"].into_iter()).into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, ["a", "a/b", "f"]);
    }
}
