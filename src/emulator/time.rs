//! Dates as the protocol writes them: HTTP dates, ISO 8601, and the compact form of signatures.

use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;

use crate::base::Timestamp;

/// The calendar's date and time of a moment, in UTC. What lies outside of the years that jiff knows becomes 1970.
pub(super) fn civil(time: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(moment(time))
}

fn moment(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.seconds).unwrap_or_default()
}

/// `Thu, 29 Feb 2024 12:34:56 GMT`.
pub(super) fn http_date(time: Timestamp) -> String {
    moment(time).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `2024-02-29T12:34:56.000Z`; the milliseconds are always zero, as the vendor's are.
pub(super) fn iso_date(time: Timestamp) -> String {
    // The printer takes half the time of a format: pages of listings hold a thousand dates.
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    PRINTER.timestamp_to_string(&moment(time))
}

/// Writes a time as signatures have it: `20240229T123456Z`.
pub(super) fn compact_date(time: Timestamp) -> String {
    moment(time).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Parses an HTTP date. Other zones than GMT and the two obsolete forms are refused.
pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let date = text.trim().split_once(", ")?.1;
    let date = date.strip_suffix(" GMT").or_else(|| date.strip_suffix(" UTC"))?;
    parsed("%d %b %Y %H:%M:%S", date)
}

/// Parses the compact form.
pub(super) fn parse_compact_date(text: &str) -> Option<Timestamp> {
    parsed("%Y%m%dT%H%M%SZ", text).filter(|_| text.len() == 16)
}

fn parsed(form: &str, text: &str) -> Option<Timestamp> {
    let time = Offset::UTC.to_timestamp(DateTime::strptime(form, text).ok()?).ok()?;
    Some(Timestamp::from_unix(time.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_as_they_are_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_210_096, 1_704_067_199, 4_107_542_399, -86_401] {
            let time = Timestamp::from_unix(seconds);
            assert_eq!(parse_http_date(&http_date(time)), Some(time), "{}", http_date(time));
            assert_eq!(parse_compact_date(&compact_date(time)), Some(time), "{}", compact_date(time));
        }
        let time = Timestamp::from_unix(1_709_210_096);
        assert_eq!(http_date(time), "Thu, 29 Feb 2024 12:34:56 GMT");
        assert_eq!(iso_date(time), "2024-02-29T12:34:56.000Z");
        assert_eq!(compact_date(time), "20240229T123456Z");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "Thu", "Thu, 29 Feb 2024", "Thu, 29 Fub 2024 12:34:56 GMT", "Thu, 29 Feb 2024 12:34:56 CET"] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
        for text in ["", "20240229", "20240229T123456", "20241329T123456Z", "2024é229T12345Z", "2024-229T123456Z"] {
            assert_eq!(parse_compact_date(text), None, "{text}");
        }
    }
}
