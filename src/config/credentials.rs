//! The source of credentials, from options and environment.

use std::ffi::OsString;
use std::path::PathBuf;

use super::choices::KeySource;
use super::problem::{Problem, Result};
use super::raw::Raw;
use super::table::Name;
use crate::store::credentials::{
    Authorization, AwsProfiles, Credentials, EC2_METADATA, METADATA, Role, Source, Which, s3_sts_endpoint, sts_endpoint,
};
use crate::store::{Dialect, Sign};

/// How long keys of a role are asked for; every role allows that much.
const ROLE_SECONDS: u32 = 3600;

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

/// The requester of credentials, and what it asks for.
pub(super) struct Asked<'a> {
    pub(super) dialect: Dialect,
    pub(super) sign: Sign,
    pub(super) bucket: &'a str,
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Where the credentials for a bucket come from. Fails with a sentence when none can be had.
pub(super) fn source(raw: &Raw, asked: &Asked<'_>) -> Result<Source> {
    let kind = raw.choice::<KeySource>(Name::Credentials)?;
    if asked.sign == Sign::None {
        return Ok(Source::Anonymous);
    }
    let source = match kind {
        KeySource::Auto => return asked.chain(raw),
        KeySource::Anonymous => return Ok(Source::Anonymous),
        KeySource::File => asked.file(raw)?.ok_or_else(|| needs(raw, Name::CredentialsFile))?,
        KeySource::Process => process(raw).ok_or_else(|| needs(raw, Name::CredentialsProcess))?,
        KeySource::Uri => asked.uri(raw)?.ok_or_else(|| needs(raw, Name::CredentialsUri))?,
        KeySource::Oidc => return asked.oidc(raw)?.ok_or_else(|| needs(raw, Name::OidcTokenFile)),
        KeySource::EcsRole => asked.ecs_role(raw),
        KeySource::Env => asked.environment()?.ok_or_else(|| asked.nothing())?,
    };
    asked.with_role(raw, source)
}

fn needs(raw: &Raw, name: Name) -> Problem {
    let (place, name) = (raw.describe(Name::Credentials), name.row().name);
    let kind = raw.text(Name::Credentials).unwrap_or_default();
    Problem::usage(format!("{place}: {kind} needs {name}: set it with --{name} or -o {name}="))
}

fn process(raw: &Raw) -> Option<Source> {
    raw.text(Name::CredentialsProcess).map(|command| Source::Process(command.to_owned()))
}

impl Asked<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty())
    }

    /// The first source that is there, those that were named first.
    fn chain(&self, raw: &Raw) -> Result<Source> {
        let named = match (self.file(raw)?, process(raw)) {
            (Some(file), _) => Some(file),
            (None, Some(process)) => Some(process),
            (None, None) if raw.is_given(Name::CredentialsUri) => self.uri(raw)?,
            (None, None) if raw.is_given(Name::RamRole) => Some(self.ecs_role(raw)),
            (None, None) => None,
        };
        if let Some(source) = named {
            return self.with_role(raw, source);
        }
        if let Some(source) = self.environment()? {
            return self.with_role(raw, source);
        }
        if let Some(source) = self.oidc(raw)? {
            return Ok(source);
        }
        let known = match self.dialect {
            Dialect::Oss => self.known_file(raw)?,
            Dialect::S3 => self.aws_profile(raw)?,
        };
        let source = match known {
            Some(source) => Some(source),
            None => self.uri(raw)?,
        };
        let is_instance = || match self.dialect {
            Dialect::Oss => super::machine::is_ecs(),
            Dialect::S3 => {
                super::machine::is_ec2() && self.text("AWS_EC2_METADATA_DISABLED").as_deref() != Some("true")
            }
        };
        match source {
            Some(source) => self.with_role(raw, source),
            None if is_instance() => self.with_role(raw, self.ecs_role(raw)),
            None => Err(self.nothing()),
        }
    }

    fn environment(&self) -> Result<Option<Source>> {
        for set in self.variables() {
            match (self.text(set.id), self.text(set.secret)) {
                (Some(id), Some(secret)) => {
                    let names = [set.id, set.secret, set.token];
                    let keys = Credentials::read(names, &id, &secret, self.text(set.token).as_deref());
                    return keys.map(|keys| Some(Source::Static(keys))).map_err(Problem::failure);
                }
                (Some(_), None) => return Err(half(set.id, set.secret)),
                (None, Some(_)) => return Err(half(set.secret, set.id)),
                (None, None) => {}
            }
        }
        Ok(None)
    }

    fn variables(&self) -> &'static [Variables] {
        match self.dialect {
            Dialect::Oss => OSS,
            Dialect::S3 => S3,
        }
    }

    /// The file that was named.
    fn file(&self, raw: &Raw) -> Result<Option<Source>> {
        raw.path(Name::CredentialsFile).map(|path| self.in_file(raw, path)).transpose()
    }

    fn in_file(&self, raw: &Raw, path: PathBuf) -> Result<Source> {
        let chosen = match self.dialect {
            Dialect::Oss => "ALIBABA_CLOUD_PROFILE",
            Dialect::S3 => "AWS_PROFILE",
        };
        let profile = raw.text(Name::Profile).map(str::to_owned).or_else(|| self.text(chosen));
        let which = Which { profile, bucket: self.bucket.to_owned() };
        Source::from_file(path, which).map_err(|error| Problem::failure(error.message().to_owned()))
    }

    /// What a profile of the aws command line names, in its two files.
    fn aws_profile(&self, raw: &Raw) -> Result<Option<Source>> {
        let home = self.text("HOME").map(|home| PathBuf::from(home).join(".aws"));
        let file = |variable: &str, name: &str| {
            let path = self.text(variable).map(PathBuf::from).or_else(|| home.as_ref().map(|home| home.join(name)));
            path.filter(|path| path.is_file())
        };
        let role = |arn: String, region: Option<&str>| {
            let mut role = self.role(raw, arn);
            let is_told = raw.is_given(Name::StsEndpoint) || self.text("AWS_ENDPOINT_URL_STS").is_some();
            if let Some(region) = region.filter(|_| !is_told) {
                role.endpoint = s3_sts_endpoint(Some(region));
            }
            role
        };
        let service = |word: &str| match word {
            "Environment" => self.environment().ok().flatten(),
            "EcsContainer" => self.uri(raw).ok().flatten(),
            "Ec2InstanceMetadata" => Some(self.ecs_role(raw)),
            _ => None,
        };
        let profiles = AwsProfiles {
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config: file("AWS_CONFIG_FILE", "config"),
            sso_cache: home.clone().unwrap_or_default().join("sso/cache"),
            role: &role,
            service: &service,
        };
        let named = raw.text(Name::Profile).map(str::to_owned).or_else(|| self.text("AWS_PROFILE"));
        let profile = named.clone().unwrap_or_else(|| "default".to_owned());
        let source = profiles.source(&profile, self.bucket);
        match source.map_err(|error| Problem::failure(error.message().to_owned()))? {
            None if named.is_some() => Err(Problem::failure(format!(
                "no credentials: neither ~/.aws/credentials nor ~/.aws/config has a profile {profile:?} that names any; \
                 correct profile or AWS_PROFILE"
            ))),
            source => Ok(source),
        }
    }

    /// A file where programs keep their keys.
    fn known_file(&self, raw: &Raw) -> Result<Option<Source>> {
        let home = self.text("HOME").map(PathBuf::from);
        let below = |name: &str| home.as_ref().map(|home| home.join(name));
        let places = [
            self.text("ALIBABA_CLOUD_CONFIG_FILE").map(PathBuf::from).or_else(|| below(".aliyun/config.json")),
            below(".ossutilconfig"),
            below(".passwd-ossfs"),
        ];
        let there = places.into_iter().flatten().find(|path| path.is_file());
        there.map(|path| self.in_file(raw, path)).transpose()
    }

    /// A service of the user's, or that of a container.
    fn uri(&self, raw: &Raw) -> Result<Option<Source>> {
        let given = raw.text(Name::CredentialsUri).map(str::to_owned);
        let known = || match self.dialect {
            Dialect::Oss => self.text("ALIBABA_CLOUD_CREDENTIALS_URI"),
            Dialect::S3 => {
                let relative = self.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
                let full = || self.text("AWS_CONTAINER_CREDENTIALS_FULL_URI");
                relative.map(|path| format!("http://169.254.170.2{path}")).or_else(full)
            }
        };
        let Some(url) = given.or_else(known) else { return Ok(None) };
        let file = self.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|path| Authorization::File(path.into()));
        let text = || self.text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|text| Authorization::Text(text.into()));
        let authorization = match self.dialect {
            Dialect::Oss => Authorization::None,
            Dialect::S3 => file.or_else(text).unwrap_or(Authorization::None),
        };
        Ok(Some(Source::Uri { url, authorization }))
    }

    /// The role of this instance: of ECS, or of EC2 for S3.
    fn ecs_role(&self, raw: &Raw) -> Source {
        if self.dialect == Dialect::S3 {
            let endpoint = self.option_or_variable(raw, Name::MetadataEndpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
            let endpoint = endpoint.unwrap_or_else(|| EC2_METADATA.to_owned());
            let role = raw.text(Name::RamRole).map(str::to_owned);
            return Source::Ec2Role { endpoint: endpoint.trim_end_matches('/').to_owned(), role };
        }
        let role = raw.text(Name::RamRole).map(str::to_owned).or_else(|| self.text("ALIBABA_CLOUD_ECS_METADATA"));
        let endpoint = raw.text(Name::MetadataEndpoint).unwrap_or(METADATA).trim_end_matches('/').to_owned();
        Source::EcsRole { endpoint, role }
    }

    /// A role by a cluster's token; `None` where there is none.
    fn oidc(&self, raw: &Raw) -> Result<Option<Source>> {
        match self.dialect {
            Dialect::Oss => self.oss_oidc(raw),
            Dialect::S3 => self.web_identity(raw),
        }
    }

    fn option_or_variable(&self, raw: &Raw, name: Name, variable: &str) -> Option<String> {
        raw.text(name).map(str::to_owned).or_else(|| self.text(variable))
    }

    fn oss_oidc(&self, raw: &Raw) -> Result<Option<Source>> {
        let token_file = self.option_or_variable(raw, Name::OidcTokenFile, "ALIBABA_CLOUD_OIDC_TOKEN_FILE");
        let provider_arn = self.option_or_variable(raw, Name::OidcProviderArn, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
        let arn = self.option_or_variable(raw, Name::RoleArn, "ALIBABA_CLOUD_ROLE_ARN");
        match (token_file, provider_arn, arn) {
            (Some(token_file), Some(provider_arn), Some(arn)) => {
                let role = self.role(raw, arn);
                Ok(Some(Source::Oidc { role, provider_arn, token_file: token_file.into() }))
            }
            (None, None, _) => Ok(None),
            _ => Err(Problem::usage(
                "a role assumed by OIDC requires oidc-token-file, oidc-provider-arn and role-arn: set all three (or \
                 the variables ALIBABA_CLOUD_OIDC_TOKEN_FILE, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and \
                 ALIBABA_CLOUD_ROLE_ARN)",
            )),
        }
    }

    fn web_identity(&self, raw: &Raw) -> Result<Option<Source>> {
        let token_file = self.option_or_variable(raw, Name::OidcTokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE");
        let arn = self.option_or_variable(raw, Name::RoleArn, "AWS_ROLE_ARN");
        match (token_file, arn) {
            (Some(token_file), Some(arn)) => {
                Ok(Some(Source::WebIdentity { role: self.role(raw, arn), token_file: token_file.into() }))
            }
            (None, _) => Ok(None),
            (Some(_), None) => Err(Problem::usage(
                "a role assumed by web identity requires oidc-token-file and role-arn: set both (or the variables \
                 AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN)",
            )),
        }
    }

    /// The role to take on with what was found, if one was named.
    fn with_role(&self, raw: &Raw, source: Source) -> Result<Source> {
        match (raw.text(Name::RoleArn), self.dialect) {
            (None, _) => Ok(source),
            (Some(arn), Dialect::S3) if !arn.starts_with("arn:") => Err(Problem::usage(format!(
                "{}: {arn:?} is not the ARN of a role of S3; write it as in arn:aws:iam::ACCOUNT:role/NAME",
                raw.describe(Name::RoleArn)
            ))),
            (Some(arn), _) => Ok(Source::AssumeRole { role: self.role(raw, arn.to_owned()), source: Box::new(source) }),
        }
    }

    fn role(&self, raw: &Raw, arn: String) -> Role {
        let region = raw.text(Name::Region).map(str::to_owned);
        let (session, usual_endpoint) = match self.dialect {
            Dialect::Oss => {
                let region = self.text("ALIBABA_CLOUD_STS_REGION").or(region);
                (self.text("ALIBABA_CLOUD_ROLE_SESSION_NAME"), sts_endpoint(region.as_deref()))
            }
            Dialect::S3 => {
                let region = self.text("AWS_REGION").or_else(|| self.text("AWS_DEFAULT_REGION")).or(region);
                let told = self.text("AWS_ENDPOINT_URL_STS");
                let told = told.map(|url| url.trim_end_matches('/').to_owned());
                (self.text("AWS_ROLE_SESSION_NAME"), told.unwrap_or_else(|| s3_sts_endpoint(region.as_deref())))
            }
        };
        let endpoint = raw.text(Name::StsEndpoint).map(|url| url.trim_end_matches('/').to_owned());
        Role {
            endpoint: endpoint.unwrap_or(usual_endpoint),
            arn,
            session: raw.text(Name::RoleSessionName).map(str::to_owned).or(session).unwrap_or("ossmount".into()),
            duration_seconds: ROLE_SECONDS,
            external_id: None,
        }
    }

    fn nothing(&self) -> Problem {
        let set = &self.variables()[0];
        Problem::failure(format!(
            "no credentials: set {} and {}, name a file with credentials-file, or set credentials=anonymous for a \
             public bucket",
            set.id, set.secret
        ))
    }
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
        let asked = Asked { dialect, sign, bucket: "b", variable: &variable };
        source(&raw, &asked).map(|source| match source {
            Source::Static(held) => {
                format!("{} {} {}", held.access_key_id(), held.secret(), held.token().unwrap_or("-"))
            }
            Source::File { path, which } => {
                format!("{}{}", path.display(), which.profile.map(|name| format!(" {name}")).unwrap_or_default())
            }
            Source::Anonymous => "anonymous".to_owned(),
            Source::Process(command) => format!("run {command}"),
            Source::EcsRole { endpoint, role } => format!("ecs {endpoint} {}", role.as_deref().unwrap_or("-")),
            Source::Ec2Role { endpoint, role } => format!("ec2 {endpoint} {}", role.as_deref().unwrap_or("-")),
            Source::Sso { endpoint, account, role, .. } => format!("sso {endpoint} {account} {role}"),
            Source::Oidc { role, provider_arn, token_file } => {
                format!("oidc {} {} {provider_arn} {}", role.endpoint, role.arn, token_file.display())
            }
            Source::WebIdentity { role, token_file } => {
                format!("web {} {} {} {}", role.endpoint, role.arn, role.session, token_file.display())
            }
            Source::AssumeRole { role, source } => {
                format!("{} {} {} with {}", role.endpoint, role.arn, role.session, source.describe())
            }
            Source::Uri { url, authorization } => format!("ask {url} {authorization:?}"),
        })
    }

    #[test]
    fn named_sources_come_first_and_a_role_goes_on_top() {
        let keys = [("OSS_ACCESS_KEY_ID", "a"), ("OSS_ACCESS_KEY_SECRET", "b")];
        let oss = |options: &[(Name, &str)]| ask(options, Dialect::Oss, &keys).unwrap();
        assert_eq!(oss(&[(Name::CredentialsProcess, "print keys")]), "run print keys");
        assert_eq!(oss(&[(Name::CredentialsUri, "http://h/k")]), "ask http://h/k None");
        assert_eq!(oss(&[(Name::RamRole, "r")]), "ecs http://100.100.100.200 r");
        let stand_in = (Name::MetadataEndpoint, "http://127.0.0.1:9/");
        assert_eq!(oss(&[(Name::Credentials, "ecs-role"), stand_in]), "ecs http://127.0.0.1:9 -");
        let role = (Name::RoleArn, "acs:r");
        assert_eq!(oss(&[role]), "https://sts.aliyuncs.com acs:r ossmount with the access key a");
        let region = (Name::Region, "cn-beijing");
        assert_eq!(
            oss(&[role, region, (Name::RamRole, "r"), (Name::RoleSessionName, "me")]),
            "https://sts.cn-beijing.aliyuncs.com acs:r me with the RAM role r of this ECS instance"
        );
        let sts = (Name::StsEndpoint, "http://127.0.0.1:9/");
        assert!(oss(&[role, sts]).starts_with("http://127.0.0.1:9 acs:r"));
    }

    #[test]
    fn a_cluster_tells_by_variables() {
        let pod = [
            ("ALIBABA_CLOUD_ROLE_ARN", "acs:r"),
            ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:p"),
            ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/var/run/token"),
            ("ALIBABA_CLOUD_STS_REGION", "cn-hangzhou"),
        ];
        let told = "oidc https://sts.cn-hangzhou.aliyuncs.com acs:r acs:p /var/run/token";
        assert_eq!(ask(&[], Dialect::Oss, &pod).unwrap(), told);
        assert_eq!(ask(&[(Name::Credentials, "oidc")], Dialect::Oss, &pod).unwrap(), told);
        let problem = ask(&[], Dialect::Oss, &pod[1..]).unwrap_err();
        assert!(problem.sentence.contains("set all three"), "{problem}");
        let container =
            [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/k"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush")];
        assert_eq!(ask(&[], Dialect::S3, &container).unwrap(), "ask http://169.254.170.2/v2/k Text(hidden)");
    }

    #[test]
    fn a_cluster_tells_of_roles_of_s3() {
        let pod = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
            ("AWS_ROLE_ARN", "arn:r"),
            ("AWS_ROLE_SESSION_NAME", "pod"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let told = "web https://sts.eu-west-1.amazonaws.com arn:r pod /var/run/token";
        assert_eq!(ask(&[], Dialect::S3, &pod).unwrap(), told);
        assert_eq!(ask(&[(Name::Credentials, "oidc")], Dialect::S3, &pod).unwrap(), told);
        let region = (Name::Region, "us-west-2");
        let file = (Name::OidcTokenFile, "/t");
        assert_eq!(
            ask(&[file, region], Dialect::S3, &pod[1..2]).unwrap(),
            "web https://sts.us-west-2.amazonaws.com arn:r ossmount /t"
        );
        let own = [pod[0], pod[1], ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9/")];
        assert_eq!(ask(&[], Dialect::S3, &own).unwrap(), "web http://127.0.0.1:9 arn:r ossmount /var/run/token");
        let keys = [("AWS_ACCESS_KEY_ID", "d"), ("AWS_SECRET_ACCESS_KEY", "e"), pod[0], pod[1]];
        assert_eq!(ask(&[], Dialect::S3, &keys).unwrap(), "d e -");

        let problem = ask(&[], Dialect::S3, &pod[..1]).unwrap_err();
        assert!(problem.sentence.contains("set both") && problem.code() == 2, "{problem}");
        let assumed = "https://sts.amazonaws.com arn:r ossmount with the access key d";
        assert_eq!(ask(&[(Name::RoleArn, "arn:r")], Dialect::S3, &keys[..2]).unwrap(), assumed);
        let problem = ask(&[(Name::RoleArn, "acs:r")], Dialect::S3, &keys[..2]).unwrap_err();
        assert!(problem.sentence.contains("arn:aws:iam::ACCOUNT:role/NAME"), "{problem}");
        assert!(ask(&[], Dialect::Oss, &pod).is_err(), "those are another service's");
    }

    #[test]
    fn files_of_other_programs_are_found_in_the_home() {
        let home = tempfile::tempdir().unwrap();
        let variables = [("HOME", home.path().to_str().unwrap()), ("ALIBABA_CLOUD_PROFILE", "work")];
        assert!(ask(&[], Dialect::Oss, &variables).is_err());
        for (name, text) in [
            (".passwd-ossfs", "b:id:secret"),
            (".ossutilconfig", "[Credentials]\naccessKeyID=a\naccessKeySecret=b"),
            (".aliyun/config.json", r#"{"profiles":[{"name":"work","mode":"AK"}]}"#),
        ] {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            assert_eq!(ask(&[], Dialect::Oss, &variables).unwrap(), format!("{} work", path.display()));
        }
        let odd = home.path().join("odd");
        std::fs::write(&odd, r#"{"profiles":[{"name":"work","mode":"CloudSSO"}]}"#).unwrap();
        let odd = (Name::CredentialsFile, odd.to_str().unwrap());
        assert!(ask(&[odd], Dialect::Oss, &variables).unwrap_err().sentence.contains("CloudSSO"));
    }

    #[test]
    fn profiles_of_the_aws_command_line_are_found_in_both_files() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str| home.path().join(".aws").join(name);
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let variables = [("HOME", home.path().to_str().unwrap()), ("AWS_EC2_METADATA_DISABLED", "true")];
        let s3 = |options: &[(Name, &str)]| ask(options, Dialect::S3, &variables);
        std::fs::write(file("credentials"), "[default]\naws_access_key_id=a\naws_secret_access_key=b\n").unwrap();
        assert_eq!(s3(&[]).unwrap(), format!("{} default", file("credentials").display()));
        let config = "[profile r]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=default\nregion=eu-west-1\n\
                      [profile i]\nrole_arn=arn:aws:iam::1:role/i\ncredential_source=Ec2InstanceMetadata\n\
                      [profile s]\nsso_start_url=u\nsso_region=us-east-1\nsso_account_id=1\nsso_role_name=R\n";
        std::fs::write(file("config"), config).unwrap();
        let keys = format!("the file {}", file("credentials").display());
        let told = format!("https://sts.eu-west-1.amazonaws.com arn:aws:iam::1:role/r ossmount with {keys}");
        assert_eq!(s3(&[(Name::Profile, "r")]).unwrap(), told);
        let told = "http://127.0.0.1:9 arn:aws:iam::1:role/r ossmount with ";
        assert!(s3(&[(Name::Profile, "r"), (Name::StsEndpoint, "http://127.0.0.1:9")]).unwrap().starts_with(told));
        assert!(s3(&[(Name::Profile, "i")]).unwrap().ends_with(" with the role of this EC2 instance"));
        assert_eq!(s3(&[(Name::Profile, "s")]).unwrap(), "sso https://portal.sso.us-east-1.amazonaws.com 1 R");
        let problem = s3(&[(Name::Profile, "none")]).unwrap_err();
        assert!(problem.sentence.contains("has a profile \"none\""), "{problem}");
        std::fs::remove_file(file("credentials")).unwrap();
        assert!(s3(&[]).unwrap_err().sentence.contains("no credentials: set AWS_ACCESS_KEY_ID"));
        assert_eq!(s3(&[(Name::Credentials, "ecs-role")]).unwrap(), "ec2 http://169.254.169.254 -");
    }

    #[test]
    fn a_kind_without_its_option_says_which() {
        for (kind, says) in [
            ("file", "needs credentials-file"),
            ("process", "needs credentials-process"),
            ("uri", "needs credentials-uri"),
            ("oidc", "needs oidc-token-file"),
        ] {
            let problem = ask(&[(Name::Credentials, kind)], Dialect::Oss, &[]).unwrap_err();
            assert!(problem.sentence.contains(says) && problem.code() == 2, "{problem}");
        }
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
    fn keys_of_the_environment_are_cleaned_and_a_broken_one_is_named() {
        let keys = |id: &'static str, secret: &'static str, token: &'static str| {
            let all = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_SESSION_TOKEN", token)];
            ask(&[], Dialect::S3, &all)
        };
        assert_eq!(keys("AK\n", " sec/+= \r\n", "\ttok\n").unwrap(), "AK sec/+= tok");
        assert_eq!(keys("AK", "s e#c\"ret", " \n").unwrap(), "AK s e#c\"ret -");
        for (id, secret, token, says) in [
            ("A\nK", "s", "t", "AWS_ACCESS_KEY_ID holds a line end"),
            ("\"AK\"", "s", "t", "AWS_ACCESS_KEY_ID stands in quotes"),
            ("'AK'", "s", "t", "AWS_ACCESS_KEY_ID stands in quotes"),
            ("A K", "s", "t", "AWS_ACCESS_KEY_ID holds a blank"),
            ("\u{e4}", "s", "t", "AWS_ACCESS_KEY_ID holds a blank or a character that is not ASCII"),
            (" ", "s", "t", "AWS_ACCESS_KEY_ID is empty"),
            ("AK", "hu\u{7}sh", "t", "AWS_SECRET_ACCESS_KEY holds a line end or another control"),
            ("AK", "'hush'", "t", "AWS_SECRET_ACCESS_KEY stands in quotes"),
            ("AK", "s", "hu\nsh", "AWS_SESSION_TOKEN holds a line end"),
        ] {
            let problem = keys(id, secret, token).unwrap_err();
            assert!(problem.sentence.contains(says) && problem.code() == 1, "{problem}");
            assert!(!problem.sentence.contains("hu"), "{problem}");
        }
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
