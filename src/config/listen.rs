//! The address of the metrics server.

use std::fmt;
use std::path::PathBuf;

/// Where figures and health are served over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetricsListen {
    /// On this host and port, in the form `host:port`.
    Tcp(String),
    /// On a Unix socket here.
    Unix(PathBuf),
}

impl MetricsListen {
    /// Reads `HOST:PORT`, or a path, which is any text with a slash. Fails with a phrase that says what is expected.
    pub(super) fn parse(text: &str) -> Result<MetricsListen, String> {
        if text.contains('/') {
            return Ok(MetricsListen::Unix(PathBuf::from(text)));
        }
        let is_right = |(host, port): (&str, &str)| {
            let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
            !host.is_empty() && !is_bare_ipv6 && port.parse::<u16>().is_ok()
        };
        match text.rsplit_once(':').is_some_and(is_right) {
            true => Ok(MetricsListen::Tcp(text.to_owned())),
            false => Err(format!("{text:?} is neither HOST:PORT, as in 127.0.0.1:9464 or [::1]:9464, nor a path")),
        }
    }

    /// The same, with its path from the directory that the paths of options are relative to.
    pub(super) fn map_path(self, from_directory: impl FnOnce(PathBuf) -> PathBuf) -> MetricsListen {
        match self {
            MetricsListen::Tcp(address) => MetricsListen::Tcp(address),
            MetricsListen::Unix(path) => MetricsListen::Unix(from_directory(path)),
        }
    }
}

impl fmt::Display for MetricsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetricsListen::Tcp(address) => f.write_str(address),
            MetricsListen::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart() {
        for text in ["127.0.0.1:9464", "[::1]:0", "localhost:1", "0.0.0.0:65535"] {
            assert_eq!(MetricsListen::parse(text), Ok(MetricsListen::Tcp(text.to_owned())));
        }
        for text in ["/run/x.sock", "./x:1", "a/b"] {
            assert_eq!(MetricsListen::parse(text), Ok(MetricsListen::Unix(text.into())));
        }
        for text in ["", "9464", ":9464", "host", "host:", "host:65536", "::1", "host:x"] {
            assert!(MetricsListen::parse(text).unwrap_err().contains("127.0.0.1:9464"), "{text}");
        }
    }
}
