//! The head of an answer: status, headers, and what they say of the bytes that follow. Nothing here waits.

use std::fmt;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::chunked::{Chunks, Garbled};
use crate::base::Foreign;

/// More would be an attack: stores send a few dozen, and user metadata is limited to 8 KiB.
const MAX_HEADERS: usize = 400;

/// The longest head, in bytes.
const MAX_HEAD_BYTES: usize = 128 << 10;

/// How every answer begins.
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// So much of a header's name or value is shown to people, in bytes.
const MAX_SHOWN_BYTES: usize = 120;

/// What is said of an answer that is none at all.
pub(super) const NOT_HTTP: &str = "it is not HTTP";

/// A head as it came.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Headers that could not be used.
    pub(super) skipped: Vec<Skipped>,
    /// The minor version of HTTP/1.
    version: u8,
}

/// A header that could not be used. Its name and value are escaped, and cut where they are long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Skipped {
    pub(in crate::store) name: String,
    pub(in crate::store) value: String,
    why: &'static str,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header \"{}: {}\" cannot be used ({})", self.name, self.value, self.why)
    }
}

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
            return Err(Garbled::of("the head is too long"));
        }
        Ok(head)
    }
}

/// What is wrong with the beginning of a head of which no more will come, other than that.
pub(super) fn garbled(arrived: &[u8]) -> Option<Garbled> {
    parse(arrived).err()
}

/// What is read of a head while its lines are taken in.
#[derive(Default)]
struct Lines {
    headers: HeaderMap,
    skipped: Vec<Skipped>,
    /// The header of the last line, which the next one may go on.
    open: Option<(HeaderName, Vec<u8>)>,
}

fn parse(arrived: &[u8]) -> Result<Option<(Head, usize)>, Garbled> {
    // Some servers end the answer before with an empty line too many.
    let start = arrived.iter().take_while(|byte| [b'\r', b'\n'].contains(byte)).count();
    let Some((line, mut at)) = line(arrived, start) else {
        let begun = &arrived[start..];
        let len = begun.len().min(STATUS_LINE.len());
        return if begun[..len] == STATUS_LINE[..len] { Ok(None) } else { Err(not_http()) };
    };
    let (version, status) = status_line(line).ok_or_else(not_http)?;
    let mut lines = Lines::default();
    for count in 0.. {
        let Some((line, end)) = self::line(arrived, at) else { return Ok(None) };
        at = end;
        if line.is_empty() {
            lines.close()?;
            return Ok(Some((Head { status, headers: lines.headers, skipped: lines.skipped, version }, at)));
        }
        if count == MAX_HEADERS {
            break;
        }
        lines.take(line)?;
    }
    Err(Garbled::of("too many headers"))
}

/// The line that begins here, without its end, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let end = at + memchr::memchr(b'\n', &bytes[at..])?;
    let line = &bytes[at..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// The minor version and the status. The reason is for people and may be missing.
fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let (version, rest) = line.strip_prefix(STATUS_LINE)?.split_first()?;
    let (status, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let is_well_formed = [b'0', b'1'].contains(version) && status.iter().all(u8::is_ascii_digit);
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    (is_well_formed && matches!(reason.first(), None | Some(b' '))).then(|| (version - b'0', status))
}

impl Lines {
    fn take(&mut self, line: &[u8]) -> Result<(), Garbled> {
        if [b' ', b'\t'].contains(&line[0]) {
            // An old way to go on with the value of the line before: for a skipped one it is skipped too.
            if let Some((_, value)) = &mut self.open {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            return Ok(());
        }
        self.close()?;
        let Some(colon) = memchr::memchr(b':', line) else { return self.skip(line, b"", "it has no colon") };
        // Blanks before the colon are not allowed, but a client may drop them, and proxies must.
        let (name, value) = (line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii());
        match HeaderName::from_bytes(name) {
            Ok(name) => self.open = Some((name, value.to_vec())),
            Err(_) => return self.skip(name, value, "its name has a character that is not allowed"),
        }
        Ok(())
    }

    /// No line goes on with the last header.
    fn close(&mut self) -> Result<(), Garbled> {
        let Some((name, value)) = self.open.take() else { return Ok(()) };
        match HeaderValue::from_bytes(&value) {
            Ok(value) => drop(self.headers.append(name, value)),
            Err(_) => return self.skip(name.as_str().as_bytes(), &value, "its value has a control character"),
        }
        Ok(())
    }

    /// Goes on without a header, unless it may be one that says where the answer ends.
    fn skip(&mut self, name: &[u8], value: &[u8], why: &'static str) -> Result<(), Garbled> {
        let skipped = Skipped { name: shown(name), value: shown(value), why };
        let bare: Vec<u8> = name.iter().filter(|byte| byte.is_ascii_graphic()).map(u8::to_ascii_lowercase).collect();
        if [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|framing| bare.starts_with(framing.as_str().as_bytes())) {
            return Err(Garbled(format!("{skipped} and determines where the answer ends").into()));
        }
        self.skipped.push(skipped);
        Ok(())
    }
}

/// Bytes of a header for people.
fn shown(bytes: &[u8]) -> String {
    let cut = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_SHOWN_BYTES)]);
    format!("{}{}", Foreign(&cut), if bytes.len() > MAX_SHOWN_BYTES { "..." } else { "" })
}

fn not_http() -> Garbled {
    Garbled::of(NOT_HTTP)
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
            return Err(Garbled::of("it changes the protocol"));
        }
        if method == Method::HEAD || [204, 304].contains(&self.status) {
            return Ok((Framing::Length(0), reuse));
        }
        let length = self.content_length();
        if self.headers.contains_key(TRANSFER_ENCODING) {
            let is_chunked = words(&self.headers, TRANSFER_ENCODING).eq(["chunked"]);
            if !is_chunked || self.version == 0 {
                let coding = self.values(TRANSFER_ENCODING);
                return Err(Garbled(format!("its Transfer-Encoding is {coding}, which was not requested").into()));
            }
            // A length beside it counts for nothing, and a server that sent both may have cut the answer elsewhere.
            let reuse = if length == Ok(None) { reuse } else { Reuse::Never };
            return Ok((Framing::Chunked(Chunks::default()), reuse));
        }
        Ok(match length? {
            Some(length) => (Framing::Length(length), reuse),
            None => (Framing::UntilClose, Reuse::Never),
        })
    }

    /// The length of the body, or of what a GET would bring, where the head tells it.
    pub(super) fn length(&self) -> Result<Option<u64>, Garbled> {
        if self.headers.contains_key(TRANSFER_ENCODING) { Ok(None) } else { self.content_length() }
    }

    /// What Content-Length says; several of them must agree.
    fn content_length(&self) -> Result<Option<u64>, Garbled> {
        let wrong =
            || Garbled(format!("its Content-Length is {}, which is not a length", self.values(CONTENT_LENGTH)).into());
        let mut length = None;
        for word in words(&self.headers, CONTENT_LENGTH) {
            let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            match word.parse() {
                Ok(number) if is_number && length.is_none_or(|length| length == number) => length = Some(number),
                _ => return Err(wrong()),
            }
        }
        Ok(length)
    }

    /// The values of a header for people.
    fn values(&self, name: HeaderName) -> String {
        let values = self.headers.get_all(name).into_iter().map(|value| format!("\"{}\"", shown(value.as_bytes())));
        values.collect::<Vec<_>>().join(" and ")
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
            Err(Garbled(why)) => why.into_owned(),
        }
    }

    #[test]
    fn what_follows_a_head() {
        for (text, expected) in [
            ("200 OK | Content-Length: 5", "5 bytes, Allowed"),
            ("200 OK | Content-Length: 5 | Connection: Close", "5 bytes, Never"),
            ("200 OK | Content-Length: 5 | Connection: x, close", "5 bytes, Never"),
            ("200 OK | Content-Length: 5, 5 | Content-Length: 5", "5 bytes, Allowed"),
            (
                "200 OK | Content-Length: 5 | Content-Length: 6",
                "its Content-Length is \"5\" and \"6\", which is not a length",
            ),
            ("200 OK | Content-Length: +5", "its Content-Length is \"+5\", which is not a length"),
            ("200 OK | Content-Length: ", "its Content-Length is \"\", which is not a length"),
            (
                "200 OK | Content-Length: 18446744073709551616",
                "its Content-Length is \"18446744073709551616\", which is not a length",
            ),
            ("200 OK | Transfer-Encoding: Chunked", "chunked, Allowed"),
            ("200 OK | Transfer-Encoding: chunked | Content-Length: 5", "chunked, Never"),
            ("200 OK | Transfer-Encoding: chunked | Content-Length: x", "chunked, Never"),
            (
                "200 OK | Transfer-Encoding: gzip, chunked",
                "its Transfer-Encoding is \"gzip, chunked\", which was not requested",
            ),
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
        assert_eq!(head("220 mail.example.com ESMTP\r\n").unwrap_err(), Garbled::of("it is not HTTP"));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(head(&many).unwrap_err(), Garbled::of("too many headers"));
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_HEAD_BYTES));
        assert_eq!(head(&long).unwrap_err(), Garbled::of("the head is too long"));
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
