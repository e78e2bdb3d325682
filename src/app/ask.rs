//! Asking a live mount: on its control socket, else by the ioctl on its root.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::registry;
use crate::config::{Problem, Result};
use crate::fuse;

/// A way to a live mount.
pub(super) struct Line {
    /// Where it is mounted, absolute and without links.
    pub(super) dir: PathBuf,
    way: Way,
}

enum Way {
    Socket(BufReader<UnixStream>),
    Ioctl(File),
}

impl Line {
    /// To the mount that a path lies under. Fails where that is none of ours, or is gone.
    pub(super) fn to(path: &Path) -> Result<Line> {
        let dir = mount_over(path)?;
        let socket = registry::find(&dir).and_then(|found| found.entry.socket);
        let socket = socket.and_then(|socket| UnixStream::connect(socket).ok());
        let way = match socket {
            Some(socket) => Way::Socket(BufReader::new(socket)),
            // Not ours to connect to, or switched off: the mount itself says more.
            None => Way::Ioctl(File::open(&dir).map_err(|error| no_answer(&dir, &error))?),
        };
        Ok(Line { dir, way })
    }

    /// Asks, and waits for the answer. Fails with the mount's own sentence when it was not done.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value> {
        let request = request.to_string();
        let answer = match &mut self.way {
            Way::Socket(socket) => through_socket(socket, &request),
            Way::Ioctl(root) => through_ioctl(root, &request),
        };
        let answer = answer.map_err(|error| no_answer(&self.dir, &error))?;
        let value: Value =
            serde_json::from_str(&answer).map_err(|error| no_answer(&self.dir, &io::Error::other(error)))?;
        match (value.get("error").and_then(Value::as_str), value.get("message").and_then(Value::as_str)) {
            (Some(error), Some(message)) => Err(Problem::failure(format!("{message} ({error})"))),
            _ => Ok(value),
        }
    }
}

fn through_socket(socket: &mut BufReader<UnixStream>, request: &str) -> io::Result<String> {
    socket.get_mut().write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    match socket.read_line(&mut answer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

fn through_ioctl(root: &File, request: &str) -> io::Result<String> {
    let mut buffer = [0; fuse::IOCTL_BYTES];
    let place = buffer
        .get_mut(..request.len())
        .ok_or_else(|| io::Error::other(format!("a request of {} bytes needs the control socket", request.len())))?;
    place.copy_from_slice(request.as_bytes());
    // SAFETY: the number says that so many bytes go in and out, and the buffer has them.
    let done = unsafe { libc::ioctl(root.as_raw_fd(), libc::c_ulong::from(fuse::IOCTL), buffer.as_mut_ptr()) };
    let error = io::Error::last_os_error();
    let text = buffer.split(|&byte| byte == 0).next().unwrap_or_default();
    // A failure that was answered has its sentence in the buffer.
    if done < 0 && text == request.as_bytes() {
        return Err(error);
    }
    String::from_utf8(text.to_vec()).map_err(io::Error::other)
}

fn no_answer(dir: &Path, error: &io::Error) -> Problem {
    Problem::failure(format!("the mount on {} does not answer: {error}", dir.display()))
}

/// Where the mount is that a path lies under. The path need not be there.
fn mount_over(path: &Path) -> Result<PathBuf> {
    let none =
        || Problem::failure(format!("{} is not under a live ossmount mount; see ossmount status", path.display()));
    let path = resolved(path).ok_or_else(none)?;
    let mounts = fuse::mounts().map_err(|error| Problem::failure(format!("the mounts cannot be read: {error}")))?;
    let over = mounts.into_iter().map(|mount| mount.dir).filter(|dir| path.starts_with(dir));
    over.max_by_key(|dir| dir.components().count()).ok_or_else(none)
}

/// A path without links, also where its last components do not exist.
pub(super) fn resolved(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|above| {
        let there = fs::canonicalize(above).ok()?;
        // `join` with nothing would add a slash.
        let below = path.strip_prefix(above).ok()?;
        Some(if below.as_os_str().is_empty() { there } else { there.join(below) })
    })
}
