//! Decoding the chunked transfer coding. Pure: bytes go in, and what they are comes out.

use std::borrow::Cow;

/// Why bytes are not what the protocol has there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled(pub(super) Cow<'static, str>);

impl Garbled {
    pub(super) fn of(why: &'static str) -> Garbled {
        Garbled(Cow::Borrowed(why))
    }
}

/// The longest line that says a chunk's size, in bytes; servers send a few digits.
const MAX_SIZE_LINE_BYTES: usize = 4 << 10;

/// The most that may follow the last chunk, in bytes.
const MAX_TRAILER_BYTES: usize = 16 << 10;

/// How far the decoding of a body has come.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: Expecting,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Expecting {
    /// Before the line with the size of a chunk.
    #[default]
    Size,
    /// Within a chunk, with so many bytes to come.
    Data(u64),
    /// Before the end of line that follows a chunk.
    DataEnd,
    /// Behind the last chunk, before a line of the trailer or the empty one.
    Trailer,
    End,
}

/// What the bytes at the front are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing yet: more bytes are needed.
    More,
    /// So many bytes between the data.
    Skip(usize),
    /// So many bytes of data at most; [`Chunks::taken`] tells how many were used.
    Data(usize),
    /// The body has ended before these bytes.
    End,
}

impl Chunks {
    /// What the front of `bytes` is. After `Skip` it is to be asked about what follows.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Piece, Garbled> {
        match self.state {
            Expecting::Data(left) => Ok(match bytes.is_empty() {
                true => Piece::More,
                false => Piece::Data(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())),
            }),
            Expecting::Size => self.size(bytes),
            Expecting::DataEnd => match bytes {
                [b'\r', b'\n', ..] => Ok(self.skip(2, Expecting::Size)),
                [] | [b'\r'] => Ok(Piece::More),
                _ => Err(Garbled::of("a chunk does not end where it should")),
            },
            Expecting::Trailer => self.trailer(bytes),
            Expecting::End => Ok(Piece::End),
        }
    }

    /// Notes that so many bytes of data were used.
    pub(super) fn taken(&mut self, len: usize) {
        if let Expecting::Data(left) = self.state {
            self.state = match left.saturating_sub(len as u64) {
                0 => Expecting::DataEnd,
                left => Expecting::Data(left),
            };
        }
    }

    fn skip(&mut self, len: usize, next: Expecting) -> Piece {
        self.state = next;
        Piece::Skip(len)
    }

    fn size(&mut self, bytes: &[u8]) -> Result<Piece, Garbled> {
        if bytes.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(Garbled::of("a chunk has no size"));
        }
        match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete((len, 0))) => Ok(self.skip(len, Expecting::Trailer)),
            Ok(httparse::Status::Complete((len, size))) => Ok(self.skip(len, Expecting::Data(size))),
            Ok(httparse::Status::Partial) if bytes.len() < MAX_SIZE_LINE_BYTES => Ok(Piece::More),
            _ => Err(Garbled::of("a chunk has no size")),
        }
    }

    /// Trailers say nothing that a store uses.
    fn trailer(&mut self, bytes: &[u8]) -> Result<Piece, Garbled> {
        let line = memchr::memchr(b'\n', bytes).map(|end| &bytes[..=end]);
        let seen = self.trailer_bytes + line.unwrap_or(bytes).len();
        match line {
            _ if seen > MAX_TRAILER_BYTES => Err(Garbled::of("too much follows the last chunk")),
            None => Ok(Piece::More),
            Some(b"\n" | b"\r\n") => Ok(self.skip(line.map_or(0, <[u8]>::len), Expecting::End)),
            Some(line) => {
                self.trailer_bytes = seen;
                Ok(self.skip(line.len(), Expecting::Trailer))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data in bytes that arrive so many at a time, what follows them, and whether they end.
    fn decode(bytes: &[u8], mut steps: impl Iterator<Item = usize>) -> Result<(Vec<u8>, usize, bool), Garbled> {
        let (mut chunks, mut data) = (Chunks::default(), Vec::new());
        let (mut from, mut arrived) = (0, 0);
        loop {
            match chunks.next(&bytes[from..arrived])? {
                Piece::More if arrived == bytes.len() => return Ok((data, bytes.len() - from, false)),
                Piece::More => arrived = bytes.len().min(arrived + steps.next().unwrap_or(1)),
                Piece::Skip(len) => from += len,
                Piece::Data(len) => {
                    data.extend_from_slice(&bytes[from..from + len]);
                    from += len;
                    chunks.taken(len);
                }
                Piece::End => return Ok((data, bytes.len() - from, true)),
            }
        }
    }

    fn at_once(text: &[u8]) -> Result<(Vec<u8>, usize, bool), Garbled> {
        decode(text, std::iter::once(text.len()))
    }

    #[test]
    fn chunks_extensions_and_trailers() {
        let text = b"4\r\n0123\r\n6;x=\"y\"\r\n456789\r\n0\r\nA: b\r\n\r\nHTTP";
        assert_eq!(at_once(text).unwrap(), (b"0123456789".to_vec(), 4, true));
        assert_eq!(at_once(b"0\r\n\r\n").unwrap(), (Vec::new(), 0, true));
        assert_eq!(at_once(b"5\r\nab").unwrap(), (b"ab".to_vec(), 0, false));
        for wrong in ["x\r\n", "-1\r\n", "1\r\nabc", "11111111111111111\r\n", "\r\n", "1 1\r\n"] {
            assert!(at_once(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(at_once(format!("0\r\n{}", "a: b\r\n".repeat(MAX_TRAILER_BYTES)).as_bytes()).is_err());
        assert!(at_once(format!("1;{}", "a".repeat(MAX_SIZE_LINE_BYTES)).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn what_arrives_in_odd_pieces_is_the_same(
            text in prop_oneof!["([0-3]\\r\\n[a-z]{0,3}(\\r\\n)?){0,8}(0\\r\\n(a: b\\r\\n){0,2}\\r\\n)?.{0,4}", "[0-9a-f;\\r\\n]{0,30}"],
            steps in prop::collection::vec(1..4usize, 60),
        ) {
            let (whole, pieces) = (at_once(text.as_bytes()), decode(text.as_bytes(), steps.into_iter()));
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((data, rest, _)) = at_once(&bytes) {
                prop_assert!(data.len() + rest <= bytes.len());
            }
        }
    }
}
