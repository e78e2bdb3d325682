//! Credentials printed by a program.
//!
//! What the shell starts is a process group of its own, which is killed whole when the program is given up, and when
//! this process ends: a program that hangs leaves nothing behind. A process that is killed can do nothing any more, so
//! that a second shell watches beside each program: it reads from a pipe that ends with this process. The program waits
//! until that shell is there.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdin, Command};
use zeroize::Zeroizing;

use super::refresh::Origin;
use super::web::refused;
use super::{Credentials, answer};
use crate::store::Result;

const PATIENCE: Duration = Duration::from_secs(60);
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// What the second shell does: it is told a line when the program is over, and else kills the group.
const WATCH: &str = "read -r over || kill -s KILL -- \"-$1\"";

/// What stands before the program: it is told a line when it may begin, and ends where this process has ended before.
const GATE: &str = "read -r begin && exec /bin/sh -c \"$1\" </dev/null";

/// A program that prints an access key as JSON.
#[derive(Debug)]
pub(super) struct Program {
    /// A line for the shell.
    pub(super) command: String,
}

impl Program {
    /// How errors call it: by its first word, since others may be secret.
    fn name(&self) -> String {
        format!("the program of credentials-process ({})", self.command.split_whitespace().next().unwrap_or_default())
    }

    async fn output(&self) -> Result<Zeroizing<String>> {
        let name = self.name();
        // What it says of failures goes where ours goes.
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "ossmount", &self.command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(format!("/bin/sh could not be started for credentials-process: {error}")))?;
        let group = child.id().map(Group::new);
        if let Some(gate) = child.stdin.take() {
            tell(gate, b"begin\n");
        }
        let mut text = Zeroizing::new(String::new());
        if let Some(out) = child.stdout.take() {
            let read = out.take(MAX_OUTPUT_BYTES + 1).read_to_string(&mut text).await;
            let read = read.map_err(|_| refused(format!("the output of {name} is not UTF-8")))?;
            if read as u64 > MAX_OUTPUT_BYTES {
                return Err(refused(format!("the output of {name} is far larger than an access key")));
            }
        }
        let status = child.wait().await;
        if let Some(group) = group {
            group.has_ended();
        }
        match status {
            Ok(status) if status.success() => Ok(text),
            Ok(status) => Err(refused(format!("{name} failed ({status}); run it by hand"))),
            Err(error) => Err(refused(format!("{name} was lost: {error}"))),
        }
    }
}

#[async_trait]
impl Origin for Program {
    async fn fetch(&self) -> Result<Credentials> {
        let late = |_| {
            let seconds = PATIENCE.as_secs();
            refused(format!("{} did not end within {seconds} s and was killed; run it by hand", self.name()))
        };
        let text = tokio::time::timeout(PATIENCE, self.output()).await.map_err(late)??;
        answer::parse(&text).map_err(|what| refused(format!("the output of {} {what}", self.name())))
    }
}

/// Groups of programs that run.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The process group of a program that runs. Dropping it kills all of it.
struct Group {
    leader: Pid,
    /// The pipe to the shell that watches, if one could be started.
    watched: Option<ChildStdin>,
}

impl Group {
    /// The group that this process leads.
    fn new(leader: u32) -> Group {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| {
            // SAFETY: the function may be called at any time and does not unwind.
            let registered = unsafe { libc::atexit(kill_all) };
            // There is room for 32 at least, and no other use of it here.
            debug_assert_eq!(registered, 0);
        });
        let group = Group { leader: Pid::from_raw(leader as i32), watched: watched(leader) };
        GROUPS.lock().push(group.leader);
        group
    }

    /// Its leader has been waited for: its number may become another's.
    fn has_ended(mut self) {
        self.is_over();
        std::mem::forget(self);
    }

    /// Nobody kills it any more, whose number may become another's.
    fn is_over(&mut self) {
        GROUPS.lock().retain(|group| *group != self.leader);
        if let Some(pipe) = self.watched.take() {
            tell(pipe, b"over\n");
        }
    }
}

/// Tells a shell a line, which a pipe takes at once.
fn tell(pipe: ChildStdin, line: &[u8]) {
    if let Ok(pipe) = pipe.into_owned_fd() {
        // Fails where the shell is gone already.
        let _ = File::from(pipe).write_all(line);
    }
}

/// Starts the shell that kills a group when this process is no more. It has a group of its own, so that no terminal
/// ends it with this process.
fn watched(leader: u32) -> Option<ChildStdin> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", WATCH, "ossmount", &leader.to_string()]).env_clear().process_group(0);
    let started = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        // It is waited for by the runtime.
        Ok(mut child) => child.stdin.take(),
        Err(error) => {
            tracing::debug!(%error, "no shell watches over the program of credentials-process");
            None
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its last process may have ended just now.
        let _ = killpg(self.leader, Signal::SIGKILL);
        self.is_over();
    }
}

/// Kills the programs that run when this process ends.
extern "C" fn kill_all() {
    // A lock that is held belongs to a thread that stands still from now on.
    for group in GROUPS.try_lock().iter().flat_map(|groups| groups.iter()) {
        let _ = killpg(*group, Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The process of this number, unless it has ended.
    fn runs(pid: &str) -> bool {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    async fn pid_in(path: &Path) -> String {
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.ends_with('\n') {
                return text.trim().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_program_that_is_given_up_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        // The shell waits for what it started.
        let command = format!("sleep 600 & echo $! > {}; wait", path.display());
        let program = Program { command };
        let asking = tokio::spawn(async move { program.fetch().await });
        let pid = pid_in(&path).await;
        assert!(runs(&pid));
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        while runs(&pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(GROUPS.lock().is_empty());
    }

    #[tokio::test]
    async fn a_program_that_has_ended_is_no_group_any_more() {
        let program = Program { command: "exit 3".to_owned() };
        let error = program.fetch().await.unwrap_err().to_string();
        assert!(error.contains("the program of credentials-process (exit) failed (exit status: 3)"), "{error}");
        assert!(GROUPS.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_named_by_its_first_word() {
        let program = Program { command: "sleep 600 # hush".to_owned() };
        let error = program.fetch().await.unwrap_err().to_string();
        assert!(error.contains("credentials-process (sleep) did not end within 60 s and was killed"), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
