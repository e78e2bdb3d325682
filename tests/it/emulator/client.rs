//! A raw HTTP client that signs with OSS V4 and SigV4, written from the published formulas.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use ossmount::base::Clock;
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator};
use sha2::{Digest, Sha256};

/// Nothing here takes this long; it only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Oss,
    S3,
    Nobody,
}

/// A client of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) sign: Sign,
    pub(super) host: String,
    pub(super) secret: String,
    pub(super) region: String,
    pub(super) token: Option<String>,
}

/// An answer, complete or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// Whether the body is as long as the headers say.
    pub(super) is_whole: bool,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The texts of every element of that name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        text.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
    }

    /// The text of the first element of that name.
    pub(super) fn element(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

pub(super) fn encode(text: &str, kept: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.as_bytes().contains(&byte);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Client {
    pub(super) fn new(emulator: &Emulator, sign: Sign) -> Self {
        Client {
            address: emulator.address(),
            sign,
            host: emulator.address().to_string(),
            secret: ACCESS_KEY_SECRET.to_owned(),
            region: "cn-hangzhou".to_owned(),
            token: None,
        }
    }

    /// Asks for `/bucket/key` with a query; a pair with an empty value goes without its equals sign.
    pub(super) fn ask(
        &self,
        method: &str,
        (bucket, key): (&str, &str),
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let path = match bucket {
            "" => "/".to_owned(),
            _ => format!("/{bucket}/{}", encode(key, "/")),
        };
        let is_virtual = self.host.starts_with(&format!("{bucket}."));
        let sent = if is_virtual { format!("/{}", encode(key, "/")) } else { path.clone() };
        let pairs = query.iter().map(|(name, value)| match *value {
            "" => encode(name, ""),
            value => format!("{}={}", encode(name, ""), encode(value, "")),
        });
        let pairs: Vec<_> = pairs.collect();
        let target = if pairs.is_empty() { sent.clone() } else { format!("{sent}?{}", pairs.join("&")) };
        let mut all: BTreeMap<String, String> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
        all.insert("host".to_owned(), self.host.clone());
        self.add_signature(method, if self.sign == Sign::S3 { &sent } else { &path }, query, &mut all);
        all.entry("content-length".to_owned()).or_insert_with(|| body.len().to_string());
        self.exchange(method, &target, &all, body)
    }

    fn add_signature(&self, method: &str, path: &str, query: &[(&str, &str)], headers: &mut BTreeMap<String, String>) {
        let (vendor, prefix, algorithm, product, end) = match self.sign {
            Sign::Oss => ("x-oss", "aliyun_v4", "OSS4-HMAC-SHA256", "oss", "aliyun_v4_request"),
            Sign::S3 => ("x-amz", "AWS4", "AWS4-HMAC-SHA256", "s3", "aws4_request"),
            Sign::Nobody => return,
        };
        let now = jiff::Timestamp::from_second(Clock::system().now().seconds).unwrap();
        let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        headers.insert(format!("{vendor}-date"), date.clone());
        headers.entry(format!("{vendor}-content-sha256")).or_insert("UNSIGNED-PAYLOAD".to_owned());
        if let Some(token) = &self.token {
            headers.insert(format!("{vendor}-security-token"), token.clone());
        }
        let mut pairs: Vec<_> = query.iter().map(|(name, value)| (encode(name, ""), encode(value, ""))).collect();
        pairs.sort();
        let pairs = pairs.into_iter().map(|(name, value)| {
            if value.is_empty() && self.sign == Sign::Oss { name } else { format!("{name}={value}") }
        });
        let pairs = pairs.collect::<Vec<_>>().join("&");
        let is_signed = |name: &str| match self.sign {
            Sign::S3 => name.starts_with("x-amz-") || name == "host",
            _ => name.starts_with("x-oss-") || name == "content-type" || name == "content-md5",
        };
        let signed: Vec<_> = headers.iter().filter(|(name, _)| is_signed(name)).collect();
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let listed = if self.sign == Sign::S3 { names.as_str() } else { "" };
        let payload = &headers[&format!("{vendor}-content-sha256")];
        let canonical = format!("{method}\n{path}\n{pairs}\n{lines}\n{listed}\n{payload}");
        let scope = format!("{}/{}/{product}/{end}", &date[..8], self.region);
        let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
        let first = hmac(format!("{prefix}{}", self.secret).as_bytes(), &date[..8]);
        let key = [self.region.as_str(), product, end].iter().fold(first, |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &format!("{algorithm}\n{date}\n{scope}\n{hash}")));
        let listed = if self.sign == Sign::S3 { format!("SignedHeaders={names},") } else { String::new() };
        let value = format!("{algorithm} Credential={ACCESS_KEY_ID}/{scope},{listed}Signature={signature}");
        headers.insert("authorization".to_owned(), value);
    }

    fn exchange(
        &self,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> io::Result<Answer> {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.raw(method, &format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n"), body)
    }

    /// Sends a head as it is written and reads the answer to the end of the connection.
    pub(super) fn raw(&self, method: &str, head: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut bytes = Vec::new();
        let outcome = stream.read_to_end(&mut bytes);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Err(outcome.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let body = bytes.split_off(end + 4);
        let told = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
        let is_whole = method == "HEAD" || told.is_none_or(|told| told == body.len());
        Ok(Answer { status, headers, body, is_whole })
    }

    #[track_caller]
    pub(super) fn get(&self, key: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", ("b", key), &[], headers, b"").unwrap()
    }

    #[track_caller]
    pub(super) fn put(&self, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask("PUT", ("b", key), &[], headers, body).unwrap()
    }
}
