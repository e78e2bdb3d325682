//! Listings: every generator with 100,000 and 1,000,000 keys on an emulator that takes 50 ms a page, by several
//! clients beside each other, each a process of its own.
//!
//! `cargo bench --bench list` runs all of them; words choose rows whose names contain one (`-- hot-1m flat`), `--clients
//! ls,library,sequential,connector` the clients, `--runs N` the runs (3), `--list` names the rows. Absolute times depend
//! on the machine; how many times longer than `ls` another client takes in the same run is what compares.
//! `osstorchconnector` is taken from `.venv`, which `tests/run` makes, or from the Python that `OSSMOUNT_BENCH_PYTHON`
//! names.

mod clients;
#[path = "../emulator.rs"]
mod emulator;
mod library;

use std::process::ExitCode;

use clients::{CLIENTS, Client, Session};
use emulator::{Error, Server, machine, median};

const KINDS: [&str; 9] = ["flat", "nested", "hex", "uuid", "hot", "dates", "single", "utf8", "mixed"];
const COUNTS: [(&str, u64); 2] = [("100k", 100_000), ("1m", 1_000_000)];
/// Entries on a page.
const PAGE: u64 = 1000;
/// Requests in flight at most, for every client but the sequential one.
const CONCURRENCY: usize = 64;

/// One bucket.
struct Row {
    name: String,
    kind: &'static str,
    keys: u64,
}

/// The figures of one run.
struct Figures {
    seconds: f64,
    requests: u64,
    body_bytes: u64,
    peak_in_flight: u64,
    client_cpu: f64,
    emulator_cpu: f64,
    peak_bytes: u64,
}

struct Chosen {
    words: Vec<String>,
    clients: Vec<Client>,
    runs: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let done = match args.split_first() {
        Some((first, rest)) if first == library::WORD => library::run(rest),
        Some((first, _)) if first == "--list" => {
            rows().iter().for_each(|row| println!("{}", row.name));
            Ok(())
        }
        _ => chosen(args).and_then(|chosen| bench(&chosen)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rows() -> Vec<Row> {
    let row = |kind: &'static str, (count, keys): (&str, u64)| Row { name: format!("{kind}-{count}"), kind, keys };
    COUNTS.iter().flat_map(|count| KINDS.map(|kind| row(kind, *count))).collect()
}

fn chosen(args: Vec<String>) -> Result<Chosen, Error> {
    let mut chosen = Chosen { words: Vec::new(), clients: CLIENTS.to_vec(), runs: 3 };
    let mut args = args.into_iter();
    while let Some(word) = args.next() {
        match word.as_str() {
            "--runs" => chosen.runs = args.next().unwrap_or_default().parse().map_err(|_| "--runs takes a number")?,
            "--clients" => {
                let names = args.next().unwrap_or_default();
                chosen.clients = names.split(',').map(Client::named).collect::<Result<_, _>>()?;
            }
            _ => chosen.words.push(word),
        }
    }
    Ok(chosen)
}

fn bench(chosen: &Chosen) -> Result<(), Error> {
    let mut rows = rows();
    rows.retain(|row| chosen.words.is_empty() || chosen.words.iter().any(|word| row.name.contains(word.as_str())));
    let mut args = vec!["--page-time".to_owned(), "50ms".to_owned()];
    for row in &rows {
        args.extend(["--generate".to_owned(), format!("{}={}:{}", row.name, row.kind, row.keys)]);
    }
    let session = Session::new(Server::start(&args)?)?;
    println!("Emulator on loopback, 50 ms a page of {PAGE} keys, signed requests. {}.", machine());
    println!("{}", session.description());
    println!("{} runs each, medians; every run in a process of its own.\n", chosen.runs);
    println!(
        "| bucket | client | time s | of `ls` | requests | of pages | in flight | MB | client CPU s | emulator CPU s | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for row in &rows {
        measure(&session, row, chosen)?;
    }
    Ok(())
}

/// All clients on one bucket, by turns, so that what else the machine does falls on all alike.
fn measure(session: &Session, row: &Row, chosen: &Chosen) -> Result<(), Error> {
    let clients: Vec<Client> = chosen.clients.iter().copied().filter(|client| session.can(*client, row)).collect();
    let mut all: Vec<Vec<Figures>> = clients.iter().map(|_| Vec::new()).collect();
    for _ in 0..chosen.runs {
        for (client, figures) in clients.iter().zip(&mut all) {
            let run =
                session.run(*client, row).map_err(|error| format!("{} by {}: {error}", row.name, client.name()))?;
            figures.push(run);
        }
    }
    let of_ls = clients.iter().position(|client| *client == Client::Ls).map(|at| pick(&all[at], |run| run.seconds));
    for (client, figures) in clients.iter().zip(&all) {
        print_row(row, *client, figures, of_ls);
    }
    Ok(())
}

fn pick(runs: &[Figures], figure: fn(&Figures) -> f64) -> f64 {
    median(runs.iter().map(figure).collect()).unwrap_or(0.0)
}

fn print_row(row: &Row, client: Client, runs: &[Figures], of_ls: Option<f64>) {
    let seconds = pick(runs, |run| run.seconds);
    let requests = pick(runs, |run| run.requests as f64);
    println!(
        "| {} | {} | {seconds:.2} | {} | {requests:.0} | {:.2} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} |",
        row.name,
        client.name(),
        of_ls.map_or("-".to_owned(), |ls| format!("{:.1}", seconds / ls)),
        requests / row.keys.div_ceil(PAGE) as f64,
        pick(runs, |run| run.peak_in_flight as f64),
        pick(runs, |run| run.body_bytes as f64) / 1e6,
        pick(runs, |run| run.client_cpu),
        pick(runs, |run| run.emulator_cpu),
        pick(runs, |run| run.peak_bytes as f64) / 1e6,
    );
}
