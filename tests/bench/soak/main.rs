//! A long time of everything at once: readers of all kinds on one mount with little memory, over a service that fails.
//!
//! `cargo bench --bench soak -- --minutes 30` (10 unless told) compares every byte, and prints what the daemon held at
//! the start, in the middle and at the end. It fails where a byte was wrong or a read failed; figures that grow are for
//! the reader to see.

#[path = "../daemon.rs"]
mod daemon;
#[path = "../emulator.rs"]
#[expect(dead_code, reason = "the other benches use more of it")]
mod emulator;
mod readers;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use daemon::{Mount, status_bytes};
use emulator::{Error, Server, machine, process_cpu};
use readers::{READERS, Tally};

const BUCKET: &str = "soak";
const MEMORY_LIMIT: &str = "256MiB";
/// What goes wrong, with its share of the requests.
const FAULTS: [&str; 11] = [
    "refuse:0.01",
    "drop:0.02",
    "reset:0.02",
    "stall=22s:0.0005",
    "stall-headers=22s:0.0005",
    "short:0.02",
    "500:0.02",
    "503:0.02",
    "throttle=200ms:0.01",
    "wrong-range:0.01",
    "range-ignored:0.01",
];
/// Memory and descriptors settle before they are looked at first.
const SETTLING: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match minutes(std::env::args().skip(1)).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn minutes(mut args: impl Iterator<Item = String>) -> Result<f64, Error> {
    let mut minutes = 10.0;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--minutes" => minutes = args.next().ok_or("--minutes wants a number")?.parse()?,
            other => return Err(format!("{other:?} is no option; there is --minutes N").into()),
        }
    }
    if minutes > 0.0 { Ok(minutes) } else { Err("--minutes wants a number above 0".into()) }
}

fn run(minutes: f64) -> Result<ExitCode, Error> {
    let folder = tempfile::tempdir()?;
    readers::make_bucket(&folder.path().join("buckets").join(BUCKET))?;
    let mut args = ["--public-read", "--ttfb", "20ms", "--conn-bandwidth", "100MB"].map(str::to_owned).to_vec();
    args.extend(["--root".to_owned(), folder.path().join("buckets").display().to_string()]);
    args.extend(FAULTS.iter().flat_map(|fault| ["--fault".to_owned(), format!("{fault},operation=GetObject")]));
    let server = Server::start(&args)?;
    let options = format!("memory-limit={MEMORY_LIMIT}");
    let mount = Mount::new(server.address(), BUCKET, folder.path(), &options, None)?;
    println!("{minutes} minutes, memory-limit={MEMORY_LIMIT}, {}; faults: {}\n", machine(), FAULTS.join(" "));

    let (tally, started) = (Tally::default(), Instant::now());
    let length = Duration::from_secs_f64(minutes * 60.0);
    let settled = SETTLING.min(length / 10);
    let rows = std::thread::scope(|scope| {
        for reader in READERS {
            let (tally, folder) = (&tally, &mount.folder);
            scope.spawn(move || readers::go_on(reader, folder, tally, started + length));
        }
        let look = |name, after: Duration| {
            std::thread::sleep((started + after).saturating_duration_since(Instant::now()));
            Row::of(name, &mount, &tally, &server)
        };
        [look("start", settled), look("middle", length / 2), look("end", length)]
    });
    println!(
        "| | bytes compared | bytes fetched | wrong | errors | RSS | peak RSS | descriptors | threads | CPU s | faults met |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        println!("{}", row?.0);
    }
    println!();
    READERS.iter().for_each(|reader| println!("{}: {} rounds", reader.name, tally.rounds(reader.name)));
    Ok(if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of the table.
struct Row(String);

impl Row {
    fn of(name: &str, mount: &Mount, tally: &Tally, server: &Server) -> Result<Row, Error> {
        let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", mount.pid)).map(Iterator::count);
        let mib = |row| status_bytes(mount.pid, row).map(|bytes| bytes >> 20);
        let counters = server.counters()?;
        Ok(Row(format!(
            "| {name} | {:.1} GB | {:.1} GB | {} | {} | {} MiB | {} MiB | {} | {} | {:.0} | {} |",
            tally.bytes() as f64 / 1e9,
            counters.of("body_bytes")? as f64 / 1e9,
            tally.wrong(),
            tally.errors(),
            mib("VmRSS:")?,
            mib("VmHWM:")?,
            count("fd")?,
            count("task")?,
            process_cpu(mount.pid)?,
            counters.of("faults")?,
        )))
    }
}
