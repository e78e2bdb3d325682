//! The clients that list: `ossmount ls -r` at its usual concurrency and one page after the other, the library alone, and the
//! FastList of `osstorchconnector`. Each run is a new process; its processor time and memory are those that the kernel
//! tells at its end.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};

use crate::emulator::{Error, PROGRAM, Server};
use crate::{CONCURRENCY, Figures, Row, library};

/// A client that lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Client {
    Ls,
    Library,
    Sequential,
    Connector,
}

/// Every client, in the order of the rows.
pub(crate) const CLIENTS: [Client; 4] = [Client::Ls, Client::Library, Client::Sequential, Client::Connector];

/// More than this the sequential client is not given: it takes a page time for each page.
const MOST_SEQUENTIAL: u64 = 100_000;
/// The connector sends its requests to buckets as virtual hosts of this name.
const DOMAIN: &str = "oss-emulator.test";

impl Client {
    /// The name in rows, and for `--clients`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Ls => "ls",
            Client::Library => "library",
            Client::Sequential => "sequential",
            Client::Connector => "connector",
        }
    }

    /// The client of a name.
    pub(crate) fn named(name: &str) -> Result<Client, Error> {
        let found = CLIENTS.into_iter().find(|client| client.name() == name);
        found.ok_or_else(|| format!("{name:?} is no client; they are ls, library, sequential, connector").into())
    }
}

/// The emulator, and what clients need beside it.
pub(crate) struct Session {
    server: Server,
    folder: tempfile::TempDir,
    connector: Option<Connector>,
}

impl Session {
    pub(crate) fn new(server: Server) -> Result<Session, Error> {
        let folder = tempfile::tempdir()?;
        let keys = serde_json::json!({ "AccessKeyId": ACCESS_KEY_ID, "AccessKeySecret": ACCESS_KEY_SECRET });
        std::fs::write(folder.path().join("credentials.json"), keys.to_string())?;
        let configuration = serde_json::json!({
            "logLevel": 3,
            "logPath": folder.path().join("connector.log"),
            "datasetConfig": { "enableFastList": true, "listConcurrency": CONCURRENCY },
        });
        std::fs::write(folder.path().join("configuration.json"), configuration.to_string())?;
        Ok(Session { server, folder, connector: Connector::find() })
    }

    /// What the clients are.
    pub(crate) fn description(&self) -> String {
        let connector = match &self.connector {
            Some(Connector { python, version }) => format!(
                "connector: the compiled core of osstorchconnector {version} in {}, enableFastList, listConcurrency {CONCURRENCY}, \
                 listWorker as it comes (1); timed from its list() call on, its CPU with the start of Python",
                python.display()
            ),
            None => {
                "connector: LEFT OUT, there is no osstorchconnector in .venv; tests/run makes it, or name a Python \
                     that has it in OSSMOUNT_BENCH_PYTHON"
                    .to_owned()
            }
        };
        format!(
            "ls: `ossmount ls -r` into /dev/null, {CONCURRENCY} requests in flight at most, timed with its start. \
             library: the page stream alone, timed from its first poll. sequential: as ls, with one request in \
             flight.\n{connector}."
        )
    }

    /// Whether a client is there and up to a bucket.
    pub(crate) fn can(&self, client: Client, row: &Row) -> bool {
        match client {
            Client::Ls | Client::Library => true,
            Client::Sequential => row.keys <= MOST_SEQUENTIAL,
            Client::Connector => self.connector.is_some(),
        }
    }

    /// Lists a bucket once.
    pub(crate) fn run(&self, client: Client, row: &Row) -> Result<Figures, Error> {
        let mut command = match client {
            Client::Ls => self.ls(row, CONCURRENCY),
            Client::Sequential => self.ls(row, 1),
            Client::Library => self.library(row)?,
            Client::Connector => self.connector(row)?,
        };
        self.server.reset_counters()?;
        let emulator_cpu = self.server.cpu()?;
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).spawn()?;
        let ended = Ended::of(child)?;
        let mut seconds = started.elapsed().as_secs_f64();
        if !ended.status.success() {
            return Err(format!("it ended with {}", ended.status).into());
        }
        if matches!(client, Client::Library | Client::Connector) {
            seconds = self.told(row)?;
        }
        let counters = self.server.counters()?;
        Ok(Figures {
            seconds,
            requests: counters.requests()?,
            body_bytes: counters.of("body_bytes")?,
            peak_in_flight: counters.of("peak_concurrency")?,
            client_cpu: ended.cpu,
            emulator_cpu: self.server.cpu()? - emulator_cpu,
            peak_bytes: ended.peak_bytes,
        })
    }

    fn ls(&self, row: &Row, concurrency: usize) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(["ls", "-r", &format!("oss://{}", row.name), "--region", "cn-hangzhou"])
            .args(["--endpoint", &format!("http://{}", self.server.address())])
            .args(["--list-concurrency", &concurrency.to_string()])
            .env("OSS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("OSS_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET)
            .stdout(Stdio::null());
        command
    }

    /// This very program, as the library's user.
    fn library(&self, row: &Row) -> Result<Command, Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([library::WORD, &format!("http://{}", self.server.address()), &row.name])
            .stdout(std::fs::File::create(self.answer())?);
        Ok(command)
    }

    /// The connector wants names: a copy of /etc/hosts with them is mounted over the real one in a mount namespace of
    /// its own, so the machine's file stays as it is.
    fn connector(&self, row: &Row) -> Result<Command, Error> {
        let Connector { python, .. } = self.connector.as_ref().ok_or("there is no connector")?;
        let hosts = std::fs::read_to_string("/etc/hosts")?;
        let names = format!("127.0.0.1 {DOMAIN}\n127.0.0.1 {}.{DOMAIN}\n", row.name);
        std::fs::write(self.folder.path().join("hosts"), hosts + &names)?;
        let mut command = Command::new("unshare");
        // SAFETY: the call takes nothing and changes nothing.
        if unsafe { libc::geteuid() } != 0 {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--mount", "--propagation", "private"])
            .args(["sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
            .arg(self.folder.path().join("hosts"))
            .arg(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/list/connector.py"))
            .arg(format!("http://{DOMAIN}:{}", self.server.address().port()))
            .args(["cn-hangzhou", &row.name])
            .arg(self.folder.path().join("credentials.json"))
            .arg(self.folder.path().join("configuration.json"))
            .stdout(std::fs::File::create(self.answer())?)
            // It logs there before it has read where to.
            .stderr(Stdio::null());
        Ok(command)
    }

    fn answer(&self) -> PathBuf {
        self.folder.path().join("answer")
    }

    /// The seconds that a client tells on its last line, if it has seen every key.
    fn told(&self, row: &Row) -> Result<f64, Error> {
        let text = std::fs::read_to_string(self.answer())?;
        let told: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
        if told["entries"] != row.keys {
            return Err(format!("it saw {} entries of {}", told["entries"], row.keys).into());
        }
        told["seconds"].as_f64().ok_or_else(|| format!("it told no time: {told}").into())
    }
}

/// A Python that has the connector.
struct Connector {
    python: PathBuf,
    version: String,
}

impl Connector {
    fn find() -> Option<Connector> {
        let python = match std::env::var_os("OSSMOUNT_BENCH_PYTHON") {
            Some(python) => PathBuf::from(python),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"),
        };
        let asks = "import importlib.metadata; print(importlib.metadata.version('osstorchconnector'))";
        let told = Command::new(&python).args(["-c", asks]).output().ok().filter(|told| told.status.success())?;
        Some(Connector { python, version: String::from_utf8_lossy(&told.stdout).trim().to_owned() })
    }
}

/// How a process ended, and what it took.
struct Ended {
    status: ExitStatus,
    cpu: f64,
    peak_bytes: u64,
}

impl Ended {
    fn of(child: Child) -> Result<Ended, Error> {
        let mut status = 0;
        // SAFETY: all bytes zero is a valid value of this plain structure.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the process is a child that was not waited for yet, and both places are ours to write to.
        if unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) } < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Ok(Ended {
            status: ExitStatus::from_raw(status),
            cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_bytes: usage.ru_maxrss as u64 * 1024,
        })
    }
}
