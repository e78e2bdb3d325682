//! Which credentials are meant, from options and environment.

use std::ffi::OsString;

use super::problem::{Problem, Result};
use super::raw::Raw;
use super::table::Name;
use crate::store::credentials::{Credentials, Source};
use crate::store::{Dialect, Sign};

/// The variables that hold an access key: id, secret, and tokens by any of several names.
struct Variables {
    id: &'static str,
    secret: &'static str,
    token: &'static str,
}

const OSS: &[Variables] = &[
    Variables { id: "OSS_ACCESS_KEY_ID", secret: "OSS_ACCESS_KEY_SECRET", token: "OSS_SESSION_TOKEN" },
    Variables {
        id: "ALIBABA_CLOUD_ACCESS_KEY_ID",
        secret: "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        token: "ALIBABA_CLOUD_SECURITY_TOKEN",
    },
];

const S3: &[Variables] =
    &[Variables { id: "AWS_ACCESS_KEY_ID", secret: "AWS_SECRET_ACCESS_KEY", token: "AWS_SESSION_TOKEN" }];

/// Where the credentials for a bucket come from. Fails with a sentence when none can be had.
pub(super) fn source(
    raw: &Raw,
    dialect: Dialect,
    sign: Sign,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Source> {
    let file = raw.path(Name::CredentialsFile);
    if sign == Sign::None {
        return Ok(Source::Anonymous);
    }
    match (raw.text(Name::Credentials), file) {
        (Some("anonymous"), _) => Ok(Source::Anonymous),
        (Some("file"), None) => Err(Problem::usage(
            "credentials=file needs a file: name it with --credentials-file or -o credentials-file=",
        )),
        (Some("auto" | "file"), Some(path)) => Ok(Source::File(path)),
        _ => from_environment(dialect, variable),
    }
}

fn from_environment(dialect: Dialect, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Source> {
    let sets = match dialect {
        Dialect::Oss => OSS,
        Dialect::S3 => S3,
    };
    let text = |name: &str| variable(name).and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty());
    for set in sets {
        match (text(set.id), text(set.secret)) {
            (Some(id), Some(secret)) => {
                return Ok(Source::Static(Credentials::new(id, secret).with_token(text(set.token))));
            }
            (Some(_), None) => return Err(half(set.id, set.secret)),
            (None, Some(_)) => return Err(half(set.secret, set.id)),
            (None, None) => {}
        }
    }
    Err(Problem::failure(format!(
        "no credentials: set {} and {}, name a file with credentials-file, or say credentials=anonymous for a public \
         bucket",
        sets[0].id, sets[0].secret
    )))
}

fn half(there: &str, missing: &str) -> Problem {
    Problem::failure(format!("no credentials: {there} is set but {missing} is not; set both"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn ask(
        options: &[(Name, &str)],
        dialect: Dialect,
        variables: &[(&str, &str)],
    ) -> std::result::Result<String, Problem> {
        let mut raw = Raw::default();
        for (name, text) in options {
            raw.set(*name, *text, Origin::Flag).unwrap();
        }
        let sign = if raw.text(Name::Sign) == Some("none") { Sign::None } else { Sign::V4 };
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        source(&raw, dialect, sign, &variable).map(|source| match source {
            Source::Static(held) => {
                format!("{} {} {}", held.access_key_id(), held.secret(), held.token().unwrap_or("-"))
            }
            Source::File(path) => path.display().to_string(),
            Source::Anonymous => "anonymous".to_owned(),
        })
    }

    #[test]
    fn each_dialect_reads_its_own_variables() {
        let all = [
            ("OSS_ACCESS_KEY_ID", "a"),
            ("OSS_ACCESS_KEY_SECRET", "b"),
            ("OSS_SESSION_TOKEN", "c"),
            ("AWS_ACCESS_KEY_ID", "d"),
            ("AWS_SECRET_ACCESS_KEY", "e"),
        ];
        assert_eq!(ask(&[], Dialect::Oss, &all).unwrap(), "a b c");
        assert_eq!(ask(&[], Dialect::S3, &all).unwrap(), "d e -");
        let platform = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "f"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "g")];
        assert_eq!(ask(&[], Dialect::Oss, &platform).unwrap(), "f g -");
        assert!(ask(&[], Dialect::S3, &platform).is_err());
    }

    #[test]
    fn options_choose_the_source() {
        let keys = [("OSS_ACCESS_KEY_ID", "a"), ("OSS_ACCESS_KEY_SECRET", "b")];
        let file = (Name::CredentialsFile, "/k.json");
        assert_eq!(ask(&[file], Dialect::Oss, &keys).unwrap(), "/k.json");
        assert_eq!(ask(&[file, (Name::Credentials, "env")], Dialect::Oss, &keys).unwrap(), "a b -");
        assert_eq!(ask(&[(Name::Credentials, "anonymous")], Dialect::Oss, &keys).unwrap(), "anonymous");
        assert_eq!(ask(&[(Name::Sign, "none")], Dialect::Oss, &[]).unwrap(), "anonymous");
        assert!(
            ask(&[(Name::Credentials, "file")], Dialect::Oss, &keys).unwrap_err().sentence.contains("credentials-file")
        );
    }

    #[test]
    fn missing_and_half_credentials_say_what_to_set() {
        let problem = ask(&[], Dialect::Oss, &[]).unwrap_err();
        assert!(problem.sentence.contains("OSS_ACCESS_KEY_ID") && problem.code() == 1, "{problem}");
        let problem = ask(&[], Dialect::S3, &[("AWS_ACCESS_KEY_ID", "hush")]).unwrap_err();
        assert!(problem.sentence.contains("AWS_SECRET_ACCESS_KEY is not"), "{problem}");
        assert!(!problem.sentence.contains("hush"));
        assert!(ask(&[], Dialect::Oss, &[("OSS_ACCESS_KEY_ID", "")]).is_err());
    }
}
