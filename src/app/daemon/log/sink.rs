//! The destinations of log lines: a file that is rotated, stderr, the system's log, or none.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use crate::files;

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
    /// Never fails: what is printed of a failure could fail as well, and must not end the daemon.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(line),
            // A terminal that was closed, a pipe without a reader, a file on a full disk: the line is lost.
            Sink::Stderr => drop(io::stderr().write_all(line)),
            Sink::System(log) => log.write(line),
            Sink::Nowhere => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that lines are appended to. When it has grown it is kept as `NAME.1`, what was `NAME.1` as `NAME.2` and so
/// on, and another is begun; a program that has moved it away has it opened anew, and one that was removed is begun
/// anew with the next line. Lines that the file does not take go elsewhere.
///
/// Its size is asked of the file system for each line, so that what was not written, on a full disk, does not count.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// It has grown when it has so many bytes.
    most_bytes: Option<u64>,
    /// Files, the one that is written included.
    count: usize,
    /// Where lines go that the file does not take.
    otherwise: Box<Sink>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// None where it could not be opened.
    file: Option<File>,
    /// Where it could not be kept beside, that is tried again when it has so many bytes.
    grown_at: u64,
}

impl Open {
    /// The bytes in the file; `None` where it has to be opened.
    fn bytes(&self) -> Option<u64> {
        let meta = self.file.as_ref()?.metadata().ok()?;
        // What is written into a file without a name cannot be seen and fills the disk.
        (meta.nlink() > 0).then_some(meta.len())
    }
}

/// The permissions of the file, as far as the umask allows.
const FILE_MODE: u32 = 0o644;

fn open_at(path: &Path) -> io::Result<File> {
    files::append(path, FILE_MODE)
}

impl LogFile {
    /// A file at this path, which is opened with the first line.
    pub(super) fn new(path: &Path, most_bytes: Option<u64>, count: usize, otherwise: Sink) -> LogFile {
        let (otherwise, open) = (Box::new(otherwise), Mutex::default());
        LogFile { path: path.to_owned(), most_bytes, count: count.max(1), otherwise, open }
    }

    /// Opens what lies at the path now. Where that fails lines go where they went before.
    pub(super) fn reopen(&self) -> io::Result<()> {
        let file = open_at(&self.path)?;
        *self.open.lock() = Open { file: Some(file), grown_at: 0 };
        Ok(())
    }

    fn write(&self, line: &[u8]) {
        if self.append(line).is_err() {
            self.otherwise.take_other(line);
        }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock();
        let bytes = match open.bytes() {
            Some(bytes) => bytes,
            None => {
                *open = Open { file: Some(open_at(&self.path)?), grown_at: 0 };
                open.bytes().unwrap_or(0)
            }
        };
        let is_full = |most| bytes > 0 && bytes.saturating_add(line.len() as u64) > most;
        if let Some(most) = self.most_bytes.filter(|&most| is_full(most))
            && bytes >= open.grown_at
        {
            match self.begin_another() {
                Ok(file) => *open = Open { file: Some(file), grown_at: 0 },
                // A log that is too long is better than none; it is tried again when as much has come again.
                Err(_) => open.grown_at = bytes.saturating_add(most),
            }
        }
        let Some(file) = &mut open.file else { return Err(io::ErrorKind::NotFound.into()) };
        file.write_all(line)
    }

    fn begin_another(&self) -> io::Result<File> {
        if self.count == 1 {
            let file = open_at(&self.path)?;
            file.set_len(0)?;
            return Ok(file);
        }
        for number in (1..self.count - 1).rev() {
            match files::rename(&self.kept(number), &self.kept_name(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        files::rename(&self.path, &self.kept_name(1))?;
        open_at(&self.path)
    }

    fn kept(&self, number: usize) -> PathBuf {
        self.path.with_file_name(self.kept_name(number))
    }

    fn kept_name(&self, number: usize) -> OsString {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number}"));
        name
    }
}

impl Sink {
    /// Takes a line that was made for another sink.
    fn take_other(&self, line: &[u8]) {
        let mut sink = self;
        let _ = match self {
            Sink::System(_) => {
                let mut text = super::lines::syslog_head(tracing::Level::WARN).into_bytes();
                text.extend_from_slice(line);
                sink.write(&text)
            }
            _ => sink.write(line),
        };
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
    use std::fs;

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
        let sink = Sink::File(Arc::new(LogFile::new(&path, Some(10), 3, Sink::Nowhere)));
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
        let sink = Sink::File(Arc::new(LogFile::new(&path, Some(10), 1, Sink::Nowhere)));
        ["one\n", "two\n", "three\n"].iter().for_each(|line| say(&sink, line));
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        let file = Arc::new(LogFile::new(&path, None, 5, Sink::Nowhere));
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
    fn a_file_that_was_removed_is_begun_anew_with_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, path) = (folder.path().join("logs"), folder.path().join("logs/log"));
        let spare = Arc::new(LogFile::new(&folder.path().join("spare"), None, 1, Sink::Nowhere));
        let sink = Sink::File(Arc::new(LogFile::new(&path, Some(1000), 3, Sink::File(spare))));
        say(&sink, "not there yet\n");
        fs::create_dir(&inside).unwrap();
        say(&sink, "one\n");
        fs::remove_file(&path).unwrap();
        say(&sink, "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        fs::remove_dir_all(&inside).unwrap();
        say(&sink, "elsewhere\n");
        fs::create_dir(&inside).unwrap();
        say(&sink, "three\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        let spared = fs::read_to_string(folder.path().join("spare")).unwrap();
        assert_eq!(spared, "not there yet\nelsewhere\n", "what the file did not take is not lost");
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_end_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("log"), folder.path().join("log.1"));
        fs::write(&kept, "history\n").unwrap();
        // Each write to it fails, as to a file on a full disk.
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let spare = Arc::new(LogFile::new(&folder.path().join("spare"), None, 1, Sink::Nowhere));
        let sink = Sink::File(Arc::new(LogFile::new(&path, Some(10), 2, Sink::File(spare))));
        (0..100).for_each(|_| say(&sink, "lost\n"));
        assert_eq!(fs::read_to_string(&kept).unwrap(), "history\n");
        assert_eq!(fs::read_to_string(folder.path().join("spare")).unwrap().lines().count(), 100);
    }

    #[test]
    fn a_file_that_was_emptied_has_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("log"), folder.path().join("log.1"));
        let sink = Sink::File(Arc::new(LogFile::new(&path, Some(10), 2, Sink::Nowhere)));
        say(&sink, "12345678\n");
        File::create(&path).unwrap();
        say(&sink, "abcdefgh\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "abcdefgh\n");
        assert!(!kept.exists());
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
