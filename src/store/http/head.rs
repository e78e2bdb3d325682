//! The head of an answer: status, headers, and what they say of the bytes that follow. Nothing here waits.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::chunked::Chunks;

/// More would be an attack: stores send a few dozen, and user metadata is limited to 8 KiB.
const MAX_HEADERS: usize = 400;

/// The longest head, in bytes.
const MAX_HEAD_BYTES: usize = 128 << 10;

/// A head as it came.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The minor version.
    version: u8,
}

/// Why a head is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled(pub(super) &'static str);

/// How the end of a body is found.
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many bytes, none of which may be left.
    Length(u64),
    Chunked(Chunks),
    /// With the end of the connection.
    UntilClose,
}

/// Whether another request may follow on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    Never,
}

/// Looks for heads in what arrives, so seldom that one which dribbles in byte by byte costs no more than it should.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// Up to here there is no end of a head.
    searched: usize,
    /// From so many bytes on it is worth the while to look whether this can become a head at all.
    next_look: usize,
}

impl HeadReader {
    /// The head at the start of what has arrived and its length, or `None` while it is not all there.
    pub(super) fn read(&mut self, arrived: &[u8]) -> Result<Option<(Head, usize)>, Garbled> {
        if arrived.is_empty() {
            return Ok(None);
        }
        let from = self.searched.saturating_sub(3);
        let is_whole = memchr::memmem::find(&arrived[from..], b"\n\r\n").is_some()
            || memchr::memmem::find(&arrived[from..], b"\n\n").is_some();
        self.searched = arrived.len();
        if !is_whole && arrived.len() < self.next_look {
            return Ok(None);
        }
        self.next_look = arrived.len() * 2;
        let head = parse(arrived)?;
        if head.is_none() && arrived.len() >= MAX_HEAD_BYTES {
            return Err(Garbled("the head is too long"));
        }
        Ok(head)
    }
}

/// What is wrong with the beginning of a head of which no more will come, other than that.
pub(super) fn garbled(arrived: &[u8]) -> Option<Garbled> {
    parse(arrived).err()
}

fn parse(arrived: &[u8]) -> Result<Option<(Head, usize)>, Garbled> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut slots);
    let len = match parsed.parse(arrived) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Garbled("too many headers")),
        Err(_) => return Err(Garbled("it is not HTTP")),
    };
    let (Some(version), Some(status)) = (parsed.version, parsed.code) else { return Err(Garbled("it is not HTTP")) };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Garbled("a header's name is wrong"))?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| Garbled("a header's value is wrong"))?;
        headers.append(name, value);
    }
    Ok(Some((Head { status, headers, version }, len)))
}

impl Head {
    /// Whether another answer follows that is the real one.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// What follows an answer to this method, and whether the connection may be used again after it.
    pub(super) fn framing(&self, method: &Method) -> Result<(Framing, Reuse), Garbled> {
        let closes = self.version == 0 || words(&self.headers, CONNECTION).any(|word| word == "close");
        let reuse = if closes { Reuse::Never } else { Reuse::Allowed };
        if self.status == 101 {
            return Err(Garbled("it changes the protocol"));
        }
        if method == Method::HEAD || [204, 304].contains(&self.status) {
            return Ok((Framing::Length(0), reuse));
        }
        let length = self.length();
        if self.headers.contains_key(TRANSFER_ENCODING) {
            let is_chunked = words(&self.headers, TRANSFER_ENCODING).eq(["chunked"]);
            if !is_chunked || self.version == 0 {
                return Err(Garbled("its body is encoded in a way that was not asked for"));
            }
            // A length beside it counts for nothing, and whoever sent both may have cut the answer elsewhere.
            let reuse = if length == Ok(None) { reuse } else { Reuse::Never };
            return Ok((Framing::Chunked(Chunks::default()), reuse));
        }
        Ok(match length? {
            Some(length) => (Framing::Length(length), reuse),
            None => (Framing::UntilClose, Reuse::Never),
        })
    }

    /// What the headers say of the length; several of them must agree.
    fn length(&self) -> Result<Option<u64>, Garbled> {
        let wrong = Garbled("its length makes no sense");
        let mut length = None;
        for word in words(&self.headers, CONTENT_LENGTH) {
            let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            match word.parse() {
                Ok(number) if is_number && length.is_none_or(|length| length == number) => length = Some(number),
                _ => return Err(wrong),
            }
        }
        match length.is_none() && self.headers.contains_key(CONTENT_LENGTH) {
            true => Err(wrong),
            false => Ok(length),
        }
    }
}

/// The words of a list header in lower case. What is no text is a word that means nothing.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    values.flat_map(|value| value.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<(Head, usize)>, Garbled> {
        HeadReader::default().read(text.as_bytes())
    }

    /// What is made of header lines, shortly.
    fn judged(method: Method, status_and_headers: &str) -> String {
        let text = format!("HTTP/1.1 {}\r\n\r\n", status_and_headers.replace(" | ", "\r\n"));
        let (head, len) = head(&text).unwrap().unwrap();
        assert_eq!(len, text.len());
        match head.framing(&method) {
            Ok((Framing::Length(length), reuse)) => format!("{length} bytes, {reuse:?}"),
            Ok((Framing::Chunked(_), reuse)) => format!("chunked, {reuse:?}"),
            Ok((Framing::UntilClose, reuse)) => format!("until the end, {reuse:?}"),
            Err(Garbled(why)) => why.to_owned(),
        }
    }

    #[test]
    fn what_follows_a_head() {
        let senseless = "its length makes no sense";
        for (text, expected) in [
            ("200 OK | Content-Length: 5", "5 bytes, Allowed"),
            ("200 OK | Content-Length: 5 | Connection: Close", "5 bytes, Never"),
            ("200 OK | Content-Length: 5 | Connection: x, close", "5 bytes, Never"),
            ("200 OK | Content-Length: 5, 5 | Content-Length: 5", "5 bytes, Allowed"),
            ("200 OK | Content-Length: 5 | Content-Length: 6", senseless),
            ("200 OK | Content-Length: +5", senseless),
            ("200 OK | Content-Length: ", senseless),
            ("200 OK | Content-Length: 18446744073709551616", senseless),
            ("200 OK | Transfer-Encoding: Chunked", "chunked, Allowed"),
            ("200 OK | Transfer-Encoding: chunked | Content-Length: 5", "chunked, Never"),
            ("200 OK | Transfer-Encoding: chunked | Content-Length: x", "chunked, Never"),
            ("200 OK | Transfer-Encoding: gzip, chunked", "its body is encoded in a way that was not asked for"),
            ("200 OK", "until the end, Never"),
            ("204 No Content | Content-Length: 5", "0 bytes, Allowed"),
            ("304 Not Modified | Transfer-Encoding: chunked", "0 bytes, Allowed"),
            ("101 Switching Protocols", "it changes the protocol"),
        ] {
            assert_eq!(judged(Method::GET, text), expected, "{text}");
        }
        assert_eq!(judged(Method::HEAD, "200 OK | Content-Length: 5"), "0 bytes, Allowed");
        let (old, _) = head("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n").unwrap().unwrap();
        assert!(matches!(old.framing(&Method::GET), Ok((Framing::Length(5), Reuse::Never))));
    }

    #[test]
    fn too_much_is_refused_and_too_little_waited_for() {
        assert!(head("HTTP/1.1 200 OK\r\nA: b\r\n").unwrap().is_none());
        assert_eq!(head("220 mail.example.com ESMTP\r\n").unwrap_err(), Garbled("it is not HTTP"));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(head(&many).unwrap_err(), Garbled("too many headers"));
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_HEAD_BYTES));
        assert_eq!(head(&long).unwrap_err(), Garbled("the head is too long"));
    }

    proptest! {
        #[test]
        fn heads_that_come_in_pieces_are_the_same(
            text in prop_oneof![
                "HTTP/1\\.[01] [1-5][0-9][0-9] OK\r?\n([a-zA-Z-]{1,5}: ?[a-z,5]{0,5}\r?\n){0,5}\r?\n.{0,5}",
                "[HTP/1. 20\r\n:a]{0,40}",
            ],
            steps in prop::collection::vec(1..9usize, 1..80),
        ) {
            let text = text.as_bytes();
            let whole = HeadReader::default().read(text);
            let (mut reader, mut arrived, mut steps) = (HeadReader::default(), 0, steps.iter().cycle());
            let pieces = loop {
                arrived = text.len().min(arrived + steps.next().unwrap());
                match reader.read(&text[..arrived]) {
                    Ok(None) if arrived < text.len() => {}
                    end => break end,
                }
            };
            match (whole, pieces) {
                (Ok(Some((a, a_len))), Ok(Some((b, b_len)))) => {
                    prop_assert_eq!((a.status, a.headers, a_len), (b.status, b.headers, b_len));
                }
                (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
                // What is not all there may or may not be seen to be wrong yet.
                (Err(_), Ok(None)) => {}
                (whole, pieces) => prop_assert!(false, "{whole:?} and {pieces:?}"),
            }
        }
    }
}
