//! A sweep: one tuned number takes several values, in turns, and each value gets a row with its median and its spread.
//!
//! The values take turns run by run, so that a machine whose speed changes within minutes changes it for all of them.

use crate::bed::{Bed, Figures};
use crate::emulator::{Error, median};
use crate::workloads::{Headline, Workload};

/// A tuned number, and the values that are compared.
pub(crate) struct Sweep {
    /// As `--tune` takes it: `read.head_growth`.
    name: String,
    values: Vec<u64>,
}

impl Sweep {
    /// Reads `ROOM.NAME=VALUE,VALUE,…`.
    pub(crate) fn parse(text: &str) -> Result<Sweep, Error> {
        let (name, values) = text.split_once('=').ok_or("--sweep takes ROOM.NAME=VALUE,VALUE,…")?;
        let value = |word: &str| word.trim().parse().map_err(|_| format!("--sweep: {word} is not a whole number"));
        Ok(Sweep { name: name.to_owned(), values: values.split(',').map(value).collect::<Result<_, _>>()? })
    }

    /// Runs the workloads `runs` times with each value, and prints a table.
    pub(crate) fn run(&self, bed: &Bed, chosen: &[&Workload], runs: usize) -> Result<(), Error> {
        println!("{runs} runs of each value, in turns; every run on a fresh mount. The spread is least to most.\n");
        println!("| workload | {} | median | spread | fetched/asked | requests | peak MB |", self.name);
        println!("|---|---|---|---|---|---|---|");
        for workload in chosen {
            let mut figures: Vec<Vec<Figures>> = self.values.iter().map(|_| Vec::new()).collect();
            for _ in 0..runs {
                for (value, of_value) in self.values.iter().zip(&mut figures) {
                    of_value.push(bed.measure(workload, Some(&format!("{}={value}", self.name)))?);
                }
            }
            for (value, of_value) in self.values.iter().zip(&figures) {
                print_row(workload, *value, of_value);
            }
        }
        Ok(())
    }
}

fn print_row(workload: &Workload, value: u64, all: &[Figures]) {
    let (unit, decimals, figure): (_, _, fn(&Figures) -> f64) = match workload.headline {
        Headline::Seconds => ("s", 3, |run| run.seconds),
        Headline::LatencyP50 => ("ms (p50)", 1, |run| run.p50_ms),
    };
    let pick = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect()).unwrap_or(0.0);
    let least = all.iter().map(figure).fold(f64::INFINITY, f64::min);
    let most = all.iter().map(figure).fold(0.0, f64::max);
    let asked = pick(|run| run.bytes_asked as f64);
    // Workloads that are about names, or about single bytes, move no data worth a ratio.
    let ratio =
        if asked >= 1e5 { format!("{:.2}", pick(|run| run.bytes_fetched as f64) / asked) } else { "-".to_owned() };
    println!(
        "| {} | {value} | {:.decimals$} {unit} | {least:.decimals$} to {most:.decimals$} | {ratio} | {:.0} | {:.0} |",
        workload.name,
        pick(figure),
        pick(|run| run.requests as f64),
        pick(|run| run.peak_bytes as f64) / 1e6,
    );
}
