//! Programs that wait for a store that does not answer, and are told to end: they do, and what they waited for is given
//! up.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ossmount::base::Key;
use ossmount::fs::{DirectIo, Ttl};
use ossmount::store::memory::MemoryStore;
use ossmount::store::{
    GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Result, Store, Tags, VersionPage,
    VersionsRequest,
};
use tokio::sync::watch;

use crate::support::bed::{Bed, Recipe};

/// Far more than the second that it may take, and far less than the store stays silent.
const SOON: Duration = Duration::from_secs(20);

/// A store in memory that can fall silent: then no request is answered.
#[derive(Debug)]
struct Silence {
    inner: MemoryStore,
    is_silent: watch::Sender<bool>,
    /// What is asked and not answered.
    waiting: Mutex<Vec<String>>,
}

/// A request that waits for its answer.
struct Waiting<'a>(&'a Silence, String);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock().unwrap();
        let at = waiting.iter().position(|what| *what == self.1);
        at.map(|at| waiting.swap_remove(at));
    }
}

impl Silence {
    async fn pass(&self, what: String) {
        let mut is_silent = self.is_silent.subscribe();
        if *is_silent.borrow_and_update() {
            self.waiting.lock().unwrap().push(what.clone());
            let _waiting = Waiting(self, what);
            let _ = is_silent.wait_for(|is_silent| !is_silent).await;
        }
    }

    fn waiting(&self) -> Vec<String> {
        self.waiting.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Silence {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.pass(format!("GET {} {:?}", request.key.as_str(), request.range)).await;
        self.inner.get(request).await
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.pass(format!("HEAD {}", request.key.as_str())).await;
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.pass(format!("LIST {}", request.prefix)).await;
        self.inner.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.pass(format!("SYMLINK {}", key.as_str())).await;
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.pass(format!("TAGS {}", key.as_str())).await;
        self.inner.tags(key, version).await
    }
}

/// A mount whose root is known, and whose store has fallen silent since.
struct Bench {
    store: Arc<Silence>,
    bed: Bed,
}

const SIZE: usize = 4 << 20;

fn bench(direct_io: DirectIo) -> Bench {
    let inner = MemoryStore::new();
    inner.put("file", vec![7; SIZE]);
    inner.put("directory/file", "content");
    let store = Arc::new(Silence { inner, is_silent: watch::Sender::new(false), waiting: Mutex::default() });
    let mut recipe = Recipe::default();
    recipe.fs.direct_io = direct_io;
    // Nothing is listed again in the background.
    recipe.fs.metadata_ttl = Ttl::For(Duration::from_secs(3600));
    let bed = recipe.make(store.clone());
    assert_eq!(fs::read_dir(bed.root()).unwrap().count(), 2);
    fs::metadata(bed.path("file")).unwrap();
    store.is_silent.send_replace(true);
    Bench { store, bed }
}

impl Bench {
    /// Starts a program and returns once the store is waited for. `@` in its arguments stands for the root of the mount.
    fn wait_in(&self, program: &str, args: &[&str]) -> Child {
        let root = self.bed.root().to_str().unwrap();
        let mut command = Command::new(program);
        command.args(args.iter().map(|arg| arg.replace('@', root))).env("LC_ALL", "C");
        // SAFETY: signal(2) may be called between fork and exec. A shell that runs the tests in the background has the
        // first of these ignored, and passes that on.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Seen where the test fails.
        println!("{program} {args:?}");
        let begun = Instant::now();
        while self.store.waiting().is_empty() || !is_in_kernel(&child) {
            assert_eq!(child.try_wait().unwrap(), None, "{program} {args:?} ends instead of waiting");
            assert!(begun.elapsed() < SOON, "{program} {args:?} does not wait");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    /// Sends a signal to a program that waits, which must end soon, and with it all that the store is asked.
    fn ends_by(&self, signal: i32, mut child: Child) -> ExitStatus {
        // SAFETY: the child was not waited for, so that its number is its own.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let status = self.soon(|| child.try_wait().unwrap()).expect("the program ends while the store is silent");
        let waiting = || Some(self.store.waiting()).filter(Vec::is_empty);
        self.soon(waiting).expect("no request that is not waited for goes on");
        status
    }

    /// What `look` brings, if it does soon. Else the store speaks again, so that everything ends.
    fn soon<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        while begun.elapsed() < SOON {
            if let Some(found) = look() {
                return Some(found);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        println!("not answered: {:?}", self.store.waiting());
        self.store.is_silent.send_replace(false);
        None
    }

    fn is_killed_in(&self, program: &str, args: &[&str]) {
        let child = self.wait_in(program, args);
        let status = self.ends_by(libc::SIGKILL, child);
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{program} {args:?}");
    }
}

/// Whether a program waits in the kernel, and not for its processor.
fn is_in_kernel(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['D', 'S']))
}

/// Runs a line of Python, which has the calls that no program makes.
const PYTHON: &str = "python3";

#[test]
fn readers_that_wait_are_killed_at_once() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bench = bench(direct_io);
        bench.is_killed_in("cat", &["@/file"]);
        // Waits in open, where the store is asked whether the object is the same.
        bench.is_killed_in("dd", &["if=@/file", "iflag=direct", "bs=1M", "of=/dev/null"]);
        let direct = "import fcntl, mmap, os; fd = os.open('@/file', 0); fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT); \
                      os.preadv(fd, [mmap.mmap(-1, 1 << 20)], 0)";
        bench.is_killed_in(PYTHON, &["-Ic", direct]);
        bench.is_killed_in(PYTHON, &["-Ic", "import os; os.sendfile(1, os.open('@/file', 0), 0, 1 << 20)"]);
        let map = "import mmap, os; print(mmap.mmap(os.open('@/file', 0), 0, prot=mmap.PROT_READ)[1 << 20])";
        bench.is_killed_in(PYTHON, &["-Ic", map]);
    }
}

#[test]
fn programs_of_a_pid_namespace_below_the_daemons_are_killed_at_once() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bench = bench(direct_io);
        for args in [&["cat", "@/file"][..], &["stat", "@/directory/file"], &["ls", "@/directory"]] {
            // As containers have it: the program is the first process of its namespace, and unshare ends with it.
            let mut all = vec!["--pid", "--fork", "--mount-proc"];
            all.extend(args);
            let mut unshare = bench.wait_in("unshare", &all);
            let number = unshare.id();
            let children = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap();
            let program: i32 = children.trim().parse().unwrap();
            // SAFETY: unshare has not waited for the program, so that its number is its own.
            assert_eq!(unsafe { libc::kill(program, libc::SIGKILL) }, 0);
            bench.soon(|| unshare.try_wait().unwrap()).expect("the program ends while the store is silent");
            let waiting = || Some(bench.store.waiting()).filter(Vec::is_empty);
            bench.soon(waiting).expect("no request that is not waited for goes on");
        }
    }
}

#[test]
fn look_ups_and_listings_that_wait_are_killed_at_once() {
    let bench = bench(DirectIo::Off);
    bench.is_killed_in("stat", &["@/directory/file"]);
    bench.is_killed_in("stat", &["@/directory/below/file"]);
    bench.is_killed_in("ls", &["@/directory"]);
    bench.is_killed_in("ls", &["-l", "@/directory"]);
    bench.is_killed_in(PYTHON, &["-Ic", "import os; os.getxattr('@/file', 'user.oss.crc64')"]);
}

#[test]
fn requests_to_the_daemon_that_wait_are_killed_at_once() {
    let bench = bench(DirectIo::Off);
    let request = format!(
        "import fcntl, os; fcntl.ioctl(os.open('@/file', 0), {}, \
         bytearray(b'{{\"op\": \"stat\", \"path\": \"directory/file\"}}'.ljust({}, b'\\0')))",
        ossmount::fuse::IOCTL,
        ossmount::fuse::IOCTL_BYTES
    );
    bench.is_killed_in(PYTHON, &["-Ic", &request]);
}

#[test]
fn programs_that_wait_are_told_to_end_by_other_signals() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bench = bench(direct_io);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            for (program, args) in [("dd", &["if=@/file", "bs=1M"]), ("ls", &["-l", "@/directory"])] {
                let child = bench.wait_in(program, args);
                bench.ends_by(signal, child);
            }
        }
    }
}

/// What a Python program says of how a call ended that was interrupted.
fn interrupted(bench: &Bench, before: &str, call: &str, signal: i32) -> String {
    let out = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "import os, signal, sys\n{before}\nout = open('{}', 'w')\nfd = os.open('@/file', 0)\n\
         try:\n    {call}\n    out.write('done')\nexcept BaseException as error:\n    \
         out.write(type(error).__name__)\n    sys.exit(0)\n",
        out.path().display()
    );
    let child = bench.wait_in(PYTHON, &["-Ic", &text]);
    assert!(bench.ends_by(signal, child).success());
    fs::read_to_string(out.path()).unwrap()
}

#[test]
fn a_program_that_handles_the_signal_goes_on_with_eintr() {
    for direct_io in [DirectIo::Off, DirectIo::On] {
        let bench = bench(direct_io);
        for call in ["os.pread(fd, 1 << 20, 0)", "os.stat('@/directory/file')", "os.listdir('@/directory')"] {
            assert_eq!(interrupted(&bench, "", call, libc::SIGINT), "KeyboardInterrupt", "{call}");
        }
        let handler = "def end(*_): raise EOFError\nsignal.signal(signal.SIGTERM, end)";
        assert_eq!(interrupted(&bench, handler, "os.pread(fd, 1 << 20, 0)", libc::SIGTERM), "EOFError");
    }
}

#[test]
fn signals_that_a_program_blocks_or_lives_with_do_not_disturb_it() {
    let bench = bench(DirectIo::On);
    let text = "import os, signal\n\
                signal.signal(signal.SIGINT, signal.SIG_IGN)\n\
                signal.signal(signal.SIGALRM, lambda *_: None)\n\
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n\
                assert len(os.pread(os.open('@/file', 0), 1 << 20, 0)) == 1 << 20\n\
                os._exit(7)\n";
    let mut child = bench.wait_in(PYTHON, &["-Ic", text]);
    for signal in [libc::SIGINT, libc::SIGALRM, libc::SIGTERM, libc::SIGURG, libc::SIGCHLD] {
        // SAFETY: the child was not waited for, so that its number is its own.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    }
    // Longer than a wait goes on unwatched.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None);
    assert!(!bench.store.waiting().is_empty());
    bench.store.is_silent.send_replace(false);
    assert_eq!(bench.soon(|| child.try_wait().unwrap()).unwrap().code(), Some(7));
}

#[test]
fn what_another_program_waits_for_goes_on() {
    let bench = bench(DirectIo::On);
    let mut other = bench.wait_in("cmp", &["-n", "65536", "@/file", "/dev/zero"]);
    let child = bench.wait_in("cat", &["@/file"]);
    // SAFETY: the child was not waited for, so that its number is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGKILL) }, 0);
    let mut child = child;
    bench.soon(|| child.try_wait().unwrap()).expect("the killed one ends");
    assert_eq!(other.try_wait().unwrap(), None);
    assert!(!bench.store.waiting().is_empty(), "its bytes are still asked for");
    bench.store.is_silent.send_replace(false);
    // It has read the file, and found it to differ.
    assert_eq!(bench.soon(|| other.try_wait().unwrap()).unwrap().code(), Some(1));
    assert_eq!(fs::read(bench.bed.path("file")).unwrap().len(), SIZE);
}

#[test]
fn names_that_were_given_up_are_found_later() {
    let bench = bench(DirectIo::Off);
    bench.is_killed_in("ls", &["@/directory"]);
    bench.is_killed_in("stat", &["@/directory/file"]);
    bench.store.is_silent.send_replace(false);
    assert_eq!(fs::read(bench.bed.path("directory/file")).unwrap(), b"content");
    assert_eq!(names(&bench.bed.path("directory")), ["file"]);
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
