//! Sizes in the notation of people: `512MiB`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes. Parses `4096`, `64KiB`, `8MiB`, `2GiB`, `1TiB` (any case, a blank before the unit is allowed),
/// the same as `2Gi` and `2G`, and the decimal `KB`, `MB`, `GB`, `TB`; prints the largest binary unit that divides it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// A size of `n` binary megabytes.
    pub const fn mib(n: u64) -> Self {
        ByteSize(n << 20)
    }
}

/// Why a text is not a size. Says what would be one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseSizeError(String);

impl fmt::Display for ParseSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a size; write a whole number with KiB, MiB, GiB or TiB, as in 512MiB", self.0)
    }
}

impl std::error::Error for ParseSizeError {}

const UNITS: [(&str, u64); 18] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let fail = || ParseSizeError(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let number: u64 = trimmed[..digits].parse().map_err(|_| fail())?;
        let unit = trimmed[digits..].trim_start().to_ascii_lowercase();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fail)?;
        number.checked_mul(*factor).map(ByteSize).ok_or_else(fail)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("8MiB", 8 << 20), ("2 gib", 2 << 30), ("1MB", 1_000_000), ("3TiB", 3 << 40)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["2G", "2g", "2Gi", "2gi", "2GiB", "2048M", "2048Mi", "2097152K", "2097152Ki"] {
            assert_eq!(text.parse(), Ok(ByteSize(2 << 30)), "{text}");
        }
        assert_eq!(("1T".parse(), "1Ti".parse()), (Ok(ByteSize(1 << 40)), Ok(ByteSize(1 << 40))));
        for text in ["", "MiB", "-1", "1.5GiB", "8 apples", "99999999TiB", "0x10"] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains("512MiB"), "{error}");
        }
        assert_eq!(ByteSize(8 << 20).to_string(), "8MiB");
        assert_eq!(ByteSize((1 << 20) + 1).to_string(), "1048577");
    }
}
