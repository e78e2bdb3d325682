//! The benchmarks: starts a shaped emulator, mounts it afresh for every run, and prints a table.
//!
//! `cargo bench --bench mount` runs all workloads, `cargo bench --bench mount -- seq mmap` those whose names contain a
//! word, `--runs N` sets the runs per workload (3), `--list` names them. `--bandwidth 600MB` bounds all connections
//! together, as a network does: where nothing but the processors does, client and server share them. Absolute figures
//! depend on the machine; the ratio to the raw reader, taken in the same run, is what compares. Options of the mount are
//! set by environment: `OSSMOUNT_DIRECT_IO=off cargo bench --bench mount -- blocks`.
//!
//! `--sweep read.head_growth=8,16,32` compares values of a tuned number instead (`read::Tuning`, `fs::Tuning`).

mod bed;
mod daemon;
mod emulator;
mod raw;
mod sweep;
mod workloads;

use std::process::ExitCode;

use bed::{Bed, Figures};
use emulator::{Error, median};
use raw::Raw;
use sweep::Sweep;
use workloads::{WORKLOADS, Workload};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.iter().any(|word| word == "--list") {
        WORKLOADS.iter().for_each(|workload| println!("{:<18} {}", workload.name, workload.about));
        return ExitCode::SUCCESS;
    }
    let runs = option(&mut words, "--runs").map_or(3, |n| n.parse().expect("--runs takes a number"));
    let bandwidth = option(&mut words, "--bandwidth");
    let sweep = option(&mut words, "--sweep");
    let chosen: Vec<&Workload> = WORKLOADS
        .iter()
        .filter(|workload| words.is_empty() || words.iter().any(|word| workload.name.contains(word.as_str())))
        .collect();
    let done = match sweep {
        Some(sweep) => compare(&sweep, &chosen, runs, bandwidth.as_deref()),
        None => bench(&chosen, runs, bandwidth.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes an option and its value out of the words.
fn option(words: &mut Vec<String>, name: &str) -> Option<String> {
    let at = words.iter().position(|word| word == name)?;
    assert!(at + 1 < words.len(), "{name} takes a value");
    words.drain(at..at + 2).nth(1)
}

fn start(bandwidth: Option<&str>) -> Result<Bed, Error> {
    let bed = Bed::start(bandwidth)?;
    println!("{}", bed.description());
    if let Some(bandwidth) = bandwidth {
        println!("All connections together bring at most {bandwidth} per second.");
    }
    Ok(bed)
}

/// Compares values of a tuned number.
fn compare(sweep: &str, chosen: &[&Workload], runs: usize, bandwidth: Option<&str>) -> Result<(), Error> {
    let sweep = Sweep::parse(sweep)?;
    sweep.run(&start(bandwidth)?, chosen, runs)
}

fn bench(chosen: &[&Workload], runs: usize, bandwidth: Option<&str>) -> Result<(), Error> {
    let bed = start(bandwidth)?;
    println!("{runs} runs each, medians; every run on a fresh mount.\n");
    println!(
        "| workload | figure | MB/s | of raw | requests | fetched/asked | CPU s/GB: daemon | reader | emulator | raw reader | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for workload in chosen {
        let mut raws = Vec::new();
        let mut all = Vec::new();
        for _ in 0..runs {
            if workload.compares_to_raw {
                raws.push(raw::read(&bed, 32)?);
            }
            all.push(bed.measure(workload, None)?);
        }
        print_row(workload, &all, &raws);
    }
    Ok(())
}

fn print_row(workload: &Workload, all: &[Figures], raws: &[Raw]) {
    let raw_rate = median(raws.iter().map(|raw| raw.rate).collect());
    let raw_cpu = median(raws.iter().map(|raw| raw.cpu).collect());
    let pick = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect()).unwrap_or(0.0);
    let bytes = pick(|run| run.bytes_asked as f64);
    let seconds = pick(|run| run.seconds);
    let rate = bytes / 1e6 / seconds;
    // Rates and shares say nothing of workloads that are about names, or about single bytes.
    let moves_data = bytes >= 1e5;
    let per_gb = |cpu: f64| if bytes >= 1e7 { format!("{:.2}", cpu / (bytes / 1e9)) } else { format!("{cpu:.2} s") };
    let headline = match workload.headline {
        workloads::Headline::Seconds => format!("{seconds:.3} s"),
        workloads::Headline::LatencyP50 => {
            format!("p50 {:.1} ms, p99 {:.1} ms", pick(|run| run.p50_ms), pick(|run| run.p99_ms))
        }
    };
    println!(
        "| {} | {headline} | {} | {} | {:.0} | {} | {} | {} | {} | {} | {:.0} |",
        workload.name,
        if moves_data { format!("{rate:.0}") } else { "-".into() },
        raw_rate.map_or("-".into(), |raw| format!("{:.2} of {raw:.0}", rate / raw)),
        pick(|run| run.requests as f64),
        if moves_data { format!("{:.2}", pick(|run| run.bytes_fetched as f64) / bytes) } else { "-".into() },
        per_gb(pick(|run| run.daemon_cpu)),
        per_gb(pick(|run| run.reader_cpu)),
        per_gb(pick(|run| run.emulator_cpu)),
        raw_cpu.map_or("-".into(), |cpu| format!("{cpu:.2}")),
        pick(|run| run.peak_bytes as f64) / 1e6,
    );
}
