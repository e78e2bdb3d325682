//! The program as people and mount(8) run it: the binary, a server it can reach, directories, and nothing left over.
//!
//! [`Tool`] runs the binary with an empty environment but for what a test adds, so that no configuration of the
//! machine leaks in. [`Target`] is a directory that is unmounted, and its daemon ended, when the test is over.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Options};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ossmount");

/// The end of every wait of these tests; nothing comes near it unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An emulator with a bucket `bucket` of three small objects.
pub(crate) fn server() -> Emulator {
    let server = Emulator::start(Options::default()).unwrap();
    server.create_bucket("bucket");
    server.put("bucket", "a.txt", "alpha\n");
    server.put("bucket", "dir/b.txt", "beta\n");
    server.put("bucket", "dir/deep/c.txt", "gamma\n");
    server
}

/// Runs the binary.
pub(crate) struct Tool {
    home: TempDir,
    variables: Vec<(String, String)>,
}

impl Tool {
    /// Without credentials, endpoint or any other variable but `PATH` and `HOME`.
    pub(crate) fn bare() -> Tool {
        Tool { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// With what it takes to reach an emulator.
    pub(crate) fn for_server(server: &Emulator) -> Tool {
        Tool::bare()
            .with("OSS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .with("OSS_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET)
            .with("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .with("AWS_SECRET_ACCESS_KEY", ACCESS_KEY_SECRET)
            .with("OSSMOUNT_ENDPOINT", &server.endpoint())
            .with("OSSMOUNT_REGION", "cn-hangzhou")
    }

    /// One more variable, or another value for it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Tool {
        self.variables.retain(|(held, _)| held != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home directory that the program sees.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Any program, in the environment of this tool.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.home.path()).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let mut command = self.command(BINARY);
        command.args(args);
        Ended::of(&mut command)
    }

    /// Starts the binary.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        let mut command = self.command(BINARY);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }
}

/// Copies the binary for another user to run: the build directory may be closed to others. A process of its own writes
/// the copy, since children that other tests start meanwhile would inherit the open file, which cannot be run then.
pub(crate) fn copy_binary(to: impl AsRef<Path>) {
    Ended::of(Command::new("cp").arg(BINARY).arg(to.as_ref())).ok();
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Runs a command to its end, which must come in time.
    pub(crate) fn of(command: &mut Command) -> Ended {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running(Some(child)).wait()
    }

    /// Panics unless it succeeded.
    pub(crate) fn ok(self) -> Ended {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }

    /// Panics unless it failed with this status and said one sentence that has all of these words.
    pub(crate) fn fails(self, status: i32, words: &[&str]) -> Ended {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "one sentence: {self:?}");
        assert!(self.stderr.starts_with("ossmount: "), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:?}");
        }
        self
    }

    fn from(output: Output) -> Ended {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ended { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A program that runs; it is killed when this is dropped.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// A program that was started in a way of its own.
    pub(crate) fn of(child: Child) -> Running {
        Running(Some(child))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is there until it is waited for")
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: i32) {
        send(self.child().id(), signal);
    }

    /// Waits for the end, and takes what it said.
    pub(crate) fn wait(mut self) -> Ended {
        let child = self.0.take().expect("it is there until it is waited for");
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(PATIENCE) {
            Ok(output) => Ended::from(output.unwrap()),
            Err(_) => {
                send(pid, libc::SIGKILL);
                panic!("it did not end: {:?}", receiver.recv())
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn send(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, signal) };
}

/// An empty directory to mount on.
pub(crate) struct Target {
    folder: TempDir,
    dir: PathBuf,
}

impl Target {
    pub(crate) fn new() -> Target {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().canonicalize().unwrap().join("mnt");
        fs::create_dir(&dir).unwrap();
        Target { folder, dir }
    }

    pub(crate) fn dir(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    /// A path below the mount.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// A path beside the mount.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Mounts in the background, with a pid file so that the daemon can be found.
    pub(crate) fn mount(&self, tool: &Tool, url: &str, args: &[&str]) -> Ended {
        let pid_file = self.pid_file();
        let mut all = vec!["mount", url, self.dir(), "--pid-file", pid_file.to_str().unwrap()];
        all.extend(args);
        tool.run(&all)
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.beside("pid")
    }

    /// The daemon's process id, while its pid file is there.
    pub(crate) fn daemon(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()
    }

    /// Whether something of ours is mounted here.
    pub(crate) fn is_mounted(&self) -> bool {
        ossmount::fuse::mounts().unwrap().iter().any(|mount| mount.dir == self.dir)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let daemon = self.daemon();
        let _ = Command::new("umount").arg("-l").arg(&self.dir).stderr(Stdio::null()).status();
        let Some(pid) = daemon else { return };
        let deadline = Instant::now() + Duration::from_secs(2);
        while runs(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if runs(pid) {
            send(pid, libc::SIGKILL);
        }
    }
}

/// Sends a process this signal, which must be there.
pub(crate) fn kill(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

/// Whether a process of this number runs the binary.
pub(crate) fn runs(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    name.trim() == "ossmount" && !state.contains(") Z ")
}

/// A number that is given by hand, in a variable, for a longer run; else this one.
pub(crate) fn by_hand<T: FromStr<Err: Debug>>(variable: &str, number: T) -> T {
    std::env::var(variable).map_or(number, |given| given.parse().unwrap())
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
