//! Access keys and where they come from.
//!
//! A [`Source`] says where; a provider made from it is asked before every request, so that rotated keys are picked up
//! without a restart. The environment and command-line flags are read in `config`.
//!
//! | file | what it owns |
//! |---|---|
//! | `answer` | access keys as services and programs write them: JSON, XML |
//! | `age` | the figures about the age of credentials |
//! | `aws` | profiles of the aws command line |
//! | `ecs` | the role of an instance of ECS or EC2, from the metadata service of the machine |
//! | `file` | credentials in a file, read again when it changes |
//! | `process` | credentials that a program prints |
//! | `refresh` | renewing credentials before they expire |
//! | `sso` | roles of single sign-on |
//! | `sts` | roles: by a token of a cluster (OIDC), or by other credentials (AssumeRole) |
//! | `uri` | credentials of a service at a URL |
//! | `web` | asking the services that hand out access keys |
//! | `formats` | the file formats of access keys |

mod age;
mod answer;
mod aws;
mod ecs;
mod file;
mod formats;
mod process;
mod refresh;
mod sso;
mod sts;
#[cfg(test)]
mod tests;
mod uri;
mod web;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use refresh::Renewing;
use zeroize::Zeroize;

use super::Result;
use crate::base::Timestamp;

pub(crate) use age::AgeMeter;
pub use aws::AwsProfiles;
pub use ecs::{EC2_METADATA, METADATA};
pub use formats::Which;
pub use sts::Role;
pub use uri::Authorization;
pub(crate) use web::Web;

/// An access key. Its secrets are overwritten when it is dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret: String,
    token: Option<String>,
    expires: Option<Timestamp>,
}

impl Credentials {
    /// A key without an end.
    pub fn new(access_key_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Credentials { access_key_id: access_key_id.into(), secret: secret.into(), token: None, expires: None }
    }

    /// A key as it was written down somewhere, without blanks and line ends around its parts. `Err` is a phrase that
    /// names the part at fault, by these names, and quotes nothing.
    pub fn read(names: [&str; 3], id: &str, secret: &str, token: Option<&str>) -> std::result::Result<Self, String> {
        let id = written_part(names[0], id, Part::Id)?;
        let secret = written_part(names[1], secret, Part::Secret)?;
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let token = token.map(|token| written_part(names[2], token, Part::Token)).transpose()?;
        Ok(Credentials::new(id, secret).with_token(token.map(str::to_owned)))
    }

    /// Adds the security token of temporary credentials.
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// Says when the key stops working.
    pub fn with_expiry(mut self, expires: Option<Timestamp>) -> Self {
        self.expires = expires;
        self
    }

    /// The id of the access key, which is public.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// When the key stops working, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The secret half, for signing only.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The security token, for signing only.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Where a part of a key goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Into a header of each request, between signs that end at a blank.
    Id,
    /// Into a header of its own in each request.
    Token,
    /// Into signatures, and nowhere else.
    Secret,
}

/// A part of a key without what surrounds it. No service has keys with what is refused here; with it, it would show as
/// a wrong signature or a header that cannot be sent.
fn written_part<'a>(name: &str, text: &'a str, part: Part) -> std::result::Result<&'a str, String> {
    let text = text.trim();
    let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    let fault = if text.is_empty() {
        "is empty"
    } else if is_quoted('"') || is_quoted('\'') {
        "stands in quotes, which would belong to it"
    } else if text.chars().any(char::is_control) {
        "holds a line end or another control character"
    } else if part == Part::Id && text.chars().any(|c| c.is_whitespace() || !c.is_ascii()) {
        "holds a blank or a character that is not ASCII"
    } else if part == Part::Token && !text.is_ascii() {
        "holds a character that is not ASCII"
    } else {
        return Ok(text);
    };
    Err(format!("{name} {fault}; write the key alone"))
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.token.zeroize();
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret", &"(hidden)")
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("expires", &self.expires)
            .finish()
    }
}

/// What answers for sources, by what they are. Clones share it: the stores of one process ask a program or a service
/// once for all of them.
#[derive(Clone, Default)]
pub struct Known(Arc<Mutex<Providers>>);

/// Providers, each with what its source is.
type Providers = Vec<(String, Arc<dyn Provider>)>;

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Known").field(&self.0.lock().len()).finish()
    }
}

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Keys that were given once.
    Static(Credentials),
    /// A file that holds keys, in any of the forms that programs keep them in; read again when it changes.
    File {
        /// The path of the file.
        path: PathBuf,
        /// Which of its keys.
        which: Which,
    },
    /// A line for the shell; what it starts prints JSON with `AccessKeyId`, `AccessKeySecret` and, for temporary ones,
    /// `SecurityToken` and `Expiration`.
    Process(String),
    /// The role of the ECS instance that this runs on.
    EcsRole {
        /// The metadata service, without a slash at the end; usually [`METADATA`].
        endpoint: String,
        /// The instance's own if none is named.
        role: Option<String>,
    },
    /// The role of the EC2 instance that this runs on.
    Ec2Role {
        /// The metadata service, without a slash at the end; usually [`EC2_METADATA`].
        endpoint: String,
        /// The instance's own if none is named.
        role: Option<String>,
    },
    /// A role of single sign-on, with the token that the aws command line has left in a file.
    Sso {
        /// The service that hands out keys, without a slash at the end.
        endpoint: String,
        /// The account that the role belongs to.
        account: String,
        /// The name of the role.
        role: String,
        /// Where the token is; read anew each time.
        token_file: PathBuf,
        /// The profile that names it, for messages.
        profile: String,
    },
    /// A role taken on with the token that a cluster writes into a file.
    Oidc {
        /// The role that is assumed.
        role: Role,
        /// The identity provider of the token, as in `acs:ram::ACCOUNT:oidc-provider/NAME`.
        provider_arn: String,
        /// Where the token is; read anew each time.
        token_file: PathBuf,
    },
    /// A role of S3's service taken on with the token that a cluster writes into a file.
    WebIdentity {
        /// The role that is assumed.
        role: Role,
        /// Where the token is; read anew each time.
        token_file: PathBuf,
    },
    /// A role taken on with other credentials.
    AssumeRole {
        /// The role that is assumed.
        role: Role,
        /// The credentials that assume it.
        source: Box<Source>,
    },
    /// A service that answers with the JSON of a program.
    Uri {
        /// The address of the service.
        url: String,
        /// What it wants to be told.
        authorization: Authorization,
    },
    /// None: requests are not signed.
    Anonymous,
}

impl Source {
    /// The credentials that a file holds or, being a profile of the aliyun command line, tells the way to. A file that
    /// is not there yet may come to hold keys.
    ///
    /// Fails with [`ErrorKind::Credentials`](super::ErrorKind::Credentials) where the profile is of a kind that is not
    /// known here.
    pub fn from_file(path: PathBuf, which: Which) -> Result<Source> {
        let profile = file::text(&path).ok().and_then(|text| formats::profile(&text, &which));
        match profile {
            Some(Ok(profile)) => Source::from_profile(profile, path, which),
            _ => Ok(Source::File { path, which }),
        }
    }

    fn from_profile(profile: formats::Profile, path: PathBuf, which: Which) -> Result<Source> {
        let role = || Role {
            endpoint: sts_endpoint(Some(profile.sts_region.as_str()).filter(|region| !region.is_empty())),
            arn: profile.ram_role_arn.clone(),
            session: match profile.ram_session_name.as_str() {
                "" => "ossmount".to_owned(),
                name => name.to_owned(),
            },
            duration_seconds: if profile.expired_seconds == 0 { 3600 } else { profile.expired_seconds },
            external_id: None,
        };
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(match profile.mode.as_str() {
            "" | "AK" | "StsToken" => Source::File { path, which },
            "EcsRamRole" => Source::EcsRole { endpoint: METADATA.to_owned(), role: named(&profile.ram_role_name) },
            "RamRoleArn" => {
                let keys = profile.keys().map_err(|what| file::problem(&path, &what))?;
                Source::AssumeRole { role: role(), source: Box::new(Source::Static(keys)) }
            }
            "ChainableRamRoleArn" if Some(&profile.source_profile) != which.profile.as_ref() => {
                let first = Which { profile: named(&profile.source_profile), ..which };
                let source = Box::new(Source::File { path, which: first });
                Source::AssumeRole { role: role(), source }
            }
            "OIDC" => Source::Oidc {
                role: role(),
                provider_arn: profile.oidc_provider_arn.clone(),
                token_file: profile.oidc_token_file.clone().into(),
            },
            "External" => Source::Process(profile.process_command.clone()),
            "CredentialsURI" => {
                Source::Uri { url: profile.credentials_uri.clone(), authorization: Authorization::None }
            }
            mode => {
                let what = format!("has the profile {:?} in the mode {mode}, which is not known here", profile.name);
                return Err(file::problem(&path, &what));
            }
        })
    }

    /// What answers for this source, the same for all clones of `known`; `None` when requests are not to be signed.
    pub(crate) fn known_provider(&self, known: &Known, web: &Web) -> Option<Arc<dyn Provider>> {
        // These two cost nothing.
        if matches!(self, Source::Static(_) | Source::File { .. }) {
            return self.provider(web);
        }
        let mut known = known.0.lock();
        let name = format!("{self:?}");
        if let Some((_, provider)) = known.iter().find(|(other, _)| *other == name) {
            return Some(provider.clone());
        }
        let provider = self.provider(web)?;
        known.push((name, provider.clone()));
        Some(provider)
    }

    /// Whether requests go unsigned.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self, Source::Anonymous)
    }

    /// What answers for this source; `None` when requests are not to be signed.
    pub(crate) fn provider(&self, web: &Web) -> Option<Arc<dyn Provider>> {
        let (clock, web) = (web.clock.clone(), web.clone());
        Some(match self.clone() {
            Source::Static(credentials) => Arc::new(Fixed(Arc::new(credentials))),
            Source::File { path, which } => Arc::new(file::FileProvider::new(path, which, clock)),
            Source::Process(command) => Arc::new(Renewing::new(process::Program { command }, clock)),
            Source::EcsRole { endpoint, role } => {
                let cloud = ecs::Cloud::Alibaba;
                Arc::new(Renewing::new(ecs::InstanceRole { web, cloud, endpoint, role }, clock))
            }
            Source::Ec2Role { endpoint, role } => {
                let cloud = ecs::Cloud::Amazon;
                Arc::new(Renewing::new(ecs::InstanceRole { web, cloud, endpoint, role }, clock))
            }
            Source::Sso { endpoint, account, role, token_file, profile } => {
                Arc::new(Renewing::new(sso::SsoRole { web, endpoint, account, role, token_file, profile }, clock))
            }
            Source::Oidc { role, provider_arn, token_file } => {
                Arc::new(Renewing::new(sts::WithToken { web, role, provider_arn, token_file }, clock))
            }
            Source::WebIdentity { role, token_file } => {
                Arc::new(Renewing::new(sts::WithWebIdentity { web, role, token_file }, clock))
            }
            Source::AssumeRole { role, source } => {
                let source = source.provider(&web)?;
                Arc::new(Renewing::new(sts::WithKey { web, role, source }, clock))
            }
            Source::Uri { url, authorization } => {
                Arc::new(Renewing::new(uri::KeyService { web, url, authorization }, clock))
            }
            Source::Anonymous => return None,
        })
    }

    /// Changes the paths of files in it, as a daemon must before it leaves the directory it was started in.
    pub fn map_paths(&mut self, change: &dyn Fn(&Path) -> PathBuf) {
        match self {
            Source::File { path, .. }
            | Source::Oidc { token_file: path, .. }
            | Source::WebIdentity { token_file: path, .. }
            | Source::Sso { token_file: path, .. }
            | Source::Uri { authorization: Authorization::File(path), .. } => *path = change(path),
            Source::AssumeRole { source, .. } => source.map_paths(change),
            Source::Static(_)
            | Source::Process(_)
            | Source::EcsRole { .. }
            | Source::Ec2Role { .. }
            | Source::Uri { .. }
            | Source::Anonymous => {}
        }
    }

    /// What it is, in a few words, for the log; no secret.
    pub fn describe(&self) -> String {
        match self {
            Source::Static(credentials) => format!("the access key {}", credentials.access_key_id()),
            Source::File { path, .. } => format!("the file {}", path.display()),
            Source::Process(_) => "a program (credentials-process)".into(),
            Source::EcsRole { role: Some(role), .. } => format!("the RAM role {role} of this ECS instance"),
            Source::EcsRole { role: None, .. } => "the RAM role of this ECS instance".into(),
            Source::Ec2Role { .. } => "the role of this EC2 instance".into(),
            Source::Sso { account, role, .. } => format!("the role {role} of single sign-on in the account {account}"),
            Source::Oidc { role, token_file, .. } | Source::WebIdentity { role, token_file } => {
                format!("the role {} with the token in {}", role.arn, token_file.display())
            }
            Source::AssumeRole { role, source } => format!("the role {} with {}", role.arn, source.describe()),
            Source::Uri { url, .. } => format!("the service at {}", without_secrets(url)),
            Source::Anonymous => "none: requests are not signed".into(),
        }
    }
}

/// A URL without what may be secret: user and query.
fn without_secrets(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split('/').next().unwrap_or_default();
            let user = authority.rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[user..])
        }
        None => plain.to_owned(),
    }
}

/// Where roles are granted, in a region or, without one, for all of them.
pub fn sts_endpoint(region: Option<&str>) -> String {
    match region {
        Some(region) => format!("https://sts.{region}.aliyuncs.com"),
        None => "https://sts.aliyuncs.com".to_owned(),
    }
}

/// Where the roles of S3 are granted, in a region or, without one, for all of them.
pub fn s3_sts_endpoint(region: Option<&str>) -> String {
    match region {
        Some(region) if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn"),
        Some(region) => format!("https://sts.{region}.amazonaws.com"),
        None => "https://sts.amazonaws.com".to_owned(),
    }
}

/// Something that knows the credentials to sign the next request with. It keeps them and refreshes them in time: it
/// is asked before every request.
#[async_trait]
pub(crate) trait Provider: Send + Sync + fmt::Debug + 'static {
    /// The credentials valid now. Fails with [`ErrorKind::Credentials`](super::ErrorKind::Credentials).
    async fn credentials(&self) -> Result<Arc<Credentials>>;

    /// The service refused what was given last: look for other ones before the next request.
    fn refused(&self) {}
}

#[derive(Debug)]
struct Fixed(Arc<Credentials>);

#[async_trait]
impl Provider for Fixed {
    async fn credentials(&self) -> Result<Arc<Credentials>> {
        Ok(self.0.clone())
    }
}
