//! A terminal that belongs to a live view: a screen of its own, keys as they are pressed, and everything as it was
//! afterwards, whatever ends the view.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);

/// Begins and ends the screen; the cursor is hidden meanwhile.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What happened while the view stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// No key was pressed in time.
    TimePassed,
    /// Another size, or a key that means nothing.
    Redraw,
    /// The user ends the view.
    End,
}

/// The terminal. Dropping it gives it back.
pub(super) struct Terminal {
    before: Termios,
    signals: SignalFd,
    caught: SigSet,
}

impl Terminal {
    /// Whether there is one to be had.
    pub(super) fn is_there() -> bool {
        let is_able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        is_able && io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Takes it. Must be called by the only thread of the process: signals are taken as this thread would.
    pub(super) fn take() -> io::Result<Terminal> {
        let mut caught = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH] {
            caught.add(signal);
        }
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        caught.thread_block()?;
        let signals = SignalFd::with_flags(&caught, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &now)?;
        let terminal = Terminal { before, signals, caught };
        write(ENTER)?;
        Ok(terminal)
    }

    /// The columns and rows of the terminal.
    pub(super) fn size(&self) -> (usize, usize) {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the number says that a `winsize` comes back, and that is one.
        let asked = unsafe { window_size(libc::STDOUT_FILENO, &mut size) };
        match asked {
            Ok(_) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => (80, 24),
        }
    }

    /// Shows these lines, as many as fit; each is to be no wider than the terminal.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let (_, rows) = self.size();
        let mut text = String::from("\x1b[H");
        for (index, line) in lines.iter().take(rows).enumerate() {
            // After the last row a line break would scroll.
            let end = if index + 1 < rows { "\x1b[K\n" } else { "\x1b[K" };
            text.push_str(line);
            text.push_str(end);
        }
        text.push_str("\x1b[J");
        write(&text)
    }

    /// Waits for a key, a signal or the end of this time.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<Event> {
        let stdin = io::stdin();
        let mut ready =
            [PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        if poll(&mut ready, limit)? == 0 {
            return Ok(Event::TimePassed);
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        let (has_key, has_signal) = (is_ready(&ready[0]), is_ready(&ready[1]));
        if has_signal && let Some(signal) = self.signals.read_signal()? {
            return Ok(if signal.ssi_signo == Signal::SIGWINCH as u32 { Event::Redraw } else { Event::End });
        }
        if has_key {
            let mut keys = [0; 64];
            let count = nix::unistd::read(stdin.as_fd(), &mut keys)?;
            let is_end = count == 0 || keys[..count].iter().any(|key| matches!(key, b'q' | b'Q' | 4));
            return Ok(if is_end { Event::End } else { Event::Redraw });
        }
        Ok(Event::Redraw)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &self.before);
        let _ = self.caught.thread_unblock();
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
