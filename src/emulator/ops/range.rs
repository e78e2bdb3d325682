//! Which bytes a `Range` header asks for, in both readings of OSS and in that of S3.

use std::ops::Range;

/// What is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Chosen {
    Whole,
    Part(Range<u64>),
    /// No byte of the object: status 416.
    Nothing,
}

/// How ranges beyond the object are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    /// OSS by default: a range that does not lie wholly inside means the whole object.
    Lenient,
    /// OSS with `x-oss-range-behavior: standard`, and S3: ends are clipped, a start beyond the end is refused.
    Standard,
}

enum Spec {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

/// Reads a `Range` header for an object of `size` bytes.
pub(super) fn choose(header: Option<&str>, size: u64, reading: Reading) -> Chosen {
    let Some(spec) = header.and_then(parse) else { return Chosen::Whole };
    match reading {
        Reading::Lenient => lenient(&spec, size).map_or(Chosen::Whole, Chosen::Part),
        Reading::Standard => standard(&spec, size).map_or(Chosen::Nothing, Chosen::Part),
    }
}

/// The first of several ranges; `None` when the header is malformed, which means the whole object everywhere.
fn parse(header: &str) -> Option<Spec> {
    let first = header.trim().strip_prefix("bytes=")?.split(',').next()?.trim();
    let (from, to) = first.split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (from.is_empty(), to.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Last(number(to)?)),
        (false, true) => Some(Spec::From(number(from)?)),
        (false, false) => {
            let (from, to) = (number(from)?, number(to)?);
            (from <= to).then_some(Spec::FromTo(from, to))
        }
    }
}

fn lenient(spec: &Spec, size: u64) -> Option<Range<u64>> {
    match *spec {
        Spec::FromTo(from, to) if to < size => Some(from..to + 1),
        Spec::From(from) if from < size => Some(from..size),
        Spec::Last(count) if count > 0 && count <= size => Some(size - count..size),
        _ => None,
    }
}

fn standard(spec: &Spec, size: u64) -> Option<Range<u64>> {
    match *spec {
        Spec::FromTo(from, to) if from < size => Some(from..to.min(size - 1) + 1),
        Spec::From(from) if from < size => Some(from..size),
        Spec::Last(count) if count > 0 && size > 0 => Some(size - count.min(size)..size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's table for an object of 1000 bytes.
    #[test]
    fn the_published_table_holds() {
        let part = |range| Chosen::Part(range);
        for (header, lenient, standard) in [
            ("bytes=0-499", part(0..500), part(0..500)),
            ("bytes=500-", part(500..1000), part(500..1000)),
            ("bytes=-500", part(500..1000), part(500..1000)),
            ("bytes=999-999", part(999..1000), part(999..1000)),
            ("byte=0-499", Chosen::Whole, Chosen::Whole),
            ("bytes=5-1", Chosen::Whole, Chosen::Whole),
            ("bytes=-", Chosen::Whole, Chosen::Whole),
            ("bytes=a-b", Chosen::Whole, Chosen::Whole),
            ("bytes=+1-2", Chosen::Whole, Chosen::Whole),
            ("bytes=0-99999999999999999999", Chosen::Whole, Chosen::Whole),
            ("bytes=0-1000", Chosen::Whole, part(0..1000)),
            ("bytes=500-2000", Chosen::Whole, part(500..1000)),
            ("bytes=1000-2000", Chosen::Whole, Chosen::Nothing),
            ("bytes=1000-", Chosen::Whole, Chosen::Nothing),
            ("bytes=-2000", Chosen::Whole, part(0..1000)),
            ("bytes=-0", Chosen::Whole, Chosen::Nothing),
            ("bytes=0-1,5-6", part(0..2), part(0..2)),
        ] {
            assert_eq!(choose(Some(header), 1000, Reading::Lenient), lenient, "{header} lenient");
            assert_eq!(choose(Some(header), 1000, Reading::Standard), standard, "{header} standard");
        }
        assert_eq!(choose(None, 1000, Reading::Standard), Chosen::Whole);
        assert_eq!(choose(Some("bytes=0-"), 0, Reading::Standard), Chosen::Nothing);
        assert_eq!(choose(Some("bytes=0-"), 0, Reading::Lenient), Chosen::Whole);
    }
}
