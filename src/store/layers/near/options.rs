//! The options of near caches.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where near copies are, and how they are used.
#[derive(Clone, PartialEq, Debug)]
pub struct NearOptions {
    /// Where the caches are.
    pub source: NearSource,
    /// On which grid the fleet cuts objects, in bytes: the number of the fleet's own configuration.
    pub slice_bytes: u64,
    /// Smaller objects come from the bucket.
    pub min_bytes: u64,
    /// A member that sends nothing for so long while it is waited for has failed.
    pub patience: Duration,
    /// Where the token is that the members ask for.
    pub token_file: Option<PathBuf>,
    /// Trust these certificates (PEM) of members instead of the machine's own.
    pub ca_bundle: Option<PathBuf>,
}

/// Where near copies are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NearSource {
    /// The members of a fleet.
    Members(Vec<NearMember>),
    /// Every address of a name is a member.
    Dns {
        /// Whether members are reached by TLS, under that name.
        tls: bool,
        /// The name that is resolved.
        name: String,
        /// The port that members listen at.
        port: u16,
    },
    /// An accelerator, which speaks the protocol of the bucket: at this endpoint, or at that of the region.
    Accelerator(Option<String>),
}

/// One member of a fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NearMember {
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// Its host and port, as a URL has them.
    pub authority: String,
}

impl NearSource {
    /// Whether some member is reached by TLS.
    pub fn uses_tls(&self) -> bool {
        match self {
            NearSource::Members(members) => members.iter().any(|member| member.tls),
            NearSource::Dns { tls, .. } => *tls,
            NearSource::Accelerator(_) => true,
        }
    }
}

impl fmt::Display for NearSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NearSource::Members(members) => {
                let urls = members
                    .iter()
                    .map(|member| format!("{}://{}", if member.tls { "https" } else { "http" }, member.authority));
                f.write_str(&urls.collect::<Vec<_>>().join(","))
            }
            NearSource::Dns { tls, name, port } => {
                write!(f, "{}:{name}:{port}", if *tls { "dns+https" } else { "dns" })
            }
            NearSource::Accelerator(None) => f.write_str("accelerator"),
            NearSource::Accelerator(Some(endpoint)) => write!(f, "accelerator:{endpoint}"),
        }
    }
}

impl FromStr for NearSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_dns = |scheme: &str| text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':'));
        if text == "accelerator" {
            return Ok(NearSource::Accelerator(None));
        }
        if let Some(endpoint) = text.strip_prefix("accelerator:") {
            let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            check_authority(host.unwrap_or(endpoint).trim_end_matches('/'))?;
            return Ok(NearSource::Accelerator(Some(endpoint.to_owned())));
        }
        for (scheme, tls) in [("dns", false), ("dns+https", true)] {
            let Some(place) = is_dns(scheme) else { continue };
            let parts = place.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
            let Some((name, port)) = parts.filter(|(name, port)| is_name(name) && *port != 0) else {
                return Err(format!("{place:?} is not NAME:PORT; write {scheme}:NAME:PORT, as in {scheme}:near:8080"));
            };
            return Ok(NearSource::Dns { tls, name: name.to_owned(), port });
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(NearSource::Members)
    }
}

impl FromStr for NearMember {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, authority) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(authority), _) => (false, authority),
            (_, Some(authority)) => (true, authority),
            _ => {
                return Err(format!(
                    "{text:?} is not a near cache; write http://HOST:PORT,..., dns:NAME:PORT or accelerator"
                ));
            }
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        check_authority(authority)?;
        Ok(NearMember { tls, authority: authority.to_owned() })
    }
}

fn check_authority(authority: &str) -> Result<(), String> {
    let parsed: Option<http::uri::Authority> = authority.parse().ok();
    match parsed.filter(|parsed| !parsed.host().is_empty() && !authority.contains('@')) {
        Some(_) => Ok(()),
        // Not shown: there may be a password in it.
        None => Err("a near cache is not HOST:PORT, without a user, password or path".to_owned()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_as_they_are_shown() {
        for text in [
            "http://a:8080,https://10.0.0.1:443",
            "http://[::1]:8080",
            "dns:near.models.svc.cluster.local:8080",
            "dns+https:near:8443",
            "accelerator",
            "accelerator:https://cn-hangzhou-j-internal.oss-data-acc.aliyuncs.com",
        ] {
            assert_eq!(text.parse::<NearSource>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_source_is_refused_with_what_to_write() {
        for (text, words) in [
            ("a:8080", "write http://HOST:PORT"),
            ("", "write http://HOST:PORT"),
            ("http://a:8080,b", "\"b\" is not a near cache"),
            ("http://u:secret@a", "without a user"),
            ("http://a/path", "path"),
            ("dns:near", "write dns:NAME:PORT"),
            ("dns:near:0", "write dns:NAME:PORT"),
            ("dns+https::1", "write dns+https:NAME:PORT"),
        ] {
            let problem = text.parse::<NearSource>().unwrap_err();
            assert!(problem.contains(words) && !problem.contains("secret"), "{text:?}: {problem}");
        }
    }
}
