//! Opening connections: the addresses of a host, the race between them, what a socket is set to, TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::uri::Authority;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::bind::{self, Bind, Binds};
use super::proxy::Proxy;
use super::stream::{Connection, Stream, TLS_BUFFER_BYTES};
use super::{TransportOptions, invalid};
use crate::files;
use crate::store::{Error, ErrorKind, Result, Timeouts};

/// How long an address may take before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// Opens connections.
pub(super) struct Connector {
    timeouts: Timeouts,
    proxy: Option<Proxy>,
    binds: Binds,
    /// `None` for connections that are not encrypted.
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Reads the certificates to trust.
    pub(super) fn new(options: &TransportOptions<'_>) -> Result<Self> {
        // A bundle that cannot be read is told at once, even where it is not needed.
        let bundled = options.ca_bundle.map(bundled_roots).transpose()?;
        let tls = match (options.tls, bundled) {
            (false, _) => None,
            (true, Some(roots)) => Some(tls_config(roots)?),
            (true, None) => Some(tls_config(machine_roots()?)?),
        };
        let tls = tls.map(|config| TlsConnector::from(Arc::new(config)));
        let (proxy, binds) = (options.proxy.cloned(), Binds::new(options.bind)?);
        Ok(Connector { timeouts: options.timeouts, proxy, binds, tls })
    }

    /// The proxy that requests are handed to whole.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.tls.is_none())
    }

    /// Opens a connection to `host[:port]`, or to the proxy that leads there.
    pub(super) async fn connect(&self, authority: &str) -> Result<Connection> {
        let parsed: Authority = authority.parse().map_err(|_| invalid("the host cannot be sent"))?;
        let host = parsed.host().trim_matches(['[', ']']);
        let port = parsed.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let socket = match &self.proxy {
            None => self.open(host, port).await.map_err(|error| unconnected(error, authority))?,
            Some(proxy) => {
                let opened = self.open(proxy.host(), proxy.port()).await;
                opened.map_err(|error| unconnected(error, &format!("the proxy {proxy}")))?
            }
        };
        let Some(tls) = &self.tls else { return Ok(Connection::new(Stream::Plain(socket))) };
        let socket = match &self.proxy {
            None => socket,
            Some(proxy) => proxy.tunnel(socket, &format!("{}:{port}", parsed.host())).await?,
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid("the host cannot have a certificate"))?;
        let buffered = BufReader::with_capacity(TLS_BUFFER_BYTES, socket);
        let stream = tls.connect(name, buffered).await.map_err(|error| unconnected(error, authority))?;
        Ok(Connection::new(Stream::Tls(Box::new(stream))))
    }

    async fn open(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses = addresses(host, port).await?;
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for from in self.binds.in_turn() {
            let opened = match bind::reachable(from, &addresses) {
                Ok(addresses) => timeout(self.timeouts.connect, self.race(from, addresses)).await,
                Err(error) => Ok(Err(error)),
            };
            match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The first of the addresses that answers; each has a head start over the next one.
    async fn race(&self, from: Option<&Bind>, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let mut addresses = addresses.into_iter();
        let mut attempts = FuturesUnordered::new();
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        loop {
            let next = addresses.next();
            let is_last = next.is_none();
            attempts.extend(next.map(|to| bind::connect(from, to)));
            if attempts.is_empty() {
                return Err(failure);
            }
            tokio::select! {
                Some(opened) = attempts.next() => match opened.and_then(|socket| self.set_up(socket)) {
                    Ok(socket) => return Ok(socket),
                    Err(error) => failure = error,
                },
                () = sleep(HEAD_START), if !is_last => {}
            }
        }
    }

    fn set_up(&self, socket: TcpStream) -> io::Result<TcpStream> {
        socket.set_nodelay(true)?;
        let seconds = u32::try_from(self.timeouts.idle.as_secs()).unwrap_or(u32::MAX).clamp(1, 32_767);
        setsockopt(&socket, sockopt::KeepAlive, &true)?;
        setsockopt(&socket, sockopt::TcpKeepIdle, &seconds)?;
        // Ends connections whose other side is gone: without it what was sent into the void waits for minutes.
        let stall_ms = u32::try_from(self.timeouts.stall.as_millis()).unwrap_or(u32::MAX).min(i32::MAX as u32);
        setsockopt(&socket, sockopt::TcpUserTimeout, &stall_ms)?;
        Ok(socket)
    }
}

/// What the machine's resolver says, and loopback for names below `localhost`, which not every machine knows: servers
/// on loopback can then have their buckets as virtual hosts.
async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.ends_with(".localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Why there is no connection. Most of it may pass; a certificate that is not trusted will not.
fn unconnected(error: io::Error, authority: &str) -> Error {
    let tls = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    let (kind, message) = match tls {
        Some(rustls::Error::InvalidCertificate(_)) => (
            ErrorKind::Invalid,
            format!("the certificate of {authority} is not trusted; set ca-bundle to one that vouches for it"),
        ),
        _ => (ErrorKind::Network, format!("cannot connect to {authority}")),
    };
    Error::new(kind, message).with_source(Some(error.into()))
}

fn tls_config(roots: RootCertStore) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS cannot be set up").with_source(Some(error.into())))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn machine_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let source = found.errors.into_iter().next().map(|error| error.into());
        let message = "this machine has no root certificates; install ca-certificates or set ca-bundle";
        return Err(invalid(message).with_source(source));
    }
    Ok(roots)
}

/// The largest bundle of certificates: a hundred times what machines trust.
const MOST_BUNDLE_BYTES: u64 = 32 << 20;

fn bundled_roots(path: &Path) -> Result<RootCertStore> {
    let fail =
        |what: &str| invalid(format!("the certificates in {} {what}; set ca-bundle to a PEM file", path.display()));
    let pem = files::read(path, MOST_BUNDLE_BYTES);
    let pem = pem.map_err(|error| fail(&format!("cannot be read: {error}")).with_source(Some(error.into())))?.bytes;
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| fail("are not PEM").with_source(Some(error.into())))?;
    let mut roots = RootCertStore::empty();
    // Bundles hold relics that no longer parse; the others still count.
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() { Err(fail("are none")) } else { Ok(roots) }
}
