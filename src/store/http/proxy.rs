//! A proxy between this machine and the service: its address, and the requests to it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::Authority;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::stream::{Connection, Encoded, Stream};
use super::{exchange, invalid};
use crate::store::{Error, ErrorKind, Result};

/// The port of a proxy that names none: that of its scheme.
const DEFAULT_PORT: u16 = 80;

/// A proxy that speaks HTTP. Encrypted requests go through tunnels (CONNECT), others are handed to it whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// The value of `proxy-authorization`, where it wants one.
    authorization: Option<Zeroizing<String>>,
}

impl FromStr for Proxy {
    type Err = String;

    /// Takes `[http://][USER:PASSWORD@]HOST[:PORT]`, user and password percent-encoded. Fails with a phrase that
    /// repeats nothing of the text, which may hold a password.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let fail = |what: &str| format!("{what}; write http://[USER:PASSWORD@]HOST[:PORT]");
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(fail("only proxies with http:// are supported")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        if place.contains(['/', '?', '#']) {
            return Err(fail("the proxy has a path"));
        }
        let authority: Authority = place.parse().map_err(|_| fail("the proxy has no valid host"))?;
        let host = authority.host().to_owned();
        let port = match place.strip_prefix(host.as_str()) {
            Some("") => DEFAULT_PORT,
            _ => authority.port_u16().filter(|port| *port > 0).ok_or_else(|| fail("the proxy has no valid port"))?,
        };
        if host.is_empty() {
            return Err(fail("the proxy has no valid host"));
        }
        let authorization = user.map(|user| {
            let plain = Zeroizing::new(percent_decode_str(user).collect::<Vec<u8>>());
            Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_slice())))
        });
        Ok(Proxy { host, port, authorization })
    }
}

impl fmt::Display for Proxy {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Proxy {
    /// The host, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What each request to the proxy itself carries.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|text| text.as_str())
    }

    /// Has the proxy lead what follows to `host:port`.
    pub(super) async fn tunnel(&self, socket: TcpStream, target: &str) -> Result<TcpStream> {
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
        if let Some(authorization) = self.authorization() {
            head.push_str(&format!("proxy-authorization: {authorization}\r\n"));
        }
        head.push_str("\r\n");
        let mut connection = Connection::new(Stream::Plain(socket));
        let request = Encoded { head: head.into_bytes(), body: Bytes::new() };
        let answer = exchange(&mut connection, &request).await.map_err(|lost| lost.error(&self.to_string()))?;
        match answer.head.status {
            200..300 => {}
            status => return Err(self.refusal(status, target)),
        }
        // The service waits for a word from here first.
        connection
            .into_quiet_socket()
            .ok_or_else(|| Error::new(ErrorKind::Protocol, format!("the proxy {self} sends data before it is asked")))
    }

    /// What a status of the proxy's own means.
    pub(super) fn refusal(&self, status: u16, target: &str) -> Error {
        match status {
            407 => {
                let how = "give them as http://USER:PASSWORD@HOST:PORT, in a file or the environment";
                invalid(format!("the proxy {self} requires a user and password, or does not accept those given; {how}"))
            }
            400..500 => {
                invalid(format!("the proxy {self} does not connect to {target}: it answers with status {status}"))
            }
            _ => {
                let what = format!("the proxy {self} cannot reach {target}: it answers with status {status}");
                Error::new(ErrorKind::Network, what)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_named_by_url() {
        for (text, shown, authorization) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("proxy", "http://proxy:80", None),
            ("HTTP://[::1]:8080/", "http://[::1]:8080", None),
            ("http://user:p%40ss@10.0.0.1:3128", "http://10.0.0.1:3128", Some("Basic dXNlcjpwQHNz")),
            ("u:a@b@h:1", "http://h:1", Some("Basic dTphQGI=")),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.authorization()), (shown, authorization), "{text}");
        }
        assert_eq!("[::1]".parse::<Proxy>().unwrap().host(), "::1");
    }

    #[test]
    fn passwords_show_nowhere() {
        let proxy: Proxy = "http://user:hush@h:1".parse().unwrap();
        let shown = format!("{proxy} {proxy:?} {} {}", proxy.refusal(407, "x:1"), proxy.refusal(502, "x:1"));
        assert!(!shown.contains("hush") && !shown.contains("user:") && !shown.contains("dXNl"), "{shown}");
        for text in
            ["https://u:hush@h", "socks5://u:hush@h", "u:hush@", "u:hush@h:0", "u:hush@h:99999", "u:hush@h/p", ""]
        {
            let what = text.parse::<Proxy>().unwrap_err();
            assert!(what.contains("write http://") && !what.contains("hush"), "{text}: {what}");
        }
    }
}
