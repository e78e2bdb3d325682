//! The answer to each path.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use super::Served;
use super::page::POLICY;

/// The type that says how figures are to be read.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request; `served` is nothing while the mount is being made.
pub(super) async fn answer(
    method: &Method,
    path: &str,
    served: Option<&Served>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_known = matches!(path, "/" | "/metrics" | "/healthz" | "/readyz");
    if is_known && method != Method::GET && method != Method::HEAD {
        let mut refusal = say(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are supported");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    Ok(match (path, served) {
        ("/", Some(served)) => html(served.history.page(served.file_system.status())),
        ("/", None) => say(StatusCode::SERVICE_UNAVAILABLE, STARTING),
        ("/metrics", Some(served)) => reply(StatusCode::OK, EXPOSITION, served.file_system.prometheus()),
        ("/metrics", None) => say(StatusCode::SERVICE_UNAVAILABLE, STARTING),
        ("/healthz", Some(served)) if *served.ended.borrow() => say(StatusCode::SERVICE_UNAVAILABLE, GONE),
        // A daemon that waits for its bucket is alive.
        ("/healthz", None) => say(StatusCode::OK, "ok"),
        ("/healthz", Some(served)) => say(StatusCode::OK, &served.readiness.trouble().unwrap_or("ok".to_owned())),
        ("/readyz", Some(served)) => match served.why_not_ready() {
            None => say(StatusCode::OK, "ok"),
            Some(reason) => say(StatusCode::SERVICE_UNAVAILABLE, &reason),
        },
        ("/readyz", None) => say(StatusCode::SERVICE_UNAVAILABLE, STARTING),
        _ => say(StatusCode::NOT_FOUND, "not found; the paths are /, /metrics, /healthz and /readyz"),
    })
}

const STARTING: &str = "not mounted yet: waiting for the bucket and the kernel";
const GONE: &str = "the FUSE session has ended: unmounted";

impl Served {
    fn why_not_ready(&self) -> Option<String> {
        if *self.ended.borrow() {
            return Some(GONE.to_owned());
        }
        self.readiness.why_not()
    }
}

fn html(body: String) -> Response<Full<Bytes>> {
    let mut response = reply(StatusCode::OK, HTML, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn say(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    reply(status, TEXT, format!("{sentence}\n"))
}

/// The body of an answer to HEAD is left out by the server.
fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
