//! From an error answer (status, headers, XML) to an [`Error`].

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;

use super::meta::{http_time, text};
use crate::base::Timestamp;
use crate::store::dialect::Rules;
use crate::store::error::one_line;
use crate::store::xml::{self, Tag};
use crate::store::{Error, ErrorKind};

/// Servers refuse a request signed more than 15 minutes off.
const MAX_SKEW_SECONDS: i64 = 15 * 60;

/// What the service says for itself.
#[derive(Debug, Default, PartialEq)]
struct Said {
    code: Option<String>,
    message: Option<String>,
    ec: Option<String>,
    request_id: Option<String>,
    /// Where the bucket really lives.
    endpoint: Option<String>,
    region: Option<String>,
}

/// An answer that is none, and what is needed to judge it.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    pub(super) rules: &'static Rules,
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// When the request was signed.
    pub(super) signed: Timestamp,
}

impl Refusal<'_> {
    /// The error that this answer is.
    pub(super) fn error(&self) -> Error {
        let said = self.said();
        let kind = self.kind(&said);
        let mut message = match &said.message {
            Some(message) => message.clone(),
            None => default_message(kind).to_owned(),
        };
        if let Some(advice) = advice(kind, &said) {
            message = format!("{message}; {advice}");
        }
        Error::new(kind, message)
            .with_status(self.status)
            .with_code(said.code)
            .with_ec(said.ec)
            .with_request_id(said.request_id)
            .with_retry_after(self.retry_after(kind))
    }

    fn header(&self, name: &str) -> Option<String> {
        text(self.headers, &self.rules.header(name))
    }

    /// The body's own words; where there is no body, those that the headers carry.
    fn said(&self) -> Said {
        let mut said = parse(self.body);
        if said == Said::default()
            && let Some(Ok(body)) = self.header("err").map(|encoded| BASE64.decode(encoded.trim()))
        {
            said = parse(&body);
        }
        said.ec = said.ec.or_else(|| self.header("ec"));
        said.request_id = self.header("request-id").or(said.request_id);
        said.region = said.region.or_else(|| self.header("bucket-region"));
        said
    }

    fn kind(&self, said: &Said) -> ErrorKind {
        let code = said.code.as_deref().unwrap_or("");
        // A region's refusal is an AccessDenied with an Endpoint, or an InvalidArgument with one of these EC.
        let misplaced = matches!(said.ec.as_deref(), Some("0002-00000226" | "0002-00000228"));
        if misplaced || (self.status == 403 && said.endpoint.is_some()) {
            return ErrorKind::WrongRegion;
        }
        if let Some(kind) = (self.rules.kind_of)(code) {
            return kind;
        }
        // Answers to HEAD often come without a code: then the server's time tells.
        let skewed = http_time(self.headers, "date")
            .is_some_and(|server| server.seconds.abs_diff(self.signed.seconds) > MAX_SKEW_SECONDS as u64);
        match self.status {
            400 if said.region.is_some() => ErrorKind::WrongRegion,
            301 | 302 | 307 | 308 => ErrorKind::WrongRegion,
            401 | 403 if skewed && code.is_empty() => ErrorKind::ClockSkew,
            401 | 403 => ErrorKind::AccessDenied,
            // A version that only says that the object was deleted.
            405 if self.header("delete-marker").is_some() => ErrorKind::NotFound,
            404 => ErrorKind::NotFound,
            408 => ErrorKind::Timeout,
            409 => ErrorKind::Conflict,
            412 => ErrorKind::Changed,
            416 => ErrorKind::RangeNotSatisfiable,
            429 => ErrorKind::Throttled,
            503 if self.retry_after(ErrorKind::Throttled).is_some() => ErrorKind::Throttled,
            501 => ErrorKind::Unsupported,
            400..500 => ErrorKind::Invalid,
            500.. => ErrorKind::Server,
            _ => ErrorKind::Protocol,
        }
    }

    fn retry_after(&self, kind: ErrorKind) -> Option<Duration> {
        if kind != ErrorKind::Throttled {
            return None;
        }
        if let Some(millis) = self.header("qos-delay-time").and_then(|millis| millis.trim().parse().ok()) {
            return Some(Duration::from_millis(millis));
        }
        let value = text(self.headers, "retry-after")?;
        if let Ok(seconds) = value.trim().parse() {
            return Some(Duration::from_secs(seconds));
        }
        let (at, now) = (http_time(self.headers, "retry-after")?, http_time(self.headers, "date")?);
        Some(Duration::from_secs(at.seconds.saturating_sub(now.seconds).max(0) as u64))
    }
}

fn parse(body: &[u8]) -> Said {
    let mut said = Said::default();
    // What was read before a document broke is still what the service said.
    let _ = xml::walk(body, |leaf| {
        let slot = match leaf.path {
            [Tag::Error, Tag::Code] => &mut said.code,
            [Tag::Error, Tag::Message] => &mut said.message,
            [Tag::Error, Tag::EC] => &mut said.ec,
            [Tag::Error, Tag::RequestId] => &mut said.request_id,
            [Tag::Error, Tag::Endpoint] => &mut said.endpoint,
            [Tag::Error, Tag::Region] => &mut said.region,
            _ => return,
        };
        *slot = Some(one_line(leaf.text)).filter(|text| !text.is_empty());
    });
    said
}

fn default_message(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "no such object",
        ErrorKind::NoSuchBucket => "no such bucket",
        ErrorKind::AccessDenied => "access was denied",
        ErrorKind::Credentials => "the credentials were refused",
        ErrorKind::Archived => "the object is archived",
        ErrorKind::Changed => "the object changed",
        ErrorKind::RangeNotSatisfiable => "the range is past the end of the object",
        ErrorKind::TooLarge => "the object is too large",
        ErrorKind::WrongRegion => "the bucket is at another endpoint",
        ErrorKind::Throttled => "the service asks to slow down",
        ErrorKind::ClockSkew => "this machine's clock and the service's differ by more than 15 minutes",
        ErrorKind::Server => "the service failed",
        ErrorKind::Timeout => "the service timed out",
        ErrorKind::Unsupported => "the service does not support the request",
        ErrorKind::Conflict => "the request conflicts with the state of the object",
        ErrorKind::Invalid => "the service refused the request",
        ErrorKind::Network | ErrorKind::Protocol | ErrorKind::Corrupt => "the answer is not valid",
    }
}

/// What people can do about it, where the service's own words leave that open.
fn advice(kind: ErrorKind, said: &Said) -> Option<String> {
    match (kind, said.code.as_deref()) {
        (ErrorKind::WrongRegion, _) => Some(match (&said.endpoint, &said.region) {
            (Some(endpoint), _) => format!("set endpoint to {endpoint}"),
            (None, Some(region)) => format!("set region to {region}"),
            (None, None) => "set endpoint and region to those of the bucket".to_owned(),
        }),
        (_, Some("SecondLevelDomainForbidden")) => Some("set addressing to virtual".to_owned()),
        (_, Some("SignatureDoesNotMatch")) => Some("check the secret that belongs to the access key id".to_owned()),
        (ErrorKind::Archived, _) => Some("restore the object before reading it".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::store::Dialect;

    /// The error of an answer signed at a fixed time.
    fn error(dialect: Dialect, status: u16, headers: &[(&str, &str)], body: &str) -> Error {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let signed = Timestamp::from_unix(1_709_210_096);
        Refusal { rules: Rules::of(dialect), status, headers: &map, body: body.as_bytes(), signed }.error()
    }

    fn body(code: &str, more: &str) -> String {
        format!(
            "<Error>\n <Code>\n{code} </Code><Message>It &amp; all.</Message><RequestId>65E0</RequestId>{more}</Error>"
        )
    }

    #[test]
    fn what_a_service_says_stays_on_one_line() {
        let body = "<Error><Code>Odd\nCode</Code><Message>no.\n2026-01-01T00:00:00Z  INFO \u{1b}[2J\u{202e}mounted</Message></Error>";
        let said = error(Dialect::Oss, 403, &[], body).to_string();
        assert!(said.contains("no. 2026") && said.contains("Odd Code"), "{said}");
        assert!(!said.contains(char::is_control) && !said.contains('\u{202e}'), "{said:?}");
    }

    #[test]
    fn statuses_and_codes_have_kinds() {
        use ErrorKind::*;
        for (status, code, kind) in [
            (404, "NoSuchKey", NotFound),
            (404, "", NotFound),
            (404, "NoSuchBucket", NoSuchBucket),
            (403, "AccessDenied", AccessDenied),
            (403, "SignatureDoesNotMatch", AccessDenied),
            (403, "InvalidAccessKeyId", Credentials),
            (403, "SecurityTokenExpired", Credentials),
            (403, "InvalidObjectState", Archived),
            (400, "EntityTooLarge", TooLarge),
            (403, "RequestTimeTooSkewed", ClockSkew),
            (412, "PreconditionFailed", Changed),
            (412, "", Changed),
            (416, "InvalidRange", RangeNotSatisfiable),
            (416, "", RangeNotSatisfiable),
            (400, "InvalidArgument", Invalid),
            (400, "RequestTimeout", Timeout),
            (403, "SecondLevelDomainForbidden", AccessDenied),
            (409, "FileImmutable", Conflict),
            (429, "QpsLimitExceeded", Throttled),
            (503, "DownloadTrafficRateLimitExceeded", Throttled),
            (503, "ServiceUnavailable", Server),
            (503, "", Server),
            (500, "InternalError", Server),
            (501, "NotImplemented", Unsupported),
            (304, "", Protocol),
            (301, "", WrongRegion),
        ] {
            let body = if code.is_empty() { String::new() } else { body(code, "") };
            let error = error(Dialect::Oss, status, &[], &body);
            assert_eq!(error.kind(), kind, "{status} {code}");
            assert_eq!(error.code(), (!code.is_empty()).then_some(code));
            assert_eq!(error.status(), Some(status));
        }
        assert_eq!(error(Dialect::S3, 400, &[], &body("ExpiredToken", "")).kind(), Credentials);
        assert_eq!(error(Dialect::S3, 503, &[], &body("SlowDown", "")).kind(), Throttled);
        assert_eq!(error(Dialect::Oss, 405, &[("x-oss-delete-marker", "true")], "").kind(), NotFound);
    }

    #[test]
    fn errors_speak_in_the_words_of_the_service() {
        let shown = error(
            Dialect::Oss,
            403,
            &[("x-oss-request-id", "65E1"), ("x-oss-ec", "0003-1")],
            &body("AccessDenied", "<EC>0003-2</EC>"),
        );
        assert_eq!(shown.to_string(), "It & all. (status 403, AccessDenied, EC 0003-2, request id 65E1)");
    }

    #[test]
    fn head_errors_come_in_a_header() {
        let encoded = BASE64.encode(body("NoSuchBucket", "<EC>0015-1</EC>"));
        let error = error(Dialect::Oss, 404, &[("x-oss-err", &encoded)], "");
        assert_eq!((error.kind(), error.ec()), (ErrorKind::NoSuchBucket, Some("0015-1")));
    }

    #[test]
    fn a_bucket_elsewhere_is_told_with_its_place() {
        let oss = body("AccessDenied", "<Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint>");
        for (dialect, status, headers, body, said) in [
            (Dialect::Oss, 403, vec![], oss, "set endpoint to oss-cn-beijing.aliyuncs.com"),
            (Dialect::Oss, 400, vec![("x-oss-ec", "0002-00000226")], body("InvalidArgument", ""), "of the bucket"),
            (
                Dialect::S3,
                400,
                vec![],
                body("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
                "set region to eu-west-1",
            ),
            (Dialect::S3, 400, vec![("x-amz-bucket-region", "eu-west-1")], String::new(), "set region to eu-west-1"),
            (Dialect::S3, 301, vec![("x-amz-bucket-region", "eu-west-1")], String::new(), "set region to eu-west-1"),
        ] {
            let error = error(dialect, status, &headers, &body);
            assert_eq!(error.kind(), ErrorKind::WrongRegion, "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn waits_asked_for_are_passed_on() {
        let busy = body("TotalQpsLimitExceeded", "");
        for (headers, millis) in [
            (vec![("x-oss-qos-delay-time", "1500")], Some(1500)),
            (vec![("retry-after", "2")], Some(2000)),
            (
                vec![("retry-after", "Thu, 29 Feb 2024 12:35:00 GMT"), ("date", "Thu, 29 Feb 2024 12:34:56 GMT")],
                Some(4000),
            ),
            (vec![("retry-after", "soon")], None),
        ] {
            let error = error(Dialect::Oss, 503, &headers, &busy);
            assert_eq!(error.retry_after(), millis.map(Duration::from_millis));
        }
        let plain = error(Dialect::Oss, 503, &[("retry-after", "1")], "");
        assert_eq!((plain.kind(), plain.retry_after()), (ErrorKind::Throttled, Some(Duration::from_secs(1))));
    }

    #[test]
    fn a_refusal_without_words_far_from_our_time_is_a_skewed_clock() {
        for (date, kind) in [
            ("Thu, 29 Feb 2024 13:34:56 GMT", ErrorKind::ClockSkew),
            ("Thu, 29 Feb 2024 12:40:00 GMT", ErrorKind::AccessDenied),
        ] {
            assert_eq!(error(Dialect::S3, 403, &[("date", date)], "").kind(), kind);
        }
    }

    #[test]
    fn broken_error_bodies_still_have_a_status() {
        for body in ["<html><body>gateway</body>", "\u{0}\u{1}", "<Error><Code>x", "{\"a\":1}"] {
            assert_eq!(error(Dialect::Oss, 502, &[], body).kind(), ErrorKind::Server, "{body}");
        }
    }
}
