//! Where lines of the log go: a file, stderr, the system's log, or nowhere.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// Where the system's log takes lines: syslog's socket, which journald serves as well.
pub(super) const SYSTEM_LOG: &str = "/dev/log";

/// Where lines go. Each write is a line.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    File(Arc<LogFile>),
    Stderr,
    System(Arc<SystemLog>),
    Nowhere,
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Sink;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(line)?,
            Sink::Stderr => io::stderr().write_all(line)?,
            Sink::System(log) => log.write(line),
            Sink::Nowhere => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that lines are appended to. When it has grown it is kept as `NAME.1`, what was `NAME.1` as `NAME.2` and so on,
/// and another is begun; a program that has moved it away has it opened anew.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// It has grown when it has so many bytes.
    most_bytes: Option<u64>,
    /// Files, the one that is written included.
    count: usize,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        let file = File::options().append(true).create(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Open { file, bytes })
    }
}

impl LogFile {
    /// Opens the file, at its end.
    pub(super) fn open(path: &Path, most_bytes: Option<u64>, count: usize) -> io::Result<LogFile> {
        let open = Mutex::new(Open::at(path)?);
        Ok(LogFile { path: path.to_owned(), most_bytes, count: count.max(1), open })
    }

    /// Opens what lies at the path now. Where that fails lines go where they went before.
    pub(super) fn reopen(&self) -> io::Result<()> {
        let fresh = Open::at(&self.path)?;
        *self.open.lock() = fresh;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock();
        let is_full = |most| open.bytes > 0 && open.bytes.saturating_add(line.len() as u64) > most;
        if self.most_bytes.is_some_and(is_full) {
            match self.begin_another() {
                Ok(fresh) => *open = fresh,
                // A log that is too long is better than none; it is tried again when as much has come again.
                Err(_) => open.bytes = 0,
            }
        }
        open.bytes = open.bytes.saturating_add(line.len() as u64);
        open.file.write_all(line)
    }

    fn begin_another(&self) -> io::Result<Open> {
        if self.count == 1 {
            File::options().write(true).truncate(true).open(&self.path)?;
            return Open::at(&self.path);
        }
        for number in (1..self.count - 1).rev() {
            match fs::rename(self.kept(number), self.kept(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.kept(1))?;
        Open::at(&self.path)
    }

    fn kept(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

/// The system's log. What it cannot take at once is lost: reads must not wait for it.
#[derive(Debug)]
pub(super) struct SystemLog {
    path: PathBuf,
    socket: Mutex<UnixDatagram>,
}

impl SystemLog {
    pub(super) fn at(path: &Path) -> io::Result<SystemLog> {
        Ok(SystemLog { path: path.to_owned(), socket: Mutex::new(connected(path)?) })
    }

    fn write(&self, line: &[u8]) {
        let line = line.trim_ascii_end();
        let mut socket = self.socket.lock();
        if let Err(error) = socket.send(line)
            && error.kind() != io::ErrorKind::WouldBlock
            && let Ok(fresh) = connected(&self.path)
        {
            // It was started anew since.
            *socket = fresh;
            // Lost, as said above.
            let _ = socket.send(line);
        }
    }
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(sink: &Sink, line: &str) {
        let mut writer = sink.make_writer();
        writer.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn a_file_that_has_grown_is_kept_beside_and_another_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "old\n").unwrap();
        let sink = Sink::File(Arc::new(LogFile::open(&path, Some(10), 3).unwrap()));
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "a line that is longer than a file\n", "six\n"] {
            say(&sink, line);
        }
        let has = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let has = ["log", "log.1", "log.2"].map(has);
        assert_eq!(has, ["six\n", "a line that is longer than a file\n", "four\nfive\n"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "three files and no more");
    }

    #[test]
    fn one_file_alone_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::File(Arc::new(LogFile::open(&path, Some(10), 1).unwrap()));
        ["one\n", "two\n", "three\n"].iter().for_each(|line| say(&sink, line));
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        let file = Arc::new(LogFile::open(&path, None, 5).unwrap());
        let sink = Sink::File(file.clone());
        say(&sink, "one\n");
        fs::rename(&path, &moved).unwrap();
        say(&sink, "two\n");
        file.reopen().unwrap();
        say(&sink, "three\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn the_systems_log_gets_one_datagram_a_line_also_when_it_was_started_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let heard = |socket: &UnixDatagram| {
            let mut line = [0; 64];
            let len = socket.recv(&mut line).unwrap();
            String::from_utf8_lossy(&line[..len]).into_owned()
        };
        let first = UnixDatagram::bind(&path).unwrap();
        let sink = Sink::System(Arc::new(SystemLog::at(&path).unwrap()));
        say(&sink, "<30>one\n");
        assert_eq!(heard(&first), "<30>one");
        drop(first);
        fs::remove_file(&path).unwrap();
        say(&sink, "lost\n");
        let second = UnixDatagram::bind(&path).unwrap();
        say(&sink, "<30>two\n");
        assert_eq!(heard(&second), "<30>two");
    }
}
