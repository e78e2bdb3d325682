//! The emulator's own switches over HTTP, unsigned, for tests in other languages.
//!
//! `GET /-/counters`, `POST /-/counters/reset`, `POST /-/faults` (a list of fault texts), `POST /-/shaping`
//! (`{"ttfb_ms":20,"page_time_ms":50,"connection_bandwidth":"100MB","total_bandwidth":null}`), `POST /-/clock`
//! (`{"offset_seconds":3600}`). They answer only when the request came to a loopback address and names that very
//! address as its host; no bucket is called `-`.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Payload;
use super::counters::{Counters, Tally};
use super::fault::{Dice, Fault};
use super::options::Dialect;
use super::receive::{How, RequestBody};
use super::reply::Reply;
use super::request::{Request, host_name, value_text};
use super::shaping::Shaping;
use crate::base::ByteSize;

/// Texts sent here are short.
const LONGEST: u64 = 1 << 20;

/// What the switches of an emulator change.
#[derive(Clone, Copy)]
pub(super) struct Switches<'a> {
    pub(super) tally: &'a Tally,
    pub(super) dice: &'a Dice,
    pub(super) shaping: &'a RwLock<Shaping>,
    pub(super) clock_offset_seconds: &'a AtomicI64,
}

/// One of the emulator's own switches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Counters,
    ResetCounters,
    Faults,
    Shaping,
    Clock,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapingText {
    #[serde(default)]
    ttfb_ms: u64,
    #[serde(default)]
    page_time_ms: u64,
    connection_bandwidth: Option<String>,
    total_bandwidth: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockText {
    offset_seconds: i64,
}

impl Command {
    /// The switch that a request turns, if it is one.
    pub(super) fn of(parts: &http::request::Parts, addressed: Option<SocketAddr>) -> Option<Self> {
        let path = parts.uri.path().strip_prefix("/-/")?;
        let host = value_text(parts.headers.get(header::HOST)?);
        let named = host_name(&host).parse::<IpAddr>().ok()?;
        (named.is_loopback() && Some(named) == addressed.map(|address| address.ip())).then_some(())?;
        match (&parts.method, path) {
            (&Method::GET, "counters") => Some(Command::Counters),
            (&Method::POST, "counters/reset") => Some(Command::ResetCounters),
            (&Method::POST, "faults") => Some(Command::Faults),
            (&Method::POST, "shaping") => Some(Command::Shaping),
            (&Method::POST, "clock") => Some(Command::Clock),
            _ => None,
        }
    }

    /// Carries the command out.
    pub(super) async fn run(self, switches: Switches<'_>, body: &mut RequestBody) -> Reply {
        let text = match read(body).await {
            Ok(text) => text,
            Err(why) => return refused(&why),
        };
        let outcome = match self {
            Command::Counters => return answer(&counters(&switches.tally.snapshot())),
            Command::ResetCounters => {
                switches.tally.reset();
                Ok(())
            }
            Command::Faults => faults(&text).map(|faults| switches.dice.replace(faults)),
            Command::Shaping => shaping(&text).map(|shaping| *switches.shaping.write() = shaping),
            Command::Clock => {
                let clock = serde_json::from_str::<ClockText>(&text).map_err(|error| error.to_string());
                clock.map(|clock| switches.clock_offset_seconds.store(clock.offset_seconds, Relaxed))
            }
        };
        outcome.map_or_else(|why| refused(&why), |()| answer(&json!({})))
    }
}

async fn read(body: &mut RequestBody) -> Result<String, String> {
    let method = Method::POST;
    let request = Request::parse(method, &http::Uri::from_static("/"), HeaderMap::new(), Dialect::Oss, |_| false);
    let request = request.map_err(|failure| failure.message)?;
    let (payload, tally) = (Payload::Unsigned, Tally::new());
    let how = How { request: &request, payload: &payload, largest: LONGEST, staging: None, tally: &tally };
    body.text(&how).await.map_err(|failure| failure.message)
}

fn answer(value: &Value) -> Reply {
    Reply::ok().text("application/json", value.to_string())
}

fn refused(why: &str) -> Reply {
    let reply = answer(&json!({ "error": why }));
    Reply { status: StatusCode::BAD_REQUEST, ..reply }
}

/// The counters as JSON.
pub(super) fn counters(counters: &Counters) -> Value {
    let requests: Map<String, Value> =
        counters.requests.iter().map(|(operation, count)| (operation.name().to_owned(), json!(count))).collect();
    json!({
        "requests": requests,
        "errors": counters.errors,
        "faults": counters.faults,
        "body_bytes": counters.body_bytes,
        "wire_bytes": counters.wire_bytes,
        "received_bytes": counters.received_bytes,
        "concurrency": counters.concurrency,
        "peak_concurrency": counters.peak_concurrency,
        "connections": counters.connections,
    })
}

fn faults(text: &str) -> Result<Vec<Fault>, String> {
    let texts = serde_json::from_str::<Vec<String>>(text).map_err(|error| error.to_string())?;
    texts.iter().map(|text| text.parse()).collect()
}

fn shaping(text: &str) -> Result<Shaping, String> {
    let text: ShapingText = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let bandwidth = |size: Option<String>| {
        let size = size.map(|size| size.parse::<ByteSize>());
        size.transpose().map_err(|error| error.to_string())
    };
    Ok(Shaping {
        ttfb: Duration::from_millis(text.ttfb_ms),
        page_time: Duration::from_millis(text.page_time_ms),
        connection_bandwidth: bandwidth(text.connection_bandwidth)?,
        total_bandwidth: bandwidth(text.total_bandwidth)?,
    })
}
