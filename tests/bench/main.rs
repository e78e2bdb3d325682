//! The benchmarks: starts a shaped emulator, mounts it afresh for every run, and prints a table.
//!
//! `cargo bench --bench mount` runs all workloads, `cargo bench --bench mount -- seq mmap` those whose names contain a
//! word, `--runs N` sets the runs per workload (3), `--list` names them. Absolute figures depend on the machine; the
//! ratio to the raw reader, taken in the same run, is what compares. Options of the mount are set by environment:
//! `OSSMOUNT_DIRECT_IO=off cargo bench --bench mount -- blocks`.

mod bed;
mod daemon;
mod emulator;
mod raw;
mod workloads;

use std::process::ExitCode;

use bed::{Bed, Figures};
use emulator::median;
use workloads::{WORKLOADS, Workload};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.iter().any(|word| word == "--list") {
        WORKLOADS.iter().for_each(|workload| println!("{:<18} {}", workload.name, workload.about));
        return ExitCode::SUCCESS;
    }
    let mut runs = 3;
    if let Some(at) = words.iter().position(|word| word == "--runs") {
        runs = words.get(at + 1).and_then(|n| n.parse().ok()).expect("--runs takes a number");
        words.drain(at..at + 2);
    }
    let chosen: Vec<&Workload> = WORKLOADS
        .iter()
        .filter(|workload| words.is_empty() || words.iter().any(|word| workload.name.contains(word.as_str())))
        .collect();
    match bench(&chosen, runs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(chosen: &[&Workload], runs: usize) -> Result<(), Box<dyn std::error::Error>> {
    let bed = Bed::start()?;
    println!("{}", bed.description());
    println!("{runs} runs each, medians; every run on a fresh mount.\n");
    println!(
        "| workload | figure | MB/s | of raw | requests | fetched/asked | CPU s/GB: daemon | reader | emulator | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for workload in chosen {
        let mut raw_rates = Vec::new();
        let mut all = Vec::new();
        for _ in 0..runs {
            if workload.compares_to_raw {
                raw_rates.push(raw::rate(&bed, 32)?);
            }
            all.push(bed.measure(workload)?);
        }
        print_row(workload, &all, median(raw_rates));
    }
    Ok(())
}

fn print_row(workload: &Workload, all: &[Figures], raw: Option<f64>) {
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
        "| {} | {headline} | {} | {} | {:.0} | {} | {} | {} | {} | {:.0} |",
        workload.name,
        if moves_data { format!("{rate:.0}") } else { "-".into() },
        raw.map_or("-".into(), |raw| format!("{:.2} of {raw:.0}", rate / raw)),
        pick(|run| run.requests as f64),
        if moves_data { format!("{:.2}", pick(|run| run.bytes_fetched as f64) / bytes) } else { "-".into() },
        per_gb(pick(|run| run.daemon_cpu)),
        per_gb(pick(|run| run.reader_cpu)),
        per_gb(pick(|run| run.emulator_cpu)),
        pick(|run| run.peak_bytes as f64) / 1e6,
    );
}
