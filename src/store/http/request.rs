//! A request as bytes. What could be read as more than one line, or as more than one request, is refused.

use http::Method;

use super::stream::Encoded;
use super::{HttpRequest, Proxy, invalid};
use crate::store::Result;

/// The longest path with its query, in bytes. Servers take less; the error should not be theirs to word.
const MAX_TARGET_BYTES: usize = u16::MAX as usize - 1;

/// A body of up to so many bytes travels with the head, in one write.
const MAX_JOINED_BODY_BYTES: usize = 64 << 10;

/// Writes a request down, for the service or for a proxy that it is handed to. `user_agent` was checked before.
pub(super) fn encode(request: &HttpRequest<'_>, user_agent: &str, proxy: Option<&Proxy>) -> Result<Encoded> {
    let target = request.path_and_query;
    if target.len() > MAX_TARGET_BYTES {
        return Err(invalid("the key or the token is too long to be sent"));
    }
    if !target.starts_with('/') || target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(invalid("the key cannot be sent"));
    }
    let mut head = Vec::with_capacity(1024);
    let (scheme, host) = if proxy.is_some() { ("http://", request.host) } else { ("", "") };
    for part in [request.method.as_str(), " ", scheme, host, target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    header(&mut head, "host", request.host)?;
    if let Some(authorization) = proxy.and_then(Proxy::authorization) {
        header(&mut head, "proxy-authorization", authorization)?;
    }
    header(&mut head, "user-agent", user_agent)?;
    header(&mut head, "accept-encoding", "identity")?;
    // An empty body is announced too: servers answer 411 to a PUT that does not say how long it is.
    if [Method::PUT, Method::POST].contains(&request.method) || !request.body.is_empty() {
        header(&mut head, "content-length", &request.body.len().to_string())?;
    }
    for (name, value) in request.headers {
        header(&mut head, name, value)?;
    }
    head.extend_from_slice(b"\r\n");
    let mut body = request.body.clone();
    if body.len() <= MAX_JOINED_BODY_BYTES {
        head.extend_from_slice(&body);
        body.clear();
    }
    Ok(Encoded { head, body })
}

fn header(head: &mut Vec<u8>, name: &str, value: &str) -> Result<()> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(invalid(format!("{name:?} cannot be the name of a header")));
    }
    check_value(name, value)?;
    for part in [name, ": ", value, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// Fails where a header of this name cannot carry this value.
pub(super) fn check_value(name: &str, value: &str) -> Result<()> {
    match value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte)) {
        true => Ok(()),
        false => Err(invalid(format!("the value of {name} cannot be sent in a header"))),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::ErrorKind;

    fn encoded(method: Method, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<String> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let body = Bytes::copy_from_slice(body);
        let request = HttpRequest { method, host: "h:1", path_and_query: target, headers: &headers, body };
        let encoded = encode(&request, "a", None)?;
        Ok(String::from_utf8([encoded.head, encoded.body.to_vec()].concat()).unwrap())
    }

    #[test]
    fn heads_and_bodies() {
        assert_eq!(
            encoded(Method::GET, "/k?x", &[("range", "bytes=0-1")], b"").unwrap(),
            "GET /k?x HTTP/1.1\r\nhost: h:1\r\nuser-agent: a\r\naccept-encoding: identity\r\nrange: bytes=0-1\r\n\r\n"
        );
        assert_eq!(
            encoded(Method::PUT, "/k", &[], b"body").unwrap(),
            "PUT /k HTTP/1.1\r\nhost: h:1\r\nuser-agent: a\r\naccept-encoding: identity\r\ncontent-length: 4\r\n\r\nbody"
        );
        assert!(encoded(Method::PUT, "/k", &[], b"").unwrap().contains("content-length: 0\r\n"));
        let large = vec![b'x'; MAX_JOINED_BODY_BYTES + 1];
        assert!(encoded(Method::PUT, "/k", &[], &large).unwrap().ends_with(std::str::from_utf8(&large).unwrap()));
    }

    #[test]
    fn a_proxy_is_told_the_host_and_who_asks() {
        let proxy = "u:p@proxy".parse().unwrap();
        let request =
            HttpRequest { method: Method::GET, host: "h:1", path_and_query: "/k", headers: &[], body: Bytes::new() };
        let encoded = encode(&request, "a", Some(&proxy)).unwrap();
        let head = String::from_utf8(encoded.head).unwrap();
        assert!(
            head.starts_with("GET http://h:1/k HTTP/1.1\r\nhost: h:1\r\nproxy-authorization: Basic dTpw\r\n"),
            "{head}"
        );
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        for target in ["", "k", "/a b", "/a\r\nx: y", "/a\0", "/\u{7f}"] {
            let error = encoded(Method::GET, target, &[], b"").unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "the key cannot be sent"), "{target:?}");
        }
        for (name, value) in
            [("a", "b\r\nc: d"), ("a", "b\n"), ("a", "é"), ("a", "\0"), ("a b", "c"), ("", "c"), ("a:", "")]
        {
            let error = encoded(Method::GET, "/", &[(name, value)], b"").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}: {value:?}");
        }
        let long = format!("/{}", "k".repeat(MAX_TARGET_BYTES));
        assert!(encoded(Method::GET, &long, &[], b"").unwrap_err().message().contains("too long"));
    }
}
