//! The known word that is closest to an unknown one.
//!
//! A wrong suggestion is worse than none: it sends people after an option that does something else. So words are
//! compared piece by piece between their hyphens, and `min-connections` does not suggest `max-connections`.

use strsim::osa_distance;

/// The fewest letters of an abbreviation that is recognised.
const LEAST_ABBREVIATION: usize = 3;

/// The fewest letters that stand for a whole name of several pieces.
const LEAST_BEGINNING: usize = 4;

/// The candidates closest to a mistyped word, if they are close enough to be worth saying; several where none of them
/// is closer than the others.
fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(word, candidate)?, candidate.len(), candidate)))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    let Some(&(nearest, length, _)) = ranked.first() else { return Vec::new() };
    ranked.retain(|(distance, len, _)| (*distance, *len) == (nearest, length));
    ranked.into_iter().map(|(.., candidate)| candidate).collect()
}

/// `; did you mean "x"?`, or nothing.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match closest(word, candidates)[..] {
        [found] => format!("; did you mean {found:?}?"),
        [first, second] => format!("; did you mean {first:?} or {second:?}?"),
        _ => String::new(),
    }
}

/// How far a word is from a candidate; `None` where it is too far to have been meant.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let pieces = |text: &str| text.split(['-', '_']).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    let (mut word_pieces, mut candidate_pieces) = (pieces(word), pieces(candidate));
    let (joined, candidate_joined) = (word_pieces.concat(), candidate_pieces.concat());
    if joined == candidate_joined {
        return Some(0);
    }
    if word_pieces.len() == candidate_pieces.len() {
        let pairs = word_pieces.iter().zip(&candidate_pieces);
        let near: Option<usize> = pairs.map(|(piece, other)| piece_distance(piece, other)).sum();
        if near.is_some() {
            return near;
        }
        word_pieces.sort_unstable();
        candidate_pieces.sort_unstable();
        return (word_pieces == candidate_pieces).then_some(1);
    }
    if joined.chars().count() >= LEAST_BEGINNING && candidate_joined.starts_with(&joined) {
        return Some(2);
    }
    let far = osa_distance(&joined, &candidate_joined);
    (far <= allowed(&joined) / 2).then_some(far)
}

/// The same for what stands between two hyphens.
fn piece_distance(piece: &str, other: &str) -> Option<usize> {
    let (length, other_length) = (piece.chars().count(), other.chars().count());
    let is_abbreviation = length >= LEAST_ABBREVIATION && other.starts_with(piece);
    let is_longer_form = piece.starts_with(other) && 3 * other_length >= 2 * length;
    let far = osa_distance(piece, other);
    match far {
        0 => Some(0),
        _ if is_abbreviation || (is_longer_form && other_length >= LEAST_ABBREVIATION) => Some(1),
        _ => (far <= allowed(piece).min(allowed(other))).then_some(far),
    }
}

/// How many letters of a word may be wrong.
fn allowed(word: &str) -> usize {
    word.chars().count() / 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TABLE;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let names = || TABLE.iter().map(|row| row.name);
        for (word, found) in [
            ("part-sise", &["part-size"][..]),
            ("partsize", &["part-size"]),
            ("part_size", &["part-size"]),
            ("regoin", &["region"]),
            ("uuid", &["uid"]),
            ("guid", &["gid", "uid"]),
            ("prefetching", &["prefetch"]),
            ("mem-limit", &["memory-limit"]),
            ("limit-memory", &["memory-limit"]),
            ("memorylimit", &["memory-limit"]),
            ("max-conns", &[]),
            ("max-conn", &["max-connections"]),
            ("max-bandwith", &["max-bandwidth"]),
            ("allow-others", &["allow-other"]),
            ("metdata-ttl", &["metadata-ttl"]),
            ("credential-file", &["credentials-file"]),
            ("cred", &["credentials"]),
            ("non-empty", &["nonempty"]),
            ("file-mod", &["file-mode"]),
            // What would mislead: another option's name by accident, or the opposite.
            ("min-connections", &[]),
            ("log-dir", &[]),
            ("allow-delete", &[]),
            ("allow-write", &[]),
            ("allow-user", &[]),
            ("no-copy", &[]),
            ("verbose", &[]),
            ("sync", &[]),
            ("read-only", &[]),
            ("threads", &[]),
            ("mode", &[]),
            ("id", &[]),
            ("key", &[]),
            ("user", &[]),
            ("colour", &[]),
            ("", &[]),
        ] {
            assert_eq!(closest(word, names()), found, "{word}");
        }
    }

    #[test]
    fn two_that_are_as_close_are_both_said_and_more_are_not() {
        assert_eq!(hint("guid", ["uid", "gid"]), "; did you mean \"gid\" or \"uid\"?");
        assert_eq!(hint("aab", ["aac", "aad", "aae"]), "");
        assert_eq!(hint("regoin", ["region", "region"]), "; did you mean \"region\"?");
    }
}
