//! The kinds of values an option takes, and how each is read.

use std::time::Duration;

use crate::base::{ByteSize, Timestamp};

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `on` or `off`; the bare flag means `on`.
    Switch,
    /// Any text; holds the placeholder for help.
    Text(&'static str),
    /// A path of the file system.
    Path,
    /// Bytes, as in `8MiB`.
    Size,
    /// Bytes between these bounds, both included.
    SizeWithin(u64, u64),
    /// Bytes between these bounds, or `auto`.
    SizeWithinOrAuto(u64, u64),
    /// A time, as in `500ms`, `5s`, `2m`.
    Time,
    /// A time, or `indefinite`.
    TimeOrIndefinite,
    /// A whole number from 1 on.
    Count,
    /// A whole number from 1 to this one.
    CountUpTo(usize),
    /// A whole number from 1 to this one, or `auto`.
    CountUpToOrAuto(usize),
    /// A user or group number.
    Id,
    /// Permission bits in octal.
    Mode,
    /// Words, one each time it is given; holds the placeholder for help.
    List(&'static str),
    /// A time in the past: of the calendar, or how long ago.
    Moment,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// The placeholder in help and tables.
    pub fn placeholder(self) -> String {
        match self {
            Kind::Switch => "on|off".to_owned(),
            Kind::Text(placeholder) | Kind::List(placeholder) => placeholder.to_owned(),
            Kind::Path => "PATH".to_owned(),
            Kind::Size | Kind::SizeWithin(..) => "SIZE".to_owned(),
            Kind::SizeWithinOrAuto(..) => "SIZE|auto".to_owned(),
            Kind::Time | Kind::Moment => "TIME".to_owned(),
            Kind::TimeOrIndefinite => "TIME|indefinite".to_owned(),
            Kind::Count | Kind::CountUpTo(_) => "N".to_owned(),
            Kind::CountUpToOrAuto(_) => "N|auto".to_owned(),
            Kind::Id => "ID".to_owned(),
            Kind::Mode => "MODE".to_owned(),
            Kind::Choice(words) => words.join("|"),
        }
    }

    /// Fails with a phrase that says what would be right.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Switch => switch(text).map(drop),
            Kind::Text(_) | Kind::Path | Kind::List(_) => Ok(()),
            Kind::Size => size(text).map(drop),
            Kind::SizeWithin(least, most) => size(text).and_then(|bytes| within(bytes, least, most)),
            Kind::SizeWithinOrAuto(least, most) => {
                or_word(text, "auto", size)?.map_or(Ok(()), |bytes| within(bytes, least, most))
            }
            Kind::Time => parse_time(text).map(drop),
            Kind::Moment => Moment::parse(text).map(drop),
            Kind::TimeOrIndefinite => or_word(text, "indefinite", parse_time).map(drop),
            Kind::Count => count(text).map(drop),
            Kind::CountUpTo(most) => count(text).and_then(|count| not_more(count, most)),
            Kind::CountUpToOrAuto(most) => or_word(text, "auto", count)?.map_or(Ok(()), |count| not_more(count, most)),
            Kind::Id => id(text).map(drop),
            Kind::Mode => mode(text).map(drop),
            Kind::Choice(words) if words.contains(&text) => Ok(()),
            Kind::Choice(words) => Err(format!("{text:?} is not one of {}", words.join(", "))),
        }
    }
}

fn within(bytes: u64, least: u64, most: u64) -> Result<(), String> {
    match bytes {
        _ if bytes < least => Err(format!("the minimum is {}", ByteSize(least))),
        _ if bytes > most => Err(format!("the maximum is {}", ByteSize(most))),
        _ => Ok(()),
    }
}

fn not_more(count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("the maximum is {most}")) } else { Ok(()) }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>().map(|size| size.0).map_err(|error| error.to_string())
}

/// Reads a time such as `500ms`, `5s`, `2m` or `1h`; a number alone is in seconds. Fails with a phrase that says what
/// would be right.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let fail = || format!("{text:?} is not a time; write a whole number with ms, s, m or h, as in 60s");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| fail())?;
    let factor_ms: u64 = match &text[digits..] {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(fail()),
    };
    number.checked_mul(factor_ms).map(Duration::from_millis).ok_or_else(fail)
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{text:?} is not a whole number of at least 1"))
}

pub(super) fn descriptor(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|n| *n > 2)
        .ok_or_else(|| format!("{text:?} is not a file descriptor number of at least 3"))
}

pub(super) fn id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a numeric id; id -u and id -g print them"))
}

pub(super) fn mode(text: &str) -> Result<u16, String> {
    let bits = u16::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777 && !text.starts_with('+'));
    bits.ok_or_else(|| format!("{text:?} is not a mode; write octal digits, as in 0444"))
}

/// `None` for the word, else what the reader makes of it.
pub(super) fn or_word<T>(
    text: &str,
    word: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text == word {
        return Ok(None);
    }
    read(text).map(Some).map_err(|error| format!("{error}, or {word}"))
}

/// A time in the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// A time of the calendar.
    At(Timestamp),
    /// So long before the command was given, or before the mount was made.
    Ago(Duration),
}

impl Moment {
    /// Reads a time in RFC 3339, or a duration such as `90m`, `12h` or `3d`. Fails with a phrase that says what would
    /// be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
            return Ok(Moment::Ago(Duration::from_secs(u64::from(days) * 86_400)));
        }
        // A number alone may be meant for a year.
        let has_unit = text.ends_with(|c: char| c.is_ascii_lowercase());
        if let Some(ago) = parse_time(text).ok().filter(|_| has_unit) {
            return Ok(Moment::Ago(ago));
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Moment::At(Timestamp::from_unix(time.as_second()))),
            Err(_) => Err(format!(
                "{text:?} is not a time in the past; write one in RFC 3339, as in 2026-03-01T12:00:00Z, or how long \
                 ago, as in 90m, 12h or 3d"
            )),
        }
    }

    /// The time itself, where it is `now`.
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::At(time) => time,
            Moment::Ago(ago) => {
                Timestamp::from_unix(now.seconds.saturating_sub(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_seconds_without_a_unit() {
        for (text, ms) in
            [("0", 0), ("60", 60_000), ("500ms", 500), ("60s", 60_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "60 ", "1.5s", "-1s", "5 s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_time(text).unwrap_err().contains("60s"), "{text}");
        }
    }

    #[test]
    fn every_kind_refuses_nonsense_and_says_what_is_right() {
        for (kind, good, bad, says) in [
            (Kind::Switch, "on", "perhaps", "on nor off"),
            (Kind::Size, "8MiB", "8 apples", "512MiB"),
            (Kind::SizeWithin(1 << 20, 1 << 30), "1MiB", "1023KiB", "the minimum is 1MiB"),
            (Kind::SizeWithin(1 << 20, 1 << 30), "1GiB", "1025MiB", "the maximum is 1GiB"),
            (Kind::SizeWithinOrAuto(0, 9), "auto", "automatic", "or auto"),
            (Kind::SizeWithinOrAuto(0, 9), "9", "10", "the maximum is 9"),
            (Kind::Time, "5s", "soon", "60s"),
            (Kind::TimeOrIndefinite, "indefinite", "forever", "or indefinite"),
            (Kind::Count, "64", "0", "at least 1"),
            (Kind::CountUpTo(9), "9", "10", "the maximum is 9"),
            (Kind::CountUpTo(9), "1", "0", "at least 1"),
            (Kind::CountUpToOrAuto(9), "auto", "-1", "or auto"),
            (Kind::CountUpToOrAuto(9), "9", "10", "the maximum is 9"),
            (Kind::Id, "1000", "root", "id -u"),
            (Kind::Mode, "0444", "999", "0444"),
            (Kind::Choice(&["a", "b"]), "b", "c", "a, b"),
        ] {
            assert_eq!(kind.check(good), Ok(()), "{kind:?}");
            let said = kind.check(bad).unwrap_err();
            assert!(said.contains(says), "{kind:?}: {said}");
        }
        assert_eq!(mode("0755"), Ok(0o755));
        assert!(mode("7777").is_err() && mode("+444").is_err());
    }

    #[test]
    fn times_and_durations_are_told_apart() {
        let noon = Timestamp::from_unix(1_709_208_000);
        for (text, expected) in [
            ("2024-02-29T12:00:00Z", 1_709_208_000),
            ("2024-02-29T13:00:00+01:00", 1_709_208_000),
            ("2024-02-29t12:00:00.999z", 1_709_208_000),
            ("90m", 1_709_208_000 - 5_400),
            ("12h", 1_709_208_000 - 43_200),
            ("3d", 1_709_208_000 - 259_200),
            ("1500ms", 1_709_208_000 - 1),
        ] {
            assert_eq!(Moment::parse(text).map(|moment| moment.before(noon).seconds), Ok(expected), "{text}");
        }
        for text in
            ["", "yesterday", "2024-02-29", "2024-02-29T12:00:00", "2024-02-30T12:00:00Z", "2024", "-1h", "1.5h", "d"]
        {
            assert!(Moment::parse(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }
}
