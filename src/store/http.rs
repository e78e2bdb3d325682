//! The only place that names the HTTP crate: sends a request exactly as given and hands back the answer with its body
//! as it arrives. It follows no redirect, rewrites no path, decompresses nothing, and knows nothing of stores beyond
//! their [`Error`].

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::ReadBuf;
use tower_service::Service;

use super::sign::Pair;
use super::{Error, ErrorKind, Receive, Result, Timeouts};

/// The largest piece of a body that is received at once. Larger ones fall out of the second-level cache between
/// receiving and use, smaller ones cost more wake-ups.
const MAX_RECEIVE: usize = 512 << 10;

/// More would be an attack: stores send a few dozen, and user metadata is limited to 8 KiB.
const MAX_HEADERS: usize = 400;

/// What the transport needs to know.
#[derive(Clone, Debug)]
pub(super) struct TransportOptions<'a> {
    /// Whether connections are encrypted.
    pub(super) tls: bool,
    /// Certificates to trust instead of the machine's.
    pub(super) ca_bundle: Option<&'a Path>,
    pub(super) timeouts: Timeouts,
    /// Idle connections kept.
    pub(super) max_idle: usize,
    pub(super) user_agent: &'a str,
}

/// A request as it goes out.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// The `Host` header, and where to connect to.
    pub(super) host: &'a str,
    /// Path and query, encoded; sent as they are.
    pub(super) path_and_query: &'a str,
    /// Lower-case names.
    pub(super) headers: &'a [Pair],
    pub(super) body: Bytes,
}

/// An answer whose body has yet to come.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Received,
}

/// A pool of connections to one endpoint.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    scheme: Scheme,
    user_agent: HeaderValue,
}

impl Transport {
    /// Prepares connections; opens none. Must be called in a Tokio runtime.
    pub(super) fn new(options: TransportOptions<'_>) -> Result<Transport> {
        let user_agent = HeaderValue::from_str(options.user_agent)
            .map_err(|_| invalid("the user agent holds characters that no header can carry"))?;
        let mut connector = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.timeouts.connect));
        // Ends connections whose other side is gone: without it what was sent into the void waits for minutes.
        connector.set_tcp_user_timeout(Some(options.timeouts.stall));
        connector.set_keepalive(Some(options.timeouts.idle));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(&options)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.timeouts.idle)
            .pool_max_idle_per_host(options.max_idle)
            .http1_max_buf_size(MAX_RECEIVE)
            .http1_max_headers(MAX_HEADERS)
            .build(connector);
        let scheme = if options.tls { Scheme::HTTPS } else { Scheme::HTTP };
        Ok(Transport { client, scheme, user_agent })
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response> {
        let host = request.host.to_owned();
        let request = self.build(request)?;
        let response = self.client.request(request).await.map_err(|error| unanswered(error, &host))?;
        let (head, body) = response.into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Received { incoming: body, piece: Bytes::new() },
        })
    }

    fn build(&self, request: Request<'_>) -> Result<http::Request<Full<Bytes>>> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(request.host.parse().map_err(|_| invalid("the host cannot be sent"))?);
        let target = PathAndQuery::try_from(request.path_and_query);
        // Only its length can be wrong with an encoded path.
        parts.path_and_query = Some(target.map_err(|_| invalid("the key or the token is too long to be sent"))?);
        let uri = Uri::from_parts(parts).map_err(|_| invalid("the key cannot be sent"))?;

        // An empty body is announced too: servers answer 411 to a PUT that does not say how long it is.
        let announced = [Method::PUT, Method::POST].contains(&request.method).then_some(request.body.len());
        let mut built = http::Request::new(Full::new(request.body));
        (*built.method_mut(), *built.uri_mut()) = (request.method, uri);
        let headers = built.headers_mut();
        headers.insert(header::HOST, header_value("host", request.host)?);
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(length) = announced {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        for (name, value) in request.headers {
            let value = header_value(name, value)?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| invalid(format!("{name:?} cannot be the name of a header")))?;
            headers.insert(name, value);
        }
        Ok(built)
    }
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(value).map_err(|_| invalid(format!("the value of {name} cannot be sent in a header")))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn tls_config(options: &TransportOptions<'_>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS cannot be set up").with_source(Some(error.into())))?;
    let builder = match options.ca_bundle {
        // Reading the machine's certificates takes milliseconds that plain connections need not spend.
        None if !options.tls => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| {
            invalid("this machine has no root certificates; install ca-certificates or set ca-bundle")
                .with_source(Some(error.into()))
        })?,
        Some(path) => builder.with_root_certificates(ca_bundle(path)?),
    };
    Ok(builder.with_no_client_auth())
}

fn ca_bundle(path: &Path) -> Result<RootCertStore> {
    let fail =
        |what: &str| invalid(format!("the certificates in {} {what}; set ca-bundle to a PEM file", path.display()));
    let pem = std::fs::read(path).map_err(|error| fail("cannot be read").with_source(Some(error.into())))?;
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| fail("are not PEM").with_source(Some(error.into())))?;
    let mut roots = RootCertStore::empty();
    // Bundles hold relics that no longer parse; the others still count.
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() { Err(fail("are none")) } else { Ok(roots) }
}

/// The machine's resolver, and loopback for names below `localhost`, which not every machine knows: servers on
/// loopback can then have their buckets as virtual hosts.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if name.as_str().ends_with(".localhost") {
            let loopback = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
            return Box::pin(std::future::ready(Ok(Vec::from(loopback).into_iter())));
        }
        let found = self.0.call(name);
        Box::pin(async { Ok(found.await?.collect::<Vec<_>>().into_iter()) })
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Received {
    incoming: Incoming,
    /// Received and not yet passed on.
    piece: Bytes,
}

impl Receive for Received {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        while self.piece.is_empty() {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                // Trailers say nothing that a store uses.
                Some(frame) => self.piece = frame.map_err(broke)?.into_data().unwrap_or_default(),
            }
        }
        let len = self.piece.len().min(into.remaining());
        into.put_slice(&self.piece[..len]);
        self.piece.advance(len);
        Poll::Ready(Ok(()))
    }
}

/// Why no answer came. Most of it may pass; a certificate that is not trusted will not, and neither will an answer
/// that is not HTTP.
fn unanswered(error: hyper_util::client::legacy::Error, host: &str) -> Error {
    let distrusted = matches!(cause(&error), Some(rustls::Error::InvalidCertificate(_)));
    let garbled = cause(&error).is_some_and(hyper::Error::is_parse);
    let (kind, message) = if distrusted {
        (
            ErrorKind::Invalid,
            format!("the certificate of {host} is not trusted; set ca-bundle to one that vouches for it"),
        )
    } else if garbled {
        (ErrorKind::Protocol, format!("{host} does not answer in HTTP"))
    } else if error.is_connect() {
        (ErrorKind::Network, format!("cannot connect to {host}"))
    } else {
        (ErrorKind::Network, format!("no answer came from {host}"))
    };
    Error::new(kind, message).with_source(Some(error.into()))
}

/// The first cause of this type, also within `io::Error`s, which leave what they wrap out of their own chain.
fn cause<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn broke(error: hyper::Error) -> Error {
    let what = if error.is_incomplete_message() { "the answer ended early" } else { "the connection broke" };
    Error::new(ErrorKind::Network, what).with_source(Some(error.into()))
}
