//! The known word that is closest to an unknown one.

use strsim::osa_distance;

/// The candidate closest to a mistyped word, if one is close enough to be worth saying: one change of a letter, or swap
/// of neighbours, for every three letters.
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?`, or nothing.
pub(super) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map(|found| format!("; did you mean {found:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let names = ["part-size", "prefetch", "region", "uid"];
        for (word, found) in [
            ("part-sise", Some("part-size")),
            ("partsize", Some("part-size")),
            ("regoin", Some("region")),
            ("uuid", Some("uid")),
            ("prefetching", Some("prefetch")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, names), found, "{word}");
        }
    }
}
