//! HTTP/1.1, as much of it as a client of stores needs: sends a request exactly as given and hands back the answer with
//! its body as it arrives. It follows no redirect, rewrites no path, decompresses nothing, and knows nothing of stores
//! beyond their [`Error`].
//!
//! Why not an existing client: bodies are most of what this program does, and here they go from the
//! socket into the memory where they stay, while a general client hands out pieces of its own memory that have to be
//! copied. A request is one write, and no task or channel stands between it and its connection.
//!
//! | file | owns |
//! |---|---|
//! | `addresses` | the addresses of names, and how each has served |
//! | `bind` | the local interface or address of connections |
//! | `proxy` | talking to a proxy |
//! | `connect` | connecting, TLS |
//! | `trust` | which certificates are trusted |
//! | `pool` | connections between two requests |
//! | `stream` | the bytes of a connection |
//! | `request` | a request as bytes |
//! | `head` | the head of an answer, and what it says of the body |
//! | `chunked` | the chunked transfer coding |
//! | `body` | a body, after which its connection is kept or closed |

mod addresses;
mod bind;
mod body;
mod chunked;
mod connect;
mod head;
mod pool;
mod proxy;
mod request;
mod stream;
mod trust;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, Method};
use parking_lot::Mutex;

use addresses::{Address, Choice, Load};
pub use addresses::{Addresses, Served};
pub use bind::Bind;
pub(super) use body::Received;
use chunked::Garbled;
use connect::Connector;
pub(super) use head::Skipped;
use head::{Head, HeadReader, Reuse};
use pool::Pool;
pub use proxy::Proxy;
use stream::{Connection, Encoded};

use super::Pair;
use super::{Error, ErrorKind, Result, Timeouts};
use crate::base::Clock;

/// More interim answers than this before the real one would be an attack.
const MAX_INTERIM: u32 = 16;

/// How often an address that a request waits for is looked at, at least and at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const LEAST_LOOK: Duration = Duration::from_millis(10);

/// What the transport needs to know.
#[derive(Clone, Debug)]
pub(super) struct TransportOptions<'a> {
    /// Whether connections are encrypted.
    pub(super) tls: bool,
    /// Certificates to trust instead of the machine's.
    pub(super) ca_bundle: Option<&'a Path>,
    /// Through which requests go.
    pub(super) proxy: Option<&'a Proxy>,
    /// Where connections set out from, in turn; none leaves it to the kernel.
    pub(super) bind: &'a [Bind],
    /// What is known of the addresses of names.
    pub(super) addresses: &'a Addresses,
    pub(super) timeouts: Timeouts,
    /// The most idle connections that are kept.
    pub(super) max_idle: usize,
    pub(super) user_agent: &'a str,
}

/// A request as it goes out.
pub(super) struct HttpRequest<'a> {
    pub(super) method: Method,
    /// The `Host` header, and where to connect to.
    pub(super) host: &'a str,
    /// Path and query, encoded; sent as they are.
    pub(super) path_and_query: &'a str,
    /// Lower-case names, none of them one that is sent with every request.
    pub(super) headers: &'a [Pair],
    pub(super) body: Bytes,
}

impl fmt::Debug for HttpRequest<'_> {
    /// Without the headers, which hold the signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {} of {})", self.method, self.path_and_query, self.host)
    }
}

/// An answer whose body has yet to come.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Headers that could not be used.
    pub(super) skipped: Vec<Skipped>,
    /// The length of the body (of what a GET would bring, for HEAD), where the head tells it.
    pub(super) length: Option<u64>,
    pub(super) body: Received,
}

/// A pool of connections to one endpoint.
pub(super) struct Transport {
    connector: Connector,
    clock: Clock,
    pool: Arc<Pool>,
    user_agent: String,
    /// Whether a header that cannot be used was logged.
    has_told_of_headers: AtomicBool,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// Prepares connections; opens none.
    pub(super) fn new(options: TransportOptions<'_>, clock: Clock) -> Result<Transport> {
        request::check_value("user-agent", options.user_agent)
            .map_err(|_| invalid("the user agent holds characters that no header can carry"))?;
        Ok(Transport {
            connector: Connector::new(&options, clock.clone())?,
            pool: Pool::new(options.max_idle, options.timeouts.idle, clock.clone()),
            clock,
            user_agent: options.user_agent.to_owned(),
            has_told_of_headers: AtomicBool::new(false),
        })
    }

    /// Sends a request and waits for the head of the answer, whatever its status. Must be called in a Tokio runtime.
    ///
    /// A request that changes nothing, and that went to an address which has become silent, is sent to another address
    /// too, and the first answer is taken: the caller must not wait until its time is over to meet another one.
    pub(super) async fn send(&self, request: HttpRequest<'_>) -> Result<Response> {
        let encoded = request::encode(&request, &self.user_agent, self.connector.forwarder())?;
        let (host, method) = (request.host, &request.method);
        let choices = self.connector.choices(host).await?;
        if choices.len() < 2 || !method.is_safe() {
            return self.send_to(choices, &encoded, host, method, |_| ()).await;
        }
        let meets = Mutex::new(None);
        let meet = |address: &Arc<Address>| *meets.lock() = Some(address.clone());
        let mut first = pin!(self.send_to(choices, &encoded, host, method, meet));
        let others = tokio::select! {
            biased;
            answer = &mut first => return answer,
            others = self.beside_silent(&meets, host) => others?,
        };
        let second = pin!(self.send_to(others, &encoded, host, method, |_| ()));
        // The one that fails first says nothing of the other.
        match select(first, second).await {
            Either::Left((Err(_), second)) => second.await,
            Either::Right((Err(_), first)) => first.await,
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    /// Waits until the address that a request has met is silent and others are not; those others.
    async fn beside_silent(&self, meets: &Mutex<Option<Arc<Address>>>, host: &str) -> Result<Vec<Choice>> {
        loop {
            let met = meets.lock().clone();
            let silent_in = met.as_ref().and_then(|address| address.silent_in(self.clock.elapsed()));
            if let (Some(met), Some(Duration::ZERO)) = (&met, silent_in) {
                let mut others = self.connector.choices(host).await?;
                others.retain(|other| !Arc::ptr_eq(&other.address, met) && !other.is_passed_over());
                if !others.is_empty() {
                    return Ok(others);
                }
            }
            tokio::time::sleep(silent_in.unwrap_or(LOOK_AGAIN).clamp(LEAST_LOOK, LOOK_AGAIN)).await;
        }
    }

    /// Sends a request to the best of these addresses, and tells `meet` which one that is.
    async fn send_to(
        &self,
        choices: Vec<Choice>,
        encoded: &Encoded,
        host: &str,
        method: &Method,
        meet: impl Fn(&Arc<Address>),
    ) -> Result<Response> {
        if let Some(mut connection) = self.pool.take(host, &choices) {
            connection.carry_another(&self.clock);
            connection.load().into_iter().for_each(|load| meet(load.address()));
            match exchange(&mut connection, encoded).await {
                Ok(answer) => return self.response(answer, connection, host, method),
                Err(lost) if !lost.may_be_sent_again(method) => return Err(lost.error(host)),
                // The other side had closed it before the request came.
                Err(_) => {}
            }
        }
        let mut connection = self.connector.connect(host, choices, meet).await?;
        let answer = exchange(&mut connection, encoded).await.map_err(|lost| {
            connection.load().into_iter().for_each(Load::failed);
            lost.error(host)
        })?;
        self.response(answer, connection, host, method)
    }

    fn response(&self, answer: Answer, mut connection: Connection, host: &str, method: &Method) -> Result<Response> {
        let Answer { head, is_early } = answer;
        connection.load().into_iter().for_each(|load| load.answered(head.status));
        if let Some(proxy) = self.connector.forwarder().filter(|_| head.status == 407) {
            return Err(proxy.refusal(407, host));
        }
        let garbled = |garbled| Lost::Garbled(garbled).error(host);
        let (framing, reuse) = head.framing(method).map_err(garbled)?;
        let length = head.length().map_err(garbled)?;
        if let Some(skipped) = head.skipped.first()
            && !self.has_told_of_headers.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(host, "{skipped}; it is ignored, and others like it are ignored without a further message");
        }
        let reuse = if is_early { Reuse::Never } else { reuse };
        let body = Received::new(connection, framing, reuse, self.pool.clone(), host.into());
        let Head { status, headers, skipped, .. } = head;
        Ok(Response { status, headers, skipped, length, body })
    }
}

/// The head of an answer.
struct Answer {
    head: Head,
    /// It came before all of the request was sent.
    is_early: bool,
}

/// Why no answer came.
#[derive(Debug)]
enum Lost {
    /// The connection ended. So many bytes had been sent by then, and so many had come back.
    Broken { source: Option<io::Error>, sent: usize, received: usize },
    /// What came is no answer.
    Garbled(Garbled),
}

impl Lost {
    /// Whether a request that was sent on a connection used before may go out once more on a fresh one: nothing came
    /// back, and either it changes nothing or nothing of it was sent.
    fn may_be_sent_again(&self, method: &Method) -> bool {
        match self {
            Lost::Broken { sent, received, .. } => *received == 0 && (method.is_safe() || *sent == 0),
            Lost::Garbled(_) => false,
        }
    }

    fn error(self, host: &str) -> Error {
        match self {
            Lost::Broken { source, .. } => Error::new(ErrorKind::Network, format!("{host} sent no answer"))
                .with_source(source.map(|error| error.into())),
            Lost::Garbled(Garbled(why)) if why == head::NOT_HTTP => {
                Error::new(ErrorKind::Protocol, format!("the answer of {host} is not HTTP"))
            }
            Lost::Garbled(Garbled(why)) => {
                Error::new(ErrorKind::Protocol, format!("an answer of {host} cannot be read: {why}"))
            }
        }
    }
}

/// Sends a request and waits for the head of its answer.
async fn exchange(connection: &mut Connection, request: &Encoded) -> std::result::Result<Answer, Lost> {
    let (mut sent, mut received) = (0, 0);
    let sending = poll_fn(|cx| poll_send(connection, cx, request, &mut sent, &mut received)).await;
    let broken = |source: Option<io::Error>, received| Lost::Broken { source, sent, received };
    // A server that refuses a body may close before it has received it; the answer may have come all the same.
    let mut failure = sending.err();
    let (mut reader, mut interim) = (HeadReader::default(), 0);
    loop {
        while let Some((head, len)) = reader.read(connection.ahead()).map_err(Lost::Garbled)? {
            connection.consume(len);
            if !head.is_interim() {
                return Ok(Answer { head, is_early: sent < request.head.len() + request.body.len() });
            }
            interim += 1;
            if interim > MAX_INTERIM {
                return Err(Lost::Garbled(Garbled::of("too many interim answers")));
            }
            reader = HeadReader::default();
        }
        match poll_fn(|cx| connection.poll_fill(cx, 0)).await {
            Ok(0) => {
                return Err(match head::garbled(connection.ahead()) {
                    Some(garbled) => Lost::Garbled(garbled),
                    None => broken(failure, received),
                });
            }
            Ok(len) => received += len,
            Err(error) => return Err(broken(Some(failure.take().unwrap_or(error)), received)),
        }
    }
}

/// Sends a request; ready before all of it is sent when an answer arrives meanwhile.
fn poll_send(
    connection: &mut Connection,
    cx: &mut Context<'_>,
    request: &Encoded,
    sent: &mut usize,
    received: &mut usize,
) -> Poll<io::Result<()>> {
    let mut in_head = (*sent).min(request.head.len());
    let mut in_body = *sent - in_head;
    let sending = match connection.poll_send(cx, &request.head, &mut in_head) {
        Poll::Ready(Ok(())) => connection.poll_send(cx, &request.body, &mut in_body),
        other => other,
    };
    *sent = in_head + in_body;
    if sending.is_ready() {
        return sending;
    }
    match connection.poll_fill(cx, 0) {
        Poll::Ready(Ok(len)) => {
            *received += len;
            Poll::Ready(Ok(()))
        }
        other => other.map_ok(|_| ()),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
