//! GetObject: whole objects and ranges, and the check that what comes is what was asked for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Method};
use tokio::io::ReadBuf;

use super::meta::{number, object_meta, text};
use super::{Call, HttpStore, unfit};
use crate::base::{ByteRange, ETag};
use crate::store::http::Received;
use crate::store::{Body, Error, ErrorKind, GetRequest, GetResponse, Receive, Result};

const OPERATION: &str = "GetObject";

impl HttpStore {
    pub(super) async fn get_object(&self, request: GetRequest) -> Result<GetResponse> {
        let mut call = Call::new(OPERATION, Method::GET, Some(request.key.as_str()))
            .query("versionId", request.version.clone())
            .header("if-match", request.if_match.as_ref().map(ETag::quoted));
        if let Some(range) = request.range {
            if range.is_empty() {
                return Err(Error::new(ErrorKind::Invalid, "an empty range was asked for"));
            }
            call = call.header("range", range.header());
            for (name, value) in self.rules.range_headers {
                call = call.header(*name, (*value).to_owned());
            }
        }
        let response = self.call(call).await?;
        let fits = fit(response.status, &response.headers, &request);
        let (range, size) = fits.map_err(|error| {
            error.with_operation(OPERATION).with_key(request.key.to_string()).with_status(response.status)
        })?;
        let meta = object_meta(self.rules, &response.headers, size);
        let body = Exact { received: response.body, missing: range.len() };
        Ok(GetResponse { meta, range, body: Body::new(body) })
    }
}

/// The range that an answer carries and the size of the whole object, or why it does not fit the request.
fn fit(status: u16, headers: &HeaderMap, request: &GetRequest) -> Result<(ByteRange, u64)> {
    check_tag(headers, request.if_match.as_ref())?;
    let length = number(headers, "content-length");
    let (got, size) = match (status, text(headers, "content-range")) {
        // Some servers send the part that was asked for, say so, and call it 200.
        (200 | 206, Some(value)) if request.range.is_some() => {
            parse_content_range(&value).ok_or_else(|| unfit(format!("Content-Range {value:?} makes no sense")))?
        }
        (200, None) => {
            let size = length.ok_or_else(|| unfit("an object came without its length"))?;
            (ByteRange::new(0, size), size)
        }
        _ => return Err(unfit(format!("status {status} does not answer the request"))),
    };
    if length.is_some_and(|length| length != got.len()) {
        return Err(unfit(format!("{got:?} came with a length of {}", length.unwrap_or_default())));
    }
    let Some(asked) = request.range else { return Ok((got, size)) };
    if asked.start >= size {
        return Err(Error::new(ErrorKind::RangeNotSatisfiable, format!("{asked:?} lies past the end at {size}")));
    }
    if got != asked.intersect(ByteRange::new(0, size)) {
        return Err(unfit(format!("{asked:?} of {size} bytes was asked for and {got:?} came")));
    }
    Ok((got, size))
}

/// Servers exist that ignore If-Match.
fn check_tag(headers: &HeaderMap, wanted: Option<&ETag>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    match text(headers, "etag").and_then(|value| ETag::parse(&value)) {
        Some(tag) if tag == *wanted => Ok(()),
        Some(tag) => Err(Error::new(ErrorKind::Changed, format!("entity tag {wanted} was asked for and {tag} came"))),
        None => Err(unfit("the answer has no entity tag to compare")),
    }
}

/// `bytes 0-499/1000`: the part and the whole. A total of `*` is of no use here.
fn parse_content_range(value: &str) -> Option<(ByteRange, u64)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = total.trim().parse().ok()?;
    (first <= last && last < total).then(|| (ByteRange::new(first, last + 1), total))
}

/// Passes on exactly the bytes promised.
struct Exact {
    received: Received,
    missing: u64,
}

impl Receive for Exact {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.received).poll_receive(cx, into)).map_err(|error| error.with_operation(OPERATION))?;
        let len = (into.filled().len() - before) as u64;
        let missing = self.missing;
        let wrong = match len {
            0 if missing > 0 => Error::new(ErrorKind::Network, format!("the body ended {missing} bytes early")),
            _ if len > missing => unfit("the body is longer than its length"),
            _ => {
                self.missing -= len;
                return Poll::Ready(Ok(()));
            }
        };
        into.set_filled(before);
        Poll::Ready(Err(wrong.with_operation(OPERATION)))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::base::Key;

    /// What an answer is taken for, shortly.
    fn judged(status: u16, headers: &[(&'static str, &'static str)], request: &GetRequest) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        match fit(status, &headers, request) {
            Ok((range, size)) => format!("{range:?} of {size}"),
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    #[test]
    fn answers_must_fit_their_request() {
        let whole = GetRequest::new(Key::new("k"));
        let part = |start, end| GetRequest::new(Key::new("k")).range(ByteRange::new(start, end));
        let range = |value| ("content-range", value);
        let length = |value| ("content-length", value);
        for (status, headers, request, expected) in [
            (200, vec![length("1000")], whole.clone(), "0..1000 of 1000"),
            (200, vec![length("0")], whole.clone(), "0..0 of 0"),
            (200, vec![], whole.clone(), "Protocol"),
            (206, vec![range("bytes 0-499/1000"), length("500")], whole.clone(), "Protocol"),
            (204, vec![length("0")], whole.clone(), "Protocol"),
            (206, vec![range("bytes 0-499/1000"), length("500")], part(0, 500), "0..500 of 1000"),
            (206, vec![range("bytes 0-499/1000")], part(0, 500), "0..500 of 1000"),
            (206, vec![range("bytes 500-999/1000"), length("500")], part(500, 2000), "500..1000 of 1000"),
            (206, vec![range("bytes 0-499/1000"), length("499")], part(0, 500), "Protocol"),
            (206, vec![range("bytes 0-498/1000"), length("499")], part(0, 500), "Protocol"),
            (206, vec![range("bytes 1-500/1000"), length("500")], part(0, 500), "Protocol"),
            (206, vec![range("bytes 0-500/1000"), length("501")], part(0, 500), "Protocol"),
            (206, vec![range("bytes 0-499/*"), length("500")], part(0, 500), "Protocol"),
            (206, vec![length("500")], part(0, 500), "Protocol"),
            (200, vec![length("1000")], part(0, 500), "Protocol"),
            (200, vec![range("bytes 0-499/1000"), length("500")], part(0, 500), "0..500 of 1000"),
            (200, vec![range("bytes 0-499/1000"), length("1000")], part(0, 500), "Protocol"),
            (200, vec![range("bytes 0-499/1000"), length("500")], whole.clone(), "Protocol"),
            (200, vec![length("1000")], part(500, 600), "Protocol"),
            (200, vec![length("1000")], part(500, 1000), "Protocol"),
            (200, vec![length("1000")], part(0, 1000), "0..1000 of 1000"),
            (200, vec![length("1000")], part(0, 4096), "0..1000 of 1000"),
            (200, vec![length("1000")], part(1000, 1001), "RangeNotSatisfiable"),
            (200, vec![length("0")], part(0, 1), "RangeNotSatisfiable"),
        ] {
            assert_eq!(judged(status, &headers, &request), expected, "{status} {headers:?} {request:?}");
        }
    }

    #[test]
    fn tags_must_be_the_one_asked_for() {
        let request = GetRequest::new(Key::new("k")).if_match(ETag::parse("abc"));
        for (tag, expected) in
            [("\"ABC\"", "0..5 of 5"), ("abc", "0..5 of 5"), ("\"abd\"", "Changed"), ("", "Protocol")]
        {
            assert_eq!(judged(200, &[("content-length", "5"), ("etag", tag)], &request), expected, "{tag}");
        }
    }

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((ByteRange::new(5, 10), 10)));
        for odd in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes -1-5/10",
            "bytes */10",
            "items 0-1/2",
            "bytes 0-18446744073709551615/18446744073709551615",
        ] {
            assert_eq!(parse_content_range(odd), None, "{odd}");
        }
    }
}
