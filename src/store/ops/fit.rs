//! Whether an answer to GetObject matches the request: which bytes it has, of which version. Nothing here waits.
//!
//! Answers mostly say so themselves. Where a header is missing, what was asked for and what is known of the version
//! stand in for it, if together with the length of the answer they leave no doubt: a size is believed only of an
//! answer that shows, by entity tag or time, that it is of that version. All else is an error that names the header.

use http::HeaderMap;

use super::meta::{http_time, text};
use super::unfit;
use crate::base::{ByteRange, ETag, Timestamp};
use crate::store::http::Skipped;
use crate::store::{Error, ErrorKind, Expected, GetRequest, Result};

/// What the head of an answer says of its body.
#[derive(Debug)]
pub(super) struct RangeAnswer<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// Headers that could not be used.
    pub(super) skipped: &'a [Skipped],
    /// The length of the body, if the answer says it.
    pub(super) length: Option<u64>,
}

/// What an answer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fit {
    pub(super) range: ByteRange,
    /// Size of the whole object in bytes.
    pub(super) size: u64,
    /// Whether the answer says how long it is.
    pub(super) end: End,
}

/// How it is known where a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The answer says so.
    Told,
    /// Only from what is known of the object: the body must be seen to end there.
    Expected,
}

/// How an answer shows that it is of the version asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sameness {
    /// It carries the entity tag that was asked for.
    Tagged,
    /// It is of the same second.
    Timed,
    /// It is of another second.
    Other,
    /// Not at all: the caller must compare what there is.
    Untold,
}

/// What the Content-Range of an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Told {
    range: ByteRange,
    /// The size of the object; `None` for `*`.
    total: Option<u64>,
}

impl RangeAnswer<'_> {
    /// What the answer holds, or why it does not fit the request.
    pub(super) fn fit(&self, request: &GetRequest) -> Result<Fit> {
        let version = self.version(request)?;
        let fit = match (self.status, self.content_range()?, request.range) {
            // Some servers send the part that was asked for, say so, and call it 200.
            (200 | 206, Some(Told { range, total: Some(size) }), Some(_)) => Fit { range, size, end: End::Told },
            (200 | 206, Some(Told { range, total: None }), Some(_)) => {
                let size = self.expected(request, version, "a Content-Range with its total")?.size;
                Fit { range, size, end: End::Told }
            }
            (206, None, Some(asked)) => self.unmarked(request, version, asked)?,
            (200, None, asked) => self.plain(request, version, asked)?,
            (status, _, _) => return Err(unfit(format!("status {status} does not answer the request"))),
        };
        self.check(request, version, fit)
    }

    fn check(&self, request: &GetRequest, version: Sameness, fit: Fit) -> Result<Fit> {
        let Fit { range, size, .. } = fit;
        if let Some(length) = self.length.filter(|length| *length != range.len()) {
            return Err(unfit(format!("{range:?} came with a Content-Length of {length}")));
        }
        if let (Sameness::Tagged, Some(expected)) = (version, request.expected.filter(|expected| expected.size != size))
        {
            return Err(self.contradiction(size, expected.size));
        }
        let Some(asked) = request.range else { return Ok(fit) };
        if asked.start >= size {
            return Err(Error::new(ErrorKind::RangeNotSatisfiable, format!("{asked:?} is past the end at {size}")));
        }
        let wanted = asked.intersect(ByteRange::new(0, size));
        // What does not say which bytes it has, and is not longer than what was asked for, may be just that.
        let is_clear = self.headers.contains_key("content-range")
            || range.len() > asked.len()
            || request.expected.is_some() && matches!(version, Sameness::Tagged | Sameness::Timed);
        if range == wanted || is_clear && range.contains(wanted) {
            return Ok(fit);
        }
        let hint = if range.len() == size { ": the server ignores the Range header" } else { "" };
        Err(unfit(format!("{asked:?} of {size} bytes was requested and {range:?} received{hint}")))
    }

    /// Whether the body may be the whole object or what was asked for, and its length will not be known before its
    /// end: the same request without a range is answered with the whole.
    pub(super) fn is_whole_or_part(&self, request: &GetRequest) -> bool {
        let is_plain = self.status == 200 && self.length.is_none() && !self.headers.contains_key("content-range");
        is_plain && request.range.is_some()
    }

    /// A 206 that does not say which part it is.
    fn unmarked(&self, request: &GetRequest, version: Sameness, asked: ByteRange) -> Result<Fit> {
        if let Some(kind) = text(self.headers, "content-type")
            && kind.to_ascii_lowercase().starts_with("multipart/byteranges")
        {
            return Err(unfit(format!(
                "one range was requested, and several may have been received (Content-Type {kind:?})"
            )));
        }
        let size = self.expected(request, version, "a Content-Range")?.size;
        let range = asked.intersect(ByteRange::new(0, size));
        match self.length {
            None => Ok(Fit { range, size, end: End::Expected }),
            Some(length) if length == range.len() => Ok(Fit { range, size, end: End::Told }),
            Some(length) => Err(unfit(format!(
                "{}, and its Content-Length of {length} is not that of {range:?}, which was requested",
                self.lacks("content-range", "Content-Range")
            ))),
        }
    }

    /// A 200 that does not say that it is a part: the whole object, or on some servers what was asked for.
    fn plain(&self, request: &GetRequest, version: Sameness, asked: Option<ByteRange>) -> Result<Fit> {
        let whole = |size, end| Fit { range: ByteRange::new(0, size), size, end };
        let Some(length) = self.length else {
            let size = request.expected.map(|expected| expected.size);
            return match size.filter(|size| asked.is_none_or(|asked| asked.start == 0 && asked.end >= *size)) {
                Some(size) => Ok(whole(size, End::Expected)),
                None => Err(unfit(self.lacks("content-length", "Content-Length"))),
            };
        };
        let Some(size) = request.expected.map(|expected| expected.size).filter(|size| *size != length) else {
            return Ok(whole(length, End::Told));
        };
        let part = asked.map(|asked| asked.intersect(ByteRange::new(0, size)));
        match (version, part.filter(|part| part.len() == length)) {
            (Sameness::Tagged | Sameness::Timed, Some(range)) => Ok(Fit { range, size, end: End::Told }),
            (Sameness::Tagged, None) => Err(self.contradiction(length, size)),
            _ => Err(Error::new(
                ErrorKind::Changed,
                format!("an object of {size} bytes was requested and its Content-Length is {length}"),
            )),
        }
    }

    /// What is known of the version, if the answer is of it.
    fn expected(&self, request: &GetRequest, version: Sameness, wanted: &str) -> Result<Expected> {
        match (version, request.expected) {
            (Sameness::Tagged | Sameness::Timed, Some(expected)) => Ok(expected),
            (Sameness::Other, Some(expected)) => Err(self.other_time(&expected)),
            _ => Err(unfit(format!(
                "{}, and nothing else in the answer shows which bytes it has: the server should send {wanted}, or the \
                 ETag and Last-Modified that it lists",
                self.lacks("content-range", "Content-Range")
            ))),
        }
    }

    /// Servers exist that ignore If-Match, and some send no entity tags with objects.
    fn version(&self, request: &GetRequest) -> Result<Sameness> {
        let listed = request.expected.and_then(|expected| expected.last_modified);
        let by_time = match (http_time(self.headers, "last-modified"), listed) {
            (Some(time), Some(listed)) if time.seconds == listed.seconds => Sameness::Timed,
            (Some(_), Some(_)) => Sameness::Other,
            _ => Sameness::Untold,
        };
        let Some(wanted) = &request.if_match else { return Ok(by_time) };
        match (text(self.headers, "etag").and_then(|value| ETag::parse(&value)), by_time, request.expected) {
            (Some(tag), _, _) if tag == *wanted => Ok(Sameness::Tagged),
            (Some(tag), _, _) => {
                Err(Error::new(ErrorKind::Changed, format!("entity tag {wanted} was requested and {tag} received")))
            }
            (None, Sameness::Timed, _) => Ok(Sameness::Timed),
            (None, Sameness::Other, Some(expected)) => Err(self.other_time(&expected)),
            _ => Err(unfit(format!(
                "{} to compare, and {} in its place",
                self.lacks("etag", "ETag"),
                self.lacks("last-modified", "Last-Modified").replacen("the answer has ", "", 1)
            ))),
        }
    }

    /// What Content-Range says; several of them must agree.
    fn content_range(&self) -> Result<Option<Told>> {
        let mut told = None;
        for value in self.headers.get_all("content-range") {
            let value = String::from_utf8_lossy(value.as_bytes());
            let range = parse_content_range(&value);
            if range.is_none() || told.is_some() && told != range {
                return Err(unfit(format!("Content-Range {value:?} is not valid")));
            }
            told = range;
        }
        Ok(told)
    }

    fn other_time(&self, expected: &Expected) -> Error {
        let seconds = |time: Option<Timestamp>| time.map_or(0, |time| time.seconds);
        let (came, wanted) = (seconds(http_time(self.headers, "last-modified")), seconds(expected.last_modified));
        Error::new(
            ErrorKind::Changed,
            format!("an object last modified at {wanted} s was requested and one of {came} s received"),
        )
    }

    fn contradiction(&self, told: u64, listed: u64) -> Error {
        unfit(format!(
            "the answer carries the ETag of the object of {listed} bytes that was listed, and its Content-Length or \
             Content-Range says {told} bytes"
        ))
    }

    /// That a header is missing, or why it is of no use.
    fn lacks(&self, name: &str, shown: &str) -> String {
        let skipped = self.skipped.iter().find(|skipped| skipped.name.eq_ignore_ascii_case(name));
        match (skipped, self.headers.get(name)) {
            (Some(skipped), _) => format!("the answer has no {shown} ({skipped})"),
            (None, Some(value)) => {
                format!("the answer has no {shown} of use (it is \"{}\")", value.as_bytes().escape_ascii())
            }
            (None, None) => format!("the answer has no {shown}"),
        }
    }
}

/// `bytes 0-499/1000`: the part and the whole, which may be `*`.
fn parse_content_range(value: &str) -> Option<Told> {
    let number = |digits: &str| -> Option<u64> {
        let digits = digits.trim();
        // `parse` takes a sign.
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total.trim() == "*" { None } else { Some(number(total)?) };
    let is_sound = first <= last && last < total.unwrap_or(u64::MAX);
    is_sound.then(|| Told { range: ByteRange::new(first, last + 1), total })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::base::Key;

    const TIME: &str = "Thu, 29 Feb 2024 12:34:56 GMT";
    const LATER: &str = "Thu, 29 Feb 2024 12:34:57 GMT";

    /// What an answer with these header lines is taken for, shortly.
    fn judged(status: u16, lines: &str, request: &GetRequest) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines.split(" | ").filter_map(|line| line.split_once(": ")) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let length = headers.get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
        match (RangeAnswer { status, headers: &headers, skipped: &[], length }).fit(request) {
            Ok(Fit { range, size, end: End::Told }) => format!("{range:?} of {size}"),
            Ok(Fit { range, size, end: End::Expected }) => format!("{range:?} of {size}, to be seen"),
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    fn whole() -> GetRequest {
        GetRequest::new(Key::new("k"))
    }

    fn part(start: u64, end: u64) -> GetRequest {
        whole().range(ByteRange::new(start, end))
    }

    /// Of an object of 1000 bytes with the tag `a`, as it was listed.
    fn known(request: GetRequest) -> GetRequest {
        let last_modified = Some(Timestamp::from_unix(1_709_210_096));
        request.if_match(ETag::parse("a")).expected(Some(Expected { size: 1000, last_modified }))
    }

    #[test]
    fn answers_must_fit_their_request() {
        for (status, lines, request, expected) in [
            (200, "content-length: 1000", whole(), "0..1000 of 1000"),
            (200, "content-length: 0", whole(), "0..0 of 0"),
            (200, "", whole(), "Protocol"),
            (206, "content-range: bytes 0-499/1000 | content-length: 500", whole(), "Protocol"),
            (204, "content-length: 0", whole(), "Protocol"),
            (206, "content-range: bytes 0-499/1000 | content-length: 500", part(0, 500), "0..500 of 1000"),
            (206, "content-range: bytes 0-499/1000", part(0, 500), "0..500 of 1000"),
            (206, "content-range: bytes 500-999/1000 | content-length: 500", part(500, 2000), "500..1000 of 1000"),
            (206, "content-range: bytes 0-499/1000 | content-length: 499", part(0, 500), "Protocol"),
            (206, "content-range: bytes 0-498/1000 | content-length: 499", part(0, 500), "Protocol"),
            (206, "content-range: bytes 1-500/1000 | content-length: 500", part(0, 500), "Protocol"),
            (206, "content-range: bytes 0-500/1000 | content-length: 501", part(0, 500), "0..501 of 1000"),
            (206, "content-range: bytes 0-499/* | content-length: 500", part(0, 500), "Protocol"),
            (206, "content-length: 500", part(0, 500), "Protocol"),
            // The whole, which holds what was asked for.
            (200, "content-length: 1000", part(0, 500), "0..1000 of 1000"),
            (200, "content-range: bytes 0-499/1000 | content-length: 500", part(0, 500), "0..500 of 1000"),
            (200, "content-range: bytes 0-499/1000 | content-length: 1000", part(0, 500), "Protocol"),
            (200, "content-range: bytes 0-499/1000 | content-length: 500", whole(), "Protocol"),
            (200, "content-length: 1000", part(500, 600), "0..1000 of 1000"),
            (200, "content-length: 1000", part(500, 1000), "0..1000 of 1000"),
            (206, "content-range: bytes 0-999/1000 | content-length: 1000", part(500, 600), "0..1000 of 1000"),
            // It may be the part as well.
            (200, "content-length: 1000", part(500, 1500), "Protocol"),
            (200, "content-length: 1000", part(1, 4096), "Protocol"),
            (200, "content-length: 1000", part(0, 1000), "0..1000 of 1000"),
            (200, "content-length: 1000", part(0, 4096), "0..1000 of 1000"),
            (200, "content-length: 1000", part(1000, 1001), "RangeNotSatisfiable"),
            (200, "content-length: 0", part(0, 1), "RangeNotSatisfiable"),
        ] {
            assert_eq!(judged(status, lines, &request), expected, "{status} {lines} {request:?}");
        }
    }

    #[test]
    fn tags_must_be_the_one_asked_for() {
        let request = whole().if_match(ETag::parse("abc"));
        for (tag, expected) in [
            ("\"ABC\"", "0..5 of 5"),
            ("abc", "0..5 of 5"),
            ("W/\"abc\"", "0..5 of 5"),
            ("\"abd\"", "Changed"),
            ("\"abc-gzip\"", "Changed"),
            ("\"\"", "Protocol"),
        ] {
            assert_eq!(judged(200, &format!("content-length: 5 | etag: {tag}"), &request), expected, "{tag}");
        }
    }

    #[test]
    fn size_and_time_stand_in_for_a_tag() {
        let mut timeless = known(whole());
        timeless.expected = Some(Expected { size: 1000, last_modified: None });
        for (lines, request, expected) in [
            (format!("content-length: 1000 | last-modified: {TIME}"), known(whole()), "0..1000 of 1000"),
            (format!("content-length: 1000 | last-modified: {LATER}"), known(whole()), "Changed"),
            (format!("content-length: 999 | last-modified: {TIME}"), known(whole()), "Changed"),
            ("content-length: 1000".to_owned(), known(whole()), "Protocol"),
            ("content-length: 1000 | last-modified: once".to_owned(), known(whole()), "Protocol"),
            (format!("content-length: 1000 | last-modified: {TIME}"), timeless, "Protocol"),
            // A tag that is there counts, whatever the time says.
            (format!("content-length: 1000 | etag: b | last-modified: {TIME}"), known(whole()), "Changed"),
            (format!("content-length: 1000 | etag: a | last-modified: {LATER}"), known(whole()), "0..1000 of 1000"),
        ] {
            assert_eq!(judged(200, &lines, &request), expected, "{lines}");
        }
    }

    #[test]
    fn what_is_known_of_the_version_stands_in_for_headers() {
        let untagged = |request| GetRequest { if_match: None, ..known(request) };
        let unlisted = |request| GetRequest { expected: None, ..known(request) };
        let timed = |lines: &str| format!("last-modified: {TIME} | {lines}");
        let later = |lines: &str| format!("last-modified: {LATER} | {lines}");
        let tagged = |lines: &str| format!("etag: \"a\" | {lines}");
        let (starred, long) = ("content-range: bytes 10-19/* | content-length: 10", "content-length: 1000");
        let short = "content-length: 10";
        for (status, lines, request, expected) in [
            // A part that tells no total.
            (206, tagged(starred), known(part(10, 20)), "10..20 of 1000"),
            (206, timed(starred), known(part(10, 20)), "10..20 of 1000"),
            (206, timed(starred), untagged(part(10, 20)), "10..20 of 1000"),
            (206, later(starred), untagged(part(10, 20)), "Changed"),
            (206, starred.to_owned(), untagged(part(10, 20)), "Protocol"),
            (206, tagged(starred), unlisted(part(10, 20)), "Protocol"),
            (206, tagged(starred), known(part(11, 21)), "Protocol"),
            // A part that does not say which.
            (206, tagged(short), known(part(10, 20)), "10..20 of 1000"),
            (206, tagged(short), known(part(990, 2000)), "990..1000 of 1000"),
            (206, tagged(""), known(part(10, 20)), "10..20 of 1000, to be seen"),
            (206, timed(short), untagged(part(10, 20)), "10..20 of 1000"),
            (206, later(short), untagged(part(10, 20)), "Changed"),
            (206, short.to_owned(), untagged(part(10, 20)), "Protocol"),
            (206, tagged(short), unlisted(part(10, 20)), "Protocol"),
            (206, tagged(short), known(part(10, 21)), "Protocol"),
            (206, tagged(long), known(part(10, 20)), "Protocol"),
            (
                206,
                tagged("content-length: 10 | content-type: Multipart/Byteranges; x"),
                known(part(10, 20)),
                "Protocol",
            ),
            // The part, called 200.
            (200, tagged(short), known(part(10, 20)), "10..20 of 1000"),
            (200, timed(short), untagged(part(10, 20)), "10..20 of 1000"),
            (200, later(short), untagged(part(10, 20)), "Changed"),
            (200, short.to_owned(), untagged(part(10, 20)), "Changed"),
            (200, tagged(short), known(part(10, 21)), "Protocol"),
            (200, timed(short), untagged(part(10, 21)), "Changed"),
            (200, tagged(""), known(part(10, 20)), "Protocol"),
            (200, tagged(""), known(part(0, 20)), "Protocol"),
            (200, tagged(long), known(part(10, 20)), "0..1000 of 1000"),
            (200, tagged(long), known(part(10, 2000)), "0..1000 of 1000"),
            (200, timed(long), untagged(part(10, 2000)), "0..1000 of 1000"),
            (200, later(long), untagged(part(10, 2000)), "Protocol"),
            // The whole, which does not tell its length.
            (200, tagged(""), known(whole()), "0..1000 of 1000, to be seen"),
            (200, tagged(""), known(part(0, 1000)), "0..1000 of 1000, to be seen"),
            (200, tagged(""), unlisted(whole()), "Protocol"),
            // Another size under the same tag, or not.
            (200, tagged(short), known(whole()), "Protocol"),
            (200, timed(short), untagged(whole()), "Changed"),
            (206, tagged("content-range: bytes 0-9/11"), known(part(0, 10)), "Protocol"),
            (206, timed("content-range: bytes 0-9/11"), untagged(part(0, 10)), "0..10 of 11"),
        ] {
            assert_eq!(judged(status, &lines, &request), expected, "{status} {lines} {request:?}");
        }
    }

    #[test]
    fn an_error_names_the_header_that_is_missing() {
        let said = |headers: &[(&'static str, &'static str)], skipped: &[Skipped], request: &GetRequest| {
            let pairs =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let headers: HeaderMap = pairs.collect();
            RangeAnswer { status: 206, headers: &headers, skipped, length: Some(10) }
                .fit(request)
                .unwrap_err()
                .to_string()
        };
        let request = known(part(10, 20));
        let text = said(&[("last-modified", "once")], &[], &request);
        let wanted = "the answer has no ETag to compare, and no Last-Modified of use (it is \"once\") in its place";
        assert_eq!(text, wanted);
        let text = said(&[("etag", "a")], &[], &known(part(10, 21)));
        assert!(text.starts_with("the answer has no Content-Range, and its Content-Length of 10 is not"), "{text}");
        let text = said(&[("etag", "a"), ("content-type", "multipart/byteranges")], &[], &request);
        assert!(text.contains("Content-Type \"multipart/byteranges\""), "{text}");
    }

    #[test]
    fn content_ranges() {
        let told = |start, end, total| Some(Told { range: ByteRange::new(start, end), total });
        assert_eq!(parse_content_range("bytes 5-9/10"), told(5, 10, Some(10)));
        assert_eq!(parse_content_range("bytes 5-9/*"), told(5, 10, None));
        for odd in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes -1-5/10",
            "bytes +1-5/10",
            "bytes */10",
            "items 0-1/2",
            "bytes 0-18446744073709551615/*",
            "bytes 0-18446744073709551615/18446744073709551615",
        ] {
            assert_eq!(parse_content_range(odd), None, "{odd}");
        }
        assert_eq!(
            judged(206, "content-range: bytes 0-9/10 | content-range: bytes 0-9/10", &part(0, 10)),
            "0..10 of 10"
        );
        assert_eq!(judged(206, "content-range: bytes 0-9/10 | content-range: bytes 0-9/11", &part(0, 10)), "Protocol");
    }
}
