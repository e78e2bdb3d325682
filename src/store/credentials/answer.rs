//! The formats in which services, programs and files return access keys: JSON, and XML for one service.

use jiff::civil;
use jiff::fmt::temporal::Pieces;
use serde::Deserialize;
use serde_json::Value;

use super::Credentials;
use crate::base::Timestamp;
use crate::store::xml::{self, Tag};

/// Every spelling there is: of the SDKs and the metadata service, of S3's programs, of the aliyun command line.
#[derive(Deserialize)]
struct Json {
    #[serde(rename = "Code")]
    code: Option<String>,
    #[serde(rename = "Credentials")]
    within: Option<Box<Json>>,
    #[serde(rename = "AccessKeyId", alias = "access_key_id")]
    access_key_id: Option<String>,
    #[serde(rename = "AccessKeySecret", alias = "SecretAccessKey", alias = "access_key_secret")]
    secret: Option<String>,
    #[serde(rename = "SecurityToken", alias = "SessionToken", alias = "Token", alias = "sts_token")]
    token: Option<String>,
    #[serde(rename = "Expiration", alias = "expiration")]
    expiration: Option<Value>,
}

/// The last second that a time can have here: what many mean by "never".
const LAST_SECOND: i64 = 253_402_300_799;

/// What is said where a text holds no key.
const NO_KEY: &str = "is not JSON with AccessKeyId and AccessKeySecret";

/// How the parts of a key are called in what services and programs answer.
const NAMES: [&str; 3] = ["AccessKeyId", "AccessKeySecret", "SecurityToken"];

/// Reads an access key; `Err` ends a sentence that names where it came from. The parser's own words are left out: they
/// may quote the secret.
pub(super) fn parse(text: &str) -> Result<Credentials, String> {
    let json: Json = serde_json::from_str(text).map_err(|_| NO_KEY)?;
    if json.code.as_deref().is_some_and(|code| code != "Success") {
        return Err("reports a failure instead of an access key".to_owned());
    }
    let json = match json.within {
        Some(within) => *within,
        None => json,
    };
    let (Some(id), Some(secret)) = (json.access_key_id, json.secret) else { return Err(NO_KEY.to_owned()) };
    credentials(&id, &secret, json.token.as_deref(), json.expiration.as_ref())
}

/// Reads the access key in the answer of the service that grants the roles of S3.
pub(super) fn parse_xml(text: &str) -> Result<Credentials, String> {
    let (mut id, mut secret, mut token, mut expiration) = (None, None, None, None);
    let read = xml::walk(text.as_bytes(), |leaf| {
        let [.., Tag::Credentials, tag] = leaf.path else { return };
        let place = match tag {
            Tag::AccessKeyId => &mut id,
            Tag::SecretAccessKey => &mut secret,
            Tag::SessionToken => &mut token,
            Tag::Expiration => &mut expiration,
            _ => return,
        };
        *place = Some(leaf.text.trim().to_owned());
    });
    match (read, id, secret) {
        (Ok(()), Some(id), Some(secret)) => {
            credentials(&id, &secret, token.as_deref(), expiration.map(Value::String).as_ref())
        }
        _ => Err("is not XML with AccessKeyId and SecretAccessKey".to_owned()),
    }
}

fn credentials(id: &str, secret: &str, token: Option<&str>, expiration: Option<&Value>) -> Result<Credentials, String> {
    let found = Credentials::read(NAMES, id, secret, token).map_err(|fault| format!("has no usable key: {fault}"))?;
    let expires = expiration.map(expiration_of).transpose()?.flatten();
    Ok(found.with_expiry(expires))
}

/// When a key ends, as services, programs and people write it: a time of ISO 8601, with or without a zone, which is UTC
/// then, or Unix seconds as a number or a text. `None` where it does not end: null, an empty text, 0.
fn expiration_of(value: &Value) -> Result<Option<Timestamp>, String> {
    // Some write milliseconds.
    let plain = |seconds: i64| match seconds > LAST_SECOND && seconds / 1000 <= LAST_SECOND {
        true => seconds / 1000,
        false => seconds,
    };
    let seconds = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64().map(|seconds| plain(seconds as i64)),
        Value::String(text) => match text.trim() {
            "" => return Ok(None),
            text => text.parse().ok().map(plain).or_else(|| seconds_of(text)),
        },
        _ => None,
    };
    let odd = || "has an Expiration that is neither a time, as in 2024-02-29T13:00:00Z, nor Unix seconds".to_owned();
    match seconds.ok_or_else(odd)? {
        0 => Ok(None),
        seconds if seconds < 0 => Err(odd()),
        seconds => Ok(Some(Timestamp::from_unix(seconds.min(LAST_SECOND)))),
    }
}

/// The Unix seconds of a time in text. Read in pieces, since times at the end of the year 9999, which mean "never", lie
/// beyond what a time stamp of that crate can be.
fn seconds_of(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.date().to_datetime(pieces.time()?);
    let epoch = civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let offset_seconds = pieces.to_numeric_offset().map_or(0, |offset| i64::from(offset.seconds()));
    Some(time.duration_since(epoch).as_secs() - offset_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for text in [
            r#"{"Code":"Success","AccessKeyId":"a","AccessKeySecret":"b","SecurityToken":"c",
                "Expiration":"2024-02-29T13:00:00Z","LastUpdated":"2024-02-29T12:00:00Z"}"#,
            r#"{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"c",
                "Expiration":"2024-02-29T14:00:00+01:00"}"#,
            r#"{"mode":"StsToken","access_key_id":"a","access_key_secret":"b","sts_token":"c",
                "expiration":"2024-02-29T13:00:00Z"}"#,
            r#"{"RequestId":"r","Credentials":{"AccessKeyId":"a","AccessKeySecret":"b","SecurityToken":"c",
                "Expiration":"2024-02-29T13:00:00Z"}}"#,
        ] {
            let found = parse(text).unwrap();
            assert_eq!((found.access_key_id(), found.secret(), found.token()), ("a", "b", Some("c")), "{text}");
            assert_eq!(found.expires(), Some(Timestamp::from_unix(1_709_211_600)), "{text}");
        }
        assert!(parse(r#"{"AccessKeyId":"a","AccessKeySecret":"b","Other":1}"#).unwrap().expires().is_none());
    }

    #[test]
    fn xml_is_read_too() {
        let answer =
            |inner: &str| format!("<R xmlns='https://h/'><Result><Credentials>{inner}</Credentials></Result></R>");
        let (keys, rest) = (
            "<AccessKeyId>a</AccessKeyId><SecretAccessKey>b/&amp;+=</SecretAccessKey>",
            "<SessionToken>\n c </SessionToken><Expiration>2024-02-29T13:00:00.5Z</Expiration>",
        );
        let found = parse_xml(&answer(&format!("{keys}{rest}"))).unwrap();
        assert_eq!((found.access_key_id(), found.secret(), found.token()), ("a", "b/&+=", Some("c")));
        assert_eq!(found.expires(), Some(Timestamp::from_unix(1_709_211_600)));
        assert!(parse_xml(&answer(keys)).unwrap().expires().is_none());
        for odd in ["", "{}", "<R><AccessKeyId>a</AccessKeyId></R>", &answer(rest), &answer(keys)[..60]] {
            assert!(parse_xml(odd).unwrap_err().contains("is not XML"), "{odd}");
        }
        let bad = keys.to_owned() + "<Expiration>hush</Expiration>";
        assert!(parse_xml(&answer(&bad)).unwrap_err().contains("an Expiration that is neither"));
    }

    #[test]
    fn the_end_of_a_key_is_read_as_others_write_it() {
        let end = |expiration: &str| {
            parse(&format!(r#"{{"AccessKeyId":"a","AccessKeySecret":"b","Expiration":{expiration}}}"#))
                .map(|found| found.expires().map(|expires| expires.seconds))
        };
        const SECONDS: i64 = 1_709_211_600;
        for (expiration, seconds) in [
            ("1709211600", Some(SECONDS)),
            ("1709211600.75", Some(SECONDS)),
            ("1709211600000", Some(SECONDS)),
            (r#""1709211600""#, Some(SECONDS)),
            (r#"" 2024-02-29T13:00:00Z\n""#, Some(SECONDS)),
            (r#""2024-02-29T13:00:00""#, Some(SECONDS)),
            (r#""2024-02-29 13:00:00""#, Some(SECONDS)),
            (r#""2024-02-29T13:00:00.123456789z""#, Some(SECONDS)),
            (r#""2024-02-29T14:30:00+01:30""#, Some(SECONDS)),
            (r#""2024-02-29T05:00:00-0800""#, Some(SECONDS)),
            (r#""9999-12-31T23:59:59Z""#, Some(LAST_SECOND)),
            (r#""9999-12-31T23:59:59.999-12:00""#, Some(LAST_SECOND)),
            ("9223372036854775807", Some(LAST_SECOND)),
            ("0", None),
            ("null", None),
            (r#""""#, None),
        ] {
            assert_eq!(end(expiration), Ok(seconds), "{expiration}");
        }
        for odd in [r#""2024-02-29""#, r#""13:00:00""#, r#""never""#, "-5", "true", "[]", r#""2024-13-01T00:00:00Z""#] {
            assert!(end(odd).unwrap_err().contains("Unix seconds"), "{odd}");
        }
    }

    #[test]
    fn keys_are_cleaned_of_what_surrounds_them() {
        let found = parse(r#"{"AccessKeyId":" AK\n","AccessKeySecret":"b\r\n","SecurityToken":"\n"}"#).unwrap();
        assert_eq!((found.access_key_id(), found.secret(), found.token()), ("AK", "b", None));
        for (id, secret, says) in [
            ("A\\nK", "hush", "AccessKeyId holds a line end"),
            ("\\\"AK\\\"", "hush", "AccessKeyId stands in quotes"),
            ("AK", "hu\\u0000sh", "AccessKeySecret holds"),
        ] {
            let fault = parse(&format!(r#"{{"AccessKeyId":"{id}","AccessKeySecret":"{secret}"}}"#)).unwrap_err();
            assert!(fault.contains(says) && !fault.contains("hu"), "{fault}");
        }
    }

    #[test]
    fn odd_answers_are_refused_without_quoting_them() {
        for text in [
            "",
            "{}",
            "hush",
            r#"{"AccessKeyId":"a","AccessKeySecret":5}"#,
            r#"{"AccessKeyId":"","AccessKeySecret":""}"#,
            r#"{"Code":"NoPermission","AccessKeyId":"a","AccessKeySecret":"hush"}"#,
            r#"{"Credentials":{"AccessKeyId":"a"}}"#,
        ] {
            assert!(!parse(text).unwrap_err().contains("hush"));
        }
        let bad = r#"{"AccessKeyId":"a","AccessKeySecret":"hush","Expiration":"tomorrow"}"#;
        assert!(parse(bad).unwrap_err().contains("Expiration"));
    }
}
