//! Opening connections: the race between the addresses of a host, what a socket is set to, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::uri::Authority;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::addresses::{Address, Addresses, Choice, Load};
use super::bind::{self, Bind, Binds};
use super::proxy::Proxy;
use super::stream::{Connection, Stream, TLS_BUFFER_BYTES};
use super::{TransportOptions, invalid, trust};
use crate::base::Clock;
use crate::store::{Error, ErrorKind, Result, Timeouts};

/// How long an address may take before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// Opens connections to a server.
pub(super) struct Connector {
    timeouts: Timeouts,
    clock: Clock,
    addresses: Addresses,
    proxy: Option<Proxy>,
    binds: Binds,
    /// `None` for connections that are not encrypted.
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Reads the certificates to trust.
    pub(super) fn new(options: &TransportOptions<'_>, clock: Clock) -> Result<Self> {
        // A bundle that cannot be read is told at once, even where it is not needed.
        let bundle = options.ca_bundle.map(trust::Bundle::read).transpose()?;
        let tls = if options.tls { Some(TlsConnector::from(Arc::new(trust::tls_config(bundle)?))) } else { None };
        let (proxy, binds) = (options.proxy.cloned(), Binds::new(options.bind)?);
        let addresses = options.addresses.clone();
        Ok(Connector { timeouts: options.timeouts, clock, addresses, proxy, binds, tls })
    }

    /// The proxy that requests are handed to whole.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.tls.is_none())
    }

    /// Where a request for `host[:port]` may go: the addresses of the host, or of the proxy that leads there.
    pub(super) async fn choices(&self, authority: &str) -> Result<Vec<Choice>> {
        match &self.proxy {
            None => {
                let (host, port) = self.place(authority)?;
                let choices = self.addresses.of(host.trim_matches(['[', ']']), port, &self.clock).await;
                choices.map_err(|error| unconnected(error, authority))
            }
            Some(proxy) => {
                let choices = self.addresses.of(proxy.host(), proxy.port(), &self.clock).await;
                choices.map_err(|error| without_proxy(error, proxy))
            }
        }
    }

    /// Host and port of `host[:port]`.
    fn place(&self, authority: &str) -> Result<(String, u16)> {
        let parsed: Authority = authority.parse().map_err(|_| invalid("the host name is too long or not valid"))?;
        let port = parsed.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        Ok((parsed.host().to_owned(), port))
    }

    /// Opens a connection to `host[:port]`, or to the proxy that leads there, at the first of these addresses that can
    /// be reached. A request is on its way with it, from the moment on that `on_its_way` is told where to.
    pub(super) async fn connect(
        &self,
        authority: &str,
        choices: Vec<Choice>,
        on_its_way: impl FnOnce(&Arc<Address>),
    ) -> Result<Connection> {
        let (host, port) = self.place(authority)?;
        let opened = self.open(choices).await;
        let (socket, address) = opened.map_err(|error| match &self.proxy {
            None => unconnected(error, authority),
            Some(proxy) => without_proxy(error, proxy),
        })?;
        let load = Load::begin(address, self.clock.clone());
        on_its_way(load.address());
        let Some(tls) = &self.tls else { return Ok(Connection::new(Stream::Plain(socket)).carrying(load)) };
        let socket = match &self.proxy {
            None => socket,
            Some(proxy) => proxy.tunnel(socket, &format!("{host}:{port}")).await?,
        };
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| invalid("the host cannot have a certificate"))?;
        let buffered = BufReader::with_capacity(TLS_BUFFER_BYTES, socket);
        let stream = tls.connect(name, buffered).await.map_err(|error| unconnected(error, authority))?;
        Ok(Connection::new(Stream::Tls(Box::new(stream))).carrying(load))
    }

    async fn open(&self, choices: Vec<Choice>) -> io::Result<(TcpStream, Arc<Address>)> {
        let addresses: Vec<Arc<Address>> = choices.into_iter().map(|choice| choice.address).collect();
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for from in self.binds.in_turn() {
            let opened = match bind::reachable(from, &addresses) {
                Ok(addresses) => {
                    timeout(self.timeouts.connect, self.race(from, &addresses)).await.unwrap_or_else(|_| {
                        // None of them has answered.
                        addresses.iter().for_each(|address| address.failed(self.clock.elapsed()));
                        Err(io::ErrorKind::TimedOut.into())
                    })
                }
                Err(error) => Err(error),
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The first of the addresses that answers; each has a head start over the next one.
    async fn race(&self, from: Option<&Bind>, addresses: &[Arc<Address>]) -> io::Result<(TcpStream, Arc<Address>)> {
        let mut attempts = FuturesUnordered::new();
        // How many were begun, and which of them have failed already.
        let (mut begun, mut failed) = (0, vec![false; addresses.len()]);
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        loop {
            if let Some(address) = addresses.get(begun) {
                let at = begun;
                attempts.push(async move { (at, bind::connect(from, address.to).await) });
                begun += 1;
            }
            if attempts.is_empty() {
                return Err(failure);
            }
            tokio::select! {
                Some((at, opened)) = attempts.next() => match opened.and_then(|socket| self.set_up(socket)) {
                    Ok(socket) => {
                        // Those before it had a head start and did not answer.
                        let late = addresses[..at].iter().zip(&failed).filter(|(_, failed)| !**failed);
                        late.for_each(|(address, _)| address.failed(self.clock.elapsed()));
                        return Ok((socket, addresses[at].clone()));
                    }
                    Err(error) => {
                        addresses[at].failed(self.clock.elapsed());
                        failed[at] = true;
                        failure = error;
                    }
                },
                () = sleep(HEAD_START), if begun < addresses.len() => {}
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

/// Why there is no connection. Most of it may pass; a certificate that is not trusted will not.
fn unconnected(error: io::Error, authority: &str) -> Error {
    let tls = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    let refused = match tls {
        Some(rustls::Error::InvalidCertificate(why)) => trust::refusal(why, authority),
        _ => Error::new(ErrorKind::Network, format!("cannot connect to {authority}")),
    };
    refused.with_source(Some(error.into()))
}

/// Why there is no connection to the proxy that leads to it.
fn without_proxy(error: io::Error, proxy: &Proxy) -> Error {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "refuses the connection",
        io::ErrorKind::TimedOut => "does not answer",
        _ => "cannot be reached",
    };
    Error::new(ErrorKind::Network, format!("the proxy {proxy} {what}"))
        .with_cure("set proxy to one that is running, or leave it out")
        .with_source(Some(error.into()))
}
