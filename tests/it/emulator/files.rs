//! Objects that are files, which the kernel sends: every byte in its place, whatever the size, the range, the shape of
//! the network and the faults.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ossmount::base::ByteSize;
use ossmount::emulator::{AnonymousRead, Emulator, Fault, FaultKind, Options, Shaping, generated_content};

use super::client::{Client, Sign};

/// Around the sizes at which the emulator begins to leave files to the kernel, and at which it cuts them.
const SIZES: [u64; 8] = [0, 1, 65_535, 65_536, 524_288, 524_289, 1_048_577, 5_000_003];

/// An emulator over a bucket `b` of files, one of each size and named after it.
fn with_files() -> (tempfile::TempDir, Emulator) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("b")).unwrap();
    for size in SIZES {
        std::fs::write(root.path().join("b").join(size.to_string()), content(0..size)).unwrap();
    }
    let options =
        Options { root: Some(root.path().to_owned()), anonymous_read: AnonymousRead::Everything, ..Options::default() };
    (root, Emulator::start(options).unwrap())
}

fn content(range: std::ops::Range<u64>) -> bytes::Bytes {
    generated_content(0, "file", range)
}

/// Sends several requests at once on one connection, and gives all that comes back.
fn pipelined(emulator: &Emulator, heads: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(emulator.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(heads.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The body of the first answer, which must be this long, and what follows it.
fn body_of(bytes: &[u8], len: u64) -> (&[u8], &[u8]) {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    assert!(head.contains(&format!("content-length: {len}\r\n")), "{head}");
    bytes[end..].split_at(len as usize)
}

#[test]
fn files_arrive_whole_and_in_part() {
    let (_root, emulator) = with_files();
    let client = Client::new(&emulator, Sign::Oss);
    let slow = Shaping { connection_bandwidth: Some(ByteSize(50_000_000)), ..Shaping::default() };
    for shaping in [Shaping::default(), slow] {
        emulator.set_shaping(shaping);
        for size in SIZES {
            let answer = client.get(&size.to_string(), &[]).expect(200);
            assert!(answer.is_whole && answer.body == content(0..size), "{size}");
            for (from, to) in [(1, 65_537), (70_000, 600_000), (524_287, 1_048_576)] {
                if to < size {
                    let answer = client.get(&size.to_string(), &[("range", &format!("bytes={from}-{to}"))]).expect(206);
                    assert!(answer.body == content(from..to + 1), "{from} to {to} of {size}");
                }
            }
        }
    }
    assert_eq!(emulator.counters().body_bytes, {
        let parts = |size: u64| {
            [(1, 65_537), (70_000, 600_000), (524_287, 1_048_576)]
                .into_iter()
                .filter(move |(_, to)| *to < size)
                .map(|(from, to)| to + 1 - from)
                .sum::<u64>()
        };
        2 * SIZES.iter().map(|size| size + parts(*size)).sum::<u64>()
    });
}

#[test]
fn answers_on_one_connection_keep_their_order() {
    let (_root, emulator) = with_files();
    let ask = |key: u64, rest: &str| format!("GET /b/{key} HTTP/1.1\r\nhost: x\r\n{rest}\r\n");
    let head = "HEAD /b/5000003 HTTP/1.1\r\nhost: x\r\n\r\n";
    let heads =
        [ask(1_048_577, ""), ask(1, ""), head.to_owned(), ask(5_000_003, ""), ask(65_536, "connection: close\r\n")];
    let bytes = pipelined(&emulator, &heads.concat());
    let (first, rest) = body_of(&bytes, 1_048_577);
    let (second, rest) = body_of(rest, 1);
    let end = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (third, rest) = body_of(&rest[end..], 5_000_003);
    let (fourth, rest) = body_of(rest, 65_536);
    for body in [first, second, third, fourth] {
        assert!(body == content(0..body.len() as u64), "the body of {} bytes", body.len());
    }
    assert!(rest.is_empty());
}

#[test]
fn faults_strike_files_as_they_strike_memory() {
    let (_root, emulator) = with_files();
    let client = Client::new(&emulator, Sign::Oss);
    let range = [("range", "bytes=1000-4500999")];
    let expected = content(1000..4_501_000);
    let stall = FaultKind::Stall(Duration::from_millis(20));
    for kind in [FaultKind::ShortBody, FaultKind::ResetInBody, FaultKind::FlippedByte, stall] {
        emulator.set_faults(vec![Fault::once(kind)]);
        match client.ask("GET", ("b", "5000003"), &[], &range, b"") {
            Ok(answer) if kind == FaultKind::FlippedByte => {
                let wrong: u32 = answer.body.iter().zip(&expected).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert_eq!((answer.is_whole, wrong), (true, 1));
            }
            Ok(answer) => {
                assert_eq!(answer.is_whole, kind == stall, "{kind:?}");
                assert!(answer.body == expected[..answer.body.len()], "{kind:?}");
            }
            Err(error) => {
                assert_eq!((error.kind(), kind), (std::io::ErrorKind::ConnectionReset, FaultKind::ResetInBody));
            }
        }
        assert!(client.get("5000003", &range).expect(206).body == expected, "after {kind:?}");
    }
}

#[test]
fn a_file_that_becomes_shorter_ends_its_answer_early() {
    let (root, emulator) = with_files();
    // Slow enough that the file is cut while it is on its way.
    let slow = Shaping { connection_bandwidth: Some(ByteSize(20_000_000)), ..Shaping::default() };
    emulator.set_shaping(slow);
    let mut stream = TcpStream::connect(emulator.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /b/5000003 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut bytes = vec![0; 1000];
    stream.read_exact(&mut bytes).unwrap();
    std::fs::OpenOptions::new().write(true).open(root.path().join("b/5000003")).unwrap().set_len(2_000_000).unwrap();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = &bytes[end..];
    assert!(body.len() <= 2_000_000 && *body == content(0..body.len() as u64), "{} bytes", body.len());
}
