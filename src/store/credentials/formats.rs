//! Access keys as programs keep them in files: the connector's JSON, the profiles of the aliyun command line, ossutil's
//! and S3's sections, passwd-style lines. Which one a file is shows in its first characters.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{Credentials, answer};

/// Which of the keys in a file are meant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Which {
    /// The profile or section; the file's own choice if none is named.
    pub profile: Option<String>,
    /// The bucket, for lines that are for one bucket only.
    pub bucket: String,
}

/// What a profile of the aliyun command line says where it does not hold the keys themselves.
#[derive(Deserialize, Clone, Default)]
#[serde(default)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) mode: String,
    access_key_id: String,
    #[serde(deserialize_with = "secret")]
    access_key_secret: Zeroizing<String>,
    #[serde(deserialize_with = "secret")]
    sts_token: Zeroizing<String>,
    pub(super) ram_role_name: String,
    pub(super) ram_role_arn: String,
    pub(super) ram_session_name: String,
    pub(super) expired_seconds: u32,
    pub(super) sts_region: String,
    pub(super) oidc_provider_arn: String,
    pub(super) oidc_token_file: String,
    pub(super) process_command: String,
    pub(super) credentials_uri: String,
    pub(super) source_profile: String,
}

/// How the parts of a key are called in profiles and sections.
const PROFILE_NAMES: [&str; 3] = ["access_key_id", "access_key_secret", "sts_token"];

/// Reads a secret into memory that is overwritten.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

#[derive(Deserialize)]
struct Profiles {
    #[serde(default)]
    current: String,
    profiles: Vec<Profile>,
}

impl Profile {
    /// The keys that it holds, if it does.
    pub(super) fn keys(&self) -> Result<Credentials, String> {
        match (self.access_key_id.as_str(), self.access_key_secret.as_str()) {
            ("", _) | (_, "") => Err(format!("has no access key in the profile {:?}", self.name)),
            (id, secret) => Credentials::read(PROFILE_NAMES, id, secret, Some(&self.sts_token))
                .map_err(|fault| format!("has no usable key in the profile {:?}: {fault}", self.name)),
        }
    }
}

/// The profile meant, where a text holds profiles of the aliyun command line.
pub(super) fn profile(text: &str, which: &Which) -> Option<Result<Profile, String>> {
    let Profiles { current, profiles } = serde_json::from_str(text).ok()?;
    let name = which.profile.clone().unwrap_or(current);
    let found = profiles.into_iter().find(|profile| profile.name == name);
    Some(found.ok_or_else(|| format!("has no profile {name:?}")))
}

/// The keys in a file's text; `Err` ends a sentence that names the file, and quotes nothing of it but names.
pub(super) fn parse(text: &str, which: &Which) -> Result<Credentials, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') {
        return match profile(text, which) {
            Some(profile) => profile?.keys(),
            None => answer::parse(text),
        };
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    match lines().next() {
        None => Err("is empty".into()),
        Some(first) if first.starts_with('[') => section(lines(), which),
        Some(_) => passwd(lines(), which),
    }
}

/// Sections of `name = value` lines; names are compared without case, `_`, and what programs put in front.
fn section<'a>(lines: impl Iterator<Item = &'a str>, which: &Which) -> Result<Credentials, String> {
    let mut sections: HashMap<String, HashMap<String, &str>> = HashMap::new();
    let mut at = String::new();
    for line in lines {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            at = name.trim().strip_prefix("profile ").unwrap_or(name.trim()).trim().to_lowercase();
        } else if let Some((name, value)) = line.split_once('=') {
            let name = name.trim().to_lowercase().replace(['_', '-'], "");
            let name = name.strip_prefix("aws").map(str::to_owned).unwrap_or(name);
            sections.entry(at.clone()).or_default().insert(name, plain_value(value));
        }
    }
    let wanted = match &which.profile {
        Some(profile) => vec![profile.to_lowercase()],
        None => vec!["default".to_owned(), "credentials".to_owned()],
    };
    let missing = || format!("has no section [{}]", wanted.join("] or ["));
    let found = wanted.iter().find_map(|name| sections.get(name)).ok_or_else(missing)?;
    let any = |names: &[&str]| names.iter().find_map(|name| found.get(*name)).filter(|value| !value.is_empty());
    let (id, secret) = (any(&["accesskeyid"]), any(&["accesskeysecret", "secretaccesskey"]));
    let (Some(id), Some(secret)) = (id, secret) else {
        return Err(format!("has no access key in the section [{}]", wanted.join("] or [")));
    };
    let token = any(&["ststoken", "securitytoken", "sessiontoken"]);
    Credentials::read(PROFILE_NAMES, id, secret, token.copied())
        .map_err(|fault| format!("has no usable key in the section [{}]: {fault}", wanted.join("] or [")))
}

/// A value without the quotes around it and the comment behind it. A comment stands after a blank: keys may hold `#`.
pub(super) fn plain_value(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some((inner, rest)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote))
            && (rest.trim().is_empty() || rest.trim_start().starts_with(['#', ';']))
        {
            return inner;
        }
    }
    let is_blank = |c: char| c == ' ' || c == '\t';
    let comment = value.char_indices().find(|&(at, c)| "#;".contains(c) && value[..at].ends_with(is_blank));
    comment.map_or(value, |(at, _)| value[..at].trim_end())
}

/// Lines `bucket:id:secret`, or `id:secret` for every other bucket.
fn passwd<'a>(lines: impl Iterator<Item = &'a str>, which: &Which) -> Result<Credentials, String> {
    let mut any = None;
    for line in lines {
        match line.split(':').collect::<Vec<_>>()[..] {
            [bucket, id, secret] if bucket == which.bucket && !id.is_empty() && !secret.is_empty() => {
                return line_key(id, secret);
            }
            [_, _, _] => {}
            [id, secret] if !id.is_empty() && !secret.is_empty() => any = Some((id, secret)),
            _ => return Err("has a line that is not BUCKET:KEY-ID:SECRET, and is nothing else that is known".into()),
        }
    }
    let missing = || format!("has no line for the bucket {:?}", which.bucket);
    any.ok_or_else(missing).and_then(|(id, secret)| line_key(id, secret))
}

fn line_key(id: &str, secret: &str) -> Result<Credentials, String> {
    Credentials::read(["the key id", "the secret", ""], id, secret, None)
        .map_err(|fault| format!("has no usable key: {fault}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str, profile: Option<&str>) -> Result<String, String> {
        let which = Which { profile: profile.map(str::to_owned), bucket: "b".into() };
        let keys = parse(text, &which)?;
        Ok(format!("{} {} {}", keys.access_key_id(), keys.secret(), keys.token().unwrap_or("-")))
    }

    const ALIYUN: &str = r#"{"current":"work","profiles":[
        {"name":"home","mode":"AK","access_key_id":"h","access_key_secret":"hush","language":"en"},
        {"name":"work","mode":"StsToken","access_key_id":"w","access_key_secret":"hush","sts_token":"t"}]}"#;
    const OSSUTIL: &str = "[Credentials]\nlanguage=EN\nendpoint = oss.example\naccessKeyID = o\naccessKeySecret=hush\n\
                           stsToken= t=t\n[Bucket-Endpoint]\nb=e\n";
    const AWS: &str = "# mine\n[default]\naws_access_key_id = d\naws_secret_access_key = hush\n\n[profile Train]\n\
                       aws_access_key_id=p\naws_secret_access_key=hush\naws_session_token=t";

    #[test]
    fn quotes_and_comments_are_no_part_of_a_key() {
        let section = |id: &str, secret: &str| {
            found(&format!("[default]\naws_access_key_id = {id}\naws_secret_access_key={secret}\n"), None)
        };
        for (id, secret, expected) in [
            ("AK", "s", "AK s -"),
            ("AK # mine", "s\t; his", "AK s -"),
            ("\"AK\"", "'s'", "AK s -"),
            ("\"AK\" # mine", "'s#e;c' ; his", "AK s#e;c -"),
            ("AK#1", "s#e;c", "AK#1 s#e;c -"),
            ("AK\r", "'s", "AK 's -"),
        ] {
            assert_eq!(section(id, secret).unwrap(), expected, "{id} {secret}");
        }
        let fault = section("A K", "hush").unwrap_err();
        assert!(fault.contains("in the section [default] or [credentials]: access_key_id holds a blank"), "{fault}");
        let fault = section("\"\"", "hush").unwrap_err();
        assert!(fault.contains("has no access key"), "{fault}");
        let fault = found("A K:hush", None).unwrap_err();
        assert!(fault.contains("the key id holds a blank") && !fault.contains("hush"), "{fault}");
        let profile = r#"{"current":"p","profiles":[{"name":"p","access_key_id":"A\nK","access_key_secret":"hush"}]}"#;
        let fault = found(profile, None).unwrap_err();
        assert!(fault.contains("in the profile \"p\": access_key_id holds a line end"), "{fault}");
    }

    #[test]
    fn every_kind_of_file_is_read() {
        assert_eq!(found(r#"{"AccessKeyId":"a","AccessKeySecret":"hush"}"#, None).unwrap(), "a hush -");
        assert_eq!(found(ALIYUN, None).unwrap(), "w hush t");
        assert_eq!(found(ALIYUN, Some("home")).unwrap(), "h hush -");
        assert_eq!(found(OSSUTIL, None).unwrap(), "o hush t=t");
        assert_eq!(found(AWS, None).unwrap(), "d hush -");
        assert_eq!(found(AWS, Some("train")).unwrap(), "p hush t");
        assert_eq!(found("x:other:hush\nb:mine:hush\n", None).unwrap(), "mine hush -");
        assert_eq!(found("\n# all\nany:hush\nx:other:hush", None).unwrap(), "any hush -");
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_quoted() {
        for (text, profile, says) in [
            ("", None, "is empty"),
            ("{\"profiles\":[]}", None, "has no profile \"\""),
            (ALIYUN, Some("play"), "has no profile \"play\""),
            (r#"{"current":"e","profiles":[{"name":"e","mode":"EcsRamRole"}]}"#, None, "no access key in the profile"),
            (OSSUTIL, Some("x"), "has no section [x]"),
            ("[default]\naccess_key_id=hush", None, "no access key in the section"),
            ("x:other:hush", None, "no line for the bucket \"b\""),
            ("hush", None, "has a line that is not"),
            ("b::hush", None, "no line for"),
            ("{hush", None, "is not JSON"),
        ] {
            let error = found(text, profile).unwrap_err();
            assert!(error.contains(says) && !error.contains("hush"), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_tell(text in "[\\[\\]{}:=\"#; \na-c]{0,200}", profile in proptest::option::of("[a-c]{0,3}")) {
            let which = Which { profile, bucket: "b".into() };
            let _ = parse(&text, &which);
        }
    }
}
