//! Whether a process that sends a request through the mount is in the namespaces of the daemon.
//!
//! A mount with `allow-other` may be bound into containers, whose root has user number 0 in the machine's user
//! namespace unless the engine maps users. The kernel passes that number on, so the number alone does not tell the
//! machine's root from a container's. The user and mount namespaces do: a container engine always makes a mount
//! namespace.
//!
//! The process cannot end, and its number cannot be given to another one, before its request is answered.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::fs::Way;

/// The way that a request of the process or thread `pid` came, through the mount. Number 0 is what the kernel gives for
/// a process outside the daemon's process namespace.
///
/// Where the kernel does not show the daemon the namespaces of the process, they count as foreign: so it is for a
/// daemon without privileges and a process of root, and for one with few capabilities and a process with more.
pub(super) fn way(pid: u32) -> Way {
    let is_own = |kind: &str| {
        let of = |process: &str| fs::metadata(format!("/proc/{process}/ns/{kind}")).ok().map(|m| (m.dev(), m.ino()));
        let own = of("self");
        own.is_some() && own == of(&pid.to_string())
    };
    if pid != 0 && is_own("user") && is_own("mnt") { Way::Mount } else { Way::ForeignMount }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_at_home_and_others_may_not_be() {
        assert_eq!(way(std::process::id()), Way::Mount);
        assert_eq!(way(0), Way::ForeignMount);
        assert_eq!(way(u32::MAX), Way::ForeignMount, "there is no such process");
        // `unshare` starts a program in new namespaces; an ordinary user may do so with a user namespace.
        for arguments in [&["--mount"][..], &["--user"], &["--user", "--map-root-user", "--mount"]] {
            let mut command = std::process::Command::new("unshare");
            let mut child = command.args(arguments).args(["sh", "-c", "echo ready; read -r line"]);
            child = child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut child = child.spawn().unwrap();
            let mut said = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
            assert_eq!(said, "ready\n", "{arguments:?}");
            assert_eq!(way(child.id()), Way::ForeignMount, "{arguments:?}");
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
