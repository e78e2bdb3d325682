//! Injected faults: their kinds, their probability, and the random numbers.

use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;

use super::content::splitmix;
use super::operation::Operation;

/// Something that goes wrong with some requests.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// The kind of the fault.
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

/// What goes wrong with a request.
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
    /// Status 403 with the code `AccessDenied`, as for a key that lacks a permission.
    Status403,
    /// Status 500 with the code `InternalError`.
    Status500,
    /// Status 503 with the code `ServiceUnavailable`.
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

impl Fault {
    fn matches(&self, operation: Operation, key: &str) -> bool {
        self.operation.is_none_or(|only| only == operation)
            && self.key_contains.as_ref().is_none_or(|text| key.contains(text.as_str()))
    }
}

/// The faults in force, how often each has struck, and the dice.
#[derive(Debug)]
pub(super) struct Dice(Mutex<Table>);

#[derive(Debug)]
struct Table {
    faults: Vec<(Fault, u32)>,
    state: u64,
}

impl Dice {
    pub(super) fn new(faults: Vec<Fault>, seed: u64) -> Self {
        Dice(Mutex::new(Table { faults: faults.into_iter().map(|fault| (fault, 0)).collect(), state: seed }))
    }

    pub(super) fn replace(&self, faults: Vec<Fault>) {
        self.0.lock().faults = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// The first fault that strikes a request, if any does.
    pub(super) fn strike(&self, operation: Operation, key: &str) -> Option<FaultKind> {
        self.roll(|fault| fault.kind != FaultKind::RefuseConnection && fault.matches(operation, key))
    }

    /// Whether a new connection is refused.
    pub(super) fn refuses_connection(&self) -> bool {
        self.roll(|fault| fault.kind == FaultKind::RefuseConnection).is_some()
    }

    /// A number below `end` from the dice; 0 when `end` is 0.
    pub(super) fn below(&self, end: u64) -> u64 {
        splitmix(&mut self.0.lock().state).checked_rem(end).unwrap_or(0)
    }

    fn roll(&self, eligible: impl Fn(&Fault) -> bool) -> Option<FaultKind> {
        let Table { faults, state } = &mut *self.0.lock();
        for (fault, struck) in faults.iter_mut() {
            if !eligible(fault) || fault.times.is_some_and(|times| *struck >= times) {
                continue;
            }
            let chance = (splitmix(state) >> 11) as f64 / (1_u64 << 53) as f64;
            if chance < fault.probability {
                *struck += 1;
                return Some(fault.kind);
            }
        }
        None
    }
}

/// The words of each kind, and the default of those that take a figure.
const KINDS: [(&str, FaultKind); 15] = [
    ("refuse", FaultKind::RefuseConnection),
    ("drop", FaultKind::DropBeforeHeaders),
    ("reset", FaultKind::ResetInBody),
    ("stall", FaultKind::Stall(Duration::from_secs(30))),
    ("stall-headers", FaultKind::StallBeforeHeaders(Duration::from_secs(30))),
    ("short", FaultKind::ShortBody),
    ("flip", FaultKind::FlippedByte),
    ("403", FaultKind::Status403),
    ("500", FaultKind::Status500),
    ("503", FaultKind::Status503),
    ("throttle", FaultKind::Throttle(Duration::from_millis(500))),
    ("wrong-range", FaultKind::WrongContentRange),
    ("changed", FaultKind::ChangedEtag),
    ("range-ignored", FaultKind::RangeIgnored),
    ("skew", FaultKind::ClockSkewed(3600)),
];

impl FromStr for FaultKind {
    type Err = String;

    /// `NAME` or `NAME=FIGURE`: a time such as `200ms` or `5s` for the stalls and the throttle, seconds for the skew.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, figure) = text.split_once('=').map_or((text, None), |(name, figure)| (name, Some(figure)));
        let kind = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(|| {
            let names = KINDS.map(|(name, _)| name).join(", ");
            format!("{name:?} is not a kind of fault; the kinds are {names}")
        })?;
        let Some(figure) = figure else { return Ok(kind) };
        match kind {
            FaultKind::Stall(_) => parse_time(figure).map(FaultKind::Stall),
            FaultKind::StallBeforeHeaders(_) => parse_time(figure).map(FaultKind::StallBeforeHeaders),
            FaultKind::Throttle(_) => parse_time(figure).map(FaultKind::Throttle),
            FaultKind::ClockSkewed(_) => {
                let seconds = figure.trim_end_matches('s').parse();
                seconds.map(FaultKind::ClockSkewed).map_err(|_| format!("{figure:?} is not a number of seconds"))
            }
            _ => Err(format!("the fault {name} takes no figure")),
        }
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let parsed = match text.strip_suffix("ms") {
        Some(millis) => millis.parse().map(Duration::from_millis).ok(),
        None => text.strip_suffix('s').and_then(|seconds| seconds.parse().map(Duration::from_secs).ok()),
    };
    parsed.ok_or_else(|| format!("{text:?} is not a time; write one such as 200ms or 5s"))
}

impl FromStr for Fault {
    type Err = String;

    /// `KIND[=FIGURE][:PROBABILITY][,times=N][,operation=NAME][,key=TEXT]`, as in `throttle=2s:0.05,times=10`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or("");
        let (kind, probability) = head.split_once(':').unwrap_or((head, "1"));
        let mut fault = Fault::always(kind.parse()?);
        let chance = probability.parse::<f64>().ok().filter(|chance| (0.0..=1.0).contains(chance));
        fault.probability =
            chance.ok_or_else(|| format!("{probability:?} is not a probability; write a number from 0 to 1"))?;
        for part in parts {
            match part.split_once('=') {
                Some(("times", times)) => {
                    let times = times.parse().map_err(|_| format!("{times:?} is not a number of times"))?;
                    fault.times = Some(times);
                }
                Some(("operation", operation)) => fault.operation = Some(operation.parse()?),
                Some(("key", key)) => fault.key_contains = Some(key.to_owned()),
                _ => return Err(format!("{part:?} is not times=N, operation=NAME or key=TEXT")),
            }
        }
        Ok(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_and_refused_in_words() {
        let fault: Fault = "throttle=2s:0.05,times=10,operation=GetObject,key=a/b".parse().unwrap();
        let expected = Fault {
            kind: FaultKind::Throttle(Duration::from_secs(2)),
            probability: 0.05,
            times: Some(10),
            operation: Some(Operation::GetObject),
            key_contains: Some("a/b".to_owned()),
        };
        assert_eq!(fault, expected);
        assert_eq!("reset".parse(), Ok(Fault::always(FaultKind::ResetInBody)));
        assert_eq!("stall=50ms:1".parse(), Ok(Fault::always(FaultKind::Stall(Duration::from_millis(50)))));
        for (text, hint) in [
            ("", "the kinds are refuse"),
            ("boom:1", "the kinds are refuse"),
            ("reset:2", "from 0 to 1"),
            ("reset:often", "from 0 to 1"),
            ("reset=1s", "takes no figure"),
            ("stall=1h", "200ms"),
            ("reset:1,times=x", "number of times"),
            ("reset:1,operation=Get", "GetObject"),
            ("reset:1,often", "times=N"),
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn the_dice_fall_as_often_as_they_should_and_the_same_way_every_time() {
        let fault = Fault { probability: 0.25, ..Fault::always(FaultKind::Status500) };
        let throws = |seed| {
            let dice = Dice::new(vec![fault.clone()], seed);
            (0..4000).map(|_| dice.strike(Operation::GetObject, "k").is_some()).collect::<Vec<_>>()
        };
        let struck = throws(7).into_iter().filter(|struck| *struck).count();
        assert!((900..1100).contains(&struck), "{struck}");
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
    }

    #[test]
    fn faults_keep_to_their_operation_key_and_number() {
        let fault = Fault::once(FaultKind::Status503).on(Operation::HeadObject).for_keys_with("x");
        let dice = Dice::new(vec![fault, Fault::once(FaultKind::RefuseConnection)], 1);
        assert_eq!(dice.strike(Operation::GetObject, "x"), None);
        assert_eq!(dice.strike(Operation::HeadObject, "y"), None);
        assert_eq!(dice.strike(Operation::HeadObject, "axb"), Some(FaultKind::Status503));
        assert_eq!(dice.strike(Operation::HeadObject, "axb"), None);
        assert!(dice.refuses_connection());
        assert!(!dice.refuses_connection());
    }
}
