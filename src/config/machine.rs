//! What the machine has: memory, and the limits that a cgroup sets to it.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::base::ByteSize;

/// The facts of the machine and the process that defaults depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Bytes of memory that this process may count on: the machine's, or less in a cgroup.
    pub memory: u64,
    /// Bytes of memory that the machine has.
    pub installed: u64,
    /// Who runs this.
    pub uid: u32,
    /// And their group.
    pub gid: u32,
}

impl Machine {
    /// Looks at `/proc`, `/sys` and the process. Where nothing can be read, 2 GiB of memory are assumed.
    pub fn look() -> Self {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let installed = read(Path::new("/proc/meminfo")).and_then(|text| meminfo(&text, "MemTotal")).unwrap_or(2 << 30);
        let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let limit = cgroup_limit(&groups, &read).unwrap_or(u64::MAX);
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        Machine { memory: installed.min(limit), installed, uid, gid }
    }

    /// Whose memory it is that this process may count on, and how much.
    pub(super) fn memory_phrase(&self) -> String {
        let memory = ByteSize(self.memory);
        match self.memory < self.installed {
            true => format!("the cgroup's limit of {memory}"),
            false => format!("the machine's memory of {memory}"),
        }
    }
}

/// Whether this is an instance of Alibaba Cloud, which has a metadata service to ask; elsewhere asking would cost every
/// start a wait.
pub(super) fn is_ecs() -> bool {
    fs::read_to_string("/sys/class/dmi/id/sys_vendor").is_ok_and(|vendor| vendor.trim().starts_with("Alibaba Cloud"))
}

/// A quarter of the memory there is, but at least 64 MiB: windows need that much to go at the speed of the network.
pub fn automatic_memory_limit(memory: u64) -> u64 {
    (memory / 4).max(64 << 20)
}

/// An eighth of the memory there is, but at least 256 MiB: a million files with their names.
pub fn automatic_metadata_memory(memory: u64) -> u64 {
    (memory / 8).max(256 << 20)
}

/// The smallest memory limit of the process's cgroup and those above it, version 1 or 2, in bytes. `groups` is the
/// text of `/proc/self/cgroup`; `read` reads a file under `/sys/fs/cgroup`.
pub fn cgroup_limit(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    MemoryGroup::all(groups).iter().filter_map(|group| group.limit(read)).min()
}

/// A cgroup whose memory limit holds for this process: its own, or one above it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Two,
}

impl MemoryGroup {
    /// All of them, the innermost first. `groups` is the text of `/proc/self/cgroup`.
    ///
    /// In a container the path may be one of the host that does not exist here; the walk then still reaches the root,
    /// where the container sees its own limit.
    pub fn all(groups: &str) -> Vec<MemoryGroup> {
        let mut all = Vec::new();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let (root, version) = match controllers {
                "" => ("/sys/fs/cgroup", Version::Two),
                _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", Version::One),
                _ => continue,
            };
            let folders = Path::new(path.trim_start_matches('/')).ancestors();
            all.extend(folders.map(|folder| MemoryGroup { folder: Path::new(root).join(folder), version }));
        }
        all
    }

    /// The bytes of memory that its processes may have together, if that is limited.
    pub fn limit(&self, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        let files: &[&str] = match self.version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        };
        let number = |file: &&str| self.number(file, read);
        // Version 1 says "no limit" with a number just below 2^63; version 2 with the word "max", which is no number.
        files.iter().filter_map(number).filter(|limit| *limit < 1 << 62).min()
    }

    /// The bytes that they have now and that cannot be taken from them by dropping pages of files.
    pub fn used(&self, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        let (file, prefix) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_"),
            Version::Two => ("memory.current", ""),
        };
        let stat = read(&self.folder.join("memory.stat")).unwrap_or_default();
        let pages = |list: &str| -> u64 {
            let line = stat.lines().find_map(|line| line.strip_prefix(prefix)?.strip_prefix(list)?.strip_prefix(' '));
            line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
        };
        Some(self.number(file, read)?.saturating_sub(pages("active_file")).saturating_sub(pages("inactive_file")))
    }

    /// Where the kernel tells how long its processes stood still for lack of memory; only version 2 does.
    pub fn pressure_file(&self) -> Option<PathBuf> {
        (self.version == Version::Two).then(|| self.folder.join("memory.pressure"))
    }

    fn number(&self, file: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        read(&self.folder.join(file))?.trim().parse().ok()
    }
}

/// A row of the text of `/proc/meminfo`, in bytes.
pub fn meminfo(text: &str, row: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        cgroup_limit(groups, &read)
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let files = [
            ("/sys/fs/cgroup/pods/pod1/memory.max", "max\n"),
            ("/sys/fs/cgroup/pods/memory.max", "1073741824\n"),
            ("/sys/fs/cgroup/memory.max", "4294967296\n"),
            ("/sys/fs/cgroup/other/memory.max", "1\n"),
        ];
        assert_eq!(limit("0::/pods/pod1\n", &files), Some(1 << 30));
        assert_eq!(limit("0::/\n", &files), Some(4 << 30));
        assert_eq!(limit("0::/gone/away\n", &files), Some(4 << 30));
        assert_eq!(limit("", &files), None);
    }

    #[test]
    fn version_one_is_read_and_no_limit_is_none() {
        let groups = "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/init.scope\n";
        let file = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(limit(groups, &[(file, "536870912\n")]), Some(512 << 20));
        assert_eq!(limit(groups, &[(file, "9223372036854771712\n")]), None);
    }

    #[test]
    fn pages_of_files_are_not_in_use() {
        let files = [
            ("/sys/fs/cgroup/pod/memory.current", "1000\n"),
            ("/sys/fs/cgroup/pod/memory.stat", "file 900\nshmem 300\ninactive_file 200\nactive_file 100\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "500\n"),
            ("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 40\ntotal_active_file 50\n"),
        ];
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        let used = |groups| MemoryGroup::all(groups).iter().map(|group| group.used(&read)).collect::<Vec<_>>();
        assert_eq!(used("0::/pod\n"), [Some(700), None]);
        assert_eq!(used("4:memory:/\n"), [Some(410)]);
    }

    #[test]
    fn a_quarter_of_what_there_is() {
        assert_eq!(automatic_memory_limit(8 << 30), 2 << 30);
        assert_eq!(automatic_memory_limit(100 << 20), 64 << 20);
        assert_eq!(automatic_metadata_memory(8 << 30), 1 << 30);
        assert_eq!(automatic_metadata_memory(100 << 20), 256 << 20);
        assert_eq!(meminfo("MemTotal:       24689764 kB\nMemFree: 1 kB\n", "MemTotal"), Some(24689764 << 10));
        assert_eq!(meminfo("nothing", "MemTotal"), None);
    }

    #[test]
    fn this_machine_has_some() {
        assert!(Machine::look().memory > 64 << 20);
    }
}
