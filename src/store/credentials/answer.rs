//! Access keys as services, programs and files write them down: in JSON, and one service in XML.

use serde::Deserialize;

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
    expiration: Option<String>,
}

/// Reads an access key; `Err` ends a sentence that names where it came from. The parser's own words are left out: they
/// may quote the secret.
pub(super) fn parse(text: &str) -> Result<Credentials, &'static str> {
    let json: Json = serde_json::from_str(text).map_err(|_| "is not JSON with AccessKeyId and AccessKeySecret")?;
    if json.code.as_deref().is_some_and(|code| code != "Success") {
        return Err("tells of a failure, not of an access key");
    }
    let json = match json.within {
        Some(within) => *within,
        None => json,
    };
    let (Some(id), Some(secret)) = (json.access_key_id, json.secret) else {
        return Err("is not JSON with AccessKeyId and AccessKeySecret");
    };
    credentials(id, secret, json.token, json.expiration.as_deref())
}

/// Reads the access key in the answer of the service that grants the roles of S3.
pub(super) fn parse_xml(text: &str) -> Result<Credentials, &'static str> {
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
        (Ok(()), Some(id), Some(secret)) => credentials(id, secret, token, expiration.as_deref()),
        _ => Err("is not XML with AccessKeyId and SecretAccessKey"),
    }
}

fn credentials(
    id: String,
    secret: String,
    token: Option<String>,
    expiration: Option<&str>,
) -> Result<Credentials, &'static str> {
    let token = token.filter(|token| !token.is_empty());
    let found = Credentials::new(id, secret).with_token(token);
    if found.access_key_id().is_empty() || found.secret().is_empty() {
        return Err("has an empty AccessKeyId or AccessKeySecret");
    }
    let Some(text) = expiration.filter(|text| !text.is_empty()) else { return Ok(found) };
    let time: jiff::Timestamp = text.parse().map_err(|_| "has an Expiration that is not an ISO 8601 time")?;
    Ok(found.with_expiry(Some(Timestamp::from_unix(time.as_second()))))
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
        assert!(parse_xml(&answer(&bad)).unwrap_err().contains("an Expiration that is not"));
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
