//! `If-Match` and its kin, on objects and on the sources of copies.

use http::StatusCode;

use crate::base::Timestamp;
use crate::emulator::failure::{Failure, precondition_failed};
use crate::emulator::time::parse_http_date;

/// The four conditions as text, absent or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<String>,
    pub(super) none_match: Option<String>,
    pub(super) modified_since: Option<String>,
    pub(super) unmodified_since: Option<String>,
}

impl Conditions {
    /// Reads them from headers; `name` turns `if-match` into the full name.
    pub(super) fn read(header: impl Fn(&str) -> Option<String>) -> Self {
        Conditions {
            matches: header("if-match"),
            none_match: header("if-none-match"),
            modified_since: header("if-modified-since"),
            unmodified_since: header("if-unmodified-since"),
        }
    }

    /// 412 or 304 when they do not hold. Dates that cannot be read count for nothing, as the standard has it.
    pub(super) fn check(&self, etag: &str, modified: Timestamp) -> Result<(), Failure> {
        let since = |text: &Option<String>| text.as_deref().and_then(parse_http_date).map(|date| date.seconds);
        match (&self.matches, since(&self.unmodified_since)) {
            (Some(tags), _) if !names(tags, etag) => return Err(precondition_failed("If-Match")),
            (None, Some(date)) if modified.seconds > date => return Err(precondition_failed("If-Unmodified-Since")),
            _ => {}
        }
        match (&self.none_match, since(&self.modified_since)) {
            (Some(tags), _) if names(tags, etag) => Err(not_modified()),
            (None, Some(date)) if modified.seconds <= date => Err(not_modified()),
            _ => Ok(()),
        }
    }
}

/// Whether a list of tags names this one. Quotes and case do not matter.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag.eq_ignore_ascii_case(etag))
}

fn not_modified() -> Failure {
    let mut failure = Failure::new(304, "NotModified", "Not Modified.");
    failure.status = StatusCode::NOT_MODIFIED;
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: u16) {
        let find = |name: &str| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned());
        let outcome = Conditions::read(find).check("ABC", Timestamp { seconds: 1_709_210_096, nanos: 5 });
        assert_eq!(outcome.map_or_else(|failure| failure.status.as_u16(), |()| 200), expected, "{headers:?}");
    }

    #[test]
    fn conditions_are_read_in_the_order_of_the_standard() {
        let (same, before) = ("Thu, 29 Feb 2024 12:34:56 GMT", "Thu, 29 Feb 2024 12:34:55 GMT");
        check(&[], 200);
        check(&[("if-match", "\"abc\"")], 200);
        check(&[("if-match", "x, ABC")], 200);
        check(&[("if-match", "*")], 200);
        check(&[("if-match", "\"x\"")], 412);
        check(&[("if-none-match", "abc")], 304);
        check(&[("if-none-match", "x")], 200);
        check(&[("if-unmodified-since", same)], 200);
        check(&[("if-unmodified-since", before)], 412);
        check(&[("if-match", "ABC"), ("if-unmodified-since", before)], 200);
        check(&[("if-modified-since", same)], 304);
        check(&[("if-modified-since", before)], 200);
        check(&[("if-none-match", "x"), ("if-modified-since", same)], 200);
        check(&[("if-modified-since", "yesterday")], 200);
        check(&[("if-match", "x"), ("if-none-match", "ABC")], 412);
    }
}
