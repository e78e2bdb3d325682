//! The emulator that benchmarks run on, a process of its own, and the figures read of it and of other processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

pub(crate) type Error = Box<dyn std::error::Error>;

/// The binary that is measured.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ossmount");

/// The emulator; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it on a port of its own with these arguments.
    pub(crate) fn start(args: &[String]) -> Result<Server, Error> {
        let mut child = Command::new(PROGRAM)
            .args(["emulator", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("the emulator has no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit("http://").next().unwrap_or_default().parse();
        let address = address.map_err(|error| format!("the emulator said {line:?}: {error}"))?;
        Ok(Server { child, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its user and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64, Error> {
        process_cpu(self.child.id())
    }

    /// Counts from zero again.
    pub(crate) fn reset_counters(&self) -> Result<(), Error> {
        self.control("POST", "/-/counters/reset").map(drop)
    }

    /// What it has counted.
    pub(crate) fn counters(&self) -> Result<Counters, Error> {
        Ok(Counters(serde_json::from_str(&self.control("GET", "/-/counters")?)?))
    }

    fn control(&self, method: &str, path: &str) -> Result<String, Error> {
        let mut socket = TcpStream::connect(self.address)?;
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer from the emulator")?;
        if !head.starts_with("HTTP/1.1 2") {
            return Err(format!("{method} {path} was answered {head}").into());
        }
        Ok(body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is this program's own child; both calls fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the emulator saw of a run.
pub(crate) struct Counters(serde_json::Value);

impl Counters {
    /// Requests of all kinds.
    pub(crate) fn requests(&self) -> Result<u64, Error> {
        let requests = self.0["requests"].as_object().ok_or("the emulator counts no requests")?;
        Ok(requests.values().filter_map(serde_json::Value::as_u64).sum())
    }

    /// Any other counter, by its name.
    pub(crate) fn of(&self, name: &str) -> Result<u64, Error> {
        self.0[name].as_u64().ok_or_else(|| format!("the emulator counts no {name}").into())
    }
}

/// User and system time of a process so far, in seconds.
pub(crate) fn process_cpu(pid: u32) -> Result<f64, Error> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A task may end between the listing and the reading; its time is then lost, which is a few milliseconds.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        total += stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total as f64 / 1e9)
}

/// How many cores, and which kernel.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpus} cores, kernel {}", kernel.trim())
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
