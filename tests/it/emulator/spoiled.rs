//! Faults and shaping as a client sees them, and the end of a server.

use std::io::ErrorKind;
use std::time::Duration;

use ossmount::base::{ByteSize, Clock};
use ossmount::emulator::{Emulator, Fault, FaultKind, Operation, Options, Shaping, generated_content};

use super::client::{Answer, Client, Sign};
use super::emulator;

const SIZE: u64 = 1 << 20;

/// An emulator with an object of a mebibyte and one fault that strikes once.
fn struck(kind: FaultKind) -> (Emulator, Client) {
    let emulator = emulator();
    emulator.put("b", "k", generated_content(0, "k", 0..SIZE));
    emulator.set_faults(vec![Fault::once(kind).on(Operation::GetObject)]);
    let client = Client::new(&emulator, Sign::Oss);
    (emulator, client)
}

/// The spoiled answer to a range, after which the next one must be right.
fn spoiled(kind: FaultKind) -> std::io::Result<Answer> {
    let (emulator, client) = struck(kind);
    let range = [("range", "bytes=1000-500999")];
    let answer = client.ask("GET", ("b", "k"), &[], &range, b"");
    let right = client.get("k", &range).expect(206);
    assert!(right.is_whole);
    assert_eq!(right.body, expected());
    assert_eq!(emulator.counters().faults, 1);
    answer
}

fn expected() -> bytes::Bytes {
    generated_content(0, "k", 1000..501_000)
}

#[test]
fn connections_are_dropped_before_during_and_after() {
    assert_eq!(spoiled(FaultKind::DropBeforeHeaders).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    for kind in [FaultKind::ShortBody, FaultKind::ResetInBody] {
        match spoiled(kind) {
            Ok(answer) => {
                assert!(!answer.is_whole, "{kind:?}");
                assert_eq!(answer.body, expected()[..answer.body.len()], "{kind:?}");
            }
            Err(error) => assert_eq!((error.kind(), kind), (ErrorKind::ConnectionReset, FaultKind::ResetInBody)),
        }
    }
    let emulator = emulator();
    emulator.set_faults(vec![Fault::once(FaultKind::RefuseConnection)]);
    let client = Client::new(&emulator, Sign::Oss);
    client.ask("GET", ("b", "k"), &[], &[], b"").unwrap_err();
    client.get("k", &[]).expect(404);
}

#[test]
fn bodies_are_wrong_in_one_bit_and_headers_in_a_number() {
    let answer = spoiled(FaultKind::FlippedByte).unwrap();
    let wrong: u32 = answer.body.iter().zip(expected()).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!((answer.is_whole, wrong), (true, 1));
    let answer = spoiled(FaultKind::WrongContentRange).unwrap().expect(206);
    assert_eq!(answer.header("content-range"), format!("bytes 1001-501000/{SIZE}"));
    let answer = spoiled(FaultKind::RangeIgnored).unwrap().expect(200);
    assert_eq!((answer.body.len() as u64, answer.header("content-range")), (SIZE, ""));
}

#[test]
fn statuses_come_with_what_a_client_needs_to_know() {
    assert_eq!(spoiled(FaultKind::Status500).unwrap().expect(500).element("Code"), "InternalError");
    assert_eq!(spoiled(FaultKind::Status503).unwrap().expect(503).element("Code"), "ServiceUnavailable");
    let throttle = FaultKind::Throttle(Duration::from_millis(1500));
    assert_eq!(spoiled(throttle).unwrap().expect(503).header("x-oss-qos-delay-time"), "1500");
    let answer = spoiled(FaultKind::ClockSkewed(7200)).unwrap().expect(403);
    assert_eq!(answer.element("Code"), "RequestTimeTooSkewed");
    let (emulator, _) = struck(throttle);
    let answer = Client::new(&emulator, Sign::S3).get("k", &[]).expect(503);
    assert_eq!((answer.element("Code").as_str(), answer.header("retry-after")), ("SlowDown", "2"));
}

#[test]
fn a_changed_object_fails_those_who_pinned_it() {
    let (emulator, client) = struck(FaultKind::ChangedEtag);
    let etag = client.ask("HEAD", ("b", "k"), &[], &[], b"").unwrap().header("etag").to_owned();
    client.get("k", &[("if-match", &etag)]).expect(412);
    client.get("k", &[("if-match", &etag)]).expect(200);
    emulator.set_faults(vec![Fault::once(FaultKind::ChangedEtag)]);
    assert_ne!(client.get("k", &[]).expect(200).header("etag"), etag);
}

#[test]
fn stalls_end() {
    let clock = Clock::system();
    for kind in [FaultKind::Stall(Duration::from_millis(60)), FaultKind::StallBeforeHeaders(Duration::from_millis(60))]
    {
        let before = clock.elapsed();
        let answer = spoiled(kind).unwrap().expect(206);
        assert_eq!((answer.is_whole, answer.body == expected()), (true, true));
        assert!(clock.elapsed() - before >= Duration::from_millis(60), "{kind:?}");
    }
}

#[test]
fn shaping_holds_back_first_bytes_pages_and_bodies() {
    let emulator = emulator();
    emulator.put("b", "k", generated_content(0, "k", 0..SIZE));
    let client = Client::new(&emulator, Sign::Oss);
    let clock = Clock::system();
    let takes = |shaping: Shaping, key: &str| {
        emulator.set_shaping(shaping);
        let before = clock.elapsed();
        client.get(key, &[]).expect(200);
        clock.elapsed() - before
    };
    let (short, long) = (Duration::from_millis(40), Duration::from_millis(80));
    assert!(takes(Shaping { ttfb: short, ..Shaping::default() }, "k") >= short);
    assert!(takes(Shaping { ttfb: short, page_time: long, ..Shaping::default() }, "") >= long);
    // A mebibyte at 10 MB/s takes 105 ms, less what a sender may catch up.
    let slow = Some(ByteSize(10_000_000));
    let least = Duration::from_millis(95);
    assert!(takes(Shaping { connection_bandwidth: slow, ..Shaping::default() }, "k") >= least);
    assert!(takes(Shaping { total_bandwidth: slow, ..Shaping::default() }, "k") >= least);
}

#[test]
fn a_dropped_server_closes_its_connections() {
    let emulator = Emulator::start(Options::default()).unwrap();
    let address = emulator.address();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // One exchange, so that the connection has been accepted for certain.
    std::io::Write::write_all(&mut stream, b"GET /b/k HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
    drop(emulator);
    let mut rest = Vec::new();
    let ended = std::io::Read::read_to_end(&mut stream, &mut rest);
    assert!(ended.is_ok() || ended.unwrap_err().kind() == ErrorKind::ConnectionReset);
    assert!(std::net::TcpStream::connect(address).is_err());
}
