//! A server that says what a test tells it to say, byte for byte, and remembers what it was asked, byte for byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What to say to one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These bytes; the connection stays open.
    Keep(Vec<u8>),
    /// These bytes, one at a time; the connection stays open.
    Dribble(Vec<u8>),
    /// These bytes, then the end.
    Close(Vec<u8>),
}

impl Reply {
    /// An answer of this status with these header lines and this body; the length is added.
    pub(crate) fn new(status: &str, headers: &[&str], body: &str) -> Reply {
        let mut text = format!("HTTP/1.1 {status}\r\n");
        for line in headers {
            text.push_str(line);
            text.push_str("\r\n");
        }
        if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding")) {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        Reply::Keep(format!("{text}\r\n{body}").into_bytes())
    }
}

/// Says what to answer to a request; `None` closes the connection.
type Replies = Box<dyn FnMut(&Asked) -> Option<Reply> + Send>;

/// A connection, encrypted or not.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The number of the connection, from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names as they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The server. Replies go out in the order of the requests, whatever their connection; it stops when dropped.
pub(crate) struct Wire {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    replies: Mutex<Replies>,
    asked: Mutex<Vec<Asked>>,
    open: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl Wire {
    /// Listens on loopback with these replies. After the last one, connections are closed without a word.
    pub(crate) fn new(replies: Vec<Reply>) -> Wire {
        Wire::serve(in_order(replies), "http", |stream| Box::new(stream))
    }

    /// Listens on loopback and says to each request what this says. After `None`, the connection is closed.
    pub(crate) fn answering(reply: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) -> Wire {
        Wire::serve(Box::new(reply), "http", |stream| Box::new(stream))
    }

    /// The same over TLS, with the certificate `tests/data/tls/server.pem`.
    pub(crate) fn tls(replies: Vec<Reply>) -> Wire {
        Wire::tls_as("server.pem", replies)
    }

    /// The same with another certificate of that folder, made for the same key.
    pub(crate) fn tls_as(certificate: &str, replies: Vec<Reply>) -> Wire {
        let path = format!("{}/tests/data/tls/{certificate}", env!("CARGO_MANIFEST_DIR"));
        let pem = std::fs::read(path).unwrap();
        let certificates = CertificateDer::pem_slice_iter(&pem);
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../data/tls/server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates.map(Result::unwrap).collect(), key)
            .unwrap();
        let config = Arc::new(config);
        Wire::serve(in_order(replies), "https", move |stream| {
            Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream))
        })
    }

    fn serve(
        replies: Replies,
        scheme: &'static str,
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static,
    ) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies),
            asked: Mutex::default(),
            open: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        let handle = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { break };
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                accepting.open.lock().unwrap().push(stream.try_clone().unwrap());
                let (serving, stream) = (accepting.clone(), wrap(stream));
                std::thread::spawn(move || serving.serve(number, stream));
            }
        });
        Wire { address, scheme, shared, accepting: Some(handle) }
    }

    /// `http://127.0.0.1:port`, or with `https`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// `127.0.0.1:port`.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Everything asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        // Nothing listens from here on.
        let _ = self.accepting.take().map(JoinHandle::join);
        for stream in self.shared.open.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn serve(&self, number: usize, mut stream: Box<dyn Stream>) {
        while let Some(asked) = read_request(number, &mut *stream) {
            self.asked.lock().unwrap().push(asked.clone());
            let reply = self.replies.lock().unwrap()(&asked);
            match reply {
                Some(Reply::Keep(bytes)) if stream.write_all(&bytes).and_then(|()| stream.flush()).is_ok() => {}
                Some(Reply::Dribble(bytes)) if bytes.chunks(1).all(|byte| stream.write_all(byte).is_ok()) => {}
                Some(Reply::Keep(_) | Reply::Dribble(_)) | None => break,
                Some(Reply::Close(bytes)) => {
                    let _ = stream.write_all(&bytes);
                    break;
                }
            }
        }
        if let Some(socket) = self.open.lock().unwrap().get(number) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn in_order(replies: Vec<Reply>) -> Replies {
    let mut replies = replies.into_iter();
    Box::new(move |_| replies.next())
}

fn read_request(connection: usize, stream: &mut dyn Stream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap().splitn(3, ' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut asked = Asked { connection, method, target, headers, body: Vec::new() };
    let length = asked.header("content-length").map_or(0, |value| value.parse().unwrap());
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}
