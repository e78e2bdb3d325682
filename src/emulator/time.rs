//! Dates as the protocol writes them: HTTP dates, ISO 8601, and the compact form of signatures.

use crate::base::Timestamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: usize,
    pub(super) day: i64,
    pub(super) hour: i64,
    minute: i64,
    second: i64,
    weekday: usize,
}

/// Calendar arithmetic on eras of 400 years that begin on 1 March, so that the leap day comes last.
pub(super) fn civil(time: Timestamp) -> Civil {
    let days = time.seconds.div_euclid(86_400);
    let of_day = time.seconds.rem_euclid(86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: month as usize,
        day: of_year - (153 * march_month + 2) / 5 + 1,
        hour: of_day / 3_600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        weekday: days.rem_euclid(7) as usize,
    }
}

fn from_civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Timestamp> {
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_range {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = era * 146_097 + of_era - 719_468;
    Some(Timestamp::from_unix(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// `Thu, 29 Feb 2024 12:34:56 GMT`.
pub(super) fn http_date(time: Timestamp) -> String {
    let c = civil(time);
    let (day, month) = (DAYS[c.weekday], MONTHS[c.month - 1]);
    format!("{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", c.day, c.year, c.hour, c.minute, c.second)
}

/// `2024-02-29T12:34:56.000Z`; the milliseconds are always zero, as the vendor's are.
pub(super) fn iso_date(time: Timestamp) -> String {
    let c = civil(time);
    // Digit by digit, at a tenth of what formatting costs: pages of listings hold a thousand dates.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let year = c.year.clamp(0, 9999);
    let parts = [year / 100, year % 100, c.month as i64, c.day, c.hour, c.minute, c.second];
    for (number, at) in parts.into_iter().zip([0, 2, 5, 8, 11, 14, 17]) {
        text[at] += (number / 10 % 10) as u8;
        text[at + 1] += (number % 10) as u8;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes a time as signatures have it: `20240229T123456Z`.
pub(super) fn compact_date(time: Timestamp) -> String {
    let c = civil(time);
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// Parses an HTTP date. Other zones than GMT and the two obsolete forms are refused.
pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let rest = text.trim().split_once(", ")?.1;
    let mut words = rest.split_ascii_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as i64 + 1;
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    matches!(words.next()?, "GMT" | "UTC").then_some(())?;
    from_civil(year, month, day, hour, minute, second)
}

/// Parses the compact form.
pub(super) fn parse_compact_date(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' || !text.is_ascii() {
        return None;
    }
    let digits = |from: usize, to: usize| {
        let part = &text[from..to];
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten()
    };
    from_civil(digits(0, 4)?, digits(4, 6)?, digits(6, 8)?, digits(9, 11)?, digits(11, 13)?, digits(13, 15)?)
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
