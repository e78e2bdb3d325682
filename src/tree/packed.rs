//! Small values in few bytes: places in the arena, times, flags, entity tags.

use std::num::NonZeroU64;
use std::time::Duration;

use super::Kind;
use crate::base::Timestamp;

/// A place in the arena. Only the tree sees it: it is used again after its entry is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) const ROOT: NodeId = NodeId(0);
    /// The id that stands for no place.
    pub(super) const NONE: NodeId = NodeId(u32::MAX);
}

/// A time of the tree in eight bytes: nanoseconds, and one more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    pub(super) fn new(time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Moment(NonZeroU64::MIN.saturating_add(nanos))
    }

    pub(super) fn time(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }
}

/// Small facts of an entry, packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flags(u8);

impl Flags {
    /// The lowest two bits hold the [`Kind`].
    const KIND: u8 = 3;
    /// An object beside a directory of the same name.
    pub(super) const SHADOWED: u8 = 1 << 2;
    /// No longer in its directory; it goes when nothing refers to it.
    pub(super) const REMOVED: u8 = 1 << 3;
    /// Known to be out of date: the next look-up asks the store.
    pub(super) const STALE: u8 = 1 << 4;
    /// A directory whose prefix does not end in `/`.
    pub(super) const PART: u8 = 1 << 5;
    /// One version of an object, asked for by name.
    pub(super) const VERSION: u8 = 1 << 6;
    /// It has no name, and that was said.
    pub(super) const REPORTED: u8 = 1 << 7;

    pub(super) fn new(kind: Kind) -> Self {
        Flags(kind as u8)
    }

    pub(super) fn kind(self) -> Kind {
        match self.0 & Self::KIND {
            0 => Kind::Normal,
            1 => Kind::Multipart,
            2 => Kind::Appendable,
            _ => Kind::Symlink,
        }
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.0 = (self.0 & !Self::KIND) | kind as u8;
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    pub(super) fn set(&mut self, flag: u8, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }
}

/// A time in nanoseconds since 1970, which reaches from 1677 to 2262; times beyond stop there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PackedTime(i64);

impl PackedTime {
    pub(super) const UNKNOWN: PackedTime = PackedTime(i64::MIN);

    pub(super) fn new(time: Option<Timestamp>) -> Self {
        let Some(time) = time else { return PackedTime::UNKNOWN };
        let nanos = time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanos));
        PackedTime(nanos.max(i64::MIN + 1))
    }

    pub(super) fn time(self) -> Option<Timestamp> {
        (self != PackedTime::UNKNOWN).then(|| Timestamp {
            seconds: self.0.div_euclid(1_000_000_000),
            nanos: self.0.rem_euclid(1_000_000_000) as u32,
        })
    }

    /// Whether both are the same second, as far as they are known: listings and headers differ in the rest.
    pub(super) fn same_second(self, other: PackedTime) -> bool {
        match (self.time(), other.time()) {
            (Some(a), Some(b)) => a.seconds == b.seconds,
            _ => true,
        }
    }
}

/// An entity tag in 24 bytes: nearly all are the MD5 of an object or of the MD5s of its parts.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Tag {
    Absent,
    Md5 { sum: [u8; 16], case: Case },
    Parts { sum: [u8; 16], case: Case, parts: u32 },
    Text(Box<str>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    Lower,
    Upper,
}

impl Tag {
    pub(super) fn new(text: Option<&str>) -> Self {
        let Some(text) = text else { return Tag::Absent };
        Tag::pack(text.as_bytes()).unwrap_or_else(|| Tag::Text(text.into()))
    }

    /// `None` for whatever would not come back as it was written.
    fn pack(text: &[u8]) -> Option<Tag> {
        let (digits, rest) = text.split_first_chunk::<32>()?;
        let mut sum = [0; 16];
        let mut seen = 0;
        for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
            seen |= high | low;
            *byte = high << 4 | low & 15;
        }
        let case = match seen & !15 {
            0 | LOWER => Case::Lower,
            UPPER => Case::Upper,
            _ => return None,
        };
        match rest {
            [] => Some(Tag::Md5 { sum, case }),
            [b'-', count @ ..] => Some(Tag::Parts { sum, case, parts: whole_number(count)? }),
            _ => None,
        }
    }

    /// As the server wrote it.
    pub(super) fn text(&self) -> Option<String> {
        let digits = |sum: &[u8; 16], case: &Case| match case {
            Case::Lower => hex::encode(sum),
            Case::Upper => hex::encode_upper(sum),
        };
        match self {
            Tag::Absent => None,
            Tag::Md5 { sum, case } => Some(digits(sum, case)),
            Tag::Parts { sum, case, parts } => Some(format!("{}-{parts}", digits(sum, case))),
            Tag::Text(text) => Some(text.to_string()),
        }
    }

    /// Whether both name the same version: equal but for the case, or one of them unknown.
    pub(super) fn may_equal(&self, other: &Tag) -> bool {
        match (self, other) {
            (Tag::Absent, _) | (_, Tag::Absent) => true,
            (Tag::Md5 { sum: a, .. }, Tag::Md5 { sum: b, .. }) => a == b,
            (Tag::Parts { sum: a, parts: m, .. }, Tag::Parts { sum: b, parts: n, .. }) => a == b && m == n,
            _ => match (self.text(), other.text()) {
                (Some(a), Some(b)) => a.eq_ignore_ascii_case(&b),
                _ => true,
            },
        }
    }
}

/// What a hexadecimal digit is worth, and in which case it is written. Digits of a hash come in no order that a
/// processor could foresee, so that a table takes a third of the time that branches take.
const HEX: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut digit = 0;
    while digit < 16 {
        let kind = if digit < 10 { 0 } else { LOWER };
        table[b"0123456789abcdef"[digit] as usize] = digit as u8 | kind;
        if digit >= 10 {
            table[b"0123456789ABCDEF"[digit] as usize] = digit as u8 | UPPER;
        }
        digit += 1;
    }
    table
};
const LOWER: u8 = 16;
const UPPER: u8 = 32;
const OTHER: u8 = 64;

/// A number in the one way that it is written back.
fn whole_number(digits: &[u8]) -> Option<u32> {
    if !matches!(digits, [b'0'] | [b'1'..=b'9', ..]) {
        return None;
    }
    digits.iter().try_fold(0u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_pack_without_loss() {
        for text in [
            "5b3c1a2e053d763e1b002cc607c5a0fe",
            "5B3C1A2E053D763E1B002CC607C5A0FE",
            "5B3C1A2E053D763E1B002CC607C5A0FE-38",
            "5b3c1A2e053d763e1b002cc607c5a0fe",
            "5b3c1a2e053d763e1b002cc607c5a0fe-038",
            "5b3c1a2e053d763e1b002cc607c5a0fe-0",
            "5b3c1a2e053d763e1b002cc607c5a0fe-",
            "5b3c1a2e053d763e1b002cc607c5a0fe-+1",
            "5b3c1a2e053d763e1b002cc607c5a0fe-99999999999",
            "00000000000000000000000000000000",
            "D41D-1",
            "",
            "0x8D",
        ] {
            assert_eq!(Tag::new(Some(text)).text().as_deref(), Some(text));
        }
        let upper = Tag::new(Some("5B3C1A2E053D763E1B002CC607C5A0FE"));
        assert!(upper.may_equal(&Tag::new(Some("5b3c1a2e053d763e1b002cc607c5a0fe"))));
        assert!(upper.may_equal(&Tag::new(Some("5b3c1A2e053d763e1b002cc607c5a0fe"))));
        assert!(!upper.may_equal(&Tag::new(Some("5b3c1a2e053d763e1b002cc607c5a0fe-1"))));
        assert!(upper.may_equal(&Tag::Absent));
    }

    #[test]
    fn times_pack_without_loss() {
        for (seconds, nanos) in [(0, 0), (1_700_000_000, 123_000_000), (-1, 999_999_999), (-3600, 0)] {
            let time = Timestamp { seconds, nanos };
            assert_eq!(PackedTime::new(Some(time)).time(), Some(time));
        }
        assert_eq!(PackedTime::new(None).time(), None);
        assert!(PackedTime::new(Some(Timestamp::from_unix(i64::MAX))).time().is_some());
    }
}
