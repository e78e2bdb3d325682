//! From a request to its answer: parse, verify the signature, inject faults, dispatch, add the common headers, delay.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use hyper::body::Incoming;
use parking_lot::{Mutex, RwLock};

use super::admin;
use super::auth::{Caller, Judge, Payload, authenticate};
use super::body::{Body, Flow, Mishap};
use super::bucket::{Bucket, Versioning};
use super::connection::Connection;
use super::content::{Content, splitmix};
use super::counters::{Tally, UnderWay};
use super::failure::{Failure, access_denied};
use super::fault::{Dice, FaultKind};
use super::generator::Generator;
use super::operation::Operation;
use super::ops::{self, Call};
use super::options::{AnonymousRead, Dialect, Options};
use super::receive::RequestBody;
use super::reply::Reply;
use super::request::Request;
use super::shaping::{self, Pace, Shaping};
use super::time::http_date;
use crate::base::{Clock, Timestamp};
use crate::files::Beneath;

/// Where uploads to directories are staged, in the root; buckets never begin with a dot.
const STAGING: &str = ".ossmount-emulator";

/// The server without its sockets.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) options: Options,
    root: Option<Beneath>,
    staging: PathBuf,
    steady: Clock,
    tally: Arc<Tally>,
    dice: Dice,
    total: Arc<Mutex<Pace>>,

    shaping: RwLock<Shaping>,
    offset_seconds: AtomicI64,
    serial: AtomicU64,
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
}

/// The connection is to be closed instead of an answer.
#[derive(Debug)]
pub(super) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

impl Service {
    pub(super) fn new(options: Options) -> io::Result<Self> {
        let staging = options.root.as_ref().map(|root| root.join(STAGING)).unwrap_or_default();
        let root = options.root.as_deref().map(Beneath::open).transpose()?;
        // A directory that cannot be read is told now, not by answers that find no bucket.
        root.as_ref().map(|root| root.names("")).transpose()?;
        let service = Service {
            root,
            staging,
            steady: Clock::system(),
            tally: Arc::new(Tally::new()),
            dice: Dice::new(options.faults.clone(), options.seed),
            total: Arc::default(),
            shaping: RwLock::new(options.shaping),
            offset_seconds: AtomicI64::new(0),
            serial: AtomicU64::new(0),
            buckets: RwLock::default(),
            options,
        };
        for generated in &service.options.generated {
            service.generate(&generated.bucket, generated.generator.clone());
        }
        Ok(service)
    }

    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    pub(super) fn dice(&self) -> &Dice {
        &self.dice
    }

    pub(super) fn refuses_connection(&self) -> bool {
        let refuses = self.dice.refuses_connection();
        if refuses {
            self.tally.faults.fetch_add(1, Relaxed);
        } else {
            self.tally.connections.fetch_add(1, Relaxed);
        }
        refuses
    }

    pub(super) fn set_shaping(&self, shaping: Shaping) {
        *self.shaping.write() = shaping;
    }

    pub(super) fn set_clock_offset(&self, seconds: i64) {
        self.offset_seconds.store(seconds, Relaxed);
    }

    fn switches(&self) -> admin::Switches<'_> {
        admin::Switches {
            tally: &self.tally,
            dice: &self.dice,
            shaping: &self.shaping,
            clock_offset_seconds: &self.offset_seconds,
        }
    }

    /// The server's time, with the configured offset.
    pub(super) fn now(&self) -> Timestamp {
        self.options.clock.now().plus_seconds(self.offset_seconds.load(Relaxed))
    }

    /// A bucket by name; a directory of the root becomes one when first asked for.
    pub(super) fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        if let Some(bucket) = self.buckets.read().get(name).filter(|bucket| bucket.is_alive()) {
            return Some(bucket.clone());
        }
        let root = self.root.as_ref()?;
        let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        let folder = root.within(name).ok().filter(|_| is_name)?;
        let created = root.modified(name).map_or(self.now(), Timestamp::from);
        let bucket = Arc::new(Bucket::in_directory(name, created, folder, self.staging.clone()));
        let mut buckets = self.buckets.write();
        // A directory that was removed and made again is another bucket.
        if let Some(other) = buckets.get(name).filter(|other| other.is_alive()) {
            return Some(other.clone());
        }
        buckets.insert(name.to_owned(), bucket.clone());
        Some(bucket)
    }

    /// Every bucket, by name.
    pub(super) fn all_buckets(&self) -> Vec<Arc<Bucket>> {
        let folders = self.root.iter().flat_map(|root| root.names("").unwrap_or_default());
        for name in folders.filter_map(|(name, _)| name.into_string().ok()) {
            self.bucket(&name);
        }
        self.buckets.read().values().filter(|bucket| bucket.is_alive()).cloned().collect()
    }

    /// Creates a bucket unless there is one; in the root, if there is a root.
    pub(super) fn create_bucket(&self, name: &str) -> io::Result<Arc<Bucket>> {
        if let Some(root) = &self.root {
            root.make_folder(name)?;
            if let Some(bucket) = self.bucket(name) {
                return Ok(bucket);
            }
        }
        Ok(self.create_in_memory(name))
    }

    pub(super) fn create_in_memory(&self, name: &str) -> Arc<Bucket> {
        let create = || Arc::new(Bucket::in_memory(name, self.now()));
        self.buckets.write().entry(name.to_owned()).or_insert_with(create).clone()
    }

    pub(super) fn create_versioned(&self, name: &str) {
        self.create_in_memory(name).set_versioning(Versioning::Enabled);
    }

    pub(super) fn keep_versions(&self, bucket: &str, keep: bool) {
        let bucket = self.bucket(bucket).unwrap_or_else(|| panic!("there is no bucket {bucket}"));
        bucket.set_versioning(if keep { Versioning::Enabled } else { Versioning::Suspended });
    }

    pub(super) fn generate(&self, name: &str, generator: Generator) {
        let bucket = Arc::new(Bucket::generated(name, self.now(), generator));
        self.buckets.write().insert(name.to_owned(), bucket);
    }

    /// Forgets a bucket; an emptied directory is removed.
    pub(super) fn remove_bucket(&self, name: &str) -> io::Result<()> {
        if let Some(root) = &self.root
            && root.within(name).is_ok()
        {
            root.remove_folder(name)?;
        }
        self.buckets.write().remove(name);
        Ok(())
    }

    /// Answers one request of any operation.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        connection: Arc<Connection>,
        addressed: Option<SocketAddr>,
    ) -> Result<Response<Body>, Dropped> {
        let started = self.steady.elapsed();
        let (parts, incoming) = request.into_parts();
        let mut body = RequestBody::new(incoming);
        if let Some(command) = admin::Command::of(&parts, addressed) {
            let under_way = self.tally.begin_uncounted();
            let reply = command.run(self.switches(), &mut body).await;
            return Ok(self.send(reply, &parts.method, connection, under_way, None));
        }
        let (dialect, host) = (self.options.anonymous_dialect, host_of(&parts.headers));
        let knows = |name: &str| self.bucket(name).is_some();
        let parsed = Request::parse(parts.method.clone(), &parts.uri, parts.headers, dialect, knows);
        let (operation, key) = match &parsed {
            Ok(request) => (ops::classify(request), request.key_text().to_owned()),
            Err(_) => (Operation::Unknown, String::new()),
        };
        let under_way = self.tally.begin(operation);
        let fault = self.dice.strike(operation, &key);
        if fault.is_some() {
            self.tally.faults.fetch_add(1, Relaxed);
        }
        match fault {
            Some(FaultKind::DropBeforeHeaders) => return Err(Dropped),
            Some(FaultKind::StallBeforeHeaders(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        let skew = if let Some(FaultKind::ClockSkewed(seconds)) = fault { seconds } else { 0 };
        let now = self.now().plus_seconds(skew);
        let dialect = parsed.as_ref().map_or(dialect, |request| request.dialect);
        let outcome = match &parsed {
            Ok(request) => self.perform(request, operation, fault, now, &mut body).await,
            Err(failure) => Err(failure.clone()),
        };
        body.drain().await;
        let request_id = self.request_id();
        let mut reply = match outcome {
            Ok(reply) => reply,
            Err(failure) => self.refuse(&failure, dialect, &parts.method, &request_id, &host),
        };
        dress(&mut reply, dialect, &request_id, now, self.steady.elapsed().saturating_sub(started));
        self.delay(started, operation).await;
        Ok(self.send(reply, &parts.method, connection, under_way, fault))
    }

    async fn perform(
        &self,
        request: &Request,
        operation: Operation,
        fault: Option<FaultKind>,
        now: Timestamp,
        body: &mut RequestBody,
    ) -> Result<Reply, Failure> {
        if let Some(failure) = fault.and_then(|fault| planned_failure(fault, request.dialect)) {
            return Err(failure);
        }
        let judge = Judge { accounts: &self.options.credentials, region: &self.options.region, now };
        let payload = match authenticate(request, &judge)? {
            Caller::Signed(payload) => payload,
            Caller::Anonymous => {
                self.check_anonymous(request, operation)?;
                Payload::Unsigned
            }
        };
        let call = Call { service: self, request, payload: &payload, operation, now, fault };
        ops::dispatch(&call, body).await
    }

    fn check_anonymous(&self, request: &Request, operation: Operation) -> Result<(), Failure> {
        let may_read = match (&self.options.anonymous_read, &request.bucket) {
            (AnonymousRead::Everything, _) => true,
            (AnonymousRead::Buckets(names), Some(bucket)) => names.contains(bucket),
            _ => false,
        };
        if !may_read || !operation.only_reads() {
            return Err(access_denied("You have no right to access this object because of bucket acl."));
        }
        if request.query.pairs.iter().any(|(name, _)| name.starts_with("response-")) {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(Failure::new(400, "InvalidRequest", message));
        }
        Ok(())
    }

    fn refuse(&self, failure: &Failure, dialect: Dialect, method: &Method, id: &str, host: &str) -> Reply {
        let document = failure.document(dialect, id, host);
        let mut reply = Reply::new(failure.status);
        if *method == Method::HEAD && dialect == Dialect::Oss {
            reply.set("x-oss-err", &STANDARD.encode(&document));
        }
        if *method != Method::HEAD && failure.status != http::StatusCode::NOT_MODIFIED {
            reply = reply.text("application/xml", document);
        }
        if dialect == Dialect::Oss && !failure.ec.is_empty() {
            reply.set("x-oss-ec", failure.ec);
        }
        for (name, value) in &failure.headers {
            reply.set(name, value);
        }
        if failure.status.as_u16() >= 400 {
            self.tally.errors.fetch_add(1, Relaxed);
        }
        reply
    }

    /// Twenty-four hexadecimal digits that never come again in this run.
    fn request_id(&self) -> String {
        let serial = self.serial.fetch_add(1, Relaxed);
        let mut state = serial;
        format!("{:016X}{:08X}", splitmix(&mut state), serial as u32)
    }

    async fn delay(&self, started: Duration, operation: Operation) {
        let shaping = *self.shaping.read();
        let wanted = if operation.is_listing() { shaping.ttfb.max(shaping.page_time) } else { shaping.ttfb };
        let passed = self.steady.elapsed().saturating_sub(started);
        if let Some(left) = wanted.checked_sub(passed).filter(|left| !left.is_zero()) {
            shaping::sleep(left).await;
        }
    }

    fn send(
        &self,
        reply: Reply,
        method: &Method,
        connection: Arc<Connection>,
        under_way: UnderWay,
        fault: Option<FaultKind>,
    ) -> Response<Body> {
        let (start, end) = (reply.range.start, reply.range.end);
        let bodiless = *method == Method::HEAD || matches!(reply.status.as_u16(), 204 | 304);
        let mut headers = reply.headers;
        if !bodiless {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
        }
        let sent = if bodiless { (start, start) } else { (start, end) };
        let flow = Flow { shaping: *self.shaping.read(), total: self.total.clone(), clock: self.steady.clone() };
        let mut body = Body::new(reply.content, sent, flow, connection, under_way);
        if sent.0 < sent.1 {
            let at = || self.dice.below(sent.1 - sent.0);
            match fault {
                Some(FaultKind::ResetInBody) => body.spoil(Mishap::Cut { at: at(), reset: true }),
                Some(FaultKind::ShortBody) => body.spoil(Mishap::Cut { at: at(), reset: false }),
                Some(FaultKind::Stall(time)) => body.spoil(Mishap::Stall { at: at(), time }),
                Some(FaultKind::FlippedByte) => body.spoil(Mishap::Flip { at: at() }),
                _ => {}
            }
        }
        let mut response = Response::new(body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = headers;
        response
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.buckets.write().clear();
        if let Some(root) = &self.root {
            // Another emulator may use the same root; then the directory is not empty and stays.
            let _ = root.remove_folder(STAGING);
        }
    }
}

/// Puts an object where code in this process wants it, without a request.
impl Service {
    pub(super) fn store(&self, bucket: &str, key: &str, bytes: Bytes, options: super::options::PutOptions) {
        // The callers document the panics: a test or demo that names no bucket is wrong.
        let bucket = self.bucket(bucket).unwrap_or_else(|| panic!("there is no bucket {bucket}"));
        let content = if options.symlink_target.is_some() { Content::empty() } else { Content::Memory(bytes) };
        let object = ops::written_object(content, self.now(), options);
        if let Err(error) = bucket.write(key, object, &Default::default()) {
            panic!("{key} could not be stored: {error:?}");
        }
    }

    pub(super) fn uploads(&self, bucket: &str) -> Vec<usize> {
        let bucket = self.bucket(bucket).unwrap_or_else(|| panic!("there is no bucket {bucket}"));
        let uploads = bucket.uploads.lock();
        uploads.iter().map(|(_, _, upload)| upload.parts.len()).collect()
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) {
        let bucket = self.bucket(bucket).unwrap_or_else(|| panic!("there is no bucket {bucket}"));
        if let Err(error) = bucket.delete(key, self.now()) {
            panic!("{key} could not be deleted: {error}");
        }
    }
}

fn host_of(headers: &http::HeaderMap) -> String {
    headers.get(header::HOST).map(super::request::value_text).unwrap_or_default()
}

/// What stands on every answer.
fn dress(reply: &mut Reply, dialect: Dialect, request_id: &str, now: Timestamp, spent: Duration) {
    reply.set("date", &http_date(now));
    match dialect {
        Dialect::Oss => {
            reply.set("server", "AliyunOSS");
            reply.set("x-oss-request-id", request_id);
            reply.set("x-oss-server-time", &spent.as_millis().to_string());
        }
        Dialect::S3 => {
            reply.set("server", "AmazonS3");
            reply.set("x-amz-request-id", request_id);
            reply.set("x-amz-id-2", &STANDARD.encode(request_id));
        }
    }
}

/// The refusal that a fault plans.
fn planned_failure(fault: FaultKind, dialect: Dialect) -> Option<Failure> {
    match (fault, dialect) {
        (FaultKind::Status403, _) => Some(access_denied("You have no right to access this object.")),
        (FaultKind::Status500, _) => {
            Some(Failure::new(500, "InternalError", "We encountered an internal error. Please try again."))
        }
        (FaultKind::Status503, _) => Some(Failure::new(503, "ServiceUnavailable", "Please reduce your request rate.")),
        (FaultKind::Throttle(delay), Dialect::Oss) => {
            let failure = Failure::new(503, "DownloadTrafficRateLimitExceeded", "The traffic limit is exceeded.");
            Some(failure.header("x-oss-qos-delay-time", delay.as_millis().to_string()))
        }
        (FaultKind::Throttle(delay), Dialect::S3) => {
            let seconds = delay.as_millis().div_ceil(1000);
            let failure = Failure::new(503, "SlowDown", "Please reduce your request rate.");
            Some(failure.header("retry-after", seconds.to_string()))
        }
        _ => None,
    }
}
