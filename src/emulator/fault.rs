//! Faults on purpose: what can go wrong, how often, and the dice.

use std::time::Duration;

use super::operation::Operation;

/// Something that goes wrong with some requests.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How likely each matching request is struck, 0 to 1.
    pub probability: f64,
    /// Strikes at most this often.
    pub times: Option<u32>,
    /// Strikes only this operation.
    pub operation: Option<Operation>,
    /// Strikes only requests whose key contains this text.
    pub key_contains: Option<String>,
}

impl Fault {
    /// A fault that strikes every request.
    pub fn always(kind: FaultKind) -> Self {
        Fault { kind, probability: 1.0, times: None, operation: None, key_contains: None }
    }

    /// A fault that strikes the next matching request and then no more.
    pub fn once(kind: FaultKind) -> Self {
        Fault { times: Some(1), ..Fault::always(kind) }
    }

    /// The same fault for one operation only.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// The same fault for keys that contain this text only.
    pub fn for_keys_with(mut self, text: impl Into<String>) -> Self {
        self.key_contains = Some(text.into());
        self
    }
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// The connection is reset as soon as it is accepted. Strikes connections, not requests.
    RefuseConnection,
    /// The connection is closed instead of an answer.
    DropBeforeHeaders,
    /// The connection is reset somewhere in the body.
    ResetInBody,
    /// The body pauses for this long.
    Stall(Duration),
    /// The answer begins only after this long.
    StallBeforeHeaders(Duration),
    /// The connection is closed cleanly before the body is complete.
    ShortBody,
    /// One bit of the body is wrong.
    FlippedByte,
    /// 500 `InternalError`.
    Status500,
    /// 503 `ServiceUnavailable`.
    Status503,
    /// 503 with the delay to wait: `x-oss-qos-delay-time` in milliseconds, or `SlowDown` with `Retry-After`.
    Throttle(Duration),
    /// `Content-Range` names another range than was asked for.
    WrongContentRange,
    /// The object has changed: another ETag, and 412 for a request that pins the old one.
    ChangedEtag,
    /// A range is answered with 200 and the whole object.
    RangeIgnored,
    /// The request is judged by a clock this many seconds off, and so is the `Date` of its answer.
    ClockSkewed(i64),
}
