//! Requests to the services that return access keys: small, and each with a time limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use zeroize::Zeroizing;

use crate::base::Clock;
use crate::files;
use crate::store::Pair;
use crate::store::error::one_line;
use crate::store::http::{Bind, HttpRequest, Proxy, Transport, TransportOptions};
use crate::store::xml::{self, Tag};
use crate::store::{Body, Error, ErrorKind, Result, Timeouts};

/// Answers with keys have some hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What asking a service needs.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    /// Certificates to trust instead of the machine's.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Services over TLS are asked through it; others are of this machine or its neighbourhood.
    pub(crate) proxy: Option<Proxy>,
    /// Where connections set out from.
    pub(crate) bind: Vec<Bind>,
    pub(crate) user_agent: String,
    pub(crate) clock: Clock,
}

/// A request to a service.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// `http://` or `https://`, encoded as it is to be sent.
    pub(super) url: &'a str,
    /// The headers, whose names are in lower case.
    pub(super) headers: Vec<Pair>,
    pub(super) body: Bytes,
    /// For connecting and for the whole answer.
    pub(super) patience: Duration,
}

impl<'a> Ask<'a> {
    pub(super) fn get(url: &'a str, patience: Duration) -> Self {
        Ask { method: Method::GET, url, headers: Vec::new(), body: Bytes::new(), patience }
    }
}

/// What a service said.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) text: Zeroizing<String>,
}

impl Reply {
    /// The text of a success.
    pub(super) fn success(self, service: &str) -> Result<Zeroizing<String>> {
        match self.status {
            200..300 => Ok(self.text),
            status => Err(refused(format!("{service} answered with status {status}{}", self.words()))),
        }
    }

    /// The service's own code and sentence, of a refusal; nothing else of what it said, which may hold a key.
    fn words(&self) -> String {
        let words = serde_json::from_str::<Words>(&self.text).ok().or_else(|| Words::in_xml(&self.text));
        words.map(|Words { code, message }| one_line(&format!(": {code}, {message}"))).unwrap_or_default()
    }
}

/// What services say of a refusal.
#[derive(serde::Deserialize)]
struct Words {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

impl Words {
    fn in_xml(text: &str) -> Option<Words> {
        let (mut code, mut message) = (None, String::new());
        xml::walk(text.as_bytes(), |leaf| match leaf.path {
            [.., Tag::Error, Tag::Code] => code = Some(leaf.text.to_owned()),
            [.., Tag::Error, Tag::Message] => leaf.text.clone_into(&mut message),
            _ => {}
        })
        .ok()?;
        code.map(|code| Words { code, message })
    }
}

impl Web {
    /// Asks once, on a connection of its own: the next time is in an hour.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Reply> {
        let odd = || refused(format!("{} is not a URL; write it as http://HOST/PATH or https://HOST/PATH", ask.url));
        let uri: Uri = ask.url.parse().map_err(|_| odd())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(odd()),
        };
        let host = uri.authority().map(|authority| authority.as_str()).filter(|host| !host.contains('@'));
        let host = host.ok_or_else(odd)?;
        let timeouts = Timeouts { connect: ask.patience, ..Timeouts::default() };
        let (ca_bundle, user_agent) = (self.ca_bundle.as_deref(), self.user_agent.as_str());
        let (proxy, bind) = if tls { (self.proxy.as_ref(), self.bind.as_slice()) } else { (None, &[][..]) };
        let addresses = &crate::store::Addresses::default();
        let options = TransportOptions { tls, ca_bundle, proxy, bind, addresses, timeouts, max_idle: 0, user_agent };
        let transport = Transport::new(options, self.clock.clone())?;
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = HttpRequest { method: ask.method, host, path_and_query, headers: &ask.headers, body: ask.body };
        let answer = async {
            let response = transport.send(request).await?;
            let bytes = Body::new(response.body).collect(MAX_ANSWER_BYTES).await?;
            let text = String::from_utf8(bytes).map_err(|_| refused(format!("the answer of {host} is not UTF-8")))?;
            Ok(Reply { status: response.status, text: Zeroizing::new(text) })
        };
        let late = |_| refused(format!("{host} did not answer within {} s", ask.patience.as_secs()));
        let answer: Result<Reply> = tokio::time::timeout(ask.patience, answer).await.map_err(late)?;
        answer.map_err(|error| refused(format!("the request to {host} failed: {error}")))
    }
}

/// The text of a small file with a token, which a service may write anew. `Err` is a phrase that begins with the path.
pub(super) async fn small_text(path: &Path, most_bytes: u64) -> std::result::Result<Zeroizing<String>, String> {
    let fail = |error: String| format!("{} cannot be read: {error}", path.display());
    let own = path.to_owned();
    let read = tokio::task::spawn_blocking(move || files::read_text(&own, most_bytes)).await;
    let text = read.map_err(|error| fail(error.to_string()))?;
    text.map(Zeroizing::new).map_err(|error| fail(error.to_string()))
}

/// An error about credentials.
pub(super) fn refused(sentence: impl Into<String>) -> Error {
    Error::new(ErrorKind::Credentials, sentence.into())
}
