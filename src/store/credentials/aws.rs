//! Profiles of the aws command line: what `~/.aws/credentials` and `~/.aws/config` together say of where keys are.
//!
//! A profile can name a role with the profile or service whose keys assume it, a role by a token of a cluster, a role
//! of single sign-on (SSO), keys, or a program. The first of these that is there is used; keys in the file `config`
//! come after the program.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use super::{Credentials, Role, Source, Which, file, formats};
use crate::store::Result;

/// Profiles that name one another as sources are followed so far.
const MOST_SOURCES: usize = 8;

/// The two files, and what profiles can refer to besides each other.
pub struct AwsProfiles<'a> {
    /// `~/.aws/credentials`, where it exists.
    pub credentials: Option<PathBuf>,
    /// `~/.aws/config`, where it exists.
    pub config: Option<PathBuf>,
    /// Where tokens of single sign-on are kept: `~/.aws/sso/cache`.
    pub sso_cache: PathBuf,
    /// How a role of this ARN is assumed, in this region if one is named.
    pub role: &'a dyn Fn(String, Option<&str>) -> Role,
    /// The keys of the environment, of the container and of the instance, by the words of `credential_source`.
    pub service: &'a dyn Fn(&str) -> Option<Source>,
}

/// The settings of one section.
type Section = HashMap<String, String>;

/// The sections of both files.
struct Sections<'a> {
    of: &'a AwsProfiles<'a>,
    credentials: HashMap<String, Section>,
    config: HashMap<String, Section>,
}

impl AwsProfiles<'_> {
    /// The source that a profile names; `None` where neither file has the profile, or nothing in it.
    ///
    /// Fails with [`ErrorKind::Credentials`](crate::store::ErrorKind::Credentials) where a file cannot be read or is
    /// not trusted, or the profile asks for what is not known here.
    pub fn source(&self, profile: &str, bucket: &str) -> Result<Option<Source>> {
        let read = |path: &Option<PathBuf>| match path {
            Some(path) => Ok(sections(&file::text(path)?)),
            None => Ok(HashMap::new()),
        };
        let sections = Sections { of: self, credentials: read(&self.credentials)?, config: read(&self.config)? };
        sections.source(profile, bucket, 0)
    }

    /// A sentence about a profile, which names the file that it most likely stands in.
    fn problem(&self, profile: &str, what: &str) -> crate::store::Error {
        let nowhere = Path::new("~/.aws/config");
        let path = self.config.as_deref().or(self.credentials.as_deref()).unwrap_or(nowhere);
        file::problem(path, &format!("has the profile {profile:?}, which {what}"))
    }
}

impl Sections<'_> {
    fn source(&self, profile: &str, bucket: &str, depth: usize) -> Result<Option<Source>> {
        let held = |of: &HashMap<String, Section>, name: &str| {
            of.get(profile).and_then(|section| section.get(name)).filter(|value| !value.is_empty()).cloned()
        };
        // Where both files have a setting, that of the keys holds.
        let get = |name: &str| held(&self.credentials, name).or_else(|| held(&self.config, name));
        if depth > MOST_SOURCES {
            return Err(self.of.problem(profile, "names itself as its source, by way of others"));
        }
        if let Some(arn) = get("role_arn") {
            return self.role(profile, bucket, arn, &get, depth).map(Some);
        }
        if get("sso_session").is_some() || get("sso_start_url").is_some() {
            return self.sso(profile, &get).map(Some);
        }
        let which = || Which { profile: Some(profile.to_owned()), bucket: bucket.to_owned() };
        let has_keys = |of: &HashMap<String, Section>| held(of, "aws_access_key_id").is_some();
        if let Some(path) = self.of.credentials.clone().filter(|_| has_keys(&self.credentials)) {
            return Ok(Some(Source::File { path, which: which() }));
        }
        if let Some(command) = get("credential_process") {
            return Ok(Some(Source::Process(command)));
        }
        let path = self.of.config.clone().filter(|_| has_keys(&self.config));
        Ok(path.map(|path| Source::File { path, which: which() }))
    }

    fn role(
        &self,
        profile: &str,
        bucket: &str,
        arn: String,
        get: &dyn Fn(&str) -> Option<String>,
        depth: usize,
    ) -> Result<Source> {
        if get("mfa_serial").is_some() {
            return Err(self
                .of
                .problem(profile, "asks for a code of a device (mfa_serial), which nobody can type here"));
        }
        let mut role = (self.of.role)(arn, get("region").as_deref());
        role.external_id = get("external_id");
        if let Some(session) = get("role_session_name") {
            role.session = session;
        }
        if let Some(seconds) = get("duration_seconds").and_then(|seconds| seconds.parse().ok()) {
            role.duration_seconds = seconds;
        }
        if let Some(token_file) = get("web_identity_token_file") {
            return Ok(Source::WebIdentity { role, token_file: token_file.into() });
        }
        let source = match (get("source_profile"), get("credential_source")) {
            (Some(own), _) if own == profile => {
                let path = self.of.credentials.clone().or_else(|| self.of.config.clone());
                let which = Which { profile: Some(own), bucket: bucket.to_owned() };
                path.map(|path| Source::File { path, which })
            }
            (Some(other), _) => self.source(&other, bucket, depth + 1)?,
            (None, Some(word)) => (self.of.service)(&word),
            (None, None) => None,
        };
        let none =
            || self.of.problem(profile, "names a role, and no source_profile or credential_source that has keys");
        Ok(Source::AssumeRole { role, source: Box::new(source.ok_or_else(none)?) })
    }

    fn sso(&self, profile: &str, get: &dyn Fn(&str) -> Option<String>) -> Result<Source> {
        let session = get("sso_session");
        let of_session = |name: &str| {
            let section = self.config.get(&format!("sso-session {}", session.as_deref()?))?;
            section.get(name).cloned()
        };
        let setting = |name: &str| get(name).or_else(|| of_session(name));
        let missing = |name: &str| self.of.problem(profile, &format!("uses single sign-on and has no {name}"));
        let required = |name: &str| setting(name).ok_or_else(|| missing(name));
        let key = match &session {
            Some(session) => session.clone(),
            None => required("sso_start_url")?,
        };
        let token = format!("{}.json", hex::encode(Sha1::digest(key)));
        Ok(Source::Sso {
            endpoint: format!("https://portal.sso.{}.amazonaws.com", required("sso_region")?),
            account: required("sso_account_id")?,
            role: required("sso_role_name")?,
            token_file: self.of.sso_cache.join(token),
            profile: profile.to_owned(),
        })
    }
}

/// The sections of a file. Of `[profile NAME]` the name counts, as of `[NAME]`; indented lines belong to settings that
/// are none of ours.
fn sections(text: &str) -> HashMap<String, Section> {
    let mut sections: HashMap<String, Section> = HashMap::new();
    let mut at = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.starts_with([' ', '\t']) || line.trim().is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.trim().strip_prefix('[').and_then(|line| line.split(']').next()) {
            let name = name.trim();
            at = name.strip_prefix("profile ").unwrap_or(name).trim().trim_matches(['"', '\'']).to_owned();
            sections.entry(at.clone()).or_default();
        } else if let Some((name, value)) = line.split_once('=') {
            let value = formats::plain_value(value).to_owned();
            sections.entry(at.clone()).or_default().insert(name.trim().to_lowercase(), value);
        }
    }
    sections
}

/// The keys in the answer of the service of single sign-on.
pub(super) fn sso_keys(text: &str) -> std::result::Result<Credentials, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        role_credentials: Keys,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        access_key_id: String,
        #[serde(deserialize_with = "formats::secret")]
        secret_access_key: zeroize::Zeroizing<String>,
        #[serde(deserialize_with = "formats::secret")]
        session_token: zeroize::Zeroizing<String>,
        expiration: i64,
    }
    // The parser's own words may quote the secret.
    let Answer { role_credentials: keys } =
        serde_json::from_str(text).map_err(|_| "is not JSON with roleCredentials".to_owned())?;
    let names = ["accessKeyId", "secretAccessKey", "sessionToken"];
    let read = Credentials::read(names, &keys.access_key_id, &keys.secret_access_key, Some(&keys.session_token));
    let read = read.map_err(|fault| format!("has no usable key: {fault}"))?;
    // In milliseconds.
    Ok(read.with_expiry(Some(crate::base::Timestamp::from_unix(keys.expiration / 1000))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key = s3cr3t\n\
                               [keys]\naws_access_key_id=B\naws_secret_access_key=s3cr3t\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n\
        [profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = keys\nexternal_id = x\n\
        [profile chain]\nrole_arn=arn:aws:iam::1:role/s\nsource_profile=role\nrole_session_name=me\nregion=cn-north-1\n\
        [profile ec2]\nrole_arn=arn:aws:iam::1:role/e\ncredential_source=Ec2InstanceMetadata\n\
        [profile pod]\nrole_arn=arn:aws:iam::1:role/w\nweb_identity_token_file=/token\n\
        [profile run]\ncredential_process = /bin/keys --for me\n\
        [profile sso]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = Reader\n\
        [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n\
        [profile old]\nsso_start_url=https://corp.example/start\nsso_region=us-east-1\nsso_account_id=1\nsso_role_name=R\n\
        [profile loop]\nrole_arn=arn:aws:iam::1:role/l\nsource_profile=pool\n\
        [profile pool]\nrole_arn=arn:aws:iam::1:role/p\nsource_profile=loop\n\
        [profile mfa]\nrole_arn=arn:aws:iam::1:role/m\nsource_profile=keys\nmfa_serial=arn:aws:iam::1:mfa/me\n\
        [profile alone]\nrole_arn=arn:aws:iam::1:role/a\n[profile empty]\n[profile half]\nsso_start_url=x\n";

    fn told(profile: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let [credentials, config] = [("credentials", CREDENTIALS), ("config", CONFIG)].map(|(name, text)| {
            std::fs::write(folder.path().join(name), text).unwrap();
            Some(folder.path().join(name))
        });
        let role = |arn: String, region: Option<&str>| Role {
            endpoint: super::super::s3_sts_endpoint(region),
            arn,
            session: "ossmount".to_owned(),
            duration_seconds: 3600,
            external_id: None,
        };
        let service = |word: &str| match word {
            "Ec2InstanceMetadata" => Some(Source::Ec2Role { endpoint: "http://m".to_owned(), role: None }),
            _ => None,
        };
        let profiles = AwsProfiles { credentials, config, sso_cache: "/cache".into(), role: &role, service: &service };
        let shown = |source: &Source| match source {
            Source::AssumeRole { role, source } => format!(
                "{} {} {} {} with {}",
                role.endpoint,
                role.arn,
                role.session,
                role.external_id.as_deref().unwrap_or("-"),
                source.describe()
            ),
            Source::Sso { endpoint, account, role, token_file, .. } => {
                format!("{endpoint} {account} {role} {}", token_file.display())
            }
            Source::Process(command) => command.clone(),
            other => other.describe(),
        };
        let told = match profiles.source(profile, "b") {
            Ok(Some(source)) => shown(&source),
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        };
        told.replace(folder.path().to_str().unwrap(), "")
    }

    #[test]
    fn profiles_of_both_files_tell_where_keys_come_from() {
        for (profile, says) in [
            ("default", "the file /credentials"),
            ("keys", "the file /credentials"),
            ("role", "https://sts.amazonaws.com arn:aws:iam::1:role/r ossmount x with the file /credentials"),
            (
                "chain",
                "https://sts.cn-north-1.amazonaws.com.cn arn:aws:iam::1:role/s me - with the role \
                 arn:aws:iam::1:role/r with the file /credentials",
            ),
            ("ec2", "https://sts.amazonaws.com arn:aws:iam::1:role/e ossmount - with the role of this EC2 instance"),
            ("pod", "the role arn:aws:iam::1:role/w with the token in /token"),
            ("run", "/bin/keys --for me"),
            (
                "sso",
                "https://portal.sso.us-east-1.amazonaws.com 123 Reader \
                 /cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
            ),
            (
                "old",
                "https://portal.sso.us-east-1.amazonaws.com 1 R \
                 /cache/f7c9b39d0b4c7a7d82c79307585f77e1c5e74378.json",
            ),
            ("none", "nothing"),
            ("empty", "nothing"),
        ] {
            assert_eq!(told(profile), says, "{profile}");
        }
        for (profile, says) in [
            ("loop", "names itself as its source"),
            ("mfa", "asks for a code of a device"),
            ("alone", "names a role, and no source_profile"),
            ("half", "uses single sign-on and has no sso_region"),
        ] {
            assert!(told(profile).contains(says), "{profile}: {}", told(profile));
        }
    }

    #[test]
    fn the_answer_of_single_sign_on_is_read_and_never_quoted() {
        let text = r#"{"roleCredentials":{"accessKeyId":"A","secretAccessKey":"s3cr3t","sessionToken":"t","expiration":4070908800000}}"#;
        let keys = sso_keys(text).unwrap();
        assert_eq!((keys.access_key_id(), keys.secret(), keys.token()), ("A", "s3cr3t", Some("t")));
        assert_eq!(keys.expires().map(|time| time.seconds), Some(4_070_908_800));
        for text in ["s3cr3t", r#"{"roleCredentials":{"secretAccessKey":"s3cr3t"}}"#, r#"{"roleCredentials":7}"#] {
            assert!(!sso_keys(text).unwrap_err().contains("s3cr3t"));
        }
    }
}
